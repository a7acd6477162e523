//! What drives batches and polls in process, as the state machine and the schedules do on AWS.

use super::{Functions, INVOCATION, executions::Starts, machine::Execution};
use certbridge_batch::Input;
use certbridge_sync::ports::Runtime;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// How often a checkpoint is made.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Runs the batches that are asked for, first of all those that another process has left unfinished. They queue up for
/// their turn by themselves.
pub(super) async fn batch_driver(functions: Arc<Functions>, mut starts: Starts) {
    let mut running = JoinSet::new();
    match Execution::unfinished(&functions.batch_sync.batches.archive).await {
        Ok(unfinished) => {
            for execution in unfinished {
                running.spawn(run(Arc::clone(&functions), execution));
            }
        }
        Err(error) => tracing::error!(%error, "batches that were left unfinished cannot be read"),
    }
    while let Some(id) = starts.recv().await {
        let input = Input { batch_id: Some(id), ..Input::default() };
        running.spawn(run(Arc::clone(&functions), Execution::new(input, &functions.runtime)));
        while running.try_join_next().is_some() {}
    }
}

async fn run(functions: Arc<Functions>, execution: Execution) {
    match execution.run(&functions.batch_sync.batches).await {
        Ok(ended) => tracing::info!(batch = %ended.batch_id, verdict = ?ended.verdict, "a batch is over"),
        Err(error) => tracing::error!(%error, "a batch could not even be put on record as failed"),
    }
}

/// Polls now and then, for the first time after the first pause.
pub(super) async fn poll_driver(functions: Arc<Functions>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let request_id = format!("{:032x}", functions.runtime.random());
        let ends_at = functions.runtime.now() + INVOCATION.saturating_mul(10);
        let polled = batch_sync::handle(&functions.batch_sync, json!({"task": "poll"}), &request_id, ends_at).await;
        if let Err(error) = polled {
            tracing::error!(%error, "not polled");
        }
    }
}

/// Makes the audit's checkpoints, one a day, as the schedule does on AWS; `certbridge audit checkpoint` makes one now.
pub(super) async fn checkpoint_driver(functions: Arc<Functions>) {
    loop {
        tokio::time::sleep(CHECKPOINT_EVERY).await;
        let request_id = format!("{:032x}", functions.runtime.random());
        let ends_at = functions.runtime.now() + INVOCATION.saturating_mul(10);
        let made = batch_sync::handle(&functions.batch_sync, json!({"task": "checkpoint"}), &request_id, ends_at).await;
        if let Err(error) = made {
            tracing::error!(%error, "no checkpoint");
        }
    }
}
