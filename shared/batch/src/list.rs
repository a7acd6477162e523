//! Reading a listing, page by page, for as long as the invocation lasts.

use crate::{
    BatchSync, Tables, TaskError,
    task::{Batch, Inventory, Walk},
};
use certbridge_archive::{Manifest, ManifestWriter};
use certbridge_mapping::{EventKey, ListedRecord, Plan, RecordKey, ShownRecord};
use certbridge_sync::{
    StoreError,
    batches::BatchStep,
    error::{RemoteClass, RemoteError},
    ports::{Destination, ListError, RetryQueue, Runtime, Sources},
    reconcile::{self, DestinationRow, OwnRow, OwnState, SourceRow},
    row::{INDEX_SHARDS, InboxState, RecordRow},
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// The longest that one page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many times a listing may start over before it is taken for incomplete.
const MAX_RESTARTS: u32 = 3;
/// How many times a page is asked for that makes no sense, and how long is waited in between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);
/// How many of our own rows are read at once.
const OWN_PAGE: usize = 500;
/// How many rows of the inbox are looked up at the same time.
const LOOKUPS: usize = 16;

/// A page of any listing.
struct Rows {
    rows: Vec<Row>,
    nameless: u64,
    next: Option<String>,
    announced: Option<u64>,
}

/// A row of any listing.
#[derive(Serialize)]
#[serde(untagged)]
enum Row {
    Source(SourceRow),
    Destination(DestinationRow),
    Own(Box<OwnRow>),
}

impl Row {
    /// Whether it is a record of the side, and not only a word on another source's.
    fn counts(&self) -> bool {
        !matches!(self, Self::Own(row) if row.of_another)
    }

    fn id(&self) -> &str {
        match self {
            Self::Source(row) => &row.id,
            Self::Destination(row) => &row.id,
            Self::Own(row) => &row.id,
        }
    }
}

impl<S, R, D, Q, T> BatchSync<S, R, D, Q, T>
where
    S: Tables,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    /// Reads on in a listing until its end or `stop_at`.
    ///
    /// # Errors
    /// Not a single page could be read, and that may pass: the state machine tries again.
    pub(crate) async fn list(
        &self,
        batch: &Batch,
        side: Inventory,
        walk: Walk,
        stop_at: Timestamp,
    ) -> Result<Walk, TaskError> {
        let plan = &self.plan(&batch.source)?;
        let pace = pace(plan, side);
        let mut walk = Walk { began_at: walk.began_at.or_else(|| Some(self.engine.runtime.now())), ..walk };
        let waiting = if side == Inventory::Own { self.waiting(batch).await? } else { BTreeMap::new() };
        let manifest = Manifest::new(&self.archive, batch.path(side.as_str()));
        let mut writer = manifest.write(format!("{:032x}", self.engine.runtime.random()), batch.partitions);
        if side == Inventory::Own && walk.side.pages == 0 {
            self.unheld(batch, &waiting, &mut writer).await?;
        }
        let before = walk.side.pages;
        let mut unusable = 0;
        while !walk.done && self.engine.runtime.now() < stop_at {
            let read_at = self.engine.runtime.now();
            let cursor = walk.cursor.as_deref();
            let page = match side {
                Inventory::Source => self.source_rows(batch, plan, cursor, read_at).await,
                Inventory::Destination => self.destination_rows(batch, cursor, read_at).await,
                Inventory::Own => self.own_rows(batch, cursor, read_at, &waiting).await,
            };
            match page {
                Ok(page) => {
                    walk = take(walk, page, &mut writer).await?;
                    self.engine.store.note(&batch.id, step(side, walk.side.rows)).await?;
                    self.pause(read_at, pace, &walk).await;
                }
                Err(ListError::Unlisted(_)) => walk = Walk { done: true, unlisted: true, ..Walk::default() },
                Err(ListError::CursorRefused(_)) if walk.restarts < MAX_RESTARTS => {
                    // What was read so far is no part of the listing that begins now.
                    let restarts = walk.restarts + 1;
                    tracing::warn!(side = side.as_str(), restarts, "a listing starts over");
                    writer = manifest.write(format!("{:032x}", self.engine.runtime.random()), batch.partitions);
                    walk = Walk { restarts, began_at: Some(self.engine.runtime.now()), ..Walk::default() };
                }
                Err(ListError::CursorRefused(error)) => walk = cut_off(walk, error.to_string()),
                // It may be a page of a proxy's; if it stays, the listing ends here.
                Err(ListError::Remote(error)) if error.class == RemoteClass::Unusable => {
                    unusable += 1;
                    if unusable == TRIES {
                        walk = cut_off(walk, error.to_string());
                    } else {
                        self.engine.runtime.sleep(PAUSE).await;
                    }
                }
                // What was read stays; the rest is for the next call.
                Err(ListError::Remote(_)) if walk.side.pages > before => break,
                Err(ListError::Remote(error)) if error.is_transient() => {
                    return Err(TaskError::Transient(error.to_string()));
                }
                Err(ListError::Remote(error)) => walk = cut_off(walk, error.to_string()),
            }
        }
        if !walk.unlisted {
            walk.segments.push(writer.finish().await?);
        }
        Ok(walk)
    }

    /// Waits until the next page may be asked for.
    async fn pause(&self, since: Timestamp, pace: Duration, walk: &Walk) {
        let past = Duration::try_from(self.engine.runtime.now().duration_since(since)).unwrap_or_default();
        if let Some(left) = pace.checked_sub(past).filter(|left| !walk.done && !left.is_zero()) {
            self.engine.runtime.sleep(left).await;
        }
    }

    async fn source_rows(
        &self,
        batch: &Batch,
        plan: &Plan,
        cursor: Option<&str>,
        read_at: Timestamp,
    ) -> Result<Rows, ListError> {
        let page = self.engine.sources.source_page(plan, batch.kind, cursor, None, PAGE_TIMEOUT).await?;
        let row = |of: ListedRecord| {
            let content = match of.fields {
                Ok(fields) => reconcile::Listed::Fields(fields),
                Err(problems) => reconcile::Listed::Invalid(problems.to_string()),
            };
            Row::Source(SourceRow { id: of.id.into(), read_at, changed_at: of.changed_at, content })
        };
        let rows = page.items.into_iter().map(row).collect();
        Ok(Rows { rows, nameless: page.nameless, next: page.next, announced: page.announced })
    }

    async fn destination_rows(
        &self,
        batch: &Batch,
        cursor: Option<&str>,
        read_at: Timestamp,
    ) -> Result<Rows, ListError> {
        let page = self.engine.destination.destination_page(batch.kind, cursor, PAGE_TIMEOUT).await?;
        let row = |of: ShownRecord| Row::Destination(DestinationRow { id: of.id.into(), read_at, fields: of.fields });
        let rows = page.items.into_iter().map(row).collect();
        Ok(Rows { rows, nameless: page.nameless, next: page.next, announced: page.announced })
    }

    async fn own_rows(
        &self,
        batch: &Batch,
        cursor: Option<&str>,
        read_at: Timestamp,
        waiting: &BTreeMap<RecordKey, InboxState>,
    ) -> Result<Rows, ListError> {
        let page = self.engine.store.records(batch.kind, cursor, OWN_PAGE).await.map_err(of_store)?;
        let now = self.engine.runtime.now();
        let is_there = |row: &RecordRow| row.state.as_ref().is_some_and(|state| !state.record.is_deleted());
        let row = |row: RecordRow| {
            if row.key.source != batch.source {
                let there = is_there(&row);
                let other = || OwnRow { of_another: true, ..own_row(RecordRow::new(row.key), read_at, now, None) };
                return there.then(|| Row::Own(Box::new(other())));
            }
            let waiting = waiting.get(&row.key).copied();
            Some(Row::Own(Box::new(own_row(row, read_at, now, waiting))))
        };
        let rows = page.items.into_iter().filter_map(row).collect();
        Ok(Rows { rows, nameless: 0, next: page.next, announced: None })
    }

    /// Adds the records that an event waits for, and of which we hold nothing yet.
    async fn unheld(
        &self,
        batch: &Batch,
        waiting: &BTreeMap<RecordKey, InboxState>,
        writer: &mut ManifestWriter<'_>,
    ) -> Result<(), TaskError> {
        let now = self.engine.runtime.now();
        for (key, state) in waiting {
            if self.engine.store.read(key).await?.is_none() {
                let row = own_row(RecordRow::new(batch.key(key.id.clone())), now, now, Some(*state));
                writer.add(key.id.as_str(), &row).await?;
            }
        }
        Ok(())
    }

    /// The records that an accepted event waits for, and where it stands. Of several, one that is pending counts: what
    /// moves is not judged.
    async fn waiting(&self, batch: &Batch) -> Result<BTreeMap<RecordKey, InboxState>, TaskError> {
        let mut waiting = BTreeMap::new();
        for state in [InboxState::Failed, InboxState::Quarantined, InboxState::Pending] {
            for shard in 0..INDEX_SHARDS {
                let mut cursor: Option<String> = None;
                loop {
                    let page = self.engine.store.unsettled(state, shard, cursor.as_deref(), OWN_PAGE).await?;
                    let keys = page.items.into_iter().filter(|key| key.source == batch.source);
                    let look_up = async |key: EventKey| self.engine.store.get(&key).await;
                    let rows: Vec<_> = stream::iter(keys.map(look_up)).buffer_unordered(LOOKUPS).try_collect().await?;
                    let events =
                        rows.into_iter().flatten().filter(|row| row.state == state).filter_map(|row| row.event);
                    let records = events.map(|event| event.record).filter(|record| record.kind == batch.kind);
                    waiting.extend(records.map(|record| (record, state)));
                    cursor = page.next;
                    if cursor.is_none() {
                        break;
                    }
                }
            }
        }
        Ok(waiting)
    }
}

