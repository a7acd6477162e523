//! The sync protocol under everything that may happen to it, reproducible from a number.
//!
//! A run is a world (time, chance, providers, stream, queue) and a handful of tasks: senders, workers, API callers and
//! sweeps. One step polls one task up to its next await point, or crashes it there, or lets something else happen: time
//! passes, a message is delivered (again, out of order, or not at all), a late request is applied. After every step the
//! invariants of the protocol must hold; at the end, once nothing is under way, the destination must hold the newest
//! committed state of every record, and that must be the source's.
//!
//! A third of the runs has batches, and changes that no event tells of. A batch is the local state machine over the tasks
//! of `certbridge-batch`: crashed at any await point and gone on from where it was written down, run twice at once, or
//! given up so that its turn runs out. What it commits and tells is held against the source's hidden past: nothing that
//! was listed may go over something that was read later. Its report must add up and tell nothing that never was; and at
//! rest, two more batches must mend whatever differs, and then find nothing.
//!
//! `SIMULATION_SEEDS=200000 cargo test --test simulation` runs more seeds; `SIMULATION_SEED=17` runs one and tells its
//! story.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod batches;
mod checks;
mod past;
mod play;
mod ports;
mod providers;
mod store;
mod world;

use certbridge_sync::{
    ports::Inbox as _,
    reconcile::{Finding, Outcome},
    row::{InboxState, Pointer, Reschedule},
};
use futures::task::noop_waker;
use jiff::SignedDuration;
use play::{Simulation, Source};
use serde_json::json;
use std::{
    collections::BTreeMap,
    task::{Context, Poll},
};
use world::HINTS;

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
    let seeds = number("SIMULATION_SEEDS").unwrap_or(3000);
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
            let mut simulation = Simulation::new(3 * seed);
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
            let checked = checked.and_then(|()| simulation.at_its_end());
            checked.unwrap_or_else(|fault| panic!("seed {seed}, crashed at {crash_at}: {fault}"));
            if finished {
                break;
            }
        }
    }
    assert!(crashes > 100, "only {crashes} await points were crashed at");
}

/// Every await point of a batch, one after the other: crashed there, and gone on with once its leases have run out, it
/// reports what an undisturbed one does, but that a record may be in flight.
#[test]
fn a_batch_may_crash_at_every_await_point() {
    let mut crashes = 0;
    // One that only reports what is missing at its source, and one that has it deleted.
    for seed in [1, 4] {
        let found = |simulation: &Simulation| {
            let report = simulation.last_report.clone().expect("a batch that came to its end has a report");
            let of = |finding: Finding| (finding.id, (finding.outcome, finding.repaired));
            report.findings.into_iter().map(of).collect::<BTreeMap<_, _>>()
        };
        let mut undisturbed = Simulation::drifted(seed).unwrap();
        undisturbed.carry(u32::MAX).unwrap();
        let expected = found(&undisturbed);
        assert_eq!(expected.len(), 3, "{expected:?}");
        for crash_at in 1.. {
            let run = || {
                let mut simulation = Simulation::drifted(seed)?;
                simulation.carry(crash_at)?;
                let finished = simulation.tasks.is_empty();
                simulation.die();
                simulation.world.advance(SignedDuration::from_secs(60));
                simulation.settle(false)?;
                let differs = |(id, found): (String, (Outcome, bool))| {
                    (found.0 != Outcome::InFlight && expected[&id] != found).then(|| format!("{id} is {found:?}"))
                };
                if let Some(fault) = found(&simulation).into_iter().find_map(differs) {
                    return Err(fault);
                }
                simulation.mended().map(|()| finished)
            };
            if run().unwrap_or_else(|fault| panic!("seed {seed}, crashed at {crash_at}: {fault}")) {
                break;
            }
            crashes += 1;
        }
    }
    assert!(crashes > 100, "only {crashes} await points were crashed at");
}

/// Every await point of a batch, one after the other: a record changes there, its event is synced, or its worker dies
/// once the destination was told; and then the batch goes on. What it had listed, or found missing, must not go over that.
#[test]
fn a_live_event_may_come_between_any_two_steps_of_a_batch() {
    let mut events = 0;
    for (seed, id, dies) in [(1, "1", false), (4, "2", false), (4, "3", false), (1, "1", true), (4, "2", true)] {
        for at in 0.. {
            let run = || {
                let mut simulation = Simulation::drifted(seed)?;
                simulation.carry(at)?;
                let Some(batch) = simulation.tasks.pop() else { return Ok(true) };
                simulation.tell(id, "state C");
                simulation.at_once(dies)?;
                simulation.tasks.push(batch);
                simulation.carry(u32::MAX)?;
                simulation.settle(false)?;
                simulation.is_told(id, "state C").map(|()| false)
            };
            if run().unwrap_or_else(|fault| panic!("seed {seed}, an event of {id} at {at}, dies: {dies}: {fault}")) {
                break;
            }
            events += 1;
        }
    }
    assert!(events > 100, "only {events} events came");
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
