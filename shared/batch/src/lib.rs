//! Batches, as tasks that a state machine can carry. A reconciliation lists both sides and our own records, compares them
//! by partition, repairs what differs through the same protocol as any other sync, and reports. An upsert tells the
//! destination of the records that a caller gave, by the same way.
//!
//! ```text
//! begin -> list source | list destination -> list own -> compare (each partition) -> decide -> repair (each) -> report
//!     \---------------------- an upsert ---------------/
//! ```
//!
//! Each task may be run again from the same input: what it wrote is written again, and what it told the destination is
//! recognised. So the state machine retries what is transient, and an execution that died goes on where it stood.
#![warn(missing_docs)]

mod batch;
mod begin;
pub mod checkpoint;
mod compare;
mod list;
mod repair;
mod report;
mod task;
mod upsert;

pub use batch::{BatchSync, Tables, TaskError, handle};
pub use checkpoint::{Notary, Sealed, prove};
pub use repair::REPAIR_CONCURRENCY;
pub use report::REPORT_LINK_LASTS;
pub use task::{
    Batch, Begun, Caught, Compared, Decision, Ended, Input, Inventory, Mail, Repaired, Start, Task, Walk, Walks,
};
