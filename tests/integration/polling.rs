//! Polling a source that sends nothing: over real HTTP, from its listing to the destination.

use crate::{breaker::World, support};
use certbridge_mapping::{EventKey, Kind, Plan, RecordKey};
use certbridge_platform::SystemRuntime;
use certbridge_remote::{Http, HttpSources};
use certbridge_sandbox::{Credential, Fault, FaultRule};
use certbridge_sync::{
    StoreError,
    audit::{Actor, Cause},
    event::Disposition,
    memory::MemoryStore,
    poll::{CutShort, PollError, PollMark, PollMarks, Polled, poll},
    ports::{ApiKeys, Inbox, Inserted, Overdue, Runtime},
    row::{InboxRow, InboxState, Reschedule},
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;

const SEARCH: &str = "/v2/credentials/search";
const KIND: Kind = Kind::Certificate;

/// Time for one page, and for all.
const ONE_PAGE: SignedDuration = SignedDuration::from_millis(1);
const ALL_PAGES: SignedDuration = SignedDuration::from_hours(1);

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

impl World {
    fn plan(&self) -> Arc<Plan> {
        self.engine.plans.of("accredible").unwrap()
    }

    /// A credential that came to be what it is at this time.
    fn change(&self, id: &str, name: &str, at: Timestamp) {
        self.source.put(id, &Credential::new(id).named(name).at_location("loc_london"));
        assert!(self.source.set_updated_at(id, at));
    }

    /// Credentials from one id to another, that changed a second apart from some minutes ago on.
    fn changed(&self, ids: std::ops::RangeInclusive<u32>, minutes_ago: i64) {
        let first = self.clock.now() - minutes(minutes_ago);
        for (second, id) in ids.enumerate() {
            self.change(&id.to_string(), "Rust", first + SignedDuration::from_secs(second as i64));
        }
    }

    async fn poll_in<S: Inbox + PollMarks>(&self, store: &S, time: SignedDuration) -> Result<Polled, PollError> {
        let stop_at = self.clock.now() + time;
        poll(store, &self.engine.sources, &self.clock, &self.plan(), KIND, stop_at).await
    }

    async fn poll(&self) -> Polled {
        self.poll_in(&self.store, ALL_PAGES).await.unwrap()
    }

    async fn mark(&self) -> Option<PollMark> {
        self.store.poll_mark("accredible", KIND).await.unwrap()
    }

    async fn watermark(&self) -> Timestamp {
        self.mark().await.unwrap().watermark
    }

    /// How many events there are of each record.
    fn events(&self) -> BTreeMap<u32, usize> {
        let mut events = BTreeMap::new();
        for row in self.store.inbox_rows() {
            *events.entry(row.event.unwrap().record.id.as_str().parse().unwrap()).or_default() += 1;
        }
        events
    }

    /// How many pages were asked for since this was last asked.
    fn searches(&self) -> usize {
        let requests = self.source.server().requests();
        self.source.server().clear_requests();
        assert!(requests.iter().all(|request| request.body.pointer("/page/from").is_none()), "offsets end at 10,000");
        requests.iter().filter(|request| (request.method.as_str(), request.path.as_str()) == ("POST", SEARCH)).count()
    }

    fn fail(&self, fault: FaultRule) {
        self.source.server().add_fault(fault.on("POST", SEARCH));
    }

    /// Syncs every event that is pending, and says how many there were.
    async fn sync(&self) -> usize {
        let pending = self.store.inbox_rows().into_iter().filter(|row| row.state == InboxState::Pending);
        let mut settled = 0;
        for row in pending {
            let disposition = self.engine.sync_event(&row, &self.run()).await.unwrap();
            assert!(matches!(disposition, Disposition::Settled { .. }), "{disposition:?}");
            settled += 1;
        }
        settled
    }

    fn title(&self, id: &str) -> Option<String> {
        let certificate = self.destination.certificate(id)?;
        certificate.pointer("/title").and_then(|title| title.as_str()).map(str::to_owned)
    }
}

/// Each once, from one to another.
fn once(ids: std::ops::RangeInclusive<u32>) -> BTreeMap<u32, usize> {
    ids.map(|id| (id, 1)).collect()
}

#[tokio::test]
async fn changes_arrive_once_each_and_reach_the_destination() {
    let world = World::start().await;
    world.changed(1..=120, 60);
    let polled = world.poll().await;
    assert_eq!((polled.pages, polled.found, polled.accepted, polled.duplicates), (4, 120, 120, 0), "the last is empty");
    assert_eq!((world.events(), world.searches()), (once(1..=120), 4));
    assert_eq!(world.sync().await, 120);
    assert_eq!(world.title("77").as_deref(), Some("Rust"));
    let trail = world.store.audit_rows(&support::record("77"));
    let [row] = trail.as_slice() else { panic!("{trail:?}") };
    assert!(matches!(&row.cause, Cause::Event { event_type, .. } if event_type == "polled"), "{row:?}");
    assert!(matches!(&row.actor, Actor::Source { key_id, .. } if key_id == "certbridge-poll"), "{row:?}");

    // Nothing changed: what lies in the overlap is looked at again, by one put each, and nothing more comes of it.
    for _ in 0..3 {
        world.clock.set(world.clock.now() + minutes(5));
        let polled = world.poll().await;
        assert_eq!((polled.accepted, polled.duplicates, polled.done), (0, 120, true));
    }
    let changed_at = world.clock.now() + minutes(4);
    world.change("7", "Go", changed_at);
    world.clock.set(world.clock.now() + minutes(5));
    let polled = world.poll().await;
    assert_eq!((polled.accepted, polled.duplicates, polled.watermark), (1, 119, changed_at));
    assert_eq!((world.sync().await, world.title("7").as_deref()), (1, Some("Go")));
    world.clock.set(world.clock.now() + minutes(5));
    let polled = world.poll().await;
    assert_eq!((polled.accepted, polled.duplicates), (0, 1), "the others lie before the overlap by now");
    assert_eq!((world.sync().await, world.destination.applications().len()), (0, 121));
}

#[tokio::test]
async fn a_change_behind_a_walk_is_found_by_the_next() {
    let world = World::start().await;
    world.changed(1..=120, 60);
    let before = world.poll_in(&world.store, ONE_PAGE).await.unwrap();
    assert_eq!((before.pages, before.accepted, before.done), (1, 50, false));
    // The walk has passed the first; the last changes too, so that its time is seen before the first one's.
    let passed = world.clock.now() + minutes(1);
    world.change("1", "Go", passed);
    world.change("120", "Go", world.clock.now() + minutes(30));
    world.clock.set(world.clock.now() + minutes(40));
    let rest = world.poll().await;
    assert_eq!((rest.pages, rest.accepted, rest.done), (3, 70, true));
    assert!(rest.watermark < passed, "nothing is known of what changed after the walk began");
    assert_eq!(world.events(), once(1..=120));

    world.poll().await;
    let mut events = once(1..=120);
    events.insert(1, 2);
    assert_eq!(world.events(), events);
    world.poll().await;
    assert_eq!(world.events(), events);
    world.sync().await;
    assert_eq!((world.title("1").as_deref(), world.title("120").as_deref()), (Some("Go"), Some("Go")));
}

/// The tables in memory, which count the calls, and stand still for ever at one write of a mark, before it is made or
/// after.
struct Watched {
    store: MemoryStore,
    inserts: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    stops_at: Option<(u64, bool)>,
    stopped: Notify,
}

impl Watched {
    fn new(store: &MemoryStore, stops_at: Option<(u64, bool)>) -> Self {
        Self {
            store: store.clone(),
            inserts: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            stops_at,
            stopped: Notify::new(),
        }
    }

    fn calls(&self) -> [u64; 3] {
        [&self.reads, &self.inserts, &self.writes].map(|calls| calls.swap(0, Ordering::Relaxed))
    }

    async fn stop_if(&self, stops: bool) {
        if stops {
            self.stopped.notify_one();
            pending::<()>().await;
        }
    }
}

impl PollMarks for Watched {
    async fn poll_mark(&self, source: &str, kind: Kind) -> Result<Option<PollMark>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.store.poll_mark(source, kind).await
    }

    async fn set_poll_mark(&self, source: &str, kind: Kind, mark: &PollMark) -> Result<bool, StoreError> {
        let number = self.writes.fetch_add(1, Ordering::Relaxed) + 1;
        self.stop_if(self.stops_at == Some((number, false))).await;
        let written = self.store.set_poll_mark(source, kind, mark).await;
        self.stop_if(self.stops_at == Some((number, true))).await;
        written
    }
}

