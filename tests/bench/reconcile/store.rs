//! The tables in memory, but for the records: a million of them in memory would be all that is measured. They are made
//! as they are listed, as DynamoDB would hand them over page by page.

use crate::certificates::Certificates;
use certbridge_mapping::{EventKey, Kind, PlanVersion, RecordKey};
use certbridge_sync::{
    StoreError,
    batches::{BatchId, BatchProgress, BatchRow, BatchStep, Batches, Registered, Turn},
    breaker::BreakerState,
    memory::MemoryStore,
    ports::{Breakers, ClaimError, CommitError, Inbox, Inserted, Overdue, Records, Scan, Scanned},
    row::{Claim, Commit, InboxRow, InboxState, Lease, RecordRow, Release, Reschedule},
};
use jiff::Timestamp;

pub(crate) struct Store {
    pub(crate) certificates: Certificates,
    pub(crate) plan: PlanVersion,
    pub(crate) rest: MemoryStore,
}

impl Scan for Store {
    async fn records(&self, _: Kind, cursor: Option<&str>, limit: usize) -> Result<Scanned<RecordRow>, StoreError> {
        let refused = |what: String| StoreError::Refused(what);
        let from = cursor.unwrap_or("0").parse().map_err(|_| refused("a cursor of somebody else's".to_owned()))?;
        let page = self.certificates.own_page(from, limit, "accredible", &self.plan);
        let (items, next) = page.map_err(|error| refused(error.to_string()))?;
        Ok(Scanned { items, next: next.map(|next| next.to_string()) })
    }

    async fn unsettled(
        &self,
        state: InboxState,
        shard: u8,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Scanned<EventKey>, StoreError> {
        self.rest.unsettled(state, shard, cursor, limit).await
    }
}

impl Inbox for Store {
    async fn insert(&self, row: &InboxRow) -> Result<Inserted, StoreError> {
        self.rest.insert(row).await
    }

    async fn get(&self, key: &EventKey) -> Result<Option<InboxRow>, StoreError> {
        self.rest.get(key).await
    }

    async fn reschedule(&self, key: &EventKey, attempt: u32, to: &Reschedule) -> Result<bool, StoreError> {
        self.rest.reschedule(key, attempt, to).await
    }

    async fn set_aside(
        &self,
        key: &EventKey,
        attempt: u32,
        state: InboxState,
        reason: &str,
    ) -> Result<bool, StoreError> {
        self.rest.set_aside(key, attempt, state, reason).await
    }

    async fn overdue(&self, shard: u8, now: Timestamp, limit: usize) -> Result<Vec<Overdue>, StoreError> {
        self.rest.overdue(shard, now, limit).await
    }
}

impl Records for Store {
    async fn claim(&self, key: &RecordKey, lease: &Lease, now: Timestamp) -> Result<Claim, ClaimError> {
        self.rest.claim(key, lease, now).await
    }

    async fn release(&self, claim: &Claim, release: Release) -> Result<(), StoreError> {
        self.rest.release(claim, release).await
    }

    async fn commit(&self, commit: &Commit<'_>) -> Result<(), CommitError> {
        self.rest.commit(commit).await
    }

    async fn read(&self, key: &RecordKey) -> Result<Option<RecordRow>, StoreError> {
        self.rest.read(key).await
    }
}

impl Breakers for Store {
    async fn set_breaker(&self, provider: &str, state: Option<&BreakerState>) -> Result<(), StoreError> {
        self.rest.set_breaker(provider, state).await
    }
}

impl Batches for Store {
    async fn register(&self, row: &BatchRow) -> Result<Registered, StoreError> {
        self.rest.register(row).await
    }

    async fn update_batch(&self, row: &BatchRow) -> Result<(), StoreError> {
        self.rest.update_batch(row).await
    }

    async fn batch(&self, id: &BatchId) -> Result<Option<(BatchRow, BatchProgress)>, StoreError> {
        self.rest.batch(id).await
    }

    async fn batches(&self, cursor: Option<&str>, limit: usize) -> Result<Scanned<BatchRow>, StoreError> {
        self.rest.batches(cursor, limit).await
    }

    async fn note(&self, id: &BatchId, step: BatchStep) -> Result<(), StoreError> {
        self.rest.note(id, step).await
    }

    async fn take_turn(&self, holder: &str, now: Timestamp, until: Timestamp) -> Result<Turn, StoreError> {
        self.rest.take_turn(holder, now, until).await
    }

    async fn end_turn(&self, holder: &str) -> Result<(), StoreError> {
        self.rest.end_turn(holder).await
    }
}
