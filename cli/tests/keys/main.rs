//! `certbridge keys`, on a data folder, on Secrets Manager, and as a command.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![recursion_limit = "256"]

mod aws;
mod command;
mod contract;
mod ground;
mod local;
mod secrets_manager;