/// The least time between two pages, so that the events' own requests are not slowed down.
fn pace(plan: &Plan, side: Inventory) -> Duration {
    let rate = match side {
        Inventory::Source => plan.source().rate,
        Inventory::Destination => plan.destination().rate,
        Inventory::Own => None,
    };
    rate.map_or(Duration::ZERO, |rate| rate.interval())
}

fn step(side: Inventory, rows: u64) -> BatchStep {
    match side {
        Inventory::Source => BatchStep::Source(rows),
        Inventory::Destination => BatchStep::Destination(rows),
        Inventory::Own => BatchStep::Own(rows),
    }
}

/// Takes a page into the manifest.
async fn take(walk: Walk, page: Rows, writer: &mut ManifestWriter<'_>) -> Result<Walk, TaskError> {
    let mut walk = walk;
    for row in &page.rows {
        writer.add(row.id(), row).await?;
    }
    walk.side.pages += 1;
    walk.side.rows += page.rows.iter().filter(|row| row.counts()).count() as u64;
    walk.side.announced = page.announced.or(walk.side.announced);
    if page.nameless > 0 && walk.remark.is_none() {
        walk.remark = Some("lists items that name no record".to_owned());
    }
    match &page.next {
        None => {
            walk.done = true;
            walk.side.complete = walk.remark.is_none();
        }
        Some(next) if !walk.trail.step(next) => return Ok(cut_off(walk, "its pages go round in a circle".to_owned())),
        Some(_) => {}
    }
    Ok(Walk { cursor: page.next, ..walk })
}

/// A listing that cannot be read to its end: what it lacks is not missing.
fn cut_off(walk: Walk, why: String) -> Walk {
    tracing::error!(why, "a listing is cut off");
    Walk { done: true, remark: Some(why), ..walk }
}

fn own_row(row: RecordRow, read_at: Timestamp, now: Timestamp, waiting: Option<InboxState>) -> OwnRow {
    let leased_until = row.lease.map(|lease| lease.until).filter(|until| *until >= now);
    let state = row.state.map(|state| OwnState {
        record: state.record,
        fingerprint: state.fingerprint,
        plan: state.plan,
        synced_at: state.synced_at,
    });
    OwnRow {
        id: row.key.id.to_string(),
        read_at,
        in_doubt: row.fence != row.clean_fence && leased_until.is_none(),
        leased_until,
        fetched_at: row.fetched_at,
        state,
        waiting,
        of_another: false,
    }
}

fn of_store(error: StoreError) -> ListError {
    let class = if error.is_transient() { RemoteClass::Unreachable } else { RemoteClass::Rejected };
    ListError::Remote(RemoteError::new("our tables", class, error.to_string()))
}
