//! A batch in one process: the tasks of a reconciliation, in their order.

use certbridge_batch::{
    Batch, BatchSync, Begun, Decision, Inventory, Summary, Task, TaskError, Walk, Walks, Wish, handle,
};
use certbridge_sync::ports::{Breakers, Destination, Inbox, Records, RetryQueue, Runtime, Scan, Sources};
use futures::future::try_join;
use jiff::SignedDuration;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long one task may take, as a function's invocation may on AWS.
const INVOCATION: SignedDuration = SignedDuration::from_mins(15);
/// How often a task is tried that fails in a way that may pass.
const TRIES: u32 = 5;

/// How far a batch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many rows of a listing were read.
    Listed(Inventory, u64),
    /// So many partitions of so many were compared.
    Compared(u16, u16),
    /// So many partitions of so many were repaired.
    Repaired(u16, u16),
}

/// Runs a batch from its beginning to its report.
///
/// # Errors
/// The first task that fails for good.
pub async fn run<S, R, D, Q, T>(
    app: &BatchSync<S, R, D, Q, T>,
    wish: Wish,
    progress: impl Fn(Progress),
) -> Result<Summary, TaskError>
where
    S: Inbox + Records + Breakers + Scan,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    let machine = Machine { app, progress };
    let Begun { batch, each, .. } = machine.task(Task::Begin { wish }).await?;
    let (source, destination) =
        try_join(machine.list(&batch, Inventory::Source), machine.list(&batch, Inventory::Destination)).await?;
    // Once both sides were read: what we commit in the meantime is then not taken for a difference.
    let own = machine.list(&batch, Inventory::Own).await?;
    let walks = Walks { source, destination, own };
    for partition in each.iter().copied() {
        let _: u16 = machine.task(Task::Compare { batch: batch.clone(), walks: walks.clone(), partition }).await?;
        (machine.progress)(Progress::Compared(partition + 1, batch.partitions));
    }
    let decision: Decision = machine.task(Task::Decide { batch: batch.clone(), walks: walks.clone() }).await?;
    if decision.repair {
        for partition in each {
            let _: u16 = machine.task(Task::Repair { batch: batch.clone(), partition }).await?;
            (machine.progress)(Progress::Repaired(partition + 1, batch.partitions));
        }
    }
    machine.task(Task::Report { batch, walks, decision }).await
}

struct Machine<'a, S, R, D, Q, T, P> {
    app: &'a BatchSync<S, R, D, Q, T>,
    progress: P,
}

impl<S, R, D, Q, T, P> Machine<'_, S, R, D, Q, T, P>
where
    S: Inbox + Records + Breakers + Scan,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
    P: Fn(Progress),
{
    async fn list(&self, batch: &Batch, side: Inventory) -> Result<Walk, TaskError> {
        let mut walk = Walk::default();
        while !walk.done {
            walk = self.task(Task::List { batch: batch.clone(), side, walk }).await?;
            (self.progress)(Progress::Listed(side, walk.side.rows));
        }
        Ok(walk)
    }

    /// One task, its answer read as a state machine would hand it on.
    async fn task<A: DeserializeOwned>(&self, task: Task) -> Result<A, TaskError> {
        let runtime = &self.app.engine.runtime;
        let mut tries = 1;
        loop {
            let ends_at = runtime.now() + INVOCATION;
            match handle(self.app, task.clone(), &format!("{:032x}", runtime.random()), ends_at).await {
                Ok(answer) => {
                    return serde_json::from_value(answer).map_err(|error| TaskError::Refused(error.to_string()));
                }
                Err(error) if error.name() == "Transient" && tries < TRIES => {
                    tracing::warn!(%error, tries, "a task is tried again");
                    runtime.sleep(Duration::from_secs(2 << tries)).await;
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
