//! Source definitions, and the set of definitions that is in force.

use crate::{
    destination::DestinationDefinition,
    event::EventRules,
    field::{Fields, Places, Tables, only},
    rate::Rate,
    record::{Kind, RecordId},
    verify::Scheme,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json_path::JsonPath;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

/// The largest body that is taken, in bytes: an inbox row must hold it, and a table's item has at most 400 KB.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// A source, as declared in `config/sources/*.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceDefinition {
    /// Its name: in `/webhooks/{name}`, in keys, in the secret `sources/{name}`, and of its client in `remote`.
    pub name: String,
    /// Other names in `/webhooks/{name}`.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Whose API it is, where that is not its name: what no definition can say of an API stands in `remote`, by provider.
    #[serde(default)]
    pub provider: Option<String>,
    /// Its API's address, unless `{variable}_URL` in the environment names another.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The start of its variables' names, where it is not the name in upper case.
    #[serde(default)]
    pub variable: Option<String>,
    /// The status that makes this sender try again: 503 unless its documentation says otherwise.
    #[serde(default = "default_retry_status")]
    pub retry_status: u16,
    /// The addresses that it sends from. Empty: any.
    #[serde(default)]
    pub allowed_cidrs: Vec<IpNet>,
    /// The largest body taken from it, in bytes.
    #[serde(default = "default_max_body_bytes")]
    pub max_body_bytes: usize,
    /// How often its API may be asked by what can wait: listings, polls and repairs. Without it, as often as it answers.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// How a delivery is proven.
    pub verification: Scheme,
    /// What a delivery says.
    pub event: EventRules,
    /// How each kind is read.
    pub records: BTreeMap<Kind, RecordRules>,
    /// Tables for look-ups.
    #[serde(default)]
    pub tables: Tables,
    /// Bodies to try it with, by their types, as JSON in which `{id}` stands for a record's id and `{now}` for the time.
    // No part of what a plan's version names: nothing is mapped otherwise because of them.
    #[serde(default)]
    pub samples: BTreeMap<String, String>,
}

/// How records of a kind are read from a source.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordRules {
    /// Where the content comes from: the delivery itself, or the source's API, of which the delivery is only a hint.
    pub content: Content,
    /// Where a delivery carries the record, if it does not always: one that has nothing there is only a hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_at: Option<JsonPath>,
    /// The path of one record at the source's API, in which `{id}` stands for its id. It may have a query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch_path: Option<String>,
    /// Where a fetched record says when it last changed, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_version: Option<JsonPath>,
    /// Where a fetched record has its revision, if the source counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_revision: Option<JsonPath>,
    /// From the source's fields to the canonical ones.
    pub fields: Fields,
    /// How the source's listing shows a record, if the source can be listed.
    // No part of what a plan's version names: it only says where a listing shows the values that `fields` says how to
    // read. The records stay what they were, and none has to be pushed again because of it.
    #[serde(default, skip_serializing)]
    pub listed: Option<ListedRules>,
}

/// How a source's listing shows a record: elsewhere than a fetch does, and often less of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedRules {
    /// Where an item has the record's id.
    pub id: JsonPath,
    /// Where it says when the record last changed, if it does.
    #[serde(default)]
    pub changed_at: Option<JsonPath>,
    /// The id of a record that is always there, on both sides. A listing that lacks it is not believed.
    #[serde(default)]
    pub canary: Option<RecordId>,
    /// Whether the listing is asked every few minutes for what changed, since the source sends no events, or not all.
    #[serde(default)]
    pub poll: bool,
    /// Where it has the record's fields, those that it has. What they must be is said by the record's own rules.
    #[serde(default)]
    pub fields: Places,
}

/// Where a record's content comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// The delivery carries it.
    Payload,
    /// It is fetched from the source's API.
    Fetched,
    /// The delivery carries it or, where it has nothing at `carried_at`, it is fetched.
    Either,
}

impl RecordRules {
    /// Whether a delivery carries the record, rather than being a hint.
    pub(crate) fn carried_by(&self, document: &Value) -> bool {
        match self.content {
            Content::Payload => true,
            Content::Fetched => false,
            Content::Either => {
                let found = self.carried_at.as_ref().and_then(|path| only(path, document));
                found.is_some_and(|value| !value.is_null())
            }
        }
    }

