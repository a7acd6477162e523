//! Who sent it. One file a scheme; every scheme fails closed and tries every key.

mod ed25519;
mod hmac;
mod key_text;
mod keys;
mod rsa;
mod signature;
mod signing;
mod standard_webhooks;
mod token;

pub use keys::{Keys, key_id};
pub use signing::{KeyPair, SignError};
pub use standard_webhooks::sign_webhook;

use crate::definition::SourceDefinition;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::{collections::BTreeSet, fmt, sync::Arc};

/// The headers of a request, borrowed. Names are compared without regard to case. In debug output they are names only:
/// a value may be a token.
#[derive(Clone, Default)]
pub struct Headers<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> Headers<'a> {
    /// The only value of a header: `None` if it is absent.
    ///
    /// # Errors
    /// [`Refusal::HeaderDoubled`] if it stands there twice, [`Refusal::HeaderNotText`] if it is not visible ASCII.
    pub fn only(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let mut values = self.0.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        let Some((_, value)) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Refusal::HeaderDoubled { header: name.to_owned() });
        }
        match std::str::from_utf8(value) {
            Ok(text) if text.bytes().all(|b| (b' '..=b'~').contains(&b)) => Ok(Some(text.trim())),
            _ => Err(Refusal::HeaderNotText { header: name.to_owned() }),
        }
    }

    /// As [`Headers::only`], for a header that must be there and must not be a list. API Gateway's payload 2.0 joins
    /// doubled headers with a comma, and neither hex nor base64 holds one.
    fn single(&self, name: &str) -> Result<&'a str, Refusal> {
        let value = self.present(name)?;
        if value.contains(',') {
            return Err(Refusal::HeaderDoubled { header: name.to_owned() });
        }
        Ok(value)
    }

    /// As [`Headers::only`], for a header that must be there.
    fn present(&self, name: &str) -> Result<&'a str, Refusal> {
        let value = self.only(name)?.filter(|value| !value.is_empty());
        value.ok_or_else(|| Refusal::HeaderMissing { header: name.to_owned() })
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl<'a> FromIterator<(&'a str, &'a [u8])> for Headers<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a [u8])>>(headers: I) -> Self {
        Self(headers.into_iter().collect())
    }
}

/// A request to `/webhooks/{source}`, before anything is known about it.
#[derive(Clone)]
pub struct Delivery<'a> {
    /// Its headers.
    pub headers: Headers<'a>,
    /// Its exact bytes.
    pub body: &'a [u8],
    /// What stood after the source in the path, if anything did.
    pub path_token: Option<&'a str>,
}

impl fmt::Debug for Delivery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .field("has_path_token", &self.path_token.is_some())
            .finish()
    }
}

/// Why a delivery is not proven. The text is for the log; the sender is told only that it was not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The header that should prove it is not there, or is empty.
    #[error("header {header} is missing")]
    HeaderMissing {
        /// Its name.
        header: String,
    },
    /// The header stands there more than once.
    #[error("header {header} is doubled")]
    HeaderDoubled {
        /// Its name.
        header: String,
    },
    /// The header holds something else than visible ASCII.
    #[error("header {header} is not text")]
    HeaderNotText {
        /// Its name.
        header: String,
    },
    /// The signature does not decode, or has the wrong length.
    #[error("the signature is not {wanted}")]
    Malformed {
        /// What it should have been.
        wanted: &'static str,
    },
    /// The delivery's id holds a full stop, so that what was signed could be cut in two ways.
    #[error("the id holds a full stop")]
    IdAmbiguous,
    /// The timestamp is not of a form that the scheme knows.
    #[error("the timestamp cannot be read")]
    TimestampUnreadable,
    /// The timestamp is further from now than the source allows.
    #[error("the timestamp is {seconds} s off, {tolerance} s are allowed")]
    Stale {
        /// How far, in seconds.
        seconds: i64,
        /// What is allowed, in seconds.
        tolerance: i64,
    },
    /// The path holds no token, and the source proves itself by one.
    #[error("the path holds no token")]
    TokenMissing,
    /// No key matches.
    #[error("no key matches, tried {}{}", .tried.join(" "), unusable_too(.unusable))]
    Mismatch {
        /// The ids of the keys that were tried.
        tried: Vec<String>,
        /// The ids of the keys that could not be: the scheme cannot use them.
        unusable: Vec<String>,
    },
    /// There are keys, and none of them is one that the scheme can use: the source is off.
    #[error("no key is one that the scheme can use: {}", .unusable.join(" "))]
    NoUsableKey {
        /// Their ids.
        unusable: Vec<String>,
    },
}

fn unusable_too(unusable: &[String]) -> String {
    if unusable.is_empty() { String::new() } else { format!(", not usable {}", unusable.join(" ")) }
}

impl Refusal {
    /// A short stable word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::HeaderMissing { .. } | Self::TokenMissing => "missing",
            Self::HeaderDoubled { .. } => "doubled",
            Self::HeaderNotText { .. } | Self::Malformed { .. } | Self::IdAmbiguous | Self::TimestampUnreadable => {
                "malformed"
            }
            Self::Stale { .. } => "stale",
            Self::Mismatch { .. } => "mismatch",
            Self::NoUsableKey { .. } => "unusable",
        }
    }

    /// Whether another set of keys might have proven it: worth a look at the secret, which may have changed.
    pub fn may_be_a_new_key(&self) -> bool {
        matches!(self, Self::Mismatch { .. } | Self::NoUsableKey { .. })
    }
}

