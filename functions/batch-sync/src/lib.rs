//! The tasks of a batch, as the state machine asks for them, one an invocation; every few minutes, the polls of sources
//! that send no events; every hour, a look at our subscriptions; and, every night, the audit's checkpoint.
#![warn(missing_docs)]

mod config;
mod handler;
mod keys;
mod poll;
mod subscriptions;

pub use config::Config;
pub use handler::{App, Failed, handle};
pub use keys::AuditKeys;
