//! What a delivery says: cases in `events/*.json`, and the identity of events.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use certbridge_mapping::{
    Definitions, Delivery, Event, EventKey, Headers, Keys, Reading, SourceDefinition, Unreadable, Version, event::Order,
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const KEY: &str = "secret";
const BODY: &str = r#"{"event_type":"certificate_issued","certificate_id":"1","timestamp":"2026-03-01T12:00:00Z"}"#;

fn read(source: &SourceDefinition, headers: &[(String, String)], body: &[u8]) -> Result<Reading, Unreadable> {
    let now = Timestamp::UNIX_EPOCH;
    let proof = source.sign(body, &SecretString::from(KEY), now).unwrap();
    let headers: Headers<'_> =
        headers.iter().chain(&proof).map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let keys = Keys::new([SecretString::from(KEY)]).unwrap();
    let delivery = Delivery { headers, body, path_token: None };
    source.verify(&delivery, &keys, now).unwrap().read()
}

fn accredible(body: &str) -> Event {
    let definitions = Definitions::built_in();
    match read(definitions.source("certificates").unwrap(), &[], body.as_bytes()) {
        Ok(Reading::Event(event)) => *event,
        other => panic!("{other:?}"),
    }
}

/// A source whose deliveries carry their state, and whose `[event]` table begins as given.
fn source(event: &str) -> SourceDefinition {
    let text = format!(
        r#"
        name = "sender"
        [verification]
        scheme = "token"
        header = "X-Token"
        [records.certificate]
        content = "payload"
        [records.certificate.fields]
        certificate_id = {{ from = "$.record", type = "identifier", required = true }}
        user_id = {{ from = "$.user", required = true }}
        issue_date = {{ from = "$.day", type = "date", required = true }}
        location_id = {{ from = "$.location", required = true }}
        status = {{ from = [], type = "enum", default = "issued" }}
        [event]
        {event}
        [event.types]
        made = {{ kind = "certificate", operation = "created" }}
        changed = {{ kind = "certificate", operation = "updated" }}
        revoked = {{ kind = "certificate", operation = "revoked" }}
        gone = {{ kind = "certificate", operation = "deleted" }}
        seen = {{ kind = "certificate", operation = "audit" }}
        "#
    );
    SourceDefinition::parse("sender.toml", &text).unwrap()
}

/// A case of `events/*.json`: a body, as a text or as JSON, and what is read from it.
fn check(source: &SourceDefinition, case: &Value) {
    let name = &case["name"];
    let body = case["body"].as_str().map_or_else(|| case["body"].to_string(), str::to_owned);
    let header = |pair: &Value| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned());
    let headers: Vec<_> = case["headers"].as_array().into_iter().flatten().map(header).collect();
    let shown = match read(source, &headers, body.as_bytes()) {
        Ok(Reading::Event(event)) => json!({"event": shown(&event, &case["expect"]["event"])}),
        Ok(Reading::Ignored { event_type, known }) => json!({"ignored": event_type, "known": known}),
        Err(unreadable) => {
            assert_eq!(unreadable.key.source, source.name, "{name}");
            assert_eq!(unreadable.key.id.len(), 64, "{name}: a key made of the bytes, and never an empty one");
            json!({"problems": unreadable.problems.0.iter().map(ToString::to_string).collect::<Vec<_>>()})
        }
    };
    assert_eq!(shown, case["expect"], "{name}");
}

/// The members of an event that a case speaks of.
fn shown(event: &Event, wanted: &Value) -> Value {
    let version = event.version.as_ref();
    let all = json!({
        "id": event.key.id,
        "type": event.event_type,
        "record": event.record.to_string(),
        "operation": event.operation.to_string(),
        "time": event.time.to_string(),
        "version": version.map(|version| json!({"domain": version.domain, "at": version.at, "rank": version.rank})),
        "on_behalf_of": event.on_behalf_of,
    });
    let Value::Object(all) = all else { unreachable!() };
    Value::Object(all.into_iter().filter(|(name, _)| wanted.get(name).is_some()).collect())
}

#[test]
fn deliveries_of_accredible() {
    let definitions = Definitions::built_in();
    let source = definitions.source("accredible").unwrap();
    let cases: Vec<Value> = serde_json::from_str(include_str!("events/accredible.json")).unwrap();
    cases.iter().for_each(|case| check(source, case));
    // Every type that is declared has a case.
    let seen: BTreeSet<_> = cases.iter().filter_map(|case| case["body"]["event_type"].as_str()).collect();
    for name in source.event.types.keys().chain(&source.event.acknowledged) {
        assert!(seen.contains(name.as_str()), "{name}");
    }
}

#[test]
fn deliveries_by_declaration() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("events/declared.json")).unwrap();
    cases.iter().for_each(|case| check(&source(case["event"].as_str().unwrap()), case));
}

#[test]
fn a_source_has_its_other_names() {
    let definitions = Definitions::built_in();
    assert_eq!(definitions.source("certificates").unwrap().name, "accredible");
    assert!(definitions.source("Accredible").is_none());
    assert!(definitions.source("").is_none());
    // The key has the name of the definition, whatever name the path had.
    assert_eq!(accredible(BODY).key.source, "accredible");
}

