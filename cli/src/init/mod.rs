//! `certbridge init`: from nothing to the first event that came through.
//!
//! `plan` says what is to be done, from flags or by asking; `apply` does it.

mod apply;
mod ask;
mod command;
mod plan;

pub use ask::{Ask, Terminal};
pub use command::{InitArgs, InitError, run, run_with};
pub use plan::{GivenKey, Plan, SourcePlan};
