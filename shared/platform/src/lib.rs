//! What a function needs of the machine that it runs on: its variables, secrets, logs, metrics, clock, and the edge
//! between API Gateway and a handler. Only this crate reads the environment.
//!
//! ```text
//! main:     Env -> logs::init, the function's config, aws::sdk_config, Secrets      (once)
//! request:  event --http::serve--> Request -> handler -> Answer -> event's answer
//! ```
//!
//! Errors have two texts: `Display` is for the log, the [`http::Problem`] that they turn into is for the caller.
#![warn(missing_docs)]

pub mod aws;
pub mod config;
pub mod definitions;
pub mod http;
pub mod keys;
pub mod logs;
pub mod metrics;
pub mod runtime;
pub mod secrets;
#[cfg(test)]
mod testing;
pub mod trace;

pub use config::{ConfigError, Env};
pub use http::{Answer, Problem, ProblemType};
pub use keys::{ApiKeyring, Caller, Denied};
pub use metrics::Metrics;
pub use runtime::SystemRuntime;
pub use secrets::{SecretError, SecretProvider, Secrets, SecretsManager};
pub use trace::Tracer;
