//! `certbridge audit`: take the trail out, prove it offline, and what belongs to that.

mod checkpoints;
mod command;
mod error;
mod export;
mod key;
mod lines;
mod verify;

pub use command::{AuditCommand, run};
pub use error::AuditError;
pub use export::{Exported, Filters, export};
pub use lines::{End, Header, Line};
pub use verify::{Finding, Verdict, verify};

use certbridge_mapping::RecordKey;

/// A record's key as it is typed: `KIND/SOURCE/ID`, or as it stands in a row, `kind#source#id`.
pub(crate) fn record_key(text: &str) -> Result<RecordKey, String> {
    let typed = text.splitn(3, ['/', '#']).collect::<Vec<_>>().join("#");
    typed.parse().map_err(|_| "a record is KIND/SOURCE/ID, such as certificate/accredible/100".to_owned())
}
