//! Records, their trail and story, events, replays and mappings.

use crate::{
    contract::holds,
    world::{Broken, Reply, World},
};
use certbridge_archive::Archive;
use certbridge_mapping::{Event, EventKey, Kind, Operation, PlanVersion, Record, RecordKey, digest::sha256_hex};
use certbridge_platform::http::routes::ROUTES;
use certbridge_sync::{
    AuditRow, StoreError,
    audit::{Action, Actor, Cause, Outcome},
    checkpoint::{self, Checkpoint, Signer, Tree},
    memory::MemoryStore,
    ports::{Inbox, Records},
    row::{Commit, InboxRow, InboxState, Lease, Pointer, RecordState, Release},
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};

fn at(second: i64) -> Timestamp {
    "2026-03-01T10:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

fn key(id: &str) -> RecordKey {
    RecordKey { kind: Kind::Certificate, source: "accredible".to_owned(), id: id.parse().unwrap() }
}

fn certificate(id: &str, status: &str, location: &str) -> Record {
    let fields = json!({
        "certificate_id": id, "user_id": "u-1", "issue_date": "2026-03-01", "location_id": location, "status": status,
        "recipient_name": "Ada Lovelace", "recipient_email": "ada@example.com",
    });
    let fields = fields.as_object().unwrap().iter();
    let known = fields.filter(|(name, _)| Kind::Certificate.field(name).is_some());
    Record::from_fields(Kind::Certificate, known.map(|(name, value)| (name.clone(), value.clone())).collect()).unwrap()
}

/// Commits a state of a record, as the engine would.
async fn commit(store: &MemoryStore, record: &Record, second: i64, cause: Cause) {
    let key = key(record.id());
    let lease = Lease { owner: format!("w-{second}"), until: at(second + 60) };
    let claim = store.claim(&key, &lease, at(second)).await.unwrap();
    let mut audit = AuditRow {
        record: key.to_string(),
        sequence: claim.row.audit.sequence + 1,
        fence: claim.fence,
        time: at(second),
        actor: Actor::Reconciliation,
        cause,
        action: Action::Pushed,
        outcome: Outcome::Synced,
        changes: Vec::new(),
        plan: PlanVersion::from("p-1".to_owned()),
        destination_request_id: Some("d-1".to_owned()),
        previous_hash: claim.row.audit.hash.clone(),
        hash: String::new(),
    };
    audit.hash = audit.expected_hash();
    let state = RecordState {
        record: record.clone(),
        version: None,
        fingerprint: "f".to_owned(),
        plan: PlanVersion::from("p-1".to_owned()),
        synced_at: at(second),
    };
    let commit = Commit {
        claim: &claim,
        state: Some(&state),
        husk: None,
        hold: false,
        fetched_at: Some(at(second)),
        salt: "s",
        audit: &audit,
        settle: None,
    };
    store.commit(&commit).await.unwrap();
}

fn by_batch() -> Cause {
    Cause::Batch { id: "b-1".to_owned() }
}

/// A delivery of Accredible's, in a state.
fn delivery(id: &str, record: &str, state: InboxState, second: i64) -> InboxRow {
    let body = json!({
        "event_type": "certificate_updated", "certificate_id": record, "timestamp": at(second).to_string(),
        "source": "accredible",
    });
    let body = body.to_string().into_bytes();
    let event_key = EventKey { source: "accredible".to_owned(), id: id.to_owned() };
    InboxRow {
        body_digest: sha256_hex(&body),
        body,
        received_at: at(second),
        proven_by: "k-1".to_owned(),
        event: Some(Event {
            key: event_key.clone(),
            event_type: "certificate_updated".to_owned(),
            record: key(record),
            operation: Operation::Updated,
            time: at(second),
            version: None,
            on_behalf_of: None,
        }),
        key: event_key,
        state,
        attempt: 0,
        unseen: 0,
        next_at: at(second),
        reason: (state != InboxState::Pending).then(|| "for a reason".to_owned()),
        must_push: false,
        settled_by: None,
        expires_at: None,
        replay: None,
        trace: None,
    }
}

/// Asks a route, and holds the answer against the contract.
async fn ask(world: &World, route: &str, parameters: Value, query: &str) -> Reply {
    let reply = world.ask(route, parameters, query, None).await;
    holds(route, &reply);
    reply
}

async fn list(world: &World, query: &str) -> Value {
    ask(world, "GET /certificates", Value::Null, query).await.told(200)
}

fn ids(page: &Value) -> Vec<&str> {
    page["records"].as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap()).collect()
}

