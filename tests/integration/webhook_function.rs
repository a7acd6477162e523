//! The function `webhook` on the gateway's own events, with a clock and tables of the test's: what no request to a
//! running bundle can bring about.

use crate::{
    breaker::Clock,
    gateway::{self, Event, base64},
    support::created,
};
use certbridge_mapping::{Definitions, EventKey, SourceDefinition, digest::sha256_hex};
use certbridge_platform::{
    Metrics, SecretError, SecretProvider, Secrets,
    http::GatewayResponse,
    metrics::{Collected, NAMESPACE},
};
use certbridge_sync::{
    StoreError,
    memory::MemoryStore,
    ports::{Inbox, Inserted, Overdue, Runtime},
    row::{InboxRow, InboxState, Reschedule},
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::sync::Arc;
use webhook::Webhook;

const NOW: &str = "2026-03-01T12:00:00Z";
const KEY: &str = "signing-key";

/// Sources that differ in what this file is about.
const STAMPED: &str = r#"
name = "stamped"
retry_status = 400
allowed_cidrs = ["203.0.113.0/24", "2001:db8::/32"]

[verification]
scheme = "hmac-sha256"
header = "X-Signature"
prefix = "sha256="
timestamp = { header = "X-Timestamp", tolerance_seconds = 300 }

[event]
id = "$.id"
type = "$.event_type"
record_id = "$.certificate_id"
time = "$.timestamp"

[event.types]
certificate_created = { kind = "certificate", operation = "created" }

[records.certificate]
content = "payload"

[records.certificate.fields]
certificate_id = { from = "$.certificate_id", type = "identifier", required = true }
user_id = { from = "$.user", required = true }
issue_date = { from = "$.issued", type = "date", required = true }
location_id = { from = "$.location", required = true }
status = { from = [], type = "enum", default = "issued" }
"#;

/// What is found where a secret should be.
type Found = Result<Option<&'static str>, SecretError>;

/// Says the same of every secret.
struct Answer(Found);

impl SecretProvider for Answer {
    async fn read(&self, _: &str) -> Result<Option<SecretString>, SecretError> {
        self.0.clone().map(|text| text.map(SecretString::from))
    }
}

/// An inbox that takes nothing.
pub(crate) struct Failing(pub(crate) StoreError);

impl Inbox for Failing {
    async fn insert(&self, _: &InboxRow) -> Result<Inserted, StoreError> {
        Err(self.0.clone())
    }

    async fn get(&self, _: &EventKey) -> Result<Option<InboxRow>, StoreError> {
        Err(self.0.clone())
    }

    async fn reschedule(&self, _: &EventKey, _: u32, _: &Reschedule) -> Result<bool, StoreError> {
        Err(self.0.clone())
    }

    async fn set_aside(&self, _: &EventKey, _: u32, _: InboxState, _: &str) -> Result<bool, StoreError> {
        Err(self.0.clone())
    }

    async fn overdue(&self, _: u8, _: Timestamp, _: usize) -> Result<Vec<Overdue>, StoreError> {
        Err(self.0.clone())
    }
}

type App<I> = Webhook<I, Answer, Clock>;

fn app<I: Inbox>(inbox: I, secret: Found) -> (App<I>, Collected) {
    let mut definitions = Definitions::built_in();
    definitions.add_source("stamped.toml", STAMPED);
    assert_eq!(definitions.errors(), []);
    let (clock, counted) = (Clock::at(NOW), Collected::default());
    let metrics = Metrics::new(NAMESPACE, "webhook", clock.clone()).with_sink(counted.clone());
    let secrets = Arc::new(Secrets::new(Answer(secret), clock.clone()));
    (Webhook { definitions: definitions.into(), secrets, inbox, runtime: clock, metrics }, counted)
}

fn working() -> (App<MemoryStore>, MemoryStore) {
    let store = MemoryStore::new();
    (app(store.clone(), Ok(Some(r#"{"signing": "signing-key"}"#))).0, store)
}

impl Event {
    /// Signed at this time.
    fn signed(self, at: Timestamp) -> Self {
        let mut definitions = Definitions::built_in();
        definitions.add_source("stamped.toml", STAMPED);
        let source: &SourceDefinition = definitions.source(&self.source).unwrap();
        let headers = source.sign(self.body.as_bytes(), &KEY.into(), at).unwrap();
        Self { headers, ..self }
    }
}

async fn answer<I: Inbox>(app: &App<I>, event: Value) -> GatewayResponse {
    let response = gateway::answer(app, event).await;
    assert!(!response.body.contains(KEY));
    response
}

async fn told<I: Inbox>(app: &App<I>, event: Value) -> (u16, String) {
    gateway::told(&answer(app, event).await)
}

fn problem(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn stamped(id: &str) -> Event {
    let body = json!({
        "id": id, "event_type": "certificate_created", "certificate_id": "1", "timestamp": NOW,
        "user": "u", "issued": "2026-02-28", "location": "loc_london",
    });
    Event::new("stamped", body.to_string())
}

#[tokio::test]
async fn both_formats_bring_an_event() {
    for format in [Event::v1, Event::v2] {
        let (app, store) = working();
        let plain = Event::new("certificates", created("1")).signed(now());
        assert_eq!(told(&app, format(&plain)).await.0, 202);
        let base64 = Event { body: base64(plain.body.as_bytes()), is_base64: true, ..plain.clone() };
        assert_eq!(told(&app, format(&base64)).await.0, 200, "the same bytes");
        let rows = store.inbox_rows();
        assert_eq!((rows.len(), rows[0].body.as_slice()), (1, plain.body.as_bytes()));
        let not_base64 = Event { is_base64: true, ..plain };
        assert_eq!(told(&app, format(&not_base64)).await, problem(400, "malformed-request"));
        assert_eq!(store.inbox_rows().len(), 1);
    }
}

#[tokio::test]
async fn a_timestamp_must_be_signed_and_of_now() {
    let refused = || problem(401, "not-proven");
    let after = |seconds| stamped("1").signed(now() + SignedDuration::from_secs(seconds));
    let cases = [
        ("now", after(0), 202),
        ("as old as may be", after(-300), 202),
        ("as far ahead as may be", after(300), 202),
        ("stale", after(-301), 401),
        ("from the future", after(301), 401),
        ("of another age", after(-40 * 365 * 86400), 401),
        ("missing", after(0).header("X-Timestamp", ""), 401),
        ("another than the signed one", after(0).header("X-Timestamp", "1772366401"), 401),
        ("in words", after(0).header("X-Timestamp", "just now"), 401),
        ("negative", after(0).header("X-Timestamp", "-1"), 401),
        ("too long a number", after(0).header("X-Timestamp", &"9".repeat(400)), 401),
        ("two", after(0).header("X-Timestamp", "1772366400,1772366400"), 401),
        ("no signature beside it", after(0).header("X-Signature", ""), 401),
    ];
    for (name, event, status) in cases {
        let (app, store) = working();
        let told = told(&app, event.v2()).await;
        assert_eq!(told.0, status, "{name}");
        assert!(status == 202 || told == refused(), "{name}");
        assert_eq!(store.inbox_rows().len(), usize::from(status == 202), "{name}");
    }
}

#[tokio::test]
async fn only_the_gateways_word_on_the_address_counts() {
    let from = |address: Value, header: &str| {
        let event = Event { address, ..stamped("1").signed(now()) };
        ["X-Forwarded-For", "X-Real-IP", "Forwarded"].iter().fold(event, |event, name| event.header(name, header))
    };
    let cases = [
        (json!("203.0.113.0"), "", 202),
        (json!("203.0.113.255"), "192.0.2.1", 202),
        (json!("2001:db8::1"), "", 202),
        (json!("203.0.114.0"), "", 403),
        (json!("192.0.2.1"), "203.0.113.7", 403),
        (json!("2001:db9::1"), "2001:db8::1", 403),
        (json!(null), "203.0.113.7", 403),
        (json!("unknown"), "203.0.113.7", 403),
    ];
    for (address, header, status) in cases {
        for format in [Event::v1, Event::v2] {
            let (app, store) = working();
            let told = told(&app, format(&from(address.clone(), header))).await;
            assert_eq!(told.0, status, "{address} {header}");
            assert!(status == 202 || told.1 == "address-not-allowed");
            assert_eq!(store.inbox_rows().len(), usize::from(status == 202));
        }
    }
}

#[tokio::test]
async fn an_id_with_other_bytes_is_kept_apart() {
    let (app, store) = working();
    let first = stamped("7").signed(now());
    let mut other = stamped("7");
    other.body = other.body.replace("loc_london", "loc_lyon");
    let other = other.signed(now());
    for (event, status) in [(&first, 202), (&other, 202), (&other, 200), (&first, 200), (&other, 200)] {
        assert_eq!(told(&app, event.v2()).await.0, status);
    }
    let mut rows = store.inbox_rows();
    rows.sort_by_key(|row| row.key.id.len());
    let [kept, apart] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(
        (kept.key.id.as_str(), kept.state, kept.body.as_slice()),
        ("7", InboxState::Pending, first.body.as_bytes())
    );
    assert_eq!(apart.key.id, format!("7#{}", sha256_hex(other.body.as_bytes())));
    assert_eq!((apart.state, apart.body.as_slice()), (InboxState::Quarantined, other.body.as_bytes()));
}

#[tokio::test]
async fn what_cannot_be_stored_is_asked_for_again_in_the_senders_way() {
    let errors = [
        StoreError::Busy("throttled".into()),
        StoreError::Unavailable("no answer".into()),
        StoreError::Refused("AccessDenied for arn:aws:dynamodb:table/inbox".into()),
    ];
    for error in errors {
        let (app, _) = app(Failing(error), Ok(Some(r#"{"signing": ["signing-key"]}"#)));
        let senders = [(stamped("1"), 400), (Event::new("accredible", created("1")), 503)];
        for (event, status) in senders {
            let response = answer(&app, event.signed(now()).v2()).await;
            assert_eq!(response.status_code, status);
            assert_eq!(response.headers["retry-after"], "30");
            assert!(response.body.contains("unavailable") && !response.body.contains("arn:"), "{}", response.body);
        }
    }
}

#[tokio::test]
async fn a_secret_decides_whether_a_source_is_on() {
    let unavailable = || SecretError::Unavailable { name: "sources/stamped".into(), message: "throttled".into() };
    let cases: [(Found, u16, &str); 10] = [
        (Ok(None), 404, "unknown-source"),
        (Ok(Some("")), 404, "unknown-source"),
        (Ok(Some("{}")), 404, "unknown-source"),
        (Ok(Some(r#"{"signing": null}"#)), 404, "unknown-source"),
        (Ok(Some(r#"{"signing": ""}"#)), 404, "unknown-source"),
        (Ok(Some(r#"{"signing": [" ", ""]}"#)), 404, "unknown-source"),
        (Ok(Some(r#"{"signing": ["another-key"]}"#)), 401, "not-proven"),
        // Broken is not off: the sender is asked for another try while a person mends it.
        (Ok(Some(r#"{"signing": 7}"#)), 400, "unavailable"),
        (Ok(Some("signing-key")), 400, "unavailable"),
        (Err(unavailable()), 400, "unavailable"),
    ];
    for (secret, status, kind) in cases {
        let store = MemoryStore::new();
        let (app, _) = app(store.clone(), secret.clone());
        assert_eq!(told(&app, stamped("1").signed(now()).v2()).await, problem(status, kind), "{secret:?}");
        assert!(store.inbox_rows().is_empty());
    }
}

#[tokio::test]
async fn a_made_up_name_becomes_no_dimension_of_a_metric() {
    let (app, counted) = app(MemoryStore::new(), Ok(None));
    let made_up = Event::new("made-up-by-a-stranger", "{}");
    assert_eq!(told(&app, made_up.v2()).await, problem(404, "unknown-source"));
    let lines = counted.take().concat();
    assert!(lines.contains("Misaddressed") && !lines.contains("stranger"), "{lines}");
    assert_eq!(app.runtime.now(), now());
}
