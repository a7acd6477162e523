//! A run: its world, its tasks, and what happens to them step by step.

use crate::{
    batches::Dead,
    checks,
    past::Title,
    ports::{Process, SimQueue, SimRuntime, point, points},
    providers::{SimDestination, SimSources},
    store::SimStore,
    world::{HINTS, PAYLOADS, World},
};
use certbridge_archive::Archive;
use certbridge_mapping::{Definitions, Delivery, Keys, RecordKey};
use certbridge_sync::ports::Runtime as _;
use certbridge_sync::{
    Acceptance, Engine, Plans, Settings, accept,
    audit::Redactor,
    breaker::BreakerBoard,
    event::SyncRequest,
    memory::MemoryStore,
    reconcile::Report,
    row::{InboxRow, Pointer},
    sweep::sweep,
    sync::Run,
};
use fastrand::Rng;
use futures::task::noop_waker;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::json;
use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};
use tokio::runtime::Runtime;

pub(crate) type SimEngine = Engine<SimStore, SimSources, SimDestination, SimQueue, SimRuntime>;

/// A source whose deliveries carry their state, so that they have to be put in order.
const LEDGER: &str = include_str!("ledger.toml");

/// Read once: a run is short, and reading them takes longer.
pub(crate) static DEFINITIONS: LazyLock<Definitions> = LazyLock::new(|| {
    let mut definitions = Definitions::built_in();
    definitions.add_source("ledger.toml", LEDGER);
    assert!(definitions.errors().is_empty(), "{:?}", definitions.errors());
    definitions
});

/// Plans to a destination that is not told of what is missing at a source, and to one that is.
static PLANS: LazyLock<[Plans; 2]> = LazyLock::new(|| {
    let plans = |missing_at_source: &str| {
        let mut definitions = DEFINITIONS.clone();
        let text = SNAPSHOTS.replace("missing_at_source = \"report\"", missing_at_source);
        definitions.add_destination("snapshots.toml", &text);
        assert!(definitions.errors().is_empty(), "{:?}", definitions.errors());
        Plans::new(&definitions, "snapshots").unwrap()
    };
    [plans("missing_at_source = \"report\""), plans("missing_at_source = \"delete\"")]
});
const SNAPSHOTS: &str = include_str!("../../config/destinations/snapshots.toml");

#[derive(Clone)]
pub(crate) enum Source {
    Stream(Box<InboxRow>),
    Queue(Pointer),
}

pub(crate) enum Kind {
    /// A worker; what it was given comes again if it does not finish.
    Worker {
        given: Source,
        run: Run,
    },
    /// A sender; its delivery comes again until it is answered.
    Sender {
        source: &'static str,
        body: String,
    },
    /// An execution of a batch; it goes on from where it was written down if it does not finish.
    Batch(Box<Dead>),
    Other,
}

pub(crate) struct Task {
    pub(crate) kind: Kind,
    /// Until when it stands still, as a frozen virtual machine does.
    frozen_until: Timestamp,
    future: Pin<Box<dyn Future<Output = bool>>>,
}

