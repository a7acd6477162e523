//! HMAC-SHA256 over the body, or over `{timestamp}.{body}`. The key is the text of the secret, as it stands.

use super::{
    Delivery, Keys, Refusal, SignError,
    key_text::shared_secret,
    signature::{Encoding, Form, SignedTimestamp, signed_bytes},
};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::Deserialize;
use sha2::Sha256;

/// The declaration of an HMAC-SHA256 proof.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HmacSha256 {
    /// The header that holds the signature.
    pub header: String,
    /// How the signature is written.
    #[serde(default = "Encoding::hex")]
    pub encoding: Encoding,
    /// What may stand before it, such as `sha256=`. A signature without it is taken too.
    #[serde(default)]
    pub prefix: String,
    /// The timestamp that is signed along with the body, if one is.
    #[serde(default)]
    pub timestamp: Option<SignedTimestamp>,
}

impl HmacSha256 {
    pub(super) fn form(&self) -> Form<'_> {
        Form {
            header: &self.header,
            encoding: self.encoding,
            prefix: &self.prefix,
            timestamp: self.timestamp.as_ref(),
            bytes: 32..=32,
            wanted: ["64 hexadecimal digits", "44 characters of base64"],
        }
    }

    pub(super) fn prove(&self, delivery: &Delivery<'_>, keys: &Keys, now: Timestamp) -> Result<String, Refusal> {
        let keys = keys.usable(shared_secret)?;
        let (signature, timestamp) = self.form().read(delivery, now)?;
        let signed = signed_bytes(timestamp, delivery.body);
        // `verify_slice` compares in constant time.
        keys.find(|key| mac(key.as_bytes(), &signed).verify_slice(&signature).is_ok())
    }

    pub(super) fn sign(&self, body: &[u8], key: &str, now: Timestamp) -> Result<Vec<(String, String)>, SignError> {
        let key = shared_secret(key).ok_or(SignError::WrongKey { wanted: "a shared secret" })?;
        self.form().write(body, now, |signed| Ok(mac(key.as_bytes(), signed).finalize().into_bytes().to_vec()))
    }
}

pub(super) fn mac(key: &[u8], signed: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC hashes a key that is longer than its block and pads a shorter one")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(signed);
    mac
}
