//! The tables: their names, attributes and indexes. The deployment declares the same ones.

use crate::call::{code_of, store_error};
use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    operation::create_table::builders::CreateTableFluentBuilder,
    types::{
        AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
        GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType,
        StreamSpecification, StreamViewType, TableDescription, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
    },
};
use certbridge_sync::StoreError;
use std::time::Duration;

/// The names of the tables. A function that does not touch a table leaves its name empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    /// Accepted deliveries.
    pub inbox: String,
    /// What is known of each record.
    pub records: String,
    /// The audit chains.
    pub audit: String,
    /// Definitions in force, breakers and batches.
    pub state: String,
}

impl Tables {
    /// `{prefix}inbox` and so on.
    pub fn with_prefix(prefix: &str) -> Self {
        let name = |table| format!("{prefix}{table}");
        Self { inbox: name("inbox"), records: name("records"), audit: name("audit"), state: name("state") }
    }
}

/// The index of what is not settled, on [`attribute::OPEN`] and [`attribute::NEXT_AT`].
pub const PENDING_INDEX: &str = "pending";

/// The index of records by when they were synced, on [`attribute::LISTED`] and [`attribute::LISTED_AT`].
pub const LISTED_INDEX: &str = "listed";
/// What that index holds beside its keys.
pub const LISTED_WITH: [&str; 2] = [attribute::STATUS, attribute::LOCATION_ID];

/// The partition of the state table that init reads in one query.
pub const CONTROL: &str = "control";

/// The partition of the state table in which all batches stand, by when they were asked for.
pub const BATCHES: &str = "batches";
/// The partitions of the state table that hold a definition's history, before its file.
pub const HISTORY: &str = "definitions#";
/// The partition of the state table that says how far each source has been polled.
pub const POLLS: &str = "polls";

/// The partition of the state table in which the OAuth grants stand.
pub const GRANTS: &str = "grants";
/// The partition of the state table in which the endpoints stand that nothing is sent to.
pub const ENDPOINTS: &str = "endpoints";
/// What the partition of a record's ids at the destination is called: this, and the record's key.
pub const IDS: &str = "ids#";

/// The names of the attributes. Times are RFC 3339 texts, except those that DynamoDB compares.
pub mod attribute {
    /// The partition key of every table: an event's key, a record's key; of state, [`CONTROL`](super::CONTROL),
    /// [`BATCHES`](super::BATCHES), [`POLLS`](super::POLLS), [`GRANTS`](super::GRANTS), [`ENDPOINTS`](super::ENDPOINTS),
    /// [`HISTORY`](super::HISTORY)`{file}`,
    /// `batch#{id}`, `ids#{record}` or `turn`.
    pub const PK: &str = "pk";
    /// The sort key of audit (a number, the sequence) and state (a text).
    pub const SK: &str = "sk";

    /// inbox: the exact bytes that were proven.
    pub const BODY: &str = "body";
    /// inbox: the SHA-256 of the body, in hex.
    pub const BODY_DIGEST: &str = "body_digest";
    /// inbox: when it was received.
    pub const RECEIVED_AT: &str = "received_at";
    /// inbox: the id of the key that proved it.
    pub const PROVEN_BY: &str = "proven_by";
    /// inbox: what it says, as JSON.
    pub const EVENT: &str = "event";
    /// inbox: where it stands, in a word. records: what was last committed, a map.
    pub const STATE: &str = "state";
    /// inbox: how many attempts have failed.
    pub const ATTEMPT: &str = "attempt";
    /// Inbox: how many attempts failed because the source did not show what the event speaks of.
    pub const UNSEEN: &str = "unseen";
    /// inbox: when it is tried again; epoch milliseconds, rounded up.
    pub const NEXT_AT: &str = "next_at";
    /// inbox: why it is not settled, or how it was.
    pub const REASON: &str = "reason";
    /// inbox: whether its next attempt pushes in any case.
    pub const MUST_PUSH: &str = "must_push";
    /// inbox: the fence of the claim that settled it.
    pub const SETTLED_BY: &str = "settled_by";
    /// inbox: when DynamoDB may remove the row; epoch seconds. Only settled rows have it.
    pub const EXPIRES_AT: &str = "expires_at";
    /// inbox: `{state}#{shard}`. Only rows that are not settled have it, so only they stand in the index.
    pub const OPEN: &str = "open";

    /// inbox: who had it run again last, as JSON.
    pub const REPLAY: &str = "replay";
    /// inbox: the trace that it was taken in, in the form of X-Ray's header.
    pub const TRACE: &str = "trace";

