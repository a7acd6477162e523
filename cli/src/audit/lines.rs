//! An export: lines of JSON, first what it is, then the rows, chain by chain, and last what they amount to.

use certbridge_sync::AuditRow;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Filters;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    /// The first.
    Header(Header),
    /// A row, as it stands in the table.
    Row(Box<AuditRow>),
    /// The last.
    End(End),
}

/// What an export is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version of this form.
    pub export: u32,
    /// When it began.
    pub time: Timestamp,
    /// Which rows it has.
    pub filters: Filters,
}

impl Header {
    /// The form that is written.
    pub const VERSION: u32 = 1;
}

/// What an export amounts to. It proves nothing, and finds an export that broke off or was damaged on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// How many rows there are.
    pub rows: u64,
    /// The SHA-256 of all lines before this one.
    pub sha256: String,
}
