//! A shared secret that the sender repeats, in a header or in the path.

use super::{Delivery, Keys, Refusal};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The declaration of a token: the header that holds it, or else the path.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The header that holds it. Without one, the token stands in the path, as `/webhooks/{source}/{token}`.
    #[serde(default)]
    pub header: Option<String>,
}

impl Token {
    pub(super) fn prove(&self, delivery: &Delivery<'_>, keys: &Keys) -> Result<String, Refusal> {
        let token = match &self.header {
            Some(header) => delivery.headers.single(header)?,
            None => delivery.path_token.filter(|token| !token.is_empty()).ok_or(Refusal::TokenMissing)?,
        };
        // Digests have one length, so the comparison's time tells nothing of the key's own.
        let given = Sha256::digest(token.as_bytes());
        keys.find(|key| Sha256::digest(key).ct_eq(&given).into())
    }

    pub(super) fn sign(&self, key: &SecretString) -> Vec<(String, String)> {
        self.header.iter().map(|header| (header.clone(), key.expose_secret().to_owned())).collect()
    }
}
