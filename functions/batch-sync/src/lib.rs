//! The tasks of a batch, as the state machine asks for them, one an invocation; every few minutes, the polls of sources
//! that send no events; and, every night, the audit's checkpoint.
#![warn(missing_docs)]

mod config;
mod handler;
mod poll;

pub use config::{Config, signer};
pub use handler::{App, Failed, handle};
