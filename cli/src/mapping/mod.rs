//! `certbridge mapping`: what a definition makes of a payload, and what a changed one would make otherwise.
//!
//! Nothing here is proven, so nothing is stored or sent. What a sample holds is shown to whoever gave it; what many
//! payloads hold, only if it tells nothing of a person.

mod command;
mod diff;
mod load;

pub use command::{MappingCommand, run};
pub use diff::{Compared, Told, compare};

use certbridge_mapping::{Kind, Plan};
use std::path::PathBuf;

/// Why a payload cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The definition.
    #[error(transparent)]
    Definition(#[from] certbridge_mapping::DefinitionError),
    /// No file and no definition in force.
    #[error("{0} is no file, and no definition in force")]
    Unknown(String),
    /// A destination has no event, and no record of its own.
    #[error("{0} is a destination: give the source's definition, and the destination by --destination")]
    IsDestination(String),
    /// A changed destination is nothing without a source.
    #[error("two destinations are compared for one source: give it by --source")]
    NoSource,
    /// A source and a destination cannot be compared.
    #[error("one of them is a source and the other a destination")]
    Unlike,
    /// There is nothing to map.
    #[error("{0} has no [samples]: give a payload by --sample FILE")]
    NoSample(String),
    /// There is no sample of this type.
    #[error("{source_name} has no sample of the type {event_type}; it has {}", .known.join(", "))]
    NoSampleOf {
        /// The source.
        source_name: String,
        /// What was asked for.
        event_type: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The kind is not declared.
    #[error("{source_name} is not declared to have a {kind}")]
    NoKind {
        /// The source.
        source_name: String,
        /// What was asked for.
        kind: Kind,
    },
    /// There is nothing in the folder.
    #[error("{}: there is no *.json in it", .0.display())]
    NoEvents(PathBuf),
}

impl MappingError {
    /// A plan's source has no such records.
    fn no_kind(plan: &Plan, kind: Kind) -> Self {
        Self::NoKind { source_name: plan.source().name.clone(), kind }
    }
}