pub(crate) struct Simulation {
    pub(crate) world: World,
    pub(crate) tables: MemoryStore,
    /// What batches leave behind.
    pub(crate) archive: Archive,
    /// Where writing to it piece by piece spawns what writes.
    pub(crate) runtime: Runtime,
    /// Whether this is a run with batches, and with changes that nobody is told of.
    pub(crate) with_batches: bool,
    pub(crate) plans: Plans,
    /// Whether the destination is told of what is missing at its source.
    pub(crate) deletes: bool,
    /// What the last batch reported.
    pub(crate) last_report: Option<Report>,
    /// Executions whose process is gone.
    pub(crate) dead: Vec<Dead>,
    /// Whether an execution was given up that may have the turn.
    pub(crate) abandoned: bool,
    /// How many processes were started that carry a batch, and how many batches.
    pub(crate) carriers: u64,
    pub(crate) batches: u64,
    /// The records whose last change nobody was told of.
    pub(crate) untold: BTreeMap<String, bool>,
    /// Two processes with breakers of their own.
    pub(crate) engines: [Arc<SimEngine>; 2],
    key: SecretString,
    pub(crate) tasks: Vec<Task>,
    /// Bodies that are still to be sent.
    pub(crate) unsent: Vec<(&'static str, String)>,
    /// The title of the newest state of each record.
    pub(crate) newest: BTreeMap<String, String>,
    seen: BTreeMap<RecordKey, u64>,
    runs: u64,
    /// The tables' count of writes at the last check.
    checked: u64,
}

impl Simulation {
    pub(crate) fn new(seed: u64) -> Self {
        let (with_batches, deletes) = (seed % 3 == 1, seed / 3 % 2 == 1);
        let world = World::new(seed);
        let tables = MemoryStore::new();
        let plans = PLANS[usize::from(with_batches && deletes)].clone();
        let engine = |number, skew| {
            let process = Process { number, skew: SignedDuration::from_millis(skew) };
            Arc::new(engine(&world, &tables, &plans, process))
        };
        Self {
            engines: [engine(0, -SKEW), engine(1, SKEW)],
            world: world.clone(),
            tables: tables.clone(),
            archive: Archive::memory(),
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            with_batches,
            plans,
            deletes,
            last_report: None,
            dead: Vec::new(),
            abandoned: false,
            carriers: 1,
            batches: 0,
            untold: BTreeMap::new(),
            key: SecretString::from("simulated"),
            tasks: Vec::new(),
            unsent: Vec::new(),
            newest: BTreeMap::new(),
            seen: BTreeMap::new(),
            runs: 0,
            checked: 0,
        }
    }

    /// Changes a record at its source and has it told, perhaps twice.
    pub(crate) fn change(&mut self, number: u32) {
        let mut state = self.world.lock();
        let id = if self.with_batches { one_of_few(&mut state.rng) } else { one_of_two(&mut state.rng) };
        // Few states, so that a record comes back to one that it had before.
        let title = format!("state {}", ["A", "B"][state.rng.usize(0..2)]);
        // Whole seconds, so that several events of one record share a timestamp.
        let timestamp = Timestamp::from_second(state.now.as_second()).unwrap();
        let twice = state.rng.bool();
        let told = !self.with_batches || state.rng.u32(0..3) > 0;
        let hint = state.rng.bool() || (self.with_batches && state.rng.bool());
        let deleted = hint && state.rng.u32(0..8) == 0;
        drop(state);
        let (source, body) = if hint {
            self.at_source(&id, (!deleted).then(|| title.clone()), told);
            self.newest.insert(hinted(&id), title);
            let event_type = if deleted { "certificate_deleted" } else { "certificate_updated" };
            let body = json!({"event_type": event_type, "certificate_id": id, "timestamp": timestamp, "source": HINTS, "note": number});
            (HINTS, body)
        } else {
            // The destination knows ids only, not sources.
            let id = format!("L{id}");
            self.newest.insert(format!("certificate#{PAYLOADS}#{id}"), title.clone());
            let body = json!({"id": format!("e{number}"), "type": "changed", "certificate": {
                "id": id, "revision": number, "holder": "7", "issued": "2026-01-31", "location": "loc", "title": title}, "at": timestamp});
            (PAYLOADS, body)
        };
        let told = told || source == PAYLOADS;
        self.world.tell(|| format!("source{}: {body}", if told { "" } else { ", and nobody is told" }));
        let body = body.to_string();
        for _ in 0..if told { 1 + u32::from(twice) } else { 0 } {
            self.unsent.push((source, body.clone()));
        }
    }

    /// Changes a record at the source that is fetched from, and has it told.
    pub(crate) fn tell(&mut self, id: &str, title: &str) {
        self.at_source(id, Some(title.to_owned()), true);
        self.newest.insert(hinted(id), title.to_owned());
        let now = self.world.now();
        let body =
            json!({"event_type": "certificate_updated", "certificate_id": id, "timestamp": now, "source": HINTS});
        self.unsent.push((HINTS, body.to_string()));
    }

