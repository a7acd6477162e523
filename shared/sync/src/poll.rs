//! Polling: what a source lists as changed goes into the inbox, like any event.
//!
//! ```text
//! mark --> a page of what changed since a day --> inbox rows (one conditional put each) --> mark with the next cursor
//!               ^                                                                             |
//!               +---------------- until the last page: then the watermark moves <-------------+
//! ```
//!
//! Three things keep a change from being lost:
//! - The mark is written after the rows of a page. Whatever breaks off repeats a page, and what it repeats is a
//!   duplicate, since one record's state of one time is one event for ever.
//! - The watermark moves only at the end of a walk, over pages that were all read, and never past the time at which the
//!   walk began: what changes behind its back, on a page that it has passed, is newer than that.
//! - What the next walk looks for begins [`OVERLAP`] before the watermark.

use crate::{
    accept::SWEEP_GRACE,
    error::{RemoteClass, RemoteError, StoreError},
    ports::{Inbox, Inserted, ListError, Page, Runtime, Sources, Trail},
    row::{InboxRow, InboxState},
};
use certbridge_mapping::{EventKey, Kind, ListedRecord, Plan, PolledEvent, digest::sha256_hex};
use futures::future::try_join_all;
use jiff::{
    SignedDuration, Timestamp,
    civil::Date,
    tz::{Offset, TimeZone},
};
use serde::{Deserialize, Serialize};
use std::{future::Future, time::Duration};

/// How far before the watermark a walk begins. The source's clock and ours may be so far apart, two of the source's
/// servers too, and a change may take so long to be listed.
pub const OVERLAP: SignedDuration = SignedDuration::from_mins(10);

/// The longest that one page may take. A poll may last so much longer than it was told.
pub const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// What the inbox and the trail say of who proved a polled event: nobody but ourselves.
pub const PROVEN_BY: &str = "certbridge-poll";

/// How far the watermark stays behind, at most, when nothing changes. Else a quiet source would be asked for the same
/// day again and again, until something changes; and a settled event would be taken for a new one when its row has gone.
/// More than the clocks of two machines that work can be apart.
const QUIET: SignedDuration = SignedDuration::from_hours(48);

/// How old a cursor may be. How long one is good is documented nowhere; an old one might silently skip something.
const MAX_CURSOR_AGE: SignedDuration = SignedDuration::from_hours(3);

/// How many times a walk may start over because its cursor is refused.
const MAX_RESTARTS: u32 = 3;

/// How many rows are put at once.
const PUTS: usize = 10;

/// How far a source has been polled for a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollMark {
    /// Counts the writes of the mark, from 1 on.
    pub revision: u64,
    /// The poll that wrote it, so that two writes are never the same.
    pub poll: String,
    /// Everything that changed until then is in the inbox, by the source's clock; [`OVERLAP`] is for what is not so.
    pub watermark: Timestamp,
    /// When the last walk began that came to its end, by our clock.
    #[serde(default)]
    pub walked_at: Option<Timestamp>,
    /// The walk that is under way.
    #[serde(default)]
    pub walk: Option<PollWalk>,
}

/// A walk over the pages of what changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollWalk {
    /// The day since which the source was asked for changes. A cursor goes with it.
    pub since: Date,
    /// When it began, by our clock.
    pub began_at: Timestamp,
    /// The next page's cursor; none before the first.
    pub cursor: Option<String>,
    /// When the page was read that gave the cursor, by our clock.
    pub cursor_at: Timestamp,
    /// What tells whether it goes round in a circle.
    pub trail: Trail,
    /// The latest change seen so far, by the source's clock.
    pub latest: Option<Timestamp>,
    /// How often it started over.
    pub restarts: u32,
}

/// The marks, as all functions see them.
pub trait PollMarks: Send + Sync {
    /// How far a source has been polled for a kind, read consistently; `None` before the first page.
    fn poll_mark(&self, source: &str, kind: Kind) -> impl Future<Output = Result<Option<PollMark>, StoreError>> + Send;