    /// records, audit: how many times the record had been claimed.
    pub const FENCE: &str = "fence";
    /// records: the fence of the last claim that ended without doubt.
    pub const CLEAN_FENCE: &str = "clean_fence";
    /// records: who works on it. state: the batch that runs, or who renews a grant.
    pub const LEASE_OWNER: &str = "lease_owner";
    /// records: until when; epoch milliseconds, rounded up.
    pub const LEASE_UNTIL: &str = "lease_until";
    /// records: the number of audit rows.
    pub const AUDIT_SEQUENCE: &str = "audit_sequence";
    /// records: the last audit row's hash.
    pub const AUDIT_HASH: &str = "audit_hash";
    /// records: what is left of an erased one, as JSON.
    pub const HUSK: &str = "husk";
    /// records: whether it must not be erased.
    pub const HOLD: &str = "hold";
    /// records: what keeps audit digests from being guessed.
    pub const SALT: &str = "salt";

    /// records: `{kind}#{shard}`, once there is a state. Only rows that have it stand in the index.
    pub const LISTED: &str = "listed";
    /// records: `{synced_at}#{pk}`, its place in the index.
    pub const LISTED_AT: &str = "listed_at";
    /// records: the state's status, for the index.
    pub const STATUS: &str = "status";

    /// records, in the state: the canonical record, as JSON.
    pub const RECORD: &str = "record";
    /// records, in the state: its place in the order of states, as JSON.
    pub const VERSION: &str = "version";
    /// records, in the state: when the fetch began that it comes from.
    pub const FETCHED_AT: &str = "fetched_at";
    /// records, in the state: the fingerprint of the request.
    pub const FINGERPRINT: &str = "fingerprint";
    /// records, in the state: the plan's version.
    pub const PLAN: &str = "plan";
    /// records, in the state: when it was committed.
    pub const SYNCED_AT: &str = "synced_at";

    /// audit, state (a definition's history): the whole row, as canonical JSON.
    pub const ROW: &str = "row";
    /// audit, state (a definition's history, an endpoint that is disabled): when.
    pub const TIME: &str = "time";
    /// audit, state (a definition's history): the row's hash.
    pub const HASH: &str = "hash";

    /// state: a definition's TOML, or the JSON of a breaker, a batch or a poll's mark.
    pub const TEXT: &str = "text";

    /// state, in a batch's progress: how many records the source has listed.
    pub const SOURCE: &str = "source";
    /// state, in a batch's progress: how many the destination has.
    pub const DESTINATION: &str = "destination";
    /// state, in a batch's progress: how many of our own were read.
    pub const OWN: &str = "own";
    /// state, in a batch's progress: how many partitions there are.
    pub const PARTITIONS: &str = "partitions";
    /// state, in a batch's progress: the partitions that were compared, a set of numbers.
    pub const COMPARED: &str = "compared";
    /// state, in a batch's progress: the partitions that were repaired, a set of numbers.
    pub const REPAIRED: &str = "repaired";
    /// state: how often a poll's mark has been written.
    pub const REVISION: &str = "revision";

    /// state, of a record: its id at the destination.
    pub const ID: &str = "id";
    /// state, of a record: when something was about to be made for it at the destination.
    pub const BEGUN_AT: &str = "begun_at";

    /// state, in a grant: what opens the API.
    pub const ACCESS_TOKEN: &str = "access_token";
    /// state, in a grant: what gives the next one.
    pub const REFRESH_TOKEN: &str = "refresh_token";
    /// state, in a grant: when it was given.
    pub const ISSUED_AT: &str = "issued_at";
    /// state, in a grant: when the access token ends. The grant itself never expires.
    pub const ENDS_AT: &str = "ends_at";
    /// state, in a grant: the company that it is for.
    pub const COMPANY_ID: &str = "company_id";
    /// records: the state's location, for the index. state, in a grant: the location that it is for.
    pub const LOCATION_ID: &str = "location_id";
    /// state, in a grant: why it can be renewed no more.
    pub const NEEDS_PERSON: &str = "needs_person";
}

use attribute::{EXPIRES_AT, LISTED, LISTED_AT, NEXT_AT, OPEN, PK, SK};

/// Makes the tables that are not there yet, and waits until all can be used. For local mode and tests: on AWS the
/// deployment makes them.
///
/// # Errors
/// [`StoreError`] if one cannot be made, or is not active after a minute.
pub async fn create(client: &Client, tables: &Tables) -> Result<(), StoreError> {
    let requests = [
        inbox(client, &tables.inbox),
        records(client, &tables.records),
        audit(client, &tables.audit),
        keyed(client, &tables.state, Some(ScalarAttributeType::S)),
    ];
    for request in requests {
        let sent = request.map_err(invalid)?.billing_mode(BillingMode::PayPerRequest).send().await;
        match sent {
            Err(error) if code_of(&error) != Some("ResourceInUseException") => {
                return Err(store_error("CreateTable", &error));
            }
            _ => {}
        }
    }
    for table in [&tables.inbox, &tables.records, &tables.audit, &tables.state] {
        wait_until_active(client, table).await?;
    }
    index_records(client, &tables.records).await?;
    expire(client, &tables.inbox).await
}