impl Inbox for Watched {
    async fn insert(&self, row: &InboxRow) -> Result<Inserted, StoreError> {
        self.inserts.fetch_add(1, Ordering::Relaxed);
        self.store.insert(row).await
    }

    async fn get(&self, key: &EventKey) -> Result<Option<InboxRow>, StoreError> {
        self.store.get(key).await
    }

    async fn reschedule(&self, key: &EventKey, attempt: u32, to: &Reschedule) -> Result<bool, StoreError> {
        self.store.reschedule(key, attempt, to).await
    }

    async fn set_aside(
        &self,
        key: &EventKey,
        attempt: u32,
        state: InboxState,
        reason: &str,
    ) -> Result<bool, StoreError> {
        self.store.set_aside(key, attempt, state, reason).await
    }

    async fn overdue(&self, shard: u8, now: Timestamp, limit: usize) -> Result<Vec<Overdue>, StoreError> {
        self.store.overdue(shard, now, limit).await
    }
}

#[tokio::test]
async fn a_crash_between_rows_and_mark_loses_nothing_and_repeats_a_page() {
    for (number, after) in [(1, false), (1, true), (2, false), (2, true), (4, false), (4, true)] {
        let world = World::start().await;
        world.changed(1..=120, 60);
        let latest = world.clock.now() - minutes(60) + SignedDuration::from_secs(119);
        let watched = Watched::new(&world.store, Some((number, after)));
        tokio::select! {
            polled = world.poll_in(&watched, ALL_PAGES) => panic!("it was not stopped: {polled:?}"),
            () = watched.stopped.notified() => {}
        }
        let ended = (number, after) == (4, true);
        let mark = world.mark().await;
        let watermark = mark.as_ref().map(|mark| mark.watermark);
        assert_eq!(watermark == Some(latest), ended, "write {number}, {after}");
        let asked = world.searches();
        assert_eq!(asked as u64, number);

        let polled = world.poll().await;
        let pages = if ended { 4 } else { 4 - number + u64::from(!after) };
        assert_eq!((polled.pages, world.searches() as u64, polled.done), (pages, pages, true));
        assert_eq!(world.events(), once(1..=120), "write {number}, {after}");
        assert_eq!(world.watermark().await, latest);
    }
}

