//! The keys of a deployment, in Secrets Manager.
//!
//! Secrets Manager has no conditional put, but it refuses to move a stage away from a version that does not have it.
//! So a change is put under a stage of our own, and then AWSCURRENT is moved to it from the very version that was read.

use super::{Document, KeyStore, KeysError};
use crate::CliError;
use aws_sdk_secretsmanager::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use certbridge_platform::secrets::API_KEYS;
use serde_json::Value;

/// What a version is called until it is in force. One name for all: a change that failed leaves one version behind.
const STAGE: &str = "CERTBRIDGE_KEYS";
const CURRENT: &str = "AWSCURRENT";
/// How often a change is tried while others change the secret too.
const TRIES: usize = 5;

/// The keys of a deployment.
#[derive(Debug, Clone)]
pub struct AwsKeys {
    client: Client,
    name: String,
}

impl AwsKeys {
    /// The keys of the deployment whose secrets begin with `prefix`.
    pub fn new(client: Client, prefix: &str) -> Self {
        Self { client, name: format!("{prefix}{API_KEYS}") }
    }

    /// The text in force, and its version.
    async fn current(&self) -> Result<(String, String), KeysError> {
        let answer = self.client.get_secret_value().secret_id(&self.name).send().await;
        let secret = answer.map_err(|error| match error.code() {
            Some("ResourceNotFoundException") => self.missing(),
            _ => self.failed("GetSecretValue", told(&error)),
        })?;
        match (secret.secret_string, secret.version_id) {
            (Some(text), Some(version)) => Ok((text, version)),
            _ => Err(self.missing()),
        }
    }

    /// Stores a document that is not in force yet, and says which version it is.
    async fn put(&self, document: Document) -> Result<String, KeysError> {
        let text = Value::from(document).to_string();
        let put = self.client.put_secret_value().secret_id(&self.name).version_stages(STAGE).secret_string(text);
        let failed = |message| self.failed("PutSecretValue", message);
        let answer = put.send().await.map_err(|error| failed(told(&error)))?;
        answer.version_id.ok_or_else(|| failed("no version in the answer".into()))
    }

    /// Puts a version in force instead of another one. Says whether it is: it is not if the other one was not any more.
    async fn enforce(&self, version: &str, instead_of: &str) -> Result<bool, KeysError> {
        let step = self.client.update_secret_version_stage().secret_id(&self.name).version_stage(CURRENT);
        let Err(error) = step.move_to_version_id(version).remove_from_version_id(instead_of).send().await else {
            return Ok(true);
        };
        let moved = matches!(error.code(), Some("InvalidParameterException" | "ResourceNotFoundException"));
        let refused = matches!(&error, SdkError::ServiceError(answer) if answer.raw().status().is_client_error());
        if refused && !moved {
            return Err(self.failed("UpdateSecretVersionStage", told(&error)));
        }
        // What is refused, or not answered, may have been done at a try whose answer was lost.
        match self.current().await {
            Ok((_, now)) if now == version => Ok(true),
            Ok(_) if moved => Ok(false),
            _ => Err(KeysError::InDoubt { name: self.name.clone(), message: told(&error) }),
        }
    }

    fn missing(&self) -> KeysError {
        let advice = "the deployment makes it (see template.yaml; --prefix is its SecretPrefix). If it is there, \
                      but without a text, give it this one: {\"keys\": []}";
        KeysError::Missing { name: self.name.clone(), advice }
    }

    fn failed(&self, action: &'static str, message: String) -> KeysError {
        KeysError::Aws { action, name: self.name.clone(), message }
    }
}

impl KeyStore for AwsKeys {
    async fn read(&self) -> Result<Document, CliError> {
        Ok(Document::parse(&self.current().await?.0)?)
    }

    async fn update(
        &self,
        mut edit: impl FnMut(&mut Document) -> Result<(), KeysError> + Send,
    ) -> Result<(), CliError> {
        for _ in 0..TRIES {
            let (text, version) = self.current().await?;
            let before = Document::parse(&text)?;
            let mut document = before.clone();
            edit(&mut document)?;
            if document == before || self.enforce(&self.put(document).await?, &version).await? {
                return Ok(());
            }
        }
        Err(KeysError::Contended { name: self.name.clone(), tries: TRIES }.into())
    }
}

/// What happened, in words for the operator. Never the error's whole chain, and of AWS's own words only those that say
/// who may not do what: others may quote the secret.
fn told<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> String {
    match error {
        SdkError::ServiceError(context) => {
            let error = context.err();
            let code = error.code().unwrap_or("an error without a code");
            match (code, error.message()) {
                ("AccessDeniedException", Some(message)) => format!("{code}: {message}"),
                ("InvalidRequestException", _) => format!("{code}: is it marked for deletion, or a replica?"),
                _ => code.to_owned(),
            }
        }
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::ConstructionFailure(_) => "the request could not be made: is a region set?".to_owned(),
        SdkError::DispatchFailure(_) => {
            "no connection, or no region or credentials; RUST_LOG=warn tells more".to_owned()
        }
        _ => "no usable answer".to_owned(),
    }
}
