//! The sync protocol under everything that may happen to it, reproducible from a number.
//!
//! A run is a world (time, chance, providers, stream, queue) and a handful of tasks: senders, workers, API callers and
//! sweeps. One step polls one task up to its next await point, or crashes it there, or lets something else happen: time
//! passes, a message is delivered (again, out of order, or not at all), a late request is applied. After every step the
//! invariants of the protocol must hold; at the end, once nothing is under way, the destination must hold the newest
//! committed state of every record, and that must be the source's.
//!
//! `SIMULATION_SEEDS=200000 cargo test --test simulation` runs more seeds; `SIMULATION_SEED=17` runs one and tells its
//! story.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod checks;
mod ports;
mod world;

use certbridge_mapping::{Definitions, Delivery, Keys, RecordKey};
use certbridge_sync::ports::Runtime as _;
use certbridge_sync::{
    Acceptance, Engine, Plans, Settings, accept,
    audit::Redactor,
    breaker::BreakerBoard,
    event::SyncRequest,
    memory::MemoryStore,
    ports::Inbox as _,
    row::{InboxRow, InboxState, Pointer, Reschedule},
    sweep::sweep,
    sync::Run,
};
use fastrand::Rng;
use futures::task::noop_waker;
use jiff::{SignedDuration, Timestamp};
use ports::{SimDestination, SimQueue, SimRuntime, SimSources, SimStore, point};
use secrecy::SecretString;
use serde_json::json;
use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};
use world::{HINTS, PAYLOADS, World};

type SimEngine = Engine<SimStore, SimSources, SimDestination, SimQueue, SimRuntime>;

/// A source whose deliveries carry their state, so that they have to be put in order.
const LEDGER: &str = include_str!("ledger.toml");

/// Read once: a run is short, and reading them takes longer.
static DEFINITIONS: LazyLock<(Definitions, Plans)> = LazyLock::new(|| {
    let mut definitions = Definitions::built_in();
    definitions.add_source("ledger.toml", LEDGER);
    assert!(definitions.errors().is_empty(), "{:?}", definitions.errors());
    let plans = Plans::new(&definitions, "snapshots").unwrap();
    (definitions, plans)
});

#[derive(Clone)]
enum Source {
    Stream(Box<InboxRow>),
    Queue(Pointer),
}

enum Kind {
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
    Other,
}

struct Task {
    kind: Kind,
    /// Until when it stands still, as a frozen virtual machine does.
    frozen_until: Timestamp,
    future: Pin<Box<dyn Future<Output = bool>>>,
}

