//! What can go wrong with subscriptions, in words for whoever typed the command.

use certbridge_remote::subscriptions::SubscriptionError;

/// Why nothing came of a command. No text tells what the secret holds.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionsError {
    /// The provider, or what it documents.
    #[error(transparent)]
    Remote(#[from] SubscriptionError),
    /// No request could be made at all.
    #[error(transparent)]
    Http(#[from] certbridge_remote::HttpError),
    /// There is nothing to change.
    #[error("there is no secret {0}: make it first, with what the source's API wants as `api_key`")]
    Missing(String),
    /// What is there is no JSON object.
    #[error("the secret {0} is no JSON object; it was left as it is")]
    NoObject(String),
    /// What is there is something else than a list.
    #[error("the secret {name}: {member} is no list of texts; it was left as it is")]
    NoList {
        /// The secret.
        name: String,
        /// Which member.
        member: &'static str,
    },
    /// The address would have no token in it.
    #[error(
        "the secret {0} has no token in `signing` that can stand in an address: letters, digits, `-`, `_`, `.` and `~`"
    )]
    NoToken(String),
    /// Nobody could deliver there.
    #[error("{0:?} is no address of our API: give https://.., without a query")]
    Url(String),
    /// An address is not changed.
    #[error(
        "{0} never changes the address of a subscription: `create` another one with the new address, see that it \
         arrives, and `delete` this one. In between both deliver, and what comes twice is one event"
    )]
    Immutable(String),
    /// It is made, and what came of it is lost.
    #[error(
        "the subscription was made, but {what} could not be stored in {name} ({reason}): its deliveries will not be \
         taken. End it at the provider, and make it again"
    )]
    Unstored {
        /// What.
        what: &'static str,
        /// The secret.
        name: String,
        /// Why.
        reason: String,
    },
}
