//! `POST /certificates/{id}/sync`: the same sync, at once, for a caller with a key of ours.

use crate::{
    http::{Reply, Request},
    support::{Closed, OPS, World, created, event, record, until},
};
use certbridge_sandbox::{Credential, Fault};
use certbridge_sync::{
    audit::{Action, Actor, Cause, Outcome},
    ports::Records,
    row::{Lease, Release},
    sync::Settings,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

async fn sync(world: &World, target: &str, body: &str) -> Reply {
    let request = Request::post(format!("/certificates/{target}"), body);
    world.send(&request.header("authorization", format!("Bearer {OPS}"))).await
}

#[track_caller]
fn told(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// The change that an answer tells of a field.
fn change<'a>(answer: &'a Value, field: &str) -> Option<&'a Value> {
    answer["changes"].as_array()?.iter().find(|change| change["field"] == field)
}

fn is_digest(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == "digest:".len() + 64 && text.starts_with("digest:"))
}

fn given() -> Value {
    json!({"user_id": "person-5", "issue_date": "2026-01-31", "location_id": "loc_lyon", "recipient_name": "Example Person"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_wish_fetches_and_pushes() {
    let world = World::start().await;
    for (number, body) in ["{}", "", "  \n", "{ }"].into_iter().enumerate() {
        let id = format!("c{number}");
        world.issue(&id);
        let answer = told(&sync(&world, &format!("{id}/sync"), body).await);
        assert_eq!(answer["record"], format!("certificate#accredible#{id}"));
        assert_eq!(
            (&answer["outcome"], &answer["pushed"], &answer["dry_run"]),
            (&json!("synced"), &json!(true), &json!(false))
        );
        assert_eq!(answer["audit_sequence"], 1);
        assert!(answer["destination_request_id"].as_str().unwrap().starts_with("snap-"));
        assert_eq!(change(&answer, "title").unwrap()["after"], "Example Certificate");
        for field in ["user_id", "recipient_name", "recipient_email"] {
            assert!(is_digest(&change(&answer, field).unwrap()["after"]), "{field}: {answer}");
        }
        assert_eq!(world.applications(&id).len(), 1);
        let trail = world.trail(&id).await;
        assert_eq!(trail.len(), 1);
        assert_eq!((trail[0].outcome, trail[0].action), (Outcome::Synced, Action::Pushed));
        assert_eq!(trail[0].actor, Actor::Caller { owner: "ops".into() });
        assert!(matches!(&trail[0].cause, Cause::Request { id } if !id.is_empty()));
        assert_eq!(answer["plan"], trail[0].plan.as_str());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_asserts_what_the_destination_should_hold_already() {
    let world = World::start().await;
    world.issue("1");
    world.settled(&world.deliver(created("1")).await).await;
    world.destination().edit("1", &json!({"title": "edited by hand"}));
    let answer = told(&sync(&world, "1/sync?source=accredible", "{}").await);
    assert_eq!(
        (&answer["pushed"], &answer["audit_sequence"], &answer["changes"]),
        (&json!(true), &json!(2), &json!([]))
    );
    assert_eq!(world.destination().certificate("1").unwrap()["title"], "Example Certificate");
    assert_eq!(world.trail("1").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_given_certificate_is_pushed_as_it_is() {
    let world = World::start().await;
    let answer = told(&sync(&world, "5/sync", &given().to_string()).await);
    assert_eq!((&answer["outcome"], &answer["pushed"]), (&json!("synced"), &json!(true)));
    assert!(is_digest(&change(&answer, "recipient_name").unwrap()["after"]));
    let certificate = world.destination().certificate("5").unwrap();
    for (field, value) in
        [("certificate_id", "5"), ("user_id", "person-5"), ("status", "issued"), ("location_id", "loc_lyon")]
    {
        assert_eq!(certificate[field], value);
    }
    assert!(world.source().server().requests().is_empty(), "nothing is fetched");
    // A number is taken as an id, and a further wish shows what changes.
    let mut body = given();
    body["user_id"] = json!(6);
    body["certificate_id"] = json!("5");
    body["status"] = json!("revoked");
    let answer = told(&sync(&world, "5/sync", &body.to_string()).await);
    let change = change(&answer, "user_id").unwrap();
    assert!(is_digest(&change["before"]) && is_digest(&change["after"]) && change["before"] != change["after"]);
    assert_eq!(answer["changes"].as_array().unwrap().len(), 2, "{answer}");
    assert_eq!(world.destination().certificate("5").unwrap()["status"], "revoked");
    assert_eq!(world.trail("5").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_tells_and_does_nothing() {
    let world = World::start().await;
    world.issue("1");
    world.issue("2");
    world.settled(&world.deliver(created("1")).await).await;
    world.source().put("1", &Credential::new("1").at_location("loc_lyon").named("New"));
    let before = world.store().read(&record("1")).await.unwrap();
    let pushes = || {
        let requests = world.destination().server().requests();
        requests.iter().filter(|request| request.method != "GET").count()
    };
    for (target, body, changed) in [
        ("1/sync?dry_run=true", "{}".to_owned(), &["location_id", "title"][..]),
        ("1/sync?dry_run", "{}".to_owned(), &["location_id", "title"]),
        ("1/sync?dry_run=true&source=accredible", given().to_string(), &["location_id", "title", "user_id"]),
        ("2/sync?dry_run=true", "{}".to_owned(), &["certificate_id", "recipient_email"]),
    ] {
        let answer = told(&sync(&world, target, &body).await);
        assert_eq!(
            (&answer["outcome"], &answer["pushed"], &answer["dry_run"]),
            (&json!("dry_run"), &json!(false), &json!(true))
        );
        assert_eq!(answer["destination_request_id"], json!(null));
        for field in changed {
            assert!(change(&answer, field).is_some(), "{target}: {field} in {answer}");
        }
        if let Some(user) = change(&answer, "user_id") {
            assert!(is_digest(&user["after"]), "{answer}");
        }
    }
    assert_eq!(sync(&world, "none/sync?dry_run=true", "{}").await.status, 404);
    assert_eq!(world.store().read(&record("1")).await.unwrap(), before);
    assert_eq!(world.store().read(&record("2")).await.unwrap(), None);
    assert_eq!(pushes(), 1);
    assert_eq!(world.trail("1").await.len(), 1);
    let folder = world.stop().await;
    let tables = Closed::open(folder.path());
    assert_eq!(tables.inbox().await.len(), 1);
    tables.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_being_synced_is_a_conflict() {
    let world = World::start().await;
    world.issue("1");
    let now = Timestamp::now();
    let lease = Lease { owner: "somebody".into(), until: now + SignedDuration::from_secs(300) };
    let claim = world.store().claim(&record("1"), &lease, now).await.unwrap();
    let reply = sync(&world, "1/sync", "{}").await;
    assert_eq!((reply.status, reply.problem().as_deref()), (409, Some("conflict")));
    let wait: u64 = reply.headers["retry-after"].parse().unwrap();
    assert!((1..=300).contains(&wait), "{wait}");
    assert!(world.applications("1").is_empty());
    world.store().release(&claim, Release::Clean).await.unwrap();
    assert_eq!(told(&sync(&world, "1/sync", "{}").await)["audit_sequence"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_way_is_told() {
    let world = World::start().await;
    let source = world.source();
    source.put("homeless", &Credential::new("homeless"));
    source.put("nowhere", &Credential::new("nowhere").at_location("loc_mars"));
    source.put(
        "both",
        &Credential::new("both").with(&json!({"issued_on": "soon", "recipient": {"email": "no address"}})),
    );
    source.put("other", &Credential::new("another").at_location("loc_london"));
    world.issue("rejected");
    world.issue("failing");
    let server = world.destination().server();
    server.add_fault(Fault::status(422).always().on("POST", "/certificates/rejected/"));
    server.add_fault(
        Fault::Status { status: 503, retry_after: Some("77".into()) }.always().on("POST", "/certificates/failing/"),
    );
    let cases: [(&str, u16, &str, &[&str]); 7] = [
        ("none", 404, "not-found", &[]),
        ("homeless", 422, "unmappable", &["location_id"]),
        ("nowhere", 422, "unmappable", &["location_id"]),
        ("both", 422, "unmappable", &["issue_date", "location_id", "recipient_email"]),
        ("other", 422, "unmappable", &["certificate_id"]),
        ("rejected", 422, "unmappable", &[]),
        ("failing", 502, "bad-gateway", &[]),
    ];
    for (id, status, problem, fields) in cases {
        let reply = sync(&world, &format!("{id}/sync"), "{}").await;
        assert_eq!((reply.status, reply.problem().as_deref()), (status, Some(problem)), "{id}: {reply:?}");
        assert_eq!(reply.fields(), fields, "{id}");
        assert_eq!(reply.headers.get("retry-after").map(String::as_str), (id == "failing").then_some("77"), "{id}");
        assert!(world.applications(id).is_empty() && world.trail(id).await.is_empty(), "{id}");
        let row = world.store().read(&record(id)).await.unwrap();
        assert_eq!(row.and_then(|row| row.lease), None, "{id}: nobody waits for a lease");
    }
}

/// The caller is told that it failed, and yet what may have been applied is made certain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_in_doubt_is_asserted_again() {
    let world = World::start().await;
    world.issue("1");
    let server = world.destination().server();
    server.add_fault(Fault::status(500).times(Settings::default().quick_tries).on("POST", "/certificates/1/"));
    let reply = sync(&world, "1/sync", "{}").await;
    assert_eq!((reply.status, reply.problem().as_deref()), (502, Some("bad-gateway")));
    until("it is pushed again", async || (world.trail("1").await.len() == 1).then_some(())).await;
    let trail = world.trail("1").await;
    assert_eq!((&trail[0].actor, trail[0].action), (&Actor::Recovery, Action::Pushed));
    assert_eq!(world.applications("1").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_wishes_share_one_chain() {
    let world = World::start().await;
    world.issue("1");
    world.settled(&world.deliver(created("1")).await).await;
    told(&sync(&world, "1/sync", "{}").await);
    let again = event("certificate_updated", "1", "2026-02-02T10:00:00Z").to_string();
    world.settled(&world.deliver(again).await).await;
    let trail = world.trail("1").await;
    let actors: Vec<_> = trail.iter().map(|row| matches!(row.actor, Actor::Caller { .. })).collect();
    assert_eq!(actors, [false, true, false]);
}
