//! `certbridge sign`: the headers that a sender would add.

use crate::{CliError, local::SecretsFile};
use certbridge_mapping::Definitions;
use jiff::Timestamp;
use secrecy::SecretString;
use std::path::Path;

/// The headers with which `body`, sent to a source of a data folder, is proven at `now`.
pub fn sign(data: &Path, source: &str, body: &[u8], now: Timestamp) -> Result<Vec<(String, String)>, CliError> {
    let definitions = Definitions::built_in();
    let definition = definitions.source(source).ok_or_else(|| CliError::UnknownSource(source.to_owned()))?;
    let file = SecretsFile::in_folder(data);
    let secrets = file.read()?;
    let signing = secrets.get(&definition.secret_name()).map(|secret| &secret["signing"]);
    let key = signing.and_then(|signing| signing.as_str().or_else(|| signing[0].as_str()));
    let key = key.ok_or_else(|| CliError::NoKey { path: file.path().to_owned(), name: definition.name.clone() })?;
    Ok(definition.sign(body, &SecretString::from(key), now))
}
