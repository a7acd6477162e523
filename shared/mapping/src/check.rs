//! What a plan makes of one payload, field by field, without effect. It shows what the payload holds, so it is for eyes
//! that may see it, and no log.

use crate::{
    Document, Event, Kind, Operation, Plan, Problem, Problems, Reading, Record, RecordKey, Request, Sample, Traced,
    definition::Content, record::InvalidId,
};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// A field on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Where it was found, or what stands in for it.
    pub from: String,
    /// What stood there.
    pub found: Option<Value>,
    /// The canonical field; `None` for what a destination is told without one.
    pub field: Option<String>,
    /// The canonical value, or what is wrong.
    pub value: Result<Value, Problem>,
    /// The destination's field and what it would be told there.
    pub told: Option<(String, Result<Value, Problem>)>,
}

/// What became of a payload.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checked {
    /// The event that it would be, if it is one.
    pub event: Option<Event>,
    /// What there is to know beside the fields.
    pub note: Option<String>,
    /// Its fields.
    pub rows: Vec<Row>,
    /// What the destination would be told.
    pub request: Option<Request>,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
}

/// As the API and the command tell it: `event`, `note`, `fields`, `request`, `problems`.
impl Serialize for Checked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let read = |read: &Result<Value, Problem>| read.clone().unwrap_or_default();
        let fields = self.rows.iter().map(|row| {
            json!({
                "from": row.from, "found": row.found, "field": row.field, "value": read(&row.value),
                "destination_field": row.told.as_ref().map(|(field, _)| field),
                "destination_value": row.told.as_ref().map(|(_, told)| read(told)),
            })
        });
        let event = self.event.as_ref().map(|event| {
            json!({
                "id": event.key.id, "type": event.event_type, "record": event.record.to_string(),
                "operation": event.operation, "time": event.time, "version": event.version,
                "carries_state": event.version.is_some(),
            })
        });
        let shown = json!({
            "event": event, "note": self.note, "fields": fields.collect::<Vec<_>>(), "request": self.request,
            "problems": self.problems,
        });
        shown.serialize(serializer)
    }
}

/// What a plan makes of a delivery.
pub fn check_event(plan: &Plan, sample: &Sample) -> Checked {
    let headers = sample.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    match plan.source().preview(&headers, &sample.body) {
        Ok(preview) => match preview.reading() {
            Reading::Event(event) => of_event(plan, event, &sample.body),
            Reading::Ignored { event_type, known } => {
                let how = if *known { "declared as acknowledged" } else { "not declared" };
                let note = format!("the type {event_type} is not synced: it is {how}");
                Checked { note: Some(note), ..Checked::default() }
            }
        },
        Err(problems) => of_unreadable(plan, problems, &sample.body),
    }
}

fn of_event(plan: &Plan, event: &Event, body: &[u8]) -> Checked {
    let is_hint = event.version.is_none();
    let checked = if is_hint { Checked::default() } else { of_body(plan, &event.record, event.operation, body) };
    let note = match (event.operation, is_hint) {
        (Operation::Audit, _) => Some("it is audited, and changes nothing".to_owned()),
        (_, true) => Some(format!(
            "it is only a hint: the record is read from the source's API. To map such an answer: \
             --kind {} --sample FILE",
            event.record.kind
        )),
        _ => None,
    };
    Checked { event: Some(event.clone()), note, ..checked }
}

/// One that cannot be read as an event shows its fields all the same, where it is plain of which kind they would be.
fn of_unreadable(plan: &Plan, problems: Problems, body: &[u8]) -> Checked {
    let mut kinds = plan.source().records.iter().filter(|(_, rules)| rules.content != Content::Fetched);
    let mut checked = match (kinds.next(), kinds.next(), Document::preview(body)) {
        (Some((kind, rules)), None, Ok(document)) => {
            let traced = rules.fields.trace(document.value(), None, &plan.source().tables);
            let note = Some(format!("as a {kind}, as far as it can be mapped"));
            let problems = traced.iter().filter_map(|field| field.value.clone().err()).collect();
            Checked { note, rows: rows(*kind, traced, Vec::new()), problems, ..Checked::default() }
        }
        _ => Checked::default(),
    };
    checked.problems.splice(0..0, problems.0);
    checked
}