    fn content_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let path = self.fetch_path.as_deref();
        if self.content != Content::Payload && !path.is_some_and(|path| path.contains("{id}")) {
            faults.push("fetch_path: a path with {id}, since the content is fetched".into());
        }
        if path.is_some_and(|path| !path.starts_with('/')) {
            faults.push("fetch_path: it begins with a slash".into());
        }
        match (self.content, &self.carried_at) {
            (Content::Either, None) => faults.push("carried_at: a path, since the content is either's".into()),
            (Content::Payload | Content::Fetched, Some(_)) => {
                faults.push("carried_at: only with content = \"either\"".into());
            }
            _ => {}
        }
        faults
    }
}

fn default_retry_status() -> u16 {
    503
}

fn default_max_body_bytes() -> usize {
    MAX_BODY_BYTES
}

impl SourceDefinition {
    /// Reads a definition and checks it.
    pub fn parse(file: &str, text: &str) -> Result<Self, DefinitionError> {
        let definition: Self = toml::from_str(text).map_err(|error| DefinitionError::syntax(file, &error))?;
        DefinitionError::of(file, definition.faults(file)).map_or(Ok(definition), Err)
    }

    fn faults(&self, file: &str) -> Vec<String> {
        let mut faults: Vec<_> = name_fault(file, &self.name).into_iter().collect();
        faults.extend(
            self.aliases.iter().filter(|name| !is_plain(name)).map(|name| format!("aliases: {name:?} {PLAIN}")),
        );
        if !is_variable(&self.url_variable()) {
            faults.push(format!("variable: {} is no variable's name", self.url_variable()));
        }
        faults.extend(self.verification.faults().into_iter().map(|fault| format!("verification.{fault}")));
        if self.max_body_bytes > MAX_BODY_BYTES {
            faults.push(format!("max_body_bytes: at most {MAX_BODY_BYTES}"));
        }
        if !(matches!(self.retry_status, 400 | 408 | 409 | 425 | 429) || (500..600).contains(&self.retry_status)) {
            faults.push("retry_status: 400, 408, 409, 425, 429 or a 5xx".into());
        }
        faults.extend(self.rate.into_iter().flat_map(Rate::faults).map(|fault| format!("rate.{fault}")));
        faults.extend(self.sample_faults());
        faults.extend(self.event.faults(&self.records).into_iter().map(|fault| format!("event.{fault}")));
        for (kind, rules) in &self.records {
            let at = |fault: String| format!("records.{kind}: {fault}");
            faults.extend(rules.fields.faults(&self.tables).into_iter().map(at));
            faults.extend(rules.fields.canonical_faults(*kind).into_iter().map(at));
            faults.extend(rules.content_faults().into_iter().map(at));
            if let Some(listed) = &rules.listed {
                let own = rules.fields.places_faults(&listed.fields, *kind, &self.tables);
                faults.extend(own.into_iter().map(|fault| at(format!("listed.{fault}"))));
                if listed.poll && listed.changed_at.is_none() {
                    faults.push(at("listed.poll: only with `changed_at`, which tells one change from the next".into()));
                }
                if listed.poll && rules.content != Content::Fetched {
                    faults
                        .push(at("listed.poll: only with content = \"fetched\", since a listing is no payload".into()));
                }
            }
        }
        faults
    }

    /// Whether a delivery may come from this address. An unknown address passes only where any may.
    pub fn allows(&self, address: Option<IpAddr>) -> bool {
        // An IPv4 address may come written as an IPv6 one.
        let address = address.map(|address| address.to_canonical());
        self.allowed_cidrs.is_empty()
            || address.is_some_and(|address| self.allowed_cidrs.iter().any(|cidr| cidr.contains(&address)))
    }

    /// Whose API it is.
    pub fn provider(&self) -> &str {
        self.provider.as_deref().unwrap_or(&self.name)
    }

    /// The variable that names another address for the source's API.
    pub fn url_variable(&self) -> String {
        let name = self.variable.clone().unwrap_or_else(|| self.name.to_uppercase().replace('-', "_"));
        format!("{name}_URL")
    }

    /// The id of the secret that holds the source's keys, after the prefix.
    pub fn secret_name(&self) -> String {
        format!("sources/{}", self.name)
    }
}

const PLAIN: &str = "has something else than letters, digits and hyphens, or nothing";

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// What is wrong with the name that a file declares. It must be the file's own: a copy that still has the name of what
/// it was copied from would take that one's place.
pub(crate) fn name_fault(file: &str, name: &str) -> Option<String> {
    let stem = file.rsplit('/').next().and_then(|file| file.strip_suffix(".toml"));
    match stem {
        _ if !is_plain(name) => Some(format!("name: {name:?} {PLAIN}")),
        Some(stem) if stem != name => Some(format!("name: {name}, but the file is {stem}'s")),
        _ => None,
    }
}

