//! Logs for a person, on stderr.

use certbridge_platform::{Env, logs::filter};
use std::io::{self, IsTerminal};
use tracing::Level;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::{fmt, layer::SubscriberExt};

/// Starts logging, at the level that the environment names, or else at `default`; of the embedded database, only errors.
/// Lines that nobody reads in time are dropped: a pipe that is full must not stop the bundle. What is left is written
/// when the guard is dropped.
pub fn init(env: &Env, default: &str) -> WorkerGuard {
    let (writer, guard) = tracing_appender::non_blocking(io::stderr());
    let filter = filter(env, default).with_target("dynoxide", Level::ERROR);
    let lines = fmt::layer().with_writer(writer).with_ansi(io::stderr().is_terminal()).with_target(false).compact();
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    // Fails only if there is a subscriber already.
    let _ = tracing::subscriber::set_global_default(subscriber);
    guard
}
