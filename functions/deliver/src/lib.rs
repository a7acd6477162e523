//! Posts notices to the endpoints that the secret `endpoints` names, signed as Standard Webhooks.
//!
//! ```text
//! rule -> queue -> deliver: a notice -> one message for each endpoint that wants it -> queue
//!                  deliver: one message -> one signed post; what fails stays in the queue, for longer each time
//! ```
//!
//! So each endpoint fails by itself, and one that is dead holds up no other.
#![warn(missing_docs)]

mod config;
mod handler;
mod message;

pub use config::Config;
pub use handler::{BatchItemFailure, BatchResponse, Deliver, handle};
pub use message::{Content, Message};
