//! What brings a record to be synced: an event from the stream, a pointer from the retry queue, a caller of ours.

use crate::{
    audit::{Action, Actor, Cause, Outcome},
    error::StoreError,
    ports::{Breakers, Destination, Inbox, Records, RetryQueue, Runtime, Sources},
    retry::{LONGEST_QUEUE_DELAY, jittered, pause},
    row::{InboxRow, InboxState, Pointer, Reschedule},
    sync::{Engine, Failure, Job, Report, Run, Unsettled, Work},
};
use certbridge_mapping::{Event, EventKey, Operation, Record, RecordKey};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A pointer may be seen a little before its time: the queue's clock is another one.
const EARLY: SignedDuration = SignedDuration::from_secs(2);

/// How soon a state is asserted whose push may have come too late.
pub(crate) const SOON: Duration = Duration::from_secs(3);
/// How soon a record that somebody works on is looked at again.
const LEASED: Duration = Duration::from_secs(3);

fn assertion(record: &RecordKey) -> Pointer {
    Pointer::Assert { record: record.clone(), attempt: 0 }
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It is settled.
    Settled {
        /// How.
        report: Report,
        /// Since when somebody waited for it: it was received then or, if a person had it run again, that was asked for
        /// then. A state that was asserted was not an event.
        since: Option<Timestamp>,
    },
    /// It is tried again later.
    Later {
        /// When.
        next_at: Timestamp,
        /// How many attempts have failed by now.
        attempt: u32,
        /// Why, for the log.
        reason: String,
        /// When the event was received. A state that is to be asserted was not.
        received_at: Option<Timestamp>,
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
        let unsettled = match self.attempt(row, event, run).await {
            Ok(report) => {
                let since = row.replay.as_ref().map_or(row.received_at, |replay| replay.at);
                return Ok(Disposition::Settled { report, since: Some(since) });
            }
            Err(unsettled) => unsettled,
        };
        let disposition = match &unsettled.failure {
            Failure::Moved => Disposition::Dropped("settled by another worker"),
            Failure::Unmappable(_) | Failure::Rejected(_) | Failure::NotFound => {
                self.set_aside(row, InboxState::Quarantined, unsettled.failure.to_string()).await?
            }
            _ => self.later(row, &unsettled).await?,
        };
        if unsettled.in_doubt && !matches!(disposition, Disposition::Later { .. }) {
            // No event stays pending that would push again.
            self.send(assertion(&event.record), SOON).await;
        }
        Ok(disposition)
    }

    /// Follows a pointer from the retry queue.
    ///
    /// # Errors
    /// As [`Engine::sync_event`].
    pub async fn follow(&self, pointer: &Pointer, run: &Run) -> Result<Disposition, StoreError> {
        match pointer {
            Pointer::Assert { record, attempt } => self.assert_again(record, *attempt, run).await,
            Pointer::Event(key) => match self.due(key).await? {
                Ok(row) => self.sync_event(&row, run).await,
                Err(why) => Ok(Disposition::Dropped(why)),
            },
        }
    }

    /// The event that a pointer leads to, or why there is nothing to do for it now.
    ///
    /// # Errors
    /// As [`Engine::sync_event`].
    pub async fn due(&self, key: &EventKey) -> Result<Result<InboxRow, &'static str>, StoreError> {
        Ok(match self.store.get(key).await? {
            None => Err("no such event"),
            Some(row) if row.state != InboxState::Pending => Err("not pending"),
            Some(row) if self.runtime.now() + EARLY < row.next_at => Err("before its time"),
            Some(row) => Ok(row),
        })
    }

    /// Syncs one record now, for a caller of ours. A push that may have come too late, or was not answered, is
    /// asserted again through the retry queue.
    pub async fn sync_now(&self, request: &SyncRequest, run: &Run) -> Result<Report, Unsettled> {
        let result = self.perform(&self.wished(request, run)?, run).await;
        if matches!(&result, Err(unsettled) if unsettled.in_doubt) {
            self.send(assertion(&request.key), SOON).await;
        }
        result
    }

    /// What [`Engine::sync_now`] would do, without a claim and without a write to any record.
    pub async fn dry_run(&self, request: &SyncRequest, run: &Run) -> Result<Report, Failure> {
        let job = self.wished(request, run)?;
        let row = self.store.read(job.key).await?;
        let current = row.as_ref().and_then(|row| row.state.as_ref());
        let target = self.target(&job, row.as_ref(), false, run).await?;
        let record = target.record.ok_or(Failure::NotFound)?;
        job.plan.request(&record).map_err(Failure::Unmappable)?;
        self.check_location(&job, current, &record, run).await?;
        let salt = row.as_ref().and_then(|row| row.salt.clone()).unwrap_or_default();
        let before = current.map(|state| &state.record);
        Ok(Report {
            outcome: Outcome::Synced,
            action: Action::None,
            changes: self.redactor.changes(&job.plan, job.key, &salt, before, &record),
            plan: job.plan.version().clone(),
            sequence: row.map_or(0, |row| row.audit.sequence),
            destination_request_id: None,
        })
    }

    /// The job of a caller's wish.
    fn wished<'a>(&'a self, request: &'a SyncRequest, run: &Run) -> Result<Job<'a>, Failure> {
        Ok(Job {
            key: &request.key,
            plan: self.plans.of(&request.key.source).ok_or(Failure::NotFound)?,
            work: request.given.as_ref().map_or(Work::Newest, Work::Given),
            actor: Actor::Caller { owner: request.owner.clone() },
            cause: Cause::Request { id: run.id.clone() },
            asked_at: Some(self.runtime.now()),
            attempt: 0,
            unseen: 0,
            must_push: false,
            settles: None,
        })
    }

    async fn attempt(&self, row: &InboxRow, event: &Event, run: &Run) -> Result<Report, Unsettled> {
        let no_plan = || Failure::Transient {
            reason: format!("no definition of {} is in force", event.record.source),
            retry_after: None,
        };
        let job = Job {
            key: &event.record,
            plan: self.plans.of(&event.record.source).ok_or_else(no_plan)?,
            work: match (&event.version, event.operation) {
                (_, Operation::Audit) => Work::Audit,
                (Some(version), _) => Work::Payload { event, version, body: &row.body },
                (None, _) => Work::Hint { event, received_at: row.received_at },
            },
            actor: match &row.replay {
                Some(replay) => Actor::Caller { owner: replay.by.clone() },
                None => Actor::Source {
                    name: event.record.source.clone(),
                    key_id: row.proven_by.clone(),
                    on_behalf_of: event.on_behalf_of.clone(),
                },
            },
            // The row's own key: what was set apart, or could not be read at first, stands under another than the event's.
            cause: Cause::Event {
                id: row.key.to_string(),
                event_type: event.event_type.clone(),
                attempt: row.attempt + 1,
            },
            asked_at: row.replay.as_ref().map(|replay| replay.at),
            attempt: row.attempt,
            unseen: row.unseen,
            must_push: row.must_push,
            settles: Some(&row.key),
        };
        self.perform(&job, run).await
    }

    /// Writes down when an event is tried again, or that it failed for good.
    async fn later(&self, row: &InboxRow, unsettled: &Unsettled) -> Result<Disposition, StoreError> {
        let now = self.runtime.now();
        let reason = unsettled.failure.to_string();
        let since = row.replay.as_ref().map_or(0, |replay| replay.attempt);
        let next = self.next_try(row.attempt.saturating_sub(since), unsettled, now);
        let Some((attempt, next_at)) = next.map(|(failed, at)| (since + failed, at)) else {
            return self.set_aside(row, InboxState::Failed, reason).await;
        };
        let to = Reschedule {
            attempt,
            next_at,
            unseen: row.unseen + u32::from(matches!(unsettled.failure, Failure::NotVisible(_))),
            reason: reason.clone(),
            // The doubt of other failures is the record's own, by its two fences; of this one, only this worker knows.
            must_push: matches!(unsettled.failure, Failure::Replaced { pushed: true }),
        };
        if !self.store.reschedule(&row.key, row.attempt, &to).await? {
            return Ok(Disposition::Dropped("another worker has it"));
        }
        let delay = Duration::try_from(next_at.duration_since(now)).unwrap_or_default();
        if delay <= LONGEST_QUEUE_DELAY {
            self.send(Pointer::Event(row.key.clone()), delay).await;
        }
        Ok(Disposition::Later { next_at, attempt, reason, received_at: Some(row.received_at) })
    }

    /// The failed attempts by then and the time of the next try; `None` if there is none. Waiting for somebody else's
    /// lease, for a breaker or for more time is no attempt.
    fn next_try(&self, attempt: u32, unsettled: &Unsettled, now: Timestamp) -> Option<(u32, Timestamp)> {
        let entropy = self.runtime.random();
        let soon = jittered(Duration::from_secs(1), entropy);
        let failed = attempt + 1;
        match &unsettled.failure {
            // Most leases end long before their time, so it is worth another look.
            Failure::Leased { until } => Some((attempt, (*until + soon).min(now + jittered(LEASED, entropy)))),
            Failure::Parked { until, .. } => Some((attempt, (*until).max(now) + soon)),
            Failure::OutOfTime | Failure::Replaced { .. } => {
                Some((attempt, unsettled.not_before.map_or(now + soon, |at| at + soon)))
            }
            failure => {
                let asked = if let Failure::Transient { retry_after, .. } = failure { *retry_after } else { None };
                let next_at = now + pause(failed, asked, entropy)?;
                Some((failed, unsettled.not_before.map_or(next_at, |at| next_at.max(at + soon))))
            }
        }
    }

    async fn set_aside(&self, row: &InboxRow, state: InboxState, reason: String) -> Result<Disposition, StoreError> {
        if !self.store.set_aside(&row.key, row.attempt, state, &reason).await? {
            return Ok(Disposition::Dropped("another worker has it"));
        }
        Ok(Disposition::SetAside { state, reason })
    }

    /// Pushes a record's newest state again. What goes wrong in a way that may pass goes back to the queue, as a pointer
    /// of its own: a parked provider must not use up the patience of the queue.
    async fn assert_again(&self, key: &RecordKey, attempt: u32, run: &Run) -> Result<Disposition, StoreError> {
        let Some(plan) = self.plans.of(&key.source) else { return Ok(Disposition::Dropped("no such source")) };
        let job = Job {
            key,
            plan,
            work: Work::Newest,
            actor: Actor::Recovery,
            cause: Cause::Recovery { id: run.id.clone() },
            asked_at: None,
            attempt,
            unseen: 0,
            must_push: true,
            settles: None,
        };
        let unsettled = match self.perform(&job, run).await {
            Ok(report) => return Ok(Disposition::Settled { report, since: None }),
            Err(unsettled) => unsettled,
        };
        let reason = unsettled.failure.to_string();
        let now = self.runtime.now();
        let hopeless = matches!(unsettled.failure, Failure::NotFound | Failure::Unmappable(_) | Failure::Rejected(_));
        match self.next_try(attempt, &unsettled, now).filter(|_| !hopeless) {
            None => {
                tracing::error!(record = %key, reason, "a state could not be asserted");
                Ok(Disposition::Dropped("left to reconciliation"))
            }
            Some((attempt, next_at)) => {
                let delay =
                    Duration::try_from(next_at.duration_since(now)).unwrap_or_default().min(LONGEST_QUEUE_DELAY);
                // Nothing else remembers it, so a pointer that cannot be sent is a failure.
                self.queue.send(&[(Pointer::Assert { record: key.clone(), attempt }, delay)]).await?;
                Ok(Disposition::Later { next_at: now + delay, attempt, reason, received_at: None })
            }
        }
    }

    /// Sends a pointer. If that fails, the sweep will find the event.
    pub(crate) async fn send(&self, pointer: Pointer, delay: Duration) {
        if let Err(error) = self.queue.send(&[(pointer, delay)]).await {
            tracing::warn!(%error, "a pointer could not be sent");
        }
    }
}
