//! One record's whole story: what was done to it, which deliveries caused it, and whether the trail of it holds.

use crate::{
    audit::{AuditRow, Cause},
    catalog::Catalog,
    error::StoreError,
    ports::Records,
    replay::Replay,
    row::{AuditHead, INDEX_SHARDS, InboxRow, InboxState, RecordRow},
};
use certbridge_mapping::{Event, EventKey, RecordKey};
use futures::future::{try_join, try_join_all};
use jiff::Timestamp;
use std::{collections::BTreeMap, future::Future};

/// How many events of one shard and state are looked through for those of a record, at most.
const MAX_LOOKED_AT: usize = 50;

/// A row of the inbox without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its identity.
    pub key: EventKey,
    /// When it was received, by our clock.
    pub received_at: Timestamp,
    /// The id of the key that proved it.
    pub proven_by: String,
    /// What it says; `None` if it could not be read.
    pub event: Option<Event>,
    /// Where it stands.
    pub state: InboxState,
    /// How many attempts have failed.
    pub attempt: u32,
    /// While it is pending: when it is tried again.
    pub next_at: Timestamp,
    /// Why it is not settled, or how it was.
    pub reason: Option<String>,
    /// Who had it run again last.
    pub replay: Option<Replay>,
}

impl From<InboxRow> for Delivery {
    fn from(row: InboxRow) -> Self {
        let InboxRow { key, received_at, proven_by, event, state, attempt, next_at, reason, replay, .. } = row;
        Self { key, received_at, proven_by, event, state, attempt, next_at, reason, replay }
    }
}

/// The trail, and the deliveries behind it.
pub trait AuditLog: Send + Sync {
    /// A record's audit rows, the newest first, at most `limit` of them: those whose sequence is below `before`.
    fn rows(
        &self,
        record: &RecordKey,
        before: Option<u64>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<AuditRow>, StoreError>> + Send;

    /// The deliveries of these keys that are still kept, in no order. Bodies are not read.
    fn deliveries(&self, keys: &[EventKey]) -> impl Future<Output = Result<Vec<Delivery>, StoreError>> + Send;
}

/// A part of a record's trail, the newest row first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailPage {
    /// The rows.
    pub rows: Vec<AuditRow>,
    /// What does not hold, if anything does not.
    pub fault: Option<String>,
    /// The sequence below which the next page begins; `None` on the last.
    pub next: Option<u64>,
}

/// A page of a record's trail, and whether it holds by itself: each row is as it was written and names the one before,
/// the first page begins where the record's row says, and the last one ends at the first row.
///
/// # Errors
/// [`StoreError`] if it cannot be read.
pub async fn trail<S: AuditLog>(
    store: &S,
    key: &RecordKey,
    head: Option<&AuditHead>,
    before: Option<u64>,
    limit: usize,
) -> Result<TrailPage, StoreError> {
    // One more, which is what the last one names.
    let mut rows = store.rows(key, before, limit + 1).await?;
    // A row that was committed between the two reads is not on record yet for whoever reads the record first.
    if let Some(head) = head.filter(|_| before.is_none()) {
        rows.retain(|row| row.sequence <= head.sequence);
    }
    let fault = fault(&rows, head.filter(|_| before.is_none()), rows.len() <= limit);
    let next = (rows.len() > limit).then(|| rows.get(limit - 1).map(|row| row.sequence)).flatten();
    rows.truncate(limit);
    Ok(TrailPage { rows, fault, next })
}