#[tokio::test]
async fn a_failed_page_moves_no_watermark_and_is_asked_for_again() {
    let world = World::start().await;
    world.changed(1..=120, 60);
    world.fail(Fault::status(500).always());
    for _ in 0..2 {
        let error = world.poll_in(&world.store, ALL_PAGES).await.unwrap_err();
        assert!(matches!(&error, PollError::Failed(failed) if failed.message.starts_with("500")), "{error}");
        assert!(error.is_transient());
    }
    assert_eq!((world.mark().await, world.searches()), (None, 2), "one request each, and nothing was found");

    world.source.server().clear_faults();
    assert_eq!(world.poll_in(&world.store, ONE_PAGE).await.unwrap().pages, 1);
    let (watermark, walk) = (world.watermark().await, world.mark().await.unwrap().walk);
    for fault in [Fault::status(500), Fault::status(429), Fault::Cut, Fault::WrongBody, Fault::AnswerLost] {
        world.fail(fault.clone().once());
        let error = world.poll_in(&world.store, ALL_PAGES).await.unwrap_err();
        assert!(error.is_transient(), "{fault:?}: {error}");
        let mark = world.mark().await.unwrap();
        assert_eq!((mark.watermark, &mark.walk), (watermark, &walk), "{fault:?}");
    }
    // A page that says that it is the next one itself: the pages before it are kept.
    world.fail(Fault::Repeat.once());
    let error = world.poll_in(&world.store, ALL_PAGES).await.unwrap_err();
    assert!(matches!(error, PollError::Failed(_)), "{error}");
    world.searches();
    let polled = world.poll().await;
    assert_eq!((polled.pages, polled.done), (3, true), "from the page that failed");
    assert_eq!((world.events(), world.searches()), (once(1..=120), 3));
    assert!(world.watermark().await > watermark);
}

