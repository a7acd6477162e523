//! Certifylize: events that carry their state, in every order; and those that are only hints.

use super::ground::{Ground, Sender};
use crate::breaker::KEY;
use certbridge_sandbox::{self as sandbox, Certifylize, certifylize};
use certbridge_sync::{
    audit::{Action, Outcome},
    row::InboxState,
};
use serde_json::{Value, json};

const AT: &str = "2026-02-01T10:00:00.677Z";

/// All orders of these.
fn orders(items: &[usize]) -> Vec<Vec<usize>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in items.iter().enumerate() {
        let rest: Vec<_> = items.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, item)| *item).collect();
        all.extend(orders(&rest).into_iter().map(|mut order| {
            order.insert(0, *first);
            order
        }));
    }
    all
}

/// What the order of events goes by.
#[derive(Debug, Clone, Copy)]
enum By {
    Revision,
    Time,
}

/// The n-th state of a credential, from 1 on.
fn state(id: &str, kind: &str, number: usize, by: By) -> Value {
    let mut data = certifylize::credential(id, "loc_london");
    data["title"] = format!("State {number}").into();
    let created_at = match by {
        By::Revision => {
            data["revision"] = number.into();
            // By the clock they happened the other way round.
            format!("2026-02-01T10:00:0{}Z", 9 - number)
        }
        By::Time => {
            data.as_object_mut().unwrap().remove("revision");
            format!("2026-02-01T10:00:00.00{number}Z")
        }
    };
    certifylize::event(&format!("evt_{id}_{number}_{kind}"), kind, &created_at, Some(&data))
}

/// Delivers the states of one credential in this order, each new one pushed and each late one left alone.
async fn assert_newest_wins(
    ground: &Ground,
    sender: &Sender,
    id: &str,
    states: &[Value],
    order: &[usize],
    ranks: &[u32],
) {
    let mut newest = None;
    let mut wanted = Vec::new();
    for at in order {
        let row = ground.sync(sender, &states[*at]).await;
        assert_eq!(row.state, InboxState::Settled, "{order:?}: {:?}", row.reason);
        let is_newer = newest.is_none_or(|newest| ranks[*at] > newest);
        if is_newer {
            newest = Some(ranks[*at]);
        }
        wanted.push(match is_newer {
            true => (Outcome::Synced, Action::Pushed),
            false => (Outcome::Superseded, Action::None),
        });
    }
    let told: Vec<_> = ground
        .trail(&format!("certificate#certifylize#{id}"))
        .await
        .iter()
        .map(|row| (row.outcome, row.action))
        .collect();
    assert_eq!(told, wanted, "{order:?}");
}

fn assert_shown(ground: &Ground, id: &str, title: &str, status: &str, order: &[usize]) {
    let shown = ground.world.destination.certificate(id).unwrap();
    assert_eq!((&shown["title"], &shown["status"]), (&json!(title), &json!(status)), "{order:?}");
}

#[tokio::test]
async fn in_every_order_the_newest_state_stays() {
    for by in [By::Revision, By::Time] {
        let ground = Ground::start([]).await;
        let sender = ground.sender("certifylize");
        let all = orders(&[0, 1, 2, 3, 4]);
        assert_eq!(all.len(), 120);
        for (number, order) in all.iter().enumerate() {
            let id = format!("c{number}");
            let kind = |number| if number == 1 { "edu.credential.issued" } else { "edu.credential.updated" };
            let states: Vec<_> = (1..=5).map(|number| state(&id, kind(number), number, by)).collect();
            assert_newest_wins(&ground, &sender, &id, &states, order, &[1, 2, 3, 4, 5]).await;
            assert_shown(&ground, &id, "State 5", "issued", order);
        }
    }
}

#[tokio::test]
async fn in_every_order_a_revoked_credential_stays_revoked() {
    for by in [By::Revision, By::Time] {
        let ground = Ground::start([]).await;
        let sender = ground.sender("certifylize");
        for (number, order) in orders(&[0, 1, 2, 3, 4]).iter().enumerate() {
            let id = format!("c{number}");
            // What its last event carries need not say that it is revoked, nor be newer than the last change.
            let kinds =
                ["issued", "updated", "updated", "updated", "revoked"].map(|kind| format!("edu.credential.{kind}"));
            let numbers = [1, 2, 3, 4, if number % 2 == 0 { 4 } else { 5 }];
            let states: Vec<_> = kinds.iter().zip(numbers).map(|(kind, number)| state(&id, kind, number, by)).collect();
            assert_newest_wins(&ground, &sender, &id, &states, order, &[1, 2, 3, 4, 5]).await;
            assert_shown(&ground, &id, &format!("State {}", numbers[4]), "revoked", order);
        }
    }
}

/// An event that says of which credential it speaks, and nothing of it.
fn hint(number: usize, kind: &str, created_at: &str) -> Value {
    certifylize::event(&format!("evt_hint_{number}"), kind, created_at, Some(&json!({"id": "1"})))
}

