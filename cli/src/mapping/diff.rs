//! What a changed plan would tell a destination otherwise.

use super::MappingError;
use certbridge_mapping::{
    Document, Kind, Operation, Plan, Problems, Reading, RecordKey, Request, Version, check::document_key,
};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// A record as a payload tells it.
struct Payload {
    file: PathBuf,
    body: Vec<u8>,
    operation: Operation,
    version: Option<Version>,
}

/// What both plans make of a record's newest payload.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The same request.
    Same,
    /// Requests that differ.
    Differs(Vec<FieldDifference>),
    /// Only the old plan can map it.
    NoLonger(Problems),
    /// Only the new plan can map it.
    OnlyNow(Problems),
    /// Neither can.
    Neither(Problems),
}

/// A field that is told otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldDifference {
    /// Its name at the destination; `path` or `method` where the request itself differs.
    pub field: String,
    /// Whether it tells something of a person.
    pub personal: bool,
    /// What the old plan tells.
    pub old: Value,
    /// What the new one tells.
    pub new: Value,
}

/// What became of all payloads.
#[derive(Debug, Default)]
pub struct Compared {
    /// Each record, by its newest payload.
    pub records: Vec<(RecordKey, PathBuf, Told)>,
    /// Payloads that tell of no record: types that are not synced, hints, unreadable ones.
    pub others: Vec<(PathBuf, String)>,
}

impl Compared {
    /// How many records the destination would be told of again.
    pub fn pushed_again(&self) -> usize {
        self.records.iter().filter(|(_, _, told)| matches!(told, Told::Differs(_) | Told::OnlyNow(_))).count()
    }
}

/// Maps every payload by both plans. They are deliveries, or with a kind, records as fetches of them are answered.
///
/// # Errors
/// Either source is not declared to have such records.
pub fn compare(
    old: &Plan,
    new: &Plan,
    kind: Option<Kind>,
    files: Vec<(PathBuf, Vec<u8>)>,
    now: Timestamp,
) -> Result<Compared, MappingError> {
    let mut compared = Compared::default();
    let mut newest: BTreeMap<RecordKey, Payload> = BTreeMap::new();
    for (file, body) in files {
        let read = match kind {
            Some(kind) => document_key(new, kind, &body)
                .ok_or_else(|| MappingError::no_kind(new, kind))?
                .map(|key| (key, Operation::Updated, None))
                .map_err(|problems| problems.to_string()),
            None => read_event(new, &body, now),
        };
        match read {
            Err(why) => compared.others.push((file, why)),
            Ok((key, operation, version)) => {
                let payload = Payload { file, body, operation, version };
                match newest.get(&key) {
                    Some(other) if is_older(&payload, other) => {}
                    _ => drop(newest.insert(key, payload)),
                }
            }
        }
    }
    for (key, payload) in newest {
        let told = told(old, new, &key, &payload);
        compared.records.push((key, payload.file, told));
    }
    Ok(compared)
}

fn read_event(plan: &Plan, body: &[u8], now: Timestamp) -> Result<(RecordKey, Operation, Option<Version>), String> {
    // A file has no headers: those that the definition looks for are made up.
    let headers = plan.source().sample_headers("", "", now);
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let preview = plan.source().preview(&headers, body).map_err(|problems| problems.to_string())?;
    match preview.reading() {
        Reading::Ignored { event_type, .. } => Err(format!("the type {event_type} is not synced")),
        Reading::Event(event) if event.operation == Operation::Audit => Err("it is audited only".to_owned()),
        Reading::Event(event) if event.version.is_none() => {
            Err("it is only a hint: the record is read from the source's API".to_owned())
        }
        Reading::Event(event) => Ok((event.record.clone(), event.operation, event.version.clone())),
    }
}

fn is_older(one: &Payload, other: &Payload) -> bool {
    match (&one.version, &other.version) {
        (Some(one), Some(other)) => one < other,
        _ => false,
    }
}

fn told(old: &Plan, new: &Plan, key: &RecordKey, payload: &Payload) -> Told {
    let request = |plan: &Plan| -> Result<Request, Problems> {
        let document = Document::preview(&payload.body)?;
        let record = plan.canonical(key, &document, None)?.after(payload.operation);
        plan.request(&record)
    };
    match (request(old), request(new)) {
        (Ok(before), Ok(after)) if before.fingerprint() == after.fingerprint() => Told::Same,
        (Ok(before), Ok(after)) => Told::Differs(differences(old, new, key.kind, &before, &after)),
        (Ok(_), Err(problems)) => Told::NoLonger(problems),
        (Err(problems), Ok(_)) => Told::OnlyNow(problems),
        (Err(_), Err(problems)) => Told::Neither(problems),
    }
}

/// Field by field. Whether one tells of a person is said by whichever plan knows it; where one of them says so, it does.
fn differences(old: &Plan, new: &Plan, kind: Kind, before: &Request, after: &Request) -> Vec<FieldDifference> {
    let empty = Map::new();
    let members = |request: &Request| request.body.as_object().cloned().unwrap_or_default();
    let (held, wanted) = (members(before), members(after));
    // Compared with nothing, each plan tells which of its fields are personal.
    let personal: BTreeSet<String> = [(old, before), (new, after)]
        .into_iter()
        .flat_map(|(plan, request)| plan.differences(kind, request, &empty))
        .filter(|difference| difference.personal)
        .map(|difference| difference.field)
        .collect();
    let names: BTreeSet<&String> = held.keys().chain(wanted.keys()).collect();
    let at = |fields: &Map<String, Value>, name: &str| fields.get(name).cloned().unwrap_or_default();
    let mut differences: Vec<_> = names
        .into_iter()
        .map(|name| FieldDifference {
            field: name.clone(),
            personal: personal.contains(name),
            old: at(&held, name),
            new: at(&wanted, name),
        })
        .filter(|difference| difference.old != difference.new)
        .collect();
    for (field, old, new) in
        [("method", before.method.as_str(), after.method.as_str()), ("path", before.path.as_str(), after.path.as_str())]
    {
        if old != new {
            differences.push(FieldDifference {
                field: field.to_owned(),
                // It names the record, as the table does beside it.
                personal: false,
                old: old.into(),
                new: new.into(),
            });
        }
    }
    differences
}