/// Forty certificates, of which every third is of another location and every fifth revoked.
async fn forty() -> World {
    let world = World::new();
    for place in 0..40 {
        let location = if place % 3 == 0 { "loc-2" } else { "loc-1" };
        let status = if place % 5 == 0 { "revoked" } else { "issued" };
        let record = certificate(&format!("c-{place:02}"), status, location);
        commit(&world.app.store, &record, place, by_batch()).await;
    }
    world
}

#[tokio::test]
async fn records_are_listed_the_last_synced_first_whatever_the_page() {
    let world = forty().await;
    let wanted: Vec<_> = (0..40).rev().map(|place| format!("c-{place:02}")).collect();
    for limit in [1, 2, 7, 16, 39, 40, 41, 100] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = list(&world, &format!("limit={limit}{cursor}")).await;
            assert!(ids(&page).len() <= limit);
            found.extend(ids(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found, wanted, "{limit}");
    }
}

#[tokio::test]
async fn filters_leave_out_everything_else_and_go_with_their_cursors() {
    let world = forty().await;
    for (query, wanted) in [
        ("status=revoked", 8),
        ("location_id=loc-2", 14),
        ("status=revoked&location_id=loc-2", 3),
        ("source=accredible", 40),
        ("source=certificates", 40),
        ("source=acculynx", 0),
        ("source=nobody", 0),
        ("status=nothing", 0),
        ("updated_since=2026-03-01T10:00:30Z", 10),
        ("updated_since=2026-03-01T11:00:30%2B01:00&status=issued", 8),
        ("updated_since=2027-01-01T00:00:00Z", 0),
    ] {
        let (mut found, mut cursor) = (0, String::new());
        loop {
            let page = list(&world, &format!("{query}&limit=3{cursor}")).await;
            found += ids(&page).len();
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
            let other = format!("status=expired{cursor}");
            assert_eq!(ask(&world, "GET /certificates", Value::Null, &other).await.fields(), ["cursor"]);
            let route = "GET /records/{kind}";
            let other = ask(&world, route, json!({"kind": "invoice"}), &format!("{query}{cursor}")).await;
            assert_eq!(other.fields(), ["cursor"]);
        }
        assert_eq!(found, wanted, "{query}");
    }
    let same = ask(&world, "GET /records/{kind}", json!({"kind": "certificate"}), "limit=100").await.told(200);
    assert_eq!(ids(&same).len(), 40);
    let none = ask(&world, "GET /records/{kind}", json!({"kind": "invoice"}), "").await.told(200);
    assert_eq!(none, json!({"records": [], "next_cursor": null}));
    let refused = ask(&world, "GET /records/{kind}", json!({"kind": "thing"}), "").await;
    assert_eq!(refused.fields(), ["kind"]);
    let refused = ask(&world, "GET /certificates", Value::Null, "updated_since=yesterday").await;
    assert_eq!(refused.fields(), ["updated_since"]);
}

#[tokio::test]
async fn a_record_is_told_without_what_is_personal() {
    let world = forty().await;
    let told = ask(&world, "GET /certificates/{id}", json!({"id": "c-07"}), "").await;
    let record = told.told(200);
    assert_eq!((&record["record"], &record["status"]), (&json!("certificate#accredible#c-07"), &json!("issued")));
    assert_eq!((&record["in_doubt"], &record["in_progress"]), (&json!(false), &json!(false)));
    assert_eq!(record["audit"]["sequence"], 1);
    assert!(!told.0.body.contains("Ada") && !told.0.body.contains("ada@"), "{}", told.0.body);
    assert!(record["withheld"].as_array().unwrap().contains(&json!("recipient_email")), "{record:#}");
    let parameters = json!({"kind": "certificate", "source": "accredible", "id": "c-07"});
    let same = ask(&world, "GET /records/{kind}/{source}/{id}", parameters, "").await;
    assert_eq!(same.told(200), record);
    for (parameters, query, problem) in [
        (json!({"id": "no"}), "", "not-found"),
        (json!({"id": "c-07"}), "source=acculynx", "not-found"),
        (json!({"id": "c-07"}), "source=nobody", "unknown-source"),
    ] {
        assert_eq!(ask(&world, "GET /certificates/{id}", parameters, query).await.problem(404).0, problem);
    }
    assert_eq!(ask(&world, "GET /certificates/{id}", json!({"id": "a b"}), "").await.fields(), ["id"]);
}

