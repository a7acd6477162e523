//! Reconciles a source and the destination, as tasks that a state machine can carry: both sides and our own records are
//! listed, compared by partition, repaired through the same protocol as any other sync, and reported.
//!
//! ```text
//! begin -> list source | list destination -> list own -> compare (each partition) -> decide -> repair (each) -> report
//! ```
#![warn(missing_docs)]

mod batch;
mod list;
mod repair;
mod report;
mod task;

pub use batch::{BatchSync, Rails, TaskError, handle};
pub use report::Summary;
pub use task::{Batch, Begun, Decision, Inventory, Task, Walk, Walks, Wish};
