//! The tables in memory, for tests and the simulation. Each operation is atomic, as it is on DynamoDB.

use crate::{
    audit::AuditRow,
    batches::{BatchId, BatchProgress, BatchRow, BatchStep, Batches, Registered, Turn},
    breaker::BreakerState,
    catalog::{Catalog, Listed, Open},
    checkpoint::{Head, Heads},
    error::StoreError,
    grants::{Grant, GrantRow, Grants, Taken},
    history::{AuditLog, Delivery},
    ids::{DestinationId, DestinationIds, IdMap},
    poll::{PollMark, PollMarks},
    ports::{Breakers, ClaimError, CommitError, Inbox, Inserted, Overdue, Records, Scan, Scanned},
    replay::{Reopening, Replays, reopened},
    row::{Claim, Commit, InboxRow, InboxState, Lease, RecordRow, Release, Reschedule},
};
use certbridge_mapping::{EventKey, Kind, RecordKey};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The four tables. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Tables>>);

#[derive(Debug, Default)]
struct Tables {
    inbox: BTreeMap<EventKey, InboxRow>,
    records: BTreeMap<RecordKey, RecordRow>,
    audit: BTreeMap<RecordKey, Vec<AuditRow>>,
    breakers: BTreeMap<String, BreakerState>,
    batches: BTreeMap<BatchId, BatchRow>,
    steps: BTreeMap<BatchId, Steps>,
    turn: Option<(String, Timestamp)>,
    poll_marks: BTreeMap<(String, Kind), PollMark>,
    ids: BTreeMap<RecordKey, DestinationIds>,
    grants: BTreeMap<String, GrantRow>,
    writes: u64,
}

#[derive(Debug, Default)]
struct Steps {
    counts: BatchProgress,
    compared: BTreeSet<u16>,
    repaired: BTreeSet<u16>,
}

impl Steps {
    fn progress(&self) -> BatchProgress {
        let count = |of: &BTreeSet<u16>| u16::try_from(of.len()).unwrap_or(u16::MAX);
        BatchProgress { compared: count(&self.compared), repaired: count(&self.repaired), ..self.counts.clone() }
    }
}

impl MemoryStore {
    /// Empty tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// All inbox rows.
    pub fn inbox_rows(&self) -> Vec<InboxRow> {
        self.lock().inbox.values().cloned().collect()
    }

    /// All records.
    pub fn record_rows(&self) -> Vec<RecordRow> {
        self.lock().records.values().cloned().collect()
    }

    /// How many operations may have written so far: while it stands still, so do the tables.
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// A record's audit rows, the oldest first.
    pub fn audit_rows(&self, key: &RecordKey) -> Vec<AuditRow> {
        self.lock().audit.get(key).cloned().unwrap_or_default()
    }

    /// The open breakers.
    pub fn breakers(&self) -> BTreeMap<String, BreakerState> {
        self.lock().breakers.clone()
    }

    /// Removes what has expired, as DynamoDB does some time after.
    pub fn sweep_expired(&self, now: Timestamp) {
        self.write().inbox.retain(|_, row| row.expires_at.is_none_or(|at| at > now));
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tables, to be written to.
    fn write(&self) -> MutexGuard<'_, Tables> {
        let mut tables = self.lock();
        tables.writes += 1;
        tables
    }

    /// Changes a row that is pending at `attempt`. `false` if it is not.
    fn change_pending(&self, key: &EventKey, attempt: u32, change: impl FnOnce(&mut InboxRow)) -> bool {
        let mut tables = self.write();
        let row = tables.inbox.get_mut(key).filter(|row| row.is_pending_at(attempt));
        row.map(change).is_some()
    }
}

impl Inbox for MemoryStore {
    async fn insert(&self, row: &InboxRow) -> Result<Inserted, StoreError> {
        let mut tables = self.write();
        if let Some(old) = tables.inbox.get(&row.key) {
            return Ok(Inserted::Exists { body_digest: old.body_digest.clone() });
        }
        tables.inbox.insert(row.key.clone(), row.clone());
        Ok(Inserted::New)
    }

