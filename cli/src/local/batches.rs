//! What drives batches and polls in process, as the state machine and the schedules do on AWS.

use super::{Functions, INVOCATION, executions::Starts, machine::Execution, notices::LocalNotices};
use certbridge_batch::Input;
use certbridge_sync::{notice::Bus, ports::Runtime};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// How often our subscriptions are looked at.
pub(super) const SUBSCRIPTIONS_EVERY: Duration = Duration::from_secs(3600);
/// How often a checkpoint is made; `certbridge audit checkpoint` makes one now.
pub(super) const CHECKPOINT_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Runs the batches that are asked for, first of all those that another process has left unfinished. They queue up for
/// their turn by themselves.
pub(super) async fn batch_driver(functions: Arc<Functions>, mut starts: Starts, bus: LocalNotices) {
    let mut running = JoinSet::new();
    match Execution::unfinished(&functions.batch_sync.batches.archive).await {
        Ok(unfinished) => {
            for execution in unfinished {
                running.spawn(run(Arc::clone(&functions), execution, bus.clone()));
            }
        }
        Err(error) => tracing::error!(%error, "batches that were left unfinished cannot be read"),
    }
    while let Some(id) = starts.recv().await {
        let input = Input { batch_id: Some(id), ..Input::default() };
        let execution = Execution::new(input, &functions.runtime);
        running.spawn(run(Arc::clone(&functions), execution, bus.clone()));
        while running.try_join_next().is_some() {}
    }
}

async fn run(functions: Arc<Functions>, execution: Execution, bus: LocalNotices) {
    match execution.run(&functions.batch_sync.batches).await {
        Ok(ended) => {
            tracing::info!(batch = %ended.batch_id, verdict = ?ended.verdict, "a batch is over");
            let unsent = bus.put(&ended.notice.into_iter().collect::<Vec<_>>()).await;
            if !unsent.is_empty() {
                tracing::warn!(batch = %ended.batch_id, "nobody is told that a batch is over");
            }
        }
        Err(error) => tracing::error!(%error, "a batch could not even be put on record as failed"),
    }
}

/// Has a task of `batch-sync` done now and then, as its schedule does on AWS: for the first time after the first pause.
pub(super) async fn task_driver(functions: Arc<Functions>, task: &'static str, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let request_id = format!("{:032x}", functions.runtime.random());
        let ends_at = functions.runtime.now() + INVOCATION.saturating_mul(10);
        let done = batch_sync::handle(&functions.batch_sync, json!({ "task": task }), &request_id, ends_at).await;
        if let Err(error) = done {
            tracing::error!(%error, task, "not done");
        }
    }
}