    /// Changes a record at the source that is fetched from.
    pub(crate) fn at_source(&mut self, id: &str, title: Title, told: bool) {
        let record = hinted(id);
        self.untold.insert(record.clone(), !told);
        let mut state = self.world.lock();
        match &title {
            None => drop(state.source.remove(id)),
            Some(title) => drop(state.source.insert(id.to_owned(), credential(id, title))),
        }
        let now = state.now;
        state.past.change(record, now, title);
    }

    pub(crate) fn send(&mut self, source: &'static str, body: String) {
        let (world, tables) = (self.world.clone(), self.tables.clone());
        let process = Process { number: 0, skew: SignedDuration::ZERO };
        let definition = Arc::clone(DEFINITIONS.source(source).unwrap());
        let (key, text) = (self.key.clone(), body.clone());
        let future = async move {
            let now = world.now();
            let signed = definition.sign(text.as_bytes(), &key, now).unwrap();
            let delivery = Delivery {
                headers: signed.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect(),
                body: text.as_bytes(),
                path_token: None,
            };
            let keys = Keys::new([key]).unwrap();
            let verified = definition.verify(&delivery, &keys, now).unwrap();
            let store = SimStore { tables, world: world.clone(), process };
            let accepted = accept(&store, &verified, now, None).await;
            point().await;
            match accepted {
                Ok(
                    Acceptance::Accepted { key } | Acceptance::Duplicate { key } | Acceptance::Quarantined { key, .. },
                ) => {
                    world.tell(|| format!("acknowledged {key}"));
                    world.lock().acknowledged.insert(key);
                    true
                }
                Ok(other) => panic!("{other:?}"),
                Err(_) => false,
            }
        };
        self.spawn(Kind::Sender { source, body }, future);
    }

    fn run(&mut self) -> Run {
        self.runs += 1;
        let now = self.engine().runtime.now();
        let (deadline, ends_at) = (now + SignedDuration::from_secs(20), now + SignedDuration::from_secs(25));
        Run { id: format!("run-{}", self.runs), deadline, ends_at }
    }

    fn engine(&self) -> Arc<SimEngine> {
        Arc::clone(&self.engines[(self.runs % 2) as usize])
    }

    pub(crate) fn work(&mut self, given: Source) {
        let run = self.run();
        let engine = self.engine();
        let (job, at) = (given.clone(), run.clone());
        let future = async move {
            match &job {
                Source::Stream(row) => engine.sync_event(row, &at).await.is_ok(),
                Source::Queue(pointer) => engine.follow(pointer, &at).await.is_ok(),
            }
        };
        self.spawn(Kind::Worker { given, run }, future);
    }

    fn call_api(&mut self) {
        let run = self.run();
        let engine = self.engine();
        let id = one_of_two(&mut self.world.lock().rng);
        let key = format!("certificate#{HINTS}#{id}").parse().unwrap();
        let request = SyncRequest { key, given: None, owner: "somebody".into() };
        let future = async move {
            let _ = engine.sync_now(&request, &run).await;
            true
        };
        self.spawn(Kind::Other, future);
    }

    fn sweep(&mut self) {
        let engine = self.engine();
        let future = async move {
            let now = engine.runtime.now();
            let _ = sweep(&engine.store, &engine.queue, now, 100).await;
            true
        };
        self.spawn(Kind::Other, future);
    }

    pub(crate) fn spawn(&mut self, kind: Kind, future: impl Future<Output = bool> + 'static) {
        self.tasks.push(Task { kind, frozen_until: Timestamp::MIN, future: Box::pin(future) });
    }