    /// Writes a mark, if the one that stands there has the revision before its own. `false` if another poll has written
    /// meanwhile. A write whose answer was lost may be repeated.
    fn set_poll_mark(
        &self,
        source: &str,
        kind: Kind,
        mark: &PollMark,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// What a poll did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polled {
    /// How many pages it read.
    pub pages: u64,
    /// How many records they showed.
    pub found: u64,
    /// How many events are new.
    pub accepted: u64,
    /// How many events were known.
    pub duplicates: u64,
    /// How many items named no record that could be one of ours. They are left to a person.
    pub nameless: u64,
    /// How many items did not say when they changed. They are looked at once a day.
    pub undated: u64,
    /// Whether the walk came to its end. If not, the next poll goes on with it.
    pub done: bool,
    /// How far the source has been polled now, by its own clock.
    pub watermark: Timestamp,
    /// When the last walk began that came to its end, by our clock: what changed before is in the inbox.
    pub walked_at: Option<Timestamp>,
    /// What ended the poll before its time and before its walk's end.
    pub cut_short: Option<CutShort>,
}

/// What ended a poll that had read some pages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CutShort {
    /// Another poll is at the same walk, and has gone further.
    #[error("another poll has gone further")]
    Overtaken,
    /// The source failed in a way that may pass.
    #[error(transparent)]
    Failed(RemoteError),
}

/// Why a poll did nothing, or failed. In any case the watermark stands where it stood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// The source's definition does not say that the kind is polled.
    #[error("{source_name} is not polled for a {kind}")]
    Off {
        /// The source.
        source_name: String,
        /// The kind.
        kind: Kind,
    },
    /// The source takes our key no more, or we have none: then its message says so. A person must look.
    #[error("{0}")]
    Unauthorized(RemoteError),
    /// There is no such listing, or the definition names a source that we cannot list. A person must look.
    #[error("{0} cannot be polled: it lists nothing")]
    Unlisted(String),
    /// The source refuses our very request. A person must look.
    #[error("{0}")]
    Rejected(RemoteError),
    /// The source failed before a single page was read, in a way that may pass.
    #[error("{0}")]
    Failed(RemoteError),
    /// Its cursors were refused again and again. The next poll begins a new walk.
    #[error("cursors are refused again and again: {0}")]
    Cursors(RemoteError),
    /// Its pages go round in a circle. The next poll begins a new walk.
    #[error("the pages of {0} go round in a circle")]
    Circle(String),
    /// A table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PollError {
    /// Whether another try can help without anybody mending anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Off { .. } | Self::Unauthorized(_) | Self::Unlisted(_) | Self::Rejected(_) => false,
            Self::Failed(_) | Self::Cursors(_) | Self::Circle(_) => true,
            Self::Store(error) => error.is_transient(),
        }
    }
}

impl From<RemoteError> for PollError {
    fn from(error: RemoteError) -> Self {
        match error.class {
            RemoteClass::Unauthorized => Self::Unauthorized(error),
            RemoteClass::Rejected => Self::Rejected(error),
            _ => Self::Failed(error),
        }
    }
}

/// Puts what changed at a source into the inbox: begins a walk over its listing, or goes on with one, until the end or
/// `stop_at`.
///
/// Calls: one read of the mark; for each page, one request to the source, one put for each item that changed later than
/// [`OVERLAP`] before the watermark, and one write of the mark.
///
/// # Errors
/// [`PollError`], which says whether another try can help. Pages that were read before are kept, and the next poll goes
/// on after them, unless the error says that it begins a new walk.
pub async fn poll<S, R, T>(
    store: &S,
    sources: &R,
    runtime: &T,
    plan: &Plan,
    kind: Kind,
    stop_at: Timestamp,
) -> Result<Polled, PollError>
where
    S: Inbox + PollMarks,
    R: Sources,
    T: Runtime,
{
    let source = plan.source().name.as_str();
    if !plan.polls(kind) {
        return Err(PollError::Off { source_name: source.to_owned(), kind });
    }
    let now = runtime.now();
    let mark = store.poll_mark(source, kind).await?.unwrap_or_else(|| PollMark::first(now));
    let mark = PollMark {
        poll: format!("{:032x}", runtime.random()),
        walk: mark.walk.filter(|walk| walk.is_good(now)),
        ..mark
    };
    Poll { store, sources, runtime, plan, kind, polled: Polled::nothing(&mark), mark }.run(stop_at).await
}

/// One call's part of a walk.
struct Poll<'a, S, R, T> {
    store: &'a S,
    sources: &'a R,
    runtime: &'a T,
    plan: &'a Plan,
    kind: Kind,
    mark: PollMark,
    polled: Polled,
}

