//! The tables in the simulated world. An operation may fail without effect, or take effect and lose its answer.

use crate::{
    ports::{Process, point},
    world::{ClaimInfo, World},
};
use certbridge_mapping::{EventKey, Kind, RecordKey};
use certbridge_sync::{
    batches::{BatchId, BatchProgress, BatchRow, BatchStep, Batches, Registered, Turn},
    breaker::BreakerState,
    error::StoreError,
    memory::MemoryStore,
    ports::{Breakers, ClaimError, CommitError, Inbox, Inserted, Overdue, Records, Scan, Scanned},
    row::{Claim, Commit, InboxRow, InboxState, Lease, RecordRow, Release, Reschedule},
};
use jiff::Timestamp;
use std::future::Future;

/// How many rows a page of ours has at most: few, so that there are several pages.
const PAGE: usize = 2;

#[derive(Clone)]
pub(crate) struct SimStore {
    pub(crate) tables: MemoryStore,
    pub(crate) world: World,
    pub(crate) process: Process,
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
        self.world.lock().writes(self.process.number, "a claim");
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
        let name = format!("{key}#{}", claim.fence);
        let mut world = self.world.lock();
        world.past.newest_claims.insert(key.to_string(), name.clone());
        if let Some(carrier) = world.carriers.get_mut(&self.process.number) {
            carrier.claims.insert(key.to_string(), name.clone());
        }
        world.claims.insert(name, info);
        drop(world);
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
                self.world.lock().committed(self.process.number, self.process.skew, commit);
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

impl Scan for SimStore {
    async fn records(&self, kind: Kind, cursor: Option<&str>, limit: usize) -> Result<Scanned<RecordRow>, StoreError> {
        self.at("records", || self.tables.records(kind, cursor, limit.min(PAGE))).await
    }

    async fn unsettled(
        &self,
        state: InboxState,
        shard: u8,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Scanned<EventKey>, StoreError> {
        let scan = || self.tables.unsettled(state, shard, cursor, limit.min(PAGE));
        // Most shards are empty: an await point at each would make a batch all but nothing else.
        if shard.is_multiple_of(8) { self.at("unsettled", scan).await } else { scan().await }
    }
}

impl SimStore {
    /// The tables, for a write that changes no event and no record: what must hold of these holds as before.
    fn aside(&self) -> &MemoryStore {
        self.world.lock().writes_aside += 1;
        &self.tables
    }

    /// Notes whether a process has its turn.
    fn has_turn(&self, has_turn: bool) {
        if let Some(carrier) = self.world.lock().carriers.get_mut(&self.process.number) {
            carrier.has_turn = has_turn;
        }
    }
}

impl Batches for SimStore {
    async fn register(&self, row: &BatchRow) -> Result<Registered, StoreError> {
        self.at("register", || self.aside().register(row)).await
    }

    async fn update_batch(&self, row: &BatchRow) -> Result<(), StoreError> {
        self.world.tell(|| format!("batch {} is {:?}", row.id, row.status));
        self.at("update_batch", || self.aside().update_batch(row)).await
    }

    async fn batch(&self, id: &BatchId) -> Result<Option<(BatchRow, BatchProgress)>, StoreError> {
        self.at("batch", || self.tables.batch(id)).await
    }

    async fn batches(&self, cursor: Option<&str>, limit: usize) -> Result<Scanned<BatchRow>, StoreError> {
        self.at("batches", || self.tables.batches(cursor, limit)).await
    }

    async fn note(&self, id: &BatchId, step: BatchStep) -> Result<(), StoreError> {
        self.world.lock().needs_turn(self.process.number, &format!("{step:?}"));
        self.world.tell(|| format!("batch {id}: {step:?}"));
        let noted = self.at("note", || self.aside().note(id, step)).await;
        // What ends a task; the next one has to keep its turn itself.
        if matches!(step, BatchStep::Partitions(_) | BatchStep::Compared(_) | BatchStep::Repaired(_)) {
            self.has_turn(false);
        }
        noted
    }

    async fn take_turn(&self, holder: &str, now: Timestamp, until: Timestamp) -> Result<Turn, StoreError> {
        self.has_turn(false);
        let turn = self.at("take_turn", || self.aside().take_turn(holder, now, until)).await;
        if turn == Ok(Turn::Mine) {
            self.has_turn(true);
        }
        turn
    }

    async fn end_turn(&self, holder: &str) -> Result<(), StoreError> {
        self.at("end_turn", || self.aside().end_turn(holder)).await
    }
}
