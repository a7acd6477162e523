//! A provider that refuses our key: its breaker opens, and no event is to blame. Real HTTP, and a clock that is moved by
//! hand, since a breaker's pause is half a minute.

use crate::support::{created, record};
use certbridge_mapping::{Definitions, Delivery, Keys, digest::sha256_hex};
use certbridge_remote::{Http, HttpSources, Snapshots};
use certbridge_sandbox as sandbox;
use certbridge_sync::{
    Engine, Plans, Settings, StoreError, accept,
    audit::Redactor,
    breaker::BreakerBoard,
    event::Disposition,
    memory::MemoryStore,
    ports::{ApiKeys, Records, RetryQueue, Runtime},
    row::{InboxRow, InboxState, Pointer},
    sync::Run,
    verify_chain,
};
use jiff::{SignedDuration, Timestamp};
use sandbox::{Accredible, Credential, Fault, Provider};
use secrecy::SecretString;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

pub(crate) const KEY: &str = "a-key";

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct Clock(Arc<Mutex<Timestamp>>);

impl Clock {
    pub(crate) fn at(time: &str) -> Self {
        Self(Arc::new(Mutex::new(time.parse().unwrap())))
    }

    pub(crate) fn set(&self, time: Timestamp) {
        *self.0.lock().unwrap() = time;
    }
}

impl Runtime for Clock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }

    fn random(&self) -> u128 {
        u128::from(fastrand::u64(..))
    }
}

/// The first subscription that the sandbox's AccuLynx makes.
pub(crate) const SUBSCRIPTION: &str = "6541d9e1-12c1-45b8-b5bd-000000000001";

pub(crate) struct OneKey;

impl ApiKeys for OneKey {
    async fn api_key(&self, _: &str) -> Result<Option<SecretString>, StoreError> {
        Ok(Some(KEY.into()))
    }

    async fn subscriptions(&self, secret: &str) -> Result<Vec<String>, StoreError> {
        Ok((secret == "sources/acculynx").then(|| SUBSCRIPTION.to_owned()).into_iter().collect())
    }

    fn refused(&self, _: &str) {}
}

/// A queue whose messages the test does not wait for: it knows when each event is due.
pub(crate) struct NoQueue;

impl RetryQueue for NoQueue {
    async fn send(&self, _: &[(Pointer, Duration)]) -> Result<(), StoreError> {
        Ok(())
    }
}

pub(crate) struct World {
    pub(crate) source: Accredible,
    pub(crate) destination: sandbox::Snapshots,
    pub(crate) store: MemoryStore,
    pub(crate) clock: Clock,
    pub(crate) engine: Engine<MemoryStore, HttpSources<OneKey>, Snapshots<OneKey>, NoQueue, Clock>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_by(&Definitions::built_in()).await
    }

    /// By these definitions.
    pub(crate) async fn start_by(definitions: &Definitions) -> Self {
        Self::start_at(definitions, BTreeMap::new()).await
    }

    /// By these definitions, with other sources at these addresses, by the variables that name them.
    pub(crate) async fn start_at(definitions: &Definitions, mut addresses: BTreeMap<String, String>) -> Self {
        let options = || sandbox::Options { api_key: KEY.to_owned(), ..sandbox::Options::default() };
        let source = Accredible::start(options()).await.unwrap();
        let destination = sandbox::Snapshots::start(options()).await.unwrap();
        destination.add_location("loc_london", "London");
        let (store, clock) = (MemoryStore::new(), Clock::at("2026-03-01T12:00:00Z"));
        let http = Http::new().unwrap();
        addresses.insert("ACCREDIBLE_URL".to_owned(), source.url());
        let definition = definitions.destination("snapshots").unwrap();
        let engine = Engine {
            store: store.clone(),
            sources: HttpSources::new(http.clone(), OneKey, addresses),
            destination: Snapshots::new(http, OneKey, &destination.url(), definition).unwrap(),
            queue: NoQueue,
            runtime: clock.clone(),
            in_force: definitions.clone().into(),
            plans: Plans::new(definitions, "snapshots").unwrap(),
            redactor: Redactor::new("digest-key"),
            breakers: BreakerBoard::default(),
            settings: Settings::default(),
        };
        Self { source, destination, store, clock, engine }
    }

    /// Accepts an event of a certificate that can be synced.
    pub(crate) async fn accept(&self, id: &str) -> InboxRow {
        self.source.put(id, &Credential::new(id).at_location("loc_london"));
        accepted(&self.store, id, self.clock.now()).await
    }

    pub(crate) fn run(&self) -> Run {
        let now = self.clock.now();
        let after = |seconds| now + SignedDuration::from_secs(seconds);
        Run { id: "run".to_owned(), deadline: after(20), ends_at: after(25) }
    }

    /// Tries an event again when it is due.
    async fn follow(&self, row: &InboxRow, due: Timestamp) -> Disposition {
        self.clock.set(due);
        self.engine.follow(&Pointer::Event(row.key.clone()), &self.run()).await.unwrap()
    }

    fn row(&self, row: &InboxRow) -> InboxRow {
        self.store.inbox_rows().into_iter().find(|other| other.key == row.key).unwrap()
    }

    async fn assert_settled_once(&self, id: &str, row: &InboxRow) {
        let row = self.row(row);
        assert_eq!((row.state, row.attempt), (InboxState::Settled, 0), "{id}: waiting for a key is no attempt");
        let trail = self.store.audit_rows(&record(id));
        assert_eq!(trail.len(), 1, "{id}");
        verify_chain(&trail, &self.store.read(&record(id)).await.unwrap().unwrap().audit).unwrap();
        assert!(self.destination.certificate(id).is_some(), "{id}");
    }
}

