//! What stands in the inbox and the records table.

use crate::{replay::Replay, trace::Trace};
use certbridge_mapping::{Event, EventKey, PlanVersion, Record, RecordKey, Version, digest::sha256_hex};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The number of shards of each index.
pub const INDEX_SHARDS: u8 = 16;

/// The shard of an index that a key falls into.
pub(crate) fn index_shard(key: &str) -> u8 {
    let digest = sha256_hex(key.as_bytes());
    u8::from_str_radix(&digest[..2], 16).unwrap_or_default() % INDEX_SHARDS
}

/// An accepted delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxRow {
    /// Its identity.
    pub key: EventKey,
    /// The exact bytes that were proven, or those that a poll of ours made.
    pub body: Vec<u8>,
    /// Their SHA-256, in hex.
    pub body_digest: String,
    /// When it was received, by our clock.
    pub received_at: Timestamp,
    /// The id of the key that proved it, or [`PROVEN_BY`](crate::poll::PROVEN_BY) where a poll of ours found it.
    pub proven_by: String,
    /// What it says; `None` if it could not be read, and then it is quarantined.
    pub event: Option<Event>,
    /// Where it stands.
    pub state: InboxState,
    /// How many attempts have failed.
    pub attempt: u32,
    /// How many of them failed because the source did not show what the event speaks of.
    pub unseen: u32,
    /// While it is pending: when it is to be tried again if nobody has by then.
    pub next_at: Timestamp,
    /// Why it is not settled, or how it was.
    pub reason: Option<String>,
    /// Whether its next attempt pushes whatever versions and fingerprints say.
    pub must_push: bool,
    /// The fence of the claim that settled it.
    pub settled_by: Option<u64>,
    /// When the row may go. Set only when it is settled: nothing unfinished ever expires.
    pub expires_at: Option<Timestamp>,
    /// Who had it run again last, if anybody did.
    pub replay: Option<Replay>,
    /// The trace of the invocation that took it: syncing it belongs there, too. Nothing is decided by it.
    pub trace: Option<Trace>,
}

impl InboxRow {
    /// The shard of the index of what is not settled that a key falls into.
    pub fn shard(key: &EventKey) -> u8 {
        index_shard(&key.to_string())
    }

    /// Whether it is pending, with this many failed attempts.
    pub fn is_pending_at(&self, attempt: u32) -> bool {
        self.state == InboxState::Pending && self.attempt == attempt
    }
}

/// Where an inbox row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InboxState {
    /// To be synced.
    Pending,
    /// Done with.
    Settled,
    /// Proven but unreadable or unmappable: a person must look.
    Quarantined,
    /// Tried for five days: a person must look.
    Failed,
}

impl InboxState {
    /// The state as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Settled => "settled",
            Self::Quarantined => "quarantined",
            Self::Failed => "failed",
        }
    }
}

/// The right to work on a record until a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Whose it is: one attempt of one worker.
    pub owner: String,
    /// Until when.
    pub until: Timestamp,
}

/// What we hold of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// Its identity.
    pub key: RecordKey,
    /// How many times it has been claimed.
    pub fence: u64,
    /// The fence of the last claim that ended in a commit, or in proof that nothing was applied. Where it differs from
    /// `fence` and no lease is live, somebody may have pushed and died.
    pub clean_fence: u64,
    /// Who works on it.
    pub lease: Option<Lease>,
    /// The end of its audit chain.
    pub audit: AuditHead,
    /// What keeps its audit digests from being guessed; gone once the person is erased.
    pub salt: Option<String>,
    /// When the newest fetch began that was committed, by our clock, whatever it showed.
    pub fetched_at: Option<Timestamp>,
    /// What was last committed; `None` before the first commit, and once it is erased.
    pub state: Option<RecordState>,
    /// What is left of it, if it was erased and has no state since.
    pub husk: Option<Husk>,
    /// Whether it must not be erased.
    pub hold: bool,
}

