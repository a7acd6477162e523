//! `certbridge subscriptions`: who is told by a source of what, where the source has an API for that.
//!
//! What a provider makes for us goes straight into the secret `sources/{name}`: Accredit's Signature Key into `signing`,
//! beside those that are there; the id of a subscription at AccuLynx into `subscriptions`. No key and no token is shown.

mod command;
mod error;
mod secret;

pub use command::{Access, Action, Authorization, SubscriptionsCommand, run};
pub use error::SubscriptionsError;
pub use secret::SourceSecret;
