//! Ed25519 over the body, or over `{timestamp}.{body}`.
//!
//! A key is a public one: base64 of its 32 bytes, the same after `whpk_`, or `SubjectPublicKeyInfo` in PEM or as base64
//! of its DER. This is the implementation that signs checkpoints, rather than that of TLS: it refuses the weak keys, for
//! which anybody can sign (32 bytes of zero, a likely placeholder, are one), and the second forms of a signature.

use super::{
    Delivery, KeyPair, Keys, Refusal, SignError,
    key_text::{base64, der},
    signature::{Encoding, Form, SignedTimestamp, signed_bytes},
};
use aws_lc_rs::{
    encoding::{AsBigEndian, Curve25519SeedBin},
    signature::Ed25519KeyPair,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;

/// What stands before a public key in the text of Standard Webhooks.
pub(super) const PUBLIC: &str = "whpk_";
/// What stands before a private one.
const PRIVATE: &str = "whsk_";
/// What a `SubjectPublicKeyInfo` has before the 32 bytes of the key (RFC 8410).
const SPKI: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The declaration of an Ed25519 proof.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ed25519 {
    /// The header that holds the signature.
    pub header: String,
    /// How the signature is written.
    #[serde(default = "Encoding::base64")]
    pub encoding: Encoding,
    /// What may stand before it. A signature without it is taken too.
    #[serde(default)]
    pub prefix: String,
    /// The timestamp that is signed along with the body, if one is.
    #[serde(default)]
    pub timestamp: Option<SignedTimestamp>,
}

impl Ed25519 {
    pub(super) fn form(&self) -> Form<'_> {
        Form {
            header: &self.header,
            encoding: self.encoding,
            prefix: &self.prefix,
            timestamp: self.timestamp.as_ref(),
            bytes: 64..=64,
            wanted: ["128 hexadecimal digits", "88 characters of base64"],
        }
    }

    pub(super) fn prove(&self, delivery: &Delivery<'_>, keys: &Keys, now: Timestamp) -> Result<String, Refusal> {
        let keys = keys.usable(public_key)?;
        let (signature, timestamp) = self.form().read(delivery, now)?;
        let signed = signed_bytes(timestamp, delivery.body);
        keys.find(|key| proves(key, &signed, &signature))
    }

    pub(super) fn sign(&self, body: &[u8], key: &str, now: Timestamp) -> Result<Vec<(String, String)>, SignError> {
        let wanted = "a private Ed25519 key: `whsk_` and base64, or PKCS#8";
        let key = private_key(key).ok_or(SignError::WrongKey { wanted })?;
        self.form().write(body, now, |signed| Ok(key.sign(signed).to_bytes().to_vec()))
    }
}

/// Whether a signature is that of these bytes.
pub(super) fn proves(key: &VerifyingKey, signed: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok())
}

/// A public key that not everybody can sign for.
pub(super) fn public_key(text: &str) -> Option<VerifyingKey> {
    let bytes = match text.trim().strip_prefix(PUBLIC) {
        Some(raw) => base64(raw)?,
        None => der(text, &["PUBLIC KEY"])?,
    };
    let raw = bytes.strip_prefix(SPKI).unwrap_or(&bytes);
    let key = VerifyingKey::from_bytes(raw.try_into().ok()?).ok()?;
    (!key.is_weak()).then_some(key)
}

/// Whether these bytes are a public key with its identifier, whichever scheme they were meant for.
pub(super) fn is_spki(der: &[u8]) -> bool {
    der.starts_with(SPKI)
}

/// A private key: `whsk_` and base64 of its 32 bytes, or of these and the public key's; or PKCS#8.
pub(super) fn private_key(text: &str) -> Option<SigningKey> {
    let Some(raw) = text.trim().strip_prefix(PRIVATE) else {
        let pair = Ed25519KeyPair::from_pkcs8(&der(text, &["PRIVATE KEY"])?).ok()?;
        let seed: Curve25519SeedBin<'_> = pair.seed().ok()?.as_be_bytes().ok()?;
        return seed.as_ref().try_into().ok();
    };
    let bytes = base64(raw)?;
    match bytes.len() {
        64 => SigningKey::from_keypair_bytes(bytes.as_slice().try_into().ok()?).ok(),
        _ => bytes.as_slice().try_into().ok(),
    }
}

/// The pair whose private key is `random`.
pub(super) fn new_key(random: &[u8; 32]) -> KeyPair {
    let key = SigningKey::from_bytes(random);
    let private = Zeroizing::new(BASE64.encode(random));
    KeyPair {
        signing: format!("{PUBLIC}{}", BASE64.encode(key.verifying_key().as_bytes())).into(),
        private: Some(format!("{PRIVATE}{}", *private).into()),
    }
}
