//! What a destination is told: its definition, and the request that a canonical record becomes.

use crate::{
    definition::{DefinitionError, name_fault},
    digest::{canonical_json, sha256_hex},
    field::{Fields, Tables, identifier, is_blank, only, record_id},
    highlevel::HighLevelRules,
    problem::{Problem, Problems, Shape},
    rate::Rate,
    reconciliation::ReconciliationRules,
    record::{Kind, Record, RecordId},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_json_path::JsonPath;
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
    /// How it lists what it has, by kind. Of a kind without, it lists nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub listings: BTreeMap<Kind, ListingRules>,
    /// How it takes several records at once. Without it, it takes one at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchRules>,
    /// What HighLevel's API wants to know beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highlevel: Option<HighLevelRules>,
    /// How often it may be asked by what can wait: listings and repairs. Without it, as often as it answers.
    // No part of what a plan's version names: it changes nothing of a record.
    #[serde(default, skip_serializing)]
    pub rate: Option<Rate>,
    /// What a reconciliation may do without a person's word.
    #[serde(default, skip_serializing)]
    pub reconciliation: ReconciliationRules,
}

/// How a destination lists a kind: in pages, each by the cursor that the one before gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListingRules {
    /// The path, relative to the address.
    pub path: String,
    /// The parameter that says how many items a page may have.
    pub size_parameter: String,
    /// How many.
    pub size: u32,
    /// The parameter that takes the cursor.
    pub cursor_parameter: String,
    /// Where the answer has the next page's cursor; none there, or null, on the last one.
    pub cursor: JsonPath,
    /// Where it has the list of items, each an object with the request's fields by their names, in itself or in `fields`.
    pub items: JsonPath,
    /// Where it says how many there are in all, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<JsonPath>,
    /// Where an item has the record's id.
    pub id: JsonPath,
    /// Where an item has the request's fields, if not in itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<JsonPath>,
}

/// How a destination takes several records at once: `{"batch_id": .., "records": [..]}`, the records as they stand in
/// the bodies of their requests. The answer has a list that tells of each record by its id; one that it does not tell
/// of, or not clearly, is in doubt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRules {
    /// The path, relative to the address.
    pub path: String,
    /// The most records at once.
    pub max_records: usize,
    /// Where a record has its id: one that is sent, and one that the answer tells of.
    pub id: JsonPath,
    /// Where the answer has its list.
    pub results: JsonPath,
    /// Where an item of the list says in a word what became of the record.
    pub status: JsonPath,
    /// The words for a record that was applied.
    pub applied: Vec<String>,
    /// The words for a record that was refused, and left as it was.
    pub rejected: Vec<String>,
    /// Where an item has the destination's own id of what it did, if it gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<JsonPath>,
}

/// A record as a destination shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownRecord {
    /// Its id.
    pub id: RecordId,
    /// The fields that a request has, and no others, each written as a request writes it, as far as it can be; null
    /// where there is nothing.
    pub fields: Map<String, Value>,
}

/// What became of one record of several, as an answer tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchOutcome {
    /// It was applied.
    Applied,
    /// It was refused, and is as it was.
    Rejected,
    /// A word that no rule knows, or none.
    Unclear,
}

/// The most records that any destination is sent at once.
pub const MAX_BATCH_RECORDS: usize = 25;

