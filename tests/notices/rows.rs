//! Rows to tell of, full of personal values.

use certbridge_mapping::{EventKey, Problem, Problems, Shape};
use certbridge_sync::{
    AuditRow,
    accept::Quarantine,
    row::{InboxRow, InboxState},
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What no notice may hold.
pub(crate) const PERSONAL: [&str; 4] = ["Jordan", "jor@example.com", "digest:", "On-Behalf"];

pub(crate) fn at() -> Timestamp {
    "2026-03-01T12:00:01Z".parse().unwrap()
}

/// An audit row of this kind of record, this place and this outcome.
pub(crate) fn audit(kind: &str, sequence: u64, outcome: &str, actor: Value, cause: Value) -> AuditRow {
    let mut row: AuditRow = serde_json::from_value(json!({
        "record": format!("{kind}#accredible#100"),
        "sequence": sequence,
        "fence": 7,
        "time": at(),
        "actor": actor,
        "cause": cause,
        "action": if outcome == "synced" { "pushed" } else { "none" },
        "outcome": outcome,
        "changes": [
            {"field": "recipient_name", "before": null, "after": "digest:Jordan"},
            {"field": "title", "before": "Jordan's", "after": "jor@example.com"},
        ],
        "plan": "0123456789abcdef",
        "destination_request_id": "Jordan",
        "previous_hash": "0".repeat(64),
        "hash": "",
    }))
    .unwrap();
    row.hash = row.expected_hash();
    row
}

pub(crate) fn by_source() -> Value {
    json!({"type": "source", "name": "accredible", "key_id": "k-1", "on_behalf_of": "On-Behalf"})
}

pub(crate) fn by_event() -> Value {
    json!({"type": "event", "id": "accredible#e-1", "event_type": "certificate_created", "attempt": 1})
}

pub(crate) fn synced(sequence: u64) -> AuditRow {
    audit("certificate", sequence, "synced", by_source(), by_event())
}

/// An inbox row in this state, which could not be read.
pub(crate) fn inbox(state: InboxState, reason: Option<String>) -> InboxRow {
    InboxRow {
        key: EventKey { source: "accredible".to_owned(), id: "e-1".to_owned() },
        body: b"{\"name\": \"Jordan\"}".to_vec(),
        body_digest: "0".repeat(64),
        received_at: at(),
        proven_by: "k-1".to_owned(),
        event: None,
        state,
        attempt: 2,
        unseen: 0,
        next_at: at(),
        reason,
        must_push: false,
        settled_by: None,
        expires_at: None,
        replay: None,
    }
}

pub(crate) fn unreadable() -> String {
    let problem = Problem::new("Jordan", Shape::String(15), "an address, not jor@example.com");
    Quarantine::Unreadable(Problems::one(problem)).to_string()
}