    /// Polls a task to its next await point, unless it stands still.
    pub(crate) fn poll(&mut self, index: usize) {
        let now = self.world.now();
        if self.tasks[index].frozen_until > now {
            return;
        }
        let percent = if self.world.lock().zombies { 12 } else { 3 };
        if self.world.strikes(percent) {
            self.tasks[index].frozen_until = now + SignedDuration::from_secs(60);
        }
        let waker = noop_waker();
        let polled = {
            let _entered = self.runtime.enter();
            self.tasks[index].future.as_mut().poll(&mut Context::from_waker(&waker))
        };
        if matches!(self.tasks[index].kind, Kind::Batch(_)) {
            // Lets run what writing to the archive has spawned.
            self.runtime.block_on(tokio::task::yield_now());
        }
        if let Poll::Ready(done) = polled {
            let task = self.tasks.swap_remove(index);
            if let Kind::Worker { run, .. } = &task.kind {
                // Whoever pushed too late and lived has noticed, and seen to it.
                let mine = format!("{}/", run.id);
                let mut state = self.world.lock();
                let noticed: Vec<_> = state
                    .claims
                    .iter()
                    .filter(|(_, claim)| claim.lease.owner.starts_with(&mine))
                    .map(|(key, _)| key.clone())
                    .collect();
                let waiting: Vec<_> = state.late.iter().map(|late| late.idempotency_key.clone()).collect();
                for key in noticed.iter().filter(|key| !waiting.contains(key)) {
                    state.unnoticed.remove(key);
                }
            }
            if !done {
                self.again(task.kind);
            }
        }
    }

    /// Drops a task where it stands. What it was given comes again.
    pub(crate) fn crash(&mut self, index: usize) {
        let task = self.tasks.swap_remove(index);
        if let Kind::Batch(dead) = task.kind {
            return self.crash_batch(*dead, task.future);
        }
        if let Kind::Worker { run, .. } = &task.kind {
            self.world.tell(|| format!("{} crashed", run.id));
        }
        self.again(task.kind);
    }

    fn again(&mut self, kind: Kind) {
        match kind {
            Kind::Worker { given: Source::Stream(row), .. } => self.world.lock().stream.push(*row),
            Kind::Worker { given: Source::Queue(pointer), run } => self.world.lock().queue.push((pointer, run.ends_at)),
            Kind::Sender { source, body } => self.unsent.push((source, body)),
            Kind::Batch(dead) => self.dead.push(*dead),
            Kind::Other => {}
        }
    }

    /// Lets something happen.
    fn step(&mut self) {
        if self.with_batches && self.step_batches() {
            return;
        }
        let dice = self.world.lock().rng.u32(0..100);
        match dice {
            0..68 if !self.tasks.is_empty() => {
                let index = self.world.lock().rng.usize(0..self.tasks.len());
                self.poll(index);
            }
            68..71 if !self.tasks.is_empty() && self.world.kills(70) => {
                let index = self.world.lock().rng.usize(0..self.tasks.len());
                self.crash(index);
            }
            71..76 => self.pass_time(),
            76..80 => self.deliver_late(),
            80..84 if !self.unsent.is_empty() => {
                let index = self.world.lock().rng.usize(0..self.unsent.len());
                let (source, body) = self.unsent.swap_remove(index);
                self.send(source, body);
            }
            84..90 if self.tasks.len() < 6 => self.deliver_stream(),
            90..97 if self.tasks.len() < 6 => self.deliver_queue(),
            97 => self.sweep(),
            98..100 if self.world.lock().faults => self.call_api(),
            _ => {}
        }
    }

    fn pass_time(&mut self) {
        let milliseconds = {
            let mut state = self.world.lock();
            let choice = state.rng.usize(0..6);
            [1, 200, 1_000, 5_000, 28_000, 70_000][choice]
        };
        self.world.advance(SignedDuration::from_millis(milliseconds));
        let now = self.world.now();
        self.tables.sweep_expired(now);
        // The platform ends whoever overruns; a few freeze and wake up later all the same.
        for index in (0..self.tasks.len()).rev() {
            let task = &self.tasks[index];
            let overrun = matches!(&task.kind, Kind::Worker { run, .. } if run.ends_at < now);
            let frozen = task.frozen_until > Timestamp::MIN;
            let spared = frozen && (self.world.lock().zombies || self.world.lock().rng.bool());
            if overrun && !spared {
                self.crash(index);
            }
        }
    }

