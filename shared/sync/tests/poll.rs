//! Polling, against a source that answers as it is told, and tables in memory that can fail at any call.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use certbridge_mapping::{Definitions, Kind, ListedRecord, Plan, Problems, SourceDefinition};
use certbridge_sync::{
    StoreError,
    error::{RemoteClass, RemoteError},
    memory::MemoryStore,
    poll::{CutShort, PollError, PollMark, PollMarks, Polled, poll},
    ports::{Fetched, Inbox, Inserted, ListError, Overdue, Page, Runtime, Sources},
    row::{InboxRow, InboxState, Reschedule},
};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp, civil::Date};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

const SOURCE: &str = include_str!("../../../config/sources/accredible.toml");
const NOON: &str = "2026-03-10T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn plan_of(text: &str) -> Plan {
    let source = SourceDefinition::parse("accredible.toml", text).unwrap();
    Plan::new(Arc::new(source), Definitions::built_in().destination("snapshots").unwrap().clone())
}

/// A clock that moves only while somebody sleeps, or when it is moved.
#[derive(Clone)]
struct Clock(Arc<Mutex<(Timestamp, Vec<Duration>)>>);

impl Clock {
    fn set(&self, now: Timestamp) {
        self.0.lock().unwrap().0 = now;
    }
}

impl Runtime for Clock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }

    async fn sleep(&self, duration: Duration) {
        let mut clock = self.0.lock().unwrap();
        clock.0 += duration;
        clock.1.push(duration);
    }

    fn random(&self) -> u128 {
        u128::from(fastrand::u64(..))
    }
}

type Answer = Result<Page<ListedRecord>, ListError>;

/// A source that answers as it is told.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<(Option<String>, Date)>>,
    /// How much later it is with every answer.
    takes: Mutex<Option<(Clock, SignedDuration)>>,
}

impl Sources for Script {
    async fn fetch(&self, _: &Plan, _: &certbridge_mapping::RecordKey, _: Duration) -> Result<Fetched, RemoteError> {
        panic!("a poll fetches nothing")
    }

    async fn source_page(
        &self,
        _: &Plan,
        kind: Kind,
        cursor: Option<&str>,
        since: Option<Date>,
        _: Duration,
    ) -> Answer {
        assert_eq!(kind, Kind::Certificate);
        self.asked.lock().unwrap().push((cursor.map(str::to_owned), since.unwrap()));
        if let Some((clock, by)) = &*self.takes.lock().unwrap() {
            clock.set(clock.now() + *by);
        }
        self.answers.lock().unwrap().pop_front().unwrap()
    }
}

/// An item that can be read.
fn item(id: &str, changed_at: &str) -> ListedRecord {
    ListedRecord {
        id: id.to_owned().try_into().unwrap(),
        changed_at: Some(at(changed_at)),
        fields: Ok(Default::default()),
    }
}

fn page(items: &[(&str, &str)], next: Option<&str>) -> Answer {
    let items = items.iter().map(|(id, changed_at)| item(id, changed_at)).collect();
    Ok(Page { items, nameless: 0, next: next.map(str::to_owned), announced: None })
}

fn remote(class: RemoteClass) -> RemoteError {
    RemoteError::new("sources/accredible", class, "as told")
}

fn refused() -> Answer {
    Err(ListError::CursorRefused(remote(RemoteClass::Rejected)))
}

fn failed() -> Answer {
    Err(ListError::Remote(remote(RemoteClass::Failed)))
}

struct World {
    store: MemoryStore,
    source: Script,
    clock: Clock,
    plan: Plan,
}

impl World {
    fn new() -> Self {
        Self {
            store: MemoryStore::new(),
            source: Script::default(),
            clock: Clock(Arc::new(Mutex::new((at(NOON), Vec::new())))),
            plan: plan_of(SOURCE),
        }
    }

    /// A world whose source was polled until then.
    fn polled_until(watermark: &str) -> Self {
        let world = Self::new();
        let watermark = at(watermark);
        let mark = PollMark { revision: 1, poll: "before".into(), watermark, walked_at: Some(watermark), walk: None };
        assert_eq!(now(world.store.set_poll_mark("accredible", Kind::Certificate, &mark)), Ok(true));
        world
    }

