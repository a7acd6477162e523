//! `certbridge sign`: what a sender would add to a body.

use crate::{
    CliError,
    local::{SecretsFile, tables},
};
use certbridge_mapping::{Definitions, SourceDefinition, verify::Scheme};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::path::Path;

/// What proves a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Where it is to be sent, below the bundle's address: some sources prove themselves by a token in the path.
    pub path: String,
    /// The headers to send along.
    pub headers: Vec<(String, String)>,
}

/// What proves that `body`, sent at `now`, is from a source of a data folder, by the built-in definition of that source.
pub fn sign(data: &Path, source: &str, body: &[u8], now: Timestamp) -> Result<Signed, CliError> {
    let definitions = Definitions::built_in();
    let definition = definitions.source(source).ok_or_else(|| CliError::UnknownSource(source.to_owned()))?;
    sign_as(data, definition, false, body, now)
}

/// As [`sign`], by the definition of that source that is in force, and with its `newest` key if that is wanted.
pub async fn sign_in_force(
    data: &Path,
    source: &str,
    newest: bool,
    body: &[u8],
    now: Timestamp,
) -> Result<Signed, CliError> {
    let definitions = tables::definitions(data).await?;
    let definition = definitions.source(source).ok_or_else(|| CliError::UnknownSource(source.to_owned()))?;
    sign_as(data, definition, newest, body, now)
}

fn sign_as(
    data: &Path,
    definition: &SourceDefinition,
    newest: bool,
    body: &[u8],
    now: Timestamp,
) -> Result<Signed, CliError> {
    let file = SecretsFile::in_folder(data);
    let secret = file.read()?.remove(&definition.secret_name()).unwrap_or_default();
    sign_with(file.path(), &secret, definition, newest, body, now)
}

/// As [`sign_as`], with the secret that stands at `place`.
pub(crate) fn sign_with(
    place: &Path,
    secret: &Value,
    definition: &SourceDefinition,
    newest: bool,
    body: &[u8],
    now: Timestamp,
) -> Result<Signed, CliError> {
    let key = signing_key(secret, newest);
    let key = key.ok_or_else(|| CliError::NoKey { path: place.to_owned(), name: definition.name.clone() })?;
    let headers = definition.sign(body, &key, now).map_err(|error| CliError::Sign(definition.name.clone(), error))?;
    let token = match &definition.verification {
        Scheme::Token(token) if token.header.is_none() => format!("/{}", key.expose_secret()),
        _ => String::new(),
    };
    Ok(Signed { path: format!("/webhooks/{}{token}", definition.name), headers })
}

/// What a sender signs with: the private key, where there are two, and else the first of those that are shared; or the
/// last, to which a rotation adds.
fn signing_key(secret: &Value, newest: bool) -> Option<SecretString> {
    let signing = &secret["signing"];
    let listed = || signing.as_array().and_then(|keys| if newest { keys.last() } else { keys.first() });
    let shared = || signing.as_str().or_else(|| listed()?.as_str());
    Some(secret["private_key"].as_str().or_else(shared)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sender_that_was_told_signs_with_what_was_added_last() {
        let key = |secret: &Value, newest| signing_key(secret, newest).map(|key| key.expose_secret().to_owned());
        let both = json!({"signing": ["old", "new"]});
        assert_eq!((key(&both, false).as_deref(), key(&both, true).as_deref()), (Some("old"), Some("new")));
        for secret in
            [json!({"signing": "one"}), json!({"signing": ["one"]}), json!({"signing": ["x"], "private_key": "one"})]
        {
            assert_eq!((key(&secret, false).as_deref(), key(&secret, true).as_deref()), (Some("one"), Some("one")));
        }
        assert_eq!((key(&json!({"signing": []}), true), key(&Value::Null, false)), (None, None));
    }
}
