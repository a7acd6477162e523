//! The keys of a data folder.

use super::{Document, KeyStore, KeysError};
use crate::{CliError, local::SecretsFile};
use certbridge_platform::secrets::API_KEYS;
use serde_json::{Map, Value};
use std::path::Path;

/// The keys of a data folder. An `up` that runs on it reads them again.
#[derive(Debug, Clone)]
pub struct LocalKeys(SecretsFile);

impl LocalKeys {
    /// The keys of this folder.
    pub fn in_folder(folder: &Path) -> Self {
        Self(SecretsFile::in_folder(folder))
    }

    fn document(&self, secrets: &Map<String, Value>) -> Result<Document, CliError> {
        let secret = secrets.get(API_KEYS).ok_or_else(|| self.missing())?;
        Ok(Document::try_from(secret.clone())?)
    }

    fn missing(&self) -> KeysError {
        let name = format!("{API_KEYS} in {}", self.0.path().display());
        KeysError::Missing { name, advice: "the first `certbridge up` makes it; or is it another --data?" }
    }
}

impl KeyStore for LocalKeys {
    async fn read(&self) -> Result<Document, CliError> {
        self.document(&self.0.read()?)
    }

    async fn update(
        &self,
        mut edit: impl FnMut(&mut Document) -> Result<(), KeysError> + Send,
    ) -> Result<(), CliError> {
        // First: a folder that is not ours gets no lock either.
        self.read().await?;
        self.0.update(|secrets| {
            let mut document = self.document(secrets)?;
            edit(&mut document)?;
            secrets.insert(API_KEYS.to_owned(), document.into());
            Ok(())
        })
    }
}