/// What a plan makes of a record's document, as a fetch of it would be answered; `None` if the source is not declared to
/// have such records.
pub fn check_document(plan: &Plan, kind: Kind, body: &[u8]) -> Option<Checked> {
    match document_key(plan, kind, body)? {
        Ok(key) => Some(of_body(plan, &key, Operation::Updated, body)),
        Err(problems) => {
            let document = Document::preview(body).ok();
            let rules = &plan.source().records[&kind];
            let traced = document.map(|document| rules.fields.trace(document.value(), None, &plan.source().tables));
            let traced = traced.unwrap_or_default();
            let further = traced.iter().filter_map(|field| field.value.clone().err());
            let further = further.filter(|new| problems.0.iter().all(|known| known.field != new.field));
            let problems = problems.0.iter().cloned().chain(further).collect();
            Some(Checked { rows: rows(kind, traced, Vec::new()), problems, ..Checked::default() })
        }
    }
}

/// The record that a document says itself to be; `None` if the source is not declared to have such records.
pub fn document_key(plan: &Plan, kind: Kind, body: &[u8]) -> Option<Result<RecordKey, Problems>> {
    let source = plan.source();
    let name = source.name.clone();
    let rules = source.records.get(&kind)?;
    let read = Document::preview(body).and_then(|document| {
        let traced = rules.fields.trace(document.value(), None, &source.tables);
        let id = traced.into_iter().find(|field| field.field == kind.id_field());
        let id = id.map_or(Ok(Value::Null), |field| field.value).map_err(Problems::one)?;
        let shape = crate::Shape::of(Some(&id));
        let id = id.as_str().unwrap_or_default().parse();
        let id =
            id.map_err(|error: InvalidId| Problems::one(Problem::new(kind.id_field(), shape, error.to_string())))?;
        Ok(RecordKey { kind, source: name.clone(), id })
    });
    Some(read)
}

fn of_body(plan: &Plan, key: &RecordKey, operation: Operation, body: &[u8]) -> Checked {
    let document = match Document::preview(body) {
        Ok(document) => document,
        Err(problems) => return Checked { problems: problems.0, ..Checked::default() },
    };
    let source = plan.source();
    let fields = source.records.get(&key.kind).map(|rules| &rules.fields);
    let traced = fields.map(|fields| fields.trace(document.value(), None, &source.tables)).unwrap_or_default();
    match plan.canonical(key, &document, None) {
        Err(problems) => {
            Checked { rows: rows(key.kind, traced, Vec::new()), problems: problems.0, ..Checked::default() }
        }
        Ok(record) => {
            let record = record.after(operation);
            let rows = rows(key.kind, traced, told(plan, &record));
            match plan.request(&record) {
                Ok(request) => Checked { rows, request: Some(request), ..Checked::default() },
                Err(problems) => Checked { rows, problems: problems.0, ..Checked::default() },
            }
        }
    }
}

/// What the destination's fields would hold.
fn told(plan: &Plan, record: &Record) -> Vec<Traced> {
    let destination = plan.destination();
    let template = destination.requests.get(&record.kind());
    let traced = template.map(|template| template.fields.trace(&record.to_fields(), None, &destination.tables));
    traced.unwrap_or_default()
}

/// Both sides: each canonical field with the first of the destination's that is made of it alone, and then the others.
fn rows(kind: Kind, traced: Vec<Traced>, mut told: Vec<Traced>) -> Vec<Row> {
    let mut rows = Vec::new();
    // In the order in which the kind has them, which is that of their weight.
    let order = |field: &Traced| kind.fields().iter().position(|canonical| canonical.name == field.field);
    let mut traced = traced;
    traced.sort_by_key(order);
    for field in traced {
        let is_of =
            |one: &Traced| one.from == format!("$.{}", field.field) || one.from == format!("$['{}']", field.field);
        let own = told.iter().position(is_of).map(|place| told.remove(place));
        rows.push(Row {
            from: field.from,
            found: field.found,
            value: field.value,
            told: own.map(|own| (own.field, own.value)),
            field: Some(field.field),
        });
    }
    rows.extend(told.into_iter().map(|other| Row {
        from: format!("the record's {}", other.from),
        found: other.found,
        field: None,
        value: Ok(Value::Null),
        told: Some((other.field, other.value)),
    }));
    rows
}