    /// Polls for an hour, with these answers, all of which are asked for.
    fn poll(&self, answers: impl IntoIterator<Item = Answer>) -> Result<Polled, PollError> {
        self.poll_for(SignedDuration::from_hours(1), answers)
    }

    fn poll_for(&self, time: SignedDuration, answers: impl IntoIterator<Item = Answer>) -> Result<Polled, PollError> {
        self.poll_in(&self.store, time, answers)
    }

    fn poll_in<S: Inbox + PollMarks>(
        &self,
        store: &S,
        time: SignedDuration,
        answers: impl IntoIterator<Item = Answer>,
    ) -> Result<Polled, PollError> {
        self.source.answers.lock().unwrap().extend(answers);
        let stop_at = self.clock.now() + time;
        let polled = now(poll(store, &self.source, &self.clock, &self.plan, Kind::Certificate, stop_at));
        let left = std::mem::take(&mut *self.source.answers.lock().unwrap());
        assert!(left.is_empty(), "not asked for: {left:?}");
        polled
    }

    fn asked(&self) -> Vec<(Option<String>, String)> {
        let asked = std::mem::take(&mut *self.source.asked.lock().unwrap());
        asked.into_iter().map(|(cursor, since)| (cursor, since.to_string())).collect()
    }

    fn cursors(&self) -> Vec<Option<String>> {
        self.asked().into_iter().map(|(cursor, _)| cursor).collect()
    }

    fn mark(&self) -> PollMark {
        now(self.store.poll_mark("accredible", Kind::Certificate)).unwrap().unwrap()
    }

    /// The ids of the records that events in the inbox speak of, as often as they do.
    fn ids(&self) -> Vec<String> {
        let mut ids: Vec<_> =
            self.store.inbox_rows().into_iter().map(|row| row.event.unwrap().record.id.to_string()).collect();
        ids.sort();
        ids
    }
}

/// What a future comes to that waits for nothing.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

fn cursor(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// What one whole walk takes in, and how far it moves the watermark.
#[test]
fn a_walk_takes_what_changed_and_moves_the_watermark() {
    struct Case<'a> {
        name: &'a str,
        now: &'a str,
        until: Option<&'a str>,
        items: &'a [(&'a str, &'a str)],
        accepted: &'a [&'a str],
        watermark: &'a str,
    }
    let noon =
        Case { name: "", now: NOON, until: Some("2026-03-10T11:00:00Z"), items: &[], accepted: &[], watermark: "" };
    for case in [
        Case {
            name: "the first poll begins with the day",
            until: None,
            items: &[
                ("1", "2026-03-09T23:59:59.999Z"),
                ("2", "2026-03-10T00:00:00.001Z"),
                ("3", "2026-03-10T09:00:00Z"),
            ],
            accepted: &["2", "3"],
            watermark: "2026-03-10T09:00:00Z",
            ..noon
        },
        Case {
            name: "a day that has just begun is begun with the one before",
            now: "2026-03-10T00:09:59Z",
            until: None,
            items: &[("1", "2026-03-08T23:59:59Z"), ("2", "2026-03-09T00:00:01Z")],
            accepted: &["2"],
            watermark: "2026-03-09T00:10:00Z",
        },
        Case { name: "a first poll that finds nothing", until: None, watermark: "2026-03-10T00:10:00Z", ..noon },
        Case {
            name: "what is later than the overlap",
            items: &[("1", "2026-03-10T10:50:00Z"), ("2", "2026-03-10T10:50:00.001Z"), ("3", "2026-03-10T11:30:00Z")],
            accepted: &["2", "3"],
            watermark: "2026-03-10T11:30:00Z",
            ..noon
        },
        Case {
            name: "the watermark never goes back",
            items: &[("1", "2026-03-10T10:55:00Z")],
            accepted: &["1"],
            watermark: "2026-03-10T11:00:00Z",
            ..noon
        },
        Case { name: "nothing changed", watermark: "2026-03-10T11:00:00Z", ..noon },
        Case {
            name: "the future is taken, and does not hide what comes before it",
            items: &[("1", "2026-03-10T11:59:00Z"), ("2", "9999-12-30T22:00:00Z")],
            accepted: &["1", "2"],
            watermark: NOON,
            ..noon
        },
        Case {
            name: "a source whose clock is an hour behind",
            until: Some("2026-03-10T10:55:00Z"),
            items: &[("1", "2026-03-10T10:58:00Z")],
            accepted: &["1"],
            watermark: "2026-03-10T10:58:00Z",
            ..noon
        },
        Case {
            name: "a quiet week",
            until: Some("2026-03-03T12:00:00Z"),
            items: &[("1", "2026-03-03T11:59:00Z")],
            accepted: &["1"],
            watermark: "2026-03-08T12:00:00Z",
            ..noon
        },
        Case {
            name: "what cannot be, from before time began",
            items: &[("1", "-009999-01-02T02:00:00Z")],
            watermark: "2026-03-10T11:00:00Z",
            ..noon
        },
    ] {
        let world = case.until.map_or_else(World::new, World::polled_until);
        world.clock.set(at(case.now));
        let polled = world.poll([page(case.items, None)]).unwrap();
        assert_eq!(world.ids(), case.accepted, "{}", case.name);
        assert_eq!(polled.watermark, at(case.watermark), "{}", case.name);
        assert_eq!(world.mark().watermark, at(case.watermark), "{}", case.name);
        let (found, accepted) = (case.items.len() as u64, case.accepted.len() as u64);
        assert_eq!((polled.pages, polled.found, polled.accepted, polled.duplicates), (1, found, accepted, 0));
        assert!(polled.done && polled.cut_short.is_none(), "{}", case.name);
        assert_eq!((polled.walked_at, world.mark().walked_at), (Some(at(case.now)), Some(at(case.now))));
    }
}

