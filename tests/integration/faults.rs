//! Providers that fail: every event is settled in the end, exactly once on record, or set aside where it is to blame.

use crate::support::{World, created, event, record, until};
use certbridge_mapping::EventKey;
use certbridge_sandbox::{Credential, Fault, FaultRule, Provider};
use certbridge_sync::{
    audit::{Action, Cause, Outcome},
    ports::{Inbox, Records},
    row::InboxState,
    sync::Settings,
};
use futures::future::join_all;
use serde_json::json;

/// What a provider does at an event's requests, and what becomes of the event.
struct Case {
    id: &'static str,
    faults: Vec<Fault>,
    /// The failed attempts, at least, before the one that settled it: a slow machine may need more. Quick tries within
    /// an attempt do not count.
    attempts: u32,
}

fn case(id: &'static str, faults: impl Into<Vec<Fault>>, attempts: u32) -> Case {
    Case { id, faults: faults.into(), attempts }
}

fn throttled(seconds: &str) -> Fault {
    Fault::Status { status: 429, retry_after: Some(seconds.to_owned()) }
}

/// Faults of the destination at a push.
fn at_the_destination() -> Vec<Case> {
    vec![
        case("error", [Fault::status(500)], 0),
        case("unavailable", [Fault::status(503)], 0),
        case("throttled", [throttled("1")], 0),
        case("throttled-long", [throttled("4")], 1),
        case("conflict", [Fault::status(409)], 0),
        case("cut", [Fault::Cut], 0),
        // Applied once: the second try comes under the same idempotency key.
        case("answer-lost", [Fault::AnswerLost], 0),
        case("answer-lost-twice", [Fault::AnswerLost, Fault::AnswerLost], 0),
        case("gateway-timeout", [Fault::AppliedLate { ms: None }], 0),
        // The status says that it was applied.
        case("wrong-body", [Fault::WrongBody], 0),
        case("mixed", [Fault::status(502), Fault::Cut], 0),
        case("no-route", [Fault::status(404)], 1),
        // As often as one attempt tries.
        case("errors", vec![Fault::status(500); Settings::default().quick_tries as usize], 1),
    ]
}

/// Faults of the source at a fetch.
fn at_the_source() -> Vec<Case> {
    vec![
        case("s-error", [Fault::status(500)], 0),
        case("s-unavailable", [Fault::status(503)], 0),
        case("s-throttled", [throttled("1")], 0),
        case("s-cut", [Fault::Cut], 0),
        case("s-answer-lost", [Fault::AnswerLost], 0),
        case("s-wrong-body", [Fault::WrongBody], 0),
        case("s-redirect", [Fault::status(302)], 1),
    ]
}

/// Puts a case's faults onto the requests of its certificate alone.
fn arm(provider: &Provider, method: &str, path: &str, case: &Case) {
    for fault in &case.faults {
        provider.add_fault(fault.clone().once().on(method, &path.replace("{id}", case.id)));
    }
}

