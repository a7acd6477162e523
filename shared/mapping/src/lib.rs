//! What a delivery proves, what it says, and what the destination should be told about it.
//!
//! Everything here is pure: no I/O, no clock, no environment, no randomness (but that a key pair of RSA is made with, for
//! local use). The way through the crate is one way:
//!
//! ```text
//! Delivery --verify--> Verified --read--> Event                 (event.rs)
//!                         |
//!                         +--document--> Document --canonical--> Record --request--> Request      (plan.rs)
//! ```
//!
//! A delivery becomes a [`Document`] only through [`Verified`], which only [`SourceDefinition::verify`] builds. Bodies
//! that do not come from a sender (an answer we fetched, a caller's own body, a preview) have doors of their own. So has
//! an item of a listing that we asked for, which becomes an event without a delivery (polled.rs).
#![warn(missing_docs)]

pub mod check;
mod decimal;
pub mod definition;
pub mod destination;
pub mod digest;
pub mod document;
mod either;
pub mod event;
pub mod field;
pub mod highlevel;
pub mod plan;
pub mod polled;
pub mod problem;
pub mod rate;
pub mod reconciliation;
pub mod record;
pub mod sample;
pub mod trace;
pub mod verify;

pub use definition::{DefinitionError, Definitions, SourceDefinition};
pub use destination::{DestinationDefinition, Request, ShownRecord};
pub use document::Document;
pub use event::{Event, EventKey, Operation, Preview, Reading, Unreadable, Version};
pub use plan::{Difference, ListedRecord, Plan, PlanVersion};
pub use polled::PolledEvent;
pub use problem::{Problem, Problems, Shape};
pub use rate::Rate;
pub use reconciliation::{MissingAtSource, ReconciliationRules};
pub use record::{
    Certificate, CertificateStatus, Customer, Invoice, InvoiceStatus, Kind, Location, Presence, Record, RecordId,
    RecordKey,
};
pub use sample::Sample;
pub use trace::Traced;
pub use verify::{Delivery, Headers, Keys, Refusal, Verified};
