//! Syncing one record: claim, fetch, map, compare, push, commit.
//!
//! The claim comes first, so everything after it is read and done by one worker at a time; the commit comes last and
//! names the claim's fence, so a worker who was too slow changes nothing of ours. What it may have changed at the
//! destination is why a claim that ended in doubt makes the next one push.

use crate::{
    audit::{Action, Actor, AuditRow, Cause, Change, Entry, Outcome, Redactor},
    breaker::BreakerBoard,
    error::{Effect, RemoteClass, StoreError},
    in_force::{Control, InForce, Refreshed},
    ports::{
        Breakers, ClaimError, CommitError, Destination, Fetched, Inbox, Pushed, Records, RetryQueue, Runtime, Sources,
    },
    retry::jittered,
    row::{Claim, Commit, Lease, RecordRow, RecordState, Release, Settle},
};
use certbridge_mapping::{
    Definitions, Document, Event, EventKey, Operation, Plan, PlanVersion, Problems, Record, RecordKey, Version,
    definition::Content,
};
use jiff::{SignedDuration, Timestamp};
use std::{
    cmp::Ordering,
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

/// The plans from every source to the one destination. They may be replaced while they are in use; a plan that was taken
/// out stays what it was.
#[derive(Debug)]
pub struct Plans {
    destination: String,
    current: RwLock<Arc<BTreeMap<String, Arc<Plan>>>>,
}

impl Plans {
    /// The plans to the destination of this name; `None` if no definition has it.
    pub fn new(definitions: &Definitions, destination: &str) -> Option<Self> {
        let plans = plans(definitions, destination)?;
        Some(Self { destination: destination.to_owned(), current: RwLock::new(Arc::new(plans)) })
    }

    /// The name of the destination.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// All plans, by their sources' names.
    pub fn all(&self) -> Vec<Arc<Plan>> {
        self.current().values().cloned().collect()
    }

    /// The plan of a source, by its definition's name or an alias.
    pub fn of(&self, source: &str) -> Option<Arc<Plan>> {
        let plans = self.current();
        let named = |plan: &&Arc<Plan>| plan.source().aliases.iter().any(|alias| alias == source);
        plans.get(source).or_else(|| plans.values().find(named)).cloned()
    }

    /// Puts the plans of other definitions in the place of these. `false`, and nothing is replaced, if none of them
    /// defines the destination.
    #[must_use]
    fn replace(&self, definitions: &Definitions) -> bool {
        let Some(plans) = plans(definitions, &self.destination) else { return false };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(plans);
        true
    }

    fn current(&self) -> Arc<BTreeMap<String, Arc<Plan>>> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Clone for Plans {
    fn clone(&self) -> Self {
        Self { destination: self.destination.clone(), current: RwLock::new(self.current()) }
    }
}

fn plans(definitions: &Definitions, destination: &str) -> Option<BTreeMap<String, Arc<Plan>>> {
    let destination = definitions.destination(destination)?;
    let plan = |source: &Arc<_>| Arc::new(Plan::new(Arc::clone(source), Arc::clone(destination)));
    Some(definitions.sources().map(|source| (source.name.clone(), plan(source))).collect())
}

/// What a deployment may want otherwise.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The longest that one request to a source may take.
    pub fetch_timeout: Duration,
    /// The longest that one request to the destination may take.
    pub push_timeout: Duration,
    /// The longest that looking a location up may take: it is only a check.
    pub location_timeout: Duration,
    /// How many times a request is tried within one claim.
    pub quick_tries: u32,
    /// How far two clocks of ours may be apart: leases outlive their workers by it.
    pub clock_skew: SignedDuration,
    /// Once the source has shown it this many times, what it shows is believed even if the event says otherwise.
    pub visibility_attempts: u32,
    /// How long a settled inbox row is kept.
    pub retention: SignedDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            fetch_timeout: Duration::from_secs(8),
            push_timeout: Duration::from_secs(10),
            location_timeout: Duration::from_secs(3),
            quick_tries: 4,
            clock_skew: SignedDuration::from_secs(2),
            visibility_attempts: 3,
            retention: SignedDuration::from_hours(30 * 24),
        }
    }
}

