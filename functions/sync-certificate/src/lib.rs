//! `POST /certificates/{id}/sync`: syncs one certificate now, and answers with what changed.
#![warn(missing_docs)]

mod config;
mod handler;

pub use config::Config;
pub use handler::{SyncCertificate, handle};