#[test]
fn derived_ids_depend_on_every_byte() {
    let one = accredible(BODY);
    assert_eq!(one, accredible(BODY), "the same bytes are the same event");
    let others = [
        BODY.replace("issued", "updated"),
        BODY.replace(":\"1\"", ":\"2\""),
        BODY.replace(":00Z", ":01Z"),
        BODY.replace(":00Z", ":00.0Z"),
        BODY.replace('}', r#","note":"x"}"#),
        format!("{BODY} "),
    ];
    let ids: BTreeSet<_> = others.iter().map(|body| accredible(body).key.id).chain([one.key.id]).collect();
    assert_eq!(ids.len(), others.len() + 1);
    assert!(ids.iter().all(|id| id.len() == 64));
}

#[test]
fn the_parts_of_a_derived_id_do_not_run_together() {
    // The bodies are one and the same; only which part is which differs.
    let body = br#"{"a":"changed","b":"7","c":"71","d":"1772366400","e":"772366400"}"#;
    let event = |record: &str, time: &str| {
        let rules = format!("type = \"$.a\"\nrecord_id = \"$.{record}\"\ntime = \"$.{time}\"");
        match read(&source(&rules), &[], body) {
            Ok(Reading::Event(event)) => event.key.id,
            other => panic!("{other:?}"),
        }
    };
    assert_ne!(event("b", "d"), event("c", "e"));
    assert_ne!(event("b", "d"), event("d", "b"));
}

#[test]
fn unreadable_deliveries_have_a_key_each() {
    let definitions = Definitions::built_in();
    let source = definitions.source("accredible").unwrap();
    let key = |body: &[u8]| read(source, &[], body).unwrap_err().key;
    assert_eq!(key(b"{}"), key(b"{}"));
    let keys = BTreeSet::from([key(b""), key(b"{}"), key(b"{ }"), key(b"\xff"), key(b"[]"), key(b"null")]);
    assert_eq!(keys.len(), 6);
}

#[test]
fn deep_nesting_is_a_problem_and_no_overflow() {
    let definitions = Definitions::built_in();
    let deep = "[".repeat(100_000);
    let problems = read(definitions.source("accredible").unwrap(), &[], deep.as_bytes()).unwrap_err().problems;
    assert_eq!(problems.0[0].field, "body");
    assert_eq!(problems.0[0].found, "100000 bytes");
}

#[test]
fn a_conflicting_delivery_is_kept_beside_the_first() {
    let key = EventKey { source: "sender".into(), id: "1".into() };
    let other = key.conflicting("abc");
    assert_eq!((other.to_string(), key.to_string()), ("sender#1#abc".to_owned(), "sender#1".to_owned()));
    assert_ne!(key.conflicting("abd"), other);
}

/// A version of an event of this type, of which only the rank is of interest.
fn version(at: Order, event_type: &str, digest: &str) -> Version {
    let source = source("type = \"$.t\"\nrecord_id = \"$.r\"\ntime = \"$.at\"");
    let body = json!({"t": event_type, "r": "1", "at": 1}).to_string();
    let Ok(Reading::Event(event)) = read(&source, &[], body.as_bytes()) else { panic!("{event_type}") };
    Version { at, digest: digest.to_owned(), ..event.version.unwrap() }
}

#[test]
fn versions_are_ordered_by_counter_or_time_then_rank_then_digest() {
    let time = |second| Order::Time(Timestamp::from_second(second).unwrap());
    let ascending = [
        version(time(1), "gone", "f"),
        version(time(2), "made", "a"),
        version(time(2), "changed", "a"),
        version(time(2), "changed", "b"),
        version(time(2), "revoked", "a"),
        version(time(2), "gone", "0"),
        version(time(3), "made", "0"),
    ];
    for (i, a) in ascending.iter().enumerate() {
        for (j, b) in ascending.iter().enumerate() {
            assert_eq!(a.partial_cmp(b), Some(i.cmp(&j)), "{a:?} {b:?}");
        }
    }
    assert!(version(Order::Revision(9), "gone", "f") < version(Order::Revision(10), "made", "0"));
}

#[test]
fn versions_of_different_clocks_are_not_compared() {
    let by_time = version(Order::Time(Timestamp::UNIX_EPOCH), "changed", "a");
    let by_counter = Version { at: Order::Revision(1), ..by_time.clone() };
    let of_another = Version { domain: "another/time".into(), ..by_time.clone() };
    for (a, b) in [(&by_time, &by_counter), (&by_time, &of_another), (&by_counter, &of_another)] {
        assert_eq!(a.partial_cmp(b), None);
        assert_eq!(b.partial_cmp(a), None);
        assert_ne!(a, b);
    }
}

#[test]
fn any_bytes_are_read_or_refused_but_never_a_panic() {
    let definitions = Definitions::built_in();
    let source = definitions.source("accredible").unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2_000 {
        let mut body = BODY.as_bytes().to_vec();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(0..body.len());
            match random.u8(0..3) {
                0 => body[at] = random.u8(..),
                1 => drop(body.remove(at)),
                _ => body.insert(at, random.u8(b' '..=b'~')),
            }
        }
        match read(source, &[], &body) {
            Ok(Reading::Event(event)) => assert!(!event.key.id.is_empty() && !event.record.id.as_str().is_empty()),
            Ok(Reading::Ignored { event_type, .. }) => assert!(event_type.chars().count() <= 64),
            Err(unreadable) => assert!(!unreadable.key.id.is_empty() && !unreadable.problems.0.is_empty()),
        }
    }
}
