//! RSA with SHA-256 over the body, or over `{timestamp}.{body}`.
//!
//! A key is a public one of 2048 to 8192 bits: `SubjectPublicKeyInfo` or PKCS#1, each in PEM or as base64 of its DER.
//! Certificates are no keys, nor are keys whose own identifier binds them to RSASSA-PSS. The salt of PSS has the length
//! of the digest, 32 bytes, as RFC 8017 proposes and most senders have it; another length is refused.

use super::{
    Delivery, KeyPair, Keys, Refusal, SignError,
    key_text::{der, pem},
    signature::{Encoding, Form, SignedTimestamp, signed_bytes},
};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair as PrivateKey, KeySize, PublicKey},
    signature::{self, KeyPair as _, ParsedPublicKey, RsaEncoding, RsaParameters, VerificationAlgorithm},
};
use jiff::Timestamp;
use serde::Deserialize;
use std::ops::RangeInclusive;

/// What the library verifies; less can be broken, and more takes too long.
const BITS: RangeInclusive<u32> = 2048..=8192;

/// The declaration of an RSA proof.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RsaSha256 {
    /// The header that holds the signature.
    pub header: String,
    /// How the digest is padded.
    #[serde(default)]
    pub padding: Padding,
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

/// How a digest is padded (RFC 8017). A signature under the one is never taken for the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// RSASSA-PKCS1-v1_5.
    #[default]
    Pkcs1v15,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256, and a salt of 32 bytes.
    Pss,
}

impl Padding {
    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Pkcs1v15 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Pss => &signature::RSA_PSS_2048_8192_SHA256,
        }
    }

    fn signing(self) -> &'static dyn RsaEncoding {
        match self {
            Self::Pkcs1v15 => &signature::RSA_PKCS1_SHA256,
            Self::Pss => &signature::RSA_PSS_SHA256,
        }
    }
}

impl RsaSha256 {
    pub(super) fn form(&self) -> Form<'_> {
        Form {
            header: &self.header,
            encoding: self.encoding,
            prefix: &self.prefix,
            timestamp: self.timestamp.as_ref(),
            // As long as the modulus, which the verification compares.
            bytes: 256..=1024,
            wanted: ["512 to 2048 hexadecimal digits", "base64 of 256 to 1024 bytes"],
        }
    }

    /// A key, parsed for the declared padding.
    pub(super) fn public_key(&self, text: &str) -> Option<ParsedPublicKey> {
        let key = public_key(&der(text, &["PUBLIC KEY", "RSA PUBLIC KEY"])?)?;
        ParsedPublicKey::new(self.padding.verification(), key).ok()
    }

    pub(super) fn prove(&self, delivery: &Delivery<'_>, keys: &Keys, now: Timestamp) -> Result<String, Refusal> {
        let keys = keys.usable(|text| self.public_key(text))?;
        let (signature, timestamp) = self.form().read(delivery, now)?;
        let signed = signed_bytes(timestamp, delivery.body);
        keys.find(|key| key.verify_sig(&signed, &signature).is_ok())
    }

    pub(super) fn sign(&self, body: &[u8], key: &str, now: Timestamp) -> Result<Vec<(String, String)>, SignError> {
        let key = private_key(key).ok_or(SignError::WrongKey { wanted: "a private RSA key in PKCS#8" })?;
        self.form().write(body, now, |signed| {
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(self.padding.signing(), &SystemRandom::new(), signed, &mut signature)?;
            Ok(signature)
        })
    }
}

/// Whether these bytes are a public key, whichever scheme they were meant for.
pub(super) fn is_public_key(der: &[u8]) -> bool {
    PublicKey::from_der(der).is_ok()
}

/// The one key that the bytes are, wholly: the library does not look at what follows it.
fn public_key(der: &[u8]) -> Option<PublicKey> {
    let key = PublicKey::from_der(der).ok()?;
    let is_whole = key.as_ref() == der || key.as_der().ok()?.as_ref() == der;
    let bits = RsaParameters::public_modulus_len(key.as_ref()).ok()?;
    (is_whole && BITS.contains(&bits)).then_some(key)
}

fn private_key(text: &str) -> Option<PrivateKey> {
    PrivateKey::from_pkcs8(&der(text, &["PRIVATE KEY"])?).ok()
}

/// A fresh pair of 2048 bits.
pub(super) fn new_key() -> Result<KeyPair, SignError> {
    let key = PrivateKey::generate(KeySize::Rsa2048)?;
    let private: Pkcs8V1Der<'_> = key.as_der()?;
    Ok(KeyPair {
        signing: pem("PUBLIC KEY", key.public_key().as_der()?.as_ref()).into(),
        private: Some(pem("PRIVATE KEY", private.as_ref()).into()),
    })
}
