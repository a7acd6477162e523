//! The secrets of a bundle, wherever it keeps them.

use super::{Document, SecretsError};
use crate::{CliError, aws_secret::AwsSecret, keys::KeysError, local::SecretsFile, place::Place};
use aws_sdk_secretsmanager::{
    Client,
    error::ProvideErrorMetadata,
    operation::list_secrets::ListSecretsOutput,
    types::{Filter, FilterNameStringType},
};
use certbridge_platform::{Env, aws, config::DEFAULT_SECRET_PREFIX};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::path::Path;

/// What to do if a secret is not there.
const ADVICE: &str = "`certbridge init` makes it";

/// All secrets of a bundle.
#[derive(Debug, Clone)]
pub enum SecretStore {
    /// Of a data folder.
    Folder(SecretsFile),
    /// Of a deployment.
    Aws {
        /// Secrets Manager.
        client: Client,
        /// What their names begin with.
        prefix: String,
    },
}

/// A secret as it was read.
#[derive(Debug, Clone)]
pub struct Held {
    /// What it holds.
    pub document: Document,
    /// Since when it holds that, where that is known: no key in it is newer.
    pub since: Option<Timestamp>,
}

impl SecretStore {
    /// Those of a data folder.
    pub fn in_folder(folder: &Path) -> Self {
        Self::Folder(SecretsFile::in_folder(folder))
    }

    /// Those of the bundle that is meant. Its tables are not looked for.
    pub async fn open(place: &Place, env: &Env) -> Result<Self, CliError> {
        if !place.aws && place.stack.is_none() {
            return Ok(Self::in_folder(&place.data));
        }
        let mut vars = env.reader();
        let default = vars.parsed("SECRET_PREFIX", DEFAULT_SECRET_PREFIX.to_owned());
        vars.finish()?;
        let prefix = place.prefix.clone().unwrap_or(default);
        Ok(Self::Aws { client: Client::new(&aws::sdk_config().await), prefix })
    }

    /// Where a person finds them.
    pub fn place(&self) -> String {
        match self {
            Self::Folder(file) => file.path().display().to_string(),
            Self::Aws { prefix, .. } => format!("Secrets Manager, under {prefix}"),
        }
    }

    /// The names of those that there are, after the prefix.
    pub async fn names(&self) -> Result<Vec<String>, CliError> {
        match self {
            Self::Folder(file) => Ok(file.read()?.into_iter().map(|(name, _)| name).collect()),
            Self::Aws { client, prefix } => {
                let mut request = client.list_secrets();
                if !prefix.is_empty() {
                    let of = Filter::builder().key(FilterNameStringType::Name).values(prefix).build();
                    request = request.filters(of);
                }
                let listed = request.into_paginator().send().try_collect().await;
                let listed = listed.map_err(|error| KeysError::Aws {
                    action: "ListSecrets",
                    name: prefix.clone(),
                    message: error.code().unwrap_or("no usable answer").to_owned(),
                })?;
                let entries =
                    listed.into_iter().flat_map(|page: ListSecretsOutput| page.secret_list.unwrap_or_default());
                let names = entries.filter_map(|entry| entry.name);
                // The filter looks at words of a name, and without regard to case.
                let mut names: Vec<_> =
                    names.filter_map(|name| name.strip_prefix(prefix.as_str()).map(str::to_owned)).collect();
                names.retain(|name| is_ours(name));
                names.sort();
                Ok(names)
            }
        }
    }

    /// Reads one; `None` if there is none.
    pub async fn read(&self, name: &str) -> Result<Option<Held>, CliError> {
        match self {
            Self::Folder(file) => {
                let secret = file.read()?.remove(name);
                let document = secret.map(|secret| Document::new(name, secret)).transpose()?;
                Ok(document.map(|document| Held { document, since: None }))
            }
            Self::Aws { client, prefix } => match aws_secret(client, prefix, name).read_dated().await {
                Ok((text, since)) => Ok(Some(Held { document: Document::parse(name, &text)?, since })),
                Err(KeysError::Missing { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Changes one, and loses nobody else's change: where one comes in between, `edit` is asked again.
    pub async fn update(
        &self,
        name: &str,
        mut edit: impl FnMut(&mut Document) -> Result<(), SecretsError> + Send,
    ) -> Result<(), CliError> {
        match self {
            Self::Folder(file) => file.update(|secrets| {
                let secret = secrets.get(name).ok_or_else(|| SecretsError::Missing(name.to_owned()))?;
                let mut document = Document::new(name, secret.clone())?;
                edit(&mut document)?;
                secrets.insert(name.to_owned(), document.into_value());
                Ok(())
            }),
            Self::Aws { client, prefix } => {
                let change = |text: &str| {
                    let before = Document::parse(name, text)?;
                    let mut document = before.clone();
                    edit(&mut document)?;
                    Ok((document != before).then(|| document.into_value().to_string()))
                };
                aws_secret(client, prefix, name).update(change).await
            }
        }
    }

    /// As [`Self::update`], of a secret that may not be there yet: then of an empty one.
    pub async fn make(
        &self,
        name: &str,
        mut edit: impl FnMut(&mut Document) -> Result<(), SecretsError> + Send,
    ) -> Result<(), CliError> {
        match self {
            Self::Folder(file) => file.update(|secrets| {
                let secret = secrets.remove(name).unwrap_or_else(|| Map::new().into());
                let mut document = Document::new(name, secret)?;
                edit(&mut document)?;
                secrets.insert(name.to_owned(), document.into_value());
                Ok(())
            }),
            Self::Aws { client, prefix } => {
                if self.read(name).await?.is_some() {
                    return self.update(name, edit).await;
                }
                let mut document = Document::new(name, Value::Object(Map::new()))?;
                edit(&mut document)?;
                Ok(aws_secret(client, prefix, name).create(document.into_value().to_string()).await?)
            }
        }
    }
}

fn aws_secret(client: &Client, prefix: &str, name: &str) -> AwsSecret {
    AwsSecret::new(client.clone(), format!("{prefix}{name}"), ADVICE)
}

/// Whether anything of ours reads a secret of this name.
pub(crate) fn is_ours(name: &str) -> bool {
    let below = |of: &str| name.strip_prefix(of).is_some_and(|rest| !rest.is_empty() && !rest.contains('/'));
    ["api-keys", "audit"].contains(&name) || below("sources/") || below("destinations/")
}
