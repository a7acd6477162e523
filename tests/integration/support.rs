//! What the tests share: a running bundle, its tables, waiting.

use crate::http::{Reply, Request};
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use certbridge::{
    Local, Options,
    local::{POLL_EVERY, SecretsFile},
    sign::sign,
};
use certbridge_mapping::{EventKey, RecordKey, digest::sha256_hex};
use certbridge_platform::Env;
use certbridge_sandbox::{Application, Credential, dynamodb::EmbeddedDynamoDb};
use certbridge_store::{DefinitionChange, DynamoStore, Tables};
use certbridge_sync::{
    AuditRow,
    audit::Cause,
    ports::{Inbox, Records},
    row::{InboxRow, InboxState},
    verify_chain,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path, time::Duration};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How long anything may take on a machine that is busy with something else.
const DEADLINE: Duration = Duration::from_secs(90);
/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until there is something to see. The one place that waits.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(PAUSE).await;
    }
}

/// What a test's callers present.
pub(crate) const OPS: &str = "key-of-ops-with-every-scope";
pub(crate) const READER: &str = "key-of-reader-without-sync";
pub(crate) const RUNNER: &str = "key-of-runner-for-batches";
pub(crate) const EXPIRED: &str = "key-of-ops-that-has-expired";
/// What nobody but the senders knows.
pub(crate) const SIGNING: [&str; 2] = ["signing-key-in-use", "signing-key-to-come"];

/// The secrets of a deployment, as far as a test cares.
pub(crate) fn secrets() -> Value {
    let key = |id: &str, key: &str, owner: &str, scope: &str, expires: Option<&str>| {
        let sha256 = sha256_hex(key.as_bytes());
        json!({"id": id, "sha256": sha256, "owner": owner, "scopes": [scope], "expires": expires})
    };
    json!({
        "sources/accredible": {"signing": SIGNING, "api_key": "api-key-of-the-source"},
        "destinations/snapshots": {"api_key": "api-key-of-the-destination"},
        "audit": {"digest_key": "digest-key-of-the-audit"},
        "api-keys": {"keys": [
            key("ops-1", OPS, "ops", "sync:write", None),
            key("reader-1", READER, "reader", "records:read", None),
            key("runner-1", RUNNER, "runner", "batch:run", None),
            key("ops-0", EXPIRED, "ops", "sync:write", Some("2020-01-01T00:00:00Z")),
        ]},
    })
}

pub(crate) fn write_secrets(folder: &Path, secrets: &Value) {
    std::fs::write(folder.join("secrets.json"), secrets.to_string()).unwrap();
}

/// An event of Accredible's.
pub(crate) fn event(event_type: &str, certificate_id: &str, time: &str) -> Value {
    json!({"event_type": event_type, "certificate_id": certificate_id, "timestamp": time, "source": "accredible"})
}

pub(crate) fn created(certificate_id: &str) -> String {
    event("certificate_created", certificate_id, "2026-02-01T10:00:00Z").to_string()
}

pub(crate) fn record(id: &str) -> RecordKey {
    format!("certificate#accredible#{id}").parse().unwrap()
}

/// A signed delivery, to be sent or spoilt.
pub(crate) fn signed(folder: &Path, body: impl Into<Vec<u8>>) -> Request {
    let body = body.into();
    let headers = sign(folder, "accredible", &body, Timestamp::now()).unwrap().headers;
    let request = Request::post("/webhooks/accredible", body);
    headers.into_iter().fold(request, |request, (name, value)| request.header(&name, value))
}

/// Values that no answer, log line or audit row may show.
pub(crate) fn confidential(secrets: &Value) -> Vec<String> {
    fn gather(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| gather(item, found)),
            Value::Object(members) => {
                // Ids, owners and scopes of keys are no secrets, nor is what an endpoint wants to hear of.
                let plain = ["id", "owner", "scopes", "expires", "default_location", "events"];
                let secret = |name: &str| !plain.contains(&name);
                members.iter().filter(|(name, _)| secret(name)).for_each(|(_, member)| gather(member, found));
            }
            _ => {}
        }
    }
    let mut found = [OPS, READER, RUNNER, EXPIRED].map(str::to_owned).to_vec();
    gather(secrets, &mut found);
    found.retain(|text| !text.is_empty());
    found.extend(["Example Person", "person@example.com", "person-"].map(str::to_owned));
    found
}

#[track_caller]
pub(crate) fn assert_tells_nothing(text: &str, confidential: &[String]) {
    for value in confidential {
        assert!(!text.contains(value.as_str()), "{value:?} is told in {text}");
    }
}