fn inbox(client: &Client, table: &str) -> Result<CreateTableFluentBuilder, BuildError> {
    let index = GlobalSecondaryIndex::builder()
        .index_name(PENDING_INDEX)
        .key_schema(key(OPEN, KeyType::Hash)?)
        .key_schema(key(NEXT_AT, KeyType::Range)?)
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()?;
    Ok(keyed(client, table, None)?
        .attribute_definitions(typed(OPEN, ScalarAttributeType::S)?)
        .attribute_definitions(typed(NEXT_AT, ScalarAttributeType::N)?)
        .global_secondary_indexes(index)
        .stream_specification(stream()?))
}

fn audit(client: &Client, table: &str) -> Result<CreateTableFluentBuilder, BuildError> {
    Ok(keyed(client, table, Some(ScalarAttributeType::N))?.stream_specification(stream()?))
}

/// A stream of what is new.
fn stream() -> Result<StreamSpecification, BuildError> {
    StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewImage).build()
}

fn records(client: &Client, table: &str) -> Result<CreateTableFluentBuilder, BuildError> {
    let index = GlobalSecondaryIndex::builder()
        .index_name(LISTED_INDEX)
        .key_schema(key(LISTED, KeyType::Hash)?)
        .key_schema(key(LISTED_AT, KeyType::Range)?)
        .projection(listed_with())
        .build()?;
    Ok(keyed(client, table, None)?
        .attribute_definitions(typed(LISTED, ScalarAttributeType::S)?)
        .attribute_definitions(typed(LISTED_AT, ScalarAttributeType::S)?)
        .global_secondary_indexes(index))
}

fn listed_with() -> Projection {
    let with = LISTED_WITH.map(str::to_owned).to_vec();
    Projection::builder().projection_type(ProjectionType::Include).set_non_key_attributes(Some(with)).build()
}

/// Adds the index to a table that was made before there was one. What was committed by then is listed from its next
/// commit on.
async fn index_records(client: &Client, table: &str) -> Result<(), StoreError> {
    let answer = client.describe_table().table_name(table).send().await;
    let answer = answer.map_err(|error| store_error("DescribeTable", &error))?;
    let indexes = answer.table().map(TableDescription::global_secondary_indexes).unwrap_or_default();
    if indexes.iter().any(|index| index.index_name() == Some(LISTED_INDEX)) {
        return Ok(());
    }
    let index = CreateGlobalSecondaryIndexAction::builder()
        .index_name(LISTED_INDEX)
        .key_schema(key(LISTED, KeyType::Hash).map_err(invalid)?)
        .key_schema(key(LISTED_AT, KeyType::Range).map_err(invalid)?)
        .projection(listed_with())
        .build()
        .map_err(invalid)?;
    let request = client
        .update_table()
        .table_name(table)
        .attribute_definitions(typed(LISTED, ScalarAttributeType::S).map_err(invalid)?)
        .attribute_definitions(typed(LISTED_AT, ScalarAttributeType::S).map_err(invalid)?)
        .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(index).build());
    request.send().await.map_err(|error| store_error("UpdateTable", &error))?;
    wait_until_active(client, table).await
}

fn keyed(
    client: &Client,
    table: &str,
    sort: Option<ScalarAttributeType>,
) -> Result<CreateTableFluentBuilder, BuildError> {
    let request = client
        .create_table()
        .table_name(table)
        .attribute_definitions(typed(PK, ScalarAttributeType::S)?)
        .key_schema(key(PK, KeyType::Hash)?);
    Ok(match sort {
        Some(sort) => request.attribute_definitions(typed(SK, sort)?).key_schema(key(SK, KeyType::Range)?),
        None => request,
    })
}

fn typed(name: &str, type_: ScalarAttributeType) -> Result<AttributeDefinition, BuildError> {
    AttributeDefinition::builder().attribute_name(name).attribute_type(type_).build()
}

fn key(name: &str, type_: KeyType) -> Result<KeySchemaElement, BuildError> {
    KeySchemaElement::builder().attribute_name(name).key_type(type_).build()
}

/// The SDK's own waiter sleeps for seconds; a local table is there at once.
async fn wait_until_active(client: &Client, table: &str) -> Result<(), StoreError> {
    for pause in [0, 50, 200, 750].into_iter().chain([1000; 59]) {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let answer = client.describe_table().table_name(table).send().await;
        let answer = answer.map_err(|error| store_error("DescribeTable", &error))?;
        if answer.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) {
            return Ok(());
        }
    }
    Err(StoreError::Unavailable("a new table is not active yet".to_owned()))
}

async fn expire(client: &Client, table: &str) -> Result<(), StoreError> {
    let answer = client.describe_time_to_live().table_name(table).send().await;
    let answer = answer.map_err(|error| store_error("DescribeTimeToLive", &error))?;
    let status = answer.time_to_live_description().and_then(|ttl| ttl.time_to_live_status());
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES_AT).build().map_err(invalid)?;
    let answer = client.update_time_to_live().table_name(table).time_to_live_specification(ttl).send().await;
    answer.map(drop).map_err(|error| store_error("UpdateTimeToLive", &error))
}

pub(crate) fn invalid(error: BuildError) -> StoreError {
    StoreError::Refused(error.to_string())
}
