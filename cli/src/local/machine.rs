//! The state machine of a batch in one process: the same tasks in the same order as `template.yaml` has them, one at a time.
//!
//! Where an execution stands is written down after each task, so one whose process died goes on from there.

use certbridge_archive::{Archive, ArchiveError};
use certbridge_batch::{
    BatchSync, Begun, Caught, Compared, Decision, Ended, Input, Inventory, Repaired, Start, Tables, Task, TaskError,
    Walk, Walks, handle,
};
use certbridge_sync::{
    batches::BatchId,
    ports::{Destination, RetryQueue, Runtime, Sources},
};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::time::Duration;

/// How long one task may take, as a function's invocation may on AWS.
const INVOCATION: SignedDuration = SignedDuration::from_mins(15);
/// How often a task is tried that fails in a way that may pass.
const TRIES: u32 = 5;
/// How long is waited for another batch to end, between two looks.
const BUSY: Duration = Duration::from_secs(2);

/// An execution of the state machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    start: Start,
    state: State,
}

/// Where it stands: what is to be done next, with what was handed on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum State {
    Begin,
    List { begun: Begun },
    Compare { begun: Begun, compared: Vec<Compared> },
    Decide { begun: Begun, compared: Vec<Compared> },
    Repair { begun: Begun, decision: Decision, partition: u16, repaired: Repaired },
    Report { begun: Begun, decision: Decision },
    Ended { ended: Box<Ended> },
}

impl Execution {
    /// An execution that is to begin.
    pub fn new(input: Input, runtime: &impl Runtime) -> Self {
        let name = input.batch_id.as_ref().map_or_else(|| format!("{:032x}", runtime.random()), BatchId::to_string);
        Self {
            start: Start { input, execution: format!("local:{name}"), started_at: runtime.now() },
            state: State::Begin,
        }
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<&Ended> {
        match &self.state {
            State::Ended { ended } => Some(ended),
            _ => None,
        }
    }

    /// The executions that stand written down and have not ended.
    ///
    /// # Errors
    /// The archive fails.
    pub async fn unfinished(archive: &Archive) -> Result<Vec<Self>, ArchiveError> {
        let mut unfinished = Vec::new();
        for path in archive.list("executions").await? {
            unfinished.extend(archive.get_json::<Self>(&path).await?.filter(|one| one.ended().is_none()));
        }
        Ok(unfinished)
    }

    /// Runs it to its end. A batch that comes to nothing ends, too: as failed.
    ///
    /// # Errors
    /// Not even that could be put on record.
    pub async fn run<S, R, D, Q, T>(self, app: &BatchSync<S, R, D, Q, T>) -> Result<Ended, TaskError>
    where
        S: Tables,
        R: Sources,
        D: Destination,
        Q: RetryQueue,
        T: Runtime,
    {
        let mut execution = self;
        loop {
            execution.write_down(&app.archive).await?;
            if let State::Ended { ended } = execution.state {
                return Ok(*ended);
            }
            execution = execution.step(app).await?;
        }
    }

    async fn write_down(&self, archive: &Archive) -> Result<(), ArchiveError> {
        let name = self.start.execution.trim_start_matches("local:");
        archive.put_json(&format!("executions/{name}.json"), self).await
    }

    /// Does the next task. One that fails for good ends the batch as failed.
    ///
    /// # Errors
    /// Not even that could be put on record.
    pub async fn step<S, R, D, Q, T>(self, app: &BatchSync<S, R, D, Q, T>) -> Result<Self, TaskError>
    where
        S: Tables,
        R: Sources,
        D: Destination,
        Q: RetryQueue,
        T: Runtime,
    {
        let Self { start, state } = self;
        let state = match next(app, &start, state).await {
            Ok(state) => state,
            Err(error) => {
                let caught = Caught { error: error.name().to_owned(), cause: error.to_string() };
                State::Ended { ended: tried(app, &Task::Fail { start: start.clone(), error: caught }).await? }
            }
        };
        Ok(Self { start, state })
    }
}

async fn next<S, R, D, Q, T>(app: &BatchSync<S, R, D, Q, T>, start: &Start, state: State) -> Result<State, TaskError>
where
    S: Tables,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    Ok(match state {
        State::Begin => State::List { begun: tried(app, &Task::Begin(start.clone())).await? },
        State::List { mut begun } => match unread(&mut begun.walks) {
            None => State::Compare { begun, compared: Vec::new() },
            Some((side, walk)) => {
                *walk = tried(app, &Task::List { batch: begun.batch.clone(), side, walk: walk.clone() }).await?;
                State::List { begun }
            }
        },
        State::Compare { begun, mut compared } => match begun.each.get(compared.len()) {
            None => State::Decide { begun, compared },
            Some(&partition) => {
                let Begun { batch, walks, .. } = begun.clone();
                compared.push(tried(app, &Task::Compare { batch, walks, partition }).await?);
                State::Compare { begun, compared }
            }
        },
        State::Decide { begun, compared } => {
            let Begun { batch, walks, .. } = begun.clone();
            let decision: Decision = tried(app, &Task::Decide { batch, walks, compared }).await?;
            if decision.repair { repair(begun, decision, 0) } else { State::Report { begun, decision } }
        }
        State::Repair { begun, decision, partition, repaired } => {
            app.engine.runtime.sleep(Duration::from_secs(repaired.wait_seconds)).await;
            let task = Task::Repair { batch: begun.batch.clone(), partition, repaired };
            match tried::<_, _, _, _, _, Repaired>(app, &task).await {
                Ok(repaired) if !repaired.done => State::Repair { begun, decision, partition, repaired },
                Ok(_) => repair(begun, decision, partition + 1),
                // One partition's repair that fails is that one's alone; the report says so.
                Err(error) => {
                    tracing::error!(%error, partition, "a partition's repair failed");
                    repair(begun, decision, partition + 1)
                }
            }
        }
        State::Report { begun, decision } => {
            let Begun { batch, walks, .. } = begun;
            State::Ended { ended: tried(app, &Task::Report { batch, walks, decision }).await? }
        }
        ended @ State::Ended { .. } => ended,
    })
}

/// The listing that is to be read on: ours last, once both sides were read.
fn unread(walks: &mut Walks) -> Option<(Inventory, &mut Walk)> {
    let sides = [
        (Inventory::Source, &mut walks.source),
        (Inventory::Destination, &mut walks.destination),
        (Inventory::Own, &mut walks.own),
    ];
    sides.into_iter().find(|(_, walk)| !walk.done)
}

fn repair(begun: Begun, decision: Decision, partition: u16) -> State {
    if partition < begun.batch.partitions {
        State::Repair { begun, decision, partition, repaired: Repaired::default() }
    } else {
        State::Report { begun, decision }
    }
}

/// One task, its answer read as a state machine would hand it on.
async fn tried<S, R, D, Q, T, A>(app: &BatchSync<S, R, D, Q, T>, task: &Task) -> Result<A, TaskError>
where
    S: Tables,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
    A: DeserializeOwned,
{
    let runtime = &app.engine.runtime;
    let mut tries = 1;
    loop {
        let ends_at = runtime.now() + INVOCATION;
        match handle(app, task.clone(), &format!("{:032x}", runtime.random()), ends_at).await {
            Ok(answer) => {
                return serde_json::from_value(answer).map_err(|error| TaskError::Refused(error.to_string()));
            }
            Err(TaskError::Busy { .. }) => runtime.sleep(BUSY).await,
            Err(error) if error.name() == "Transient" && tries < TRIES => {
                tracing::warn!(%error, tries, "a task is tried again");
                runtime.sleep(Duration::from_secs(2 << tries)).await;
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}