#[tokio::test]
async fn expired_cursors_start_a_walk_over() {
    let world = World::start().await;
    world.changed(1..=120, 60);
    world.poll_in(&world.store, ONE_PAGE).await.unwrap();
    world.source.expire_cursors();
    let polled = world.poll().await;
    assert_eq!((polled.pages, polled.accepted, polled.duplicates, polled.done), (4, 70, 50, true));
    assert_eq!((world.events(), world.searches()), (once(1..=120), 6), "the first, the refused one, and all");
}

#[tokio::test]
async fn of_two_polls_at_once_one_goes_on_alone() {
    let world = World::start().await;
    world.changed(1..=120, 60);
    let (one, other) = tokio::join!(world.poll(), world.poll());
    let (ended, stopped) = if one.done { (one, other) } else { (other, one) };
    assert_eq!((stopped.cut_short, stopped.done, stopped.pages), (Some(CutShort::Overtaken), false, 1));
    assert_eq!((ended.pages, ended.done), (4, true));
    assert_eq!((ended.accepted + stopped.accepted, ended.duplicates + stopped.duplicates), (120, 50));
    assert_eq!((world.events(), world.searches()), (once(1..=120), 5));
    assert_eq!(world.watermark().await, ended.watermark);
}

#[tokio::test]
async fn calls_are_counted() {
    let world = World::start().await;
    world.changed(1..=120, 60);
    let watched = Watched::new(&world.store, None);
    world.poll_in(&watched, ALL_PAGES).await.unwrap();
    assert_eq!((watched.calls(), world.searches()), ([1, 120, 4], 4), "the mark, each item, the mark after each page");
    // Of a hundred and twenty items, one changed, and twenty lie in the overlap of ten minutes.
    let watermark = world.watermark().await;
    world.changed(1..=99, 180);
    world.change("100", "Go", watermark + minutes(1));
    for id in 101..=120 {
        world.change(&id.to_string(), "Go", watermark - minutes(10) + SignedDuration::from_secs(id));
    }
    world.poll_in(&watched, ALL_PAGES).await.unwrap();
    assert_eq!((watched.calls(), world.searches()), ([1, 21, 4], 4));
    // In several goes, each of which reads the mark once.
    for page in 0..4 {
        assert_eq!(world.poll_in(&watched, ONE_PAGE).await.unwrap().done, page == 3);
        let [reads, _, writes] = watched.calls();
        assert_eq!((reads, writes, world.searches()), (1, 1, 1));
    }
    // As fast as is declared, 1000 in 300 seconds, and no faster.
    let (before, polled) = (world.clock.now(), world.poll().await);
    let pauses = SignedDuration::from_millis(300) * (polled.pages as i32 - 1);
    assert_eq!(world.clock.now().duration_since(before), pauses);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_offsets_reach_changed_on_one_day() {
    let world = World::start().await;
    let changed_at = world.clock.now() - minutes(60);
    for id in 1..=10_020_u32 {
        world.change(&id.to_string(), "Rust", changed_at + SignedDuration::from_millis(id.into()));
    }
    let mut polls = 0;
    let (mut accepted, mut pages) = (0, 0);
    loop {
        // Twenty seconds of every five minutes, at three pages a second.
        let polled = world.poll_in(&world.store, SignedDuration::from_secs(20)).await.unwrap();
        world.clock.set(world.clock.now() + minutes(5));
        (accepted, pages, polls) = (accepted + polled.accepted, pages + polled.pages, polls + 1);
        if polled.done {
            break;
        }
    }
    assert_eq!((accepted, pages, polls), (10_020, 202, 4));
    assert_eq!(world.searches(), 202);
    assert_eq!(world.events(), once(1..=10_020));
    assert_eq!(world.watermark().await, changed_at + SignedDuration::from_millis(10_020));
}

/// A provider's key that is not the right one, or is not there.
struct Key(Option<&'static str>);

impl ApiKeys for Key {
    async fn api_key(&self, _: &str) -> Result<Option<SecretString>, StoreError> {
        Ok(self.0.map(SecretString::from))
    }

    fn refused(&self, _: &str) {}
}

#[tokio::test]
async fn a_missing_key_is_told_from_a_source_that_fails() {
    let world = World::start().await;
    world.changed(1..=1, 60);
    for (key, words) in [(None, "no api_key in the secret sources/accredible"), (Some("old"), "401")] {
        let addresses = BTreeMap::from([("ACCREDIBLE_URL".to_owned(), world.source.url())]);
        let sources = HttpSources::new(Http::new().unwrap(), Key(key), addresses);
        let stop_at = world.clock.now() + ALL_PAGES;
        let error = poll(&world.store, &sources, &world.clock, &world.plan(), KIND, stop_at).await.unwrap_err();
        assert!(matches!(&error, PollError::Unauthorized(failed) if failed.message.contains(words)), "{error}");
        assert!(!error.is_transient());
    }
    assert_eq!((world.mark().await, world.events()), (None, BTreeMap::new()));
    assert_eq!(world.poll().await.accepted, 1);
}

#[tokio::test]
async fn what_cannot_be_mapped_is_quarantined_with_its_reason() {
    let world = World::start().await;
    world.changed(1..=2, 60);
    // No location: the listing cannot be read as a certificate, and neither can what is fetched.
    world.source.put("2", &Credential::new("2"));
    assert!(world.source.set_updated_at("2", world.clock.now() - minutes(60)));
    // Not an id of ours.
    world.source.put(&"x".repeat(300), &Credential::new("x"));
    assert!(world.source.set_updated_at(&"x".repeat(300), world.clock.now()));
    let polled = world.poll().await;
    assert_eq!((polled.found, polled.accepted, polled.nameless, polled.done), (2, 2, 1, true));
    for row in world.store.inbox_rows() {
        world.engine.sync_event(&row, &world.run()).await.unwrap();
    }
    let states: BTreeMap<_, _> = world
        .store
        .inbox_rows()
        .into_iter()
        .map(|row| (row.event.unwrap().record.id.to_string(), (row.state, row.reason.unwrap())))
        .collect();
    assert_eq!(states["1"].0, InboxState::Settled);
    let (state, reason) = &states["2"];
    assert!(*state == InboxState::Quarantined && reason.contains("location_id"), "{reason}");
}

/// Functions and tasks may move it between threads.
fn sendable<F: Future + Send>(poll: F) -> F {
    poll
}

/// The whole way, in the bundle as it runs: what a poll puts into the inbox comes out of the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_poll_finds_comes_out_of_the_stream() {
    let world = support::World::start().await;
    for id in ["1", "2", "3"] {
        world.issue(id);
    }
    let definitions = certbridge_mapping::Definitions::built_in();
    let plans = certbridge_sync::Plans::new(&definitions, "snapshots").unwrap();
    let plan = plans.all().into_iter().find(|plan| plan.polled_kinds().next().is_some()).unwrap();
    let key = Key(Some("api-key-of-the-source"));
    let addresses = BTreeMap::from([("ACCREDIBLE_URL".to_owned(), world.source().url())]);
    let sources = Arc::new(HttpSources::new(Http::new().unwrap(), key, addresses));
    let polled = async || {
        let stop_at = SystemRuntime.now() + ALL_PAGES;
        sendable(poll(world.store(), &*sources, &SystemRuntime, &plan, KIND, stop_at)).await.unwrap()
    };
    let (one, other) = tokio::join!(polled(), polled());
    // The sandbox has one of its own.
    assert_eq!(one.accepted + other.accepted, 4);
    let tell = async |id: &str| world.destination().certificate(id);
    for id in ["1", "2", "3"] {
        support::until(&format!("{id} is told"), async || tell(id).await).await;
    }
    world.source().update("2", &json!({"name": "Another"}));
    let again = polled().await;
    assert_eq!((again.accepted, again.duplicates, again.done), (1, 3, true));
    let told = async || tell("2").await.filter(|certificate| certificate["title"] == "Another");
    support::until("the change is told", told).await;
    let rows: BTreeSet<_> = world.trail("2").await.into_iter().map(|row| row.sequence).collect();
    assert_eq!(rows, BTreeSet::from([1, 2]));
    assert_eq!(polled().await.accepted, 0);
    let key: RecordKey = support::record("2");
    assert_eq!(support::trail(world.store(), &key).await.len(), 2);
    world.stop().await;
}