#[test]
fn the_day_asked_for_is_the_earliest_that_it_may_have_been() {
    for (watermark, since) in [
        ("2026-03-10T12:10:00Z", "2026-03-10"),
        ("2026-03-10T12:09:59Z", "2026-03-09"),
        ("2026-03-10T00:05:00Z", "2026-03-09"),
        ("2026-03-09T23:59:00Z", "2026-03-09"),
        ("2026-01-01T00:00:00Z", "2025-12-31"),
    ] {
        let world = World::polled_until(watermark);
        world.poll([page(&[], None)]).unwrap();
        assert_eq!(world.asked(), [(None, since.to_owned())], "{watermark}");
    }
}

#[test]
fn a_polled_row_is_a_pending_hint() {
    let world = World::polled_until("2026-03-10T11:00:00Z");
    *world.source.takes.lock().unwrap() = Some((world.clock.clone(), SignedDuration::from_secs(7)));
    world.poll([page(&[("10", "2026-03-10T11:30:00.500Z")], None)]).unwrap();
    let rows = world.store.inbox_rows();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.state, row.attempt, row.must_push, row.expires_at), (InboxState::Pending, 0, false, None));
    assert_eq!((row.proven_by.as_str(), row.reason.as_deref()), ("certbridge-poll", None));
    // Not before its page was there: a fetch that began earlier may have missed it.
    assert_eq!(row.received_at, at("2026-03-10T12:00:07Z"));
    assert_eq!(row.next_at, row.received_at + SignedDuration::from_mins(1));
    let event = row.event.as_ref().unwrap();
    assert_eq!((event.event_type.as_str(), event.time), ("polled", at("2026-03-10T11:30:00.500Z")));
    assert_eq!((event.key.clone(), event.version.clone()), (row.key.clone(), None));
    assert_eq!(
        String::from_utf8_lossy(&row.body),
        r#"{"changed_at":"2026-03-10T11:30:00.5Z","event_type":"polled","kind":"certificate","record_id":"10"}"#
    );
}

