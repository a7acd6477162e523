//! What can go wrong with keys, in words for whoever typed the command.

use certbridge_platform::keys::scopes;

/// Why a key could not be made, listed or revoked. No text tells what the secret holds.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Nobody would know whose key it is.
    #[error("an owner is one line of text, and not an empty one")]
    Owner,
    /// It would open nothing.
    #[error("a key needs a scope: {}", known())]
    NoScope,
    /// No route will ever ask for it.
    #[error("there is no scope {0}; there are {known}", known = known())]
    UnknownScope(String),
    /// It could not be typed again, or confuse a reader.
    #[error("an id is made of letters, digits, `-`, `_` and `.`")]
    Id,
    /// Another key has this id.
    #[error("there is a key {0} already: revoke it first, or choose another id")]
    Taken(String),
    /// There is no such key.
    #[error("there is no key {0}; `certbridge keys list` shows those that there are")]
    UnknownId(String),
    /// It is no time.
    #[error(
        "{0:?} is no expiry: give 90d, a date (the key ends as that day begins, in UTC), \
         or a time such as 2027-01-31T18:00:00Z"
    )]
    Expiry(String),
    /// The key would be dead from the start.
    #[error("the expiry has passed already")]
    Past,
    /// What is there is not JSON.
    #[error("the secret api-keys is not JSON (line {line}, column {column}); it was left as it is")]
    NotJson {
        /// Where reading stopped.
        line: usize,
        /// Where reading stopped.
        column: usize,
    },
    /// What is there is JSON, but something else.
    #[error("the secret api-keys is no JSON object with a list `keys`; it was left as it is")]
    NoList,
    /// There is nothing to change.
    #[error("there is no secret {name}: {advice}")]
    Missing {
        /// Where it should be.
        name: String,
        /// How it comes to be.
        advice: &'static str,
    },
    /// AWS did not do it.
    #[error("{action} on {name}: {message}")]
    Aws {
        /// What was asked.
        action: &'static str,
        /// The secret.
        name: String,
        /// What was answered, if anything was.
        message: String,
    },
    /// Others were faster every time.
    #[error("{name} was changed by somebody else at each of {tries} tries: nothing was stored, try again")]
    Contended {
        /// The secret.
        name: String,
        /// How often it was tried.
        tries: usize,
    },
    /// The last step was not answered.
    #[error("{name}: it is not known whether the change was stored ({message}); look before you try again")]
    InDoubt {
        /// The secret.
        name: String,
        /// What happened.
        message: String,
    },
    /// It is stored, and nobody knows it.
    #[error("key {id} was stored, but could not be shown ({reason}): revoke it")]
    Unshown {
        /// Its id.
        id: String,
        /// Why.
        reason: String,
    },
}

fn known() -> String {
    scopes().into_iter().collect::<Vec<_>>().join(", ")
}
