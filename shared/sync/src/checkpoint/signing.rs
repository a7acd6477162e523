//! The keys that sign checkpoints (Ed25519).

use super::tree::Hash;
use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Why something is no key, or no signature. Never what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is nothing.
    #[error("the key is empty")]
    Empty,
    /// It is not of the form.
    #[error("the key is not base64 of 32 bytes")]
    Malformed,
    /// It is of the form, but anybody could sign for it, or nobody.
    #[error("the key is no point of the curve, or a weak one")]
    Weak,
    /// The signature is not of the form.
    #[error("the signature is not base64 of 64 bytes")]
    Signature,
}

/// Signs checkpoints. Its secret is wiped when it is dropped.
pub struct Signer(SigningKey);

impl Signer {
    /// With a secret key: base64 of 32 random bytes.
    pub fn new(secret: &SecretString) -> Result<Self, KeyError> {
        let text = secret.expose_secret().trim();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        let seed = Zeroizing::new(decode::<32>(text).ok_or(KeyError::Malformed)?);
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// The key that proves what this one signs.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs. Ed25519 is deterministic: the same bytes have the same signature.
    pub(super) fn sign(&self, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(bytes).to_bytes())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public_key().id())
    }
}

/// Proves what its secret key signed. As text it is base64 of its 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The first 16 hex digits of its SHA-256.
    pub fn id(&self) -> String {
        let mut id = Hash::of(self.0.as_bytes()).to_string();
        id.truncate(16);
        id
    }

    /// Whether its secret key signed these bytes.
    pub(super) fn proves(&self, bytes: &[u8], signature: &Signature) -> bool {
        // Strictly: one message has one signature that holds, whoever checks it.
        self.0.verify_strict(bytes, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0.as_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        let bytes = decode::<32>(text).ok_or(KeyError::Malformed)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Weak)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }
}

/// A signature. As text it is base64 of its 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature([u8; 64]);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Signature {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        decode(&text).map(Self).ok_or(KeyError::Signature)
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        signature.to_string()
    }
}

/// So many bytes of base64, no more and no less. What was decoded on the way is wiped: it may be a secret.
fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    // A decoder asks for room for whole groups of three bytes.
    let mut room = Zeroizing::new([0; 66]);
    let length = BASE64_STANDARD.decode_slice(text, room.as_mut_slice()).ok()?;
    room[..length].try_into().ok()
}
