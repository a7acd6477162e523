//! Sample payloads of every built-in source, with what becomes of each: the event, the canonical record, and the request
//! to the Snapshots API. And every one of them spoilt in every place.

use super::ground::{NOW, Sender};
use certbridge_mapping::{
    Definitions, Delivery, Document, Event, Headers, Keys, Kind, Operation, Plan, Problems, Reading,
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, path::PathBuf};

const SOURCES: [&str; 6] = ["accredible", "accredit", "certifylize", "17hats", "acculynx", "standard-webhooks"];

fn file(source: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("integration/sources/golden/{source}.json"))
}

fn samples(source: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(file(source)).unwrap();
    let samples: Vec<_> = serde_json::from_str(&text).unwrap();
    assert!(!samples.is_empty());
    samples
}

/// A source, and the way to the Snapshots API.
struct Way {
    sender: Sender,
    plan: Plan,
}

/// What becomes of a payload.
enum Given {
    Ignored { known: bool },
    Unreadable(Problems),
    Audited(Box<Event>),
    Unmappable(Box<Event>, Problems),
    Mapped(Box<Event>, Value),
}

impl Way {
    fn of(source: &str) -> Self {
        let definitions = Definitions::built_in();
        let to = definitions.destination("snapshots").unwrap().clone();
        Self { sender: Sender::new(source, 1), plan: Plan::new(definitions.source(source).unwrap().clone(), to) }
    }

    /// What becomes of a payload, and of what its source shows if it is asked.
    fn give(&self, payload: &Value, fetched: Option<&Value>) -> Given {
        let event = match self.read(payload) {
            Ok(Reading::Ignored { known, .. }) => return Given::Ignored { known },
            Ok(Reading::Event(event)) => event,
            Err(problems) => return Given::Unreadable(problems),
        };
        if event.operation == Operation::Audit {
            return Given::Audited(event);
        }
        let document = match (&event.version, fetched) {
            (None, Some(fetched)) => Document::fetched(fetched.to_string().as_bytes()),
            _ => Document::from_inbox(payload.to_string().as_bytes()),
        };
        match document.and_then(|document| self.map(&event, &document)) {
            Ok(mapped) => Given::Mapped(event, mapped),
            Err(problems) => Given::Unmappable(event, problems),
        }
    }

    fn read(&self, payload: &Value) -> Result<Reading, Problems> {
        let now = NOW.parse().unwrap();
        let event = self.sender.event(payload.to_string(), now);
        let headers: Headers<'_> =
            event.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let delivery = Delivery { headers, body: event.body.as_bytes(), path_token: event.token.as_deref() };
        let keys = Keys::new([self.sender.key.signing.clone()]).unwrap();
        let verified = self.sender.source.verify(&delivery, &keys, now).unwrap();
        verified.read().map_err(|unreadable| unreadable.problems)
    }

    fn map(&self, event: &Event, document: &Document) -> Result<Value, Problems> {
        // What a fetch says of its own age is read as well.
        let _ =
            (self.plan.fetched_version(&event.record, document), self.plan.version_of_fetched(&event.record, document));
        let record = self.plan.canonical(&event.record, document, None)?.after(event.operation);
        let request = self.plan.request(&record)?;
        let told = json!({"method": request.method, "path": request.path, "body": request.body});
        Ok(json!({"record": record.to_fields(), "request": told}))
    }
}

impl Given {
    fn to_json(&self) -> Value {
        let told = |problems: &Problems| json!(problems.0.iter().map(ToString::to_string).collect::<Vec<_>>());
        match self {
            Self::Ignored { known } => json!({"ignored": if *known { "acknowledged" } else { "unknown" }}),
            Self::Unreadable(problems) => json!({"unreadable": told(problems)}),
            Self::Audited(event) => json!({"event": event_json(event)}),
            Self::Unmappable(event, problems) => json!({"event": event_json(event), "unmappable": told(problems)}),
            Self::Mapped(event, mapped) => {
                let mut mapped = mapped.clone();
                mapped["event"] = event_json(event);
                mapped
            }
        }
    }
}

fn event_json(event: &Event) -> Value {
    json!({
        "key": event.key.to_string(),
        "type": event.event_type,
        "record": event.record.to_string(),
        "operation": event.operation,
        "time": event.time,
        "version": event.version.as_ref().map(|version| json!({"domain": version.domain, "at": version.at})),
        "on_behalf_of": event.on_behalf_of,
    })
}

fn given(way: &Way, sample: &Value) -> Value {
    way.give(&sample["payload"], sample.get("fetched")).to_json()
}

