//! The events of what a poll found changed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use certbridge_mapping::{Definitions, Kind, Operation, Plan, SourceDefinition};
use jiff::Timestamp;
use std::{collections::BTreeSet, sync::Arc};

const SOURCE: &str = include_str!("../../../config/sources/accredible.toml");

fn plan(changes: &[(&str, &str)]) -> Plan {
    let text = changes.iter().fold(SOURCE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let source = SourceDefinition::parse("source.toml", &text.replace("\"accredible\"\nal", "\"source\"\nal")).unwrap();
    Plan::new(Arc::new(source), Definitions::built_in().destination("snapshots").unwrap().clone())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_polled_event_is_a_hint_that_names_record_and_time() {
    let id = "10".to_owned().try_into().unwrap();
    let polled = plan(&[]).polled(Kind::Certificate, &id, at("2026-03-01T12:00:00.250Z"));
    let event = &polled.event;
    assert_eq!(event.record.to_string(), "certificate#source#10");
    assert_eq!((event.key.source.as_str(), event.key.id.len()), ("source", 64));
    assert_eq!((event.event_type.as_str(), event.operation), ("polled", Operation::Updated));
    assert_eq!((event.time, &event.version, &event.on_behalf_of), (at("2026-03-01T12:00:00.250Z"), &None, &None));
    assert_eq!(
        String::from_utf8(polled.body).unwrap(),
        r#"{"changed_at":"2026-03-01T12:00:00.25Z","event_type":"polled","kind":"certificate","record_id":"10"}"#
    );
}

#[test]
fn one_record_and_time_are_one_event_and_others_are_others() {
    let plan = plan(&[]);
    let polled = |id: &str, time: &str| plan.polled(Kind::Certificate, &id.to_owned().try_into().unwrap(), at(time));
    let first = polled("10", "2026-03-01T12:00:00.250Z");
    // However the listing writes the same instant.
    assert_eq!(first, polled("10", "2026-03-01T13:00:00.250000+01:00"));
    let keys: BTreeSet<_> =
        [("10", "2026-03-01T12:00:00.250Z"), ("10", "2026-03-01T12:00:00.251Z"), ("1", "2026-03-01T12:00:00.250Z")]
            .map(|(id, time)| polled(id, time).event.key)
            .into();
    assert_eq!(keys.len(), 3);
}

#[test]
fn only_what_is_declared_is_polled() {
    let polled = |plan: &Plan| plan.polled_kinds().collect::<Vec<_>>();
    assert_eq!(polled(&plan(&[])), [Kind::Certificate]);
    assert_eq!(polled(&plan(&[("poll = true", "poll = false")])), []);
    assert_eq!(polled(&plan(&[("poll = true\n", "")])), []);
}

#[test]
fn polling_needs_times_and_records_that_can_be_fetched() {
    let faults = |changes: &[(&str, &str)]| {
        let text = changes.iter().fold(SOURCE.to_owned(), |text, (from, to)| text.replace(from, to));
        SourceDefinition::parse("accredible.toml", &text).unwrap_err().faults
    };
    let undated = "records.certificate: listed.poll: only with `changed_at`, which tells one change from the next";
    let carried = "records.certificate: listed.poll: only with content = \"fetched\", since a listing is no payload";
    let (no_time, payload) =
        (("changed_at = \"$.updated_at\"\n", ""), ("content = \"fetched\"", "content = \"payload\""));
    assert_eq!(faults(&[no_time]), [undated]);
    assert_eq!(faults(&[payload]), [carried]);
    assert_eq!(faults(&[no_time, payload]), [undated, carried]);
}
