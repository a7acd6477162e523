//! The other side, for local use: a sender's keys, and the headers that it would add.

use super::{Scheme, ed25519, rsa, standard_webhooks};
use crate::definition::SourceDefinition;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

/// What a source's deliveries are proven by, and what its sender signs with.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// The public key, or the shared secret, as it stands in the secret's `signing`.
    pub signing: SecretString,
    /// The private key, where there is one. The sender alone has it; it is none of the receiver's.
    pub private: Option<SecretString>,
}

impl KeyPair {
    /// The key that [`SourceDefinition::sign`] takes.
    pub fn signer(&self) -> &SecretString {
        self.private.as_ref().unwrap_or(&self.signing)
    }
}

/// Why nothing was signed, or no key made. Never what the key was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key is not of the sort that the scheme signs with.
    #[error("the key is not {wanted}")]
    WrongKey {
        /// What it should have been.
        wanted: &'static str,
    },
    /// The library failed.
    #[error("the library failed to sign, or to make a key")]
    Failed,
}

impl From<aws_lc_rs::error::Unspecified> for SignError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Failed
    }
}

impl SourceDefinition {
    /// The headers that a sender who holds `key` would add to `body`: for `certbridge sign`, the demo and the tests.
    /// A token in the path is not among them.
    ///
    /// The key is the shared secret; for RSA and Ed25519 the private key, which proves nothing and so stands in no
    /// source's `signing`.
    ///
    /// # Errors
    /// [`SignError::WrongKey`] if the key is of another sort.
    pub fn sign(&self, body: &[u8], key: &SecretString, now: Timestamp) -> Result<Vec<(String, String)>, SignError> {
        let key = key.expose_secret();
        match &self.verification {
            Scheme::HmacSha256(scheme) => scheme.sign(body, key, now),
            Scheme::RsaSha256(scheme) => scheme.sign(body, key, now),
            Scheme::Ed25519(scheme) => scheme.sign(body, key, now),
            Scheme::StandardWebhooks(scheme) => scheme.sign(body, key, now),
            Scheme::Token(scheme) => scheme.sign(key),
        }
    }

    /// A fresh key of the source's scheme, made of `random` bytes: for a local start.
    ///
    /// An RSA key cannot be made of given bytes. Its library takes its own from the system and leaves these alone, so
    /// for `rsa-sha256` alone two calls with the same bytes give two keys.
    ///
    /// # Errors
    /// [`SignError::Failed`] if the library fails, which only RSA's can.
    pub fn new_key(&self, random: &[u8; 32]) -> Result<KeyPair, SignError> {
        match &self.verification {
            // Hexadecimal stands in a header, and in a path, as it is.
            Scheme::HmacSha256(_) | Scheme::Token(_) => {
                Ok(KeyPair { signing: hex::encode(random).into(), private: None })
            }
            Scheme::RsaSha256(_) => rsa::new_key(),
            Scheme::Ed25519(_) => Ok(ed25519::new_key(random)),
            Scheme::StandardWebhooks(_) => Ok(standard_webhooks::new_key(random)),
        }
    }
}