#[tokio::test]
async fn a_record_in_doubt_says_so() {
    let world = forty().await;
    let lease = Lease { owner: "w".to_owned(), until: "2027-01-01T00:00:00Z".parse().unwrap() };
    let claim = world.app.store.claim(&key("c-01"), &lease, at(100)).await.unwrap();
    let record = async || ask(&world, "GET /certificates/{id}", json!({"id": "c-01"}), "").await.told(200);
    let busy = record().await;
    assert_eq!((&busy["in_progress"], &busy["in_doubt"]), (&json!(true), &json!(false)));
    world.app.store.release(&claim, Release::InDoubt).await.unwrap();
    let doubted = record().await;
    assert_eq!((&doubted["in_progress"], &doubted["in_doubt"]), (&json!(false), &json!(true)));
}

#[tokio::test]
async fn a_trail_is_told_newest_first_and_holds_page_by_page() {
    let world = World::new();
    for second in 0..7 {
        commit(&world.app.store, &certificate("c", "issued", "loc-1"), second, by_batch()).await;
    }
    let audit = async |query: &str| ask(&world, "GET /certificates/{id}/audit", json!({"id": "c"}), query).await;
    for limit in [1, 2, 3, 7, 8] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = audit(&format!("limit={limit}{cursor}")).await.told(200);
            assert_eq!(page["chain"], json!({"holds": true, "fault": null}), "{page:#}");
            found.extend(page["rows"].as_array().unwrap().iter().map(|row| row["sequence"].as_u64().unwrap()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found, [7, 6, 5, 4, 3, 2, 1], "{limit}");
    }
    let first = audit("limit=2").await.told(200);
    let next = first["next_cursor"].as_str().unwrap();
    let other = format!("limit=2&cursor={next}");
    let refused = ask(&world, "GET /certificates/{id}/audit", json!({"id": "d"}), &other).await;
    assert_eq!(refused.fields(), ["cursor"], "another record's");
}

#[tokio::test]
async fn a_story_tells_deliveries_with_what_became_of_them() {
    let world = World::new();
    let store = &world.app.store;
    store.insert(&delivery("e-1", "c", InboxState::Settled, 1)).await.unwrap();
    store.insert(&delivery("e-2", "c", InboxState::Quarantined, 2)).await.unwrap();
    store.insert(&delivery("e-3", "another", InboxState::Quarantined, 2)).await.unwrap();
    let cause = Cause::Event { id: "accredible#e-1".into(), event_type: "certificate_updated".into(), attempt: 1 };
    commit(store, &certificate("c", "issued", "loc-1"), 1, cause).await;
    commit(store, &certificate("c", "issued", "loc-2"), 5, by_batch()).await;
    let told = ask(&world, "GET /certificates/{id}/history", json!({"id": "c"}), "").await.told(200);
    let entries = told["entries"].as_array().unwrap();
    assert_eq!((entries.len(), &entries[0]["delivery"]), (2, &Value::Null));
    assert_eq!(entries[1]["delivery"]["event"], "accredible#e-1");
    let open = told["open"].as_array().unwrap();
    assert_eq!((open.len(), &open[0]["event"], &told["open_complete"]), (1, &json!("accredible#e-2"), &json!(true)));
    assert_eq!(told["chain"]["holds"], true);
    assert_eq!(told["record"]["location_id"], "loc-2");
    let page = ask(&world, "GET /certificates/{id}/history", json!({"id": "c"}), "limit=1").await.told(200);
    let next = format!("limit=1&cursor={}", page["next_cursor"].as_str().unwrap());
    let rest = ask(&world, "GET /certificates/{id}/history", json!({"id": "c"}), &next).await.told(200);
    assert_eq!((rest["open"].as_array().unwrap().len(), &rest["next_cursor"]), (0, &Value::Null));
    let only_delivered = ask(&world, "GET /certificates/{id}/history", json!({"id": "another"}), "").await.told(200);
    assert_eq!((&only_delivered["record"], only_delivered["open"].as_array().unwrap().len()), (&Value::Null, 1));
    assert_eq!(
        ask(&world, "GET /certificates/{id}/history", json!({"id": "no"}), "").await.problem(404).0,
        "not-found"
    );
}

