//! Each provider as the sandbox plays it, over real sockets.
#![expect(clippy::unwrap_used, reason = "tests")]

mod accredit;
mod acculynx;
mod certifylize;
mod delivery;
mod faults;
mod highlevel;
mod snapshots;
mod support;
