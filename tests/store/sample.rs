//! Rows to write.

use aws_sdk_dynamodb::types::AttributeValue;
use certbridge_mapping::{
    Certificate, CertificateStatus, Event, EventKey, Kind, Operation, PlanVersion, Record, RecordKey, Version,
    digest::sha256_hex, event::Order,
};
use certbridge_sync::{
    AuditRow,
    audit::{Action, Actor, Cause, Change, Outcome},
    batches::{BatchId, BatchRequest, BatchRow, BatchStatus, Mode},
    poll::{PollMark, PollWalk},
    ports::Trail,
    row::{Claim, Commit, InboxRow, InboxState, Lease, RecordState, Reschedule, Settle},
};
use jiff::Timestamp;
use std::collections::HashMap;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// A second of the day on which the tests play.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + second).unwrap()
}

/// The same, with nine digits after the point.
pub(crate) fn precisely(second: i64) -> Timestamp {
    at(second) + jiff::SignedDuration::from_nanos(123_456_789)
}

pub(crate) fn event_key(id: &str) -> EventKey {
    EventKey { source: "accredible".into(), id: id.into() }
}

pub(crate) fn record_key(id: &str) -> RecordKey {
    RecordKey { kind: Kind::Certificate, source: "accredible".into(), id: id.parse().unwrap() }
}

/// A pending row, due at second 60.
pub(crate) fn row(id: &str) -> InboxRow {
    row_of(event_key(id), b"{}")
}

pub(crate) fn row_of(key: EventKey, body: &[u8]) -> InboxRow {
    InboxRow {
        event: Some(event(&key)),
        key,
        body: body.to_owned(),
        body_digest: sha256_hex(body),
        received_at: precisely(0),
        proven_by: "key-1".into(),
        state: InboxState::Pending,
        attempt: 0,
        unseen: 0,
        next_at: at(60),
        reason: None,
        must_push: false,
        settled_by: None,
        expires_at: None,
        replay: None,
        trace: None,
    }
}

pub(crate) fn event(key: &EventKey) -> Event {
    Event {
        key: key.clone(),
        event_type: "credential.updated".into(),
        record: record_key("10"),
        operation: Operation::Updated,
        time: precisely(-5),
        version: Some(version(Order::Time(precisely(-5)))),
        on_behalf_of: Some("Zoë".into()),
    }
}

pub(crate) fn version(at: Order) -> Version {
    Version { domain: "accredible/time".into(), at, rank: 2, digest: "d".repeat(64) }
}

pub(crate) fn reschedule(attempt: u32, second: i64) -> Reschedule {
    Reschedule {
        attempt,
        next_at: at(second),
        unseen: 2,
        reason: "sources/accredible: throttled".into(),
        must_push: true,
    }
}

pub(crate) fn lease(owner: &str, until: i64) -> Lease {
    Lease { owner: owner.into(), until: at(until) }
}

pub(crate) fn state(title: &str) -> RecordState {
    let certificate = Certificate {
        certificate_id: "10".into(),
        user_id: "u-1".into(),
        issue_date: "2026-01-31".parse().unwrap(),
        location_id: "l-1".into(),
        status: CertificateStatus::Issued,
        expiry_date: Some("2028-01-31".parse().unwrap()),
        title: Some(title.into()),
        group_name: None,
        recipient_name: Some("Zoë \u{1f980}".into()),
        recipient_email: None,
        url: None,
    };
    RecordState {
        record: Record::Certificate(certificate),
        version: Some(version(Order::Revision(u64::MAX))),
        fingerprint: "f".repeat(64),
        plan: PlanVersion::from("0123456789abcdef".to_owned()),
        synced_at: precisely(2),
    }
}

/// The audit row that follows a claim.
pub(crate) fn audit(claim: &Claim) -> AuditRow {
    audit_saying(claim, "Rust")
}

pub(crate) fn audit_saying(claim: &Claim, title: &str) -> AuditRow {
    let mut row = AuditRow {
        record: claim.row.key.to_string(),
        sequence: claim.row.audit.sequence + 1,
        fence: claim.fence,
        time: precisely(3),
        actor: Actor::Source { name: "accredible".into(), key_id: "key-1".into(), on_behalf_of: None },
        cause: Cause::Event { id: "accredible#e".into(), event_type: "credential.updated".into(), attempt: 1 },
        action: Action::Pushed,
        outcome: Outcome::Synced,
        changes: vec![Change { field: "title".into(), before: serde_json::Value::Null, after: title.into() }],
        plan: PlanVersion::from("0123456789abcdef".to_owned()),
        destination_request_id: Some("r-1".into()),
        previous_hash: claim.row.audit.hash.clone(),
        hash: String::new(),
    };
    row.hash = row.expected_hash();
    row
}

pub(crate) fn commit<'a>(
    claim: &'a Claim,
    state: Option<&'a RecordState>,
    audit: &'a AuditRow,
    settle: Option<Settle<'a>>,
) -> Commit<'a> {
    Commit {
        claim,
        state,
        husk: None,
        hold: false,
        fetched_at: state.map(|_| precisely(1)),
        salt: "salt",
        audit,
        settle,
    }
}

pub(crate) fn settle(key: &EventKey, attempt: u32) -> Option<Settle<'_>> {
    Some(Settle { key, attempt, must_push: false, outcome: "synced", expires_at: Some(at(86_400)) })
}

pub(crate) fn batch_id(id: &str) -> BatchId {
    id.parse().unwrap()
}

/// A batch that was asked for at second 0.
pub(crate) fn batch(id: &str) -> BatchRow {
    BatchRow {
        id: batch_id(id),
        request: BatchRequest {
            mode: Mode::Reconcile,
            source: "accredible".into(),
            kind: certbridge_mapping::Kind::Certificate,
            dry_run: false,
            force: false,
            actor: Actor::Reconciliation,
        },
        request_digest: sha256_hex(id.as_bytes()),
        requested_at: at(0),
        status: BatchStatus::Queued,
        execution: None,
        finished_at: None,
        summary: None,
        error: None,
    }
}

/// The mark of a poll that is under way.
pub(crate) fn poll_mark(revision: u64, poll: &str) -> PollMark {
    let mut trail = Trail::default();
    assert!(trail.step("page \u{1f980} 1"));
    let walk = PollWalk {
        since: "2026-05-28".parse().unwrap(),
        began_at: precisely(0),
        cursor: Some("c".repeat(4096)),
        cursor_at: precisely(1),
        trail,
        latest: Some(precisely(-60)),
        restarts: 2,
    };
    PollMark {
        revision,
        poll: poll.to_owned(),
        watermark: precisely(-3600),
        walked_at: Some(precisely(-300)),
        walk: Some(walk),
    }
}
