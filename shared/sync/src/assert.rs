//! Telling the destination of many states at once: what reconciliation repairs, and what a caller gives in a batch.
//!
//! Each record is claimed, audited and committed by itself, as in any other sync; only the request is shared.

use crate::{
    audit::{Actor, Cause, Outcome},
    error::RemoteClass,
    event::SOON,
    ports::{Breakers, Destination, Inbox, Pushed, Records, RetryQueue, Runtime, Sources},
    row::{Claim, Pointer, RecordRow, RecordState},
    sync::{Done, Engine, Failure, Job, Report, Run, Stopped, Unsettled, Work},
};
use certbridge_mapping::{Plan, Record, RecordKey, Request, digest::sha256_of_parts};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use std::{sync::Arc, time::Duration};

/// How long a destination is left alone that wants less of us and does not say for how long.
const PAUSE: Duration = Duration::from_secs(30);

/// A state that the destination is to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    /// The record.
    pub key: RecordKey,
    /// Its state.
    pub record: Record,
    /// When the request began that read it from a listing. It is told only if the record was untouched since. A
    /// caller's own state has none.
    pub listed_at: Option<Timestamp>,
}

/// Why nothing is told of a record whose source has no plan.
const NO_PLAN: &str = "no definition of its source is in force";

/// What became of an assertion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asserted {
    /// The destination was told, and it is on record.
    Done(Report),
    /// It was told this very state after it was listed: by an earlier try whose caller died, or by an event.
    Already,
    /// Somebody works on the record, or has since it was listed.
    InFlight(String),
    /// The destination wants less of us: it may be tried again after this.
    Later(Duration),
    /// It could not be done. Where the destination may have been told, that is asserted again through the retry queue.
    Failed(String),
}

/// On whose account, and why.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    /// The batch.
    pub id: &'a str,
    /// Who.
    pub actor: Actor,
}

/// A claimed record, with what is to be told of it.
struct Prepared {
    claim: Claim,
    request: Request,
    state: RecordState,
}