#[test]
fn the_watermark_waits_for_the_last_page_and_for_what_changes_behind_the_walk() {
    let world = World::polled_until("2026-03-10T11:50:00Z");
    *world.source.takes.lock().unwrap() = Some((world.clock.clone(), SignedDuration::from_mins(20)));
    let (first, second) = ([("1", "2026-03-10T11:55:00Z")], [("2", "2026-03-10T12:35:00Z")]);
    let polled =
        world.poll_for(SignedDuration::from_mins(30), [page(&first, Some("a")), page(&second, Some("b"))]).unwrap();
    assert!(!polled.done && polled.watermark == at("2026-03-10T11:50:00Z"));
    let walk = world.mark().walk.unwrap();
    assert_eq!((walk.cursor, walk.latest), (cursor("b"), Some(at("2026-03-10T12:35:00Z"))));
    assert_eq!(world.mark().watermark, at("2026-03-10T11:50:00Z"));

    let polled = world.poll([page(&[], None)]).unwrap();
    // Record 1 may have changed at half past twelve, on a page that the walk had passed.
    assert_eq!((polled.done, polled.watermark), (true, at(NOON)));
    assert_eq!((world.mark().walk, polled.walked_at), (None, Some(at(NOON))));
    let since = "2026-03-09".to_owned();
    assert_eq!(world.asked(), [(None, since.clone()), (cursor("a"), since.clone()), (cursor("b"), since)]);

    world.poll([page(&[("1", "2026-03-10T12:30:00Z"), ("2", "2026-03-10T12:35:00Z")], None)]).unwrap();
    assert_eq!(world.ids(), ["1", "1", "2"]);
}

#[test]
fn pages_are_asked_for_at_the_sources_rate_and_never_too_late() {
    let answers = |count: usize| (0..count).map(|of| page(&[], Some(&of.to_string()))).collect::<Vec<_>>();
    let third = Duration::from_millis(300);
    // An answer that takes time makes the pause shorter by it.
    for (takes, pause) in [(0, Some(third)), (100, Some(Duration::from_millis(200))), (300, None), (2000, None)] {
        let world = World::new();
        *world.source.takes.lock().unwrap() = Some((world.clock.clone(), SignedDuration::from_millis(takes)));
        world.poll([page(&[], Some("a")), page(&[], Some("b")), page(&[], None)]).unwrap();
        let wanted: Vec<_> = pause.into_iter().cycle().take(if pause.is_some() { 2 } else { 0 }).collect();
        assert_eq!(world.clock.0.lock().unwrap().1, wanted, "{takes}");
    }
    // At 0, 300, 600 and 900 milliseconds, and not at 1200.
    let world = World::new();
    let polled = world.poll_for(SignedDuration::from_secs(1), answers(4)).unwrap();
    assert_eq!((polled.pages, polled.done), (4, false));
    assert_eq!(world.clock.now(), at(NOON) + SignedDuration::from_millis(900), "nothing is waited for in vain");
    let polled = world.poll_for(SignedDuration::ZERO, []).unwrap();
    assert_eq!((polled.pages, polled.done, polled.cut_short), (0, false, None));

    let unhurried =
        World { plan: plan_of(&SOURCE.replace("[rate]\nrequests = 1000\nseconds = 300\n", "")), ..World::new() };
    unhurried.poll([page(&[], Some("a")), page(&[], None)]).unwrap();
    assert!(unhurried.clock.0.lock().unwrap().1.is_empty());
}

/// What each failure means, before any page and after one.
#[test]
fn a_failed_page_keeps_what_was_done_and_moves_no_watermark() {
    use RemoteClass as Class;
    let failed =
        [Class::Unreachable, Class::Unanswered, Class::Failed, Class::Throttled, Class::Misrouted, Class::Unusable];
    let mut cases: Vec<_> =
        failed.map(|class| (ListError::Remote(remote(class)), PollError::Failed(remote(class)), true)).into();
    let (key, request) = (remote(Class::Unauthorized), remote(Class::Rejected));
    cases.push((ListError::Remote(key.clone()), PollError::Unauthorized(key), false));
    cases.push((ListError::Remote(request.clone()), PollError::Rejected(request), false));
    let name = || "sources/accredible".to_owned();
    cases.push((ListError::Unlisted(name()), PollError::Unlisted(name()), false));
    for (answer, wanted, transient) in cases {
        assert_eq!(wanted.is_transient(), transient, "{wanted}");
        let world = World::polled_until("2026-03-10T11:00:00Z");
        let before = world.mark();
        assert_eq!(world.poll([Err(answer.clone())]), Err(wanted.clone()));
        assert_eq!(world.mark(), before, "nothing is written where nothing was read");

        let first = page(&[("1", "2026-03-10T11:30:00Z")], Some("a"));
        let later = world.poll([first, Err(answer.clone())]);
        match (&wanted, &later) {
            (PollError::Failed(error), Ok(polled)) => {
                assert_eq!(polled.cut_short, Some(CutShort::Failed(error.clone())));
                assert_eq!((polled.pages, polled.accepted, polled.done), (1, 1, false));
            }
            _ => assert_eq!(later, Err(wanted)),
        }
        assert_eq!((world.mark().watermark, world.ids()), (before.watermark, vec!["1".to_owned()]));
        world.asked();
        // The next poll goes on where this one stopped.
        let polled = world.poll([page(&[("2", "2026-03-10T11:40:00Z")], None)]).unwrap();
        assert_eq!((world.cursors(), polled.watermark), (vec![cursor("a")], at("2026-03-10T11:40:00Z")));
        assert_eq!(world.ids(), ["1", "2"]);
    }
}

