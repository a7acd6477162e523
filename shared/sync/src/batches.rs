//! What is kept of batches: who asked for one, how far it has come, how it came out; and the one place at which batches
//! queue up, so that one runs at a time.

use crate::{audit::Actor, error::StoreError, ports::Scanned, reconcile::Verdict};
use certbridge_mapping::Kind;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, future::Future, str::FromStr};

/// The id of a batch: 1 to 80 letters, digits, hyphens and underscores, so that it can name an execution of the state
/// machine and stand in a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BatchId(String);

/// What is no id of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a batch's id has 1 to 80 letters, digits, hyphens and underscores")]
pub struct InvalidBatchId;

impl BatchId {
    /// The id of what a schedule started at this time: the same one however often it is asked for.
    pub fn scheduled(source: &str, kind: Kind, started_at: Timestamp) -> Self {
        let source: String = source.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(48).collect();
        let kind = if kind == Kind::default() { String::new() } else { format!("-{kind}") };
        Self(format!("{}-{source}{kind}", started_at.strftime("%Y%m%dT%H%M%SZ")))
    }

    /// The id of what somebody asked for without naming it.
    pub fn random(requested_at: Timestamp, random: u128) -> Self {
        Self(format!("{}-{random:032x}", requested_at.strftime("%Y%m%dT%H%M%SZ")))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for BatchId {
    type Error = InvalidBatchId;
    fn try_from(text: String) -> Result<Self, InvalidBatchId> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if (1..=80).contains(&text.len()) && text.bytes().all(plain) { Ok(Self(text)) } else { Err(InvalidBatchId) }
    }
}

impl FromStr for BatchId {
    type Err = InvalidBatchId;
    fn from_str(text: &str) -> Result<Self, InvalidBatchId> {
        text.to_owned().try_into()
    }
}

impl From<BatchId> for String {
    fn from(id: BatchId) -> Self {
        id.0
    }
}

/// What a batch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Lists both sides, compares them, and repairs the destination.
    Reconcile,
    /// Tells the destination of the records that the caller gave.
    Upsert,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchRequest {
    /// What the batch does.
    pub mode: Mode,
    /// The source whose records it is about.
    pub source: String,
    /// Their kind.
    #[serde(default)]
    pub kind: Kind,
    /// Whether to write nothing but a report.
    pub dry_run: bool,
    /// Whether to repair however much differs.
    pub force: bool,
    /// On whose account.
    pub actor: Actor,
}

/// A batch, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchRow {
    /// Its id.
    pub id: BatchId,
    /// What was asked for.
    pub request: BatchRequest,
    /// The SHA-256 of the whole request as it came, in hex: the same id with another one is a contradiction.
    pub request_digest: String,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// Where it stands.
    pub status: BatchStatus,
    /// The execution of the state machine that works on it, once one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// How it came out, once it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<BatchSummary>,
    /// Why it failed. Never a value of a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl BatchRow {
    /// Its place among all batches, by the time at which it was asked for.
    pub fn place(&self) -> String {
        // To the millisecond, always, so that places are in the order of their texts.
        format!("{:.3}#{}", self.requested_at, self.id)
    }
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatus {
    /// It waits, for its execution to start or for another batch to end.
    Queued,
    /// It is under way.
    Running,
    /// It came to its report.
    Finished,
    /// It did not.
    Failed,
}

impl Mode {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reconcile => "reconcile",
            Self::Upsert => "upsert",
        }
    }
}

impl BatchStatus {
    /// Whether nothing more will happen to it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Failed)
    }
}

/// How a batch came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSummary {
    /// In a word.
    pub verdict: Verdict,
    /// In one sentence.
    pub headline: String,
    /// How many records were compared.
    pub records: u64,
    /// How many of them differed, whether or not they were repaired.
    #[serde(default)]
    pub differing: u64,
    /// How many were repaired.
    pub repaired: u64,
    /// Where the report stands in the archive, without its ending: `.json`, `.csv`, `.html`.
    pub report: String,
}

/// How far a batch has come. What is counted never goes back while it goes on, but a listing may start over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchProgress {
    /// How many records the source has listed.
    pub source: u64,
    /// How many the destination has.
    pub destination: u64,
    /// How many of our own were read.
    pub own: u64,
    /// How many partitions there are; 0 before that is known.
    pub partitions: u16,
    /// How many of them were compared.
    pub compared: u16,
    /// How many of them were repaired.
    pub repaired: u16,
}

/// A step that a batch has taken. To tell of one twice is to tell of it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchStep {
    /// It is cut into so many partitions.
    Partitions(u16),
    /// The source has listed so many records so far.
    Source(u64),
    /// The destination has.
    Destination(u64),
    /// So many of our own were read so far.
    Own(u64),
    /// This partition was compared.
    Compared(u16),
    /// This partition was repaired.
    Repaired(u16),
}

/// What became of a registration.
#[derive(Debug, Clone, PartialEq)]
pub enum Registered {
    /// The id was free.
    New,
    /// There is a batch of this id, which was left alone.
    Exists(Box<BatchRow>),
}

/// What became of an attempt to take, or to keep, the one place of the batch that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It is the holder's.
    Mine,
    /// Somebody else has it.
    Taken {
        /// Who.
        by: String,
        /// Until when, unless they keep it.
        until: Timestamp,
    },
}

/// The batches, as all functions see them.
pub trait Batches: Send + Sync {
    /// Puts a batch on record if its id is free.
    fn register(&self, row: &BatchRow) -> impl Future<Output = Result<Registered, StoreError>> + Send;

    /// Writes a batch that is on record anew.
    fn update_batch(&self, row: &BatchRow) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// A batch and how far it has come; `None` if there is none of this id.
    fn batch(&self, id: &BatchId)
    -> impl Future<Output = Result<Option<(BatchRow, BatchProgress)>, StoreError>> + Send;

    /// The batches, the last asked for first, at most `limit` of them.
    fn batches(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Scanned<BatchRow>, StoreError>> + Send;

    /// Notes a step.
    fn note(&self, id: &BatchId, step: BatchStep) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes the one place of the batch that runs, or keeps it, until a time: if nobody has it, or whoever had it let
    /// its time run out, or it is the holder's already.
    fn take_turn(
        &self,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Turn, StoreError>> + Send;

    /// Gives the place up, if the holder has it.
    fn end_turn(&self, holder: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What starts the state machine that carries a batch from its beginning to its report.
pub trait Executions: Send + Sync {
    /// Starts an execution for a batch that is on record. A batch that has one already gets no second one.
    fn start(&self, id: &BatchId) -> impl Future<Output = Result<(), StoreError>> + Send;
}