impl<S, R, D, Q, T> Engine<S, R, D, Q, T>
where
    S: Inbox + Records + Breakers,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    /// Tells the destination of several states in one request: at most as many as its definition allows, each of
    /// another record. Says what became of each, in their order.
    pub async fn assert_chunk<'a>(
        &'a self,
        batch: &Batch<'_>,
        assertions: &'a [Assertion],
        run: &Run,
    ) -> Vec<Asserted> {
        let job = |of: &'a Assertion| self.job(batch, &of.key, Work::Given(&of.record));
        let jobs: Vec<_> = assertions.iter().map(job).collect();
        let prepared = join_all(jobs.iter().zip(assertions).map(async |(job, assertion)| match job {
            Some(job) => self.prepare(job, assertion, run).await,
            None => Err(Asserted::Failed(NO_PLAN.to_owned())),
        }))
        .await;
        let ready: Vec<_> =
            jobs.iter().zip(&prepared).filter_map(|(job, of)| Some((job.as_ref()?, of.as_ref().ok()?))).collect();
        let told = self.tell_all(batch, &ready, run).await;
        let ends = ready.into_iter().zip(told).map(async |((job, of), told)| self.end(job, of, told, run).await);
        let mut ended = join_all(ends).await.into_iter();
        let outcome = |prepared: Result<_, Asserted>| match prepared {
            // Exactly those that were prepared were told.
            Ok(_) => ended.next().unwrap_or_else(|| Asserted::Failed("not told".to_owned())),
            Err(asserted) => asserted,
        };
        prepared.into_iter().map(outcome).collect()
    }

    /// Tells the destination of the newest state of a record, as its source shows it.
    pub async fn assert_newest(&self, batch: &Batch<'_>, key: &RecordKey, run: &Run) -> Asserted {
        match self.job(batch, key, Work::Newest) {
            Some(job) => self.asserted(key, self.perform(&job, run).await, None).await,
            None => Asserted::Failed(NO_PLAN.to_owned()),
        }
    }

    fn job<'a>(&'a self, batch: &Batch<'_>, key: &'a RecordKey, work: Work<'a>) -> Option<Job<'a>> {
        Some(Job {
            key,
            plan: self.plans.of(&key.source)?,
            work,
            actor: batch.actor.clone(),
            cause: Cause::Batch { id: batch.id.to_owned() },
            asked_at: None,
            attempt: 0,
            unseen: 0,
            must_push: false,
            settles: None,
        })
    }

    /// Claims a record, if nobody has touched it since it was listed.
    async fn prepare(&self, job: &Job<'_>, assertion: &Assertion, run: &Run) -> Result<Prepared, Asserted> {
        let claim = match self.claim(job, run).await {
            Ok(claim) => claim,
            Err(failure @ Failure::Leased { .. }) => return Err(Asserted::InFlight(failure.to_string())),
            Err(failure) => return Err(Asserted::Failed(failure.to_string())),
        };
        if let Some(listed_at) = assertion.listed_at {
            if touched(&claim.row, listed_at, self.settings.clock_skew) {
                self.give_up(&claim, Failure::Moved.into()).await;
                let told = !claim.must_push && told(job, &claim.row, &assertion.record);
                let moved = || Asserted::InFlight("it was synced after it was listed".to_owned());
                return Err(if told { Asserted::Already } else { moved() });
            }
            if claim.must_push {
                // Somebody may have told of something newer than the listing, and died: only a fetch can tell.
                self.give_up(&claim, Failure::Moved.into()).await;
                let newest = Job {
                    work: Work::Newest,
                    must_push: true,
                    plan: Arc::clone(&job.plan),
                    actor: job.actor.clone(),
                    cause: job.cause.clone(),
                    ..*job
                };
                return Err(match self.asserted(job.key, self.perform(&newest, run).await, None).await {
                    // Where the source shows nothing, what is held was told again, which is no deletion.
                    Asserted::Done(_) if assertion.record.is_deleted() => {
                        Asserted::InFlight("it was in doubt, and its newest state was told first".to_owned())
                    }
                    asserted => asserted,
                });
            }
        }
        match self.tellable(&job.plan, job, &claim, &assertion.record, run).await {
            Ok((request, state)) => Ok(Prepared { claim, request, state }),
            Err(failure) => Err(self.asserted(job.key, Err(self.give_up(&claim, failure.into()).await), None).await),
        }
    }

    async fn tellable(
        &self,
        plan: &Plan,
        job: &Job<'_>,
        claim: &Claim,
        record: &Record,
        run: &Run,
    ) -> Result<(Request, RecordState), Failure> {
        let request = plan.request(record).map_err(Failure::Unmappable)?;
        let current = claim.row.state.as_ref();
        self.check_location(job, current, record, run).await?;
        let state = RecordState {
            fingerprint: request.fingerprint(),
            plan: plan.version().clone(),
            version: current.and_then(|state| state.version.clone()),
            synced_at: self.runtime.now(),
            record: record.clone(),
        };
        Ok((request, state))
    }

    /// Sends the requests at once, or one by one where the destination does not take them at once.
    async fn tell_all(
        &self,
        batch: &Batch<'_>,
        ready: &[(&Job<'_>, &Prepared)],
        run: &Run,
    ) -> Vec<Result<Pushed, Stopped>> {
        let Some((first, _)) = ready.first() else { return Vec::new() };
        let requests: Vec<_> = ready.iter().map(|(_, of)| of.request.clone()).collect();
        let claims: Vec<_> = ready.iter().map(|(job, of)| format!("{}#{}", job.key, of.claim.fence)).collect();
        let idempotency_key = sha256_of_parts(claims.iter().map(String::as_bytes));
        let provider = self.destination_name(first);
        let call = |timeout| self.destination.push_batch(batch.id, &requests, &idempotency_key, timeout);
        match self.tried(&provider, self.settings.push_timeout, run, call).await {
            Ok((results, before)) => {
                let mut told = Vec::with_capacity(results.len());
                for result in results {
                    told.push(match result {
                        Ok(pushed) => Ok(pushed),
                        Err(error) => {
                            // That it is refused now says nothing of an earlier try that was not answered.
                            let effect = error.effect().max(before);
                            let class = Some(error.class);
                            Err(Stopped { failure: self.failed(&provider, error).await, effect, class })
                        }
                    });
                }
                told
            }
            // That they are refused together says nothing of any one of them.
            Err(Stopped { class: Some(RemoteClass::Misrouted | RemoteClass::Rejected), effect, .. }) => {
                let one_by_one = ready.iter().map(async |(job, of)| {
                    let pushed = self.push(job, &of.claim, &of.request, run).await;
                    pushed.map_err(|stopped| Stopped { effect: stopped.effect.max(effect), ..stopped })
                });
                join_all(one_by_one).await
            }
            Err(stopped) => {
                ready.iter().map(|_| Err(Stopped { failure: stopped.failure.clone(), ..stopped })).collect()
            }
        }
    }

    async fn end(&self, job: &Job<'_>, of: &Prepared, told: Result<Pushed, Stopped>, run: &Run) -> Asserted {
        let result = match told {
            Ok(pushed) => {
                let done = Done {
                    outcome: if of.state.record.is_deleted() { Outcome::Deleted } else { Outcome::Synced },
                    pushed: Some(pushed),
                    state: Some(of.state.clone()),
                    // A listing may be behind the source's own events: it covers none.
                    fetched_at: None,
                };
                self.commit(job, &of.claim, &done, run).await
            }
            Err(stopped) => {
                let class = stopped.class;
                let unsettled = self.give_up(&of.claim, stopped).await;
                return self.asserted(job.key, Err(unsettled), class).await;
            }
        };
        self.asserted(job.key, result, None).await
    }

    /// What a result means for whoever asserts; `class` is what became of the last request that failed.
    async fn asserted(
        &self,
        key: &RecordKey,
        result: Result<Report, Unsettled>,
        class: Option<RemoteClass>,
    ) -> Asserted {
        let unsettled = match result {
            Ok(report) => return Asserted::Done(report),
            Err(unsettled) => unsettled,
        };
        if unsettled.in_doubt {
            self.send(Pointer::Assert { record: key.clone(), attempt: 0 }, SOON).await;
        }
        match unsettled.failure {
            failure @ (Failure::Leased { .. } | Failure::Moved) => Asserted::InFlight(failure.to_string()),
            Failure::Transient { retry_after: Some(wait), .. } => Asserted::Later(wait),
            Failure::Transient { .. } if class == Some(RemoteClass::Throttled) => Asserted::Later(PAUSE),
            failure => Asserted::Failed(failure.to_string()),
        }
    }
}

/// Whether what was last told of a record is this very state, by this very plan.
fn told(job: &Job<'_>, row: &RecordRow, record: &Record) -> bool {
    let last = row.state.as_ref().filter(|state| state.plan == *job.plan.version());
    last.zip(job.plan.request(record).ok()).is_some_and(|(last, request)| last.fingerprint == request.fingerprint())
}

/// Whether something was committed of a record that may be newer than what a listing showed. The clocks may differ.
pub(crate) fn touched(row: &RecordRow, listed_at: Timestamp, skew: SignedDuration) -> bool {
    let synced_at = row.state.as_ref().map(|state| state.synced_at);
    [synced_at, row.fetched_at].into_iter().flatten().any(|at| at + skew >= listed_at)
}
