//! A shared secret that the sender repeats, in a header or in the path.

use super::{Delivery, Keys, Refusal, SignError, key_text::shared_secret};
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
        let keys = keys.usable(shared_secret)?;
        let token = match &self.header {
            Some(header) => delivery.headers.single(header)?,
            None => delivery.path_token.filter(|token| !token.is_empty()).ok_or(Refusal::TokenMissing)?,
        };
        // Digests have one length, so the comparison's time tells nothing of the key's own.
        let given = Sha256::digest(token.as_bytes());
        keys.find(|key| Sha256::digest(key.as_bytes()).ct_eq(&given).into())
    }

    pub(super) fn sign(&self, key: &str) -> Result<Vec<(String, String)>, SignError> {
        let token = shared_secret(key).ok_or(SignError::WrongKey { wanted: "a shared secret" })?;
        Ok(self.header.iter().map(|header| (header.clone(), token.to_owned())).collect())
    }
}
