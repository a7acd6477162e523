//! What a destination calls our records, where it gives ids of its own and takes none of ours.
//!
//! An id is noted after what it names was made, so a crash in between leaves something that nobody knows. Two things keep
//! it from being made twice: it is looked for at the destination before anything is made, and since a search may be
//! behind, that something is about to be made is noted first. While such a note is young, what is not found is waited for.

use crate::error::StoreError;
use certbridge_mapping::RecordKey;
use jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, future::Future};

/// For how long a search at the destination may not show what was made. What is documented are "a few seconds".
pub const VISIBLE_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// What is known of one thing that a destination has, or may have, for a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationId {
    /// It was about to be made at this time. Whether it was, nobody knows.
    Begun {
        /// When, by our clock.
        at: Timestamp,
    },
    /// It is there, under this id.
    Known(String),
}

/// All that is known of a record, by role: a record may be a contact, an object and a relation there.
pub type DestinationIds = BTreeMap<String, DestinationId>;

/// The map from our records to a destination's ids.
pub trait IdMap: Send + Sync {
    /// All that is known of a record, read consistently.
    fn ids(&self, key: &RecordKey) -> impl Future<Output = Result<DestinationIds, StoreError>> + Send;

    /// Notes that something is about to be made, if no id is known, or this `stale` one, of which it is known that it is
    /// gone. Gives the id that somebody else has noted instead, if somebody has.
    fn begin_id(
        &self,
        key: &RecordKey,
        role: &str,
        stale: Option<&str>,
        at: Timestamp,
    ) -> impl Future<Output = Result<Option<String>, StoreError>> + Send;

    /// Notes an id, if none is known, or this very one, or the `stale` one. Gives the id that stands there then: if it is
    /// another, somebody else was faster. May be repeated.
    fn set_id(
        &self,
        key: &RecordKey,
        role: &str,
        id: &str,
        stale: Option<&str>,
    ) -> impl Future<Output = Result<String, StoreError>> + Send;
}

impl DestinationId {
    /// The id, if it is known.
    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(id) => Some(id),
            Self::Begun { .. } => None,
        }
    }

    /// Until when it is waited for, if it may have been made and not be shown yet.
    pub fn awaited_until(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Begun { at } => Some(*at + VISIBLE_AFTER).filter(|until| now < *until),
            Self::Known(_) => None,
        }
    }
}
