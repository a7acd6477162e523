//! How fields came to their values, for whoever writes a definition. It shows what a payload holds, so it is for eyes
//! that may see it, and no log.

use crate::{
    field::{Field, Fields, Found, OnMissing, Place, Tables, Words, single},
    problem::Problem,
};
use serde_json::Value;
use serde_json_path::JsonPath;

/// How one declared field came to its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Traced {
    /// Its name.
    pub field: String,
    /// Where its value was found, or else what stands in for it.
    pub from: String,
    /// What stood there, before it was read; `None` if nothing did.
    pub found: Option<Value>,
    /// What was made of it.
    pub value: Result<Value, Problem>,
    /// Whether the field is declared to tell something of a person.
    pub personal: bool,
}

impl Fields {
    /// How each field comes to its value in a document, in the order of their names. The values and problems are those
    /// of [`Fields::map`].
    pub fn trace(&self, document: &Value, previous: Option<&Value>, tables: &Tables) -> Vec<Traced> {
        let trace = |(name, field): (&str, &Field)| {
            let (from, found) = field.origin(document, tables);
            let value = field.value(name, field.from.as_slice(), document, previous, tables);
            Traced { field: name.to_owned(), from, found, value, personal: field.personal }
        };
        self.iter().map(trace).collect()
    }
}

impl Field {
    fn origin(&self, document: &Value, tables: &Tables) -> (String, Option<Value>) {
        let places = self.from.as_slice();
        for place in places {
            if matches!(place.find(document, tables), Found::Value(_) | Found::Several(_)) {
                return (place.to_string(), place.raw(document, tables));
            }
        }
        // What a table does not list is worth a look, more than what is not there at all.
        let unlisted = places.iter().find(|place| matches!(place.find(document, tables), Found::Unlisted(..)));
        if let Some(place) = unlisted {
            return (place.to_string(), place.raw(document, tables));
        }
        let instead = match self.on_missing() {
            OnMissing::Default => "the default".to_owned(),
            OnMissing::Keep => "what is held, or the default".to_owned(),
            OnMissing::Null | OnMissing::Reject => {
                places.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
            }
        };
        (instead, None)
    }
}

impl Place {
    /// What stands there, before words are chosen or a table is asked.
    fn raw(&self, document: &Value, tables: &Tables) -> Option<Value> {
        let at = |path: &JsonPath| match single(path, document) {
            Found::Value(value) => Some(value),
            _ => None,
        };
        match self {
            Self::Path(path) | Self::Lookup { path, .. } | Self::Words { path, .. } => at(path),
            Self::Join { .. } => match self.find(document, tables) {
                Found::Value(value) => Some(value),
                _ => None,
            },
        }
    }
}

/// As a person would say it.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{path}"),
            Self::Lookup { path, table } => write!(f, "{path} in {table}"),
            Self::Words { path, words } => {
                let words = match words {
                    Words::First => "the first word",
                    Words::Rest => "all but the first word",
                    Words::Last => "the last word",
                    Words::Others => "all but the last word",
                };
                write!(f, "{words} of {path}")
            }
            Self::Join { join, with } => {
                let paths: Vec<_> = join.iter().map(ToString::to_string).collect();
                write!(f, "{} joined with {with:?}", paths.join(" and "))
            }
        }
    }
}