/// What is wrong with a definition: all of it at once. Of one that is no TOML of the right form, the first thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}", .faults.join("; "))]
pub struct DefinitionError {
    /// The file's name.
    pub file: String,
    /// Each fault, with where it stands.
    pub faults: Vec<String>,
}

impl DefinitionError {
    pub(crate) fn syntax(file: &str, error: &toml::de::Error) -> Self {
        Self { file: file.to_owned(), faults: vec![error.to_string().trim_end().to_owned()] }
    }

    pub(crate) fn of(file: &str, faults: Vec<String>) -> Option<Self> {
        (!faults.is_empty()).then(|| Self { file: file.to_owned(), faults })
    }
}

/// The definitions that are compiled in, by their files under `config/`.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("sources/accredible.toml", include_str!("../../../config/sources/accredible.toml")),
    ("sources/accredit.toml", include_str!("../../../config/sources/accredit.toml")),
    ("sources/certifylize.toml", include_str!("../../../config/sources/certifylize.toml")),
    ("sources/17hats.toml", include_str!("../../../config/sources/17hats.toml")),
    ("sources/acculynx.toml", include_str!("../../../config/sources/acculynx.toml")),
    ("sources/standard-webhooks.toml", include_str!("../../../config/sources/standard-webhooks.toml")),
    ("destinations/highlevel.toml", include_str!("../../../config/destinations/highlevel.toml")),
    ("destinations/snapshots.toml", include_str!("../../../config/destinations/snapshots.toml")),
];

/// The definitions in force. A broken one is left out alone, and kept as an error for the alarm.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    sources: BTreeMap<String, Arc<SourceDefinition>>,
    destinations: BTreeMap<String, Arc<DestinationDefinition>>,
    errors: Vec<DefinitionError>,
}

impl Definitions {
    /// The definitions that stand under `config/` in the repository.
    pub fn built_in() -> Self {
        let mut definitions = Self::default();
        for (file, text) in BUILT_IN {
            definitions.add(file, text);
        }
        definitions
    }

    /// The built-in definitions, and over them those that were put into force, as (`sources/{name}.toml` or
    /// `destinations/{name}.toml`, TOML). A broken one is off, and so is the built-in one of its name: what somebody
    /// tightened must not come back loose.
    pub fn in_force<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut definitions = Self::built_in();
        for (file, text) in files {
            let broken = definitions.errors.len();
            let (folder, name) = file.split_once('/').unwrap_or(("sources", file));
            let name = name.strip_suffix(".toml").unwrap_or(name);
            definitions.add(file, text);
            if definitions.errors.len() > broken {
                if folder == "destinations" {
                    definitions.destinations.remove(name);
                } else {
                    definitions.sources.remove(name);
                }
            }
        }
        definitions
    }

    fn add(&mut self, file: &str, text: &str) {
        if file.starts_with("destinations/") {
            self.add_destination(file, text);
        } else {
            self.add_source(file, text);
        }
    }

    /// Adds a source, over one of the same name. A broken definition, or one whose names are taken by another source,
    /// is recorded among the errors instead.
    pub fn add_source(&mut self, file: &str, text: &str) {
        match SourceDefinition::parse(file, text) {
            Err(error) => self.errors.push(error),
            Ok(source) => {
                let names = || std::iter::once(&source.name).chain(&source.aliases);
                let taken = names().find(|name| self.source(name).is_some_and(|other| other.name != source.name));
                match taken {
                    Some(name) => self.errors.push(DefinitionError {
                        file: file.to_owned(),
                        faults: vec![format!("name: {name} is another source's")],
                    }),
                    None => drop(self.sources.insert(source.name.clone(), Arc::new(source))),
                }
            }
        }
    }

    /// Adds a destination, over one of the same name; a broken one is recorded among the errors instead.
    pub fn add_destination(&mut self, file: &str, text: &str) {
        match DestinationDefinition::parse(file, text) {
            Err(error) => self.errors.push(error),
            Ok(destination) => drop(self.destinations.insert(destination.name.clone(), Arc::new(destination))),
        }
    }

    /// The source of a name or alias.
    pub fn source(&self, name: &str) -> Option<&Arc<SourceDefinition>> {
        self.sources
            .get(name)
            .or_else(|| self.sources.values().find(|source| source.aliases.iter().any(|alias| alias == name)))
    }

    /// All sources.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<SourceDefinition>> {
        self.sources.values()
    }

    /// The destination of a name.
    pub fn destination(&self, name: &str) -> Option<&Arc<DestinationDefinition>> {
        self.destinations.get(name)
    }

    /// The definitions that were left out, and why.
    pub fn errors(&self) -> &[DefinitionError] {
        &self.errors
    }
}