/// The most items that a page may be asked for: an answer is of bounded size.
const MAX_PAGE_SIZE: u32 = 1000;

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
        faults.extend(self.rate.into_iter().flat_map(Rate::faults).map(|fault| format!("rate.{fault}")));
        for (kind, template) in &self.requests {
            let own = template.fields.faults(&self.tables).into_iter().chain(template.path_faults());
            faults.extend(own.map(|fault| format!("requests.{kind}: {fault}")));
        }
        for (kind, rules) in &self.listings {
            if !self.requests.contains_key(kind) {
                faults.push(format!("listings.{kind}: there are no requests of the kind, whose fields it would show"));
            }
            faults.extend(rules.faults().into_iter().map(|fault| format!("listings.{kind}: {fault}")));
        }
        faults.extend(self.reconciliation.faults().into_iter().map(|fault| format!("reconciliation: {fault}")));
        if let Some(rules) = &self.highlevel {
            faults.extend(rules.faults(self).into_iter().map(|fault| format!("highlevel.{fault}")));
        }
        faults.extend(self.batch.iter().flat_map(BatchRules::faults).map(|fault| format!("batch: {fault}")));
        faults
    }

    /// What an item of the destination's listing shows. `None` where no rule says how to read one, and for an item
    /// without an id that a record of ours can have.
    pub fn shown(&self, kind: Kind, item: &Value) -> Option<ShownRecord> {
        let rules = self.listings.get(&kind)?;
        let id = record_id(&rules.id, item)?;
        let item = rules.fields.as_ref().map_or(Some(item), |path| only(path, item)).unwrap_or(&Value::Null);
        let shown = |name: &str| item.get(name).filter(|value| !is_blank(value));
        let fields = self.requests.get(&kind)?.fields.iter().map(|(name, field)| {
            let value = shown(name).map_or(Value::Null, |value| field.as_written(value));
            (name.to_owned(), value)
        });
        Some(ShownRecord { id, fields: fields.collect() })
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

impl ListingRules {
    /// The path of a page, with its query: the first one, or the one of a cursor.
    pub fn page_path(&self, cursor: Option<&str>) -> String {
        let cursor = cursor.map(|cursor| format!("&{}={}", self.cursor_parameter, escape_segment(cursor)));
        format!("{}?{}={}{}", self.path, self.size_parameter, self.size, cursor.unwrap_or_default())
    }

    /// The list of items in an answer, if there is one.
    pub fn items_of<'a>(&self, answer: &'a Value) -> Option<&'a Vec<Value>> {
        only(&self.items, answer)?.as_array()
    }

    /// What stands in an answer where the next page's cursor would.
    pub fn cursor_of<'a>(&self, answer: &'a Value) -> Option<&'a Value> {
        only(&self.cursor, answer)
    }

    /// How many items an answer says there are in all.
    pub fn total_of(&self, answer: &Value) -> Option<u64> {
        only(self.total.as_ref()?, answer)?.as_u64()
    }

    fn faults(&self) -> Vec<String> {
        let mut faults: Vec<_> = path_fault(&self.path).into_iter().collect();
        for (what, name) in [("size_parameter", &self.size_parameter), ("cursor_parameter", &self.cursor_parameter)] {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
                faults.push(format!("{what}: {name:?} is no plain name"));
            }
        }
        if !(1..=MAX_PAGE_SIZE).contains(&self.size) {
            faults.push(format!("size: 1 to {MAX_PAGE_SIZE}"));
        }
        faults
    }
}

impl BatchRules {
    /// The id of a record that is sent, or that the answer tells of.
    pub fn id_of(&self, record: &Value) -> Option<String> {
        identifier(only(&self.id, record)?).filter(|id| !id.is_empty())
    }

    /// The answer's list, if it has one.
    pub fn results_of<'a>(&self, answer: &'a Value) -> Option<&'a Vec<Value>> {
        only(&self.results, answer)?.as_array()
    }

    /// What an item of the list says.
    pub fn outcome_of(&self, result: &Value) -> BatchOutcome {
        let says = |words: &[String]| {
            let word = only(&self.status, result).and_then(Value::as_str);
            word.is_some_and(|word| words.iter().any(|known| known == word))
        };
        match (says(&self.applied), says(&self.rejected)) {
            (true, false) => BatchOutcome::Applied,
            (false, true) => BatchOutcome::Rejected,
            _ => BatchOutcome::Unclear,
        }
    }

    /// The destination's own id of what it did.
    pub fn request_id_of<'a>(&self, result: &'a Value) -> Option<&'a str> {
        only(self.request_id.as_ref()?, result)?.as_str()
    }

    fn faults(&self) -> Vec<String> {
        let mut faults: Vec<_> = path_fault(&self.path).into_iter().collect();
        if !(1..=MAX_BATCH_RECORDS).contains(&self.max_records) {
            faults.push(format!("max_records: 1 to {MAX_BATCH_RECORDS}"));
        }
        if self.applied.is_empty() {
            faults.push("applied: it knows no word".to_owned());
        }
        let both = self.applied.iter().filter(|word| self.rejected.contains(word));
        faults.extend(both.map(|word| format!("{word:?} stands among `applied` and `rejected`")));
        faults
    }
}

fn path_fault(path: &str) -> Option<String> {
    let plain = path.starts_with('/') && !path.contains(['?', '#', '{', '}']);
    (!plain).then(|| "path: it begins with a slash, and has neither query, fragment nor braces".to_owned())
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
