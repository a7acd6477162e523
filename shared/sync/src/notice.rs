//! What is told of what happened, for whoever listens downstream: `CloudEvents` that name records, fields and outcomes, and
//! hold no value of any field. `docs/notifications.schema.json` describes them.
//!
//! A notice is made of a row that is on record already: of an audit row, of an inbox row that was set aside, of a batch
//! that is over. The same row gives the same notice with the same id, so a repetition can be dropped, and one that was
//! lost can be made again.

use crate::{
    audit::{Action, Actor, AuditRow, Cause, Outcome},
    batches::BatchId,
    reconcile::Verdict,
    row::{InboxRow, InboxState},
};
use certbridge_mapping::{EventKey, PlanVersion, RecordKey, digest::sha256_of_parts};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::future::Future;

/// Who speaks, in every notice.
pub const SOURCE: &str = "certbridge";
/// What describes a notice. Members may be added under it; what is taken away or changed gets a new number.
pub const SCHEMA: &str = "urn:certbridge:notification:1";
/// An inbox row was quarantined.
pub const QUARANTINED: &str = "record.quarantined";
/// An event was tried for five days, and is tried no more.
pub const FAILED: &str = "event.failed";
/// A batch is over, however it came out.
pub const BATCH_COMPLETED: &str = "batch.completed";

/// One notice: a `CloudEvent` in its structured form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The version of `CloudEvents`.
    pub specversion: String,
    /// Its identity: `{record}#{sequence}`, `{event}#{attempt}#{state}` or `batch#{id}`.
    pub id: String,
    /// [`SOURCE`].
    pub source: String,
    /// What happened: `{kind}.{outcome}`, [`QUARANTINED`], [`FAILED`] or [`BATCH_COMPLETED`].
    #[serde(rename = "type")]
    pub notice_type: String,
    /// When, by our clock.
    pub time: Timestamp,
    /// What it happened to, as a path.
    pub subject: String,
    /// What `data` is written in.
    pub datacontenttype: String,
    /// [`SCHEMA`].
    pub dataschema: String,
    /// Whether somebody had it told again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
    /// What there is to know.
    pub data: Data,
}

/// What there is to know of what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Data {
    /// An attempt that reached a record was settled.
    Record(RecordData),
    /// An event was set aside.
    Event(EventData),
    /// A batch is over.
    Batch(BatchData),
}

/// An audit row, without a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordData {
    /// The record.
    pub record: RecordKey,
    /// The row's place in the record's chain: what is newer has a greater one.
    pub sequence: u64,
    /// The row's hash.
    pub hash: String,
    /// How it came out.
    pub outcome: Outcome,
    /// Whether the destination was told.
    pub action: Action,
    /// The names of the fields that changed.
    pub changed: Vec<String>,
    /// What sort of actor it was. Not who: that may be a person's name.
    pub actor: String,
    /// What caused it.
    pub cause: CauseData,
    /// The plan that it was mapped by.
    pub plan: PlanVersion,
}

/// What caused an audit row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseData {
    /// What sort of cause.
    #[serde(rename = "type")]
    pub cause_type: String,
    /// Its id.
    pub id: String,
}

/// An inbox row that a person must look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventData {
    /// The event.
    pub event: EventKey,
    /// The record that it speaks of, if that could be read.
    pub record: Option<RecordKey>,
    /// Where it stands.
    pub state: InboxState,
    /// Why, in a word.
    pub reason: Reason,
    /// How many attempts have failed.
    pub attempt: u32,
}

/// Why an event was set aside. The row's own text names fields, statuses and codes of providers; what is told to others is
/// one of these words, so that no payload can speak through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The delivery cannot be read.
    Unreadable,
    /// It repeats the id of another event, with other bytes.
    Conflict,
    /// The record cannot be mapped.
    Unmappable,
    /// A provider refuses this very request.
    Rejected,
    /// The source has no such record.
    NotFound,
    /// It was tried for as long as anything is.
    Exhausted,
    /// Something else: the row says what.
    Other,
}

/// A batch that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchData {
    /// The batch.
    pub batch_id: BatchId,
    /// How it came out.
    pub verdict: Verdict,
    /// How many records it looked at; `None` if it came to nothing.
    pub records: Option<u64>,
    /// How many of them it repaired; `None` if it came to nothing.
    pub repaired: Option<u64>,
}

impl Notice {
    /// What an audit row tells; `None` if its record cannot be read, which no row of ours gives.
    pub fn of_audit(row: &AuditRow) -> Option<Self> {
        let record: RecordKey = row.record.parse().ok()?;
        let id = format!("{}#{}", row.record, row.sequence);
        let notice_type = format!("{}.{}", record.kind, row.outcome.as_str());
        let subject = format!("{}/{}/{}", record.kind, record.source, record.id);
        let data = RecordData {
            record,
            sequence: row.sequence,
            hash: row.hash.clone(),
            outcome: row.outcome,
            action: row.action,
            changed: row.changes.iter().map(|change| change.field.clone()).collect(),
            actor: actor(&row.actor).to_owned(),
            cause: cause(&row.cause),
            plan: row.plan.clone(),
        };
        Some(Self::new(id, notice_type, row.time, subject, Data::Record(data)))
    }