    async fn get(&self, key: &EventKey) -> Result<Option<InboxRow>, StoreError> {
        Ok(self.lock().inbox.get(key).cloned())
    }

    async fn reschedule(&self, key: &EventKey, attempt: u32, to: &Reschedule) -> Result<bool, StoreError> {
        Ok(self.change_pending(key, attempt, |row| {
            row.attempt = to.attempt;
            row.next_at = to.next_at;
            row.reason = Some(to.reason.clone());
            row.must_push |= to.must_push;
            row.unseen = to.unseen;
        }))
    }

    async fn set_aside(
        &self,
        key: &EventKey,
        attempt: u32,
        state: InboxState,
        reason: &str,
    ) -> Result<bool, StoreError> {
        Ok(self.change_pending(key, attempt, |row| {
            row.state = state;
            row.reason = Some(reason.to_owned());
        }))
    }

    async fn overdue(&self, shard: u8, now: Timestamp, limit: usize) -> Result<Vec<Overdue>, StoreError> {
        let tables = self.lock();
        let due = |row: &&InboxRow| {
            row.state == InboxState::Pending && row.next_at <= now && InboxRow::shard(&row.key) == shard
        };
        let mut rows: Vec<_> = tables.inbox.values().filter(due).collect();
        rows.sort_by_key(|row| row.next_at);
        let overdue = |row: &InboxRow| Overdue { key: row.key.clone(), since: row.next_at };
        Ok(rows.into_iter().take(limit).map(overdue).collect())
    }
}

impl Scan for MemoryStore {
    async fn records(&self, kind: Kind, cursor: Option<&str>, limit: usize) -> Result<Scanned<RecordRow>, StoreError> {
        let tables = self.lock();
        let rows = tables.records.values().filter(|row| row.key.kind == kind);
        Ok(page(rows.map(|row| (row.key.to_string(), row.clone())), cursor, limit))
    }

    async fn unsettled(
        &self,
        state: InboxState,
        shard: u8,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Scanned<EventKey>, StoreError> {
        let tables = self.lock();
        let wanted = |row: &&InboxRow| row.state == state && InboxRow::shard(&row.key) == shard;
        let rows = tables.inbox.values().filter(wanted);
        Ok(page(rows.map(|row| (row.key.to_string(), row.key.clone())), cursor, limit))
    }
}

impl Catalog for MemoryStore {
    async fn listed(
        &self,
        kind: Kind,
        shard: u8,
        before: Option<&str>,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let tables = self.lock();
        let of_shard = |row: &&RecordRow| row.key.kind == kind && Listed::shard(&row.key) == shard;
        let mut rows: Vec<_> = tables.records.values().filter(of_shard).filter_map(Listed::of).collect();
        rows.retain(|row| before.is_none_or(|before| row.place().as_str() < before));
        rows.retain(|row| since.is_none_or(|since| row.synced_at >= since));
        rows.sort_by_key(|row| std::cmp::Reverse(row.place()));
        rows.truncate(limit);
        Ok(rows)
    }

    async fn open(
        &self,
        state: InboxState,
        shard: u8,
        after: Option<&Open>,
        limit: usize,
    ) -> Result<Vec<Open>, StoreError> {
        let tables = self.lock();
        let wanted = |row: &&InboxRow| row.state == state && InboxRow::shard(&row.key) == shard;
        let open = |row: &InboxRow| Open { next_at: row.next_at, key: row.key.clone() };
        let mut rows: Vec<_> = tables.inbox.values().filter(wanted).map(open).collect();
        rows.retain(|row| after.is_none_or(|after| row.order() > after.order()));
        rows.sort_by_key(Open::order);
        rows.truncate(limit);
        Ok(rows)
    }
}

impl AuditLog for MemoryStore {
    async fn rows(&self, record: &RecordKey, before: Option<u64>, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        let rows = self.audit_rows(record).into_iter().rev();
        Ok(rows.filter(|row| before.is_none_or(|before| row.sequence < before)).take(limit).collect())
    }

