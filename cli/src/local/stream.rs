//! A table's stream, read as Lambda's poller reads it: batch after batch, each once its answer names no failure, and
//! from where it stopped after a restart.

use super::data::write_private;
use crate::CliError;
use aws_sdk_dynamodb::types::{StreamSpecification, StreamViewType};
use aws_sdk_dynamodbstreams::{
    Client,
    types::{AttributeValue, OperationType, Record, ShardIteratorType},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use certbridge_store::schema::attribute::STATE;
use certbridge_sync::row::InboxState;
use serde_json::{Map, Value, json};
use std::{fs, io, path::PathBuf, time::Duration};

/// How long an empty stream is left alone.
const IDLE: Duration = Duration::from_millis(40);
/// How long a broken one is.
const BROKEN: Duration = Duration::from_secs(1);
/// How long one is that nobody waits for.
const IDLE_BESIDE: Duration = Duration::from_millis(250);
const BATCH: i32 = 100;

/// Which records of a stream are events: the filter of its event source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What was put in.
    Inserted,
    /// Inbox rows that were set aside.
    SetAside,
    /// Everything.
    All,
}

impl Wanted {
    fn lets_through(self, record: &Record) -> bool {
        match self {
            Self::Inserted => record.event_name == Some(OperationType::Insert),
            Self::SetAside => {
                let image = record.dynamodb.as_ref().and_then(|change| change.new_image.as_ref());
                let state = image.and_then(|image| image.get(STATE)?.as_s().ok());
                state.is_some_and(|state| SET_ASIDE.iter().any(|aside| aside.as_str() == state))
            }
            Self::All => true,
        }
    }

    /// How long an empty stream is left alone: only what is to be synced is in a hurry.
    fn idle(self) -> Duration {
        if self == Self::Inserted { IDLE } else { IDLE_BESIDE }
    }
}

/// The states of what a person must look at.
const SET_ASIDE: [InboxState; 2] = [InboxState::Quarantined, InboxState::Failed];

/// The ARN of a table's stream, which it is given if it has none: an older version of ours may have made it.
pub(super) async fn arn_of(client: &aws_sdk_dynamodb::Client, table: &str) -> Result<String, CliError> {
    let arn = async || client.describe_table().table_name(table).send().await.ok()?.table?.latest_stream_arn;
    if let Some(arn) = arn().await {
        return Ok(arn);
    }
    let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewImage);
    let stream = stream.build().map_err(io::Error::other)?;
    let update = client.update_table().table_name(table).stream_specification(stream);
    update.send().await.map_err(|_| io::Error::other(format!("{table} cannot be given a stream")))?;
    arn().await.ok_or_else(|| io::Error::other(format!("{table} has no stream")).into())
}

/// A reader of one stream.
pub(super) struct StreamReader {
    client: Client,
    stream_arn: String,
    checkpoint: PathBuf,
    wanted: Wanted,
    /// The last record that was handled, as (shard, sequence number).
    position: Option<(String, String)>,
}

impl StreamReader {
    /// A reader that goes on where the checkpoint says, or begins at the stream's beginning.
    pub(super) fn new(client: Client, stream_arn: String, checkpoint: PathBuf, wanted: Wanted) -> Self {
        let position = fs::read(&checkpoint).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Self { client, stream_arn, checkpoint, wanted, position }
    }

    /// Gives every batch to `handle`, as a Lambda event, until the future is dropped. `handle` returns the sequence
    /// numbers that failed; the batch is then given again from the first of them on.
    pub(super) async fn run<F: Future<Output = Vec<String>>>(mut self, handle: impl Fn(Value) -> F) -> ! {
        loop {
            let Some((shard, mut iterator)) = self.iterator().await else {
                tokio::time::sleep(BROKEN).await;
                continue;
            };
            while let Some(current) = iterator.take() {
                let answer = self.client.get_records().shard_iterator(current).limit(BATCH).send().await;
                let Ok(answer) = answer else {
                    tokio::time::sleep(BROKEN).await;
                    break;
                };
                let records = answer.records.unwrap_or_default();
                if records.is_empty() {
                    tokio::time::sleep(self.wanted.idle()).await;
                } else {
                    self.deliver(&shard, &records, &handle).await;
                }
                iterator = answer.next_shard_iterator;
            }
        }
    }

