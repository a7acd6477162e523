//! Puts what happened onto the bus: each audit row, and each event that was set aside. Watches the audit, too: rows are only
//! ever added to it, and one that was changed or removed is an alarm.
#![warn(missing_docs)]

mod config;
mod handler;

pub use config::Config;
pub use handler::{BatchItemFailure, BatchResponse, Notify, handle};
