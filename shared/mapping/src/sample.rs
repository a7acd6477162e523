//! Bodies to try a definition with, which it brings along.

use crate::{
    definition::SourceDefinition,
    event::{EventPlace, Operation},
    field::OneOrMany,
};
use jiff::Timestamp;
use serde_json::Value;

/// What stands in a sample for a record's id.
const ID: &str = "{id}";
/// What stands in it for the time.
const NOW: &str = "{now}";

/// A delivery to try a definition with, before anybody has signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The event's type.
    pub event_type: String,
    /// The body.
    pub body: Vec<u8>,
    /// The headers in which the definition looks for parts of the event.
    pub headers: Vec<(String, String)>,
}

impl SourceDefinition {
    /// The sample of a type, about the record of this id; without a type, the one that is best to begin with.
    pub fn sample(&self, event_type: Option<&str>, id: &str, now: Timestamp) -> Option<Sample> {
        let event_type = event_type.or_else(|| self.first_sample())?;
        let text = self.samples.get(event_type)?;
        let body = text.replace(ID, id).replace(NOW, &now.to_string()).into_bytes();
        let headers = self.sample_headers(event_type, id, now);
        Some(Sample { event_type: event_type.to_owned(), body, headers })
    }

    /// What its sender would send along besides a proof: the parts of the event that are looked for in headers.
    pub fn sample_headers(&self, event_type: &str, id: &str, now: Timestamp) -> Vec<(String, String)> {
        let rules = &self.event;
        let record_id = rules.types.get(event_type).and_then(|rule| rule.record_id.as_ref());
        let parts = [
            (rules.id.as_ref(), format!("test-{id}-{}", now.as_millisecond())),
            (Some(&rules.type_), event_type.to_owned()),
            (Some(&rules.time), now.to_string()),
            (record_id.or(rules.record_id.as_ref()), id.to_owned()),
        ];
        let named = |places: &OneOrMany<EventPlace>| {
            places.as_slice().iter().filter_map(EventPlace::header).map(str::to_owned).collect::<Vec<_>>()
        };
        let headers = |(places, value): (Option<&OneOrMany<EventPlace>>, String)| {
            places.map(named).unwrap_or_default().into_iter().map(move |name| (name, value.clone()))
        };
        parts.into_iter().flat_map(headers).collect()
    }

    /// One that makes a record, or else changes one, if there is such a sample.
    fn first_sample(&self) -> Option<&str> {
        let does = |operation| {
            let is = move |name: &&String| self.event.types.get(*name).is_some_and(|rule| rule.operation == operation);
            self.samples.keys().find(is)
        };
        let first =
            does(Operation::Created).or_else(|| does(Operation::Updated)).or_else(|| self.samples.keys().next());
        first.map(String::as_str)
    }

    pub(crate) fn sample_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, text) in &self.samples {
            if !self.event.types.contains_key(name) {
                faults.push(format!("samples.{name}: it is none of [event.types]"));
            }
            let json = text.replace(ID, "1").replace(NOW, "2026-01-31T12:00:00Z");
            if let Err(error) = serde_json::from_str::<Value>(&json) {
                let (line, column) = (error.line(), error.column());
                faults.push(format!("samples.{name}: it is no JSON: it breaks off at line {line} column {column}"));
            }
        }
        faults
    }
}
