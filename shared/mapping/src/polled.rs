//! The event of an item that a poll found changed.
//!
//! Parsing a delivery takes proof, since anybody can deliver. An item of a listing is another matter: we asked for it
//! ourselves, at the address that the definition names and with our own key, as we do for every record that is fetched.
//! So this door needs no [`Verified`](crate::Verified), and it takes nothing that came from a sender: only what
//! [`Plan::listed`] read, and of that no more than which record changed, and when. What the record holds now is fetched.

use crate::{
    definition::{Content, ListedRules},
    digest::{canonical_json, sha256_of_parts},
    event::{Event, EventKey, Operation},
    plan::Plan,
    record::{Kind, RecordId, RecordKey},
};
use jiff::Timestamp;
use serde_json::json;

/// The type of the events that polls make.
pub const EVENT_TYPE: &str = "polled";

/// An event of our own making, and the bytes that stand for a delivery's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolledEvent {
    /// The event: a hint, since a listing has not everything that a fetch has.
    pub event: Event,
    /// A small JSON that names record and time. It holds nothing else of the record, and nothing of a person.
    pub body: Vec<u8>,
}

impl Plan {
    /// The kinds whose changes are found by polling.
    pub fn polled_kinds(&self) -> impl Iterator<Item = Kind> {
        self.source().records.keys().copied().filter(|kind| self.polls(*kind))
    }

    /// Whether changes of a kind are found by polling.
    pub fn polls(&self, kind: Kind) -> bool {
        let rules = self.source().records.get(&kind).filter(|rules| rules.content == Content::Fetched);
        rules.and_then(|rules| rules.listed.as_ref()).is_some_and(|ListedRules { poll, .. }| *poll)
    }

    /// The event that a record changed at this time, as a listing of the source says. The same record and time are the
    /// same event for ever, byte by byte, however often they are found.
    pub fn polled(&self, kind: Kind, id: &RecordId, changed_at: Timestamp) -> PolledEvent {
        let source = &self.source().name;
        let (kind_text, time) = (kind.to_string(), changed_at.to_string());
        let parts = [EVENT_TYPE, kind_text.as_str(), id.as_str(), time.as_str()];
        let body = json!({ "event_type": EVENT_TYPE, "kind": kind_text, "record_id": id, "changed_at": time });
        let event = Event {
            key: EventKey { source: source.clone(), id: sha256_of_parts(parts.map(str::as_bytes)) },
            event_type: EVENT_TYPE.to_owned(),
            record: RecordKey { kind, source: source.clone(), id: id.clone() },
            operation: Operation::Updated,
            time: changed_at,
            version: None,
            on_behalf_of: None,
        };
        PolledEvent { event, body: canonical_json(&body).into_bytes() }
    }
}