    async fn deliveries(&self, keys: &[EventKey]) -> Result<Vec<Delivery>, StoreError> {
        let tables = self.lock();
        Ok(keys.iter().filter_map(|key| tables.inbox.get(key).cloned().map(Delivery::from)).collect())
    }
}

impl Replays for MemoryStore {
    async fn reopen(&self, seen: &InboxRow, to: &Reopening) -> Result<bool, StoreError> {
        let mut tables = self.write();
        let row = tables.inbox.get_mut(&seen.key);
        let row = row.filter(|row| row.state == seen.state && row.attempt == seen.attempt);
        Ok(row.map(|row| *row = reopened(seen, to)).is_some())
    }
}

impl Heads for MemoryStore {
    async fn heads(&self, cursor: Option<&str>, limit: usize) -> Result<Scanned<Head>, StoreError> {
        let tables = self.lock();
        let heads = tables.records.values().filter_map(|row| Head::of(&row.key, &row.audit));
        Ok(page(heads.map(|head| (head.record.to_string(), head)), cursor, limit))
    }
}

/// The page that follows a place, in the order of the places.
fn page<T>(rows: impl Iterator<Item = (String, T)>, cursor: Option<&str>, limit: usize) -> Scanned<T> {
    let mut rows: Vec<_> = rows.filter(|(place, _)| cursor.is_none_or(|cursor| place.as_str() > cursor)).collect();
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(place, _)| place.clone());
    Scanned { items: rows.into_iter().map(|(_, row)| row).collect(), next }
}

impl Records for MemoryStore {
    async fn claim(&self, key: &RecordKey, lease: &Lease, now: Timestamp) -> Result<Claim, ClaimError> {
        let mut tables = self.write();
        let row = tables.records.entry(key.clone()).or_insert_with(|| RecordRow::new(key.clone()));
        if let Some(held) = &row.lease
            && held.until >= now
        {
            if held.owner != lease.owner {
                return Err(ClaimError::Leased { until: held.until });
            }
            // An earlier try of this very claim, whose answer was lost.
            let before = RecordRow { fence: row.fence - 1, lease: None, ..row.clone() };
            return Ok(Claim::new(before, held.clone()));
        }
        let before = row.clone();
        row.fence += 1;
        row.lease = Some(lease.clone());
        Ok(Claim::new(before, lease.clone()))
    }

    async fn release(&self, claim: &Claim, release: Release) -> Result<(), StoreError> {
        let mut tables = self.write();
        let held = tables.records.get_mut(&claim.row.key).filter(|row| row.is_held_by(claim));
        if let Some(row) = held {
            row.lease = None;
            if release == Release::Clean {
                row.clean_fence = claim.fence;
            }
        }
        Ok(())
    }

    async fn commit(&self, commit: &Commit<'_>) -> Result<(), CommitError> {
        let key = &commit.claim.row.key;
        let mut tables = self.write();
        let rows = tables.audit.get(key);
        if rows.and_then(|rows| rows.get(commit.audit.sequence as usize - 1)).is_some_and(|row| row == commit.audit) {
            // This very commit, whose answer was lost.
            return Ok(());
        }
        let taken = rows.is_some_and(|rows| rows.len() as u64 >= commit.audit.sequence);
        if taken || !tables.records.get(key).is_some_and(|row| row.is_held_by(commit.claim)) {
            return Err(CommitError::FenceLost);
        }
        if let Some(settle) = &commit.settle {
            let row = tables
                .inbox
                .get_mut(settle.key)
                .filter(|row| row.is_pending_at(settle.attempt) && row.must_push == settle.must_push);
            let row = row.ok_or(CommitError::EventMoved)?;
            row.state = InboxState::Settled;
            row.reason = Some(settle.outcome.to_owned());
            row.settled_by = Some(commit.claim.fence);
            row.expires_at = settle.expires_at;
        }
        if let Some(row) = tables.records.get_mut(key) {
            row.lease = None;
            row.clean_fence = commit.claim.fence;
            row.audit = commit.audit.head();
            row.salt = commit.husk.is_none().then(|| commit.salt.to_owned());
            row.hold = commit.hold;
            row.fetched_at = commit.fetched_at.or(row.fetched_at);
            if let Some(state) = commit.state {
                row.state = Some(state.clone());
                row.husk = None;
            }
            if let Some(husk) = commit.husk {
                row.state = None;
                row.husk = Some(husk.clone());
            }
        }
        tables.audit.entry(key.clone()).or_default().push(commit.audit.clone());
        Ok(())
    }