impl<S, R, T> Poll<'_, S, R, T>
where
    S: Inbox + PollMarks,
    R: Sources,
    T: Runtime,
{
    async fn run(mut self, stop_at: Timestamp) -> Result<Polled, PollError> {
        let mut walk = self.mark.walk.clone().unwrap_or_else(|| self.new_walk(0));
        let mut next_at = self.runtime.now();
        while self.pause_until(next_at, stop_at).await {
            let asked_at = self.runtime.now();
            next_at = asked_at + self.plan.source().rate.map(|rate| rate.interval()).unwrap_or_default();
            let cursor = walk.cursor.as_deref();
            match self.sources.source_page(self.plan, self.kind, cursor, Some(walk.since), PAGE_TIMEOUT).await {
                Ok(page) => {
                    self.accept(&walk, &page).await?;
                    match walk.after(&page, self.runtime.now()) {
                        Step::On(further) => walk = further,
                        Step::End(ended) => return self.end(&ended).await,
                        Step::Circle => {
                            let error = PollError::Circle(self.plan.source().secret_name());
                            return self.fail(error).await;
                        }
                    }
                    if !self.remember(Some(walk.clone())).await? {
                        return Ok(self.cut_short(CutShort::Overtaken));
                    }
                }
                Err(ListError::CursorRefused(error)) if walk.restarts == MAX_RESTARTS => {
                    return self.fail(PollError::Cursors(error)).await;
                }
                Err(ListError::CursorRefused(_)) => {
                    walk = self.new_walk(walk.restarts + 1);
                    tracing::warn!(source = self.plan.source().name, restarts = walk.restarts, "a poll starts over");
                }
                Err(ListError::Unlisted(source)) => return Err(PollError::Unlisted(source)),
                Err(ListError::Remote(error)) => match PollError::from(error) {
                    PollError::Failed(error) if self.polled.pages > 0 => {
                        return Ok(self.cut_short(CutShort::Failed(error)));
                    }
                    error => return Err(error),
                },
            }
        }
        Ok(self.polled)
    }

    /// Waits for the next request's time, and says whether it is still before `stop_at`.
    async fn pause_until(&self, next_at: Timestamp, stop_at: Timestamp) -> bool {
        let now = self.runtime.now();
        if now.max(next_at) >= stop_at {
            return false;
        }
        // None if it has come.
        if let Ok(pause) = Duration::try_from(next_at.duration_since(now))
            && !pause.is_zero()
        {
            self.runtime.sleep(pause).await;
        }
        true
    }

    /// A walk from its first page, for what changed after [`PollMark::from`].
    fn new_walk(&self, restarts: u32) -> PollWalk {
        let began_at = self.runtime.now();
        PollWalk {
            since: day_of(self.mark.from()),
            began_at,
            cursor: None,
            cursor_at: began_at,
            trail: Trail::default(),
            latest: None,
            restarts,
        }
    }

    /// Puts what changed into the inbox.
    async fn accept(&mut self, walk: &PollWalk, page: &Page<ListedRecord>) -> Result<(), PollError> {
        let source = &self.plan.source().name;
        // Not before the page was there: a fetch that began earlier may have missed what it shows.
        let now = self.runtime.now();
        let from = self.mark.from();
        let undated = page.items.iter().filter(|item| item.changed_at.is_none()).count() as u64;
        if undated > 0 || page.nameless > 0 {
            tracing::error!(source, undated, nameless = page.nameless, "a listing has items without time or name");
        }
        if let Some(ahead) = page.items.iter().filter_map(|item| item.changed_at).find(|at| *at > now + OVERLAP) {
            tracing::warn!(source, %ahead, "a listing has changes of the future");
        }
        let changed = page.items.iter().filter(|item| item.changed_at.is_none_or(|at| at > from));
        let rows: Vec<_> = changed
            .map(|item| {
                // That it is listed says that it changed on that day or later.
                let changed_at = item.changed_at.unwrap_or_else(|| start_of(walk.since));
                inbox_row(self.plan.polled(self.kind, &item.id, changed_at), now)
            })
            .collect();
        for some in rows.chunks(PUTS) {
            let inserted = try_join_all(some.iter().map(|row| self.store.insert(row))).await?;
            for (row, inserted) in some.iter().zip(inserted) {
                let EventKey { source, id: event_id } = &row.key;
                match inserted {
                    Inserted::New => {
                        tracing::info!(source, event_id, "accepted");
                        self.polled.accepted += 1;
                    }
                    Inserted::Exists { body_digest } => {
                        if body_digest != row.body_digest {
                            tracing::error!(source, event_id, "a polled event is there with other bytes");
                        }
                        self.polled.duplicates += 1;
                    }
                }
            }
        }
        self.polled.pages += 1;
        self.polled.found += page.items.len() as u64;
        self.polled.nameless += page.nameless;
        self.polled.undated += undated;
        Ok(())
    }

    /// Ends a walk at its last page: only now may the watermark move.
    async fn end(mut self, walk: &PollWalk) -> Result<Polled, PollError> {
        self.mark.watermark = walk.watermark(self.mark.watermark);
        self.mark.walked_at = Some(walk.began_at);
        if !self.remember(None).await? {
            return Ok(self.cut_short(CutShort::Overtaken));
        }
        self.polled.done = true;
        self.polled.watermark = self.mark.watermark;
        self.polled.walked_at = self.mark.walked_at;
        Ok(self.polled)
    }

    /// Gives a walk up, so that the next poll begins a new one from where this one began.
    async fn fail(mut self, error: PollError) -> Result<Polled, PollError> {
        tracing::error!(%error, "a poll gives its walk up");
        // Whoever has written meanwhile has a walk of their own.
        self.remember(None).await?;
        Err(error)
    }

    /// Writes the mark. `false` if another poll has written meanwhile.
    async fn remember(&mut self, walk: Option<PollWalk>) -> Result<bool, PollError> {
        let mark = PollMark { revision: self.mark.revision + 1, walk, ..self.mark.clone() };
        let written = self.store.set_poll_mark(&self.plan.source().name, self.kind, &mark).await?;
        self.mark = mark;
        Ok(written)
    }

    fn cut_short(mut self, why: CutShort) -> Polled {
        tracing::warn!(source = self.plan.source().name, why = %why, pages = self.polled.pages, "a poll is cut short");
        self.polled.cut_short = Some(why);
        self.polled
    }
}

