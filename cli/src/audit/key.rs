//! The key that signs checkpoints, and its public half.

use super::AuditError;
use crate::{CliError, aws_secret::AwsSecret, local::SecretsFile, place::Bundle};
use base64::{Engine, prelude::BASE64_STANDARD};
use certbridge_platform::{SecretProvider, SystemRuntime, aws, secrets::AuditSecret};
use certbridge_sync::{
    checkpoint::{PublicKey, Signer},
    ports::Runtime,
};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use std::{fs, path::Path};

/// The secret of the audit's keys.
const AUDIT: &str = "audit";
const ADVICE: &str = "the deployment makes it (see template.yaml; --prefix is its SecretPrefix)";

/// What signs a bundle's checkpoints; `None` if they are not signed.
pub(super) async fn signer(bundle: &Bundle) -> Result<Option<Signer>, CliError> {
    let text = match bundle {
        Bundle::Local { data, .. } => SecretProvider::read(&SecretsFile::in_folder(data), AUDIT).await?,
        Bundle::Deployed { secrets, .. } => secrets.read(AUDIT).await?,
    };
    let Some(text) = text else { return Ok(None) };
    let secret: AuditSecret = serde_json::from_str(text.expose_secret()).map_err(|_| AuditError::Secret)?;
    Ok(secret.signing_key.as_ref().map(Signer::new).transpose()?)
}

/// Makes a key, unless there is one: another one would not prove what was signed before.
pub(super) async fn make(bundle: &Bundle) -> Result<(), CliError> {
    let seed = [SystemRuntime.random().to_be_bytes(), SystemRuntime.random().to_be_bytes()].concat();
    let add = |members: &mut Map<String, Value>| {
        let there = members.get("signing_key").and_then(Value::as_str).is_some_and(|key| !key.trim().is_empty());
        if !there {
            members.insert("signing_key".to_owned(), BASE64_STANDARD.encode(&seed).into());
        }
        !there
    };
    match bundle {
        Bundle::Local { data, .. } => SecretsFile::in_folder(data).update(|secrets| {
            let secret = secrets.entry(AUDIT).or_insert_with(|| Value::Object(Map::new()));
            add(secret.as_object_mut().ok_or(AuditError::Secret)?);
            Ok(())
        }),
        Bundle::Deployed { prefix, .. } => {
            let client = aws_sdk_secretsmanager::Client::new(&aws::sdk_config().await);
            let change = |text: &str| {
                // The parser's own words may quote the secret.
                let mut members: Map<String, Value> = serde_json::from_str(text).map_err(|_| AuditError::Secret)?;
                Ok(add(&mut members).then(|| Value::Object(members).to_string()))
            };
            AwsSecret::new(client, format!("{prefix}{AUDIT}"), ADVICE).update(change).await
        }
    }
}

/// The public keys that were given: each itself, or a file with one a line.
pub(super) fn given(keys: &[String]) -> Result<Vec<PublicKey>, CliError> {
    let mut all = Vec::new();
    for given in keys {
        if let Ok(key) = given.parse() {
            all.push(key);
            continue;
        }
        let wrong = || AuditError::PublicKey(given.clone());
        let path = Path::new(given);
        if !path.is_file() {
            return Err(wrong().into());
        }
        let text = fs::read_to_string(path).map_err(CliError::file(path))?;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            all.push(line.parse().map_err(|_| wrong())?);
        }
    }
    Ok(all)
}
