//! What can go wrong with secrets, in words for whoever typed the command.

use jiff::Timestamp;

/// Why a secret is not shown, or not changed. No text tells what it holds.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// No such secret is read by anything.
    #[error("{0} is no secret of ours: there are sources/NAME, destinations/NAME, audit and api-keys")]
    Name(String),
    /// There is nothing to show.
    #[error("there is no secret {0}: `certbridge init` makes it")]
    Missing(String),
    /// It is something else.
    #[error("the secret {0} is no JSON object; it was left as it is")]
    NoObject(String),
    /// Nobody knows what stands there.
    #[error("the secret {name} has a {member} that is no text and no list of texts; it was left as it is")]
    NoList {
        /// The secret.
        name: String,
        /// The member.
        member: &'static str,
    },
    /// It has another way.
    #[error(
        "keys to our API are each a caller's own: `certbridge keys create` makes the new one, and `certbridge keys revoke` ends the old one"
    )]
    ApiKeys,
    /// The step is none that this secret takes.
    #[error("{name} is not rotated by `{step}`: `certbridge secrets rotate {name}` says how")]
    Step {
        /// The secret.
        name: String,
        /// What was asked for.
        step: &'static str,
    },
    /// Somebody else makes the key.
    #[error("the key comes from elsewhere: {0}")]
    Given(String),
    /// Nothing was given.
    #[error("the file of the key is empty")]
    Empty,
    /// It would prove nothing.
    #[error("the scheme of {0} cannot use this key: nothing was stored")]
    Unusable(String),
    /// It is there.
    #[error("{0} holds this very key already")]
    Held(String),
    /// Which one?
    #[error("which key? Name it by --id; `certbridge secrets show {0}` shows them")]
    NoId(String),
    /// There is no such key.
    #[error("{name} has no signing key {id}; `certbridge secrets show {name}` shows those that there are")]
    UnknownId {
        /// The secret.
        name: String,
        /// What was asked for.
        id: String,
    },
    /// Nothing would be proven any more.
    #[error("{0} has no other key that its scheme can use: without this one every delivery would be refused")]
    Last(String),
    /// The sender still uses it.
    #[error("key {id} proved an event at {at}, and no other key has since: switch the sender first, or give --force")]
    InUse {
        /// The key.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// Not every function knows the new key yet.
    #[error("the new key is known everywhere only from {0} on: wait until then, or give --force")]
    TooSoon(Timestamp),
    /// There is nothing to switch to.
    #[error("{0} has only one key: add the new one first")]
    OnlyOne(String),
}
