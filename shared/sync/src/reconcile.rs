//! Reconciliation: what a source lists, what the destination lists and what we hold, compared and explained.
//!
//! Three listings are cut into partitions by [`partition`], so that a comparison needs the memory of one partition only.
//! Comparing is pure; repairing is the [`crate::Engine`]'s, under claims like any other sync.

pub mod compare;
pub mod totals;

pub use compare::{Compared, Listing, Partition, Repair, compare};
pub use totals::Tally;

use crate::row::InboxState;
use certbridge_mapping::{Difference, PlanVersion, Record};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The most partitions that a batch is cut into.
pub const MAX_PARTITIONS: u16 = 256;

/// The partition of a record's id, of so many: a range of the id's hash, so that partitions laid end to end are in the
/// order of a checkpoint's leaves.
pub fn partition(id: &str, partitions: u16) -> u16 {
    let digest = Sha256::digest(id);
    let prefix = u16::from_be_bytes([digest[0], digest[1]]);
    u16::try_from((u32::from(prefix) * u32::from(partitions.max(1))) >> 16).unwrap_or_default()
}

/// How many partitions suit so many records.
pub fn partitions_for(records: u64) -> u16 {
    u16::try_from(records.div_ceil(RECORDS_PER_PARTITION)).unwrap_or(MAX_PARTITIONS).clamp(1, MAX_PARTITIONS)
}

/// About how many records a partition holds.
const RECORDS_PER_PARTITION: u64 = 4096;

/// A record as its source lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRow {
    /// Its id.
    pub id: String,
    /// When the request for its page began, by our clock: what was committed since is newer than this.
    pub read_at: Timestamp,
    /// When it last changed, by the source's clock, if the listing says so.
    pub changed_at: Option<Timestamp>,
    /// What the listing says of it.
    pub content: Listed,
}

/// What a listing says of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listed {
    /// The canonical fields that the listing has; others are as we hold them.
    Fields(Map<String, Value>),
    /// It cannot be read, and why. Never a value.
    Invalid(String),
}

/// A record as the destination lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DestinationRow {
    /// Its id.
    pub id: String,
    /// When the request for its page began, by our clock.
    pub read_at: Timestamp,
    /// The destination's fields, as the definition of its requests names and types them.
    pub fields: Map<String, Value>,
}

/// A record as we hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnRow {
    /// Its id.
    pub id: String,
    /// When its page was read.
    pub read_at: Timestamp,
    /// Until when somebody works on it.
    pub leased_until: Option<Timestamp>,
    /// Whether somebody may have pushed and died.
    pub in_doubt: bool,
    /// When the newest fetch began that was committed.
    pub fetched_at: Option<Timestamp>,
    /// What was last committed.
    pub state: Option<OwnState>,
    /// An accepted event of it that is not settled, and where that stands.
    pub waiting: Option<InboxState>,
    /// Whether the record is another source's: the destination's ids do not tell whose they are, so that what it shows
    /// of this one is no business of this source's. Nothing else is told of such a record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_another: bool,
}

/// What was last committed of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnState {
    /// The canonical record.
    pub record: Record,
    /// The fingerprint of the request that told the destination.
    pub fingerprint: String,
    /// The plan that it was mapped by.
    pub plan: PlanVersion,
    /// When it was committed.
    pub synced_at: Timestamp,
}

/// How one record came out of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Both sides agree.
    Matched,
    /// The source has it, the destination does not.
    MissingAtDestination,
    /// The destination has it, the source does not.
    MissingAtSource,
    /// Both have it, and it differs.
    Mismatched,
    /// A side lists it more than once, with different content.
    Duplicate,
    /// A side lists something that cannot be read.
    Invalid,
    /// It is being worked on, or changed while it was listed: nothing can be said of it now.
    InFlight,
    /// It was to be repaired, and could not be.
    Failed,
}

