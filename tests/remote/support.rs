//! What the tests share: keys, plans, requests.

use certbridge_mapping::{Definitions, DestinationDefinition, Plan, RecordKey, Request, destination::Method};
use certbridge_remote::{Http, HttpSources, Snapshots};
use certbridge_sandbox as sandbox;
use certbridge_sync::{
    error::{RemoteClass, RemoteError, StoreError},
    ports::ApiKeys,
};
use secrecy::SecretString;
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

/// The key of every provider here. It must never be seen anywhere else.
pub(crate) const KEY: &str = "k3y-not-to-be-told";

/// Long enough for anything that answers.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);

/// For what never answers.
pub(crate) const BRIEF: Duration = Duration::from_millis(80);

/// Keys that note what was refused.
#[derive(Clone)]
pub(crate) struct Keys {
    answer: Result<Option<String>, StoreError>,
    refused: Arc<Mutex<Vec<String>>>,
}

impl Keys {
    pub(crate) fn answering(answer: Result<Option<&str>, StoreError>) -> Self {
        Self { answer: answer.map(|key| key.map(str::to_owned)), refused: Arc::default() }
    }

    pub(crate) fn good() -> Self {
        Self::answering(Ok(Some(KEY)))
    }

    pub(crate) fn refused(&self) -> Vec<String> {
        self.refused.lock().unwrap().clone()
    }
}

impl ApiKeys for Keys {
    async fn api_key(&self, _secret: &str) -> Result<Option<SecretString>, StoreError> {
        self.answer.clone().map(|key| key.map(SecretString::from))
    }

    fn refused(&self, secret: &str) {
        self.refused.lock().unwrap().push(secret.to_owned());
    }
}

/// A client of the test's own: connections belong to the runtime that they were made on.
pub(crate) fn http() -> Http {
    Http::new().unwrap()
}

pub(crate) static DEFINITIONS: LazyLock<Definitions> = LazyLock::new(Definitions::built_in);

pub(crate) fn plan() -> Plan {
    plan_from(&DEFINITIONS)
}

pub(crate) fn plan_from(definitions: &Definitions) -> Plan {
    assert_eq!(definitions.errors(), []);
    let source = definitions.source("accredible").unwrap().clone();
    Plan::new(source, definitions.destination("snapshots").unwrap().clone())
}

/// The built-in definitions, but with Accredible's changed so.
pub(crate) fn definitions_with(change: impl Fn(&str) -> String) -> Definitions {
    let text = include_str!("../../config/sources/accredible.toml");
    let changed = change(text);
    assert_ne!(changed, text, "the definition no longer reads as this test thinks");
    let mut definitions = Definitions::built_in();
    definitions.add_source("sources/accredible.toml", &changed);
    definitions
}

pub(crate) fn snapshots_definition() -> &'static DestinationDefinition {
    DEFINITIONS.destination("snapshots").unwrap()
}

pub(crate) fn record(id: &str) -> RecordKey {
    format!("certificate#accredible#{id}").parse().unwrap()
}

pub(crate) fn sources(url: &str) -> HttpSources<Keys> {
    sources_with(url, Keys::good())
}

pub(crate) fn sources_with(url: &str, keys: Keys) -> HttpSources<Keys> {
    HttpSources::new(http(), keys, BTreeMap::from([("ACCREDIBLE_URL".to_owned(), url.to_owned())]))
}

pub(crate) fn snapshots(url: &str) -> Snapshots<Keys> {
    Snapshots::new(http(), Keys::good(), url, snapshots_definition()).unwrap()
}

/// A push that the sandbox takes.
pub(crate) fn request(id: &str) -> Request {
    Request {
        method: Method::Post,
        path: format!("/certificates/{id}/sync"),
        body: json!({
            "certificate_id": id, "user_id": "person-1", "issue_date": "2026-01-31", "location_id": "loc_london",
            "status": "issued",
        }),
    }
}

pub(crate) fn options() -> sandbox::Options {
    sandbox::Options { api_key: KEY.to_owned(), ..sandbox::Options::default() }
}

/// An Accredible with a credential `1`.
pub(crate) async fn accredible() -> sandbox::Accredible {
    let accredible = sandbox::Accredible::start(options()).await.unwrap();
    accredible.put("1", &sandbox::Credential::new("1").at_location("loc_london"));
    accredible
}

/// A Snapshots API with a location `loc_london`.
pub(crate) async fn destination() -> sandbox::Snapshots {
    let snapshots = sandbox::Snapshots::start(options()).await.unwrap();
    snapshots.add_location("loc_london", "London");
    snapshots
}

/// The error of a class, which tells no key.
#[track_caller]
pub(crate) fn failed<T>(result: Result<T, RemoteError>, class: RemoteClass) -> RemoteError {
    let error = result.err().expect("an error");
    assert_eq!(error.class, class, "{error}");
    assert!(!format!("{error} {error:?}").contains(KEY), "the key is told");
    error
}
