//! The implementations that the contract is run on.

use crate::sample;
use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig},
};
use certbridge_mapping::RecordKey;
use certbridge_sandbox::dynamodb::EmbeddedDynamoDb;
use certbridge_store::{DynamoStore, Tables, schema};
use certbridge_sync::{
    AuditRow,
    batches::Batches,
    breaker::BreakerState,
    catalog::Catalog,
    grants::Grants,
    history::AuditLog,
    ids::IdMap,
    in_force::Control,
    memory::MemoryStore,
    poll::PollMarks,
    ports::{Breakers, Inbox, Records, Scan},
    replay::Replays,
};
use std::{
    collections::BTreeMap,
    future::Future,
    io::{self, Write},
    sync::Once,
    time::Duration,
};

static SKIPPED: Once = Once::new();

/// What the contract is about, and the two views that no port gives.
pub(crate) trait Subject:
    Inbox
    + Records
    + Breakers
    + Scan
    + Batches
    + PollMarks
    + IdMap
    + Grants
    + Catalog
    + AuditLog
    + Replays
    + Clone
    + 'static
{
    fn trail(&self, key: &RecordKey) -> impl Future<Output = Vec<AuditRow>> + Send;
    fn open_breakers(&self) -> impl Future<Output = BTreeMap<String, BreakerState>> + Send;
}

impl Subject for MemoryStore {
    async fn trail(&self, key: &RecordKey) -> Vec<AuditRow> {
        self.audit_rows(key)
    }

    async fn open_breakers(&self) -> BTreeMap<String, BreakerState> {
        self.breakers()
    }
}

impl Subject for DynamoStore {
    async fn trail(&self, key: &RecordKey) -> Vec<AuditRow> {
        self.audit_rows(key).await.unwrap()
    }

    async fn open_breakers(&self) -> BTreeMap<String, BreakerState> {
        self.control().await.unwrap().breakers.into_iter().collect()
    }
}

/// A client that tries three times, without waiting.
pub(crate) fn client(endpoint: &str) -> Client {
    let retries = RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(1))
        .with_max_backoff(Duration::from_millis(2));
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(retries)
        .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(30)).build())
        .build();
    Client::from_conf(config)
}

/// A DynamoDB of the test's own.
pub(crate) struct Embedded {
    pub(crate) database: EmbeddedDynamoDb,
    pub(crate) client: Client,
    pub(crate) tables: Tables,
    pub(crate) store: DynamoStore,
}

impl Embedded {
    pub(crate) async fn start() -> Self {
        let database = EmbeddedDynamoDb::start(None).unwrap();
        let client = client(&database.endpoint());
        let tables = Tables::with_prefix("test-");
        schema::create(&client, &tables).await.unwrap();
        Self { store: DynamoStore::new(client.clone(), tables.clone()), database, client, tables }
    }

    /// An inbox row as DynamoDB holds it.
    pub(crate) async fn raw_row(&self, id: &str) -> sample::Item {
        let key = aws_sdk_dynamodb::types::AttributeValue::S(sample::event_key(id).to_string());
        let answer = self.client.get_item().table_name(&self.tables.inbox).key("pk", key).send().await.unwrap();
        answer.item.unwrap()
    }
}

/// Tables of the test's own at the endpoint that `TEST_DYNAMODB_URL` names.
pub(crate) struct Endpoint {
    client: Client,
    tables: Tables,
    pub(crate) store: DynamoStore,
}

impl Endpoint {
    pub(crate) async fn start() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
        let Ok(url) = std::env::var("TEST_DYNAMODB_URL") else {
            SKIPPED.call_once(|| {
                // Past the test harness, which keeps what a passed test prints to itself.
                let _ =
                    writeln!(io::stderr(), "endpoint::* is skipped: TEST_DYNAMODB_URL names no DynamoDB to run it on");
            });
            return None;
        };
        let client = client(&url);
        let tables = Tables::with_prefix(&format!("contract-{:016x}-", fastrand::u64(..)));
        schema::create(&client, &tables).await.unwrap();
        Some(Self { store: DynamoStore::new(client.clone(), tables.clone()), client, tables })
    }

    pub(crate) async fn clear(self) {
        for table in [self.tables.inbox, self.tables.records, self.tables.audit, self.tables.state] {
            self.client.delete_table().table_name(table).send().await.unwrap();
        }
    }
}