#[tokio::test]
async fn events_are_listed_by_state_the_longest_waiting_first() {
    let world = World::new();
    for place in 0..30 {
        let state = if place % 2 == 0 { InboxState::Quarantined } else { InboxState::Pending };
        world.app.store.insert(&delivery(&format!("e-{place:02}"), "c", state, place)).await.unwrap();
    }
    let events = async |query: &str| ask(&world, "GET /events", Value::Null, query).await;
    for (state, first) in [("quarantined", 0), ("pending", 1)] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = events(&format!("state={state}&limit=4{cursor}")).await.told(200);
            let page_of = page["events"].as_array().unwrap();
            assert!(page_of.iter().all(|event| event["state"] == state));
            found.extend(page_of.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let wanted: Vec<_> = (0..15).map(|place| format!("e-{:02}", first + 2 * place)).collect();
        assert_eq!(found, wanted, "{state}");
    }
    assert_eq!(events("").await.told(200)["events"].as_array().unwrap().len(), 15, "quarantined, if none is named");
    assert_eq!(events("state=failed").await.told(200), json!({"events": [], "next_cursor": null}));
    assert_eq!(events("state=settled").await.fields(), ["state"]);
}

async fn replay(world: &World, source: &str, id: &str) -> Reply {
    ask(world, "POST /events/{source}/{id}/replay", json!({"source": source, "id": id}), "").await
}

#[tokio::test]
async fn an_event_is_run_again_as_a_new_attempt_on_the_callers_account() {
    let world = World::new();
    let states = [InboxState::Quarantined, InboxState::Failed, InboxState::Settled, InboxState::Pending];
    for (place, state) in states.into_iter().enumerate() {
        let id = format!("e-{place}");
        let row = InboxRow { attempt: 3, ..delivery(&id, "c", state, 1) };
        world.app.store.insert(&row).await.unwrap();
        // By an alias, too.
        let told = replay(&world, "certificates", &id).await.told(202);
        assert_eq!((&told["state"], &told["attempt"], &told["reason"]), (&json!("pending"), &json!(4), &Value::Null));
        let row = world.app.store.get(&row.key).await.unwrap().unwrap();
        assert!(row.must_push && row.expires_at.is_none() && row.settled_by.is_none());
        assert_eq!(row.replay.as_ref().map(|replay| (replay.by.as_str(), replay.attempt)), Some(("ops", 4)));
        assert_eq!(world.app.queue.sent().last(), Some(&Pointer::Event(row.key.clone())));
        assert_eq!(world.counted("Replayed")["Source"], "accredible");
        assert_eq!(replay(&world, "accredible", &id).await.told(202)["attempt"], 5, "and again");
        world.metrics.take();
    }
    assert_eq!(replay(&world, "accredible", "no").await.problem(404).0, "not-found");
    assert_eq!(replay(&world, "nobody", "e-1").await.problem(404).0, "not-found");
}