    async fn deliver<F: Future<Output = Vec<String>>>(
        &mut self,
        shard: &str,
        records: &[Record],
        handle: &impl Fn(Value) -> F,
    ) {
        let mut rest = records;
        while !rest.is_empty() {
            let wanted = rest.iter().filter(|record| self.wanted.lets_through(record));
            let events: Vec<_> = wanted.map(lambda_record).collect();
            let failed = if events.is_empty() { Vec::new() } else { handle(json!({"Records": events})).await };
            let first = rest.iter().position(|record| failed.iter().any(|id| Some(id.as_str()) == sequence(record)));
            let done = first.unwrap_or(rest.len());
            if let Some(last) = done.checked_sub(1).and_then(|index| sequence(&rest[index])) {
                self.remember(shard, last);
            }
            rest = &rest[done..];
            if !rest.is_empty() {
                tokio::time::sleep(BROKEN).await;
            }
        }
    }

    fn remember(&mut self, shard: &str, sequence: &str) {
        let position = (shard.to_owned(), sequence.to_owned());
        let text = json!(position).to_string();
        if let Err(error) = write_private(&self.checkpoint, text.as_bytes()) {
            tracing::warn!(%error, "the stream's checkpoint could not be written");
        }
        self.position = Some(position);
    }

    /// The stream's open shard, and an iterator to what was not handled yet.
    async fn iterator(&mut self) -> Option<(String, Option<String>)> {
        let described = self.client.describe_stream().stream_arn(&self.stream_arn).send().await.ok()?;
        let shards = described.stream_description?.shards.unwrap_or_default();
        let shard = shards.last()?.shard_id.clone()?;
        let request = self.client.get_shard_iterator().stream_arn(&self.stream_arn).shard_id(&shard);
        let after = self.position.as_ref().filter(|(known, _)| *known == shard).map(|(_, sequence)| sequence.clone());
        let iterator = match after {
            Some(sequence) => {
                let request = request.clone().shard_iterator_type(ShardIteratorType::AfterSequenceNumber);
                request.sequence_number(sequence).send().await.ok()
            }
            None => None,
        };
        // A position that the stream no longer knows is no reason to skip anything: what was handled is recognised.
        let iterator = match iterator {
            Some(iterator) => iterator,
            None => request.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.ok()?,
        };
        Some((shard, iterator.shard_iterator))
    }
}

fn sequence(record: &Record) -> Option<&str> {
    record.dynamodb.as_ref()?.sequence_number.as_deref()
}

/// A record as Lambda would pass it on.
fn lambda_record(record: &Record) -> Value {
    let change = record.dynamodb.as_ref();
    let image = |image: Option<&std::collections::HashMap<String, AttributeValue>>| {
        image.map(|image| image.iter().map(|(name, value)| (name.clone(), attribute(value))).collect::<Map<_, _>>())
    };
    json!({
        "eventID": record.event_id,
        "eventName": record.event_name.as_ref().map(OperationType::as_str),
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "local",
        "dynamodb": {
            "Keys": image(change.and_then(|change| change.keys.as_ref())),
            "NewImage": image(change.and_then(|change| change.new_image.as_ref())),
            "ApproximateCreationDateTime": change.and_then(created_at).unwrap_or_default(),
            "SequenceNumber": sequence(record),
            "SizeBytes": change.and_then(|change| change.size_bytes).unwrap_or_default(),
            "StreamViewType": "NEW_IMAGE",
        },
    })
}

fn created_at(change: &aws_sdk_dynamodbstreams::types::StreamRecord) -> Option<i64> {
    Some(change.approximate_creation_date_time.as_ref()?.secs())
}

/// An attribute in DynamoDB's own JSON. Inbox and audit hold texts, numbers, bytes and booleans.
fn attribute(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::B(bytes) => json!({"B": BASE64_STANDARD.encode(bytes)}),
        AttributeValue::Bool(flag) => json!({"BOOL": flag}),
        _ => json!({"NULL": true}),
    }
}
