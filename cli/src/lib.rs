//! The `certbridge` command: the whole bundle on one machine, and the tools to work with it.
//!
//! `local` hosts the functions, unchanged, in one process: DynamoDB is embedded, API Gateway, the inbox's stream, the
//! retry queue and the sweep's schedule are driven in process, and the providers are the sandbox's or somebody else's.
#![recursion_limit = "256"]
#![warn(missing_docs)]

pub mod audit;
mod aws_secret;
pub mod batch;
pub mod config;
pub mod connect;
pub mod demo;
pub mod doctor;
pub mod endpoints;
pub mod erase;
pub mod error;
pub mod init;
pub mod keys;
pub mod local;
pub mod logs;
pub mod mapping;
pub mod notifications;
pub mod place;
pub mod probe;
pub mod secrets;
pub mod sign;
pub mod source;
pub mod subscriptions;
mod table;
pub mod up;
pub mod why;

pub use error::CliError;
pub use local::{Local, Options};
