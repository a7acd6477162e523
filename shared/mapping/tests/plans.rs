//! From a source's document to the destination's request: cases in `plans/*.json`, and what a plan's version names.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use certbridge_mapping::{
    DestinationDefinition, Document, Kind, Operation, Plan, Problems, Record, RecordKey, Request, SourceDefinition,
    destination::escape_segment,
    field::{Fields, Tables},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

const SOURCE: &str = include_str!("../../../config/sources/accredible.toml");
const DESTINATION: &str = include_str!("../../../config/destinations/snapshots.toml");

fn cases(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

/// The built-in source, with a location for the group of the documented example.
fn source_text() -> String {
    SOURCE.replace("[tables.location_by_group]", "[tables.location_by_group]\n\"9549\" = \"loc_london\"")
}

fn plan_of(source: &str, destination: &str) -> Plan {
    let source = SourceDefinition::parse("sources/accredible.toml", source).unwrap();
    let destination = DestinationDefinition::parse("snapshots.toml", destination).unwrap();
    Plan::new(Arc::new(source), Arc::new(destination))
}

fn plan() -> Plan {
    plan_of(&source_text(), DESTINATION)
}

fn key(id: &str) -> RecordKey {
    RecordKey { kind: Kind::Certificate, source: "accredible".into(), id: id.parse().unwrap() }
}

fn document(value: &Value) -> Document {
    Document::fetched(value.to_string().as_bytes()).unwrap()
}

fn texts(problems: &Problems) -> Value {
    problems.0.iter().map(ToString::to_string).collect()
}

/// Compares a record, or the problems in its place, with what a case wants.
fn check_record(case: &Value, result: Result<Record, Problems>) {
    match result {
        Ok(record) => assert_eq!(Some(&record.to_fields()), case.get("record"), "{}", case["name"]),
        Err(problems) => assert_eq!(Some(&texts(&problems)), case.get("problems"), "{}", case["name"]),
    }
}

fn example() -> Record {
    let case = cases(include_str!("plans/accredible.json")).remove(0);
    plan().canonical(&key("10000005"), &document(&case["document"]), None).unwrap()
}

#[test]
fn credentials_of_accredible() {
    for case in cases(include_str!("plans/accredible.json")) {
        let key = key(case["id"].as_str().unwrap());
        check_record(&case, plan().canonical(&key, &document(&case["document"]), None));
    }
}

#[test]
fn records_that_a_caller_gives() {
    for case in cases(include_str!("plans/given.json")) {
        let body = Document::given(case["body"].to_string().as_bytes()).unwrap();
        check_record(&case, plan().given(&key(case["id"].as_str().unwrap()), &body));
    }
}

#[test]
fn fields_of_every_type() {
    #[derive(Deserialize)]
    struct Declared {
        fields: Fields,
        tables: Tables,
    }
    for case in cases(include_str!("plans/fields.json")) {
        let name = &case["name"];
        let text =
            format!("fields.field = {{ {} }}\n[tables.cities]\n9549 = \"rome\"", case["field"].as_str().unwrap());
        let declared: Declared = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        match declared.fields.map(&case["document"], case.get("previous"), &declared.tables) {
            Ok(mapped) => assert_eq!(Some(&mapped["field"]), case.get("value"), "{name}"),
            Err(problems) => assert_eq!(Some(&json!(problems.to_string())), case.get("problem"), "{name}"),
        }
    }
}

#[test]
fn the_request_is_the_destinations() {
    let Request { method, path, body } = plan().request(&example()).unwrap();
    assert_eq!((method.as_str(), path.as_str()), ("POST", "/certificates/10000005/sync"));
    assert_eq!(body, cases(include_str!("plans/accredible.json"))[0]["record"]);
}

#[test]
fn what_the_destination_cannot_take_is_told_with_the_records_fields() {
    let more = "note = { from = \"$.nothing\", required = true }\nexpiry_date = { required = true,";
    let strict = DESTINATION.replace("expiry_date = {", more);
    let problems = plan_of(&source_text(), &strict).request(&example()).unwrap_err();
    let wanted = ["expiry_date: wanted a day, YYYY-MM-DD, found null", "note: wanted a text, found nothing"];
    assert_eq!(texts(&problems), json!(wanted));
    let routeless = plan_of(&source_text(), "name = \"snapshots\"\nrequests = {}");
    let problems = routeless.request(&example()).unwrap_err();
    assert_eq!(texts(&problems), json!(["kind: wanted a route for a certificate at snapshots, found nothing"]));
}

#[test]
fn an_id_stays_in_its_segment_of_the_path() {
    let path = |id: &str| {
        let body = json!({"user_id": "u", "issue_date": "2026-01-31", "location_id": "l", "certificate_id": id});
        let record = plan().given(&key(id), &Document::given(body.to_string().as_bytes()).unwrap()).unwrap();
        plan().request(&record).unwrap().path
    };
    for (id, segment) in [
        ("10000005", "10000005"),
        ("a.b_c~d-e", "a.b_c~d-e"),
        ("...", "..."),
        ("x@y:z;w=1&v+u", "x%40y%3Az%3Bw%3D1%26v%2Bu"),
        ("{user_id}", "%7Buser_id%7D"),
        ("é", "%C3%A9"),
    ] {
        assert_eq!(path(id), format!("/certificates/{segment}/sync"), "{id}");
    }
    assert_eq!(escape_segment("a/../b?c#d%2F"), "a%2F..%2Fb%3Fc%23d%252F");
}

#[test]
fn numbers_fit_into_a_path_and_dot_segments_do_not() {
    let destination = |of: &str| {
        format!(
            "name = \"snapshots\"\n[requests.certificate]\nmethod = \"PUT\"\npath = \"/{{group}}/{{group}}\"\n\
             [requests.certificate.fields]\ngroup = {{ from = \"$.group_name\", {of} required = true }}"
        )
    };
    let of_group = |group: &str, type_: &str| {
        let body = json!({"user_id": "u", "issue_date": "2026-01-31", "location_id": "l", "group_name": group});
        let plan = plan_of(&source_text(), &destination(type_));
        let record = plan.given(&key("1"), &Document::given(body.to_string().as_bytes()).unwrap()).unwrap();
        plan.request(&record)
    };
    let request = of_group("42", "type = \"integer\",").unwrap();
    assert_eq!((request.path.as_str(), request.body), ("/42/42", json!({"group": 42})));
    for dots in [".", ".."] {
        let problems = of_group(dots, "").unwrap_err();
        let wanted = format!("group: wanted a text that a path can hold, found a string of {} characters", dots.len());
        assert_eq!(texts(&problems), json!([wanted]));
    }
}

#[test]
fn a_kept_field_keeps_what_the_record_has() {
    let keeping = source_text().replace(
        "title = { from = \"$.credential.name\" }",
        "title = { from = \"$.credential.name\", on_missing = \"keep\" }",
    );
    let mut case = cases(include_str!("plans/accredible.json")).remove(0);
    case["document"]["credential"]["name"] = Value::Null;
    let title = |plan: &Plan, previous: Option<&Record>| {
        let record = plan.canonical(&key("10000005"), &document(&case["document"]), previous).unwrap();
        record.to_fields()["title"].clone()
    };
    assert_eq!(title(&plan_of(&keeping, DESTINATION), Some(&example())), json!("Advanced Widgetry"));
    assert_eq!(title(&plan_of(&keeping, DESTINATION), None), Value::Null);
    assert_eq!(title(&plan(), Some(&example())), Value::Null);
}

#[test]
fn revoked_and_deleted_are_final_and_no_payload_need_say_so() {
    let status = |record: Record| record.to_fields()["status"].clone();
    for (operation, wanted) in [
        (Operation::Created, "issued"),
        (Operation::Updated, "issued"),
        (Operation::Audit, "issued"),
        (Operation::Revoked, "revoked"),
        (Operation::Deleted, "deleted"),
    ] {
        let after = example().after(operation);
        assert_eq!(after.is_deleted(), operation == Operation::Deleted);
        assert_eq!(status(after), json!(wanted));
    }
}

#[test]
fn a_fingerprint_is_stable_and_sensitive() {
    let request = plan().request(&example()).unwrap();
    // Made once, of the canonical JSON, by another implementation. It stands in tables: it must not change by accident.
    assert_eq!(request.fingerprint(), "42453193059a50bf83437caa310410c6ec92c80a69b68772709d79cec14d4a22");
    let mut all = BTreeSet::from([request.fingerprint()]);
    for name in request.body.as_object().unwrap().keys() {
        let mut other = request.clone();
        other.body[name] = json!("other");
        assert!(all.insert(other.fingerprint()), "{name}");
    }
    assert!(all.insert(Request { path: "/other".into(), ..request.clone() }.fingerprint()));
    assert!(all.insert(Request { method: certbridge_mapping::destination::Method::Put, ..request }.fingerprint()));
}

#[test]
fn a_plans_version_changes_with_what_is_mapped_and_with_nothing_else() {
    let source = source_text();
    let version = |source: &str, destination: &str| plan_of(source, destination).version().clone();
    let of_source = |from: &str, to: &str| {
        assert!(source.contains(from), "{from}");
        version(&source.replace(from, to), DESTINATION)
    };
    let of_destination = |from: &str, to: &str| {
        assert!(DESTINATION.contains(from), "{from}");
        version(&source, &DESTINATION.replace(from, to))
    };
    let now = version(&source, DESTINATION);
    assert_eq!(now.as_str().len(), 16);
    assert_eq!(now, version(&source, DESTINATION));

    let mut others = BTreeSet::from([now.to_string()]);
    for (what, other) in [
        ("a path", of_source("$.credential.group_name", "$.credential.group")),
        ("a type", of_source("type = \"email\", ", "")),
        ("a default", of_source("default = \"issued\"", "default = \"revoked\"")),
        (
            "whether it is required",
            of_source("url = { from = \"$.credential.url\"", "url = { required = true, from = \"$.credential.url\""),
        ),
        (
            "whether it is personal",
            of_source(
                "title = { from = \"$.credential.name\"",
                "title = { personal = true, from = \"$.credential.name\"",
            ),
        ),
        ("a table", of_source("loc_london", "loc_rome")),
        (
            "the destination's field",
            of_destination("title = { from = \"$.title\" }", "title = { from = \"$.group_name\" }"),
        ),
        ("one field less", of_destination("title = { from = \"$.title\" }", "")),
        ("the destination's path", of_destination("/sync", "/upsert")),
        ("the method", of_destination("POST", "PUT")),
    ] {
        assert!(others.insert(other.to_string()), "{what}");
    }
    let renamed =
        DestinationDefinition::parse("other.toml", &DESTINATION.replace("\"snapshots\"", "\"other\"")).unwrap();
    let parsed = SourceDefinition::parse("accredible.toml", &source).unwrap();
    let elsewhere = Plan::new(Arc::new(parsed), Arc::new(renamed));
    assert!(others.insert(elsewhere.version().to_string()), "another destination");

    for same in [
        of_source("https://api.accredible.com", "https://eu.api.accredible.com"),
        of_source("requests = 1000", "requests = 500"),
        of_destination("requests = 10\n", "requests = 5\n"),
        of_source("X-Accredible-Signature", "X-Signature"),
        of_source("encoding = \"hex\"", "encoding = \"base64\""),
        of_source("retry_status = 503", "retry_status = 429"),
        of_source("\"certificates\"", "\"credentials\""),
        of_source("acknowledged = [\"certificate_viewed\", ", "acknowledged = ["),
        of_source("# Accredible publishes", "# Nobody publishes"),
        of_source("$.group.name", "$.name"),
        of_source("changed_at = \"$.updated_at\"\npoll = true\n", ""),
        of_source("poll = true", "poll = false"),
        of_destination("locations_path = \"/locations\"", ""),
        of_destination("path = \"/certificates\"", "path = \"/list\""),
        of_destination("max_records = 25", "max_records = 5"),
        of_destination("name = \"snapshots\"", "name = \"snapshots\"\nbase_url = \"https://example.org\""),
    ] {
        assert_eq!(same, now);
    }
}

#[test]
fn personal_fields_stay_personal_whatever_is_declared() {
    let plan = plan();
    let personal = |plan: &Plan, field: &str| plan.is_personal(&key("1"), field);
    for field in ["user_id", "recipient_name", "recipient_email"] {
        assert!(personal(&plan, field));
        let careless = plan_of(&source_text().replace(", personal = true", ""), DESTINATION);
        assert!(personal(&careless, field), "{field}");
    }
    for field in ["certificate_id", "issue_date", "location_id", "status", "title"] {
        assert!(!personal(&plan, field), "{field}");
    }
    let careful = source_text().replace("title = {", "title = { personal = true,");
    assert!(personal(&plan_of(&careful, DESTINATION), "title"));
    assert!(personal(&plan, "a field that nobody knows"));
}

#[test]
fn when_a_fetched_record_changed() {
    let dated = source_text()
        .replace("content = \"fetched\"", "content = \"fetched\"\nfetched_version = \"$.credential.updated_at\"");
    let at = |plan: &Plan, value: Value| {
        plan.fetched_version(&key("1"), &document(&json!({"credential": {"updated_at": value}})))
            .map(|at| at.to_string())
    };
    assert_eq!(
        at(&plan_of(&dated, DESTINATION), json!("2026-03-01T13:00:00.5+01:00")).unwrap(),
        "2026-03-01T12:00:00.5Z"
    );
    assert_eq!(at(&plan_of(&dated, DESTINATION), json!("lately")), None);
    assert_eq!(at(&plan_of(&dated, DESTINATION), Value::Null), None);
    assert_eq!(at(&plan(), json!("2026-03-01T12:00:00Z")), None);
}

/// Every text in a value, names of members excepted.
fn strings<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
        Value::Object(members) => members.values().for_each(|item| strings(item, into)),
        _ => {}
    }
}

