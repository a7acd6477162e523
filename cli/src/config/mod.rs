//! `certbridge config`: what is in force, without a build or a deployment.
//!
//! A definition is checked exactly as functions check it, and with all others that are in force, before it is put there.
//! Functions read it at their next look, within five minutes.

mod command;
mod error;
mod show;

pub use command::{ConfigCommand, run};
pub use error::ConfigError;

use crate::CliError;
use certbridge_mapping::{DefinitionError, Definitions, definition::BUILT_IN};
use certbridge_store::{DefinitionChange, DefinitionEntry, DynamoStore, verify_history};
use certbridge_sync::in_force::Control;
use jiff::Timestamp;
use std::{collections::BTreeSet, path::Path};

/// The largest definition. All of them are read at the start of a function, and DynamoDB's rows hold 400 KB.
const MOST_BYTES: usize = 200 * 1024;

/// A definition as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its file.
    pub file: String,
    /// What was put into force, if anything is.
    pub in_force: Option<String>,
    /// Its newest version.
    pub newest: Option<DefinitionEntry>,
}

/// A definition as it is to be: `None` for the built-in one again, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its file.
    pub file: String,
    /// What is to be in force.
    pub text: Option<String>,
}

/// Who wants a change, and why.
#[derive(Debug, Clone)]
pub struct Author {
    /// Who.
    pub by: String,
    /// Why.
    pub note: Option<String>,
}

/// The definition that is compiled in under a file's name.
pub fn built_in(file: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(name, _)| *name == file).map(|(_, text)| *text)
}

impl Standing {
    /// How a definition stands.
    pub async fn read(store: &DynamoStore, file: &str) -> Result<Self, CliError> {
        let newest = store.newest_definition(file).await?;
        let in_force = store.control().await?.definitions.into_iter().find(|(name, _)| name == file);
        Ok(Self { file: file.to_owned(), in_force: in_force.map(|(_, text)| text), newest })
    }

    /// All that are in force, the built-in ones among them.
    pub async fn all(store: &DynamoStore) -> Result<Vec<Self>, CliError> {
        let files = store.control().await?.definitions;
        let mut all = Vec::new();
        for file in names(&files) {
            let in_force = files.iter().find(|(name, _)| *name == file).map(|(_, text)| text.clone());
            all.push(Self { newest: store.newest_definition(&file).await?, file, in_force });
        }
        Ok(all)
    }

    /// What functions read: what was put into force, or else what is built in.
    pub fn effective(&self) -> Option<&str> {
        self.in_force.as_deref().or_else(|| built_in(&self.file))
    }

    /// The newest version's number; 0 if there is none.
    pub fn version(&self) -> u64 {
        self.newest.as_ref().map_or(0, |newest| newest.version)
    }

    /// Whether what is in force is what the history says: it is not if somebody has written past it.
    pub fn agrees(&self) -> bool {
        self.in_force == self.newest.as_ref().and_then(|newest| newest.text.clone())
    }
}

fn names(files: &[(String, String)]) -> BTreeSet<String> {
    BUILT_IN.iter().map(|(file, _)| (*file).to_owned()).chain(files.iter().map(|(file, _)| file.clone())).collect()
}

/// Reads a definition that is to be put into force. Whether it is a source's or a destination's is said by the folder
/// that it stands in, or else by what it declares.
pub fn wanted(path: &Path) -> Result<Wanted, CliError> {
    let text = std::fs::read_to_string(path).map_err(CliError::file(path))?;
    let name = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".toml"));
    let name = name.ok_or_else(|| ConfigError::NoToml(path.to_owned()))?;
    let folder = path.parent().and_then(Path::file_name).and_then(|folder| folder.to_str());
    let folder = match folder {
        Some(folder @ ("sources" | "destinations")) => folder,
        _ if declares_requests(&text) => "destinations",
        _ => "sources",
    };
    let file = format!("{folder}/{name}");
    if text.len() > MOST_BYTES {
        return Err(ConfigError::TooLarge { file, bytes: text.len(), most: MOST_BYTES }.into());
    }
    Ok(Wanted { file, text: Some(text) })
}

