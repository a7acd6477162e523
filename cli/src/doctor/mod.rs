//! `certbridge doctor`: what works, what does not, and how to mend it.

mod command;
mod finding;
mod providers;
mod secrets;
mod tables;
mod wiring;

pub use command::{DoctorArgs, examine, run};
pub use finding::{Area, Finding, Findings, State};