/// What does not hold of rows that follow one another, the newest first.
fn fault(rows: &[AuditRow], head: Option<&AuditHead>, to_the_first: bool) -> Option<String> {
    let newest = rows.first().map(AuditRow::head).unwrap_or_default();
    if head.is_some_and(|head| *head != newest) {
        return Some("the trail does not end where the record says".to_owned());
    }
    let first = AuditHead::default();
    for (place, row) in rows.iter().enumerate() {
        if row.hash != row.expected_hash() {
            return Some(format!("row {} is not as it was written", row.sequence));
        }
        let before = match rows.get(place + 1) {
            Some(before) => before.head(),
            None if to_the_first => first.clone(),
            None => break,
        };
        if row.sequence != before.sequence + 1 || row.previous_hash != before.hash {
            return Some(format!("what came before row {} is missing, or another row", row.sequence));
        }
    }
    None
}

/// What was done to a record, with the delivery that caused it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The audit row.
    pub row: AuditRow,
    /// The delivery, if one caused it and its row is still kept.
    pub delivery: Option<Delivery>,
}

/// A record's story, or a page of it, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The record, if there is one.
    pub record: Option<RecordRow>,
    /// What was done.
    pub entries: Vec<Entry>,
    /// The deliveries of it that are not settled. On the first page only.
    pub open: Vec<Delivery>,
    /// Whether all that is not settled was looked through for them.
    pub open_complete: bool,
    /// What does not hold of this part of its trail.
    pub fault: Option<String>,
    /// The sequence below which the next page begins; `None` on the last.
    pub next: Option<u64>,
}

/// Tells a record's story.
///
/// # Errors
/// [`StoreError`] if the tables cannot be read.
pub async fn history<S: AuditLog + Catalog + Records>(
    store: &S,
    key: &RecordKey,
    before: Option<u64>,
    limit: usize,
) -> Result<History, StoreError> {
    let record = store.read(key).await?;
    let head = record.as_ref().map(|row| row.audit.clone()).unwrap_or_default();
    let first_page = before.is_none();
    let open = async { if first_page { open_of(store, key).await } else { Ok((Vec::new(), true)) } };
    let (page, (open, open_complete)) = try_join(trail(store, key, Some(&head), before, limit), open).await?;
    let keys: Vec<_> = page.rows.iter().filter_map(event_of).collect();
    let mut deliveries: BTreeMap<_, _> =
        store.deliveries(&keys).await?.into_iter().map(|delivery| (delivery.key.clone(), delivery)).collect();
    let entry = |row: AuditRow| Entry { delivery: event_of(&row).and_then(|key| deliveries.remove(&key)), row };
    let entries = page.rows.into_iter().map(entry).collect();
    Ok(History { record, entries, open, open_complete, fault: page.fault, next: page.next })
}

/// The event that caused a row.
fn event_of(row: &AuditRow) -> Option<EventKey> {
    let Cause::Event { id, .. } = &row.cause else { return None };
    let (source, id) = id.split_once('#')?;
    Some(EventKey { source: source.to_owned(), id: id.to_owned() })
}

/// The deliveries of a record that are not settled, and whether all were looked through.
async fn open_of<S: AuditLog + Catalog>(store: &S, key: &RecordKey) -> Result<(Vec<Delivery>, bool), StoreError> {
    let states = [InboxState::Pending, InboxState::Quarantined, InboxState::Failed];
    let places = states.into_iter().flat_map(|state| (0..INDEX_SHARDS).map(move |shard| (state, shard)));
    let found = places.map(|(state, shard)| store.open(state, shard, None, MAX_LOOKED_AT));
    let found = try_join_all(found).await?;
    let complete = found.iter().all(|rows| rows.len() < MAX_LOOKED_AT);
    // Another source's are none of this record.
    let keys: Vec<_> =
        found.into_iter().flatten().map(|open| open.key).filter(|event| event.source == key.source).collect();
    let of_record = |delivery: &Delivery| delivery.event.as_ref().is_some_and(|event| event.record == *key);
    let mut open: Vec<_> = store.deliveries(&keys).await?.into_iter().filter(of_record).collect();
    open.sort_by(|one, other| other.received_at.cmp(&one.received_at).then_with(|| one.key.cmp(&other.key)));
    Ok((open, complete))
}
