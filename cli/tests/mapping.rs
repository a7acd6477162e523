//! `certbridge source`, `mapping` and `test`, as they are typed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![recursion_limit = "256"]

use certbridge::{
    Local, Options,
    local::POLL_EVERY,
    source::{NewScheme, SourceError, definition},
};
use certbridge_mapping::{Plan, SourceDefinition};
use certbridge_platform::Env;
use clap::ValueEnum;
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Output, Stdio},
    sync::Arc,
};
use tempfile::TempDir;
use tokio::process::Command;

async fn certbridge(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certbridge"));
    command.args(args).current_dir(folder).env_clear().env("USER", "olga").stdin(Stdio::null());
    command.output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn done(folder: &Path, args: &[&str]) -> String {
    let output = certbridge(folder, args).await;
    assert!(output.status.success(), "{args:?}: {} {}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

async fn object(folder: &Path, args: &[&str]) -> (Value, bool) {
    let output = certbridge(folder, args).await;
    let parsed = serde_json::from_slice(&output.stdout);
    (parsed.unwrap_or_else(|_| panic!("{args:?}: {}", text(&output.stderr))), output.status.success())
}

#[test]
fn a_new_definition_is_valid_whatever_its_scheme() {
    let snapshots = certbridge_mapping::Definitions::built_in().destination("snapshots").cloned().unwrap();
    for scheme in NewScheme::value_variants() {
        for name in ["academy", "my-source", "7up"] {
            let text = definition(name, *scheme, "config/sources/x.toml").unwrap();
            let source = SourceDefinition::parse(&format!("sources/{name}.toml"), &text).unwrap();
            assert!(!text.contains("{verification}") && !text.contains("{file}"));
            let plan = Plan::new(Arc::new(source), Arc::clone(&snapshots));
            let sample = plan.source().sample(None, "1", jiff::Timestamp::now()).unwrap();
            let checked = certbridge_mapping::check::check_event(&plan, &sample);
            assert_eq!(checked.problems, [], "{scheme:?}");
            assert!(checked.request.is_some());
        }
    }
    assert_eq!(definition("accredible", NewScheme::Token, "x").unwrap_err(), SourceError::BuiltIn("accredible".into()));
    assert!(matches!(definition("a b", NewScheme::Token, "x").unwrap_err(), SourceError::Name(_)));
}

#[tokio::test]
async fn nothing_is_written_over() {
    let folder = TempDir::new().unwrap();
    let path = done(folder.path(), &["source", "new", "academy", "--scheme", "token"]).await;
    assert_eq!(path, "config/sources/academy.toml\n");
    assert!(folder.path().join("config/source.schema.json").is_file());
    std::fs::write(folder.path().join(path.trim()), "# mine").unwrap();
    assert!(!certbridge(folder.path(), &["source", "new", "academy"]).await.status.success());
    assert_eq!(std::fs::read_to_string(folder.path().join(path.trim())).unwrap(), "# mine");
}

#[tokio::test]
async fn built_in_samples_are_shown_side_by_side() {
    let folder = TempDir::new().unwrap();
    let table = done(folder.path(), &["mapping", "check", "standard-webhooks"]).await;
    for cell in
        ["$.data.issue_date", "at snapshots", "First Aid", "POST /certificates/certbridge-test/sync", "no problems"]
    {
        assert!(table.contains(cell), "{cell} in {table}");
    }
    let hint = done(folder.path(), &["mapping", "check", "accredible"]).await;
    assert!(hint.contains("only a hint") && hint.contains("--kind certificate"), "{hint}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no data folder is made");
}

#[tokio::test]
async fn all_problems_of_a_sample_are_told_at_once() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("sample.json");
    let body = json!({"type": "certificate.created", "timestamp": "2026-02-01T10:00:00Z", "data": {
        "certificate_id": "1", "user_id": "u", "issue_date": "yesterday", "status": "lost", "title": 7,
    }});
    std::fs::write(&file, body.to_string()).unwrap();
    let check = ["mapping", "check", "standard-webhooks", "--sample", "sample.json", "--json"];
    let (checked, sound) = object(folder.path(), &check).await;
    let problems = checked["samples"][0]["problems"].as_array().unwrap();
    let fields: Vec<_> = problems.iter().map(|problem| problem["field"].as_str().unwrap()).collect();
    assert!(!sound);
    assert_eq!(fields, ["issue_date", "location_id", "status", "title"]);
    assert_eq!(problems[0]["found"], "a string of 9 characters");
    assert!(!problems.iter().any(|problem| problem.to_string().contains("yesterday")));

    // A record as the API answers.
    let credential = json!({"credential": {"id": 100, "recipient": {"id": 7}, "issued_on": "2026-01-31",
        "custom_attributes": {"location_id": "loc_london"}, "name": "First Aid"}});
    std::fs::write(&file, credential.to_string()).unwrap();
    let check = ["mapping", "check", "accredible", "--kind", "certificate", "--sample", "sample.json", "--json"];
    let (checked, sound) = object(folder.path(), &check).await;
    assert!(sound, "{checked}");
    assert_eq!(checked["samples"][0]["request"]["path"], "/certificates/100/sync");
}

#[tokio::test]
async fn a_changed_plan_tells_what_it_changes() {
    let folder = TempDir::new().unwrap();
    let events = folder.path().join("events");
    std::fs::create_dir(&events).unwrap();
    let event = |id: &str, time: &str, title: &str| {
        let data = json!({"certificate_id": id, "user_id": "u", "issue_date": "2026-01-31", "location_id": "loc_london",
            "title": title, "recipient_name": "Ada Lovelace"});
        json!({"type": "certificate.updated", "timestamp": time, "data": data}).to_string()
    };
    for (file, body) in [
        ("a.json", event("1", "2026-02-01T12:00:00Z", "New")),
        ("b.json", event("1", "2026-02-01T10:00:00Z", "Old")),
        ("c.json", event("2", "2026-02-01T10:00:00Z", " ")),
        ("d.json", "no JSON".to_owned()),
        ("e.json", json!({"type": "other", "timestamp": "2026-02-01T10:00:00Z"}).to_string()),
    ] {
        std::fs::write(events.join(file), body).unwrap();
    }
    let old = include_str!("../../config/sources/standard-webhooks.toml");
    std::fs::create_dir(folder.path().join("sources")).unwrap();
    let write = |text: &str| std::fs::write(folder.path().join("sources/standard-webhooks.toml"), text).unwrap();
    let diff = ["mapping", "diff", "standard-webhooks", "sources/standard-webhooks.toml", "--events", "events"];

    write(old);
    let same = done(folder.path(), &diff).await;
    assert!(same.ends_with("0 of 2 records would be pushed again\n"), "{same}");
    write(&old.replace("{ from = \"$.data.title\" }", "{ from = \"$.data.title\", default = \"None\" }").replacen(
        "from = \"$.data.recipient_name\"",
        "from = { path = \"$.data.recipient_name\", words = \"first\" }",
        1,
    ));
    let shown = done(folder.path(), &diff).await;
    assert!(shown.contains("differs") && !shown.contains("Lovelace"), "{shown}");
    assert!(shown.contains("d.json: left out: ") && shown.contains("e.json: left out: the type other"), "{shown}");
    let (compared, _) = object(folder.path(), &[&diff[..], &["--json", "--show-personal"]].concat()).await;
    assert_eq!(compared["pushed_again"], 2);
    let records = compared["records"].as_array().unwrap();
    assert_eq!(records[0]["payload"], "a.json", "the newest of the record's");
    let name = json!({"field": "recipient_name", "personal": true, "old": "Ada Lovelace", "new": "Ada"});
    assert_eq!(records[0]["fields"], json!([name]));
    assert_eq!(records[1]["fields"][1], json!({"field": "title", "personal": false, "old": null, "new": "None"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_event_is_followed_to_the_destination() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join(".certbridge");
    let test = async |args: &[&str]| object(folder.path(), &[&["test", "--json", "--source"], args].concat()).await;
    let env = Env::from_iter([("UNUSED", "")]);
    let options = Options {
        data: data.clone(),
        port: 0,
        sandbox: true,
        destination: None,
        poll_every: POLL_EVERY,
        allow_local_endpoints: false,
        env,
    };
    let local = Local::start(options).await.unwrap();
    for (source, outcome) in
        [("accredible", "synced"), ("accredit", "synced"), ("certifylize", "synced"), ("standard-webhooks", "synced")]
    {
        let (told, ok) = test(&[source]).await;
        assert!(ok && told["outcome"] == outcome, "{source}: {told}");
        let stages: Vec<_> =
            told["stages"].as_array().unwrap().iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
        assert_eq!(stages, ["answered", "stored", "settled", "audited"], "{source}");
    }
    let (told, ok) = test(&["accredible", "--type", "certificate_revoked"]).await;
    assert!(ok && told["outcome"] == "synced", "{told}");
    // A location that nobody knows.
    let body = json!({"type": "certificate.created", "timestamp": "2026-02-01T10:00:00Z", "data": {
        "certificate_id": "9", "user_id": "u", "issue_date": "2026-01-31", "location_id": "loc_nowhere"}});
    std::fs::write(folder.path().join("body.json"), body.to_string()).unwrap();
    let (told, ok) = test(&["standard-webhooks", "--body", "body.json"]).await;
    assert!(
        !ok && told["outcome"] == "quarantined" && told["advice"].as_str().unwrap().contains("mapping check"),
        "{told}"
    );
    std::fs::write(folder.path().join("body.json"), "{\"type\": \"edu.api_key.created\"}").unwrap();
    let (told, ok) = test(&["certifylize", "--body", "body.json"]).await;
    assert!(ok && told["outcome"] == "ignored", "{told}");
    local.shutdown().await.unwrap();

    let alone = certbridge(folder.path(), &["test", "--source", "accredible"]).await;
    assert!(text(&alone.stderr).contains("`certbridge up` does not run on this folder"));
}
