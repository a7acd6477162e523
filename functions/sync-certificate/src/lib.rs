//! `POST /certificates/{id}/sync`: syncs one certificate now, and answers with what changed.
#![warn(missing_docs)]

mod handler;

pub use handler::{SyncCertificate, handle};