    async fn read(&self, key: &RecordKey) -> Result<Option<RecordRow>, StoreError> {
        Ok(self.lock().records.get(key).cloned())
    }
}

impl Breakers for MemoryStore {
    async fn set_breaker(&self, provider: &str, state: Option<&BreakerState>) -> Result<(), StoreError> {
        let mut tables = self.write();
        match state {
            Some(state) => tables.breakers.insert(provider.to_owned(), state.clone()),
            None => tables.breakers.remove(provider),
        };
        Ok(())
    }
}

impl Batches for MemoryStore {
    async fn register(&self, row: &BatchRow) -> Result<Registered, StoreError> {
        let mut tables = self.write();
        if let Some(known) = tables.batches.get(&row.id) {
            return Ok(Registered::Exists(Box::new(known.clone())));
        }
        tables.batches.insert(row.id.clone(), row.clone());
        Ok(Registered::New)
    }

    async fn update_batch(&self, row: &BatchRow) -> Result<(), StoreError> {
        self.write().batches.insert(row.id.clone(), row.clone());
        Ok(())
    }

    async fn batch(&self, id: &BatchId) -> Result<Option<(BatchRow, BatchProgress)>, StoreError> {
        let tables = self.lock();
        let progress = tables.steps.get(id).map(Steps::progress).unwrap_or_default();
        Ok(tables.batches.get(id).map(|row| (row.clone(), progress)))
    }

    async fn batches(&self, cursor: Option<&str>, limit: usize) -> Result<Scanned<BatchRow>, StoreError> {
        let tables = self.lock();
        let mut rows: Vec<_> = tables.batches.values().map(|row| (row.place(), row.clone())).collect();
        rows.sort_by(|one, other| other.0.cmp(&one.0));
        rows.retain(|(place, _)| cursor.is_none_or(|cursor| place.as_str() < cursor));
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|(place, _)| place.clone());
        Ok(Scanned { items: rows.into_iter().map(|(_, row)| row).collect(), next })
    }

    async fn note(&self, id: &BatchId, step: BatchStep) -> Result<(), StoreError> {
        let mut tables = self.write();
        let steps = tables.steps.entry(id.clone()).or_default();
        match step {
            BatchStep::Partitions(count) => steps.counts.partitions = count,
            BatchStep::Source(rows) => steps.counts.source = rows,
            BatchStep::Destination(rows) => steps.counts.destination = rows,
            BatchStep::Own(rows) => steps.counts.own = rows,
            BatchStep::Compared(partition) => drop(steps.compared.insert(partition)),
            BatchStep::Repaired(partition) => drop(steps.repaired.insert(partition)),
        }
        Ok(())
    }

    async fn take_turn(&self, holder: &str, now: Timestamp, until: Timestamp) -> Result<Turn, StoreError> {
        let mut tables = self.write();
        if let Some((by, until)) = tables.turn.as_ref().filter(|(by, until)| by != holder && *until >= now) {
            return Ok(Turn::Taken { by: by.clone(), until: *until });
        }
        tables.turn = Some((holder.to_owned(), until));
        Ok(Turn::Mine)
    }

    async fn end_turn(&self, holder: &str) -> Result<(), StoreError> {
        self.write().turn.take_if(|(by, _)| by == holder);
        Ok(())
    }
}

impl PollMarks for MemoryStore {
    async fn poll_mark(&self, source: &str, kind: Kind) -> Result<Option<PollMark>, StoreError> {
        Ok(self.lock().poll_marks.get(&(source.to_owned(), kind)).cloned())
    }

