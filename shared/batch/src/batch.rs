use crate::{
    Notary,
    task::{Batch, Task, Walk, Walks},
};
use certbridge_archive::{Archive, ArchiveError};
use certbridge_mapping::{Plan, RecordId, RecordKey};
use certbridge_sync::{
    Engine, StoreError,
    batches::{Batches, InvalidBatchId},
    checkpoint::Signer,
    ports::{Breakers, Destination, Inbox, Records, RetryQueue, Runtime, Scan, Sources},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

/// The tables, as the tasks need them.
pub trait Tables: Inbox + Records + Breakers + Scan + Batches {}
impl<S: Inbox + Records + Breakers + Scan + Batches> Tables for S {}

/// Everything that the tasks need.
#[derive(Debug)]
pub struct BatchSync<S, R, D, Q, T> {
    /// The use cases.
    pub engine: Engine<S, R, D, Q, T>,
    /// Where manifests and reports are kept.
    pub archive: Archive,
    /// Where checkpoints are kept.
    pub checkpoints: Archive,
}

/// Why a task was not done.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// What is asked for cannot be done.
    #[error("{0}")]
    Refused(String),
    /// Another batch runs.
    #[error("{by} runs, until {until} at the latest")]
    Busy {
        /// The execution that has the place.
        by: String,
        /// Until when, unless it keeps it.
        until: Timestamp,
    },
    /// Trying again may help.
    #[error("{0}")]
    Transient(String),
    /// The tables failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl TaskError {
    /// The name by which the state machine tells whether to try again: `Transient`, `Busy` or `Refused`.
    pub fn name(&self) -> &'static str {
        let transient = match self {
            Self::Busy { .. } => return "Busy",
            Self::Refused(_) => false,
            Self::Transient(_) => true,
            Self::Store(error) => error.is_transient(),
            Self::Archive(error) => error.is_transient(),
        };
        if transient { "Transient" } else { "Refused" }
    }
}

impl From<InvalidBatchId> for TaskError {
    fn from(error: InvalidBatchId) -> Self {
        Self::Refused(error.to_string())
    }
}

/// What is kept of an invocation's time to write down what was done.
const RESERVE: SignedDuration = SignedDuration::from_secs(20);

/// Does one task, in an invocation that ends at `ends_at`.
///
/// # Errors
/// [`TaskError`], by whose name the state machine tries again or gives up.
pub async fn handle<S, R, D, Q, T>(
    app: &BatchSync<S, R, D, Q, T>,
    task: Task,
    request_id: &str,
    ends_at: Timestamp,
) -> Result<Value, TaskError>
where
    S: Tables,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    if let Some(batch) = task.batch() {
        app.keep_turn(batch).await?;
    }
    Ok(match task {
        Task::Begin(start) => json!(app.begin(start).await?),
        Task::List { batch, side, walk } => json!(app.list(&batch, side, walk, ends_at - RESERVE).await?),
        Task::Compare { batch, walks, partition } => json!(app.compare(&batch, &walks, partition).await?),
        Task::Decide { batch, walks, compared } => json!(app.decide(&batch, &walks, &compared)?),
        Task::Repair { batch, partition, repaired } => {
            json!(app.repair(&batch, partition, repaired, request_id, ends_at - RESERVE).await?)
        }
        Task::Report { batch, walks, decision } => json!(app.report(&batch, &walks, &decision).await?),
        Task::Fail { start, error } => json!(app.fail(&start, &error).await?),
    })
}

impl Task {
    /// The batch whose turn it needs.
    fn batch(&self) -> Option<&Batch> {
        match self {
            Self::Begin(_) | Self::Fail { .. } => None,
            // It may have been done before, and then its turn is over.
            Self::Report { .. } => None,
            Self::List { batch, .. }
            | Self::Compare { batch, .. }
            | Self::Decide { batch, .. }
            | Self::Repair { batch, .. } => Some(batch),
        }
    }
}

impl<S, R, D, Q, T> BatchSync<S, R, D, Q, T> {
    /// What makes checkpoints; without a signer, they are not signed.
    pub fn notary<'a>(&'a self, signer: Option<&'a Signer>) -> Notary<'a> {
        Notary { work: &self.archive, checkpoints: &self.checkpoints, signer }
    }

    pub(crate) fn plan(&self, source: &str) -> Result<Arc<Plan>, TaskError> {
        let plan = self.engine.plans.of(source);
        plan.ok_or_else(|| TaskError::Refused(format!("no source {source} is in force")))
    }
}

impl Batch {
    /// The key of a record of this batch.
    pub(crate) fn key(&self, id: RecordId) -> RecordKey {
        RecordKey { kind: self.kind, source: self.source.clone(), id }
    }

    /// Where what the tasks hand on to each other stands: it holds personal data, and is of no use once the batch is over.
    pub(crate) fn path(&self, of: &str) -> String {
        format!("work/{}/{of}", self.id)
    }
}

impl Walks {
    /// What the listings could not show, for the report.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let sides = [("source", &self.source), ("destination", &self.destination), ("our own records", &self.own)];
        let remark = |(side, walk): (&str, &Walk)| {
            let why = match (&walk.remark, walk.unlisted) {
                (Some(why), _) => why.clone(),
                (None, true) => "cannot be listed: what it alone has cannot be seen here".to_owned(),
                (None, false) => return None,
            };
            Some(format!("{side}: {why}"))
        };
        sides.into_iter().filter_map(remark).collect()
    }
}
