//! The bundle as a whole: over HTTP, in one process, as `certbridge up` runs it, and as the function `webhook` sees it.
//!
//! Each test has a data folder and ports of its own, and waits for conditions, never for a time.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
// The futures of the SDK, of the functions and of the engine lie deep in one another.
#![recursion_limit = "256"]

mod assert_chunk;
mod bad_input;
mod batch_faults;
mod batches;
mod batches_api;
mod breaker;
mod certificate_sync;
mod checkpoint_key;
mod faults;
mod gateway;
mod http;
mod keys;
mod notifications;
mod operate;
mod pending_age;
mod polling;
mod reconciliation;
// It ends what it starts with signals.
#[cfg(unix)]
mod restart;
mod rotation;
mod seeded_drift;
mod sources;
mod subscriptions;
mod support;
mod trace;
mod way_of_an_event;
mod webhook_function;
