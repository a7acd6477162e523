//! The keys of a deployment, in Secrets Manager.

use super::{Document, KeyStore, KeysError};
use crate::{CliError, aws_secret::AwsSecret};
use aws_sdk_secretsmanager::Client;
use certbridge_platform::secrets::API_KEYS;
use serde_json::Value;

/// What to do if the secret is not there.
const ADVICE: &str = "the deployment makes it (see template.yaml; --prefix is its SecretPrefix). If it is there, \
                      but without a text, give it this one: {\"keys\": []}";

/// The keys of a deployment.
#[derive(Debug, Clone)]
pub struct AwsKeys(AwsSecret);

impl AwsKeys {
    /// The keys of the deployment whose secrets begin with `prefix`.
    pub fn new(client: Client, prefix: &str) -> Self {
        Self(AwsSecret::new(client, format!("{prefix}{API_KEYS}"), ADVICE))
    }
}

impl KeyStore for AwsKeys {
    async fn read(&self) -> Result<Document, CliError> {
        Ok(Document::parse(&self.0.read().await?)?)
    }

    async fn update(
        &self,
        mut edit: impl FnMut(&mut Document) -> Result<(), KeysError> + Send,
    ) -> Result<(), CliError> {
        let change = |text: &str| {
            let before = Document::parse(text)?;
            let mut document = before.clone();
            edit(&mut document)?;
            Ok((document != before).then(|| Value::from(document).to_string()))
        };
        self.0.update(change).await
    }
}
