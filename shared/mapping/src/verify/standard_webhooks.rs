//! Standard Webhooks: `{id}.{timestamp}.{body}` under any of the signatures of a list, by any of our keys.
//!
//! A key is `whsec_` and base64 for HMAC-SHA256 (`v1`), or `whpk_` and base64 for Ed25519 (`v1a`). One without either is
//! taken for the former, so a public key must have its `whpk_`.

use super::{
    Delivery, Headers, KeyPair, Keys, Refusal, SignError, check_age, ed25519, header_fault,
    hmac::mac,
    key_text::{base64, shared_secret},
};
use crate::digest::sha256_hex;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signer, VerifyingKey};
use hmac::Mac;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde::Deserialize;

/// What stands before a shared secret.
const SECRET: &str = "whsec_";
/// A sender in the midst of a rotation has two signatures. Each one costs a hash of the body for each key.
const MAX_SIGNATURES: usize = 16;

/// The declaration of a proof by Standard Webhooks. The headers have the specification's names unless others are given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandardWebhooks {
    /// The header that holds the delivery's id.
    #[serde(default = "default_id_header")]
    pub id_header: String,
    /// The header that holds the time of the attempt, in whole seconds.
    #[serde(default = "default_timestamp_header")]
    pub timestamp_header: String,
    /// The header that holds the signatures.
    #[serde(default = "default_signature_header")]
    pub signature_header: String,
    /// How far the timestamp may be from now, to either side, in seconds.
    #[serde(default = "default_tolerance_seconds")]
    pub tolerance_seconds: u32,
}

fn default_id_header() -> String {
    "webhook-id".to_owned()
}

fn default_timestamp_header() -> String {
    "webhook-timestamp".to_owned()
}

fn default_signature_header() -> String {
    "webhook-signature".to_owned()
}

fn default_tolerance_seconds() -> u32 {
    300
}

/// A key of ours.
pub(super) enum Key {
    Secret(Zeroizing<Vec<u8>>),
    Public(VerifyingKey),
}

/// A signature of a version that we know.
enum Presented {
    Hmac(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl StandardWebhooks {
    /// What is wrong with the declaration.
    pub(super) fn faults(&self) -> Vec<String> {
        let headers = [&self.id_header, &self.timestamp_header, &self.signature_header];
        let mut faults: Vec<_> = headers.into_iter().filter_map(|header| header_fault(header)).collect();
        if self.tolerance_seconds == 0 {
            faults.push("tolerance_seconds: a tolerance of 0 s refuses every delivery".to_owned());
        }
        faults
    }

    pub(super) fn prove(&self, delivery: &Delivery<'_>, keys: &Keys, now: Timestamp) -> Result<String, Refusal> {
        let keys = keys.usable(key)?;
        let headers = &delivery.headers;
        let id = headers.single(&self.id_header)?;
        if id.contains('.') {
            return Err(Refusal::IdAmbiguous);
        }
        let timestamp = self.timestamp(headers, now)?;
        let presented = self.presented(headers)?;
        let signed = signed_bytes(id, timestamp, delivery.body);
        keys.find(|key| key.proves(&signed, &presented))
    }

    fn timestamp<'a>(&self, headers: &Headers<'a>, now: Timestamp) -> Result<&'a str, Refusal> {
        let text = headers.single(&self.timestamp_header)?;
        let seconds = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let at =
            seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).ok_or(Refusal::TimestampUnreadable)?;
        check_age(at, now, SignedDuration::from_secs(self.tolerance_seconds.into()))?;
        Ok(text)
    }

    /// The signatures that we can read. Those of other versions, and what is no signature at all, are skipped.
    ///
    /// Each one holds one comma, between its version and itself. API Gateway joins doubled headers by a comma, so where
    /// two lists meet, one of them holds more, or begins with one: `v1,AAAA` and `v1,BBBB` become `v1,AAAA,v1,BBBB`.
    fn presented(&self, headers: &Headers<'_>) -> Result<Vec<Presented>, Refusal> {
        let text = headers.present(&self.signature_header)?;
        let entries: Vec<_> = text.split(' ').filter(|entry| !entry.is_empty()).collect();
        if entries.iter().any(|entry| entry.starts_with(',') || entry.matches(',').count() > 1) {
            return Err(Refusal::HeaderDoubled { header: self.signature_header.clone() });
        }
        let presented: Vec<_> = entries.iter().filter_map(|entry| Presented::read(entry)).collect();
        if presented.is_empty() || entries.len() > MAX_SIGNATURES {
            return Err(Refusal::Malformed { wanted: "a list of one to sixteen with a `v1` or `v1a` in it" });
        }
        Ok(presented)
    }

    /// The headers that a sender would add. The id is the body's: the same event has the same one, as it should.
    pub(super) fn sign(&self, body: &[u8], key: &str, now: Timestamp) -> Result<Vec<(String, String)>, SignError> {
        let id = format!("msg_{}", &sha256_hex(body)[..24]);
        let timestamp = now.as_second().to_string();
        let signature = sign(key, &signed_bytes(&id, &timestamp, body))?;
        let names = [&self.id_header, &self.timestamp_header, &self.signature_header];
        Ok(names.into_iter().cloned().zip([id, timestamp, signature]).collect())
    }
}

