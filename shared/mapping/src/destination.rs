//! What a destination is told: its definition, and the request that a canonical record becomes.

use crate::{
    definition::{DefinitionError, name_fault},
    digest::{canonical_json, sha256_hex},
    field::{Fields, Tables, identifier},
    problem::{Problem, Problems, Shape},
    record::{Kind, Record},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Everything of an id but RFC 3986's unreserved characters is escaped in a path.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A destination, as declared in `config/destinations/*.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestinationDefinition {
    /// Its name, which is also its client's in `remote`.
    pub name: String,
    /// Its address, unless the environment names another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Where it lists its locations, relative to the address. Without it, locations are not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locations_path: Option<String>,
    /// How each kind is pushed.
    pub requests: BTreeMap<Kind, RequestTemplate>,
    /// Tables for look-ups.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: Tables,
}

/// How a kind is pushed: an upsert, safe to repeat.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestTemplate {
    /// The HTTP method.
    pub method: Method,
    /// The path, in which `{field}` stands for a field of the body.
    pub path: String,
    /// The body's fields, from the canonical record's.
    pub fields: Fields,
}

/// The methods of an upsert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// POST
    Post,
    /// PUT
    Put,
}

impl Method {
    /// As it stands in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// A request to a destination, ready to be sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, escaped, relative to the destination's address.
    pub path: String,
    /// The JSON body.
    pub body: Value,
}

impl Request {
    /// SHA-256 of the request's canonical form: two records with one fingerprint need no second push.
    pub fn fingerprint(&self) -> String {
        sha256_hex(canonical_json(self).as_bytes())
    }
}

impl DestinationDefinition {
    /// Reads a definition and checks it.
    pub fn parse(file: &str, text: &str) -> Result<Self, DefinitionError> {
        let definition: Self = toml::from_str(text).map_err(|error| DefinitionError::syntax(file, &error))?;
        DefinitionError::of(file, definition.faults(file)).map_or(Ok(definition), Err)
    }

    fn faults(&self, file: &str) -> Vec<String> {
        let mut faults: Vec<_> = name_fault(file, &self.name).into_iter().collect();
        if self.locations_path.as_ref().is_some_and(|path| !path.starts_with('/')) {
            faults.push("locations_path: it begins with a slash".to_owned());
        }
        for (kind, template) in &self.requests {
            let own = template.fields.faults(&self.tables).into_iter().chain(template.path_faults());
            faults.extend(own.map(|fault| format!("requests.{kind}: {fault}")));
        }
        faults
    }

    /// The request that tells the destination of a record.
    pub(crate) fn request(&self, record: &Record) -> Result<Request, Problems> {
        let kind = record.kind();
        let Some(template) = self.requests.get(&kind) else {
            return Err(Problems::one(Problem::new(
                "kind",
                Shape::Missing,
                format!("a route for a {kind} at {}", self.name),
            )));
        };
        let body = template.fields.map(&record.to_fields(), None, &self.tables)?;
        let path = template.path(&body)?;
        Ok(Request { method: template.method, path, body: Value::Object(body) })
    }
}

impl RequestTemplate {
    /// The names in braces in the path.
    fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
    }

    fn path_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.path.starts_with('/') || self.path.contains(['?', '#']) {
            faults.push("the path begins with a slash, and has neither query nor fragment".to_owned());
        }
        let named: usize = self.placeholders().count();
        if self.path.matches('{').count() != named || self.path.matches('}').count() != named {
            faults.push("the path has a brace without its other one".to_owned());
        }
        for name in self.placeholders() {
            match self.fields.iter().find(|(field, _)| *field == name) {
                None => faults.push(format!("the path names {{{name}}}, which is no field")),
                Some((_, field)) if !field.always_has_a_value() => {
                    faults.push(format!("the path names {{{name}}}, which must be required, or have a default"));
                }
                Some(_) => {}
            }
        }
        faults
    }

    fn path(&self, body: &Map<String, Value>) -> Result<String, Problems> {
        let mut path = self.path.clone();
        for name in self.placeholders() {
            let value = body.get(name);
            let text = value.and_then(identifier).filter(|text| !matches!(text.as_str(), "" | "." | ".."));
            let text =
                text.ok_or_else(|| Problems::one(Problem::new(name, Shape::of(value), "a text that a path can hold")))?;
            path = path.replace(&format!("{{{name}}}"), &escape_segment(&text));
        }
        Ok(path)
    }
}

/// A text as one segment of a URL's path.
pub fn escape_segment(text: &str) -> String {
    utf8_percent_encode(text, PATH_SEGMENT).to_string()
}