/// A running bundle with the sandbox's providers.
pub(crate) struct World {
    pub(crate) local: Local,
    pub(crate) folder: TempDir,
    confidential: Vec<String>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(&secrets()).await
    }

    pub(crate) async fn start_with(secrets: &Value) -> Self {
        let folder = TempDir::new().unwrap();
        write_secrets(folder.path(), secrets);
        Self::start_in(folder).await
    }

    /// On a folder that may have been used before.
    pub(crate) async fn start_in(folder: TempDir) -> Self {
        Self::start_as(folder, false).await
    }

    /// The same, and endpoints may be on this machine.
    pub(crate) async fn start_telling(folder: TempDir) -> Self {
        Self::start_as(folder, true).await
    }

    async fn start_as(folder: TempDir, allow_local_endpoints: bool) -> Self {
        let env = Env::from_iter::<[(&str, &str); 0]>([]);
        let options = Options {
            data: folder.path().to_owned(),
            port: 0,
            sandbox: true,
            destination: None,
            poll_every: POLL_EVERY,
            allow_local_endpoints,
            env,
        };
        let local = Local::start(options).await.unwrap();
        let secrets = Value::Object(SecretsFile::in_folder(folder.path()).read().unwrap());
        Self { local, confidential: confidential(&secrets), folder }
    }

    pub(crate) fn store(&self) -> &DynamoStore {
        self.local.store()
    }

    pub(crate) fn source(&self) -> &certbridge_sandbox::Accredible {
        &self.local.sandbox().unwrap().accredible
    }

    pub(crate) fn destination(&self) -> &certbridge_sandbox::Snapshots {
        &self.local.sandbox().unwrap().snapshots
    }

    /// Puts a certificate at the source that can be synced.
    pub(crate) fn issue(&self, id: &str) {
        self.source().put(id, &Credential::new(id).at_location("loc_london"));
    }

    /// Sends a request. Whatever is answered, it tells nothing that it must not.
    pub(crate) async fn send(&self, request: &Request) -> Reply {
        let reply = request.send(self.local.url()).await;
        reply.problem();
        assert_tells_nothing(&format!("{:?} {}", reply.headers, reply.body), &self.confidential);
        reply
    }

    #[track_caller]
    pub(crate) fn tells_nothing(&self, text: &str) {
        assert_tells_nothing(text, &self.confidential);
    }

    pub(crate) fn signed(&self, body: impl Into<Vec<u8>>) -> Request {
        signed(self.folder.path(), body)
    }

    /// Delivers an event for the first time.
    pub(crate) async fn deliver(&self, body: impl Into<Vec<u8>>) -> EventKey {
        let reply = self.send(&self.signed(body)).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        key(&reply)
    }

    /// Waits until an event is no longer pending.
    pub(crate) async fn done(&self, key: &EventKey) -> InboxRow {
        until(&format!("{key} is done"), async || {
            let row = self.store().get(key).await.unwrap().expect("an accepted event is stored");
            (row.state != InboxState::Pending).then_some(row)
        })
        .await
    }

    /// Waits until an event is settled.
    pub(crate) async fn settled(&self, key: &EventKey) -> InboxRow {
        let row = self.done(key).await;
        assert_eq!(row.state, InboxState::Settled, "{key}: {:?}", row.reason);
        row
    }

    /// Waits until everything that was inserted so far has come out of the stream, which is ordered.
    pub(crate) async fn drain(&self, marker: &str) {
        let body = event("certificate_verified", marker, "2026-02-01T10:00:00Z").to_string();
        let key = self.deliver(body).await;
        self.settled(&key).await;
    }

    pub(crate) fn applications(&self, id: &str) -> Vec<Application> {
        let mut applications = self.destination().applications();
        applications.retain(|application| application.certificate_id == id);
        applications
    }

    /// A record's trail, which is whole.
    pub(crate) async fn trail(&self, id: &str) -> Vec<AuditRow> {
        let rows = trail(self.store(), &record(id)).await;
        for row in &rows {
            assert_tells_nothing(&serde_json::to_string(row).unwrap(), &self.confidential);
        }
        rows
    }

    /// Stops it, and gives back its folder.
    pub(crate) async fn stop(self) -> TempDir {
        self.local.shutdown().await.unwrap();
        self.folder
    }
}

/// Puts the first version of a definition into force.
pub(crate) async fn put_into_force(store: &DynamoStore, file: &str, toml: &str) {
    let change = DefinitionChange { file, text: Some(toml), by: "a test", note: None, time: Timestamp::now() };
    store.change_definition(None, &change).await.unwrap();
}

/// The key of the event that an answer names.
#[track_caller]
pub(crate) fn key(reply: &Reply) -> EventKey {
    EventKey { source: "accredible".to_owned(), id: reply.event_id() }
}

/// A record's trail, which ends where the record says. Read again if it grew meanwhile.
pub(crate) async fn trail(store: &DynamoStore, key: &RecordKey) -> Vec<AuditRow> {
    let head = async || store.read(key).await.unwrap().map(|row| row.audit).unwrap_or_default();
    loop {
        let before = head().await;
        let rows = store.audit_rows(key).await.unwrap();
        if head().await == before {
            verify_chain(&rows, &before).unwrap();
            return rows;
        }
    }
}

/// The events that settled a trail's rows, each with how often it did.
pub(crate) fn causes(rows: &[AuditRow]) -> BTreeMap<String, usize> {
    let mut causes = BTreeMap::new();
    for row in rows {
        if let Cause::Event { id, .. } = &row.cause {
            *causes.entry(id.clone()).or_default() += 1;
        }
    }
    causes
}

/// The tables of a folder that no bundle holds any more.
pub(crate) struct Closed {
    pub(crate) store: DynamoStore,
    client: Client,
    database: EmbeddedDynamoDb,
}

impl Closed {
    pub(crate) fn open(folder: &Path) -> Self {
        let database = EmbeddedDynamoDb::start(Some(&folder.join("dynamodb.sqlite"))).unwrap();
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("local"))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .endpoint_url(database.endpoint())
            .build();
        let client = Client::from_conf(config);
        let store = DynamoStore::new(client.clone(), Tables::with_prefix("certbridge-"));
        Self { store, client, database }
    }

    /// All inbox rows by their keys.
    pub(crate) async fn inbox(&self) -> BTreeMap<String, InboxRow> {
        let scan = self.client.scan().table_name(Tables::with_prefix("certbridge-").inbox).into_paginator();
        let items = scan.items().send().try_collect().await.unwrap();
        items
            .iter()
            .map(|item| certbridge_store::inbox_row(item).unwrap())
            .map(|row| (row.key.to_string(), row))
            .collect()
    }

    pub(crate) async fn close(self) {
        self.database.shutdown().await.unwrap();
    }
}
