//! What brings a record to be synced: an event from the stream, a pointer from the retry queue, a caller of ours.

use crate::{
    audit::{Action, Actor, Cause, Outcome},
    error::StoreError,
    ports::{Breakers, Destination, Fetched, Inbox, Records, RetryQueue, Runtime, Sources},
    retry::{LONGEST_QUEUE_DELAY, jittered, pause},
    row::{InboxRow, InboxState, Pointer, Reschedule},
    sync::{Engine, Failure, Job, Report, Run, Work},
};
use certbridge_mapping::{Event, Operation, Record, RecordKey};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A pointer may be seen a little before its time: the queue's clock is another one.
const EARLY: SignedDuration = SignedDuration::from_secs(2);

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It is settled.
    Settled(Report),
    /// It is tried again later.
    Later {
        /// When.
        next_at: Timestamp,
        /// How many attempts have failed by now.
        attempt: u32,
        /// Why, for the log.
        reason: String,
    },
    /// It is set aside for a person to look at.
    SetAside {
        /// As quarantined or failed.
        state: InboxState,
        /// Why, for the log.
        reason: String,
    },
    /// There was nothing to do.
    Dropped(&'static str),
}

/// A caller's wish to sync one record now.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    /// The record.
    pub key: RecordKey,
    /// Its state, if the caller gives it; otherwise it is fetched from the source.
    pub given: Option<Record>,
    /// Who calls.
    pub owner: String,
}

