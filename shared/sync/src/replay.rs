//! Running an event again, on somebody's account.
//!
//! The row is pending again, as a new attempt that pushes the record's newest state whatever the destination was told
//! before. A worker that is still at an earlier attempt finds that the event has moved on.

use crate::{
    error::StoreError,
    ports::{Inbox, RetryQueue},
    row::{InboxRow, InboxState, Pointer},
};
use certbridge_mapping::{Definitions, Event, EventKey, Problems, Reading};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{future::Future, time::Duration};

/// Who had an event run again, and as which attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The owner of the key that asked for it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Where attempts count from since: one above the last one before. The pauses between tries begin anew.
    pub attempt: u32,
}

/// How a row is opened again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reopening {
    /// What it says, as it is read now.
    pub event: Event,
    /// Who wants it, when, and the number of the attempt.
    pub replay: Replay,
}

/// Rows that may be opened again.
pub trait Replays: Send + Sync {
    /// Makes a row pending again, from whatever state it was seen in. `false` if it has moved on since.
    fn reopen(&self, seen: &InboxRow, to: &Reopening) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// Why an event is not run again.
#[derive(Debug, thiserror::Error)]
pub enum NotReplayed {
    /// There is no such event, or it is no longer kept.
    #[error("there is no such event")]
    Unknown,
    /// No definition of its source is in force.
    #[error("no definition of its source is in force")]
    NoDefinition,
    /// It cannot be read, still.
    #[error("unreadable: {0}")]
    Unreadable(Problems),
    /// What it said was erased.
    #[error("what it said was erased")]
    Erased,
    /// Its type is not synced.
    #[error("its type is not synced")]
    Ignored,
    /// It moved on while it was looked at.
    #[error("the event has moved on")]
    Moved,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs an event again.
///
/// What could not be read when it came is read again, by the definition that is in force now. Where the pointer to it
/// cannot be sent, the sweep finds it.
///
/// # Errors
/// [`NotReplayed`], and then nothing was changed.
pub async fn replay<S: Inbox + Replays, Q: RetryQueue>(
    store: &S,
    queue: &Q,
    definitions: &Definitions,
    key: &EventKey,
    by: &str,
    now: Timestamp,
) -> Result<InboxRow, NotReplayed> {
    let seen = store.get(key).await?.ok_or(NotReplayed::Unknown)?;
    let source = definitions.source(&key.source).ok_or(NotReplayed::NoDefinition)?;
    let event = match &seen.event {
        // A delivery that could be read had a body.
        Some(_) if seen.body.is_empty() => return Err(NotReplayed::Erased),
        Some(event) => event.clone(),
        None => match source.read_again(&seen.body).map_err(NotReplayed::Unreadable)? {
            Reading::Event(event) => *event,
            Reading::Ignored { .. } => return Err(NotReplayed::Ignored),
        },
    };
    let replay = Replay { by: by.to_owned(), at: now, attempt: seen.attempt + 1 };
    let to = Reopening { event, replay };
    if !store.reopen(&seen, &to).await? {
        return Err(NotReplayed::Moved);
    }
    if let Err(error) = queue.send(&[(Pointer::Event(key.clone()), Duration::ZERO)]).await {
        tracing::warn!(%error, "a pointer could not be sent");
    }
    Ok(reopened(&seen, &to))
}

/// The row as it stands once it is open again.
pub(crate) fn reopened(seen: &InboxRow, to: &Reopening) -> InboxRow {
    InboxRow {
        event: Some(to.event.clone()),
        state: InboxState::Pending,
        attempt: to.replay.attempt,
        unseen: 0,
        next_at: to.replay.at,
        reason: None,
        must_push: true,
        settled_by: None,
        expires_at: None,
        replay: Some(to.replay.clone()),
        ..seen.clone()
    }
}