/// The use cases with everything that they need.
#[derive(Debug)]
pub struct Engine<S, R, D, Q, T> {
    /// Inbox, records and breakers.
    pub store: S,
    /// The sources.
    pub sources: R,
    /// The destination.
    pub destination: D,
    /// The retry queue.
    pub queue: Q,
    /// Time and randomness.
    pub runtime: T,
    /// The definitions in force.
    pub in_force: InForce,
    /// The plans in force.
    pub plans: Plans,
    /// What hides personal values in the trail.
    pub redactor: Redactor,
    /// The breakers of this process.
    pub breakers: BreakerBoard,
    /// What the deployment wants otherwise.
    pub settings: Settings,
}

/// One worker's time on one record.
#[derive(Debug, Clone)]
pub struct Run {
    /// The invocation.
    pub id: String,
    /// When the work on this record should be over.
    pub deadline: Timestamp,
    /// When the worker is gone for certain.
    pub ends_at: Timestamp,
}

impl Run {
    /// The time left for the work on this record.
    pub(crate) fn left(&self, now: Timestamp) -> Duration {
        Duration::try_from(self.deadline.duration_since(now)).unwrap_or_default()
    }
}

/// What a record is synced for.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) key: &'a RecordKey,
    pub(crate) plan: Arc<Plan>,
    pub(crate) work: Work<'a>,
    pub(crate) actor: Actor,
    pub(crate) cause: Cause,
    /// When a person asked for it, if one did.
    pub(crate) asked_at: Option<Timestamp>,
    /// How many attempts have failed before.
    pub(crate) attempt: u32,
    /// How many of them failed because the source did not show what the event speaks of.
    pub(crate) unseen: u32,
    /// Whether to push whatever versions and fingerprints say.
    pub(crate) must_push: bool,
    /// The event to settle.
    pub(crate) settles: Option<&'a EventKey>,
}

