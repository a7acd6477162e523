//! Asking providers: with a few quick tries within one claim, and not at all while a breaker is open.

use crate::{
    error::{Effect, RemoteClass, RemoteError},
    ports::{Breakers, Destination, Fetched, Inbox, LocationCheck, Pushed, Records, RetryQueue, Runtime, Sources},
    retry::jittered,
    row::{Claim, RecordState},
    sync::{Engine, Failure, Job, Run, Stopped},
};
use certbridge_mapping::{Problem, Problems, Record, Request, Shape};
use serde_json::Value;
use std::time::Duration;

/// The least time that is worth starting a request with.
const SHORTEST_REQUEST: Duration = Duration::from_millis(250);
/// The longest pause between two quick tries of our own choice.
const LONGEST_QUICK_PAUSE: Duration = Duration::from_secs(2);
/// The longest that a provider's own wish is waited for within a claim.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

impl<S, R, D, Q, T> Engine<S, R, D, Q, T>
where
    S: Inbox + Records + Breakers,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    /// The record as its source shows it.
    pub(crate) async fn fetch(&self, job: &Job<'_>, run: &Run) -> Result<Fetched, Failure> {
        let provider = format!("sources/{}", job.key.source);
        let call = |timeout| self.sources.fetch(&job.plan, job.key, timeout);
        // Reading has no effect, whatever became of the request.
        let fetched = self.tried(&provider, self.settings.fetch_timeout, run, call).await;
        fetched.map(|(fetched, _)| fetched).map_err(|stopped| stopped.failure)
    }

    /// Tells the destination.
    pub(crate) async fn push(
        &self,
        job: &Job<'_>,
        claim: &Claim,
        request: &Request,
        run: &Run,
    ) -> Result<Pushed, Stopped> {
        let idempotency_key = format!("{}#{}", job.key, claim.fence);
        let call = |timeout| self.destination.push(job.key, request, &idempotency_key, timeout);
        // The answer is to this very request, so it tells of the tries before it, too.
        let pushed = self.tried(&self.destination_name(job), self.settings.push_timeout, run, call).await;
        pushed.map(|(pushed, _)| pushed)
    }

    /// Refuses a location that the destination does not list. One that it took before is not asked about again, and
    /// where it cannot be asked, the push itself decides; only a refused key is a failure, since the push needs it too.
    pub(crate) async fn check_location(
        &self,
        job: &Job<'_>,
        current: Option<&RecordState>,
        record: &Record,
        run: &Run,
    ) -> Result<(), Failure> {
        let Some(location) = record.location_id() else { return Ok(()) };
        if current.and_then(|state| state.record.location_id()) == Some(location) {
            return Ok(());
        }
        let timeout = self.settings.location_timeout.min(run.left(self.runtime.now()));
        match self.destination.check_location(location, job.asked_at, timeout).await {
            Ok(LocationCheck::Known | LocationCheck::Unchecked) => Ok(()),
            Ok(LocationCheck::Unknown { nearest }) => {
                let found = Shape::of(Some(&Value::from(location)));
                let wanted = match nearest.as_slice() {
                    [] => "a location that the destination lists".to_owned(),
                    nearest => format!(
                        "a location that the destination lists, of which the nearest are {}",
                        nearest.join(", ")
                    ),
                };
                Err(Failure::Unmappable(Problems::one(Problem::new("location_id", found, wanted))))
            }
            Err(error) if error.class == RemoteClass::Unauthorized => {
                Err(self.failed(&self.destination_name(job), error).await)
            }
            Err(error) => {
                tracing::warn!(%error, "a location is not checked");
                Ok(())
            }
        }
    }

    /// Makes a request, a few times if it fails in a way that may pass and the time allows. Gives the answer, and what
    /// the tries before it may have done.
    pub(crate) async fn tried<A, F: Future<Output = Result<A, RemoteError>>>(
        &self,
        provider: &str,
        timeout: Duration,
        run: &Run,
        call: impl Fn(Duration) -> F,
    ) -> Result<(A, Effect), Stopped> {
        if let Some(until) = self.breakers.enter(provider, self.runtime.now()) {
            return Err(Failure::Parked { provider: provider.to_owned(), until }.into());
        }
        let mut effect = Effect::None;
        let mut class = None;
        let mut tries = 1;
        loop {
            let left = run.left(self.runtime.now());
            if left < SHORTEST_REQUEST {
                return Err(Stopped { failure: Failure::OutOfTime, effect, class });
            }
            let error = match call(timeout.min(left)).await {
                Ok(answer) => {
                    self.passed(provider).await;
                    return Ok((answer, effect));
                }
                Err(error) => error,
            };
            effect = effect.max(error.effect());
            class = Some(error.class);
            let pause = quick_pause(&error, tries, self.runtime.random());
            let left = run.left(self.runtime.now());
            match pause.filter(|pause| tries < self.settings.quick_tries && *pause + SHORTEST_REQUEST < left) {
                Some(pause) => self.runtime.sleep(pause).await,
                None => return Err(Stopped { failure: self.failed(provider, error).await, effect, class }),
            }
            tries += 1;
        }
    }

    /// What a request's failure means for the event.
    pub(crate) async fn failed(&self, provider: &str, error: RemoteError) -> Failure {
        match error.class {
            RemoteClass::Unauthorized => {
                let state = self.breakers.refused(provider, self.runtime.now(), self.runtime.random());
                tracing::error!(provider, refusals = state.refusals, until = %state.open_until, %error, "breaker open");
                if let Err(error) = self.store.set_breaker(provider, Some(&state)).await {
                    tracing::warn!(%error, "a breaker could not be stored");
                }
                Failure::Parked { provider: provider.to_owned(), until: state.open_until }
            }
            RemoteClass::Rejected => Failure::Rejected(error.to_string()),
            _ => Failure::Transient { reason: error.to_string(), retry_after: error.retry_after },
        }
    }

    async fn passed(&self, provider: &str) {
        if self.breakers.passed(provider) {
            tracing::info!(provider, "breaker closed");
            if let Err(error) = self.store.set_breaker(provider, None).await {
                tracing::warn!(%error, "a breaker could not be stored");
            }
        }
    }
}

/// The pause before another quick try; `None` if there should be none.
fn quick_pause(error: &RemoteError, tries: u32, entropy: u128) -> Option<Duration> {
    if matches!(error.class, RemoteClass::Unauthorized | RemoteClass::Misrouted | RemoteClass::Rejected) {
        return None;
    }
    match error.retry_after {
        Some(wait) => (wait <= LONGEST_WAIT).then_some(wait),
        None => {
            let pause = Duration::from_millis(200).saturating_mul(3u32.saturating_pow(tries - 1));
            Some(jittered(pause.min(LONGEST_QUICK_PAUSE), entropy))
        }
    }
}
