//! The providers by themselves, for an emulated deployment to talk to: `providers ACCREDIBLE_KEY SNAPSHOTS_KEY`. Prints
//! their addresses as JSON, and runs until it is killed.

use certbridge_sandbox::{Accredible, Options, Snapshots};
use std::io::Write;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut keys = std::env::args().skip(1);
    let mut options = || Options { api_key: keys.next().unwrap_or_default(), ..Options::default() };
    let accredible = Accredible::start(options()).await?;
    let snapshots = Snapshots::start(options()).await?;
    let addresses = serde_json::json!({"accredible": accredible.url(), "snapshots": snapshots.url()});
    writeln!(std::io::stdout(), "{addresses}")?;
    std::future::pending().await
}
