//! One secret of a deployment, in Secrets Manager, changed so that nobody else's change is lost.
//!
//! Secrets Manager has no conditional put, but it refuses to move a stage away from a version that does not have it.
//! So a change is put under a stage of our own, and then AWSCURRENT is moved to it from the very version that was read.

use crate::{CliError, keys::KeysError};
use aws_sdk_secretsmanager::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use jiff::Timestamp;

/// What a version is called until it is in force. One name for all: a change that failed leaves one version behind.
const STAGE: &str = "CERTBRIDGE_KEYS";
const CURRENT: &str = "AWSCURRENT";
/// How often a change is tried while others change the secret too.
const TRIES: usize = 5;

/// A secret of a deployment.
#[derive(Debug, Clone)]
pub(crate) struct AwsSecret {
    client: Client,
    name: String,
    /// What to do if it is not there.
    advice: &'static str,
}

impl AwsSecret {
    pub(crate) fn new(client: Client, name: String, advice: &'static str) -> Self {
        Self { client, name, advice }
    }

    /// Its text.
    pub(crate) async fn read(&self) -> Result<String, KeysError> {
        Ok(self.current().await?.0)
    }

    /// Its text, and since when it holds that.
    pub(crate) async fn read_dated(&self) -> Result<(String, Option<Timestamp>), KeysError> {
        let (text, _, since) = self.current().await?;
        Ok((text, since))
    }

    /// Makes it, where there is none.
    pub(crate) async fn create(&self, text: String) -> Result<(), KeysError> {
        let made = self.client.create_secret().name(&self.name).secret_string(text).send().await;
        made.map(drop).map_err(|error| self.failed("CreateSecret", told(&error)))
    }

    /// Puts in its place what `edit` makes of it, if it makes something else. Where somebody else's change comes in
    /// between, `edit` is asked again, with the newer text.
    pub(crate) async fn update(
        &self,
        mut edit: impl FnMut(&str) -> Result<Option<String>, CliError> + Send,
    ) -> Result<(), CliError> {
        for _ in 0..TRIES {
            let (text, version, _) = self.current().await?;
            let Some(edited) = edit(&text)? else { return Ok(()) };
            if self.enforce(&self.put(edited).await?, &version).await? {
                return Ok(());
            }
        }
        Err(KeysError::Contended { name: self.name.clone(), tries: TRIES }.into())
    }

    /// The text in force, its version, and since when there is that version.
    async fn current(&self) -> Result<(String, String, Option<Timestamp>), KeysError> {
        let answer = self.client.get_secret_value().secret_id(&self.name).send().await;
        let secret = answer.map_err(|error| match error.code() {
            Some("ResourceNotFoundException") => self.missing(),
            _ => self.failed("GetSecretValue", told(&error)),
        })?;
        let since = secret.created_date.and_then(|date| Timestamp::from_second(date.secs()).ok());
        match (secret.secret_string, secret.version_id) {
            (Some(text), Some(version)) => Ok((text, version, since)),
            _ => Err(self.missing()),
        }
    }

    /// Stores a text that is not in force yet, and says which version it is.
    async fn put(&self, text: String) -> Result<String, KeysError> {
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
            Ok((_, now, _)) if now == version => Ok(true),
            Ok(_) if moved => Ok(false),
            _ => Err(KeysError::InDoubt { name: self.name.clone(), message: told(&error) }),
        }
    }

    fn missing(&self) -> KeysError {
        KeysError::Missing { name: self.name.clone(), advice: self.advice }
    }

    fn failed(&self, action: &'static str, message: String) -> KeysError {
        KeysError::Aws { action, name: self.name.clone(), message }
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