#[test]
fn an_expired_cursor_starts_the_walk_over_a_few_times() {
    let world = World::polled_until("2026-03-10T11:00:00Z");
    let first = || page(&[("1", "2026-03-10T11:30:00Z")], Some("a"));
    let polled = world.poll([first(), refused(), first(), page(&[("2", "2026-03-10T11:40:00Z")], None)]).unwrap();
    assert_eq!((polled.done, polled.pages, polled.accepted, polled.duplicates), (true, 3, 2, 1));
    assert_eq!(world.cursors(), [None, cursor("a"), None, cursor("a")]);

    // Across polls too: what was started over too often is given up, and the next poll begins anew.
    let before = world.mark().watermark;
    assert!(matches!(world.poll([first(), refused(), first(), failed()]), Ok(Polled { cut_short: Some(_), .. })));
    let error = world.poll([refused(), first(), refused(), first(), refused()]).unwrap_err();
    assert!(matches!(error, PollError::Cursors(_)) && error.is_transient(), "{error}");
    assert_eq!((world.mark().walk, world.mark().watermark), (None, before));
    world.asked();
    assert!(world.poll([first(), page(&[], None)]).unwrap().done);
    assert_eq!(world.cursors(), [None, cursor("a")]);
}

#[test]
fn pages_in_a_circle_end_the_walk_as_failed() {
    let world = World::polled_until("2026-03-10T11:00:00Z");
    let round = ["a", "b", "a", "b"].map(|next| page(&[("1", "2026-03-10T11:30:00Z")], Some(next)));
    let error = world.poll(round).unwrap_err();
    assert_eq!(error, PollError::Circle("sources/accredible".to_owned()));
    assert!(error.is_transient());
    assert_eq!((world.mark().walk, world.mark().watermark), (None, at("2026-03-10T11:00:00Z")));
    assert_eq!(world.ids(), ["1"], "what it found is kept");
}

#[test]
fn an_old_cursor_is_not_trusted() {
    for (minutes, trusted) in [(179, true), (180, false)] {
        let world = World::new();
        // The first poll of all: what it began with must not be forgotten, though it is another day by now.
        world.clock.set(at("2026-03-10T22:00:00Z"));
        assert!(!world.poll_for(SignedDuration::from_millis(1), [page(&[], Some("a"))]).unwrap().done);
        world.clock.set(at("2026-03-10T22:00:00Z") + SignedDuration::from_mins(minutes));
        world.asked();
        world.poll([page(&[("1", "2026-03-10T00:30:00Z")], None)]).unwrap();
        let asked = world.asked();
        assert_eq!(asked, [(if trusted { cursor("a") } else { None }, "2026-03-09".to_owned())], "{minutes}");
        assert_eq!(world.ids(), ["1"]);
    }
}

#[test]
fn what_cannot_be_read_is_not_passed_over() {
    let world = World::polled_until("2026-03-10T11:00:00Z");
    let unreadable = || ListedRecord { fields: Err(Problems(Vec::new())), ..item("1", "2026-03-10T11:30:00Z") };
    let undated = || ListedRecord { changed_at: None, ..item("2", NOON) };
    let odd = || Ok(Page { items: vec![unreadable(), undated()], nameless: 3, next: None, announced: None });
    let polled = world.poll([odd()]).unwrap();
    assert_eq!((polled.found, polled.accepted, polled.nameless, polled.undated), (2, 2, 3, 1));
    assert_eq!((world.ids(), polled.watermark), (vec!["1".to_owned(), "2".to_owned()], at("2026-03-10T11:30:00Z")));
    // What does not say when it changed is looked at again on another day.
    assert_eq!(world.poll([odd()]).unwrap().accepted, 0);
    world.clock.set(at("2026-03-12T14:00:00Z"));
    world.poll([page(&[], None)]).unwrap();
    assert_eq!(world.poll([odd()]).unwrap().accepted, 1);
    assert_eq!(world.ids(), ["1", "2", "2"]);
}

