//! HMAC-SHA256 over the body, or over `{timestamp}.{body}`.

use super::{Delivery, Keys, Refusal, check_age, read_timestamp};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sha2::Sha256;

/// The declaration of an HMAC-SHA256 proof.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HmacSha256 {
    /// The header that holds the signature.
    pub header: String,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// What may stand before it, such as `sha256=`. A signature without it is taken too.
    #[serde(default)]
    pub prefix: String,
    /// The timestamp that is signed along with the body, if one is.
    #[serde(default)]
    pub timestamp: Option<SignedTimestamp>,
}

/// A timestamp that is signed as `{timestamp}.{body}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedTimestamp {
    /// The header that holds it. Its text is signed as it stands.
    pub header: String,
    /// How far it may be from now, to either side, in seconds.
    pub tolerance_seconds: u32,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal.
    #[default]
    Hex,
    /// Base64 with padding.
    Base64,
}

impl Encoding {
    fn decode(self, text: &str) -> Result<Vec<u8>, Refusal> {
        let (decoded, wanted) = match self {
            Self::Hex => (hex::decode(text).ok(), "64 hexadecimal digits"),
            Self::Base64 => (BASE64.decode(text).ok(), "44 characters of base64"),
        };
        decoded.filter(|bytes| bytes.len() == 32).ok_or(Refusal::Malformed { wanted })
    }

    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
        }
    }
}

impl HmacSha256 {
    pub(super) fn prove(&self, delivery: &Delivery<'_>, keys: &Keys, now: Timestamp) -> Result<String, Refusal> {
        let text = delivery.headers.single(&self.header)?;
        let signature = self.encoding.decode(text.strip_prefix(&self.prefix).unwrap_or(text))?;
        let timestamp = match &self.timestamp {
            None => None,
            Some(signed) => {
                let text = delivery.headers.single(&signed.header)?;
                let at = read_timestamp(text).ok_or(Refusal::TimestampUnreadable)?;
                check_age(at, now, SignedDuration::from_secs(signed.tolerance_seconds.into()))?;
                Some(text)
            }
        };
        // `verify_slice` compares in constant time.
        keys.find(|key| mac(key, timestamp, delivery.body).verify_slice(&signature).is_ok())
    }

    pub(super) fn sign(&self, body: &[u8], key: &[u8], now: Timestamp) -> Vec<(String, String)> {
        let timestamp = self.timestamp.as_ref().map(|signed| (signed.header.clone(), now.as_second().to_string()));
        let tag = mac(key, timestamp.as_ref().map(|(_, text)| text.as_str()), body).finalize().into_bytes();
        let signature = format!("{}{}", self.prefix, self.encoding.encode(&tag));
        std::iter::once((self.header.clone(), signature)).chain(timestamp).collect()
    }
}

fn mac(key: &[u8], timestamp: Option<&str>, body: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC hashes a key that is longer than its block and pads a shorter one")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    if let Some(timestamp) = timestamp {
        mac.update(timestamp.as_bytes());
        mac.update(b".");
    }
    mac.update(body);
    mac
}