#[test]
fn each_sample_becomes_what_stands_beside_it() {
    for source in SOURCES {
        let way = Way::of(source);
        let mut kinds = BTreeSet::new();
        for sample in samples(source) {
            let given = given(&way, &sample);
            assert_eq!(given, sample["gives"], "{source}, {}: {given:#}", sample["name"]);
            let mapped = given.get("request").and_then(|_| given["event"]["record"].as_str());
            kinds.extend(mapped.map(|record| record.split('#').next().unwrap().to_owned()));
        }
        let declared: BTreeSet<_> = way.sender.source.records.keys().map(ToString::to_string).collect();
        assert_eq!(kinds, declared, "{source}: a sample of each kind");
    }
}

#[test]
#[ignore = "writes what becomes of each sample into the files: for whoever changes a definition, and reads the difference"]
fn write_what_becomes_of_each_sample() {
    for source in SOURCES {
        let way = Way::of(source);
        let mut samples = samples(source);
        samples.iter_mut().for_each(|sample| sample["gives"] = given(&way, sample));
        std::fs::write(file(source), format!("{:#}\n", Value::from(samples))).unwrap();
    }
}

/// A value of each type.
fn others() -> [Value; 9] {
    [
        json!(null),
        json!(true),
        json!(7),
        json!(-1.5),
        json!(1e300),
        json!(""),
        json!("\u{0}\u{202e} some text / with # more ? than % one .. word"),
        json!([[], {}, "x"]),
        json!({"$": {"id": [1]}}),
    ]
}

/// The document with each of its places taken out, and in turn replaced by something else. Each with the place's path.
fn spoilt(document: &Value) -> Vec<(String, Value)> {
    let mut all: Vec<_> = others().into_iter().map(|other| (String::new(), other)).collect();
    let mut places = Vec::new();
    find_places(document, String::new(), &mut places);
    for place in places {
        let mut without = document.clone();
        take_out(&mut without, &place);
        all.push((place.clone(), without));
        for other in others() {
            let mut replaced = document.clone();
            *replaced.pointer_mut(&place).unwrap() = other;
            all.push((place.clone(), replaced));
        }
    }
    all
}

fn find_places(value: &Value, at: String, places: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.replace('~', "~0").replace('/', "~1"), member)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(number, item)| (number.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (name, member) in members {
        let place = format!("{at}/{name}");
        find_places(member, place.clone(), places);
        places.push(place);
    }
}

fn take_out(document: &mut Value, place: &str) {
    let (parent, name) = place.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.remove(&name.replace("~1", "/").replace("~0", "~"))),
        Value::Array(items) => drop(items.remove(name.parse().unwrap())),
        other => panic!("{other} has no members"),
    }
}

/// What a problem may be about.
fn fields() -> BTreeSet<&'static str> {
    let of_events = ["body", "type", "record_id", "time", "id", "revision", "source", "subscription"];
    let of_records = Kind::ALL.into_iter().flat_map(Kind::fields).map(|field| field.name);
    of_events.into_iter().chain(of_records).collect()
}

/// Whatever a sample's payload, or its source, is made to say: it is mapped, or a problem names the field.
#[test]
fn every_sample_spoilt_in_every_place_is_mapped_or_told_of() {
    let (fields, mut count) = (fields(), Map::new());
    for source in SOURCES {
        let way = Way::of(source);
        let (mut mapped, mut told) = (0, 0);
        for sample in samples(source) {
            let (payload, fetched) = (&sample["payload"], sample.get("fetched"));
            let of_payload = spoilt(payload).into_iter().map(|(at, payload)| (at, payload, fetched.cloned()));
            let of_fetched =
                fetched.into_iter().flat_map(spoilt).map(|(at, fetched)| (at, payload.clone(), Some(fetched)));
            for (at, payload, fetched) in of_payload.chain(of_fetched) {
                let name = format!("{source}, {}: {at}: {payload} {fetched:?}", sample["name"]);
                match way.give(&payload, fetched.as_ref()) {
                    Given::Unreadable(problems) | Given::Unmappable(_, problems) => {
                        assert!(!problems.0.is_empty(), "{name}");
                        for problem in problems.0 {
                            assert!(fields.contains(problem.field.as_str()), "{name}: {problem}");
                            assert!(!problem.to_string().contains("some text"), "{name}: a value is repeated");
                        }
                        told += 1;
                    }
                    Given::Mapped(event, given) => {
                        assert_eq!(given["record"][event.record.kind.id_field()], event.record.id.as_str(), "{name}");
                        assert_eq!(given["request"]["path"].as_str().unwrap().matches("..").count(), 0, "{name}");
                        mapped += 1;
                    }
                    Given::Ignored { .. } | Given::Audited(_) => mapped += 1,
                }
            }
        }
        assert!(mapped > 50 && told > 50, "{source}: {mapped} mapped, {told} told");
        count.insert(source.to_owned(), json!([mapped, told]));
    }
    println!("mapped, and told of: {}", Value::from(count));
}
