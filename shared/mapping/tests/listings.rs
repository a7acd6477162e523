//! Items of listings, on both sides: cases in `listings/*.json`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use certbridge_mapping::{Definitions, Kind, Plan, SourceDefinition, destination::BatchOutcome};
use serde_json::{Value, json};
use std::sync::Arc;

const SOURCE: &str = include_str!("../../../config/sources/accredible.toml");

fn cases(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

/// The built-in plan with a location for a group, and these changes.
fn plan(changes: &[(&str, &str)]) -> Plan {
    let with_group = ("[tables.location_by_group]", "[tables.location_by_group]\n\"12345\" = \"loc_london\"");
    let text = changes.iter().chain([&with_group]).fold(SOURCE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let source = SourceDefinition::parse("sources/accredible.toml", &text).unwrap();
    Plan::new(Arc::new(source), Definitions::built_in().destination("snapshots").unwrap().clone())
}

#[test]
fn credentials_as_accredible_lists_them() {
    let plan = plan(&[]);
    for case in cases(include_str!("listings/accredible.json")) {
        let listed = plan.listed(Kind::Certificate, &case["item"]).map(|listed| {
            let fields = match listed.fields {
                Ok(fields) => json!(fields),
                Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
            };
            json!({ "id": listed.id, "changed_at": listed.changed_at, "fields": fields })
        });
        assert_eq!(json!(listed), case["listed"], "{}", case["name"]);
    }
}

#[test]
fn certificates_as_the_destination_lists_them() {
    let definitions = Definitions::built_in();
    let snapshots = definitions.destination("snapshots").unwrap();
    for case in cases(include_str!("listings/snapshots.json")) {
        let shown = snapshots.shown(Kind::Certificate, &case["item"]);
        let shown = shown.map(|shown| json!({ "id": shown.id, "fields": shown.fields }));
        assert_eq!(json!(shown), case["shown"], "{}", case["name"]);
    }
}

#[test]
fn what_was_pushed_is_shown_as_it_was_pushed() {
    let item = &cases(include_str!("listings/accredible.json"))[0]["item"];
    let plan = plan(&[]);
    let mut fields = plan.listed(Kind::Certificate, item).unwrap().fields.unwrap();
    fields.insert("status".into(), json!("issued"));
    let record = certbridge_mapping::Record::from_fields(Kind::Certificate, fields.into()).unwrap();
    let request = plan.request(&record).unwrap();
    let shown = plan.destination().shown(Kind::Certificate, &request.body).unwrap();
    assert_eq!(Value::Object(shown.fields), request.body);
}

#[test]
fn a_kept_field_that_a_listing_lacks_is_left_out() {
    let item = &cases(include_str!("listings/accredible.json"))[0]["item"];
    let keep = [
        ("title = { from = \"$.credential.name\" }", "title = { from = \"$.credential.name\", on_missing = \"keep\" }"),
        ("title = \"$.name\"", "title = \"$.nickname\""),
    ];
    let fields = plan(&keep).listed(Kind::Certificate, item).unwrap().fields.unwrap();
    assert_eq!(fields.get("title"), None);
    let fields = plan(&keep[1..]).listed(Kind::Certificate, item).unwrap().fields.unwrap();
    assert_eq!(fields.get("title"), Some(&Value::Null));
}

#[test]
fn without_rules_nothing_is_read() {
    let item = json!({ "id": 1, "certificate_id": "1" });
    let without = SOURCE.split("# What `POST").next().unwrap();
    let source = SourceDefinition::parse("accredible.toml", &format!("{without}[tables.location_by_group]\n")).unwrap();
    let mut destination = (**Definitions::built_in().destination("snapshots").unwrap()).clone();
    destination.listings.clear();
    let plan = Plan::new(Arc::new(source), Arc::new(destination));
    assert_eq!(plan.listed(Kind::Certificate, &item), None);
    assert_eq!(plan.destination().shown(Kind::Certificate, &item), None);
}

#[test]
fn places_of_a_listing_are_checked() {
    let faults = |from: &str, to: &str| {
        assert!(SOURCE.contains(from), "{from}");
        SourceDefinition::parse("accredible.toml", &SOURCE.replace(from, to)).unwrap_err().faults
    };
    let title = "\ntitle = \"$.name\"";
    for (to, fault) in [
        ("\ntitel = \"$.name\"", "titel is no field of the record's"),
        ("\ntitle = []", "title names no place"),
        ("\nstatus = \"$.state\"", "status is an enum without `values`"),
        ("\ncertificate_id = \"$.id\"", "certificate_id is said by `id`"),
        ("\ntitle = { path = \"$.name\", table = \"titles\" }", "title: there is no table \"titles\""),
    ] {
        assert_eq!(faults(title, to), [format!("records.certificate: listed.fields: {fault}")]);
    }
}

#[test]
fn pages_are_asked_for_and_taken_apart() {
    let definitions = Definitions::built_in();
    let rules = &definitions.destination("snapshots").unwrap().listings[&Kind::Certificate];
    assert_eq!(rules.page_path(None), "/certificates?limit=100");
    assert_eq!(rules.page_path(Some("a/b=é&c")), "/certificates?limit=100&cursor=a%2Fb%3D%C3%A9%26c");
    let answer = json!({ "certificates": [1], "next_cursor": "x", "total": 7 });
    assert_eq!(rules.items_of(&answer), Some(&vec![json!(1)]));
    assert_eq!((rules.cursor_of(&answer), rules.total_of(&answer)), (Some(&json!("x")), Some(7)));
    for nothing in [json!({ "certificates": {}, "total": "7" }), json!([]), json!(null)] {
        assert_eq!((rules.items_of(&nothing), rules.cursor_of(&nothing), rules.total_of(&nothing)), (None, None, None));
    }
}

#[test]
fn an_outcome_is_one_of_the_declared_words() {
    let definitions = Definitions::built_in();
    let batch = definitions.destination("snapshots").unwrap().batch.as_ref().unwrap();
    for (result, outcome) in [
        (json!({ "status": "synced" }), BatchOutcome::Applied),
        (json!({ "status": "rejected" }), BatchOutcome::Rejected),
        (json!({ "status": "Synced" }), BatchOutcome::Unclear),
        (json!({ "status": true }), BatchOutcome::Unclear),
        (json!({}), BatchOutcome::Unclear),
        (json!("synced"), BatchOutcome::Unclear),
    ] {
        assert_eq!(batch.outcome_of(&result), outcome, "{result}");
    }
    assert_eq!(batch.id_of(&json!({ "certificate_id": 7 })), Some("7".to_owned()));
    assert_eq!(batch.id_of(&json!({ "certificate_id": "" })), None);
    assert_eq!(batch.request_id_of(&json!({ "request_id": 7 })), None);
}