fn declares_requests(text: &str) -> bool {
    toml::from_str::<toml::Table>(text).is_ok_and(|table| table.contains_key("requests"))
}

/// The file that a name means: `accredible`, `sources/accredible` or `sources/accredible.toml`.
pub async fn file_of(store: &DynamoStore, name: &str) -> Result<String, CliError> {
    let stem = name.strip_suffix(".toml").unwrap_or(name);
    let candidates = if stem.contains('/') {
        vec![format!("{stem}.toml")]
    } else {
        vec![format!("sources/{stem}.toml"), format!("destinations/{stem}.toml")]
    };
    let known = names(&store.control().await?.definitions);
    let mut found = Vec::new();
    for file in candidates {
        // One that was withdrawn has still its history.
        if known.contains(&file) || store.newest_definition(&file).await?.is_some() {
            found.push(file);
        }
    }
    match &found[..] {
        [file] => Ok(file.clone()),
        [] => Err(ConfigError::Unknown { name: name.to_owned(), known: known.into_iter().collect() }.into()),
        _ => Err(ConfigError::Ambiguous(stem.to_owned()).into()),
    }
}

/// Whether functions would take these definitions, beside all others that are in force.
///
/// # Errors
/// [`ConfigError::Broken`], with everything that is wrong and was not before.
pub async fn check(store: &DynamoStore, changes: &[Wanted]) -> Result<Definitions, CliError> {
    let before = store.control().await?.definitions;
    let mut after: Vec<_> =
        before.iter().filter(|(file, _)| changes.iter().all(|change| change.file != *file)).cloned().collect();
    after.extend(changes.iter().filter_map(|change| Some((change.file.clone(), change.text.clone()?))));
    // In the order in which functions read them.
    after.sort();
    let after = parsed(&after);
    let known = parsed(&before);
    let is_new = |error: &&DefinitionError| {
        !known.errors().contains(error) || changes.iter().any(|change| change.file == error.file)
    };
    let errors: Vec<_> = after.errors().iter().filter(is_new).cloned().collect();
    if errors.is_empty() { Ok(after) } else { Err(ConfigError::Broken(errors).into()) }
}

fn parsed(files: &[(String, String)]) -> Definitions {
    Definitions::in_force(files.iter().map(|(file, text)| (file.as_str(), text.as_str())))
}

/// Puts a definition into force that was checked, over the version that was seen.
pub async fn enforce(
    store: &DynamoStore,
    standing: &Standing,
    wanted: &Wanted,
    author: &Author,
    time: Timestamp,
) -> Result<DefinitionEntry, CliError> {
    let change = DefinitionChange {
        file: &wanted.file,
        text: wanted.text.as_deref(),
        by: &author.by,
        note: author.note.as_deref(),
        time,
    };
    let entry = store.change_definition(standing.newest.as_ref(), &change).await;
    Ok(entry.map_err(ConfigError::from)?)
}

/// What a definition was at a version; without one, before the newest: nothing of its own, before the first.
///
/// # Errors
/// There is no such version, or the history was tampered with.
pub async fn past(store: &DynamoStore, file: &str, version: Option<u64>) -> Result<Wanted, CliError> {
    let history = store.definition_history(file).await?;
    verify_history(&history).map_err(ConfigError::from)?;
    let newest = history.last().ok_or_else(|| ConfigError::NoHistory(file.to_owned()))?.version;
    let version = version.unwrap_or(newest - 1);
    let text = match history.iter().find(|entry| entry.version == version) {
        Some(entry) => entry.text.clone(),
        None if version == 0 => None,
        None => return Err(ConfigError::NoVersion { file: file.to_owned(), version, newest }.into()),
    };
    Ok(Wanted { file: file.to_owned(), text })
}
