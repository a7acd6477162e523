//! From a webhook to the push, and what of it is on record.

use crate::{
    http::Request,
    support::{
        SIGNING, World, causes, confidential, created, event, key, put_into_force, record, secrets, trail,
        write_secrets,
    },
};
use certbridge_mapping::{EventKey, SourceDefinition};
use certbridge_sandbox::Credential;
use certbridge_sync::{
    audit::{Action, Actor, Cause, Outcome},
    ports::Records,
    row::InboxState,
};
use futures::future::join_all;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_becomes_one_push_and_one_audit_row() {
    let world = World::start().await;
    let credential = Credential::new("7").at_location("loc_lyon").dated("2026-01-02", Some("2027-01-02"));
    world.source().put("7", &credential.issued_to("person-7", "Zoë Personne", "Zoe@Example.com").named("Welding"));
    let delivered = world.deliver(created("7")).await;
    let row = world.settled(&delivered).await;
    assert_eq!((row.reason.as_deref(), row.attempt, row.settled_by), (Some("synced"), 0, Some(1)));

    let pushed = json!({
        "certificate_id": "7",
        "user_id": "person-7",
        "issue_date": "2026-01-02",
        "location_id": "loc_lyon",
        "status": "issued",
        "expiry_date": "2027-01-02",
        "title": "Welding",
        "group_name": "Example Group",
        "recipient_name": "Zoë Personne",
        "recipient_email": "zoe@example.com",
        "url": "https://www.credential.net/7",
    });
    let applications = world.applications("7");
    assert_eq!(applications.len(), 1);
    assert_eq!(applications[0].body, pushed);
    assert_eq!(applications[0].idempotency_key.as_deref(), Some("certificate#accredible#7#1"));
    let requests = world.source().server().requests();
    let asked: Vec<_> = requests.iter().map(|request| (request.method.as_str(), request.path.as_str())).collect();
    assert_eq!(asked, [("GET", "/v1/credentials/7")]);

    let trail = world.trail("7").await;
    let [audit] = trail.as_slice() else { panic!("{trail:?}") };
    let actor = Actor::Source { name: "accredible".into(), key_id: row.proven_by.clone(), on_behalf_of: None };
    let cause = Cause::Event { id: delivered.to_string(), event_type: "certificate_created".into(), attempt: 1 };
    assert_eq!((&audit.actor, &audit.cause), (&actor, &cause));
    assert_eq!((audit.outcome, audit.action, audit.sequence), (Outcome::Synced, Action::Pushed, 1));
    assert!(audit.destination_request_id.as_ref().unwrap().starts_with("snap-"));
    for change in &audit.changes {
        let shown = change.after.as_str().unwrap();
        let personal = ["user_id", "recipient_name", "recipient_email"].contains(&change.field.as_str());
        assert_eq!(shown.starts_with("digest:"), personal, "{change:?}");
        assert_eq!((change.before.is_null(), personal || pushed[&change.field] == shown), (true, true), "{change:?}");
    }
    assert_eq!(audit.changes.len(), 11);

    // Once more, and nothing more.
    let again = world.send(&world.signed(created("7"))).await;
    assert_eq!((again.status, key(&again)), (200, delivered));
    world.drain("7").await;
    assert_eq!((world.applications("7").len(), world.trail("7").await.len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_deliveries_at_once_one_is_accepted() {
    let world = World::start().await;
    world.issue("1");
    let delivery = world.signed(created("1"));
    let replies = join_all((0..100).map(|_| world.send(&delivery))).await;
    let of = |status| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!((of(202), of(200)), (1, 99));
    let event = key(&replies[0]);
    assert!(replies.iter().all(|reply| key(reply) == event));
    world.settled(&event).await;
    world.drain("marker").await;
    assert_eq!((world.applications("1").len(), world.trail("1").await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_events_of_many_records_each_settle_once() {
    let world = World::start().await;
    let ids: Vec<_> = (0..8).map(|id| format!("c{id}")).collect();
    ids.iter().for_each(|id| world.issue(id));
    let updated = |id: &str, minute| event("certificate_updated", id, &format!("2026-02-01T10:{minute:02}:00Z"));
    let bodies: Vec<_> = (0..5).flat_map(|minute| ids.iter().map(move |id| updated(id, minute).to_string())).collect();
    let events = join_all(bodies.into_iter().map(|body| world.deliver(body))).await;
    for event in &events {
        world.settled(event).await;
    }
    for id in &ids {
        let trail = world.trail(id).await;
        let causes = causes(&trail);
        assert_eq!((trail.len(), causes.len()), (5, 5), "{id}: one row an event");
        assert!(causes.keys().all(|cause| events.iter().any(|event| event.to_string() == *cause)));
        assert_eq!(world.applications(id).len(), 1, "{id}: its state never changed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_out_of_order_end_in_the_newest_state() {
    let world = World::start().await;
    world.issue("1");
    world.settled(&world.deliver(created("1")).await).await;
    world.source().put("1", &Credential::new("1").at_location("loc_lyon").named("Newest"));
    let update = |time| event("certificate_updated", "1", time).to_string();
    let newer = world.deliver(update("2026-02-03T10:00:00Z")).await;
    let older = world.deliver(update("2026-02-02T10:00:00Z")).await;
    for event in [newer, older] {
        world.settled(&event).await;
    }
    let certificate = world.destination().certificate("1").unwrap();
    assert_eq!((&certificate["title"], &certificate["location_id"]), (&json!("Newest"), &json!("loc_lyon")));
    let trail = world.trail("1").await;
    assert_eq!(trail.iter().filter(|row| row.action == Action::Pushed).count(), 2);
    assert_eq!((trail.len(), world.applications("1").len()), (3, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verification_is_on_record_and_nothing_else() {
    let world = World::start().await;
    world.issue("1");
    let verified = event("certificate_verified", "1", "2026-02-01T10:00:00Z").to_string();
    let row = world.settled(&world.deliver(verified).await).await;
    assert_eq!(row.reason.as_deref(), Some("audited"));
    let trail = world.trail("1").await;
    assert_eq!(trail.len(), 1);
    assert_eq!((trail[0].outcome, trail[0].action), (Outcome::Audited, Action::None));
    assert!(trail[0].changes.is_empty());
    assert!(world.source().server().requests().is_empty() && world.destination().server().requests().is_empty());
    assert_eq!(world.store().read(&record("1")).await.unwrap().unwrap().state, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_key_of_a_source_proves_and_the_trail_says_which() {
    let world = World::start().await;
    world.issue("1");
    let first = world.settled(&world.deliver(created("1")).await).await;
    let mut turned = secrets();
    turned["sources/accredible"]["signing"] = json!([SIGNING[1]]);
    write_secrets(world.folder.path(), &turned);
    // The bundle still has both keys in its cache; the sender uses the new one.
    let second = event("certificate_updated", "1", "2026-02-02T10:00:00Z").to_string();
    let second = world.settled(&world.deliver(second).await).await;
    assert_ne!(first.proven_by, second.proven_by);
    let key_ids: Vec<_> = world.trail("1").await.into_iter().map(|row| row.actor).collect();
    let actor = |key_id: String| Actor::Source { name: "accredible".into(), key_id, on_behalf_of: None };
    assert_eq!(key_ids, [actor(first.proven_by), actor(second.proven_by)]);
}

/// A source whose deliveries carry their state: put into force on a bundle, and in force from its next start on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_of_ones_own_is_ordered_by_its_revisions() {
    const LEDGER: &str = include_str!("../simulation/ledger.toml");
    let source = SourceDefinition::parse("ledger.toml", LEDGER).unwrap();
    let mut secrets = secrets();
    secrets["sources/ledger"] = json!({"signing": "token-of-the-ledger"});
    assert!(confidential(&secrets).contains(&"token-of-the-ledger".to_owned()));
    let world = World::start_with(&secrets).await;
    put_into_force(world.store(), "sources/ledger.toml", LEDGER).await;
    put_into_force(world.store(), "sources/broken.toml", "name = 7").await;
    let state = |revision: u32, title: &str| {
        json!({
            "id": format!("e-{revision}"), "type": "changed", "at": "2026-02-01T10:00:00Z",
            "certificate": {
                "id": "1", "revision": revision, "holder": "person-1", "issued": "2026-01-31",
                "location": "loc_london", "title": title,
            },
        })
    };
    let delivery = |body: &Value| {
        let body = body.to_string();
        let headers = source.sign(body.as_bytes(), &"token-of-the-ledger".into(), jiff::Timestamp::now()).unwrap();
        let request = Request::post("/webhooks/ledger", body);
        headers.into_iter().fold(request, |request, (name, value)| request.header(&name, value))
    };
    assert_eq!(world.send(&delivery(&state(1, "One"))).await.status, 404, "not in force yet");

    let world = World::start_in(world.stop().await).await;
    let mut events = Vec::new();
    for (revision, title) in [(1, "One"), (3, "Three"), (2, "Two"), (3, "Three")] {
        let reply = world.send(&delivery(&state(revision, title))).await;
        events.push((reply.status, EventKey { source: "ledger".into(), id: reply.event_id() }));
    }
    assert_eq!(events.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [202, 202, 202, 200]);
    for (_, event) in &events[..3] {
        world.settled(event).await;
    }
    let record = "certificate#ledger#1".parse().unwrap();
    let rows = trail(world.store(), &record).await;
    let told: Vec<_> = rows.iter().map(|row| (row.outcome, row.action)).collect();
    let pushed = (Outcome::Synced, Action::Pushed);
    assert_eq!(told, [pushed, pushed, (Outcome::Superseded, Action::None)]);
    assert_eq!(world.destination().certificate("1").unwrap()["title"], "Three");

    // The same id with other bytes is kept apart.
    let conflict = world.send(&delivery(&state(2, "Another two"))).await;
    let kept = EventKey { source: "ledger".into(), id: conflict.event_id() };
    assert_eq!((conflict.status, kept.id.starts_with("e-2#")), (202, true));
    let row = world.done(&kept).await;
    assert_eq!(row.state, InboxState::Quarantined);
    assert!(row.reason.unwrap().starts_with("conflict: "));
}