/// What is left of an erased record, beside its fence and the end of its chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Husk {
    /// When it was erased.
    pub erased_at: Timestamp,
    /// The place of its last state in the order of its states: what is no newer does not bring it back.
    pub version: Option<Version>,
}

/// The end of a record's audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// The number of rows.
    pub sequence: u64,
    /// The last row's hash; sixty-four zeros before the first.
    pub hash: String,
}

impl Default for AuditHead {
    fn default() -> Self {
        Self { sequence: 0, hash: "0".repeat(64) }
    }
}

/// What was last committed of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordState {
    /// The canonical record.
    pub record: Record,
    /// Its place in the order of its states, where deliveries carry them.
    pub version: Option<Version>,
    /// The fingerprint of the request that told the destination.
    pub fingerprint: String,
    /// The plan that it was mapped by.
    pub plan: PlanVersion,
    /// When it was committed.
    pub synced_at: Timestamp,
}

impl RecordRow {
    /// A record that nobody has claimed yet.
    pub fn new(key: RecordKey) -> Self {
        Self {
            key,
            fence: 0,
            clean_fence: 0,
            lease: None,
            audit: AuditHead::default(),
            salt: None,
            fetched_at: None,
            state: None,
            husk: None,
            hold: false,
        }
    }
}

/// A claim: the record as it stood, the lease on it, and the fence that every later write names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The record as it stood before the claim.
    pub row: RecordRow,
    /// The fence.
    pub fence: u64,
    /// The lease.
    pub lease: Lease,
    /// Whether an earlier claim ended in doubt: the newest known state is pushed again, whatever versions and
    /// fingerprints say.
    pub must_push: bool,
}

impl Claim {
    /// The claim that follows a record's row as it stood before.
    pub fn new(row: RecordRow, lease: Lease) -> Self {
        Self { fence: row.fence + 1, must_push: row.fence != row.clean_fence, lease, row }
    }
}

/// How a claim is given up without a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Nothing was applied, and nothing was in doubt before.
    Clean,
    /// Something may have been applied, or was in doubt before: whoever claims next must push.
    InDoubt,
}

/// What a commit writes, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit<'a> {
    /// The claim that it ends. Refused unless its fence is still the record's.
    pub claim: &'a Claim,
    /// The record's new state; `None` leaves it as it is.
    pub state: Option<&'a RecordState>,
    /// What is left of it: state and salt are taken away.
    pub husk: Option<&'a Husk>,
    /// Whether it must not be erased.
    pub hold: bool,
    /// When the fetch began that decided it; `None` leaves what the record has.
    pub fetched_at: Option<Timestamp>,
    /// The salt of the record's audit digests.
    pub salt: &'a str,
    /// The audit row. Refused if its place is taken.
    pub audit: &'a crate::audit::AuditRow,
    /// The event that it settles, if one caused it. Refused unless it is pending at this attempt.
    pub settle: Option<Settle<'a>>,
}

/// The event that a commit settles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle<'a> {
    /// Its identity.
    pub key: &'a EventKey,
    /// The attempt that settles it.
    pub attempt: u32,
    /// What the attempt knew of the row's own `must_push`: one that was set since is not to be settled away.
    pub must_push: bool,
    /// How it came out, in a word.
    pub outcome: &'a str,
    /// When its row may go; `None` keeps it.
    pub expires_at: Option<Timestamp>,
}

/// When and how a pending event is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reschedule {
    /// How many attempts have failed by now.
    pub attempt: u32,
    /// When.
    pub next_at: Timestamp,
    /// How many of them failed because the source did not show what the event speaks of.
    pub unseen: u32,
    /// Why it was not settled.
    pub reason: String,
    /// Whether the next attempt pushes whatever versions and fingerprints say. Once set, it stays.
    pub must_push: bool,
}

/// What is sent through the retry queue: never a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pointer {
    /// A pending event.
    Event(EventKey),
    /// A record whose newest state is to be pushed again, because a push of ours may have come too late.
    Assert {
        /// The record.
        record: RecordKey,
        /// How many attempts have failed.
        attempt: u32,
    },
}