async fn check(world: &World, case: &Case, key: &EventKey) {
    let id = case.id;
    let row = world.settled(key).await;
    assert!(row.attempt >= case.attempts, "{id}: {}", row.attempt);
    assert_eq!(row.reason.as_deref(), Some("synced"), "{id}");
    let trail = world.trail(id).await;
    assert_eq!(trail.len(), 1, "{id}: {trail:?}");
    assert_eq!((trail[0].outcome, trail[0].action), (Outcome::Synced, Action::Pushed), "{id}");
    let cause =
        Cause::Event { id: key.to_string(), event_type: "certificate_created".to_owned(), attempt: row.attempt + 1 };
    assert_eq!(trail[0].cause, cause, "{id}");
    // Tries of one attempt share an idempotency key, under which they are applied once.
    assert!((1..=row.attempt as usize + 1).contains(&world.applications(id).len()), "{id}");
    assert_eq!(world.destination().certificate(id).unwrap()["certificate_id"], id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_for_a_while_is_settled_once() {
    let world = World::start().await;
    // The list of locations is read once, so that no fault strikes it.
    world.issue("first");
    world.settled(&world.deliver(created("first")).await).await;
    let (at_source, at_destination) = (at_the_source(), at_the_destination());
    at_source.iter().for_each(|case| arm(world.source().server(), "GET", "/v1/credentials/{id}", case));
    for case in &at_destination {
        arm(world.destination().server(), "POST", "/certificates/{id}/sync", case);
    }
    let cases: Vec<_> = at_source.into_iter().chain(at_destination).collect();
    let keys = join_all(cases.iter().map(async |case| {
        world.issue(case.id);
        world.deliver(created(case.id)).await
    }));
    for (case, key) in cases.iter().zip(keys.await) {
        check(&world, case, &key).await;
    }
    // What was answered with 504 is applied now, under a key that was answered since: nothing changes.
    assert_eq!(world.destination().server().release_late().await, 1);
    assert_eq!(world.applications("gateway-timeout").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_hangs_is_tried_again() {
    let world = World::start().await;
    world.issue("1");
    world.destination().server().add_fault(Fault::Hang.once().on("POST", "/certificates/1/"));
    let key = world.deliver(created("1")).await;
    world.settled(&key).await;
    assert_eq!((world.applications("1").len(), world.trail("1").await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_destination_rejects_is_quarantined_and_nothing_else_is() {
    let world = World::start().await;
    let rejects =
        |id: &str, status| -> FaultRule { Fault::status(status).always().on("POST", &format!("/certificates/{id}/")) };
    for (id, status) in [("bad", 422), ("worse", 400)] {
        world.destination().server().add_fault(rejects(id, status));
        world.issue(id);
    }
    world.issue("good");
    let keys = [
        (world.deliver(created("bad")).await, "rejected: destinations/snapshots: rejected: 422"),
        (world.deliver(created("worse")).await, "rejected: destinations/snapshots: rejected: 400"),
    ];
    let good = world.deliver(created("good")).await;
    for (key, reason) in keys {
        let row = world.done(&key).await;
        assert_eq!(row.state, InboxState::Quarantined);
        assert!(row.reason.as_ref().unwrap().starts_with(reason), "{:?}", row.reason);
        assert_eq!((row.attempt, row.expires_at), (0, None));
    }
    world.settled(&good).await;
    for id in ["bad", "worse"] {
        assert_eq!((world.trail(id).await.len(), world.applications(id).len()), (0, 0), "{id}");
        let row = world.store().read(&record(id)).await.unwrap().unwrap();
        assert_eq!((row.lease, row.state, row.clean_fence), (None, None, row.fence), "{id}: provably nothing was done");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_source_does_not_show_yet_is_waited_for() {
    let world = World::start().await;
    let key = world.deliver(created("late")).await;
    let fetches = || {
        let requests = world.source().server().requests();
        requests.iter().filter(|request| request.path == "/v1/credentials/late").count()
    };
    until("the source was asked in vain", async || {
        let row = world.store().get(&key).await.unwrap().unwrap();
        (row.attempt == 1).then_some(())
    })
    .await;
    assert_eq!((fetches(), world.applications("late").len()), (1, 0));
    world.issue("late");
    assert_eq!(world.settled(&key).await.attempt, 1);
    assert_eq!((world.applications("late").len(), world.trail("late").await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_credential_leaves_a_tombstone() {
    let world = World::start().await;
    world.issue("1");
    world.settled(&world.deliver(created("1")).await).await;
    world.source().delete("1");
    let deleted = event("certificate_deleted", "1", "2026-02-02T10:00:00Z").to_string();
    let row = world.settled(&world.deliver(deleted).await).await;
    assert_eq!(row.reason.as_deref(), Some("deleted"));
    let trail = world.trail("1").await;
    assert_eq!(trail.len(), 2);
    assert_eq!((trail[1].outcome, trail[1].action), (Outcome::Deleted, Action::Pushed));
    let changed: Vec<_> = trail[1].changes.iter().map(|change| (change.field.as_str(), &change.after)).collect();
    assert_eq!(changed, [("status", &json!("deleted"))]);
    let applications = world.applications("1");
    assert_eq!(applications.len(), 2);
    assert_eq!(applications[1].body["status"], "deleted");
    // All but its state is as it was.
    let mut before = applications[0].body.clone();
    before["status"] = json!("deleted");
    assert_eq!(world.destination().certificate("1"), Some(before));
    // It may come back.
    world.source().put("1", &Credential::new("1").at_location("loc_lyon"));
    let again = event("certificate_created", "1", "2026-02-03T10:00:00Z").to_string();
    world.settled(&world.deliver(again).await).await;
    let certificate = world.destination().certificate("1").unwrap();
    assert_eq!((&certificate["status"], &certificate["location_id"]), (&json!("issued"), &json!("loc_lyon")));
}