    async fn set_poll_mark(&self, source: &str, kind: Kind, mark: &PollMark) -> Result<bool, StoreError> {
        let mut tables = self.write();
        let place = (source.to_owned(), kind);
        let known = tables.poll_marks.get(&place);
        if known.map_or(0, |known| known.revision) + 1 != mark.revision {
            return Ok(known == Some(mark));
        }
        tables.poll_marks.insert(place, mark.clone());
        Ok(true)
    }
}

impl IdMap for MemoryStore {
    async fn ids(&self, key: &RecordKey) -> Result<DestinationIds, StoreError> {
        Ok(self.lock().ids.get(key).cloned().unwrap_or_default())
    }

    async fn begin_id(
        &self,
        key: &RecordKey,
        role: &str,
        stale: Option<&str>,
        at: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let mut tables = self.write();
        let ids = tables.ids.entry(key.clone()).or_default();
        let other = ids.get(role).and_then(DestinationId::known).filter(|known| Some(*known) != stale);
        if let Some(other) = other {
            return Ok(Some(other.to_owned()));
        }
        ids.insert(role.to_owned(), DestinationId::Begun { at });
        Ok(None)
    }

    async fn set_id(&self, key: &RecordKey, role: &str, id: &str, stale: Option<&str>) -> Result<String, StoreError> {
        let mut tables = self.write();
        let ids = tables.ids.entry(key.clone()).or_default();
        let other = ids.get(role).and_then(DestinationId::known).filter(|known| Some(*known) != stale);
        if let Some(other) = other {
            return Ok(other.to_owned());
        }
        ids.insert(role.to_owned(), DestinationId::Known(id.to_owned()));
        Ok(id.to_owned())
    }
}

impl Grants for MemoryStore {
    async fn grant(&self, name: &str) -> Result<Option<GrantRow>, StoreError> {
        Ok(self.lock().grants.get(name).cloned())
    }

    async fn take_grant(&self, name: &str, seen: u64, lease: &Lease, now: Timestamp) -> Result<Taken, StoreError> {
        let mut tables = self.write();
        let Some(row) = tables.grants.get_mut(name) else { return Ok(Taken::Gone) };
        let leased = row.lease.as_ref().is_some_and(|held| held.until >= now);
        if row.fence == seen && !leased && row.needs_person.is_none() {
            row.fence += 1;
            row.lease = Some(lease.clone());
            return Ok(Taken::Mine(row.clone()));
        }
        let mine = row.fence == seen + 1 && row.lease.as_ref().is_some_and(|held| held.owner == lease.owner);
        Ok(if mine { Taken::Mine(row.clone()) } else { Taken::Others(row.clone()) })
    }

    async fn renew_grant(&self, name: &str, fence: u64, grant: &Grant) -> Result<bool, StoreError> {
        let mut tables = self.write();
        let row = tables.grants.get_mut(name).filter(|row| row.fence == fence);
        let renewed = row.map(|row| (row.grant, row.lease) = (grant.clone(), None));
        Ok(renewed.is_some())
    }

    async fn give_up_grant(&self, name: &str, fence: u64, needs_person: Option<&str>) -> Result<(), StoreError> {
        let mut tables = self.write();
        if let Some(row) = tables.grants.get_mut(name).filter(|row| row.fence == fence) {
            row.lease = None;
            row.needs_person = needs_person.map(str::to_owned).or(row.needs_person.take());
        }
        Ok(())
    }

    async fn put_grant(&self, name: &str, grant: &Grant) -> Result<(), StoreError> {
        let mut tables = self.write();
        let fence = tables.grants.get(name).map_or(0, |row| row.fence) + 1;
        let row = GrantRow { grant: grant.clone(), fence, lease: None, needs_person: None };
        tables.grants.insert(name.to_owned(), row);
        Ok(())
    }
}

impl RecordRow {
    fn is_held_by(&self, claim: &Claim) -> bool {
        self.fence == claim.fence && self.lease.as_ref().is_some_and(|lease| lease.owner == claim.lease.owner)
    }
}