#[test]
fn an_event_that_is_there_with_other_bytes_stops_nothing() {
    let world = World::polled_until("2026-03-10T11:00:00Z");
    let items = [("1", "2026-03-10T11:30:00Z"), ("2", "2026-03-10T11:31:00Z")];
    let id = "1".to_owned().try_into().unwrap();
    let event = world.plan.polled(Kind::Certificate, &id, at(items[0].1)).event;
    let other = InboxRow {
        key: event.key.clone(),
        body: b"other".to_vec(),
        body_digest: "other".into(),
        received_at: at(NOON),
        proven_by: "key-1".into(),
        event: Some(event),
        state: InboxState::Pending,
        attempt: 0,
        unseen: 0,
        next_at: at(NOON),
        reason: None,
        must_push: false,
        settled_by: None,
        expires_at: None,
        replay: None,
        trace: None,
    };
    now(world.store.insert(&other)).unwrap();
    let polled = world.poll([page(&items, None)]).unwrap();
    assert_eq!((polled.done, polled.accepted, polled.duplicates), (true, 1, 1));
    assert_eq!(now(world.store.get(&other.key)), Ok(Some(other)));
}

#[test]
fn what_is_not_declared_is_off() {
    for text in [SOURCE.replace("poll = true", "poll = false"), SOURCE.replace("poll = true\n", "")] {
        let world = World { plan: plan_of(&text), ..World::new() };
        let error = world.poll([]).unwrap_err();
        assert_eq!(error.to_string(), "accredible is not polled for a certificate");
        assert!(matches!(error, PollError::Off { .. }) && !error.is_transient());
    }
}

/// Tables that fail at one call, before they have done what they were asked to or after.
struct Breaking<'a> {
    store: &'a MemoryStore,
    calls: Mutex<u32>,
    at: u32,
    after: bool,
}

impl Breaking<'_> {
    async fn call<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let number = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        let broken = || Err(StoreError::Unavailable("as told".into()));
        match (number == self.at, self.after) {
            (false, _) => call.await,
            (true, false) => broken(),
            (true, true) => call.await.and(broken()),
        }
    }
}

impl PollMarks for Breaking<'_> {
    async fn poll_mark(&self, source: &str, kind: Kind) -> Result<Option<PollMark>, StoreError> {
        self.call(self.store.poll_mark(source, kind)).await
    }

    async fn set_poll_mark(&self, source: &str, kind: Kind, mark: &PollMark) -> Result<bool, StoreError> {
        self.call(self.store.set_poll_mark(source, kind, mark)).await
    }
}

impl Inbox for Breaking<'_> {
    async fn insert(&self, row: &InboxRow) -> Result<Inserted, StoreError> {
        self.call(self.store.insert(row)).await
    }

    async fn get(&self, _: &certbridge_mapping::EventKey) -> Result<Option<InboxRow>, StoreError> {
        panic!("a poll reads no event")
    }

    async fn reschedule(&self, _: &certbridge_mapping::EventKey, _: u32, _: &Reschedule) -> Result<bool, StoreError> {
        panic!("a poll reschedules nothing")
    }

    async fn set_aside(
        &self,
        _: &certbridge_mapping::EventKey,
        _: u32,
        _: InboxState,
        _: &str,
    ) -> Result<bool, StoreError> {
        panic!("a poll sets nothing aside")
    }

    async fn overdue(&self, _: u8, _: Timestamp, _: usize) -> Result<Vec<Overdue>, StoreError> {
        panic!("a poll looks for nothing overdue")
    }
}

/// The pages of a source, by their cursors.
fn answer(cursor: Option<&str>) -> Answer {
    match cursor {
        None => page(&[("1", "2026-03-10T11:30:00Z"), ("2", "2026-03-10T11:59:00Z")], Some("a")),
        Some("a") => page(&[("3", "2026-03-10T11:31:00Z")], Some("b")),
        _ => page(&[("4", "2026-03-10T11:32:00Z"), ("5", "2026-03-10T11:33:00Z")], None),
    }
}