impl<S, R, D, Q, T> Engine<S, R, D, Q, T>
where
    S: Inbox + Records + Breakers,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    /// Syncs the record that a pending event speaks of.
    ///
    /// # Errors
    /// Only if the event could neither be settled nor rescheduled: then whoever delivered it must deliver it again.
    pub async fn sync_event(&self, row: &InboxRow, run: &Run) -> Result<Disposition, StoreError> {
        let (InboxState::Pending, Some(event)) = (row.state, &row.event) else {
            return Ok(Disposition::Dropped("not pending"));
        };
        tracing::Span::current().record("record", tracing::field::display(&event.record));
        match self.attempt(row, event, run).await {
            Ok(report) => Ok(Disposition::Settled(report)),
            Err(Failure::Moved) => Ok(Disposition::Dropped("settled by another worker")),
            Err(Failure::Unmappable(problems)) => {
                self.set_aside(row, InboxState::Quarantined, format!("unmappable: {problems}")).await
            }
            Err(Failure::Rejected(reason)) => {
                self.set_aside(row, InboxState::Quarantined, format!("rejected: {reason}")).await
            }
            Err(failure) => self.later(row, event, &failure).await,
        }
    }

    /// Follows a pointer from the retry queue.
    ///
    /// # Errors
    /// As [`Engine::sync_event`].
    pub async fn follow(&self, pointer: &Pointer, run: &Run) -> Result<Disposition, StoreError> {
        match pointer {
            Pointer::Assert(key) => self.assert_again(key, run).await,
            Pointer::Event(key) => match self.store.get(key).await? {
                None => Ok(Disposition::Dropped("no such event")),
                Some(row) if row.state != InboxState::Pending => Ok(Disposition::Dropped("not pending")),
                Some(row) if self.runtime.now() + EARLY < row.next_at => Ok(Disposition::Dropped("before its time")),
                Some(row) => self.sync_event(&row, run).await,
            },
        }
    }

    /// Syncs one record now, for a caller of ours. A push that may have come too late, or was not answered, is
    /// asserted again through the retry queue.
    pub async fn sync_now(&self, request: &SyncRequest, run: &Run) -> Result<Report, Failure> {
        let plan = self.plans.of(&request.key.source).ok_or(Failure::NotFound)?;
        let job = Job {
            key: &request.key,
            plan,
            work: request.given.as_ref().map_or(Work::Newest, Work::Given),
            actor: Actor::Caller { owner: request.owner.clone() },
            cause: Cause::Request { id: run.id.clone() },
            attempt: 0,
            must_push: false,
            settles: None,
        };
        let result = self.perform(&job, run).await;
        if let Err(Failure::Replaced { pushed: true } | Failure::Transient { in_doubt: true, .. }) = &result {
            self.send(Pointer::Assert(request.key.clone()), Duration::from_secs(5)).await;
        }
        result
    }

    /// What [`Engine::sync_now`] would do, without a write anywhere.
    pub async fn dry_run(&self, request: &SyncRequest, run: &Run) -> Result<Report, Failure> {
        let key = &request.key;
        let plan = self.plans.of(&key.source).ok_or(Failure::NotFound)?;
        let row = self.store.read(key).await?;
        let current = row.as_ref().and_then(|row| row.state.as_ref());
        let record = match &request.given {
            Some(record) => record.clone(),
            None => self.look(plan, key, current.map(|state| &state.record), run).await?,
        };
        plan.request(&record).map_err(Failure::Unmappable)?;
        let salt = row.as_ref().and_then(|row| row.salt.clone()).unwrap_or_default();
        Ok(Report {
            outcome: Outcome::Synced,
            action: Action::None,
            changes: self.redactor.changes(plan, key, &salt, current.map(|state| &state.record), &record),
            plan: plan.version().clone(),
            sequence: row.map_or(0, |row| row.audit.sequence),
            destination_request_id: None,
        })
    }

    async fn attempt(&self, row: &InboxRow, event: &Event, run: &Run) -> Result<Report, Failure> {
        let no_plan = || Failure::Transient {
            reason: format!("no definition of {} is in force", event.record.source),
            retry_after: None,
            not_before: None,
            in_doubt: false,
        };
        let job = Job {
            key: &event.record,
            plan: self.plans.of(&event.record.source).ok_or_else(no_plan)?,
            work: match (&event.version, event.operation) {
                (_, Operation::Audit) => Work::Audit,
                (Some(version), _) => Work::Payload { event, version, body: &row.body },
                (None, _) => Work::Hint { event, received_at: row.received_at },
            },
            actor: Actor::Source {
                name: event.record.source.clone(),
                key_id: row.proven_by.clone(),
                on_behalf_of: event.on_behalf_of.clone(),
            },
            cause: Cause::Event {
                id: event.key.to_string(),
                event_type: event.event_type.clone(),
                attempt: row.attempt + 1,
            },
            attempt: row.attempt,
            must_push: row.must_push,
            settles: Some(&event.key),
        };
        self.perform(&job, run).await
    }

    /// Writes down when an event is tried again, or that it failed for good.
    async fn later(&self, row: &InboxRow, event: &Event, failure: &Failure) -> Result<Disposition, StoreError> {
        let now = self.runtime.now();
        let (attempt, next_at) = match self.next_try(row, failure, now) {
            Some(next) => next,
            None => return self.set_aside(row, InboxState::Failed, failure.to_string()).await,
        };
        let replaced = matches!(failure, Failure::Replaced { pushed: true });
        let reason = failure.to_string();
        let to = Reschedule { attempt, next_at, reason: reason.clone(), must_push: row.must_push || replaced };
        if !self.store.reschedule(&row.key, row.attempt, &to).await? {
            if replaced {
                // Another worker settled the event, and our own push may have landed after theirs.
                self.send(Pointer::Assert(event.record.clone()), Duration::from_secs(1)).await;
            }
            return Ok(Disposition::Dropped("another worker has it"));
        }
        let delay = Duration::try_from(next_at.duration_since(now)).unwrap_or_default();
        if delay <= LONGEST_QUEUE_DELAY {
            self.send(Pointer::Event(row.key.clone()), delay).await;
        }
        Ok(Disposition::Later { next_at, attempt, reason })
    }

    /// The attempts by then and the time of the next try; `None` if there is none. Waiting for somebody else's lease,
    /// for a breaker or for more time is no attempt.
    fn next_try(&self, row: &InboxRow, failure: &Failure, now: Timestamp) -> Option<(u32, Timestamp)> {
        let entropy = self.runtime.random();
        let soon = jittered(Duration::from_secs(1), entropy);
        let failed = row.attempt + 1;
        match failure {
            Failure::Leased { until } | Failure::Parked { until, .. } => Some((row.attempt, (*until).max(now) + soon)),
            Failure::OutOfTime | Failure::Replaced { .. } => Some((row.attempt, now + soon)),
            Failure::Transient { retry_after, not_before, .. } => {
                let next_at = now + pause(failed, *retry_after, entropy)?;
                Some((failed, not_before.map_or(next_at, |at| next_at.max(at + soon))))
            }
            _ => Some((failed, now + pause(failed, None, entropy)?)),
        }
    }

    async fn set_aside(&self, row: &InboxRow, state: InboxState, reason: String) -> Result<Disposition, StoreError> {
        if !self.store.set_aside(&row.key, row.attempt, state, &reason).await? {
            return Ok(Disposition::Dropped("another worker has it"));
        }
        Ok(Disposition::SetAside { state, reason })
    }

    /// Pushes a record's newest state again. What goes wrong goes back to the queue.
    async fn assert_again(&self, key: &RecordKey, run: &Run) -> Result<Disposition, StoreError> {
        let Some(plan) = self.plans.of(&key.source) else { return Ok(Disposition::Dropped("no such source")) };
        let job = Job {
            key,
            plan,
            work: Work::Newest,
            actor: Actor::Recovery,
            cause: Cause::Recovery { id: run.id.clone() },
            attempt: 0,
            must_push: true,
            settles: None,
        };
        match self.perform(&job, run).await {
            Ok(report) => Ok(Disposition::Settled(report)),
            Err(Failure::NotFound) => Ok(Disposition::Dropped("no such record")),
            Err(Failure::Store(error)) => Err(error),
            Err(failure) => Err(StoreError::Busy(failure.to_string())),
        }
    }

    /// The record at its source, without a claim.
    async fn look(
        &self,
        plan: &certbridge_mapping::Plan,
        key: &RecordKey,
        current: Option<&Record>,
        run: &Run,
    ) -> Result<Record, Failure> {
        let left = run.left(self.runtime.now());
        let fetched = self.sources.fetch(plan, key, self.settings.fetch_timeout.min(left)).await;
        match fetched {
            Ok(Fetched::Found(document)) => plan.canonical(key, &document, current).map_err(Failure::Unmappable),
            Ok(Fetched::NotFound) => Err(Failure::NotFound),
            Err(error) if !error.is_transient() => Err(Failure::Rejected(error.to_string())),
            Err(error) => Err(Failure::Transient {
                reason: error.to_string(),
                retry_after: error.retry_after,
                not_before: None,
                in_doubt: false,
            }),
        }
    }

    /// Sends a pointer. If that fails, the sweep will find the event.
    async fn send(&self, pointer: Pointer, delay: Duration) {
        if let Err(error) = self.queue.send(&[(pointer, delay)]).await {
            tracing::warn!(%error, "a pointer could not be sent");
        }
    }
}