struct Simulation {
    world: World,
    tables: MemoryStore,
    /// Two processes with breakers of their own.
    engines: [Arc<SimEngine>; 2],
    key: SecretString,
    tasks: Vec<Task>,
    /// Bodies that are still to be sent.
    unsent: Vec<(&'static str, String)>,
    /// The title of the newest state of each record.
    newest: BTreeMap<String, String>,
    seen: BTreeMap<RecordKey, u64>,
    runs: u64,
    /// The tables' count of writes at the last check.
    checked: u64,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let tables = MemoryStore::new();
        let plans = &DEFINITIONS.1;
        let engine = |skew| {
            Arc::new(Engine {
                store: SimStore { tables: tables.clone(), world: world.clone() },
                sources: SimSources(world.clone()),
                destination: SimDestination(world.clone()),
                queue: SimQueue(world.clone()),
                runtime: SimRuntime { world: world.clone(), skew: SignedDuration::from_millis(skew) },
                plans: plans.clone(),
                redactor: Redactor::new("key"),
                breakers: BreakerBoard::default(),
                settings: Settings::default(),
            })
        };
        Self {
            engines: [engine(-900), engine(900)],
            world: world.clone(),
            tables: tables.clone(),
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
    fn change(&mut self, number: u32) {
        let mut state = self.world.lock();
        let id = one_of_two(&mut state.rng);
        // Few states, so that a record comes back to one that it had before.
        let title = format!("state {}", ["A", "B"][state.rng.usize(0..2)]);
        // Whole seconds, so that several events of one record share a timestamp.
        let timestamp = Timestamp::from_second(state.now.as_second()).unwrap();
        let twice = state.rng.bool();
        let (source, body) = if state.rng.bool() {
            let deleted = state.rng.u32(0..8) == 0;
            if deleted {
                state.source.remove(&id);
            } else {
                state.source.insert(id.clone(), credential(&id, &title));
            }
            let event_type = if deleted { "certificate_deleted" } else { "certificate_updated" };
            self.newest.insert(format!("certificate#{HINTS}#{id}"), title);
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
        drop(state);
        self.world.tell(|| format!("source: {body}"));
        let body = body.to_string();
        for _ in 0..1 + u32::from(twice) {
            self.unsent.push((source, body.clone()));
        }
    }

    fn send(&mut self, source: &'static str, body: String) {
        let (world, tables) = (self.world.clone(), self.tables.clone());
        let definition = Arc::clone(DEFINITIONS.0.source(source).unwrap());
        let (key, text) = (self.key.clone(), body.clone());
        let future = async move {
            let now = world.now();
            let signed = definition.sign(text.as_bytes(), &key, now);
            let delivery = Delivery {
                headers: signed.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect(),
                body: text.as_bytes(),
                path_token: None,
            };
            let keys = Keys::new([key]).unwrap();
            let verified = definition.verify(&delivery, &keys, now).unwrap();
            let store = SimStore { tables, world: world.clone() };
            let accepted = accept(&store, &verified, now).await;
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

    fn work(&mut self, given: Source) {
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

    fn spawn(&mut self, kind: Kind, future: impl Future<Output = bool> + 'static) {
        self.tasks.push(Task { kind, frozen_until: Timestamp::MIN, future: Box::pin(future) });
    }

    /// Polls a task to its next await point, unless it stands still.
    fn poll(&mut self, index: usize) {
        let now = self.world.now();
        if self.tasks[index].frozen_until > now {
            return;
        }
        let percent = if self.world.lock().zombies { 12 } else { 3 };
        if self.world.strikes(percent) {
            self.tasks[index].frozen_until = now + SignedDuration::from_secs(60);
        }
        let waker = noop_waker();
        let polled = self.tasks[index].future.as_mut().poll(&mut Context::from_waker(&waker));
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
    fn crash(&mut self, index: usize) {
        let task = self.tasks.swap_remove(index);
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
            Kind::Other => {}
        }
    }

    /// Lets something happen.
    fn step(&mut self) {
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

    fn deliver_late(&self) {
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

    fn deliver_stream(&mut self) {
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

    fn check(&mut self) -> Result<(), String> {
        if let Some(fault) = self.world.lock().fault.take() {
            return Err(fault);
        }
        if std::mem::replace(&mut self.checked, self.tables.writes()) == self.checked {
            return Ok(());
        }
        checks::after_step(&self.tables, &self.world)?;
        checks::appended_by_holder(&self.tables, &mut self.seen)
    }

    fn deliver_all_late(&self) {
        while !self.world.lock().late.is_empty() {
            self.deliver_late();
        }
    }

    /// Lets everything come to an end, without further faults; but for what is applied late, if that is held back.
    fn settle(&mut self, hold_late: bool) -> Result<(), String> {
        self.world.lock().faults = false;
        for task in &mut self.tasks {
            task.frozen_until = Timestamp::MIN;
        }
        if !hold_late {
            self.deliver_all_late();
        }
        for _ in 0..400 {
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
            while !self.tasks.is_empty() {
                for index in (0..self.tasks.len()).rev() {
                    self.poll(index);
                    self.check()?;
                }
                self.world.advance(SignedDuration::from_millis(100));
            }
            if self.unsent.is_empty() && checks::at_rest(&self.tables, &self.world).is_ok() {
                return Ok(());
            }
            self.world.advance(SignedDuration::from_secs(60));
            self.sweep();
        }
        checks::at_rest(&self.tables, &self.world)
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

    fn play(&mut self) -> Result<(), String> {
        let (changes, steps) = {
            let mut state = self.world.lock();
            (state.rng.u32(1..8), state.rng.u32(60..600))
        };
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
        if !self.world.lock().unnoticed.is_empty() {
            self.reconcile()?;
        }
        checks::chained(&self.tables)?;
        checks::converged(&self.tables, &self.world, &self.engines[0].plans, &self.newest)
    }
}

/// An id, mostly the same one: what happens to one record at once is what is hard.
fn one_of_two(rng: &mut Rng) -> String {
    if rng.u32(0..4) == 0 { "2".to_owned() } else { "1".to_owned() }
}

fn credential(id: &str, title: &str) -> serde_json::Value {
    json!({"id": id, "name": title, "issued_on": "2026-01-31", "recipient": {"id": "7"}, "custom_attributes": {"location_id": "loc"}})
}

fn simulate(seed: u64) -> Result<(), String> {
    let mut simulation = Simulation::new(seed);
    simulation.play().map_err(|fault| {
        let story = std::mem::take(&mut simulation.world.lock().story);
        format!("seed {seed}: {fault}\n\n{}", story.join("\n"))
    })
}

#[expect(clippy::disallowed_methods, reason = "a test run is told by the environment how far to go")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a whole number"))
}

#[test]
fn the_protocol_holds_whatever_happens() {
    if let Some(seed) = number("SIMULATION_SEED") {
        let mut simulation = Simulation::new(seed);
        let result = simulation.play();
        println!("{}", simulation.world.lock().story.join("\n"));
        return result.unwrap();
    }
    let seeds = number("SIMULATION_SEEDS").unwrap_or(4000);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for seed in (thread..seeds).step_by(threads as usize) {
                    if let Err(fault) = simulate(seed) {
                        panic!("{fault}\n\nSIMULATION_SEED={seed} tells it again");
                    }
                }
            });
        }
    });
}

/// Every await point of a worker, one after the other: crashed there, everything must still come to its end.
#[test]
fn a_worker_may_crash_at_every_await_point() {
    let mut crashes = 0;
    // Histories differ in what is told: by a hint, by its payload, and as a deletion.
    for seed in 0..24 {
        for crash_at in 1.. {
            let mut simulation = Simulation::new(seed);
            simulation.world.lock().faults = false;
            simulation.change(1);
            let (source, body) = simulation.unsent.pop().unwrap();
            simulation.unsent.clear();
            simulation.send(source, body);
            while !simulation.tasks.is_empty() {
                simulation.poll(0);
            }
            simulation.deliver_stream();
            let mut polled = 0;
            while !simulation.tasks.is_empty() && polled < crash_at {
                simulation.poll(0);
                polled += 1;
            }
            let finished = simulation.tasks.is_empty();
            if !finished {
                simulation.crash(0);
                crashes += 1;
            }
            let checked = simulation.check().and_then(|()| simulation.settle(false));
            let plans = &DEFINITIONS.1;
            let checked = checked.and_then(|()| {
                checks::chained(&simulation.tables)?;
                checks::converged(&simulation.tables, &simulation.world, plans, &simulation.newest)
            });
            checked.unwrap_or_else(|fault| panic!("seed {seed}, crashed at {crash_at}: {fault}"));
            if finished {
                break;
            }
        }
    }
    assert!(crashes > 100, "only {crashes} await points were crashed at");
}

/// Attempts that failed for other reasons say nothing about what the source shows: one stray 404 after them must not make
/// a tombstone, nor lose an event.
#[test]
fn a_404_is_believed_only_once_it_was_shown_a_few_times() {
    let mut simulation = Simulation::new(0);
    simulation.world.lock().faults = false;
    let body = json!({"event_type": "certificate_created", "certificate_id": "9", "timestamp": "2026-03-01T00:00:00Z"});
    simulation.send(HINTS, body.to_string());
    let run_out = |simulation: &mut Simulation| {
        while !simulation.tasks.is_empty() {
            simulation.poll(0);
        }
    };
    run_out(&mut simulation);
    let row = simulation.tables.inbox_rows().remove(0);
    let elsewhere = Reschedule { attempt: 5, unseen: 0, next_at: row.next_at, reason: String::new(), must_push: false };
    let waker = noop_waker();
    let mut tries = Box::pin(simulation.tables.reschedule(&row.key, 0, &elsewhere));
    assert_eq!(tries.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(true)));
    drop(tries);
    for shown in 1..=4 {
        simulation.world.advance(SignedDuration::from_hours(24));
        simulation.work(Source::Queue(Pointer::Event(row.key.clone())));
        run_out(&mut simulation);
        let row = simulation.tables.inbox_rows().remove(0);
        let wanted = if shown <= 3 { (InboxState::Pending, shown) } else { (InboxState::Quarantined, 3) };
        assert_eq!((row.state, row.unseen), wanted, "{:?}", row.reason);
    }
}
