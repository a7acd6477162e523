//! The processes of the bench of reconciliation, which `reconcile.py` starts and measures:
//! `reconcile-bench providers RECORDS` is both providers, `reconcile-bench batch RECORDS URL FOLDER` reconciles them.

mod batch;
mod certificates;
mod providers;
mod store;

use certificates::Certificates;
use std::error::Error;

/// How many threads write and read the folder that stands for a bucket. However many are free to be made are made while
/// the machine is busy, and each has memory of its own; a bucket needs none.
const FOLDER_THREADS: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    // One thread, as a function has: the two listings take turns on it.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().max_blocking_threads(FOLDER_THREADS).build()?.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["providers", records] => providers::run(Certificates(records.parse()?)).await,
        ["batch", records, url, folder] => batch::run(Certificates(records.parse()?), url, folder).await,
        _ => Err("reconcile-bench providers RECORDS, or reconcile-bench batch RECORDS URL FOLDER".into()),
    }
}
