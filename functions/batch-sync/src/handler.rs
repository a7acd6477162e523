use crate::keys::{AuditKeys, signer};
use certbridge_batch::{BatchSync, Ended, Tables, Task, TaskError};
use certbridge_platform::{Metrics, metrics::Unit};
use certbridge_sync::{
    checkpoint::{Checkpoint, Heads},
    poll::PollMarks,
    ports::{Destination, RetryQueue, Runtime, Sources},
    reconcile::Verdict,
};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::Diagnostic;
use serde_json::{Value, json};
use tracing::Instrument;

/// What is kept of an invocation's time to end a poll's last page.
const RESERVE: SignedDuration = SignedDuration::from_secs(35);

/// Everything that the handler needs.
#[derive(Debug)]
pub struct App<S, R, D, Q, T, K> {
    /// The tasks.
    pub batches: BatchSync<S, R, D, Q, T>,
    /// The counters.
    pub metrics: Metrics,
    /// The audit's keys.
    pub keys: K,
}

/// Why an invocation failed, by a name that the state machine knows.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// It is no task of ours.
    #[error("the event is no task: {0}")]
    Unknown(#[from] serde_json::Error),
    /// The task failed.
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl From<Failed> for Diagnostic {
    fn from(failed: Failed) -> Self {
        let name = match &failed {
            Failed::Unknown(_) => "Refused",
            Failed::Task(error) => error.name(),
        };
        Self { error_type: name.to_owned(), error_message: failed.to_string() }
    }
}

/// Handles one invocation, which ends at `ends_at` at the latest.
///
/// # Errors
/// [`Failed`], by whose name the state machine tries again, waits for its turn, or gives up.
pub async fn handle<S, R, D, Q, T, K>(
    app: &App<S, R, D, Q, T, K>,
    event: Value,
    request_id: &str,
    ends_at: Timestamp,
) -> Result<Value, Failed>
where
    S: Tables + PollMarks + Heads,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
    K: AuditKeys,
{
    let name = event["task"].as_str().unwrap_or_default().to_owned();
    if name == "poll" {
        let span = tracing::info_span!("poll", request_id);
        return Ok(app.poll(ends_at - RESERVE).instrument(span).await);
    }
    if name == "subscriptions" {
        let span = tracing::info_span!("subscriptions", request_id);
        return Ok(app.check_subscriptions().instrument(span).await);
    }
    if name == "checkpoint" {
        let span = tracing::info_span!("checkpoint", request_id);
        return app.checkpoint().instrument(span).await;
    }
    let batch_id = event["batch"]["id"].as_str().unwrap_or_default().to_owned();
    let span = tracing::info_span!("task", request_id, task = name, batch_id);
    async {
        let task: Task = serde_json::from_value(event)?;
        let ends = matches!(task, Task::Report { .. } | Task::Fail { .. });
        match certbridge_batch::handle(&app.batches, task, request_id, ends_at).await {
            Ok(answer) => {
                tracing::info!("done");
                if ends {
                    app.tell(&serde_json::from_value(answer.clone())?);
                }
                Ok(answer)
            }
            Err(error) => {
                // A batch that waits for its turn asks again and again.
                if !matches!(error, TaskError::Busy { .. }) {
                    tracing::error!(%error, kind = error.name(), "not done");
                }
                Err(error.into())
            }
        }
    }
    .instrument(span)
    .await
}

impl<S: Heads, R, D, Q, T: Runtime, K: AuditKeys> App<S, R, D, Q, T, K> {
    /// Makes the audit's next checkpoint. One that is refused is an error of the function, and so an alarm.
    async fn checkpoint(&self) -> Result<Value, Failed> {
        let engine = &self.batches.engine;
        let made = async {
            let signer = signer(&self.keys).await?;
            self.batches.notary(signer.as_ref()).make(&engine.store, &engine.runtime).await
        };
        let stored = made.await.inspect_err(|error| {
            tracing::error!(%error, kind = error.name(), "no checkpoint");
        })?;
        let Checkpoint { number, size, rows, .. } = stored.unproven();
        tracing::info!(number, records = size, rows, hash = %stored.unproven().hash(), "a checkpoint was made");
        self.metrics.emit(&[("CheckpointMade", 1.0, Unit::Count)], &[]);
        Ok(json!({"number": number, "size": size, "rows": rows, "hash": stored.unproven().hash()}))
    }
}

impl<S, R, D, Q, T, K> App<S, R, D, Q, T, K> {
    /// One log line and one count per batch.
    fn tell(&self, ended: &Ended) {
        let verdict = ended.verdict;
        tracing::info!(batch_id = %ended.batch_id, ?verdict, headline = ended.mail.subject, "the batch is over");
        if let Some(drift) = ended.drift {
            self.metrics.emit(&[("Drift", 100.0 * drift, Unit::Percent)], &[]);
        }
        let counts = [
            ("BatchEnded", true),
            ("BatchNeedsPerson", verdict == Verdict::NeedsPerson),
            ("BatchFailed", verdict == Verdict::Failed),
        ];
        let counts = counts.map(|(name, counts)| (name, f64::from(u8::from(counts)), Unit::Count));
        self.metrics.emit(&counts, &[]);
    }
}