impl Polled {
    fn nothing(mark: &PollMark) -> Self {
        Self {
            pages: 0,
            found: 0,
            accepted: 0,
            duplicates: 0,
            nameless: 0,
            undated: 0,
            done: false,
            watermark: mark.watermark,
            walked_at: mark.walked_at,
            cut_short: None,
        }
    }
}

impl PollMark {
    /// The mark of a source that was never polled: it begins with the current day. What is older is for the first
    /// reconciliation to find.
    fn first(now: Timestamp) -> Self {
        let today = TimeZone::UTC.to_datetime(now - OVERLAP).date();
        Self { revision: 0, poll: String::new(), watermark: start_of(today) + OVERLAP, walked_at: None, walk: None }
    }

    /// What changed later is to be put into the inbox.
    fn from(&self) -> Timestamp {
        self.watermark - OVERLAP
    }
}

/// Where a walk goes after a page.
enum Step {
    On(PollWalk),
    End(PollWalk),
    Circle,
}

impl PollWalk {
    fn is_good(&self, now: Timestamp) -> bool {
        now.duration_since(self.cursor_at) < MAX_CURSOR_AGE
    }

    fn after(&self, page: &Page<ListedRecord>, now: Timestamp) -> Step {
        let latest = page.items.iter().filter_map(|item| item.changed_at).max().max(self.latest);
        let mut walk = Self { cursor: page.next.clone(), cursor_at: now, latest, ..self.clone() };
        match &page.next {
            None => Step::End(walk),
            Some(next) if walk.trail.step(next) => Step::On(walk),
            Some(_) => Step::Circle,
        }
    }

    /// The watermark after this walk, which came to its end: the latest change that it saw. But never past the time at
    /// which it began: on pages that it had passed by then, something may have changed since, unseen; and the time of a
    /// change may lie in the future, by a clock that is far ahead.
    fn watermark(&self, before: Timestamp) -> Timestamp {
        let seen = self.latest.map_or(before, |latest| latest.min(self.began_at));
        before.max(seen).max(self.began_at - QUIET)
    }
}

/// The day since which to ask for what changed after a time. Nobody says by whose days the API goes, so it is the day
/// that it was then where it is the earliest, twelve hours behind UTC: on half of the polls that is a day more, which
/// costs some pages and no event.
fn day_of(at: Timestamp) -> Date {
    Offset::constant(-12).to_datetime(at).date()
}

fn start_of(day: Date) -> Timestamp {
    // Only the very first and last days that can be written have none.
    TimeZone::UTC.to_timestamp(day.to_datetime(jiff::civil::Time::midnight())).unwrap_or(Timestamp::MIN)
}

fn inbox_row(polled: PolledEvent, now: Timestamp) -> InboxRow {
    let PolledEvent { event, body } = polled;
    InboxRow {
        key: event.key.clone(),
        body_digest: sha256_hex(&body),
        body,
        received_at: now,
        proven_by: PROVEN_BY.to_owned(),
        event: Some(event),
        state: InboxState::Pending,
        attempt: 0,
        unseen: 0,
        next_at: now + SWEEP_GRACE,
        reason: None,
        must_push: false,
        settled_by: None,
        expires_at: None,
        replay: None,
        trace: None,
    }
}
