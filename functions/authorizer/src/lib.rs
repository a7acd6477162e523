//! Says who may call which route. Denies whatever it does not know.
#![warn(missing_docs)]

mod handler;

pub use handler::{Authorizer, Decision, handle};
