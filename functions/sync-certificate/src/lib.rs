//! `POST /certificates/{id}/sync`: syncs one certificate now, and answers with what changed.
#![warn(missing_docs)]

mod handler;
mod locations;

pub use handler::{SyncCertificate, handle};