    /// What an inbox row tells that was set aside at this time; `None` of any other row.
    pub fn of_inbox(row: &InboxRow, at: Timestamp) -> Option<Self> {
        let (notice_type, reason) = match row.state {
            InboxState::Quarantined => (QUARANTINED, Reason::read(row.reason.as_deref().unwrap_or_default())),
            InboxState::Failed => (FAILED, Reason::Exhausted),
            InboxState::Pending | InboxState::Settled => return None,
        };
        let id = format!("{}#{}#{}", row.key, row.attempt, row.state.as_str());
        let subject = format!("event/{}/{}", row.key.source, row.key.id);
        let data = EventData {
            event: row.key.clone(),
            record: row.event.as_ref().map(|event| event.record.clone()),
            state: row.state,
            reason,
            attempt: row.attempt,
        };
        Some(Self::new(id, notice_type.to_owned(), at, subject, Data::Event(data)))
    }

    /// What a batch tells that was over at this time.
    pub fn of_batch(data: BatchData, at: Timestamp) -> Self {
        let (id, subject) = (format!("batch#{}", data.batch_id), format!("batch/{}", data.batch_id));
        Self::new(id, BATCH_COMPLETED.to_owned(), at, subject, Data::Batch(data))
    }

    /// The same notice, told again.
    #[must_use]
    pub fn again(self) -> Self {
        Self { replay: true, ..self }
    }

    /// The id under which it is delivered, which any header can hold. The same one again for a replay: whoever had it
    /// drops it.
    pub fn delivery_id(&self) -> String {
        format!("msg_{}", &sha256_of_parts([self.source.as_bytes(), self.id.as_bytes()])[..32])
    }

    fn new(id: String, notice_type: String, time: Timestamp, subject: String, data: Data) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id,
            source: SOURCE.to_owned(),
            notice_type,
            time,
            subject,
            datacontenttype: "application/json".to_owned(),
            dataschema: SCHEMA.to_owned(),
            replay: false,
            data,
        }
    }
}

impl Reason {
    /// The word for a row's text, by how the text begins.
    fn read(text: &str) -> Self {
        let begins = [
            ("unreadable: ", Self::Unreadable),
            ("conflict: ", Self::Conflict),
            ("unmappable: ", Self::Unmappable),
            ("rejected: ", Self::Rejected),
            ("the source has no such record", Self::NotFound),
        ];
        begins.into_iter().find(|(begin, _)| text.starts_with(begin)).map_or(Self::Other, |(_, reason)| reason)
    }
}

fn actor(actor: &Actor) -> &'static str {
    match actor {
        Actor::Source { .. } => "source",
        Actor::Caller { .. } => "caller",
        Actor::Operator { .. } => "operator",
        Actor::Recovery => "recovery",
        Actor::Reconciliation => "reconciliation",
    }
}

fn cause(cause: &Cause) -> CauseData {
    let (cause_type, id) = match cause {
        Cause::Event { id, .. } => ("event", id),
        Cause::Request { id } => ("request", id),
        Cause::Recovery { id } => ("recovery", id),
        Cause::Batch { id } => ("batch", id),
        Cause::Command { name } => ("command", name),
    };
    CauseData { cause_type: cause_type.to_owned(), id: id.clone() }
}

/// Where notices go.
pub trait Bus: Send + Sync {
    /// Puts notices onto the bus, and returns the places of those that it did not take, in their order. Taken ones may
    /// come out more than once.
    fn put(&self, notices: &[Notice]) -> impl Future<Output = Vec<usize>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Failure;
    use certbridge_mapping::{Problem, Problems, Shape};

    /// The words are those that the rows hold.
    #[test]
    fn every_reason_of_a_quarantine_has_its_word() {
        use crate::accept::Quarantine;
        let problems = || Problems::one(Problem::new("email", Shape::String(7), "an address"));
        for (text, reason) in [
            (Quarantine::Unreadable(problems()).to_string(), Reason::Unreadable),
            (Quarantine::Conflict.to_string(), Reason::Conflict),
            (Failure::Unmappable(problems()).to_string(), Reason::Unmappable),
            (Failure::Rejected("x".to_owned()).to_string(), Reason::Rejected),
            (Failure::NotFound.to_string(), Reason::NotFound),
            (String::new(), Reason::Other),
        ] {
            assert_eq!(Reason::read(&text), reason, "{text}");
        }
    }
}
