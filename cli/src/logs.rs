//! Logs for a person, on stderr.

use certbridge_platform::{Env, logs::filter};
use std::io::{self, IsTerminal};
use tracing_appender::non_blocking::WorkerGuard;

/// Starts logging, at the level that the environment names, or else at `default`; of the embedded database, only errors.
/// Lines that nobody reads in time are dropped: a pipe that is full must not stop the bundle. What is left is written
/// when the guard is dropped.
pub fn init(env: &Env, default: &str) -> WorkerGuard {
    let (writer, guard) = tracing_appender::non_blocking(io::stderr());
    let mut filter = filter(env, default);
    if let Ok(quiet) = "dynoxide=error".parse() {
        filter = filter.add_directive(quiet);
    }
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .compact()
        .finish();
    // Fails only if there is a subscriber already.
    let _ = tracing::subscriber::set_global_default(subscriber);
    guard
}
