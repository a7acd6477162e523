//! The beginning of a batch, its turn, and the end of one that came to nothing.

use crate::{
    BatchSync, Tables, TaskError,
    task::{Batch, Begun, Caught, Ended, Mail, Start, Walk, Walks},
};
use certbridge_sync::{
    audit::Actor,
    batches::{BatchId, BatchRequest, BatchRow, BatchStatus, BatchStep, Mode, Registered, Turn},
    notice::{BatchData, Notice},
    ports::{Destination, RetryQueue, Runtime, Sources},
    reconcile::{Verdict, partitions_for},
};
use jiff::SignedDuration;
use serde::Deserialize;
use std::time::Duration;

/// The longest that the first look at a source may take.
const FIRST_PAGE: Duration = Duration::from_secs(20);
/// How many records a source is taken to have that does not say it.
const UNKNOWN: u64 = 65_536;
/// How long a batch keeps its turn after the task that told of it: longer than any pause between two tasks.
const TURN: SignedDuration = SignedDuration::from_hours(1);
/// The longest error that is kept.
const LONGEST_ERROR: usize = 500;

impl<S, R, D, Q, T> BatchSync<S, R, D, Q, T>
where
    S: Tables,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    /// Begins a batch: waits for its turn, and cuts it into partitions.
    pub(crate) async fn begin(&self, start: Start) -> Result<Begun, TaskError> {
        let mut row = self.on_record(&start).await?;
        let plan = &self.plan(&row.request.source)?;
        self.take_turn(&start.execution).await?;
        let (partitions, walks) = match row.request.mode {
            Mode::Upsert => {
                let given = self.given(&row.request_digest).await?;
                (partitions_for(given.len() as u64), Walks::nothing_to_list(given.len() as u64))
            }
            Mode::Reconcile => {
                // How many there are decides only how finely the batch is cut.
                let first = self.engine.sources.source_page(plan, row.request.kind, None, None, FIRST_PAGE).await;
                let announced = first.ok().and_then(|page| page.announced).unwrap_or(UNKNOWN);
                (partitions_for(announced), Walks::default())
            }
        };
        row.status = BatchStatus::Running;
        row.execution = Some(start.execution.clone());
        self.engine.store.update_batch(&row).await?;
        self.engine.store.note(&row.id, BatchStep::Partitions(partitions)).await?;
        let batch = Batch {
            id: row.id,
            execution: start.execution,
            actor: row.request.actor,
            started_at: start.started_at,
            mode: row.request.mode,
            source: plan.source().name.clone(),
            kind: row.request.kind,
            dry_run: row.request.dry_run,
            force: row.request.force,
            partitions,
            request_digest: row.request_digest,
        };
        Ok(Begun { each: (0..partitions).collect(), batch, walks })
    }

    /// The batch as it is on record, or is put there now.
    async fn on_record(&self, start: &Start) -> Result<BatchRow, TaskError> {
        let row = match &start.input.batch_id {
            Some(id) => match self.engine.store.batch(id).await? {
                Some((row, _)) => row,
                None => return Err(TaskError::Refused(format!("there is no batch {id}"))),
            },
            None => {
                let row = scheduled(start)?;
                match self.engine.store.register(&row).await? {
                    Registered::New => row,
                    // Two schedules of one second must not do each other's work.
                    Registered::Exists(other) if other.request != row.request => {
                        return Err(TaskError::Refused(format!("batch {} was to do something else", row.id)));
                    }
                    Registered::Exists(row) => *row,
                }
            }
        };
        if row.status.is_over() {
            return Err(TaskError::Refused(format!("batch {} is over", row.id)));
        }
        match &row.execution {
            Some(other) if *other != start.execution => {
                Err(TaskError::Refused(format!("another execution works on batch {}", row.id)))
            }
            _ => Ok(row),
        }
    }

    async fn take_turn(&self, execution: &str) -> Result<(), TaskError> {
        let now = self.engine.runtime.now();
        match self.engine.store.take_turn(execution, now, now + TURN).await? {
            Turn::Mine => Ok(()),
            Turn::Taken { by, until } => Err(TaskError::Busy { by, until }),
        }
    }

    /// Keeps a batch's turn. Whoever has lost it must stop: another batch works on the same records.
    pub(crate) async fn keep_turn(&self, batch: &Batch) -> Result<(), TaskError> {
        match self.take_turn(&batch.execution).await {
            Err(TaskError::Busy { by, .. }) => {
                Err(TaskError::Refused(format!("the batch stood still for too long, and {by} has its turn")))
            }
            result => result,
        }
    }

    /// Puts on record that an execution came to nothing, unless its batch is another one's, or over.
    pub(crate) async fn fail(&self, start: &Start, error: &Caught) -> Result<Ended, TaskError> {
        let error = error.message();
        let (id, wish) = match &start.input.batch_id {
            Some(id) => (id.clone(), None),
            None => {
                let BatchRow { id, request, .. } = scheduled(start)?;
                (id, Some(request))
            }
        };
        let row = self.engine.store.batch(&id).await?.map(|(row, _)| row);
        let mine = |row: &BatchRow| {
            let wished = wish.as_ref().is_none_or(|wish| *wish == row.request);
            wished && row.execution.as_ref().is_none_or(|by| *by == start.execution)
        };
        if let Some(row) = row.filter(|row| !row.status.is_over() && mine(row)) {
            let row = BatchRow {
                status: BatchStatus::Failed,
                finished_at: Some(self.engine.runtime.now()),
                error: Some(error.clone()),
                ..row
            };
            self.engine.store.update_batch(&row).await?;
        }
        self.end_turn(&start.execution).await;
        tracing::error!(batch_id = %id, execution = start.execution, error, "a batch failed");
        let subject = ascii(&format!("Certbridge: batch {id} failed"));
        let text = format!(
            "Batch {id} failed: {error}\n\nWhat it had repaired by then is repaired, and on record. Run it again once the \
             cause is mended.\nExecution: {}\n",
            start.execution
        );
        let data = BatchData { batch_id: id.clone(), verdict: Verdict::Failed, records: None, repaired: None };
        let notice = Some(Notice::of_batch(data, self.engine.runtime.now()));
        Ok(Ended {
            batch_id: id,
            verdict: Verdict::Failed,
            drift: None,
            report: None,
            mail: Mail { subject, text },
            notice,
        })
    }

    /// Gives a turn up. If that fails, it ends by itself.
    pub(crate) async fn end_turn(&self, execution: &str) {
        if let Err(error) = self.engine.store.end_turn(execution).await {
            tracing::warn!(%error, execution, "a turn could not be given up");
        }
    }
}

