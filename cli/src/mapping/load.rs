//! The definitions that a command is about.

use super::MappingError;
use crate::{
    CliError,
    config::{Wanted, wanted},
};
use certbridge_mapping::{Definitions, DestinationDefinition, SourceDefinition};
use std::{path::Path, sync::Arc};

/// A definition of either sort.
pub(super) enum Loaded {
    Source(Arc<SourceDefinition>),
    Destination(Arc<DestinationDefinition>),
}

/// The definition in a file, or else the one in force under a name.
pub(super) fn load(named: &str, in_force: &Definitions) -> Result<Loaded, CliError> {
    if Path::new(named).is_file() {
        let Wanted { file, text } = wanted(Path::new(named))?;
        let text = text.unwrap_or_default();
        return Ok(if file.starts_with("destinations/") {
            Loaded::Destination(Arc::new(DestinationDefinition::parse(&file, &text).map_err(MappingError::from)?))
        } else {
            Loaded::Source(Arc::new(SourceDefinition::parse(&file, &text).map_err(MappingError::from)?))
        });
    }
    let source = in_force.source(named.strip_prefix("sources/").unwrap_or(named));
    let destination = || in_force.destination(named.strip_prefix("destinations/").unwrap_or(named));
    match (source, destination()) {
        (Some(source), _) => Ok(Loaded::Source(Arc::clone(source))),
        (None, Some(destination)) => Ok(Loaded::Destination(Arc::clone(destination))),
        (None, None) => Err(MappingError::Unknown(named.to_owned()).into()),
    }
}

/// As [`load`], of a source.
pub(super) fn source(named: &str, in_force: &Definitions) -> Result<Arc<SourceDefinition>, CliError> {
    match load(named, in_force)? {
        Loaded::Source(source) => Ok(source),
        Loaded::Destination(_) => Err(MappingError::IsDestination(named.to_owned()).into()),
    }
}

/// As [`load`], of a destination.
pub(super) fn destination(named: &str, in_force: &Definitions) -> Result<Arc<DestinationDefinition>, CliError> {
    let known = in_force.destination(named);
    match known {
        Some(destination) => Ok(Arc::clone(destination)),
        None => match load(named, in_force)? {
            Loaded::Destination(destination) => Ok(destination),
            Loaded::Source(_) => Err(MappingError::Unlike.into()),
        },
    }
}
