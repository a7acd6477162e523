//! What the tests share: senders with keys of their own, and a bundle with the test's clock and tables.

use crate::{
    breaker::{self, Clock},
    gateway::{Event, answer, told},
};
use certbridge_mapping::{Definitions, EventKey, RecordKey, SourceDefinition, verify::KeyPair};
use certbridge_platform::{
    Metrics, SecretError, SecretProvider, Secrets,
    metrics::{Collected, NAMESPACE},
};
use certbridge_sync::{
    AuditRow,
    event::Disposition,
    memory::MemoryStore,
    ports::{Inbox, Records, Runtime},
    row::{InboxRow, InboxState, Pointer},
    verify_chain,
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use webhook::Webhook;

pub(crate) const NOW: &str = "2026-03-01T12:00:00Z";

/// A source, and a key that its sender has.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) source: Arc<SourceDefinition>,
    pub(crate) key: KeyPair,
}

impl Sender {
    /// The sender of a built-in source with a key of its own number.
    pub(crate) fn new(name: &str, number: u8) -> Self {
        let source = Definitions::built_in().source(name).unwrap().clone();
        let key = source.new_key(&[number; 32]).unwrap();
        Self { source, key }
    }

    /// What stands in `signing`.
    pub(crate) fn signing(&self) -> &str {
        self.key.signing.expose_secret()
    }

    /// A delivery of this body, proven at this time.
    pub(crate) fn event(&self, body: impl Into<String>, at: Timestamp) -> Event {
        let event = Event::new(&self.source.name, body);
        let headers = self.source.sign(event.body.as_bytes(), self.key.signer(), at).unwrap();
        // The one source whose token stands in the path.
        let token = (self.source.name == "acculynx").then(|| self.signing().to_owned());
        let event = Event { headers, token, ..event };
        if self.source.name == "accredit" {
            event.header("X-JobId", "job-1").header("X-JobAttempt", "0")
        } else {
            event
        }
    }
}

/// Secrets that the test may change.
#[derive(Clone, Default)]
pub(crate) struct Held(Arc<Mutex<BTreeMap<String, Value>>>);

impl Held {
    pub(crate) fn set(&self, source: &str, secret: Value) {
        self.set_whole(&format!("sources/{source}"), secret);
    }

    /// The secret of this name.
    pub(crate) fn set_whole(&self, name: &str, secret: Value) {
        self.0.lock().unwrap().insert(name.to_owned(), secret);
    }
}

impl SecretProvider for Held {
    async fn read(&self, id: &str) -> Result<Option<SecretString>, SecretError> {
        Ok(self.0.lock().unwrap().get(id).map(|secret| secret.to_string().into()))
    }
}

/// The function, and what it counted.
pub(crate) fn door<I: Inbox>(inbox: I, secrets: &Held, clock: &Clock) -> (Webhook<I, Held, Clock>, Collected) {
    let counted = Collected::default();
    let metrics = Metrics::new(NAMESPACE, "webhook", clock.clone()).with_sink(counted.clone());
    let secrets = Arc::new(Secrets::new(secrets.clone(), clock.clone()));
    let definitions = Definitions::built_in().into();
    (Webhook { definitions, secrets, inbox, runtime: clock.clone(), metrics }, counted)
}

/// A bundle: the function at its door, and the engine between the sandbox's providers.
pub(crate) struct Ground {
    pub(crate) world: breaker::World,
    pub(crate) secrets: Held,
    pub(crate) counted: Collected,
    door: Webhook<MemoryStore, Held, Clock>,
}

impl Ground {
    /// With sources at these addresses, by the variables that name them.
    pub(crate) async fn start<'a>(addresses: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let addresses = addresses.into_iter().map(|(name, url)| (name.to_owned(), url)).collect();
        let world = breaker::World::start_at(&Definitions::built_in(), addresses).await;
        let secrets = Held::default();
        let (door, counted) = door(world.store.clone(), &secrets, &world.clock);
        Self { world, secrets, counted, door }
    }

    /// The sender of a source, which is on from now on.
    pub(crate) fn sender(&self, name: &str) -> Sender {
        let sender = Sender::new(name, 1);
        self.secrets.set(name, json!({"signing": [sender.signing()]}));
        sender
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    /// The status of the answer, and its body.
    pub(crate) async fn post(&self, event: &Event) -> (u16, Value) {
        let response = answer(&self.door, event.v2()).await;
        told(&response);
        (response.status_code, serde_json::from_str(&response.body).unwrap())
    }

    /// Delivers what is new, and gives its row.
    pub(crate) async fn deliver(&self, sender: &Sender, body: &Value) -> InboxRow {
        let (status, answer) = self.post(&sender.event(body.to_string(), self.now())).await;
        assert_eq!(status, 202, "{answer}");
        let id = answer["event_id"].as_str().unwrap().to_owned();
        self.row(&EventKey { source: sender.source.name.clone(), id }).await
    }

    pub(crate) async fn row(&self, key: &EventKey) -> InboxRow {
        self.world.store.get(key).await.unwrap().unwrap()
    }

    /// Works on an event once.
    pub(crate) async fn work(&self, row: &InboxRow) -> Disposition {
        self.world.engine.follow(&Pointer::Event(row.key.clone()), &self.world.run()).await.unwrap()
    }

    /// Delivers, and works on the event as long as it is pending: whenever it is due.
    pub(crate) async fn sync(&self, sender: &Sender, body: &Value) -> InboxRow {
        let delivered = self.deliver(sender, body).await;
        let mut row = delivered.clone();
        while row.state == InboxState::Pending {
            let due = row.next_at.max(self.now());
            if row.attempt > 0 {
                self.world.clock.set(due);
            }
            // An accepted event comes out of the stream; the pointers of the queue are for later attempts.
            match row.attempt {
                0 => drop(self.world.engine.sync_event(&row, &self.world.run()).await.unwrap()),
                1..6 => drop(self.work(&row).await),
                _ => panic!("{row:?}"),
            }
            row = self.row(&delivered.key).await;
        }
        row
    }

    /// A record's trail, which is whole.
    pub(crate) async fn trail(&self, record: &str) -> Vec<AuditRow> {
        let key: RecordKey = record.parse().unwrap();
        let rows = self.world.store.audit_rows(&key);
        let head = self.world.store.read(&key).await.unwrap().map(|row| row.audit).unwrap_or_default();
        verify_chain(&rows, &head).unwrap();
        rows
    }

    /// How often something was counted of a source, as the metrics tell.
    pub(crate) fn times(&self, metric: &str, source: &str) -> usize {
        let lines = self.counted.take();
        let of_it = |line: &&String| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["Source"] == source && line[metric] == 1.0
        };
        lines.iter().filter(of_it).count()
    }
}
