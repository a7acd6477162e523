//! Accredit: its attempts, its one documented event, and the two ways in which its bodies are written.

use super::ground::{Ground, Held, Sender, door};
use crate::{
    breaker::Clock,
    gateway::{answer, told},
    webhook_function::Failing,
};
use certbridge_sandbox::accredit::{badge_export, certificate};
use certbridge_sync::{StoreError, row::InboxState};
use serde_json::{Value, json};

const AT: &str = "2026-02-01T10:00:00.248Z";

fn issued(id: &str) -> Value {
    certificate("Certificate.Created", AT, id, "loc_london")
}

/// The same body with keys in camelCase.
fn camel(body: &Value) -> Value {
    let small = |name: &str| format!("{}{}", name[..1].to_lowercase(), &name[1..]);
    body.as_object().unwrap().iter().map(|(name, value)| (small(name), value.clone())).collect()
}

#[tokio::test]
async fn the_attempts_of_one_job_are_one_event() {
    let ground = Ground::start([]).await;
    let sender = ground.sender("accredit");
    let mut answers = Vec::new();
    for attempt in 0..=5 {
        let event = sender.event(issued("1").to_string(), ground.now());
        answers.push(ground.post(&event.header("X-JobAttempt", &attempt.to_string())).await);
    }
    let statuses: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [202, 200, 200, 200, 200, 200]);
    assert!(answers.iter().all(|(_, answer)| answer["event_id"] == answers[0].1["event_id"]), "{answers:?}");
    assert_eq!(ground.world.store.inbox_rows().len(), 1);
}

#[tokio::test]
async fn another_body_under_the_same_job_is_another_event() {
    let ground = Ground::start([]).await;
    let sender = ground.sender("accredit");
    // Nothing proves the job's id, so it hides no event of which something else is said.
    let (one, other) = (ground.sync(&sender, &issued("1")).await, ground.sync(&sender, &issued("2")).await);
    assert_ne!(one.key, other.key);
    assert_eq!((one.state, other.state), (InboxState::Settled, InboxState::Settled));
    for id in ["1", "2"] {
        assert!(ground.world.destination.certificate(id).is_some(), "{id}");
    }
    // And the same body under another job is another event, too: it may be that it happened twice.
    let event = sender.event(issued("1").to_string(), ground.now()).header("X-JobId", "job-2");
    let (status, answer) = ground.post(&event).await;
    assert_eq!(status, 202);
    assert_ne!(answer["event_id"], json!(one.key.id));
}

#[tokio::test]
async fn a_delivery_without_a_job_is_set_aside() {
    let ground = Ground::start([]).await;
    let sender = ground.sender("accredit");
    let event = sender.event(issued("1").to_string(), ground.now()).header("X-JobId", "");
    assert_eq!(ground.post(&event).await.0, 202);
    let rows = ground.world.store.inbox_rows();
    assert_eq!(rows[0].state, InboxState::Quarantined);
    assert!(rows[0].reason.as_ref().unwrap().contains("id: wanted"), "{rows:?}");
}

#[tokio::test]
async fn what_cannot_be_stored_is_asked_for_again_by_the_documented_status() {
    for error in [StoreError::Busy("b".into()), StoreError::Unavailable("u".into()), StoreError::Refused("r".into())] {
        let (secrets, clock) = (Held::default(), Clock::at(super::ground::NOW));
        let sender = Sender::new("accredit", 1);
        secrets.set("accredit", json!({"signing": sender.signing()}));
        let (app, _) = door(Failing(error), &secrets, &clock);
        let response =
            answer(&app, sender.event(issued("1").to_string(), super::ground::NOW.parse().unwrap()).v2()).await;
        assert_eq!(told(&response), (400, "unavailable".to_owned()));
    }
}

#[tokio::test]
async fn events_that_are_not_synced_are_acknowledged_and_counted() {
    let ground = Ground::start([]).await;
    let sender = ground.sender("accredit");
    let export = badge_export(AT, "3f2504e0-4f89-11d3-9a0c-0305e82c3301");
    let unknown = json!({"Event": "Visitor.CheckedIn", "Timestamp": AT});
    for body in [&export, &camel(&export), &unknown, &camel(&unknown)] {
        let (status, answer) = ground.post(&sender.event(body.to_string(), ground.now())).await;
        assert_eq!((status, &answer["status"]), (200, &json!("ignored")));
    }
    assert_eq!(ground.times("Ignored", "accredit"), 4);
    assert!(ground.world.store.inbox_rows().is_empty());
}

#[tokio::test]
async fn either_case_says_the_same() {
    let ground = Ground::start([]).await;
    let sender = ground.sender("accredit");
    let mut told = Vec::new();
    for (id, body) in [("1", issued("1")), ("2", camel(&issued("2")))] {
        let row = ground.sync(&sender, &body).await;
        assert_eq!((row.state, row.reason.as_deref()), (InboxState::Settled, Some("synced")));
        let certificate = ground.world.destination.certificate(id).unwrap().to_string();
        told.push(certificate.replace(&format!("\"{id}\""), "\"id\"").replace(&format!("person-{id}"), "person"));
        let trail = ground.trail(&format!("certificate#accredit#{id}")).await;
        assert!(serde_json::to_string(&trail).unwrap().contains("tenant-1"), "on whose behalf");
    }
    assert_eq!(told[0], told[1]);
    assert!(told[0].contains("Example Person"), "{}", told[0]);
}
