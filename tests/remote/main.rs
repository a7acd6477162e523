//! The ports over HTTP, against real sockets: raw ones for what no decent server does, the sandbox for the rest, and
//! the provider's own contract where it is at hand.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod batches;
// It stops what it starts by the process group.
#[cfg(unix)]
mod contract;
mod faults;
mod highlevel;
mod listings;
mod locations;
mod raw;
mod sandbox;
mod snapshots;
mod sources;
mod support;
