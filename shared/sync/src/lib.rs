//! The use cases, against small ports: accept an event, sync a record, sweep what is overdue, poll for what changed.
//!
//! Nothing here names AWS, HTTP or Lambda. Time and randomness come in through [`ports::Runtime`], so a run is a pure
//! function of its ports' answers, and the simulation can crash it at every await.
//!
//! ```text
//! accept:  Verified --read--> inbox row (one conditional put: dedup mark and hand-off at once)
//! sync:    claim -> fetch -> map -> compare -> push -> commit (record + audit + inbox row, one transaction)
//! sweep:   pending index -> retry queue
//! poll:    a source's listing of what changed, page by page -> inbox rows, then the mark
//! ```
#![warn(missing_docs)]

pub mod accept;
pub mod assert;
pub mod audit;
pub mod batches;
pub mod breaker;
pub mod catalog;
pub mod checkpoint;
pub mod delivery;
pub mod erase;
pub mod error;
pub mod event;
pub mod grants;
pub mod history;
pub mod ids;
pub mod in_force;
#[cfg(feature = "memory")]
pub mod memory;
pub mod notice;
mod patience;
pub mod poll;
pub mod ports;
pub mod reconcile;
pub mod replay;
pub mod retry;
pub mod row;
pub mod sweep;
pub mod sync;
pub mod trace;

pub use accept::{Acceptance, accept};
pub use audit::{AuditRow, verify_chain};
pub use error::{RemoteError, StoreError};
pub use in_force::InForce;
pub use sync::{Engine, Plans, Settings};
