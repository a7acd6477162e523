//! What a caller asks for in the body of `POST /batch_sync`.

use certbridge_mapping::{Document, Kind, Problems, digest::sha256_hex, problem::Problem, problem::Shape};
use certbridge_sync::batches::{BatchId, Mode};
use serde::Serialize;
use serde_json::{Map, Value};

/// The most records that one request may hold.
const MAX_RECORDS: usize = 10_000;
/// The most faults that one answer names: a body may hold any number of them.
const MAX_FAULTS: usize = 50;
/// The longest name of a member that is repeated, in characters.
const MAX_NAME: usize = 64;

const MEMBERS: [&str; 5] = ["batch_id", "records", "mode", "dry_run", "force"];

/// A wish that can be granted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wish<'a> {
    /// The id that the caller gives the batch.
    pub(crate) id: Option<BatchId>,
    /// What the batch does.
    pub(crate) mode: Mode,
    /// Whether to write nothing but a report.
    pub(crate) dry_run: bool,
    /// Whether to repair however much differs.
    pub(crate) force: bool,
    /// The records to tell the destination of. What stands in one is the batch's to judge, in its report.
    pub(crate) records: Option<&'a [Value]>,
}

/// Everything that makes one request another one, by its members' names in order.
#[derive(Serialize)]
struct Content<'a> {
    dry_run: bool,
    force: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    mode: Mode,
    records: Option<&'a [Value]>,
    source: &'a str,
}

/// The body's JSON; an empty object if it says nothing.
pub(crate) fn document(body: &[u8]) -> Result<Document, Problems> {
    Document::given(if body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { body })
}

impl<'a> Wish<'a> {
    /// Reads a wish, and says everything that is wrong with it at once.
    pub(crate) fn read(document: &'a Document) -> Result<Self, Problems> {
        let value = document.value();
        let members = value.as_object();
        let members =
            members.ok_or_else(|| Problems::one(Problem::new("body", Shape::of(Some(value)), "an object")))?;
        let mut read = Members { members, faults: Vec::new() };
        let id = read.member("batch_id", "1 to 80 letters, digits, hyphens and underscores", |value| {
            value.as_str()?.parse::<BatchId>().ok()
        });
        let mode = read.member("mode", "reconcile or upsert", |value| {
            [Mode::Reconcile, Mode::Upsert].into_iter().find(|mode| value.as_str() == Some(mode.as_str()))
        });
        let wish = Wish {
            id,
            mode: mode.unwrap_or(if members.contains_key("records") { Mode::Upsert } else { Mode::Reconcile }),
            dry_run: read.member("dry_run", "true or false", Value::as_bool).unwrap_or_default(),
            force: read.member("force", "true or false", Value::as_bool).unwrap_or_default(),
            records: read.records(),
        };
        match (mode, members.get("records")) {
            (Some(Mode::Reconcile), Some(_)) => read.fault("mode", "upsert, or no records"),
            (Some(Mode::Upsert), None) => read.fault("records", "the records to upsert"),
            _ => {}
        }
        read.finish()?;
        Ok(wish)
    }

    /// The SHA-256 of the request, in hex, whatever the order of its members and the space between them.
    ///
    /// Not of RFC 8785's form, in which integers beyond 2^53 lose their last digits: requests that differ in a record's
    /// long id would be one.
    pub(crate) fn digest(&self, source: &str, kind: Kind) -> Result<String, serde_json::Error> {
        let Self { mode, dry_run, force, records, .. } = *self;
        // Certificates are left out, as they were before there were other kinds: a digest stays what it was.
        let kind = Some(kind).filter(|kind| *kind != Kind::default());
        Ok(sha256_hex(&serde_json::to_vec(&Content { dry_run, force, kind, mode, records, source })?))
    }
}

struct Members<'a> {
    members: &'a Map<String, Value>,
    faults: Vec<Problem>,
}

impl<'a> Members<'a> {
    fn fault(&mut self, name: &str, wanted: &str) {
        self.faults.push(Problem::new(name, Shape::of(self.members.get(name)), wanted));
    }

    /// A member that may be there, if it is what it should be.
    fn member<T>(&mut self, name: &str, wanted: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.members.get(name)?;
        let found = read(value);
        if found.is_none() {
            self.fault(name, wanted);
        }
        found
    }

    fn records(&mut self) -> Option<&'a [Value]> {
        let records = self.member("records", &format!("1 to {MAX_RECORDS} objects"), |value| {
            value.as_array().filter(|records| (1..=MAX_RECORDS).contains(&records.len()))
        })?;
        let others = records.iter().enumerate().filter(|(_, record)| !record.is_object());
        let fault = |(place, record)| Problem::new(format!("records[{place}]"), Shape::of(Some(record)), "an object");
        self.faults.extend(others.map(fault).take(MAX_FAULTS));
        Some(records)
    }

    fn finish(mut self) -> Result<(), Problems> {
        let unknown = self.members.iter().filter(|(name, _)| !MEMBERS.contains(&name.as_str()));
        let fault = |(name, value): (&String, _)| {
            let name: String = name.chars().take(MAX_NAME).collect();
            Problem::new(name, Shape::of(Some(value)), format!("no other members than {}", MEMBERS.join(", ")))
        };
        self.faults.extend(unknown.map(fault).take(MAX_FAULTS));
        self.faults.truncate(MAX_FAULTS);
        if self.faults.is_empty() { Ok(()) } else { Err(Problems(self.faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn digest(body: &str, source: &str) -> String {
        let document = document(body.as_bytes()).unwrap();
        Wish::read(&document).unwrap().digest(source, Kind::Certificate).unwrap()
    }

    #[test]
    fn a_digest_is_of_what_is_asked_for_and_not_of_how() {
        let one = digest(r#"{"records": [{"a": 1, "b": {"c": 2, "d": 3}}], "force": false, "batch_id": "x"}"#, "s");
        let other = digest(r#"{"mode":"upsert","records":[{"b":{"d":3,"c":2},"a":1}],"batch_id":"y"}"#, "s");
        assert_eq!(one, other);
        assert_eq!(digest("", "s"), digest(r#" {"mode": "reconcile", "dry_run": false} "#, "s"));
    }

    #[test]
    fn whatever_differs_makes_another_digest() {
        let bodies = [
            "{}",
            r#"{"dry_run": true}"#,
            r#"{"force": true}"#,
            r#"{"records": [{"id": 9007199254740993}]}"#,
            r#"{"records": [{"id": 9007199254740992}]}"#,
            r#"{"records": [{"id": "9007199254740992"}]}"#,
            r#"{"records": [{}, {"id": 9007199254740992}]}"#,
            r#"{"records": [{"id": 9007199254740992}], "dry_run": true}"#,
        ];
        let mut digests: Vec<_> =
            bodies.iter().flat_map(|body| ["s", "t"].map(|source| digest(body, source))).collect();
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), 2 * bodies.len());
    }

    #[test]
    fn the_mode_follows_from_the_records() {
        for (body, mode) in [
            (json!({}), Mode::Reconcile),
            (json!({"mode": "reconcile"}), Mode::Reconcile),
            (json!({"records": [{}]}), Mode::Upsert),
            (json!({"records": [{}], "mode": "upsert"}), Mode::Upsert),
        ] {
            let document = document(body.to_string().as_bytes()).unwrap();
            assert_eq!(Wish::read(&document).unwrap().mode, mode, "{body}");
        }
    }
}
