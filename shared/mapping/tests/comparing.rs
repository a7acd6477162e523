//! What a listing completes, and where what the destination shows differs from what it would be told.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use certbridge_mapping::{
    DestinationDefinition, Kind, Operation, Plan, Problems, Record, RecordKey, SourceDefinition, plan::Difference,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const SOURCE: &str = include_str!("../../../config/sources/accredible.toml");
const DESTINATION: &str = include_str!("../../../config/destinations/snapshots.toml");

fn plan_of(source: &str, destination: &str) -> Plan {
    let source = SourceDefinition::parse("sources/accredible.toml", source).unwrap();
    let destination = DestinationDefinition::parse("snapshots.toml", destination).unwrap();
    Plan::new(Arc::new(source), Arc::new(destination))
}

fn plan() -> Plan {
    plan_of(SOURCE, DESTINATION)
}

/// The built-in plan, with some text of its source replaced.
fn plan_with(from: &str, to: &str) -> Plan {
    assert!(SOURCE.contains(from), "{from}");
    plan_of(&SOURCE.replace(from, to), DESTINATION)
}

fn key() -> RecordKey {
    RecordKey { kind: Kind::Certificate, source: "accredible".into(), id: "10".parse().unwrap() }
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn all() -> Map<String, Value> {
    map(&json!({
        "certificate_id": "10", "user_id": "u1", "issue_date": "2026-01-31", "location_id": "loc_london",
        "expiry_date": "2027-01-31", "title": "Widgetry", "group_name": "widgets", "recipient_name": "Ada",
        "recipient_email": "ada@example.org", "url": "https://example.org/10",
    }))
}

fn complete(plan: &Plan, listed: &Value, previous: Option<&Record>) -> Result<Record, Problems> {
    plan.complete(&key(), &map(listed), previous)
}

fn held() -> Record {
    plan().complete(&key(), &all(), None).unwrap()
}

fn field(record: &Record, name: &str) -> Value {
    record.to_fields()[name].clone()
}

fn texts(result: Result<Record, Problems>) -> Value {
    result.unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn what_a_listing_shows_stands_over_what_we_hold() {
    let record = complete(&plan(), &json!({"title": "Gadgetry", "expiry_date": null}), Some(&held())).unwrap();
    assert_eq!(field(&record, "title"), "Gadgetry");
    assert_eq!(field(&record, "expiry_date"), Value::Null);
    assert_eq!(field(&record, "group_name"), "widgets");
    assert_eq!(complete(&plan(), &json!({}), Some(&held())).unwrap(), held());
    assert_eq!(complete(&plan(), &json!({"title": " "}), Some(&held())).unwrap().to_fields()["title"], Value::Null);
}

#[test]
fn what_no_listing_states_is_kept() {
    let status = |previous: Option<Record>| {
        field(&complete(&plan(), &Value::Object(all()), previous.as_ref()).unwrap(), "status")
    };
    assert_eq!(status(None), "issued");
    assert_eq!(status(Some(held())), "issued");
    assert_eq!(status(Some(held().after(Operation::Revoked))), "revoked");
    // What a tombstone held is nothing to keep.
    assert_eq!(status(Some(held().after(Operation::Deleted))), "issued");
    let gone = held().after(Operation::Deleted);
    let least = json!({"user_id": "u1", "issue_date": "2026-01-31", "location_id": "loc_rome"});
    assert_eq!(field(&complete(&plan(), &least, Some(&gone)).unwrap(), "title"), Value::Null);
}

#[test]
fn a_field_that_nobody_has_is_as_its_declaration_says() {
    let least = json!({"user_id": "u1", "issue_date": "2026-01-31", "location_id": "loc_rome"});
    let from = "title = { from = \"$.credential.name\"";
    let title = |more: &str, listed: &Value, previous: Option<&Record>| {
        let plan = plan_with(from, &format!("{from}{more}"));
        plan.complete(&key(), &map(listed), previous).map(|record| field(&record, "title"))
    };
    let blank = json!({"user_id": "u1", "issue_date": "2026-01-31", "location_id": "loc_rome", "title": null});
    let keep = ", on_missing = \"keep\", default = \"none\"";
    for (more, listed, previous, wanted) in [
        ("", &least, None, Value::Null),
        (", default = \"none\"", &least, None, json!("none")),
        (", default = \"none\"", &blank, Some(&held()), json!("none")),
        (keep, &least, None, json!("none")),
        (keep, &blank, Some(&held()), json!("Widgetry")),
        (", required = true", &least, Some(&held()), json!("Widgetry")),
    ] {
        assert_eq!(title(more, listed, previous).unwrap(), wanted, "{more} {listed}");
    }
    let problems = title(", required = true", &least, None).unwrap_err();
    assert_eq!(problems.to_string(), "title: wanted a text, found nothing");
}

#[test]
fn what_a_listing_shows_is_read_like_a_document() {
    let listed = json!({"user_id": 7, "issue_date": "2026-01-31T10:00:00Z", "recipient_email": "Ada@Example.org"});
    let record = complete(&plan(), &listed, Some(&held())).unwrap();
    assert_eq!(field(&record, "user_id"), "7");
    assert_eq!(field(&record, "issue_date"), "2026-01-31");
    assert_eq!(field(&record, "recipient_email"), "ada@example.org");
}

#[test]
fn every_problem_of_a_listing_at_once_and_no_value() {
    let listed = json!({
        "certificate_id": "11", "issue_date": "secret", "status": "secret", "recipient_email": "secret", "colour": "secret",
    });
    assert_eq!(
        texts(complete(&plan(), &listed, None)),
        json!([
            "issue_date: wanted a day, YYYY-MM-DD, found a string of 6 characters",
            "location_id: wanted an id: a text or a whole number, found nothing",
            "recipient_email: wanted an e-mail address, found a string of 6 characters",
            "user_id: wanted an id: a text or a whole number, found nothing",
            "colour: wanted a field that a record of this kind has, found a string of 6 characters",
            "status: wanted one of issued, expired, revoked, deleted, found a string of 6 characters",
        ])
    );
    let other = json!({"certificate_id": "11"});
    assert_eq!(
        texts(complete(&plan(), &other, Some(&held()))),
        json!(["certificate_id: wanted the id of the record that was asked for, found a string of 2 characters"])
    );
}

fn differences(plan: &Plan, found: &Value) -> Vec<Difference> {
    plan.differences(Kind::Certificate, &plan.request(&held()).unwrap(), &map(found))
}

/// What the destination shows once it was told, with some fields shown otherwise.
fn shown(changes: &Value) -> Value {
    let mut fields = map(&plan().request(&held()).unwrap().body);
    fields.extend(map(changes));
    Value::Object(fields)
}

#[test]
fn the_same_said_otherwise_is_no_difference() {
    for found in [
        json!({}),
        json!({"issue_date": "2026-01-31T00:00:00Z"}),
        json!({"issue_date": "2026-01-31T09:30:00"}),
        json!({"recipient_email": "ADA@example.org"}),
        json!({"views": 7, "updated_at": "2026-03-12T00:00:00Z", "owner": null}),
    ] {
        assert_eq!(differences(&plan(), &shown(&found)), [], "{found}");
    }
    let nothing = map(&json!({"user_id": "u1", "issue_date": "2026-01-31", "location_id": "loc_rome"}));
    let request = plan().request(&plan().complete(&key(), &nothing, None).unwrap()).unwrap();
    for title in [json!({}), json!({"title": null}), json!({"title": ""})] {
        let mut found = map(&request.body);
        found.retain(|_, value| !value.is_null());
        found.extend(map(&title));
        assert_eq!(plan().differences(Kind::Certificate, &request, &found), [], "{title}");
    }
}

#[test]
fn values_are_compared_as_the_requests_definition_types_them() {
    let typed = |type_: &str, canonical: &str, found: &Value| {
        let destination = format!(
            "name = \"snapshots\"\n[requests.certificate]\nmethod = \"PUT\"\npath = \"/\"\n\
             [requests.certificate.fields]\nvalue = {{ from = \"$.title\", type = \"{type_}\" }}"
        );
        let plan = plan_of(SOURCE, &destination);
        let record = complete(&plan, &json!({"title": canonical}), Some(&held())).unwrap();
        let request = plan.request(&record).unwrap();
        plan.differences(Kind::Certificate, &request, &map(&json!({"value": found}))).is_empty()
    };
    for (type_, canonical, found, same) in [
        ("identifier", "7", json!(7), true),
        ("identifier", "7", json!("7"), true),
        ("identifier", "7", json!("07"), false),
        ("string", "7", json!(7), false),
        ("integer", "7", json!("7"), true),
        ("integer", "7", json!(7.0), true),
        ("integer", "7", json!(7.5), false),
        ("boolean", "true", json!("true"), true),
        ("boolean", "true", json!(false), false),
        ("date", "2026-03-12", json!("2026-03-12T00:00:00Z"), true),
        ("date", "2026-03-12", json!("2026-03-13"), false),
        ("date", "2026-03-12", json!(20260312), false),
        ("datetime", "2026-03-12T01:00:00+01:00", json!("2026-03-12T00:00:00.000Z"), true),
        ("datetime", "2026-03-12T01:00:00+01:00", json!("2026-03-12T01:00:00Z"), false),
        ("string", "Widgetry", json!("widgetry"), false),
        ("string", "Widgetry", json!(["Widgetry"]), false),
    ] {
        assert_eq!(typed(type_, canonical, &found), same, "{type_} {canonical} {found}");
    }
}

#[test]
fn a_difference_says_what_should_be_there_and_what_is() {
    let found = shown(&json!({"title": "Gadgetry", "expiry_date": null, "status": "revoked"}));
    let difference = |field: &str, expected: Value, found: Value| Difference {
        field: field.to_owned(),
        personal: false,
        expected,
        found,
    };
    assert_eq!(
        differences(&plan(), &found),
        [
            difference("expiry_date", json!("2027-01-31"), Value::Null),
            difference("status", json!("issued"), json!("revoked")),
            difference("title", json!("Widgetry"), json!("Gadgetry")),
        ]
    );
    // What it should not have is a difference too.
    let told = plan().request(&complete(&plan(), &json!({"title": null}), Some(&held())).unwrap()).unwrap();
    let found = map(&shown(&json!({})));
    let title = difference("title", Value::Null, json!("Widgetry"));
    assert_eq!(plan().differences(Kind::Certificate, &told, &found), [title]);
}

#[test]
fn a_field_of_the_destination_is_personal_by_its_definition_or_by_what_it_is_made_of() {
    let personal = |source: &str, field: &str| {
        let destination = format!(
            "name = \"snapshots\"\n[requests.certificate]\nmethod = \"PUT\"\npath = \"/\"\n\
             [requests.certificate.fields]\nvalue = {{ {field} }}\n[tables.names]\nx = \"y\""
        );
        let plan = plan_of(source, &destination);
        let request = plan.request(&held()).unwrap();
        let different = map(&json!({"value": "something else"}));
        plan.differences(Kind::Certificate, &request, &different)[0].personal
    };
    for (field, wanted) in [
        ("from = \"$.title\"", false),
        ("from = \"$['title']\"", false),
        ("from = \"$.title\", personal = true", true),
        ("from = \"$.recipient_name\"", true),
        ("from = \"$['recipient_name']\"", true),
        ("from = [\"$.title\", \"$.recipient_email\"]", true),
        ("from = { path = \"$.user_id\", table = \"names\" }", true),
        ("from = { path = \"$.group_name\", table = \"names\" }", false),
        // Where it is made of is not plain, or nobody knows it.
        ("from = \"$..title\"", true),
        ("from = \"$.title.text\"", true),
        ("from = \"$.colour\"", true),
        ("from = [], default = \"fixed\"", false),
    ] {
        assert_eq!(personal(SOURCE, field), wanted, "{field}");
    }
    // What the source declares personal is so at the destination.
    let careful = SOURCE.replace("title = {", "title = { personal = true,");
    assert!(personal(&careful, "from = \"$.title\""));
}
