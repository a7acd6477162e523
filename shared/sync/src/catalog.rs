//! What is on record, for whoever looks: lists of records by when they were synced, of events that are not settled, and
//! both in numbers.
//!
//! The indexes are cut into [`INDEX_SHARDS`] shards by the digest of the key, so no key of theirs is written to by
//! everybody. A page is merged from all of them.

use crate::{
    error::StoreError,
    row::{INDEX_SHARDS, InboxState, RecordRow, index_shard},
};
use certbridge_mapping::{EventKey, Kind, RecordKey};
use futures::future::try_join_all;
use jiff::Timestamp;
use serde::Serialize;
use std::{collections::BTreeMap, future::Future};

/// How many rows of an index one page looks at, at most, for the ones that its filter lets through.
const MAX_LOOKED_AT: usize = 4_000;
/// How many rows of one shard are counted, at most. A count reads all shards of a kind by one query each.
const MAX_COUNTED: usize = 1_000;

/// A record, as the index lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Which one.
    pub key: RecordKey,
    /// When its state was committed, to the millisecond.
    pub synced_at: Timestamp,
    /// Its state, in the canonical record's word.
    pub status: Option<String>,
    /// The destination's location that it belongs to.
    pub location_id: Option<String>,
}

impl Listed {
    /// A record as the index lists it; `None` before its first commit.
    pub fn of(row: &RecordRow) -> Option<Self> {
        let state = row.state.as_ref()?;
        let synced_at = Timestamp::from_millisecond(state.synced_at.as_millisecond()).ok()?;
        Some(Self {
            key: row.key.clone(),
            synced_at,
            status: state.record.status(),
            location_id: state.record.location_id().map(str::to_owned),
        })
    }

    /// Its place in the index: places are in the order of their texts.
    pub fn place(&self) -> String {
        place(self.synced_at, &self.key.to_string())
    }

    /// The shard of the index that it stands in.
    pub fn shard(key: &RecordKey) -> u8 {
        index_shard(&key.to_string())
    }
}

/// The place of what became so at a time.
fn place(at: Timestamp, key: &str) -> String {
    format!("{at:.3}#{key}")
}

/// An event that is not settled, as the index lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// When it is tried again, or was to be when it was set aside.
    pub next_at: Timestamp,
    /// Which one.
    pub key: EventKey,
}

/// The indexes, shard by shard.
pub trait Catalog: Send + Sync {
    /// The records of a kind in one shard (0 to 15), the last synced first: those whose place is before `before` and not
    /// before `since`.
    fn listed(
        &self,
        kind: Kind,
        shard: u8,
        before: Option<&str>,
        since: Option<Timestamp>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Listed>, StoreError>> + Send;

    /// The events of one shard (0 to 15) in a state, the longest waiting first: those whose place is after `after`.
    fn open(
        &self,
        state: InboxState,
        shard: u8,
        after: Option<&Open>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Open>, StoreError>> + Send;
}

/// Which records are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this source alone.
    pub source: Option<String>,
    /// In this state alone.
    pub status: Option<String>,
    /// Of this location alone.
    pub location_id: Option<String>,
    /// Synced then or later.
    pub since: Option<Timestamp>,
}

impl Filter {
    fn lets_through(&self, listed: &Listed) -> bool {
        let is =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        is(&self.source, Some(&listed.key.source))
            && is(&self.status, listed.status.as_deref())
            && is(&self.location_id, listed.location_id.as_deref())
    }
}

/// A page of a list, and where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The place after which the next page begins; `None` on the last.
    pub next: Option<String>,
}

/// The records of a kind that a filter lets through, the last synced first, at most `limit` of them. A page may hold
/// fewer and yet not be the last: no more than four thousand rows are looked at for one.
///
/// # Errors
/// [`StoreError`] if an index cannot be read.
pub async fn records<C: Catalog>(
    store: &C,
    kind: Kind,
    filter: &Filter,
    before: Option<String>,
    limit: usize,
) -> Result<Slice<Listed>, StoreError> {
    let chunk = limit.div_ceil(usize::from(INDEX_SHARDS)) * 2 + 2;
    let (mut items, mut before, mut looked_at) = (Vec::new(), before, 0);
    loop {
        let shards = (0..INDEX_SHARDS).map(|shard| store.listed(kind, shard, before.as_deref(), filter.since, chunk));
        let shards = try_join_all(shards).await?;
        // Below the end of a shard that has more, another of its rows may stand.
        let frontier = shards.iter().filter(|rows| rows.len() == chunk).filter_map(|rows| rows.last());
        let frontier = frontier.map(Listed::place).max();
        let mut rows: Vec<_> = shards.into_iter().flatten().map(|row| (row.place(), row)).collect();
        rows.retain(|(place, _)| frontier.as_ref().is_none_or(|frontier| place >= frontier));
        rows.sort_by(|one, other| other.0.cmp(&one.0));
        looked_at += rows.len();
        for (_, row) in rows.into_iter().filter(|(_, row)| filter.lets_through(row)) {
            if items.len() == limit {
                return Ok(Slice { next: items.last().map(Listed::place), items });
            }
            items.push(row);
        }
        match frontier {
            None => return Ok(Slice { items, next: None }),
            Some(_) if items.len() == limit => return Ok(Slice { next: items.last().map(Listed::place), items }),
            Some(frontier) if looked_at >= MAX_LOOKED_AT => return Ok(Slice { items, next: Some(frontier) }),
            Some(frontier) => before = Some(frontier),
        }
    }
}

