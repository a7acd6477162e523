//! Accepting a delivery: one conditional put, which is both the dedup mark and the hand-off.

use crate::{
    error::StoreError,
    ports::{Inbox, Inserted},
    row::{InboxRow, InboxState},
    trace::Trace,
};
use certbridge_mapping::{Event, EventKey, Problems, Reading, Unreadable, Verified, digest::sha256_hex};
use jiff::{SignedDuration, Timestamp};

/// How long an accepted event is left to the stream before the sweep takes it for lost.
pub const SWEEP_GRACE: SignedDuration = SignedDuration::from_secs(60);

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// It is stored, and will be synced.
    Accepted {
        /// Its key.
        key: EventKey,
    },
    /// These very bytes are stored already.
    Duplicate {
        /// Their key.
        key: EventKey,
    },
    /// Its type is not synced. Nothing is stored.
    Ignored {
        /// The type, cut to 64 characters.
        event_type: String,
        /// Whether the definition names it.
        known: bool,
    },
    /// It is stored for a person to look at.
    Quarantined {
        /// Its key.
        key: EventKey,
        /// Why.
        why: Quarantine,
    },
}

/// Why a proven delivery is quarantined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Quarantine {
    /// It cannot be read.
    #[error("unreadable: {0}")]
    Unreadable(Problems),
    /// It repeats the id of another event with other bytes.
    #[error("conflict: the id of another event, with other bytes")]
    Conflict,
}

/// Stores what a proven delivery says. One write; two if it repeats an id with other bytes.
/// `trace` is the one that it was taken in.
pub async fn accept<I: Inbox>(
    inbox: &I,
    verified: &Verified<'_>,
    now: Timestamp,
    trace: Option<Trace>,
) -> Result<Acceptance, StoreError> {
    let read = match verified.read() {
        Ok(Reading::Ignored { event_type, known }) => return Ok(Acceptance::Ignored { event_type, known }),
        Ok(Reading::Event(event)) => Ok(*event),
        Err(unreadable) => Err(unreadable),
    };
    let row = row(verified, &read, now, trace);
    let key = row.key.clone();
    match inbox.insert(&row).await? {
        Inserted::Exists { body_digest } if body_digest == row.body_digest => Ok(Acceptance::Duplicate { key }),
        Inserted::Exists { .. } => set_apart(inbox, row).await,
        Inserted::New => Ok(match read {
            Ok(_) => Acceptance::Accepted { key },
            Err(Unreadable { problems, .. }) => Acceptance::Quarantined { key, why: Quarantine::Unreadable(problems) },
        }),
    }
}

fn row(verified: &Verified<'_>, read: &Result<Event, Unreadable>, now: Timestamp, trace: Option<Trace>) -> InboxRow {
    let (key, state, reason) = match read {
        Ok(event) => (&event.key, InboxState::Pending, None),
        Err(unreadable) => {
            let why = Quarantine::Unreadable(unreadable.problems.clone());
            (&unreadable.key, InboxState::Quarantined, Some(why.to_string()))
        }
    };
    InboxRow {
        key: key.clone(),
        body: verified.body().to_vec(),
        body_digest: sha256_hex(verified.body()),
        received_at: now,
        proven_by: verified.key_id().to_owned(),
        event: read.as_ref().ok().cloned(),
        state,
        attempt: 0,
        unseen: 0,
        next_at: now + SWEEP_GRACE,
        reason,
        must_push: false,
        settled_by: None,
        expires_at: None,
        replay: None,
        trace,
    }
}

/// Keeps a delivery that repeats an id with other bytes, beside the event that came first.
async fn set_apart<I: Inbox>(inbox: &I, row: InboxRow) -> Result<Acceptance, StoreError> {
    let why = Quarantine::Conflict;
    let key = row.key.conflicting(&row.body_digest);
    let row = InboxRow { key: key.clone(), state: InboxState::Quarantined, reason: Some(why.to_string()), ..row };
    Ok(match inbox.insert(&row).await? {
        Inserted::New => Acceptance::Quarantined { key, why },
        Inserted::Exists { .. } => Acceptance::Duplicate { key },
    })
}