/// Certifylize, and a bundle that knows its address.
async fn with_address() -> (Certifylize, Ground, Sender) {
    let options = sandbox::Options { api_key: KEY.to_owned(), ..sandbox::Options::default() };
    let certifylize = Certifylize::start(options).await.unwrap();
    let ground = Ground::start([("CERTIFYLIZE_URL", certifylize.url())]).await;
    let sender = ground.sender("certifylize");
    (certifylize, ground, sender)
}

#[tokio::test]
async fn an_event_without_its_data_is_fetched_where_there_is_an_address() {
    let (certifylize, ground, sender) = with_address().await;
    certifylize.put("1", &json!({"title": "Fetched", "revision": 3, "updatedAt": AT}));
    // The event came to be a moment after what it tells of: that is no older state.
    let row = ground.sync(&sender, &hint(1, "edu.credential.issued", "2026-02-01T10:00:01.2Z")).await;
    assert_eq!((row.state, row.attempt, row.reason.as_deref()), (InboxState::Settled, 0, Some("synced")));
    assert_shown(&ground, "1", "Fetched", "issued", &[]);
    let asked: Vec<_> = certifylize.server().requests().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["/v1/credentials/1"]);
}

#[tokio::test]
async fn an_event_without_its_data_is_set_aside_where_there_is_none() {
    let ground = Ground::start([]).await;
    let sender = ground.sender("certifylize");
    let row = ground.sync(&sender, &hint(1, "edu.credential.issued", AT)).await;
    assert_eq!(row.state, InboxState::Quarantined);
    let reason = row.reason.unwrap();
    assert!(reason.contains("not resolvable") && reason.contains("CERTIFYLIZE_URL"), "{reason}");
}

/// Of three hints the source shows one and the same state. Whether it shows the revocation, too, is not documented.
#[tokio::test]
async fn hints_in_every_order_end_as_revoked() {
    for shown in [json!("revoked"), json!(null)] {
        let (certifylize, ground, sender) = with_address().await;
        let kinds = ["issued", "updated", "revoked"].map(|kind| format!("edu.credential.{kind}"));
        for (number, order) in orders(&[0, 1, 2]).iter().enumerate() {
            let id = format!("c{number}");
            certifylize.put(&id, &json!({"status": shown, "updatedAt": AT}));
            for at in order {
                let event = format!("evt_{id}_{at}");
                let body = certifylize::event(&event, &kinds[*at], AT, Some(&json!({"id": id})));
                let row = ground.sync(&sender, &body).await;
                assert_eq!(row.state, InboxState::Settled, "{order:?}: {:?}", row.reason);
            }
            assert_shown(&ground, &id, "Example Certificate", "revoked", order);
        }
    }
}

#[tokio::test]
async fn an_event_that_names_nothing_to_fetch_is_set_aside() {
    let (certifylize, ground, sender) = with_address().await;
    // The documented sample, word for word.
    let sample = json!({"id": "evt_1", "type": "edu.credential.issued", "createdAt": "2026-02-21T21:30:46.677Z"});
    for body in [&sample, &certifylize::event("evt_2", "edu.credential.updated", AT, Some(&json!({"title": "x"})))] {
        let row = ground.sync(&sender, body).await;
        assert_eq!(row.state, InboxState::Quarantined);
        let reason = row.reason.unwrap();
        assert!(reason.contains("record_id") && reason.contains("nothing to fetch"), "{reason}");
    }
    assert!(certifylize.server().requests().is_empty());
}

#[tokio::test]
async fn a_late_payload_never_goes_over_what_a_fetch_showed() {
    for by in [By::Revision, By::Time] {
        let (certifylize, ground, sender) = with_address().await;
        let updated = |number| state("1", "edu.credential.updated", number, by);
        let at = "2026-02-01T10:00:00.003Z";
        // What was fetched counts as its source does: by revision, or else by the time of the change.
        let revision = if matches!(by, By::Revision) { json!(3) } else { json!("none") };
        certifylize.put("1", &json!({"title": "Fetched", "updatedAt": at}));
        certifylize.put("1", &json!({"revision": revision, "updatedAt": at}));
        let mut outcomes = vec![ground.sync(&sender, &hint(1, "edu.credential.updated", at)).await.reason.unwrap()];
        for number in [2, 1] {
            outcomes.push(ground.sync(&sender, &updated(number)).await.reason.unwrap());
            assert_shown(&ground, "1", "Fetched", "issued", &[]);
        }
        outcomes.push(ground.sync(&sender, &updated(4)).await.reason.unwrap());
        assert_shown(&ground, "1", "State 4", "issued", &[]);
        assert_eq!(outcomes, ["synced", "superseded", "superseded", "synced"], "{by:?}");
    }
}
