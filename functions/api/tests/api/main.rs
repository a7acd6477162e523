//! Every answer of the function, on the gateway's own events.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batches;
mod contract;
mod reads;
mod world;
