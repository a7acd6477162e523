//! Syncs accepted events: as the inbox's stream delivers them, as the retry queue points to them, and as the sweep finds
//! them overdue.
#![warn(missing_docs)]

mod handler;
mod trigger;

pub use handler::{SyncEvent, handle};
pub use trigger::{BatchResponse, Content, Item, Trigger};