    pub(crate) fn deliver_late(&self) {
        let late = {
            let mut state = self.world.lock();
            let count = state.late.len();
            if count == 0 {
                return;
            }
            let index = state.rng.usize(0..count);
            state.late.swap_remove(index)
        };
        self.world.apply(&late);
    }

    pub(crate) fn deliver_stream(&mut self) {
        let mut state = self.world.lock();
        if state.stream.is_empty() {
            return;
        }
        let count = state.stream.len();
        let index = state.rng.usize(0..count);
        let row = state.stream[index].clone();
        let (again, lost) = (state.faults && state.rng.u32(0..10) == 0, state.faults && state.rng.u32(0..20) == 0);
        if !again {
            state.stream.swap_remove(index);
        }
        drop(state);
        if !lost {
            self.work(Source::Stream(Box::new(row)));
        }
    }

    fn deliver_queue(&mut self) {
        let mut state = self.world.lock();
        let now = state.now;
        let due: Vec<_> = (0..state.queue.len()).filter(|index| state.queue[*index].1 <= now).collect();
        if due.is_empty() {
            return;
        }
        let index = due[state.rng.usize(0..due.len())];
        let (pointer, _) = state.queue[index].clone();
        let again = state.faults && state.rng.u32(0..10) == 0;
        if !again {
            state.queue.swap_remove(index);
        }
        drop(state);
        self.work(Source::Queue(pointer));
    }

    pub(crate) fn check(&mut self) -> Result<(), String> {
        self.check_ended()?;
        if let Some(fault) = self.world.lock().fault.take() {
            return Err(fault);
        }
        let writes = self.tables.writes() - self.world.lock().writes_aside;
        if std::mem::replace(&mut self.checked, writes) == writes {
            return Ok(());
        }
        checks::after_step(&self.tables, &self.world)?;
        checks::appended_by_holder(&self.tables, &mut self.seen)
    }

    pub(crate) fn deliver_all_late(&self) {
        while !self.world.lock().late.is_empty() {
            self.deliver_late();
        }
    }

    /// Lets everything come to an end, without further faults; but for what is applied late, if that is held back.
    pub(crate) fn settle(&mut self, hold_late: bool) -> Result<(), String> {
        self.world.lock().faults = false;
        for task in &mut self.tasks {
            task.frozen_until = Timestamp::MIN;
        }
        if !hold_late {
            self.deliver_all_late();
        }
        if std::mem::take(&mut self.abandoned) {
            // Its turn runs out.
            self.world.advance(SignedDuration::from_mins(61));
        }
        for _ in 0..400 {
            while let Some(dead) = self.dead.pop() {
                self.revive(dead);
            }
            while let Some((source, body)) = self.unsent.pop() {
                self.send(source, body);
            }
            while !self.world.lock().stream.is_empty() {
                self.deliver_stream();
            }
            let queued = self.world.lock().queue.len();
            for _ in 0..queued {
                self.deliver_queue();
            }
            self.run_out(SignedDuration::from_millis(100))?;
            if self.unsent.is_empty() && self.dead.is_empty() && checks::at_rest(&self.tables, &self.world).is_ok() {
                return Ok(());
            }
            self.world.advance(SignedDuration::from_secs(60));
            self.sweep();
        }
        checks::at_rest(&self.tables, &self.world)
    }

