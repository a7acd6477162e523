//! Several states told at once: claimed, audited and committed one by one.

use crate::{
    breaker::{NoQueue, OneKey, World},
    support::record,
};
use certbridge_mapping::{Document, RecordKey};
use certbridge_remote::{HttpSources, Snapshots};
use certbridge_sandbox::Fault;
use certbridge_sync::{
    assert::{Asserted, Assertion, Batch},
    audit::{Action, Actor, Cause, Outcome},
    memory::MemoryStore,
    ports::{Records, Runtime},
    row::Lease,
    verify_chain,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

type Engine =
    certbridge_sync::Engine<MemoryStore, HttpSources<OneKey>, Snapshots<OneKey>, NoQueue, crate::breaker::Clock>;

/// The state of a record, as a listing or a caller gives it.
fn assertion(engine: &Engine, id: &str, location: &str, listed_at: Option<Timestamp>) -> Assertion {
    let key: RecordKey = record(id);
    let fields = json!({"user_id": "person", "issue_date": "2026-01-31", "location_id": location});
    let document = Document::given(fields.to_string().as_bytes()).unwrap();
    let record = engine.plans.of("accredible").unwrap().given(&key, &document).unwrap();
    Assertion { key, record, listed_at }
}

async fn told(world: &World, assertions: &[Assertion]) -> Vec<Asserted> {
    let batch = Batch { id: "night-1", actor: Actor::Reconciliation };
    world.engine.assert_chunk(&batch, assertions, &world.run()).await
}

fn word(asserted: &Asserted) -> &'static str {
    match asserted {
        Asserted::Done(_) => "done",
        Asserted::InFlight(_) => "in flight",
        Asserted::Already => "already",
        Asserted::Later(_) => "later",
        Asserted::Failed(_) => "failed",
    }
}

#[tokio::test]
async fn each_record_of_a_chunk_comes_out_by_itself() {
    let world = World::start().await;
    let now = world.clock.now();
    let touched = world.accept("touched").await;
    world.engine.sync_event(&touched, &world.run()).await.unwrap();
    let lease = Lease { owner: "somebody".to_owned(), until: now + SignedDuration::from_mins(1) };
    let held = world.store.claim(&record("held"), &lease, now).await.unwrap();
    let applied = world.destination.applications().len();

    let engine = &world.engine;
    let later = Some(now + SignedDuration::from_mins(5));
    let chunk = [
        assertion(engine, "1", "loc_london", later),
        assertion(engine, "2", "loc_london", None),
        assertion(engine, "touched", "loc_london", Some(now)),
        assertion(engine, "held", "loc_london", later),
        assertion(engine, "lost", "loc_atlantis", later),
    ];
    let asserted = told(&world, &chunk).await;
    let words: Vec<_> = asserted.iter().map(word).collect();
    assert_eq!(words, ["done", "done", "in flight", "in flight", "failed"], "{asserted:?}");

    // One request for both, and what moved was left alone.
    let requests = world.destination.server().requests();
    assert_eq!(requests.iter().filter(|request| request.path == "/batch_sync").count(), 1);
    assert_eq!(world.destination.applications().len(), applied + 2);
    for id in ["1", "2"] {
        let row = world.store.read(&record(id)).await.unwrap().unwrap();
        assert_eq!((row.fence, row.clean_fence, row.lease), (1, 1, None));
        let trail = world.store.audit_rows(&record(id));
        verify_chain(&trail, &row.audit).unwrap();
        let told = &trail[0];
        assert_eq!((told.action, told.outcome), (Action::Pushed, Outcome::Synced));
        assert_eq!((&told.actor, &told.cause), (&Actor::Reconciliation, &Cause::Batch { id: "night-1".into() }));
        assert!(told.destination_request_id.is_some());
    }
    // Nothing was told of it, so it is as it was, and no one need push it.
    let lost = world.store.read(&record("lost")).await.unwrap().unwrap();
    assert_eq!((lost.fence, lost.clean_fence, lost.state), (1, 1, None));
    assert_eq!(world.store.read(&record("held")).await.unwrap().unwrap().lease, Some(held.lease));
}

