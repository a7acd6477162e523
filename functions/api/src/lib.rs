//! What is synced, why, and how to run it again: every route but those of senders and of syncing one record. The contract
//! is `docs/openapi.yaml`.
#![warn(missing_docs)]

mod checkpoints;
mod config;
mod cursor;
mod events;
mod handler;
mod mappings;
mod page;
mod query;
mod read;
mod records;
mod shown;
mod start;
mod wish;

pub use config::Config;
pub use cursor::Cursors;
pub use handler::{Api, Tables, handle};