#[test]
fn no_problem_repeats_a_value() {
    let mut random = fastrand::Rng::with_seed(11);
    let base = cases(include_str!("plans/accredible.json")).remove(0)["document"].take();
    let mut met = 0;
    for round in 0..500 {
        let mut payload = base.clone();
        let credential = payload["credential"].as_object_mut().unwrap();
        for (_, value) in credential.iter_mut().filter(|(name, _)| *name != "recipient") {
            spoil(value, &mut random, round);
        }
        for (_, value) in credential["recipient"].as_object_mut().unwrap() {
            spoil(value, &mut random, round);
        }
        let fetched = plan().canonical(&key("10000005"), &document(&payload), None).map(drop);
        let given = plan().given(&key("10000005"), &document(&payload["credential"])).map(drop);
        for problems in [fetched, given].into_iter().filter_map(Result::err) {
            let (shown, stored) = (problems.to_string(), serde_json::to_string(&problems).unwrap());
            let mut values = Vec::new();
            strings(&payload, &mut values);
            for value in values.into_iter().filter(|value| value.contains("secret")) {
                assert!(!shown.contains(value) && !stored.contains(value), "{shown}");
                met += 1;
            }
            assert!(!shown.contains("secret"), "{shown}");
        }
    }
    assert!(met > 1_000);
}

/// Replaces a value by one of another type, or by a text that can be recognised.
fn spoil(value: &mut Value, random: &mut fastrand::Rng, round: usize) {
    let secret = format!("secret-{round}-{}", random.u32(..));
    *value = match random.u8(0..6) {
        0 => json!(secret),
        1 => json!([secret]),
        2 => json!({"value": secret}),
        3 => json!(random.f64()),
        4 => Value::Null,
        _ => return,
    };
}
