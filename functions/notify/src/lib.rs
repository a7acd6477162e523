//! Watches the audit table's stream. Rows are only ever added to it: one that was changed or removed is an alarm.
#![warn(missing_docs)]

mod handler;

pub use handler::{Notify, handle};
