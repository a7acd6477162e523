//! The secret of one source, wherever it is, and what is changed in it.

use super::SubscriptionsError;
use crate::{CliError, aws_secret::AwsSecret, local::SecretsFile};
use aws_sdk_secretsmanager::Client;
use certbridge_mapping::SourceDefinition;
use serde_json::{Map, Value};
use std::path::Path;

/// What to do if the secret is not there.
const ADVICE: &str = "make it first, with what the source's API wants: {\"signing\": [], \"api_key\": \"..\"}";

/// Where the secret of a source is kept.
#[derive(Debug, Clone)]
pub struct SourceSecret {
    name: String,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Folder(SecretsFile),
    Aws(AwsSecret),
}

/// The members of a secret. Whatever nobody here knows of is kept.
pub(crate) type Members = Map<String, Value>;

impl SourceSecret {
    /// In a data folder.
    pub fn in_folder(folder: &Path, source: &SourceDefinition) -> Self {
        Self { name: source.secret_name(), place: Place::Folder(SecretsFile::in_folder(folder)) }
    }

    /// In Secrets Manager, in the deployment whose secrets begin with `prefix`.
    pub fn in_aws(client: Client, prefix: &str, source: &SourceDefinition) -> Self {
        let name = source.secret_name();
        let secret = AwsSecret::new(client, format!("{prefix}{name}"), ADVICE);
        Self { name, place: Place::Aws(secret) }
    }

    /// Its name after the prefix.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn read(&self) -> Result<Members, CliError> {
        match &self.place {
            Place::Folder(file) => self.of_file(&file.read()?),
            Place::Aws(secret) => self.of_text(&secret.read().await?),
        }
    }

    /// Changes it, and loses nobody else's change: where one comes in between, `edit` is asked again.
    pub(crate) async fn update(
        &self,
        edit: impl Fn(&mut Members) -> Result<(), SubscriptionsError> + Send + Sync,
    ) -> Result<(), CliError> {
        match &self.place {
            Place::Folder(file) => file.update(|secrets| {
                let mut members = self.of_file(secrets)?;
                edit(&mut members)?;
                secrets.insert(self.name.clone(), members.into());
                Ok(())
            }),
            Place::Aws(secret) => {
                let change = |text: &str| {
                    let before = self.of_text(text)?;
                    let mut members = before.clone();
                    edit(&mut members)?;
                    Ok((members != before).then(|| Value::Object(members).to_string()))
                };
                secret.update(change).await
            }
        }
    }

    fn of_file(&self, secrets: &Map<String, Value>) -> Result<Members, CliError> {
        let secret = secrets.get(&self.name).ok_or_else(|| SubscriptionsError::Missing(self.name.clone()))?;
        Ok(secret.as_object().cloned().ok_or_else(|| SubscriptionsError::NoObject(self.name.clone()))?)
    }

    fn of_text(&self, text: &str) -> Result<Members, CliError> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        // The parser's own words may quote the secret.
        Ok(serde_json::from_str(text).map_err(|_| SubscriptionsError::NoObject(self.name.clone()))?)
    }

    /// Puts a text into a list, if it is not there. A single text becomes a list first.
    pub(crate) fn add(
        &self,
        members: &mut Members,
        member: &'static str,
        text: &str,
    ) -> Result<(), SubscriptionsError> {
        let mut texts = self.texts(members, member)?;
        if !texts.iter().any(|there| there.trim() == text.trim()) {
            texts.push(text.to_owned());
            members.insert(member.to_owned(), texts.into());
        }
        Ok(())
    }

    /// Takes a text out of a list, if it is there. An empty list stays, since none at all would be something else.
    pub(crate) fn remove(
        &self,
        members: &mut Members,
        member: &'static str,
        text: &str,
    ) -> Result<(), SubscriptionsError> {
        let mut texts = self.texts(members, member)?;
        let before = texts.len();
        texts.retain(|there| there != text);
        if texts.len() < before {
            members.insert(member.to_owned(), texts.into());
        }
        Ok(())
    }

    pub(crate) fn texts(&self, members: &Members, member: &'static str) -> Result<Vec<String>, SubscriptionsError> {
        let wrong = || SubscriptionsError::NoList { name: self.name.clone(), member };
        match members.get(member) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text.clone()]),
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn secret() -> SourceSecret {
        SourceSecret { name: "sources/x".into(), place: Place::Folder(SecretsFile::in_folder(Path::new("."))) }
    }

    fn members(value: &Value) -> Members {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_is_there_stays_beside_what_is_new() {
        for (before, after) in [
            (json!({}), json!({"signing": ["new"]})),
            (json!({"signing": null, "api_key": "k"}), json!({"signing": ["new"], "api_key": "k"})),
            (json!({"signing": " "}), json!({"signing": ["new"]})),
            (json!({"signing": "old"}), json!({"signing": ["old", "new"]})),
            (json!({"signing": ["old", "other"]}), json!({"signing": ["old", "other", "new"]})),
            (json!({"signing": ["new\n"]}), json!({"signing": ["new\n"]})),
        ] {
            let mut changed = members(&before);
            secret().add(&mut changed, "signing", "new").unwrap();
            assert_eq!(Value::Object(changed), after, "{before}");
        }
    }

    #[test]
    fn a_list_that_becomes_empty_stays_a_list() {
        for (before, after) in [
            (json!({}), json!({})),
            (json!({"subscriptions": ["a"]}), json!({"subscriptions": []})),
            (json!({"subscriptions": ["a", "b", "a"]}), json!({"subscriptions": ["b"]})),
            (json!({"subscriptions": ["b"]}), json!({"subscriptions": ["b"]})),
        ] {
            let mut changed = members(&before);
            secret().remove(&mut changed, "subscriptions", "a").unwrap();
            assert_eq!(Value::Object(changed), after, "{before}");
        }
    }

    #[test]
    fn what_is_no_list_is_left_alone() {
        for wrong in [json!({"signing": 7}), json!({"signing": ["a", 7]}), json!({"signing": {"hush": 1}})] {
            let mut changed = members(&wrong);
            let error = secret().add(&mut changed, "signing", "new").unwrap_err();
            assert!(!error.to_string().contains("hush"));
            assert_eq!(Value::Object(changed), wrong);
        }
    }
}