/// How a source proves its deliveries, as declared under `[verification]`.
///
/// The scheme is declared, never read from the delivery or guessed from a key: a public key does not become a shared
/// secret because somebody sends an HMAC made with it.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "scheme", rename_all = "kebab-case")]
pub enum Scheme {
    /// HMAC-SHA256 of the body, or of a timestamp and the body.
    HmacSha256(hmac::HmacSha256),
    /// RSA with SHA-256 over the body, or over a timestamp and the body.
    RsaSha256(rsa::RsaSha256),
    /// Ed25519 over the body, or over a timestamp and the body.
    Ed25519(ed25519::Ed25519),
    /// Standard Webhooks: an id, a timestamp and the body, under any of several signatures.
    StandardWebhooks(standard_webhooks::StandardWebhooks),
    /// A shared secret, sent along as it is.
    Token(token::Token),
}

impl Scheme {
    /// What is wrong with the declaration.
    pub(crate) fn faults(&self) -> Vec<String> {
        match self {
            Self::HmacSha256(scheme) => scheme.form().faults(),
            Self::RsaSha256(scheme) => scheme.form().faults(),
            Self::Ed25519(scheme) => scheme.form().faults(),
            Self::StandardWebhooks(scheme) => scheme.faults(),
            Self::Token(scheme) => scheme.header.as_deref().and_then(header_fault).into_iter().collect(),
        }
    }
}

/// What is wrong with a header's name: nothing is ever sent under one that is no token (RFC 9110, section 5.6.2).
pub(crate) fn header_fault(name: &str) -> Option<String> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (name.is_empty() || !name.bytes().all(is_token)).then(|| format!("header: {name:?} is no header's name"))
}

/// A delivery whose sender is proven. Only [`SourceDefinition::verify`] builds one.
#[derive(Debug, Clone)]
pub struct Verified<'a> {
    source: &'a SourceDefinition,
    delivery: &'a Delivery<'a>,
    key_id: String,
    subscriptions: Option<Arc<BTreeSet<String>>>,
}

impl<'a> Verified<'a> {
    /// The source that it was proven against.
    pub fn source(&self) -> &'a SourceDefinition {
        self.source
    }

    /// The exact bytes that were proven.
    pub fn body(&self) -> &'a [u8] {
        self.delivery.body
    }

    /// The headers that came along. They are not covered by every scheme.
    pub fn headers(&self) -> &Headers<'a> {
        &self.delivery.headers
    }

    /// The id of the key that matched.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Whether a delivery may be by this subscription of ours, as far as the secret lists them.
    pub(crate) fn allows_subscription(&self, id: &str) -> bool {
        self.subscriptions.as_ref().is_none_or(|ids| ids.contains(id))
    }

    /// Whether the secret lists our subscriptions.
    pub(crate) fn lists_subscriptions(&self) -> bool {
        self.subscriptions.is_some()
    }
}

impl SourceDefinition {
    /// Proves a delivery, or says which check it failed. The only way to a [`Verified`].
    pub fn verify<'a>(
        &'a self,
        delivery: &'a Delivery<'a>,
        keys: &Keys,
        now: Timestamp,
    ) -> Result<Verified<'a>, Refusal> {
        let key_id = match &self.verification {
            Scheme::HmacSha256(scheme) => scheme.prove(delivery, keys, now)?,
            Scheme::RsaSha256(scheme) => scheme.prove(delivery, keys, now)?,
            Scheme::Ed25519(scheme) => scheme.prove(delivery, keys, now)?,
            Scheme::StandardWebhooks(scheme) => scheme.prove(delivery, keys, now)?,
            Scheme::Token(scheme) => scheme.prove(delivery, keys)?,
        };
        Ok(Verified { source: self, delivery, key_id, subscriptions: keys.subscriptions() })
    }

    /// The ids of those keys that this source's scheme cannot use, and that so prove nothing: for a warning. If it is
    /// all of them, the source is off.
    pub fn unusable_keys(&self, keys: &Keys) -> Vec<String> {
        match &self.verification {
            Scheme::HmacSha256(_) | Scheme::Token(_) => keys.unusable(key_text::shared_secret),
            Scheme::RsaSha256(scheme) => keys.unusable(|text| scheme.public_key(text)),
            Scheme::Ed25519(_) => keys.unusable(ed25519::public_key),
            Scheme::StandardWebhooks(_) => keys.unusable(standard_webhooks::key),
        }
    }
}

/// A sender's timestamp: epoch seconds, epoch milliseconds (from 12 digits on: from 1973), or RFC 3339.
pub(crate) fn read_timestamp(text: &str) -> Option<Timestamp> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        return if number >= 100_000_000_000 {
            Timestamp::from_millisecond(number).ok()
        } else {
            Timestamp::from_second(number).ok()
        };
    }
    text.parse().ok()
}

/// Refuses a timestamp further from `now` than `tolerance`, to either side.
fn check_age(at: Timestamp, now: Timestamp, tolerance: SignedDuration) -> Result<(), Refusal> {
    let off = now.duration_since(at).abs();
    if off > tolerance {
        return Err(Refusal::Stale { seconds: off.as_secs(), tolerance: tolerance.as_secs() });
    }
    Ok(())
}