#[tokio::test]
async fn what_could_not_be_read_is_read_again_by_the_definition_in_force() {
    let world = World::new();
    let readable = InboxRow { event: None, ..delivery("u-1", "c", InboxState::Quarantined, 1) };
    let unreadable = InboxRow { event: None, body: b"{}".to_vec(), ..delivery("u-2", "c", InboxState::Quarantined, 1) };
    let other = br#"{"event_type": "weather", "timestamp": "2026-03-01T10:00:00Z"}"#;
    let ignored = InboxRow { event: None, body: other.to_vec(), ..delivery("u-3", "c", InboxState::Quarantined, 1) };
    for row in [&readable, &unreadable, &ignored] {
        world.app.store.insert(row).await.unwrap();
    }
    let told = replay(&world, "accredible", "u-1").await.told(202);
    assert_eq!((&told["record"], &told["state"]), (&json!("certificate#accredible#c"), &json!("pending")));
    let refused = replay(&world, "accredible", "u-2").await;
    assert_eq!(refused.problem(422).0, "unmappable");
    assert!(!refused.json()["errors"].as_array().unwrap().is_empty());
    assert_eq!(replay(&world, "accredible", "u-3").await.problem(422).0, "unmappable");
    let erased = InboxRow { body: Vec::new(), ..delivery("u-4", "c", InboxState::Settled, 1) };
    world.app.store.insert(&erased).await.unwrap();
    assert_eq!(replay(&world, "accredible", "u-4").await.problem(409).0, "conflict");
    for row in [&unreadable, &ignored, &erased] {
        assert_eq!(world.app.store.get(&row.key).await.unwrap().as_ref(), Some(row), "it is left as it was");
    }
}

#[tokio::test]
async fn what_there_is_is_counted_and_kept_for_half_a_minute() {
    let world = forty().await;
    world.app.store.insert(&delivery("e-1", "c", InboxState::Pending, 7)).await.unwrap();
    world.app.store.insert(&delivery("e-2", "c", InboxState::Quarantined, 7)).await.unwrap();
    let summary = async || ask(&world, "GET /summary", Value::Null, "").await;
    let first = summary().await;
    let told = first.told(200);
    let kind = &told["kinds"][0];
    assert_eq!((&kind["kind"], &kind["records"], &kind["complete"]), (&json!("certificate"), &json!(40), &json!(true)));
    assert_eq!(kind["last_synced_at"], at(39).to_string());
    assert_eq!(kind["sources"], json!([{"name": "accredible", "records": 40}]));
    assert_eq!(kind["statuses"], json!([{"name": "issued", "records": 32}, {"name": "revoked", "records": 8}]));
    assert_eq!(kind["locations"], json!([{"name": "loc-1", "records": 26}, {"name": "loc-2", "records": 14}]));
    assert_eq!(
        told["events"],
        json!({
            "pending": 1, "quarantined": 1, "failed": 0, "oldest_pending_at": at(7).to_string(), "complete": true,
        })
    );
    commit(&world.app.store, &certificate("new", "issued", "loc-1"), 50, by_batch()).await;
    assert_eq!(summary().await.told(200), told, "kept");
    // The clock of the test goes on whenever it is read.
    let counted_again = async || {
        for _ in 0..60 {
            let now = summary().await.told(200);
            if now != told {
                return now;
            }
        }
        panic!("never counted again");
    };
    assert_eq!(counted_again().await["kinds"][0]["records"], 41);
}

#[tokio::test]
async fn checkpoints_are_listed_the_newest_first() {
    let world = World::new();
    let checkpoints = async |query: &str| ask(&world, "GET /audit/checkpoints", Value::Null, query).await.told(200);
    assert_eq!(checkpoints("").await, json!({"checkpoints": [], "next_cursor": null}));
    let signer = Signer::new(&SecretString::from("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")).unwrap();
    let mut previous: Option<Checkpoint> = None;
    for second in 0..5 {
        let next = Checkpoint::next(previous.as_ref(), at(second), &Tree::new().summary()).unwrap();
        let stored = next.seal((second > 1).then_some(&signer));
        world.app.checkpoints.put_json(&checkpoint::path(stored.unproven().number), &stored).await.unwrap();
        world.app.checkpoints.put_json(checkpoint::LATEST, &stored).await.unwrap();
        previous = Some(stored.unproven().clone());
    }
    for limit in [1, 2, 5, 6] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = checkpoints(&format!("limit={limit}{cursor}")).await;
            let numbers = page["checkpoints"].as_array().unwrap().iter();
            found.extend(numbers.map(|one| (one["number"].as_u64().unwrap(), one["signed"].as_bool().unwrap())));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found, [(5, true), (4, true), (3, true), (2, false), (1, false)], "{limit}");
    }
}

