use crate::task::{Batch, Begun, Task, Walks, Wish};
use certbridge_archive::{Archive, ArchiveError};
use certbridge_mapping::{Kind, Plan, RecordId, RecordKey};
use certbridge_sync::{
    Engine, StoreError,
    audit::Actor,
    checkpoint::Signer,
    ports::{Breakers, Destination, Inbox, Records, RetryQueue, Runtime, Scan, Sources},
    reconcile::partitions_for,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::time::Duration;

/// What a batch must not exceed without a person's word.
#[derive(Debug, Clone, Copy)]
pub struct Rails {
    /// The share of records that may differ.
    pub share: f64,
    /// The number that may differ whatever their share.
    pub few: u64,
}

impl Default for Rails {
    fn default() -> Self {
        Self { share: 0.2, few: 100 }
    }
}

/// Everything that the tasks need.
#[derive(Debug)]
pub struct BatchSync<S, R, D, Q, T> {
    /// The use cases.
    pub engine: Engine<S, R, D, Q, T>,
    /// Where manifests and reports are kept.
    pub archive: Archive,
    /// What signs checkpoints; without, they are not signed.
    pub signer: Option<Signer>,
    /// What a batch must not exceed.
    pub rails: Rails,
}

/// Why a task was not done.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// What is asked for cannot be done.
    #[error("{0}")]
    Refused(String),
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
    /// The name by which the state machine tells whether to try again.
    pub fn name(&self) -> &'static str {
        let transient = match self {
            Self::Refused(_) => false,
            Self::Transient(_) => true,
            Self::Store(error) => error.is_transient(),
            Self::Archive(error) => error.is_transient(),
        };
        if transient { "Transient" } else { "Refused" }
    }
}

/// The longest that the first look at a source may take.
const FIRST_PAGE: Duration = Duration::from_secs(20);
/// How many records a source is taken to have that does not say it.
const UNKNOWN: u64 = 65_536;
/// What is kept of an invocation's time to write down what was done.
const RESERVE: SignedDuration = SignedDuration::from_secs(20);
/// The least time that a partition's repair is begun with, of a chunk.
pub(crate) const CHUNK: Duration = Duration::from_secs(30);

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
    S: Inbox + Records + Breakers + Scan,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    let answer = match task {
        Task::Begin { wish } => json!(app.begin(wish).await?),
        Task::List { batch, side, walk } => json!(app.list(&batch, side, walk, ends_at - RESERVE).await?),
        Task::Compare { batch, walks, partition } => json!(app.compare(&batch, &walks, partition).await?),
        Task::Decide { batch, walks } => json!(app.decide(&batch, &walks).await?),
        Task::Repair { batch, partition } => json!(app.repair(&batch, partition, request_id, ends_at).await?),
        Task::Report { batch, walks, decision } => json!(app.report(&batch, &walks, &decision).await?),
    };
    Ok(answer)
}

impl<S, R, D, Q, T> BatchSync<S, R, D, Q, T>
where
    S: Inbox + Records + Breakers + Scan,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    async fn begin(&self, wish: Wish) -> Result<Begun, TaskError> {
        let now = self.engine.runtime.now();
        let plan = self.engine.plans.of(&wish.source);
        let plan = plan.ok_or_else(|| TaskError::Refused(format!("no source {} is in force", wish.source)))?;
        let id = wish.batch_id.unwrap_or_else(|| format!("{}-{}", now.strftime("%Y%m%dT%H%M%SZ"), plan.source().name));
        if id.is_empty() || id.len() > 80 || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
            return Err(TaskError::Refused(
                "a batch's id has 1 to 80 letters, digits, hyphens and underscores".to_owned(),
            ));
        }
        // How many there are decides only how finely the batch is cut.
        let first = self.engine.sources.source_page(plan, Kind::Certificate, None, None, FIRST_PAGE).await;
        let announced = first.ok().and_then(|page| page.announced).unwrap_or(UNKNOWN);
        let batch = Batch {
            id,
            actor: wish.owner.map_or(Actor::Reconciliation, |owner| Actor::Caller { owner }),
            started_at: now,
            source: plan.source().name.clone(),
            kind: Kind::Certificate,
            dry_run: wish.dry_run,
            force: wish.force,
            partitions: partitions_for(announced),
        };
        Ok(Begun { each: (0..batch.partitions).collect(), batch, walks: Walks::default() })
    }

    pub(crate) fn plan(&self, batch: &Batch) -> Result<&Plan, TaskError> {
        let plan = self.engine.plans.of(&batch.source);
        Ok(plan.ok_or_else(|| TaskError::Refused(format!("no source {} is in force", batch.source)))?)
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
        let remark = |(side, walk): (&str, &crate::Walk)| {
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