/// Where a record's new state comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work<'a> {
    /// An event that says only that something happened.
    Hint { event: &'a Event, received_at: Timestamp },
    /// An event that carries the state.
    Payload { event: &'a Event, version: &'a Version, body: &'a [u8] },
    /// An event that changes nothing at the destination.
    Audit,
    /// A caller's own state.
    Given(&'a Record),
    /// The newest state there is: fetched, or else as we hold it.
    Newest,
}

impl Work<'_> {
    /// Whether the state is told even if the destination should hold it already.
    fn asserts(self) -> bool {
        matches!(self, Work::Given(_) | Work::Newest)
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it came out.
    pub outcome: Outcome,
    /// Whether the destination was told.
    pub action: Action,
    /// The fields that changed.
    pub changes: Vec<Change>,
    /// The plan.
    pub plan: PlanVersion,
    /// The audit row's place in the record's chain.
    pub sequence: u64,
    /// The destination's own id of the request.
    pub destination_request_id: Option<String>,
}

/// Why nothing was committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Somebody else works on the record.
    #[error("leased until {until}")]
    Leased {
        /// Until when.
        until: Timestamp,
    },
    /// A provider refuses our key, and nothing is sent to it for a while.
    #[error("{provider} is parked until {until}")]
    Parked {
        /// The provider.
        provider: String,
        /// Until when.
        until: Timestamp,
    },
    /// There is no time left to start a request.
    #[error("out of time")]
    OutOfTime,
    /// A provider or the store failed in a way that may pass.
    #[error("{reason}")]
    Transient {
        /// What happened, for the log.
        reason: String,
        /// How long the provider asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The source does not show yet what the event speaks of.
    #[error("not yet visible at the source: {0}")]
    NotVisible(&'static str),
    /// The source has no record of this id, and neither have we.
    #[error("the source has no such record")]
    NotFound,
    /// The record cannot be mapped.
    #[error("unmappable: {0}")]
    Unmappable(Problems),
    /// A provider refuses this very request.
    #[error("rejected: {0}")]
    Rejected(String),
    /// The claim was replaced before the commit: this worker was too slow.
    #[error("the claim was replaced")]
    Replaced {
        /// Whether the destination had been told by then.
        pushed: bool,
    },
    /// Another worker settled the event.
    #[error("the event has moved on")]
    Moved,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A failure, and what it left behind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct Unsettled {
    /// Why nothing was committed.
    pub failure: Failure,
    /// Whether the destination may have been told something that is not on record.
    pub in_doubt: bool,
    /// Before this, trying again is useless: the lease of this very attempt is still on the record.
    pub not_before: Option<Timestamp>,
}

impl From<Failure> for Unsettled {
    fn from(failure: Failure) -> Self {
        Self { failure, in_doubt: false, not_before: None }
    }
}

/// A failure under a claim, with what it may have left at the destination.
pub(crate) struct Stopped {
    pub(crate) failure: Failure,
    pub(crate) effect: Effect,
    /// What became of the last request, if one was made.
    pub(crate) class: Option<RemoteClass>,
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self { failure, effect: Effect::None, class: None }
    }
}

/// The state that the record is to have.
#[derive(Debug)]
pub(crate) struct Target {
    outcome: Outcome,
    /// What the destination is to be told; `None` if there is nothing to tell.
    pub(crate) record: Option<Record>,
    version: Option<Version>,
    fetched_at: Option<Timestamp>,
}

impl Target {
    fn nothing(outcome: Outcome) -> Self {
        Self { outcome, record: None, version: None, fetched_at: None }
    }
}

/// What is to be committed.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) outcome: Outcome,
    pub(crate) pushed: Option<Pushed>,
    pub(crate) state: Option<RecordState>,
    pub(crate) fetched_at: Option<Timestamp>,
}

impl<S: Control, R, D: Destination, Q, T: Runtime> Engine<S, R, D, Q, T> {
    /// Reads the definitions and the breakers again, if it is time to. What cannot be read stays as it was. Gives the
    /// definitions, if there are others now.
    pub async fn refresh(&self) -> Option<Arc<Definitions>> {
        let Refreshed { breakers, definitions } = match self.in_force.refresh(&self.store, self.runtime.now()).await {
            Ok(refreshed) => refreshed?,
            Err(error) => {
                tracing::error!(%error, "the definitions in force cannot be read, and stay as they were");
                return None;
            }
        };
        self.breakers.learn(breakers);
        let definitions = definitions?;
        match definitions.destination(&self.plans.destination) {
            Some(destination) if self.plans.replace(&definitions) => self.destination.redefine(destination),
            _ => tracing::error!("the definition of the destination is broken: the plans stay as they were"),
        }
        Some(definitions)
    }
}

impl<S, R, D, Q, T> Engine<S, R, D, Q, T>
where
    S: Inbox + Records + Breakers,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    /// Syncs one record under a claim of its own.
    pub(crate) async fn perform(&self, job: &Job<'_>, run: &Run) -> Result<Report, Unsettled> {
        // Only a look: the probe of a breaker whose pause is over is for whoever really asks the provider.
        if let Some(until) = self.breakers.open_until(&self.destination_name(job), self.runtime.now()) {
            return Err(Failure::Parked { provider: self.destination_name(job), until }.into());
        }
        let claim = self.claim(job, run).await?;
        match self.work(job, &claim, run).await {
            Ok(done) => self.commit(job, &claim, &done, run).await,
            Err(stopped) => Err(self.give_up(&claim, stopped).await),
        }
    }

    pub(crate) async fn claim(&self, job: &Job<'_>, run: &Run) -> Result<Claim, Failure> {
        // The owner is this very call: another one of the same invocation must not pass for its retry.
        let owner = format!("{}/{:032x}", run.id, self.runtime.random());
        let lease = Lease { owner, until: run.ends_at + self.settings.clock_skew };
        self.store.claim(job.key, &lease, self.runtime.now()).await.map_err(|error| match error {
            ClaimError::Leased { until } => Failure::Leased { until },
            ClaimError::Store(error) => Failure::Store(error),
        })
    }

    /// Gives a claim up after a failure. A request that may yet be applied keeps its lease to the end; one that may
    /// have been applied, but is over, frees the record and leaves the doubt.
    pub(crate) async fn give_up(&self, claim: &Claim, stopped: Stopped) -> Unsettled {
        let release = match stopped.effect {
            Effect::PossibleLater => None,
            Effect::None if !claim.must_push => Some(Release::Clean),
            Effect::None | Effect::Possible => Some(Release::InDoubt),
        };
        if let Some(release) = release
            && let Err(error) = self.store.release(claim, release).await
        {
            // The lease runs out by itself, and whoever claims next must push.
            tracing::warn!(%error, "a claim could not be released");
        }
        Unsettled {
            failure: stopped.failure,
            in_doubt: stopped.effect != Effect::None,
            not_before: (stopped.effect == Effect::PossibleLater).then_some(claim.lease.until),
        }
    }

    /// Everything between claim and commit.
    async fn work(&self, job: &Job<'_>, claim: &Claim, run: &Run) -> Result<Done, Stopped> {
        let must_push = job.must_push || claim.must_push;
        let current = claim.row.state.as_ref();
        let target = self.target(job, Some(&claim.row), must_push, run).await?;
        let fetched_at = target.fetched_at;
        let Some(record) = target.record else {
            return Ok(Done { outcome: target.outcome, pushed: None, state: None, fetched_at });
        };
        let request = job.plan.request(&record).map_err(Failure::Unmappable)?;
        let state = RecordState {
            fingerprint: request.fingerprint(),
            plan: job.plan.version().clone(),
            version: target.version.or_else(|| current.and_then(|state| state.version.clone())),
            synced_at: self.runtime.now(),
            record,
        };
        // Another plan may mean another destination, which holds nothing of it yet.
        let told = |told: &RecordState| told.fingerprint == state.fingerprint && told.plan == state.plan;
        if !must_push && !job.work.asserts() && current.is_some_and(told) {
            return Ok(Done { outcome: Outcome::Unchanged, pushed: None, state: Some(state), fetched_at });
        }
        self.check_location(job, current, &state.record, run).await?;
        let pushed = self.push(job, claim, &request, run).await?;
        Ok(Done { outcome: target.outcome, pushed: Some(pushed), state: Some(state), fetched_at })
    }

    /// The state that the record is to have, or the one that it has where it is to be told again.
    pub(crate) async fn target(
        &self,
        job: &Job<'_>,
        row: Option<&RecordRow>,
        must_push: bool,
        run: &Run,
    ) -> Result<Target, Failure> {
        let current = row.and_then(|row| row.state.as_ref());
        match job.work {
            Work::Audit if must_push => match self.newest(job, current, run).await {
                Ok(target) => Ok(Target { outcome: Outcome::Audited, ..target }),
                Err(Failure::NotFound) => Ok(Target::nothing(Outcome::Audited)),
                Err(failure) => Err(failure),
            },
            Work::Audit => Ok(Target::nothing(Outcome::Audited)),
            Work::Given(record) => {
                Ok(Target { outcome: Outcome::Synced, record: Some(record.clone()), version: None, fetched_at: None })
            }
            Work::Newest => self.newest(job, current, run).await,
            Work::Payload { event, version, body } => self.carried(job, row, (event, version, body), must_push),
            Work::Hint { received_at, .. } if !must_push && self.covers(row, received_at) => {
                Ok(Target::nothing(Outcome::Covered))
            }
            Work::Hint { event, .. } => self.hinted(job, event, row, run).await,
        }
    }

    /// Whether a fetch that began after `received_at` has been committed. The two were read off different clocks.
    fn covers(&self, row: Option<&RecordRow>, received_at: Timestamp) -> bool {
        let fetched_at = row.and_then(|row| row.fetched_at);
        fetched_at.is_some_and(|at| at > received_at + self.settings.clock_skew)
    }

    /// The state that an event carries, unless a newer one is known.
    fn carried(
        &self,
        job: &Job<'_>,
        row: Option<&RecordRow>,
        (event, version, body): (&Event, &Version, &[u8]),
        must_push: bool,
    ) -> Result<Target, Failure> {
        let current = row.and_then(|row| row.state.as_ref());
        let husk = row.and_then(|row| row.husk.as_ref()).and_then(|husk| husk.version.as_ref());
        let known = current.and_then(|state| state.version.as_ref()).or(husk);
        // Versions of different clocks cannot be compared: then the state that came last is taken.
        let newer =
            known.is_none_or(|known| !matches!(version.partial_cmp(known), Some(Ordering::Less | Ordering::Equal)));
        if !newer {
            let record = current.filter(|_| must_push).map(|state| state.record.clone());
            return Ok(Target { record, ..Target::nothing(Outcome::Superseded) });
        }
        let document = Document::from_inbox(body).map_err(Failure::Unmappable)?;
        let record = self.canonical(job, &document, current)?.after(event.operation);
        let outcome = if record.is_deleted() { Outcome::Deleted } else { Outcome::Synced };
        Ok(Target { outcome, record: Some(record), version: Some(version.clone()), fetched_at: None })
    }

    /// The state that the source shows after an event that is only a hint. What contradicts the event is believed only
    /// once the source has shown it a few times: its API may be behind its own events.
    async fn hinted(
        &self,
        job: &Job<'_>,
        event: &Event,
        row: Option<&RecordRow>,
        run: &Run,
    ) -> Result<Target, Failure> {
        let current = row.and_then(|row| row.state.as_ref());
        let known = current.is_some() || row.is_some_and(|row| row.fetched_at.is_some());
        let believed = job.unseen >= self.settings.visibility_attempts;
        let deleted = event.operation == Operation::Deleted;
        let fetched_at = self.runtime.now();
        let target = |outcome, record| Target { outcome, record, version: None, fetched_at: Some(fetched_at) };
        match self.fetch(job, run).await? {
            Fetched::NotFound if deleted || (believed && known) => {
                let record = current.map(|state| state.record.clone().after(Operation::Deleted));
                Ok(target(Outcome::Deleted, record))
            }
            // Neither side has ever had it: that is for a person to look at, rather than a deletion.
            Fetched::NotFound if believed => Err(Failure::NotFound),
            Fetched::NotFound => Err(Failure::NotVisible("it has no such record")),
            Fetched::Found(_) if deleted && !believed => Err(Failure::NotVisible("the record is still there")),
            Fetched::Found(document) if !believed && self.is_older(job, &document, event) => {
                Err(Failure::NotVisible("the record is older than the event"))
            }
            Fetched::Found(document) => {
                let version = job.plan.version_of_fetched(job.key, &document);
                let known = current.and_then(|state| state.version.as_ref());
                if !believed && version.as_ref().zip(known).is_some_and(|(fetched, known)| fetched.is_before(known)) {
                    return Err(Failure::NotVisible("the record is older than what an event carried"));
                }
                let record = self.canonical(job, &document, current)?;
                // That it is still there, after all, is the truth about a deletion; of a revocation, the API says nothing.
                let record = if deleted { record } else { record.after(event.operation) };
                Ok(Target { version, ..target(Outcome::Synced, Some(record)) })
            }
        }
    }

    /// Whether a fetched record says that it last changed before the event happened. An event comes to be a moment after
    /// the change that it tells of, and many a record's time has no fractions of a second.
    fn is_older(&self, job: &Job<'_>, document: &Document, event: &Event) -> bool {
        let changed = job.plan.fetched_version(job.key, document);
        changed.is_some_and(|at| at + self.settings.clock_skew < event.time)
    }

    /// The newest state there is: as the source shows it, where it can be asked, or else as we hold it.
    async fn newest(&self, job: &Job<'_>, current: Option<&RecordState>, run: &Run) -> Result<Target, Failure> {
        let held = |outcome| Target { record: current.map(|state| state.record.clone()), ..Target::nothing(outcome) };
        if job.plan.content(job.key) != Some(Content::Fetched) {
            return if current.is_some() { Ok(held(Outcome::Synced)) } else { Err(Failure::NotFound) };
        }
        let fetched_at = self.runtime.now();
        match self.fetch(job, run).await? {
            Fetched::Found(document) => {
                let record = self.canonical(job, &document, current)?;
                Ok(Target {
                    outcome: Outcome::Synced,
                    record: Some(record),
                    version: None,
                    fetched_at: Some(fetched_at),
                })
            }
            Fetched::NotFound if current.is_some() => Ok(held(Outcome::Synced)),
            Fetched::NotFound => Err(Failure::NotFound),
        }
    }

    fn canonical(&self, job: &Job<'_>, document: &Document, current: Option<&RecordState>) -> Result<Record, Failure> {
        // What a tombstone held is nothing to keep for a record that is there again.
        let previous = current.map(|state| &state.record).filter(|record| !record.is_deleted());
        job.plan.canonical(job.key, document, previous).map_err(Failure::Unmappable)
    }

    pub(crate) fn destination_name(&self, job: &Job<'_>) -> String {
        format!("destinations/{}", job.plan.destination().name)
    }

    /// Commits what was done: record, audit row and inbox row in one transaction.
    pub(crate) async fn commit(
        &self,
        job: &Job<'_>,
        claim: &Claim,
        done: &Done,
        run: &Run,
    ) -> Result<Report, Unsettled> {
        let salt = claim.row.salt.clone().unwrap_or_else(|| format!("{:032x}", self.runtime.random()));
        let settle = job.settles.map(|key| Settle {
            key,
            attempt: job.attempt,
            must_push: job.must_push,
            outcome: done.outcome.as_str(),
            expires_at: (!claim.row.hold).then(|| self.runtime.now() + self.settings.retention),
        });
        let audit = self.audit_row(job, claim, done, &salt, job.cause.clone());
        let commit = Commit {
            claim,
            state: done.state.as_ref(),
            husk: None,
            hold: claim.row.hold,
            fetched_at: done.fetched_at,
            salt: &salt,
            audit: &audit,
            settle,
        };
        match self.commit_tried(&commit, run).await {
            Ok(()) => Ok(report(audit)),
            Err(CommitError::FenceLost) => Err(replaced(done)),
            // It may have been written. The lease stays: whoever claims next finds out, and must push if not.
            Err(CommitError::Store(error)) => Err(Unsettled {
                failure: Failure::Transient { reason: error.to_string(), retry_after: None },
                in_doubt: done.pushed.is_some(),
                not_before: Some(claim.lease.until),
            }),
            Err(CommitError::EventMoved) if done.pushed.is_none() => {
                Err(self.give_up(claim, Failure::Moved.into()).await)
            }
            Err(CommitError::EventMoved) => {
                // Somebody settled the event, yet this claim had to push: what was pushed must be on record.
                let audit = self.audit_row(job, claim, done, &salt, Cause::Recovery { id: run.id.clone() });
                let commit = Commit { audit: &audit, settle: None, ..commit };
                match self.commit_tried(&commit, run).await {
                    Ok(()) => Err(Failure::Moved.into()),
                    Err(_) => Err(replaced(done)),
                }
            }
        }
    }

    async fn commit_tried(&self, commit: &Commit<'_>, run: &Run) -> Result<(), CommitError> {
        let mut tries = 1;
        loop {
            let result = self.store.commit(commit).await;
            let again = matches!(&result, Err(CommitError::Store(error)) if error.is_transient());
            let pause = jittered(Duration::from_millis(100 << tries), self.runtime.random());
            if !again || tries >= self.settings.quick_tries || self.runtime.now() + pause >= run.ends_at {
                return result;
            }
            self.runtime.sleep(pause).await;
            tries += 1;
        }
    }

    fn audit_row(&self, job: &Job<'_>, claim: &Claim, done: &Done, salt: &str, cause: Cause) -> AuditRow {
        let before = claim.row.state.as_ref().map(|state| &state.record);
        let changes =
            done.state.as_ref().map(|state| self.redactor.changes(&job.plan, job.key, salt, before, &state.record));
        let entry = Entry {
            record: job.key,
            fence: claim.fence,
            time: self.runtime.now(),
            actor: job.actor.clone(),
            cause,
            action: if done.pushed.is_some() { Action::Pushed } else { Action::None },
            outcome: done.outcome,
            changes: changes.unwrap_or_default(),
            plan: job.plan.version().clone(),
            destination_request_id: done.pushed.as_ref().and_then(|pushed| pushed.request_id.clone()),
        };
        entry.append_to(&claim.row.audit)
    }
}

/// The failure of a worker that was too slow.
fn replaced(done: &Done) -> Unsettled {
    let pushed = done.pushed.is_some();
    Unsettled { failure: Failure::Replaced { pushed }, in_doubt: pushed, not_before: None }
}

fn report(audit: AuditRow) -> Report {
    Report {
        outcome: audit.outcome,
        action: audit.action,
        changes: audit.changes,
        plan: audit.plan,
        sequence: audit.sequence,
        destination_request_id: audit.destination_request_id,
    }
}
