//! `certbridge up`: the bundle until it is told to stop.

use crate::{CliError, Local, Options};
use std::io::{self, Write};
use tokio::signal::unix::{SignalKind, signal};

/// Runs the bundle until SIGINT or SIGTERM.
pub async fn up(options: Options) -> Result<(), CliError> {
    // Taken first, so that a signal that comes while everything starts is not lost.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let local = Local::start(options.clone()).await?;
    greet(&local, &options)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    local.shutdown().await
}

fn greet(local: &Local, options: &Options) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let data = options.data.display();
    if let Some(sandbox) = local.sandbox() {
        for (name, url) in sandbox.addresses() {
            writeln!(out, "{name:<11} {url} (sandbox)")?;
        }
    }
    writeln!(out, "data        {data}")?;
    writeln!(out, "sign        certbridge sign --data {data} --source NAME --body FILE")?;
    writeln!(out, "api key     {data}/api-key, in the header x-api-key")?;
    writeln!(out, "ready {}", local.url())?;
    out.flush()
}
