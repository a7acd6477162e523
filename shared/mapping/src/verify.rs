//! Who sent it. One file a scheme; every scheme fails closed and tries every key.

mod hmac;
mod token;

use crate::definition::SourceDefinition;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::fmt;

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
        match self.only(name)? {
            None | Some("") => Err(Refusal::HeaderMissing { header: name.to_owned() }),
            Some(value) if value.contains(',') => Err(Refusal::HeaderDoubled { header: name.to_owned() }),
            Some(value) => Ok(value),
        }
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

/// The keys that may prove a source's deliveries: at least one, none of them empty.
#[derive(Clone)]
pub struct Keys(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: String,
    secret: SecretString,
}

impl Keys {
    /// The keys that are worth something; `None` if there are none, and then the source is off.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Option<Self> {
        let keys: Vec<_> = secrets
            .into_iter()
            .filter(|secret| !secret.expose_secret().trim().is_empty())
            .map(|secret| Key { id: key_id(&secret), secret })
            .collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The ids of the keys, in their order.
    pub fn ids(&self) -> Vec<String> {
        self.0.iter().map(|key| key.id.clone()).collect()
    }

    /// The id of the key that `matches`. Every key is tried, so that the time taken does not tell which one it was.
    fn find(&self, matches: impl Fn(&[u8]) -> bool) -> Result<String, Refusal> {
        let mut found = None;
        for key in &self.0 {
            if matches(key.secret.expose_secret().as_bytes()) {
                found.get_or_insert_with(|| key.id.clone());
            }
        }
        found.ok_or_else(|| Refusal::Mismatch { tried: self.ids() })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keys").field(&self.ids()).finish()
    }
}

/// A name for a key that tells nothing of it: `k-` and the first eight hex digits of its SHA-256 under a label of ours.
fn key_id(secret: &SecretString) -> String {
    let digest = crate::digest::sha256_of_parts([b"certbridge key id".as_slice(), secret.expose_secret().as_bytes()]);
    format!("k-{}", &digest[..8])
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
    /// The timestamp is neither epoch seconds or milliseconds nor RFC 3339.
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
    #[error("no key matches, tried {}", .tried.join(" "))]
    Mismatch {
        /// The ids of the keys that were tried.
        tried: Vec<String>,
    },
}

impl Refusal {
    /// A short stable word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::HeaderMissing { .. } | Self::TokenMissing => "missing",
            Self::HeaderDoubled { .. } => "doubled",
            Self::HeaderNotText { .. } | Self::Malformed { .. } | Self::TimestampUnreadable => "malformed",
            Self::Stale { .. } => "stale",
            Self::Mismatch { .. } => "mismatch",
        }
    }

    /// Whether another set of keys might have proven it: worth a look at the secret, which may have changed.
    pub fn may_be_a_new_key(&self) -> bool {
        matches!(self, Self::Mismatch { .. })
    }
}

/// How a source proves its deliveries, as declared under `[verification]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "scheme", rename_all = "kebab-case")]
pub enum Scheme {
    /// HMAC-SHA256 of the body, or of a timestamp and the body.
    HmacSha256(hmac::HmacSha256),
    /// A shared secret, sent along as it is.
    Token(token::Token),
}

impl Scheme {
    /// What is wrong with the declaration.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let headers = match self {
            Self::HmacSha256(scheme) => {
                let signed = scheme.timestamp.as_ref();
                if signed.is_some_and(|signed| signed.tolerance_seconds == 0) {
                    faults.push("timestamp: a tolerance of 0 s refuses every delivery".to_owned());
                }
                [Some(scheme.header.as_str()), signed.map(|signed| signed.header.as_str())]
            }
            Self::Token(scheme) => [scheme.header.as_deref(), None],
        };
        faults.extend(headers.into_iter().flatten().filter_map(header_fault));
        faults
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
            Scheme::Token(scheme) => scheme.prove(delivery, keys)?,
        };
        Ok(Verified { source: self, delivery, key_id })
    }

    /// The headers that a sender who holds `key` would add to `body`: for `certbridge sign`, the demo and the tests.
    /// A token in the path is not among them.
    pub fn sign(&self, body: &[u8], key: &SecretString, now: Timestamp) -> Vec<(String, String)> {
        match &self.verification {
            Scheme::HmacSha256(scheme) => scheme.sign(body, key.expose_secret().as_bytes(), now),
            Scheme::Token(scheme) => scheme.sign(key),
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
