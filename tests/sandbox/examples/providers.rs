//! The providers by themselves, for an emulated deployment to talk to. Their keys come in this order, and may be left out
//! from the end: `providers ACCREDIBLE SNAPSHOTS HIGHLEVEL ACCULYNX ACCREDIT CERTIFYLIZE`. Prints their addresses as JSON,
//! and runs until it is killed.

use certbridge_sandbox::{Accredible, Accredit, AccuLynx, Certifylize, HighLevel, Options, Snapshots};
use std::io::Write;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut keys = std::env::args().skip(1);
    let mut options = || Options { api_key: keys.next().unwrap_or_default(), ..Options::default() };
    let accredible = Accredible::start(options()).await?;
    let snapshots = Snapshots::start(options()).await?;
    let highlevel = HighLevel::start(options()).await?;
    let acculynx = AccuLynx::start(options()).await?;
    let accredit = Accredit::start(options()).await?;
    let certifylize = Certifylize::start(options()).await?;
    let addresses = serde_json::json!({
        "accredible": accredible.url(),
        "snapshots": snapshots.url(),
        "highlevel": highlevel.url(),
        "acculynx": acculynx.url(),
        "accredit": accredit.url(),
        "certifylize": certifylize.url(),
    });
    writeln!(std::io::stdout(), "{addresses}")?;
    std::future::pending().await
}
