//! The ports in the simulated world. Each operation has an await point before and after it, at which its worker may be
//! crashed or overtaken; and it may fail without effect, or take effect and lose its answer.

use crate::world::{Application, ClaimInfo, World};
use certbridge_mapping::{EventKey, Kind, ListedRecord, Plan, RecordKey, Request, ShownRecord};
use certbridge_sync::{
    breaker::BreakerState,
    error::{RemoteClass, RemoteError, StoreError},
    memory::MemoryStore,
    ports::{
        Breakers, ClaimError, CommitError, Destination, Fetched, Inbox, Inserted, ListError, LocationCheck, Overdue,
        Page, Pushed, Records, RetryQueue, Runtime, Sources,
    },
    row::{Claim, Commit, InboxRow, InboxState, Lease, Pointer, RecordRow, Release, Reschedule},
};
use jiff::{SignedDuration, Timestamp, civil::Date};
use std::{
    future::{Future, poll_fn},
    task::Poll,
    time::Duration,
};

/// An await point: somebody else may go on before this task does, or this task may never go on.
pub(crate) async fn point() {
    let mut passed = false;
    poll_fn(|_| {
        if passed {
            return Poll::Ready(());
        }
        passed = true;
        Poll::Pending
    })
    .await
}

#[derive(Clone)]
pub(crate) struct SimStore {
    pub(crate) tables: MemoryStore,
    pub(crate) world: World,
}

impl SimStore {
    /// An operation on the tables, with all that may happen to it.
    async fn at<A: Send, E: From<StoreError> + Send, F: Future<Output = Result<A, E>> + Send>(
        &self,
        name: &str,
        operation: impl Fn() -> F + Send + Sync,
    ) -> Result<A, E> {
        point().await;
        if self.world.strikes(3) {
            self.world.tell(|| format!("{name} failed"));
            return Err(StoreError::Busy("simulated".into()).into());
        }
        let mut result = operation().await;
        point().await;
        if self.world.strikes(4) {
            self.world.tell(|| format!("{name} lost its answer"));
            if self.world.strikes(50) {
                return Err(StoreError::Unavailable("simulated".into()).into());
            }
            // The SDK tries again.
            result = operation().await;
            point().await;
        }
        result
    }
}

impl SimStore {
    /// Nothing may be left behind by a claim that is given up as clean.
    fn released(&self, claim: &Claim, release: Release) {
        let key = format!("{}#{}", claim.row.key, claim.fence);
        let mut world = self.world.lock();
        let on_its_way = world.late.iter().any(|late| late.idempotency_key == key);
        if release == Release::Clean && (on_its_way || world.applied.contains(&key)) {
            world.fault = Some(format!("{key} was released as clean, and its request was not without effect"));
        }
        drop(world);
        self.ended(claim);
    }

    fn ended(&self, claim: &Claim) {
        self.world.lock().ended.insert(format!("{}#{}", claim.row.key, claim.fence));
    }
}

impl Inbox for SimStore {
    async fn insert(&self, row: &InboxRow) -> Result<Inserted, StoreError> {
        self.at("insert", move || async move {
            let inserted = self.tables.insert(row).await?;
            if inserted == Inserted::New && row.state == InboxState::Pending {
                self.world.lock().stream.push(row.clone());
            }
            Ok(inserted)
        })
        .await
    }

    async fn get(&self, key: &EventKey) -> Result<Option<InboxRow>, StoreError> {
        self.at("get", || self.tables.get(key)).await
    }

    async fn reschedule(&self, key: &EventKey, attempt: u32, to: &Reschedule) -> Result<bool, StoreError> {
        if to.must_push {
            self.world.lock().excused.insert(key.to_string());
        }
        self.at("reschedule", || self.tables.reschedule(key, attempt, to)).await
    }

    async fn set_aside(
        &self,
        key: &EventKey,
        attempt: u32,
        state: InboxState,
        reason: &str,
    ) -> Result<bool, StoreError> {
        self.at("set_aside", || self.tables.set_aside(key, attempt, state, reason)).await
    }

    async fn overdue(&self, shard: u8, now: Timestamp, limit: usize) -> Result<Vec<Overdue>, StoreError> {
        self.tables.overdue(shard, now, limit).await
    }
}

impl Records for SimStore {
    async fn claim(&self, key: &RecordKey, lease: &Lease, now: Timestamp) -> Result<Claim, ClaimError> {
        let claim = self.at("claim", || self.tables.claim(key, lease, now)).await?;
        let info = ClaimInfo { lease: claim.lease.clone(), must_push: claim.must_push };
        self.world.tell(|| {
            format!(
                "claimed {key}#{} by {}{}",
                claim.fence,
                lease.owner,
                if claim.must_push { ", must push" } else { "" }
            )
        });
        self.world.lock().claims.insert(format!("{key}#{}", claim.fence), info);
        Ok(claim)
    }

    async fn release(&self, claim: &Claim, release: Release) -> Result<(), StoreError> {
        self.at("release", move || async move {
            self.tables.release(claim, release).await?;
            self.released(claim, release);
            Ok(())
        })
        .await
    }