/// What a schedule wants, as it is put on record. Asked for again, it is the same.
fn scheduled(start: &Start) -> Result<BatchRow, TaskError> {
    let source =
        start.input.source.clone().ok_or_else(|| TaskError::Refused("no batch_id, and no source".to_owned()))?;
    Ok(BatchRow {
        id: BatchId::scheduled(&source, start.input.kind, start.started_at),
        request: BatchRequest {
            mode: Mode::Reconcile,
            source,
            kind: start.input.kind,
            dry_run: start.input.dry_run,
            force: false,
            actor: Actor::Reconciliation,
        },
        request_digest: String::new(),
        requested_at: start.started_at,
        status: BatchStatus::Queued,
        execution: None,
        finished_at: None,
        summary: None,
        error: None,
    })
}

impl Walks {
    /// Of an upsert: what was given is all that there is to know.
    fn nothing_to_list(given: u64) -> Self {
        let mut walks = Self::default();
        for walk in [&mut walks.source, &mut walks.own] {
            *walk = Walk { done: true, ..Walk::default() };
            (walk.side.rows, walk.side.pages, walk.side.complete) = (given, 1, true);
        }
        walks.destination = Walk { done: true, unlisted: true, ..Walk::default() };
        walks
    }
}

impl Caught {
    /// What happened, in few words. Of a function's error only its message is taken.
    fn message(&self) -> String {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Thrown {
            error_message: String,
        }
        let told = serde_json::from_str(&self.cause).map_or_else(|_| self.cause.clone(), |of: Thrown| of.error_message);
        let text = if told.trim().is_empty() { self.error.clone() } else { format!("{}: {told}", self.error) };
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_ERROR).collect()
    }
}

/// A subject line as SNS takes it.
pub(crate) fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).take(100).collect()
}