    /// Polls all tasks until none is left; so much time passes between two of their steps.
    pub(crate) fn run_out(&mut self, pause: SignedDuration) -> Result<(), String> {
        let mut rounds = 0;
        while !self.tasks.is_empty() {
            rounds += 1;
            if rounds > MOST_ROUNDS {
                return Err("there is no end to it".into());
            }
            let before = (points(), self.tasks.len());
            self.world.lock().wakes_at = Timestamp::MAX;
            for index in (0..self.tasks.len()).rev() {
                self.poll(index);
                self.check()?;
            }
            self.world.advance(pause);
            let mut state = self.world.lock();
            if before == (points(), self.tasks.len()) && state.wakes_at != Timestamp::MAX {
                // Everybody sleeps.
                state.now = state.now.max(state.wakes_at);
            }
        }
        Ok(())
    }

    /// What the nightly run does to each record: asserts its newest state.
    fn reconcile(&mut self) -> Result<(), String> {
        for row in self.tables.record_rows().iter().filter(|row| row.state.is_some()) {
            let request = SyncRequest { key: row.key.clone(), given: None, owner: "reconciliation".into() };
            let run = self.run();
            let engine = self.engine();
            let future = async move { engine.sync_now(&request, &run).await.is_ok() };
            self.spawn(Kind::Other, future);
        }
        self.settle(false)
    }

    pub(crate) fn play(&mut self) -> Result<(), String> {
        let (changes, steps) = {
            let mut state = self.world.lock();
            if self.with_batches {
                (state.rng.u32(1..6), state.rng.u32(200..800))
            } else {
                (state.rng.u32(1..8), state.rng.u32(60..600))
            }
        };
        if self.with_batches {
            self.yesterday()?;
        }
        let mut changed = 0;
        for step in 0..steps {
            if changed < changes && step * changes >= changed * steps / 2 {
                changed += 1;
                self.change(changed);
            }
            self.step();
            self.check()?;
        }
        let hold_late = self.world.lock().rng.bool();
        self.settle(hold_late)?;
        self.deliver_all_late();
        // A request that was applied after its lease had ended, unnoticed, is what reconciliation is for.
        if self.with_batches {
            return self.nights();
        }
        if !self.world.lock().unnoticed.is_empty() {
            self.reconcile()?;
        }
        self.at_its_end()
    }

    /// Whether everything is as it is to be, once nothing is under way any more.
    pub(crate) fn at_its_end(&self) -> Result<(), String> {
        checks::chained(&self.tables)?;
        checks::converged(self)
    }
}

/// Whatever is under way without faults is over long before so many steps.
const MOST_ROUNDS: u32 = 100_000;

/// How far the processes' clocks are from the world's, in milliseconds.
pub(crate) const SKEW: i64 = 900;

/// A process' use cases.
pub(crate) fn engine(world: &World, tables: &MemoryStore, plans: &Plans, process: Process) -> SimEngine {
    let world = world.clone();
    Engine {
        store: SimStore { tables: tables.clone(), world: world.clone(), process },
        sources: SimSources { world: world.clone(), process },
        destination: SimDestination { world: world.clone(), process, plan: plans.of(HINTS).unwrap() },
        queue: SimQueue(world.clone()),
        runtime: SimRuntime { world, process },
        in_force: certbridge_mapping::Definitions::default().into(),
        plans: plans.clone(),
        redactor: Redactor::new("key"),
        breakers: BreakerBoard::default(),
        settings: Settings::default(),
    }
}

/// The record of this id at the source that is fetched from.
pub(crate) fn hinted(id: &str) -> String {
    format!("certificate#{HINTS}#{id}")
}

/// Of more than two, so that a listing has pages.
fn one_of_few(rng: &mut Rng) -> String {
    ["1", "1", "1", "1", "2", "2", "3", "4"][rng.usize(0..8)].to_owned()
}

/// An id, mostly the same one: what happens to one record at once is what is hard.
fn one_of_two(rng: &mut Rng) -> String {
    if rng.u32(0..4) == 0 { "2".to_owned() } else { "1".to_owned() }
}

fn credential(id: &str, title: &str) -> serde_json::Value {
    json!({"id": id, "name": title, "issued_on": "2026-01-31", "recipient": {"id": "7"}, "custom_attributes": {"location_id": "loc"}})
}
