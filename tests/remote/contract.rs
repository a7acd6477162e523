//! Our requests against the contracts as servers: the provider's own, and the one of the destination that the sandbox
//! stands for. Prism refuses what a contract does not allow, and answers with its examples.
//!
//! Runs where `PROVIDER_SPECS` names the folder of the providers' contracts, since they and Prism are not part of this
//! repository.

use crate::support::{
    Keys, PATIENT, definitions_with, failed, http, plan, plan_from, record, request, snapshots, sources, sources_with,
};
use certbridge_mapping::{Definitions, Kind, Plan, Record};
use certbridge_remote::HttpSources;
use certbridge_sync::{
    error::RemoteClass,
    ports::{Destination, Fetched, ListError, LocationCheck, Sources},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

/// Prism with one contract, stopped when dropped.
pub(crate) struct Prism {
    pub(crate) url: String,
    child: Child,
}

impl Prism {
    fn start(contract: &Path) -> Self {
        Self::start_with(contract, &["--errors"])
    }

    /// Without `--errors`, an example that its own contract does not allow is answered all the same, with a header that
    /// says so.
    pub(crate) fn start_with(contract: &Path, options: &[&str]) -> Self {
        // Free a moment ago; should it be taken now, Prism says so and the test fails.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new("npx")
            .args(["--yes", "@stoplight/prism-cli", "mock", "--port", &port.to_string()])
            .args(options)
            .arg(contract)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            // Its own group, so that what npx starts is stopped with it.
            .process_group(0)
            .spawn()
            .expect("npx starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains("is listening on"));
        let prism = Self { url: format!("http://127.0.0.1:{port}"), child };
        assert!(ready, "Prism ended before it listened");
        // It must not wait for somebody to read what it says.
        thread::spawn(move || lines.for_each(drop));
        prism
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        drop(Command::new("kill").args(["-TERM", "--", &group]).status());
        drop(self.child.wait());
    }
}

#[expect(clippy::disallowed_methods, reason = "it switches a test, not the product")]
pub(crate) fn specs() -> Option<PathBuf> {
    let folder = std::env::var_os("PROVIDER_SPECS").map(PathBuf::from);
    if folder.is_none() {
        // Past the test harness, which would swallow what a test that passes prints.
        let message = b"NOT RUN: PROVIDER_SPECS does not name the folder of the providers' contracts\n";
        io::stderr().write_all(message).unwrap();
    }
    folder
}

#[tokio::test]
async fn accredibles_own_contract_takes_our_requests_and_its_example_is_mapped() {
    let Some(specs) = specs() else { return };
    let prism = Prism::start(&specs.join("accredible.openapi.json"));
    let key = record("10000005");
    let Fetched::Found(document) = sources(&prism.url).fetch(&plan(), &key, PATIENT).await.unwrap() else {
        panic!("the example is there")
    };
    let problems = plan().canonical(&key, &document, None).unwrap_err();
    let fields: Vec<_> = problems.0.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["location_id"], "{problems}");

    let with_group = definitions_with(|text| {
        text.replace("[tables.location_by_group]", "[tables.location_by_group]\n\"9549\" = \"loc_london\"")
    });
    let Record::Certificate(certificate) = plan_from(&with_group).canonical(&key, &document, None).unwrap() else {
        panic!("no certificate")
    };
    assert_eq!(certificate.location_id, "loc_london");
    assert_eq!((certificate.user_id.as_str(), certificate.issue_date.to_string()), ("dw373", "2014-08-14".to_owned()));
    assert_eq!(certificate.recipient_email.as_deref(), Some("jor@dan.org"));
    assert_eq!(certificate.expiry_date, None);
}

#[tokio::test]
async fn accredibles_own_contract_takes_our_searches_and_its_example_is_mapped() {
    let Some(specs) = specs() else { return };
    let prism = Prism::start(&specs.join("accredible.openapi.json"));
    let with_group = definitions_with(|text| {
        text.replace("[tables.location_by_group]", "[tables.location_by_group]\n\"12345\" = \"loc_london\"")
    });
    let (sources, plan) = (sources(&prism.url), plan_from(&with_group));
    let page = async |cursor: Option<&str>, since: Option<&str>| {
        let since = since.map(|day| day.parse().unwrap());
        sources.source_page(&plan, Kind::Certificate, cursor, since, PATIENT).await
    };
    let first = page(None, None).await.unwrap();
    assert_eq!((first.items.len(), first.nameless, first.announced), (1, 0, Some(1000)));
    let item = &first.items[0];
    assert_eq!((item.id.as_str(), item.changed_at), ("12345678", Some("2025-10-31T08:11:16.390Z".parse().unwrap())));
    let fields = item.fields.as_ref().unwrap();
    assert_eq!(
        (&fields["user_id"], &fields["location_id"], &fields["issue_date"]),
        (&"john.doe@mailinator.test".into(), &"loc_london".into(), &"2025-10-31".into())
    );
    assert_eq!(page(None, Some("2025-10-31")).await.unwrap(), first);
    // The example is its own next page, so the request was taken and its answer is not believed.
    for since in [None, Some("2025-10-31")] {
        let Err(ListError::Remote(error)) = page(first.next.as_deref(), since).await else {
            panic!("the same page again is no page")
        };
        assert_eq!(
            (error.class, error.message.as_str()),
            (RemoteClass::Unusable, "a listing, but its next page is itself")
        );
        assert_eq!(page(Some("another"), since).await.unwrap(), first);
    }
}

#[tokio::test]
async fn accredibles_own_contract_wants_a_key() {
    let Some(specs) = specs() else { return };
    let prism = Prism::start(&specs.join("accredible.openapi.json"));
    let bare = reqwest::get(format!("{}/v1/credentials/1", prism.url)).await.unwrap();
    assert_eq!(bare.status(), 401);
    let keyless = sources_with(&prism.url, Keys::answering(Ok(None)));
    failed(keyless.fetch(&plan(), &record("1"), PATIENT).await, RemoteClass::Unauthorized);
}

/// The routes of its webhooks are in no contract: what is known of them stands in `subscriptions/acculynx.rs`.
#[tokio::test]
async fn acculynxs_own_contract_takes_our_requests_and_its_examples_are_mapped() {
    let Some(specs) = specs() else { return };
    // Prism serves the paths alone, without what the contract's address has before them.
    let mut contract: Value = serde_json::from_slice(&fs::read(specs.join("acculynx.openapi.json")).unwrap()).unwrap();
    let paths = contract["paths"].as_object().unwrap().clone();
    contract["paths"] = paths.into_iter().map(|(path, item)| (format!("/api/v2{path}"), item)).collect();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("acculynx.openapi.json");
    fs::write(&file, contract.to_string()).unwrap();
    // Its example of a job is not what it says that a job is: so its answers are not checked, and our requests are.
    let prism = Prism::start_with(&file, &[]);
    let definitions = Definitions::built_in();
    let to = definitions.destination("snapshots").unwrap().clone();
    let plan = Plan::new(definitions.source("acculynx").unwrap().clone(), to);
    let urls = || BTreeMap::from([("ACCULYNX_URL".to_owned(), prism.url.clone())]);
    let sources = HttpSources::new(http(), Keys::good(), urls());
    for (key, field, value) in [
        ("customer#acculynx#61370abe-3534-4ba8-b2f2-2ff56cdd5e02", "last_name", "Smith"),
        ("location#acculynx#e591bf22-9828-4144-bca8-42cbb8c6e2c0", "country", "US"),
        ("invoice#acculynx#01a7cfc1-2231-4589-9657-7f3004c06bd3", "status", "paid"),
    ] {
        let key = key.parse().unwrap();
        let Fetched::Found(document) = sources.fetch(&plan, &key, PATIENT).await.unwrap() else {
            panic!("the example is there")
        };
        let record = plan.canonical(&key, &document, None).unwrap();
        assert_eq!(record.to_fields()[field], value, "{key}");
        plan.request(&record).unwrap();
    }
    for kind in [Kind::Customer, Kind::Location] {
        for (cursor, since) in [(None, None), (Some("1"), None), (None, Some("2026-03-01".parse().unwrap()))] {
            let page = sources.source_page(&plan, kind, cursor, since, PATIENT).await.unwrap();
            assert_eq!((page.items.len(), page.nameless), (1, 0), "{kind}");
            page.items[0].fields.as_ref().unwrap();
        }
    }
    let key = "invoice#acculynx#01a7cfc1-2231-4589-9657-7f3004c06bd3".parse().unwrap();
    let keyless = HttpSources::new(http(), Keys::answering(Ok(None)), urls());
    failed(keyless.fetch(&plan, &key, PATIENT).await, RemoteClass::Unauthorized);
}

#[tokio::test]
async fn the_sandboxs_contract_takes_our_requests() {
    if specs().is_none() {
        return;
    }
    let prism = Prism::start(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox/openapi.json"));
    let snapshots = snapshots(&prism.url);
    let pushed =
        snapshots.push(&record("1"), &request("10000005"), "certificate#accredible#10000005#1", PATIENT).await.unwrap();
    assert!(pushed.request_id.is_some());
    assert_eq!(snapshots.check_location("loc_london", None, PATIENT).await, Ok(LocationCheck::Known));
    let mut bad = request("10000005");
    bad.body["user_id"] = serde_json::Value::Null;
    failed(snapshots.push(&record("1"), &bad, "k", PATIENT).await, RemoteClass::Rejected);

    let requests = [request("10000006"), request("10000005"), request("10000007")];
    let told = snapshots.push_batch("b-1", &requests, "b-1#1", PATIENT).await.unwrap();
    assert_eq!(told[1].as_ref().unwrap().request_id.as_deref(), Some("snap-1"));
    let classes: Vec<_> = told.iter().map(|told| told.as_ref().err().map(|error| error.class)).collect();
    assert_eq!(classes, [Some(RemoteClass::Rejected), None, Some(RemoteClass::Unusable)]);
    for cursor in [None, Some("6b")] {
        let page = snapshots.destination_page(Kind::Certificate, cursor, PATIENT).await.unwrap();
        assert_eq!((page.items[0].id.as_str(), page.next, page.announced), ("10000005", None, Some(1)));
    }
}