#[tokio::test]
async fn the_plans_in_force_say_what_is_personal() {
    let world = World::new();
    let told = ask(&world, "GET /mappings", Value::Null, "").await.told(200);
    assert_eq!((&told["destination"], &told["broken"]), (&json!("snapshots"), &json!([])));
    let plans = told["plans"].as_array().unwrap();
    let names: Vec<_> = plans.iter().map(|plan| plan["source"].as_str().unwrap()).collect();
    for wanted in ["17hats", "accredible", "accredit", "acculynx", "certifylize", "standard-webhooks"] {
        assert!(names.contains(&wanted), "{names:?}");
    }
    let accredible = plans.iter().find(|plan| plan["source"] == "accredible").unwrap();
    let fields = accredible["kinds"][0]["fields"].as_array().unwrap();
    let is_personal = |name: &str| fields.iter().find(|field| field["field"] == name).unwrap()["personal"].clone();
    assert_eq!((is_personal("recipient_email"), is_personal("certificate_id")), (json!(true), json!(false)));
}

#[tokio::test]
async fn a_preview_shows_what_a_payload_becomes_and_every_problem_at_once() {
    let world = World::new();
    let preview = async |body: Value| {
        let reply = world.ask("POST /mappings/preview", Value::Null, "", Some(&body)).await;
        holds("POST /mappings/preview", &reply);
        reply
    };
    let hint = json!({
        "event_type": "certificate_updated", "certificate_id": "7", "timestamp": "2026-03-01T10:00:00Z",
        "source": "accredible",
    });
    let told = preview(json!({"source": "accredible", "payload": hint})).await.told(200);
    assert_eq!((&told["event"]["record"], &told["problems"]), (&json!("certificate#accredible#7"), &json!([])));
    assert_eq!(told["event"]["carries_state"], false);
    let told = preview(json!({"source": "accredible", "payload": {"event_type": "certificate_updated"}})).await;
    let told = told.told(200);
    assert_eq!(told["event"], Value::Null);
    assert!(told["problems"].as_array().unwrap().len() >= 2, "{told:#}");
    assert!(world.app.store.inbox_rows().is_empty() && world.app.store.writes() == 0, "without effect");
    for (body, fields) in [
        (json!({}), vec!["source", "payload"]),
        (json!({"source": 5, "payload": {}, "headers": [], "more": 1}), vec!["body", "source", "headers"]),
        (json!([]), vec!["body"]),
    ] {
        assert_eq!(preview(body).await.fields(), fields);
    }
    assert_eq!(preview(json!({"source": "nobody", "payload": {}})).await.problem(404).0, "unknown-source");
    let large = json!({"source": "accredible", "payload": "x".repeat(400_000)});
    assert_eq!(preview(large).await.problem(413).0, "body-too-large");
}

#[tokio::test]
async fn a_table_that_does_not_answer_is_said_and_no_more() {
    for (error, status) in [
        (StoreError::Busy("secret words".into()), 503),
        (StoreError::Unavailable("secret words".into()), 503),
        (StoreError::Refused("secret words".into()), 500),
    ] {
        let world = World::on(Broken(error), Archive::memory());
        let reads = ROUTES.iter().filter(|route| route.function == "api" && route.scope.is_some());
        // These ask no table, or are asked with a body that is looked at first.
        let others = ["GET /mappings", "POST /mappings/preview", "GET /audit/checkpoints"];
        for route in reads.filter(|route| !others.contains(&route.key)) {
            let parameters = json!({"kind": "certificate", "source": "accredible", "id": "1"});
            let reply = world.ask(route.key, parameters, "", None).await;
            holds(route.key, &reply);
            assert_eq!(reply.0.status_code, status, "{}", route.key);
            assert!(!reply.0.body.contains("secret words"), "{}", reply.0.body);
            assert_eq!(reply.header("retry-after").is_some(), status == 503, "{}", route.key);
        }
    }
}
