//! `POST /batch_sync` starts a batch; `GET /batches`, `/batches/{id}` and `/batches/{id}/report` tell how batches stand
//! and how they came out.
#![warn(missing_docs)]

mod config;
mod handler;
mod read;
mod start;
mod wish;

pub use config::Config;
pub use handler::{Api, handle};
