//! Each provider as the sandbox plays it, over real sockets.
#![expect(clippy::unwrap_used, reason = "tests")]

mod acculynx;
mod highlevel;
mod snapshots;
mod support;