/// A source that answers by what it is asked.
struct Pages;

impl Sources for Pages {
    async fn fetch(&self, _: &Plan, _: &certbridge_mapping::RecordKey, _: Duration) -> Result<Fetched, RemoteError> {
        panic!("a poll fetches nothing")
    }

    async fn source_page(&self, _: &Plan, _: Kind, cursor: Option<&str>, _: Option<Date>, _: Duration) -> Answer {
        answer(cursor)
    }
}

#[test]
fn wherever_the_tables_fail_nothing_is_lost_and_nothing_is_there_twice() {
    let mut watermarks = BTreeSet::new();
    // One read of the mark, five puts, three writes of the mark.
    for at_call in 1..=9 {
        for after in [false, true] {
            let world = World::polled_until("2026-03-10T11:00:00Z");
            let broken = Breaking { store: &world.store, calls: Mutex::default(), at: at_call, after };
            let stop_at = world.clock.now() + SignedDuration::from_hours(1);
            let poll = |store| now(poll(store, &Pages, &world.clock, &world.plan, Kind::Certificate, stop_at));
            let error = poll(&broken).unwrap_err();
            assert!(matches!(error, PollError::Store(_)) && error.is_transient(), "{error}");
            if !(at_call == 9 && after) {
                assert_eq!(world.mark().watermark, at("2026-03-10T11:00:00Z"), "call {at_call}");
            }
            // It works from now on. What was there already is a duplicate.
            let polled = poll(&Breaking { store: &world.store, calls: Mutex::default(), at: 0, after }).unwrap();
            assert!(polled.done, "call {at_call}");
            assert_eq!(world.ids(), ["1", "2", "3", "4", "5"], "call {at_call}");
            watermarks.insert(world.mark().watermark);
        }
    }
    assert_eq!(watermarks, [at("2026-03-10T11:59:00Z")].into());
}

#[test]
fn it_takes_no_more_calls_than_that() {
    let world = World::polled_until("2026-03-10T11:00:00Z");
    let counted = Breaking { store: &world.store, calls: Mutex::default(), at: 0, after: false };
    let stop_at = world.clock.now() + SignedDuration::from_hours(1);
    now(poll(&counted, &Pages, &world.clock, &world.plan, Kind::Certificate, stop_at)).unwrap();
    assert_eq!(*counted.calls.lock().unwrap(), 1 + 5 + 3, "the mark, each item, the mark after each page");
}

/// A source during whose answer to the first page another poll runs.
struct Meanwhile<'a> {
    world: &'a World,
    pages: Mutex<u32>,
}

impl Sources for Meanwhile<'_> {
    async fn fetch(&self, _: &Plan, _: &certbridge_mapping::RecordKey, _: Duration) -> Result<Fetched, RemoteError> {
        panic!("a poll fetches nothing")
    }

    async fn source_page(&self, _: &Plan, _: Kind, cursor: Option<&str>, _: Option<Date>, _: Duration) -> Answer {
        *self.pages.lock().unwrap() += 1;
        let world = self.world;
        let stop_at = world.clock.now() + SignedDuration::from_hours(1);
        let other = now(poll(&world.store, &Pages, &world.clock, &world.plan, Kind::Certificate, stop_at)).unwrap();
        assert!(other.done);
        answer(cursor)
    }
}

#[test]
fn of_two_polls_that_overlap_one_stops() {
    let world = World::polled_until("2026-03-10T11:00:00Z");
    let source = Meanwhile { world: &world, pages: Mutex::default() };
    let stop_at = world.clock.now() + SignedDuration::from_hours(1);
    let polled = now(poll(&world.store, &source, &world.clock, &world.plan, Kind::Certificate, stop_at)).unwrap();
    assert_eq!((polled.cut_short, polled.done, polled.duplicates), (Some(CutShort::Overtaken), false, 2));
    assert_eq!(*source.pages.lock().unwrap(), 1, "it asks for nothing more");
    assert_eq!(world.ids(), ["1", "2", "3", "4", "5"]);
    assert_eq!((world.mark().watermark, world.mark().walk), (at("2026-03-10T11:59:00Z"), None));
}
