//! What is told of what happened: the notices themselves, the bus that they go onto, and their delivery to endpoints.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![recursion_limit = "256"]

mod bus;
mod deliver;
mod golden;
mod hooks;
mod rows;
mod server;
