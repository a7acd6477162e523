//! `POST /webhooks/{source}`: proves who sent a delivery and stores it. Everything else happens later.
#![warn(missing_docs)]

mod config;
mod handler;

pub use config::Config;
pub use handler::{Webhook, handle};