impl Key {
    /// Whether this key made any of the signatures. All are tried.
    fn proves(&self, signed: &[u8], presented: &[Presented]) -> bool {
        let is_ours: &dyn Fn(&Presented) -> bool = match self {
            Self::Secret(secret) => {
                let mac = mac(secret, signed);
                // `verify_slice` compares in constant time.
                &move |one| matches!(one, Presented::Hmac(tag) if mac.clone().verify_slice(tag).is_ok())
            }
            Self::Public(key) => &|one| matches!(one, Presented::Ed25519(one) if ed25519::proves(key, signed, one)),
        };
        presented.iter().filter(|one| is_ours(one)).count() > 0
    }
}

impl Presented {
    fn read(entry: &str) -> Option<Self> {
        let (version, text) = entry.split_once(',')?;
        let bytes = BASE64.decode(text).ok()?;
        match (version, bytes.len()) {
            ("v1", 32) => Some(Self::Hmac(bytes)),
            ("v1a", 64) => Some(Self::Ed25519(bytes)),
            _ => None,
        }
    }
}

/// A key of ours, by what stands before it.
pub(super) fn key(text: &str) -> Option<Key> {
    let text = text.trim();
    if text.starts_with(ed25519::PUBLIC) {
        return ed25519::public_key(text).map(Key::Public);
    }
    let secret = base64(text.strip_prefix(SECRET).or_else(|| shared_secret(text))?)?;
    (!secret.is_empty()).then_some(Key::Secret(secret))
}

fn sign(text: &str, signed: &[u8]) -> Result<String, SignError> {
    if let Some(private) = ed25519::private_key(text) {
        return Ok(format!("v1a,{}", BASE64.encode(private.sign(signed).to_bytes())));
    }
    let Some(Key::Secret(secret)) = key(text) else {
        return Err(SignError::WrongKey { wanted: "`whsec_` or `whsk_` and base64" });
    };
    Ok(format!("v1,{}", BASE64.encode(mac(&secret, signed).finalize().into_bytes())))
}

fn signed_bytes(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

/// The headers that prove a post of ours, by the specification's names: a signature by each of the keys that can sign, so
/// that one can be replaced while both are known to the receiver.
///
/// # Errors
/// [`SignError::WrongKey`] if none of the keys can sign.
pub fn sign_webhook(
    id: &str,
    body: &[u8],
    keys: &[SecretString],
    now: Timestamp,
) -> Result<[(&'static str, String); 3], SignError> {
    let timestamp = now.as_second().to_string();
    let signed = signed_bytes(id, &timestamp, body);
    let signatures: Vec<_> = keys.iter().map(|key| sign(key.expose_secret(), &signed)).collect();
    let made: Vec<_> = signatures.iter().flatten().map(String::as_str).collect();
    if made.is_empty() {
        let wanted = "`whsec_` or `whsk_` and base64";
        return Err(signatures.into_iter().find_map(Result::err).unwrap_or(SignError::WrongKey { wanted }));
    }
    let signature = made.join(" ");
    Ok([("webhook-id", id.to_owned()), ("webhook-timestamp", timestamp), ("webhook-signature", signature)])
}

/// The shared secret whose bytes are `random`.
pub(super) fn new_key(random: &[u8; 32]) -> KeyPair {
    let secret = Zeroizing::new(BASE64.encode(random));
    KeyPair { signing: format!("{SECRET}{}", *secret).into(), private: None }
}