/// Why a record differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// No event of this change was ever accepted.
    NeverArrived,
    /// An event was accepted, and is quarantined or failed.
    ArrivedAndFailed,
    /// We told the destination, and it shows something else.
    EditedAtDestination,
    /// It was told by another plan.
    PlanChanged,
}

/// One record's place in the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Its id.
    pub id: String,
    /// How it came out.
    pub outcome: Outcome,
    /// Why it differs, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// Since when, as far as can be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The destination's fields that differ. Personal values are never shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldDifference>,
    /// Its location, for the totals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_id: Option<String>,
    /// More about it, for a person. Never a personal value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it was repaired.
    #[serde(default)]
    pub repaired: bool,
}

impl Finding {
    /// Of a record that came out so, and of which nothing else is known.
    pub fn new(id: impl Into<String>, outcome: Outcome) -> Self {
        Self {
            id: id.into(),
            outcome,
            drift: None,
            since: None,
            fields: Vec::new(),
            location_id: None,
            reason: None,
            repaired: false,
        }
    }
}

/// A field of the destination that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldDifference {
    /// Its name at the destination.
    pub field: String,
    /// Whether its values are not to be shown.
    pub personal: bool,
    /// What it should hold; null if personal.
    pub expected: Value,
    /// What it holds; null if personal.
    pub found: Value,
}

impl From<Difference> for FieldDifference {
    /// The values of what tells something of a person are left out.
    fn from(difference: Difference) -> Self {
        let Difference { field, personal, expected, found } = difference;
        let shown = |value| if personal { Value::Null } else { value };
        Self { field, personal, expected: shown(expected), found: shown(found) }
    }
}

/// What a batch found and did. What stands here is bounded; all findings stand beside it, in their partitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this form.
    pub schema: u32,
    /// The batch.
    pub batch_id: String,
    /// Who or what started it.
    pub started_by: String,
    /// The source.
    pub source: String,
    /// The kind of record.
    pub kind: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was over.
    pub finished_at: Timestamp,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// How it came out, in a word.
    pub verdict: Verdict,
    /// What a person must decide, or know, before trusting the numbers.
    pub remarks: Vec<String>,
    /// What was listed.
    pub coverage: Coverage,
    /// The numbers.
    pub totals: Totals,
    /// The numbers by location; records whose location is not known stand under none.
    pub by_location: Vec<LocationTotals>,
    /// The oldest difference.
    pub oldest_drift: Option<Timestamp>,
    /// What was found, other than matched: at most [`Report::MAX_FINDINGS`], the worst first.
    pub findings: Vec<Finding>,
    /// The hash of the newest audit checkpoint when the batch ended.
    pub checkpoint: Option<String>,
}

impl Report {
    /// The form that is written.
    pub const SCHEMA: u32 = 1;
    /// The most findings that a report itself holds.
    pub const MAX_FINDINGS: usize = 1000;
}

/// How a batch came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything matched.
    Clean,
    /// What differed was repaired, or would be.
    Repaired,
    /// Something is left that a person must decide.
    NeedsPerson,
    /// It could not be done.
    Failed,
}

/// What was listed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Coverage {
    /// At the source; `None` if it cannot be listed: then events that were never accepted cannot be seen.
    pub source: Option<Side>,
    /// At the destination; `None` if it cannot be listed.
    pub destination: Option<Side>,
    /// By us.
    pub own: Side,
}

/// One listing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Side {
    /// How many rows it had.
    pub rows: u64,
    /// How many pages.
    pub pages: u64,
    /// How many rows it said that it has, if it said so.
    pub announced: Option<u64>,
    /// Whether it was read to its end.
    pub complete: bool,
}

/// The numbers of a batch. They add up: every id that any side lists is counted once under `outcomes`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// How many ids were compared.
    pub records: u64,
    /// By outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// By cause, of those that differ.
    pub drift: BTreeMap<Drift, u64>,
    /// How many were repaired.
    pub repaired: u64,
}

/// The numbers of one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocationTotals {
    /// Which one.
    pub location_id: Option<String>,
    /// Its numbers.
    pub totals: Totals,
}
