//! `certbridge batch`: starts batches, looks at them, and waits for them, over the bundle's own API: the one that `up`
//! serves, or a deployed one.

mod client;
mod command;
mod show;

pub use client::{ApiError, Client, Progress, Shown, Summary};
pub use command::{BatchCommand, run};
pub use show::Form;