    async fn commit(&self, commit: &Commit<'_>) -> Result<(), CommitError> {
        self.at("commit", move || async move {
            let result = self.tables.commit(commit).await;
            if result.is_ok() {
                self.ended(commit.claim);
            }
            self.world.tell(|| {
                format!("commit {}#{} {:?}: {result:?}", commit.audit.record, commit.audit.fence, commit.audit.outcome)
            });
            result
        })
        .await
    }

    async fn read(&self, key: &RecordKey) -> Result<Option<RecordRow>, StoreError> {
        self.at("read", || self.tables.read(key)).await
    }
}

impl Breakers for SimStore {
    async fn set_breaker(&self, provider: &str, state: Option<&BreakerState>) -> Result<(), StoreError> {
        self.at("set_breaker", || self.tables.set_breaker(provider, state)).await
    }
}

#[derive(Clone)]
pub(crate) struct SimQueue(pub(crate) World);

impl RetryQueue for SimQueue {
    async fn send(&self, pointers: &[(Pointer, Duration)]) -> Result<(), StoreError> {
        point().await;
        for (pointer, delay) in pointers {
            // SQS keeps what it took; what may be lost on the way is a pointer that the sweep finds again.
            if matches!(pointer, Pointer::Event(_)) && self.0.strikes(10) {
                continue;
            }
            let mut world = self.0.lock();
            let due = world.now + *delay;
            world.queue.push((pointer.clone(), due));
        }
        point().await;
        Ok(())
    }
}

#[derive(Clone)]
pub(crate) struct SimSources(pub(crate) World);

impl Sources for SimSources {
    async fn fetch(&self, _plan: &Plan, key: &RecordKey, _timeout: Duration) -> Result<Fetched, RemoteError> {
        point().await;
        if self.0.strikes(8) {
            return Err(failure(
                "sources/sim",
                [RemoteClass::Failed, RemoteClass::Unanswered, RemoteClass::Throttled],
                &self.0,
            ));
        }
        // Now and then the source does not show a record that it has.
        let fetched = if self.0.strikes(10) { Fetched::NotFound } else { self.0.fetch(key) };
        point().await;
        Ok(fetched)
    }

    async fn source_page(
        &self,
        _plan: &Plan,
        _kind: Kind,
        _cursor: Option<&str>,
        _since: Option<Date>,
        _timeout: Duration,
    ) -> Result<Page<ListedRecord>, ListError> {
        Err(ListError::Unlisted("sources/sim".into()))
    }
}

#[derive(Clone)]
pub(crate) struct SimDestination(pub(crate) World);

impl Destination for SimDestination {
    async fn push(&self, request: &Request, idempotency_key: &str, _timeout: Duration) -> Result<Pushed, RemoteError> {
        let world = &self.0;
        let provider = "destinations/sim";
        point().await;
        if world.strikes(6) {
            let classes =
                [RemoteClass::Unreachable, RemoteClass::Throttled, RemoteClass::Failed, RemoteClass::Unauthorized];
            return Err(failure(provider, classes, world));
        }
        let application = Application { request: request.clone(), idempotency_key: idempotency_key.to_owned() };
        if world.kills(10) {
            world.tell(|| format!("{idempotency_key} will be applied later"));
            world.lock().late.push(application);
            return Err(failure(provider, [RemoteClass::Unanswered], world));
        }
        let pushed = world.apply(&application);
        point().await;
        if world.strikes(10) {
            return Err(failure(provider, [RemoteClass::Unanswered, RemoteClass::Failed], world));
        }
        Ok(pushed)
    }

    async fn push_batch(
        &self,
        _batch_id: &str,
        _requests: &[Request],
        _idempotency_key: &str,
        _timeout: Duration,
    ) -> Result<Vec<Result<Pushed, RemoteError>>, RemoteError> {
        Err(failure("destinations/sim", [RemoteClass::Misrouted], &self.0))
    }

    async fn destination_page(
        &self,
        _kind: Kind,
        _cursor: Option<&str>,
        _timeout: Duration,
    ) -> Result<Page<ShownRecord>, ListError> {
        Err(ListError::Unlisted("destinations/sim".into()))
    }

    async fn check_location(&self, _location_id: &str, _timeout: Duration) -> Result<LocationCheck, RemoteError> {
        point().await;
        if self.0.strikes(10) {
            return Err(failure("destinations/sim", [RemoteClass::Unanswered, RemoteClass::Failed], &self.0));
        }
        Ok(LocationCheck::Known)
    }
}

fn failure<const N: usize>(provider: &str, classes: [RemoteClass; N], world: &World) -> RemoteError {
    let class = classes[world.lock().rng.usize(0..N)];
    world.tell(|| format!("{provider}: {class}"));
    RemoteError { provider: provider.to_owned(), class, message: "simulated".into(), retry_after: None }
}

/// A process' clock, which is not quite the world's.
#[derive(Clone)]
pub(crate) struct SimRuntime {
    pub(crate) world: World,
    pub(crate) skew: SignedDuration,
}

impl Runtime for SimRuntime {
    fn now(&self) -> Timestamp {
        self.world.now() + self.skew
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        let until = self.world.now() + duration;
        let world = self.world.clone();
        poll_fn(move |_| if world.now() >= until { Poll::Ready(()) } else { Poll::Pending })
    }

    fn random(&self) -> u128 {
        self.world.lock().rng.u128(..)
    }
}
