//! Which notice a row gives, held to the JSON Schema that listeners read.

use crate::rows::{PERSONAL, at, audit, by_event, by_source, inbox, synced, unreadable};
use certbridge_sync::{
    notice::{BatchData, Data, Notice},
    reconcile::Verdict,
    row::InboxState,
};
use jsonschema::Validator;
use serde_json::{Value, json};

fn schema() -> Validator {
    let text = include_str!("../../docs/notifications.schema.json");
    jsonschema::options().should_validate_formats(true).build(&serde_json::from_str(text).unwrap()).unwrap()
}

const KINDS: [&str; 4] = ["certificate", "location", "customer", "invoice"];
const OUTCOMES: [&str; 6] = ["synced", "unchanged", "superseded", "covered", "audited", "deleted"];

/// One of everything that can be told.
fn all() -> Vec<Notice> {
    let kinds = KINDS.iter().flat_map(|kind| OUTCOMES.iter().map(move |outcome| (*kind, *outcome)));
    let mut all: Vec<_> = kinds
        .map(|(kind, outcome)| Notice::of_audit(&audit(kind, 3, outcome, by_source(), by_event())).unwrap())
        .collect();
    for (actor, cause) in [
        (json!({"type": "caller", "owner": "Jordan"}), json!({"type": "request", "id": "r-1"})),
        (json!({"type": "recovery"}), json!({"type": "recovery", "id": "r-2"})),
        (json!({"type": "reconciliation"}), json!({"type": "batch", "id": "b-1"})),
    ] {
        all.push(Notice::of_audit(&audit("customer", 1, "synced", actor, cause)).unwrap());
    }
    for reason in [
        Some(unreadable()),
        Some("conflict: Jordan".to_owned()),
        Some("unmappable: Jordan".to_owned()),
        Some("rejected: jor@example.com".to_owned()),
        Some("the source has no such record".to_owned()),
        Some("Jordan".to_owned()),
        None,
    ] {
        all.push(Notice::of_inbox(&inbox(InboxState::Quarantined, reason), at()).unwrap());
    }
    all.push(Notice::of_inbox(&inbox(InboxState::Failed, Some("Jordan".to_owned())), at()).unwrap());
    for verdict in [Verdict::Clean, Verdict::Repaired, Verdict::NeedsPerson, Verdict::Failed] {
        let records = (verdict != Verdict::Failed).then_some(10);
        let data = BatchData { batch_id: "b-1".parse().unwrap(), verdict, records, repaired: records };
        all.push(Notice::of_batch(data, at()));
    }
    all.push(all[0].clone().again());
    all
}

#[test]
fn an_audit_row_tells_what_happened_and_no_value() {
    let row = synced(3);
    let told = serde_json::to_value(Notice::of_audit(&row).unwrap()).unwrap();
    assert_eq!(
        told,
        json!({
            "specversion": "1.0",
            "id": "certificate#accredible#100#3",
            "source": "certbridge",
            "type": "certificate.synced",
            "time": "2026-03-01T12:00:01Z",
            "subject": "certificate/accredible/100",
            "datacontenttype": "application/json",
            "dataschema": "urn:certbridge:notification:1",
            "data": {
                "record": {"kind": "certificate", "source": "accredible", "id": "100"},
                "sequence": 3,
                "hash": row.hash,
                "outcome": "synced",
                "action": "pushed",
                "changed": ["recipient_name", "title"],
                "actor": "source",
                "cause": {"type": "event", "id": "accredible#e-1"},
                "plan": "0123456789abcdef",
            },
        })
    );
}

#[test]
fn an_event_that_was_set_aside_tells_why_in_a_word() {
    let row = inbox(InboxState::Quarantined, Some(unreadable()));
    let told = serde_json::to_value(Notice::of_inbox(&row, at()).unwrap()).unwrap();
    assert_eq!(
        (&told["id"], &told["type"], &told["subject"]),
        (&json!("accredible#e-1#2#quarantined"), &json!("record.quarantined"), &json!("event/accredible/e-1"))
    );
    let event = json!({"source": "accredible", "id": "e-1"});
    assert_eq!(
        told["data"],
        json!({"event": event, "record": null, "state": "quarantined", "reason": "unreadable", "attempt": 2})
    );
    let failed = Notice::of_inbox(&inbox(InboxState::Failed, None), at()).unwrap();
    assert_eq!((failed.notice_type.as_str(), failed.id.as_str()), ("event.failed", "accredible#e-1#2#failed"));
}

#[test]
fn what_is_pending_or_settled_tells_nothing() {
    for state in [InboxState::Pending, InboxState::Settled] {
        assert_eq!(Notice::of_inbox(&inbox(state, None), at()), None);
    }
}

#[test]
fn the_same_row_gives_the_same_notice() {
    assert_eq!(Notice::of_audit(&synced(3)), Notice::of_audit(&synced(3)));
    let (first, again) = (Notice::of_audit(&synced(3)).unwrap(), Notice::of_audit(&synced(3)).unwrap().again());
    assert_eq!((first.id.as_str(), first.delivery_id()), (again.id.as_str(), again.delivery_id()));
    assert!(again.replay && !first.replay);
    assert_ne!(first.delivery_id(), Notice::of_audit(&synced(4)).unwrap().delivery_id());
}

#[test]
fn every_notice_is_as_the_schema_says_and_comes_back_as_it_was() {
    let schema = schema();
    for notice in all() {
        let told = serde_json::to_value(&notice).unwrap();
        let faults: Vec<_> = schema.iter_errors(&told).map(|error| error.to_string()).collect();
        assert!(faults.is_empty(), "{told}: {faults:?}");
        assert_eq!(serde_json::from_value::<Notice>(told).unwrap(), notice);
    }
}

#[test]
fn the_schema_lets_nothing_else_through() {
    let schema = schema();
    let told = || serde_json::to_value(Notice::of_audit(&synced(3)).unwrap()).unwrap();
    assert!(schema.is_valid(&told()));
    let edits: [fn(&mut Value); 6] = [
        |told| told["type"] = json!("certificate.lost"),
        |told| told["type"] = json!("batch.completed"),
        |told| told["data"]["recipient_name"] = json!("Jordan"),
        |told| told["data"]["hash"] = json!("x"),
        |told| told["dataschema"] = json!("urn:certbridge:notification:2"),
        |told| drop(told.as_object_mut().unwrap().remove("id")),
    ];
    for edit in edits {
        let mut told = told();
        edit(&mut told);
        assert!(!schema.is_valid(&told), "{told}");
    }
}

#[test]
fn nothing_personal_is_told() {
    for notice in all() {
        let text = serde_json::to_string(&notice).unwrap();
        for value in PERSONAL {
            assert!(!text.contains(value), "{value} in {text}");
        }
        assert!(!matches!(notice.data, Data::Record(_)) || text.contains("recipient_name"), "the field's name is told");
    }
}
