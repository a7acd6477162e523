//! HighLevel as the destination, against the sandbox's.

mod auth;
#[cfg(unix)]
mod contract;
mod grants;
mod invoices;
mod listings;
mod records;
mod setup;

use crate::support::{DEFINITIONS, KEY, PATIENT, http, options};
use certbridge_mapping::{Document, Kind, Plan, RecordKey, Request, highlevel::HighLevelRules};
use certbridge_remote::HighLevel;
use certbridge_sandbox::{self as sandbox, highlevel::SCOPES};
use certbridge_sync::{
    error::{RemoteError, StoreError},
    grants::Grants,
    ids::IdMap,
    memory::MemoryStore,
    ports::{ApiKeys, Credentials, Destination, DestinationKeys, Pushed},
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, Ordering},
};

/// The location that records are in which name none.
pub(crate) const LONDON: &str = "loc-london";
pub(crate) const PARIS: &str = "loc-paris";

/// What the secret holds; it may be changed.
#[derive(Clone)]
pub(crate) struct Held(Arc<Mutex<(Option<Credentials>, u32)>>);

impl Held {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self(Arc::new(Mutex::new((Some(credentials), 0))))
    }

    pub(crate) fn set(&self, credentials: Option<Credentials>) {
        self.0.lock().unwrap().0 = credentials;
    }

    /// How often a key was refused.
    pub(crate) fn refusals(&self) -> u32 {
        self.0.lock().unwrap().1
    }
}

impl ApiKeys for Held {
    async fn api_key(&self, _: &str) -> Result<Option<SecretString>, StoreError> {
        Ok(self.0.lock().unwrap().0.as_ref().and_then(|held| held.api_key.clone()))
    }

    fn refused(&self, secret: &str) {
        assert_eq!(secret, "destinations/highlevel");
        self.0.lock().unwrap().1 += 1;
    }
}

impl DestinationKeys for Held {
    async fn credentials(&self, _: &str) -> Result<Option<Credentials>, StoreError> {
        Ok(self.0.lock().unwrap().0.clone())
    }
}

/// The key for everything, and London where a record names no location.
pub(crate) fn with_key() -> Credentials {
    Credentials { api_key: Some(KEY.into()), default_location: Some(LONDON.to_owned()), ..Credentials::default() }
}

/// The app's client.
pub(crate) fn with_client() -> Credentials {
    let client = (sandbox::highlevel::CLIENT_ID.to_owned(), sandbox::highlevel::CLIENT_SECRET.into());
    Credentials { client: Some(client), default_location: Some(LONDON.to_owned()), ..Credentials::default() }
}

/// A clock that is set by hand.
#[derive(Clone)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(Timestamp::now().as_second())))
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// HighLevel, what is kept of it, and the clock.
pub(crate) struct World<S> {
    pub(crate) server: sandbox::HighLevel,
    pub(crate) store: S,
    pub(crate) keys: Held,
    pub(crate) clock: Clock,
    pub(crate) api: HighLevel<Held, S>,
}

pub(crate) fn rules() -> &'static HighLevelRules {
    DEFINITIONS.destination("highlevel").unwrap().highlevel.as_ref().unwrap()
}

/// The API of one more process.
pub(crate) fn api<S: IdMap + Grants>(
    url: &str,
    store: S,
    keys: Held,
    clock: &Clock,
    owner: &str,
) -> HighLevel<Held, S> {
    api_with(url, store, keys, clock, owner, rules())
}

pub(crate) fn api_with<S: IdMap + Grants>(
    url: &str,
    store: S,
    keys: Held,
    clock: &Clock,
    owner: &str,
    rules: &HighLevelRules,
) -> HighLevel<Held, S> {
    let clock = clock.clone();
    let http = http().with_clock(move || clock.now());
    HighLevel::new(http, keys, store, url, DEFINITIONS.destination("highlevel").unwrap(), rules, owner).unwrap()
}

/// A HighLevel with two locations.
pub(crate) async fn server() -> sandbox::HighLevel {
    let server = sandbox::HighLevel::start(options()).await.unwrap();
    server.add_location(LONDON, "London");
    server.add_location(PARIS, "Paris");
    server
}

impl World<MemoryStore> {
    /// One in which all is prepared.
    pub(crate) async fn new() -> Self {
        let world = Self::bare(with_key(), MemoryStore::new()).await;
        world.prepare().await;
        world
    }
}

impl<S: IdMap + Grants + Clone> World<S> {
    pub(crate) async fn bare(credentials: Credentials, store: S) -> Self {
        let (server, keys, clock) = (server().await, Held::new(credentials), Clock::new());
        let api = api(&server.url(), store.clone(), keys.clone(), &clock, "test");
        Self { server, store, keys, clock, api }
    }

    /// Makes objects, fields and associations in both locations.
    pub(crate) async fn prepare(&self) {
        for location in [LONDON, PARIS] {
            let keys = Held::new(with_key());
            let api = api(&self.server.url(), MemoryStore::new(), keys, &self.clock, "setup");
            api.prepare(location, false, PATIENT).await.unwrap();
        }
        self.server.server().clear_requests();
    }

    pub(crate) async fn push(&self, kind: Kind, fields: &Value) -> Result<Pushed, RemoteError> {
        push(&self.api, kind, fields).await
    }

    /// The requests so far: method and path without its query.
    pub(crate) fn requests(&self) -> Vec<String> {
        let short = |path: &str| path.split('?').next().unwrap_or_default().to_owned();
        let requests = self.server.server().requests().into_iter();
        requests.map(|request| format!("{} {}", request.method, short(&request.path))).collect()
    }
}

pub(crate) async fn push<S: IdMap + Grants>(
    api: &HighLevel<Held, S>,
    kind: Kind,
    fields: &Value,
) -> Result<Pushed, RemoteError> {
    let (key, request) = request(kind, fields);
    api.push(&key, &request, "ignored", PATIENT).await
}

/// The request that tells of a record with these canonical fields.
pub(crate) fn request(kind: Kind, fields: &Value) -> (RecordKey, Request) {
    let id = fields[kind.id_field()].as_str().unwrap();
    let key = RecordKey { kind, source: "accredible".to_owned(), id: id.parse().unwrap() };
    let (source, destination) = (DEFINITIONS.source("accredible"), DEFINITIONS.destination("highlevel"));
    let plan = Plan::new(source.unwrap().clone(), destination.unwrap().clone());
    let record = plan.given(&key, &Document::given(fields.to_string().as_bytes()).unwrap()).unwrap();
    (key, plan.request(&record).unwrap())
}

/// A certificate of one person, in London.
pub(crate) fn certificate(id: &str) -> Value {
    json!({
        "certificate_id": id, "user_id": "person-1", "issue_date": "2026-01-31", "location_id": LONDON,
        "status": "issued", "title": "Rust", "expiry_date": "2027-01-31", "recipient_name": "Jordan Smith",
        "recipient_email": "jor@dan.org",
    })
}

/// All scopes but one.
pub(crate) fn scopes_without(scope: &str) -> Vec<&'static str> {
    SCOPES.iter().copied().filter(|other| *other != scope).collect()
}

pub(crate) fn with(fields: &Value, changes: Value) -> Value {
    let mut fields = fields.clone();
    for (name, value) in changes.as_object().unwrap() {
        fields[name] = value.clone();
    }
    fields
}
