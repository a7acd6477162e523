//! What can go wrong with definitions, in words for whoever typed the command.

use certbridge_mapping::DefinitionError;
use certbridge_store::{BrokenHistory, ChangeError};
use std::path::PathBuf;

/// Why a definition was not put into force, or cannot be shown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not one that functions would take. Everything that is wrong at once.
    #[error("nothing was put into force:\n{}", listed(.0))]
    Broken(Vec<DefinitionError>),
    /// Its name says nothing.
    #[error("{}: a definition is a file whose name ends in .toml", .0.display())]
    NoToml(PathBuf),
    /// It is larger than a table's row should be.
    #[error("{file}: {bytes} bytes; a definition has at most {most}")]
    TooLarge {
        /// Its file.
        file: String,
        /// Its size.
        bytes: usize,
        /// What is allowed.
        most: usize,
    },
    /// Two of the files are the same definition.
    #[error("{0} is given twice")]
    Twice(String),
    /// There is no such definition.
    #[error("there is no definition {name}; there are {}", .known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A source and a destination have this name.
    #[error("{0} is a source and a destination: say sources/{0} or destinations/{0}")]
    Ambiguous(String),
    /// Nothing was ever put into force.
    #[error("{0}: nothing was ever put into force; what is in force is built in")]
    NoHistory(String),
    /// There is no such version.
    #[error("{file}: there is no version {version}; there are 1 to {newest}")]
    NoVersion {
        /// The definition's file.
        file: String,
        /// What was asked for.
        version: u64,
        /// The newest one.
        newest: u64,
    },
    /// It is not the version that was expected.
    #[error("{file}: the newest version is {newest}, not {expected}; nothing was changed")]
    NotNewest {
        /// The definition's file.
        file: String,
        /// The newest one; 0 if there is none.
        newest: u64,
        /// What was expected.
        expected: u64,
    },
    /// Somebody was faster, or the table did not do it.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The history is not as it was written.
    #[error(transparent)]
    History(#[from] BrokenHistory),
}

fn listed(errors: &[DefinitionError]) -> String {
    let lines = errors.iter().flat_map(|error| error.faults.iter().map(move |fault| (&error.file, fault)));
    lines.map(|(file, fault)| format!("  {file}: {}", fault.replace('\n', "\n  "))).collect::<Vec<_>>().join("\n")
}