/// Accepts an event of a certificate.
pub(crate) async fn accepted(store: &MemoryStore, id: &str, now: Timestamp) -> InboxRow {
    let definitions = Definitions::built_in();
    let source = definitions.source("accredible").unwrap();
    let (body, key) = (created(id), SecretString::from("signing"));
    let headers = source.sign(body.as_bytes(), &key, now).unwrap();
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let delivery = Delivery { headers, body: body.as_bytes(), path_token: None };
    let verified = source.verify(&delivery, &Keys::new([key]).unwrap(), now).unwrap();
    accept(store, &verified, now, None).await.unwrap();
    let digest = sha256_hex(body.as_bytes());
    store.inbox_rows().into_iter().find(|row| row.body_digest == digest).unwrap()
}

#[track_caller]
fn later(disposition: &Disposition) -> (Timestamp, u32) {
    match disposition {
        Disposition::Later { next_at, attempt, .. } => (*next_at, *attempt),
        other => panic!("not put off but {other:?}"),
    }
}

/// The provider refuses our key twice, then takes it.
async fn a_refused_key_parks_events(name: &str, status: u16, provider: impl Fn(&World) -> &Provider) {
    let world = World::start().await;
    let provider = provider(&world);
    let (one, other) = (world.accept("1").await, world.accept("2").await);
    provider.add_fault(Fault::status(status).always());

    let first = world.engine.sync_event(&one, &world.run()).await.unwrap();
    let (due, attempt) = later(&first);
    assert_eq!(attempt, 0, "{first:?}");
    let breaker = world.store.breakers()[name].clone();
    assert_eq!(breaker.refusals, 1);
    assert!(breaker.open_until > world.clock.now() && due >= breaker.open_until);

    // Whatever else would go there waits without a request, and without a claim that stays.
    let asked = provider.requests().len();
    let parked = world.engine.sync_event(&other, &world.run()).await.unwrap();
    assert_eq!(provider.requests().len(), asked, "{parked:?}");
    assert_eq!(world.store.read(&record("2")).await.unwrap().and_then(|row| row.lease), None);

    // The probe is refused too, so the pause grows.
    let (due, _) = later(&world.follow(&one, due).await);
    assert_eq!(provider.requests().len(), asked + 1);
    let grown = world.store.breakers()[name].clone();
    assert!(grown.refusals == 2 && grown.open_until > breaker.open_until);

    provider.clear_faults();
    assert!(matches!(world.follow(&one, due).await, Disposition::Settled { .. }));
    assert!(world.store.breakers().is_empty());
    let due = world.row(&other).next_at.max(world.clock.now());
    assert!(matches!(world.follow(&other, due).await, Disposition::Settled { .. }));
    world.assert_settled_once("1", &one).await;
    world.assert_settled_once("2", &other).await;
}

#[tokio::test]
async fn a_destination_that_refuses_our_key_parks_its_events() {
    for status in [401, 403] {
        a_refused_key_parks_events("destinations/snapshots", status, |world| world.destination.server()).await;
    }
}

#[tokio::test]
async fn a_source_that_refuses_our_key_parks_its_events() {
    for status in [401, 403] {
        a_refused_key_parks_events("sources/accredible", status, |world| world.source.server()).await;
    }
}