#[tokio::test]
async fn a_chunk_that_is_applied_in_part_leaves_doubt_and_no_record_of_it() {
    let world = World::start().await;
    world.destination.server().add_fault(Fault::Halfway.always().on("POST", "/batch_sync"));
    let chunk = [assertion(&world.engine, "1", "loc_london", None), assertion(&world.engine, "2", "loc_london", None)];
    let asserted = told(&world, &chunk).await;
    assert!(asserted.iter().all(|asserted| word(asserted) == "failed"), "{asserted:?}");
    assert!(world.destination.certificate("1").is_some() && world.destination.certificate("2").is_none());
    for id in ["1", "2"] {
        let row = world.store.read(&record(id)).await.unwrap().unwrap();
        assert!(row.fence != row.clean_fence && row.state.is_none(), "{id}: whoever claims next must push");
        assert!(world.store.audit_rows(&record(id)).is_empty());
    }

    // The next one does, and it is on record once.
    world.destination.server().clear_faults();
    let asserted = told(&world, &chunk).await;
    assert!(asserted.iter().all(|asserted| word(asserted) == "done"), "{asserted:?}");
    for id in ["1", "2"] {
        assert!(world.destination.certificate(id).is_some());
        assert_eq!(world.store.audit_rows(&record(id)).len(), 1);
    }
}

#[tokio::test]
async fn a_chunk_that_may_yet_be_applied_leaves_doubt_however_it_ends() {
    let world = World::start().await;
    let server = world.destination.server();
    server.add_fault(Fault::AppliedLate { ms: None }.once().on("POST", "/batch_sync"));
    server.add_fault(Fault::status(422).always());
    let asserted = told(&world, &[assertion(&world.engine, "1", "loc_london", None)]).await;
    assert_eq!(word(&asserted[0]), "failed", "{asserted:?}");
    let row = world.store.read(&record("1")).await.unwrap().unwrap();
    assert!(row.fence != row.clean_fence && row.lease.is_some(), "whoever claims next waits, and must push: {row:?}");
    assert_eq!((server.release_late().await, world.destination.applications().len()), (1, 1));
}

#[tokio::test]
async fn what_was_listed_is_not_told_over_a_doubt() {
    let world = World::start().await;
    let row = world.accept("1").await;
    world.destination.server().add_fault(Fault::AnswerLost.always());
    world.engine.sync_event(&row, &world.run()).await.unwrap();
    world.destination.server().clear_faults();
    // The lease of a request that may yet be applied has run out by then.
    let later = world.clock.now() + SignedDuration::from_mins(10);
    world.clock.set(later);
    let asserted = told(&world, &[assertion(&world.engine, "1", "loc_paris", Some(later))]).await;
    // The newest state was fetched instead, and that is what the destination holds.
    assert_eq!(word(&asserted[0]), "done", "{asserted:?}");
    assert_eq!(world.destination.certificate("1").unwrap()["location_id"], "loc_london");
}

#[tokio::test]
async fn a_destination_that_takes_no_batches_is_told_one_by_one() {
    let world = World::start().await;
    world.destination.server().add_fault(Fault::status(404).always().on("POST", "/batch_sync"));
    let chunk = [assertion(&world.engine, "1", "loc_london", None), assertion(&world.engine, "2", "loc_london", None)];
    let asserted = told(&world, &chunk).await;
    assert!(asserted.iter().all(|asserted| word(asserted) == "done"), "{asserted:?}");
    assert_eq!(world.destination.certificate_ids(), ["1", "2"]);
}

/// A worker that died after its commit is run again with the same listing: what it had done is recognised.
#[tokio::test]
async fn what_an_earlier_try_has_told_is_not_told_again() {
    let world = World::start().await;
    let listed_at = Some(world.clock.now());
    let first = told(&world, &[assertion(&world.engine, "2", "loc_london", listed_at)]).await;
    let again = told(&world, &[assertion(&world.engine, "2", "loc_london", listed_at)]).await;
    let other = told(&world, &[assertion(&world.engine, "2", "loc_lyon", listed_at)]).await;
    assert_eq!([word(&first[0]), word(&again[0]), word(&other[0])], ["done", "already", "in flight"]);
    assert_eq!(world.store.audit_rows(&record("2")).len(), 1);
    let row = world.store.read(&record("2")).await.unwrap().unwrap();
    assert_eq!((row.fence, row.lease), (row.clean_fence, None));
}

#[tokio::test]
async fn a_destination_that_wants_less_of_us_is_left_alone_for_as_long_as_it_says() {
    for (retry_after, wait) in [(Some("90".to_owned()), 90), (None, 30)] {
        let world = World::start().await;
        let fault = Fault::Status { status: 429, retry_after };
        world.destination.server().add_fault(fault.always().on("POST", "/batch_sync"));
        let asserted = told(&world, &[assertion(&world.engine, "1", "loc_london", None)]).await;
        assert_eq!(asserted, [Asserted::Later(std::time::Duration::from_secs(wait))]);
        let row = world.store.read(&record("1")).await.unwrap().unwrap();
        assert_eq!((row.fence, row.lease), (row.clean_fence, None), "a refusal leaves no doubt");
    }
}