/// The events in a state, the longest waiting first, at most `limit` of them, after an earlier one.
///
/// # Errors
/// [`StoreError`] if an index cannot be read.
pub async fn open<C: Catalog>(
    store: &C,
    state: InboxState,
    after: Option<&Open>,
    limit: usize,
) -> Result<(Vec<Open>, bool), StoreError> {
    let shards = (0..INDEX_SHARDS).map(|shard| store.open(state, shard, after, limit + 1));
    let mut rows: Vec<_> = try_join_all(shards).await?.into_iter().flatten().collect();
    rows.sort_by_key(Open::order);
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok((rows, more))
}

impl Open {
    /// What orders them: the time to the millisecond, then the key's text.
    pub(crate) fn order(&self) -> (i64, String) {
        (self.next_at.as_millisecond(), self.key.to_string())
    }
}

/// How many records have something in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// What; `None` for those that have none.
    pub name: Option<String>,
    /// How many.
    pub records: usize,
}

/// The records of a kind, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KindSummary {
    /// The kind.
    pub kind: Kind,
    /// How many there are.
    pub records: usize,
    /// Whether all of them were counted.
    pub complete: bool,
    /// When the last one was synced.
    pub last_synced_at: Option<Timestamp>,
    /// By their sources, the most first.
    pub sources: Vec<Counted>,
    /// By their states, the most first.
    pub statuses: Vec<Counted>,
    /// By their locations, the most first.
    pub locations: Vec<Counted>,
}

/// What is not settled, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenSummary {
    /// How many are to be synced.
    pub pending: usize,
    /// How many a person must look at.
    pub quarantined: usize,
    /// How many were tried for five days.
    pub failed: usize,
    /// When the one was to be tried that waits longest past its time; `None` if none does.
    pub oldest_pending_at: Option<Timestamp>,
    /// Whether all of them were counted.
    pub complete: bool,
}

/// What there is, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// When it was counted.
    pub at: Timestamp,
    /// Whether everything was.
    pub complete: bool,
    /// The records.
    pub kinds: Vec<KindSummary>,
    /// The events.
    pub events: OpenSummary,
}

/// Counts what there is, up to a bound: a thousand rows of each shard of each index.
///
/// # Errors
/// [`StoreError`] if an index cannot be read.
pub async fn summary<C: Catalog>(store: &C, now: Timestamp) -> Result<Summary, StoreError> {
    let kinds = try_join_all(Kind::ALL.map(|kind| summary_of(store, kind)));
    let (kinds, events) = futures::future::try_join(kinds, open_summary(store, now)).await?;
    let complete = events.complete && kinds.iter().all(|kind| kind.complete);
    Ok(Summary { at: now, complete, kinds, events })
}

async fn summary_of<C: Catalog>(store: &C, kind: Kind) -> Result<KindSummary, StoreError> {
    let shards = (0..INDEX_SHARDS).map(|shard| store.listed(kind, shard, None, None, MAX_COUNTED));
    let shards = try_join_all(shards).await?;
    let complete = shards.iter().all(|rows| rows.len() < MAX_COUNTED);
    let rows: Vec<_> = shards.into_iter().flatten().collect();
    let by = |of: &dyn Fn(&Listed) -> Option<String>| {
        let mut counts: BTreeMap<Option<String>, usize> = BTreeMap::new();
        for row in &rows {
            *counts.entry(of(row)).or_default() += 1;
        }
        let mut counted: Vec<_> = counts.into_iter().map(|(name, records)| Counted { name, records }).collect();
        counted.sort_by_key(|counted| std::cmp::Reverse(counted.records));
        counted
    };
    Ok(KindSummary {
        kind,
        records: rows.len(),
        complete,
        last_synced_at: rows.iter().map(|row| row.synced_at).max(),
        sources: by(&|row| Some(row.key.source.clone())),
        statuses: by(&|row| row.status.clone()),
        locations: by(&|row| row.location_id.clone()),
    })
}

async fn open_summary<C: Catalog>(store: &C, now: Timestamp) -> Result<OpenSummary, StoreError> {
    let states = [InboxState::Pending, InboxState::Quarantined, InboxState::Failed];
    let counted = states.map(async |state| {
        let shards = (0..INDEX_SHARDS).map(|shard| store.open(state, shard, None, MAX_COUNTED));
        let shards = try_join_all(shards).await?;
        let complete = shards.iter().all(|rows| rows.len() < MAX_COUNTED);
        let oldest = shards.iter().flatten().map(|open| open.next_at).min();
        Ok::<_, StoreError>((shards.iter().map(Vec::len).sum::<usize>(), oldest, complete))
    });
    let counted = try_join_all(counted).await?;
    let [(pending, oldest, _), (quarantined, ..), (failed, ..)] = counted[..] else {
        return Err(StoreError::Refused("three states were counted, and not three came back".to_owned()));
    };
    Ok(OpenSummary {
        pending,
        quarantined,
        failed,
        oldest_pending_at: oldest.filter(|at| *at <= now),
        complete: counted.iter().all(|(_, _, complete)| *complete),
    })
}
