//! The JSON Schemas of the definitions, held to the parser: what editors take is what functions take.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use certbridge_mapping::{DestinationDefinition, SourceDefinition, definition::BUILT_IN};
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SOURCE: &str = include_str!("../../../config/source.schema.json");
const DESTINATION: &str = include_str!("../../../config/destination.schema.json");
const STANDARD: &str = include_str!("../../../config/sources/standard-webhooks.toml");
const SNAPSHOTS: &str = include_str!("../../../config/destinations/snapshots.toml");
const HIGHLEVEL: &str = include_str!("../../../config/destinations/highlevel.toml");

fn schema(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn validator(text: &str) -> Validator {
    jsonschema::draft202012::new(&schema(text)).unwrap()
}

fn json_of(toml: &str) -> Value {
    toml::from_str(toml).unwrap()
}

fn parse(file: &str, text: &str) -> Result<(), String> {
    if file.starts_with("destinations/") {
        DestinationDefinition::parse(file, text).map(drop).map_err(|error| error.to_string())
    } else {
        SourceDefinition::parse(file, text).map(drop).map_err(|error| error.to_string())
    }
}

#[test]
fn every_built_in_definition_is_valid_and_names_its_schema() {
    for (file, text) in BUILT_IN {
        let (schema, name) =
            if file.starts_with("destinations/") { (DESTINATION, "destination") } else { (SOURCE, "source") };
        assert_eq!(text.lines().next(), Some(format!("#:schema ../{name}.schema.json").as_str()), "{file}");
        let errors: Vec<_> = validator(schema).iter_errors(&json_of(text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{file}: {errors:?}");
    }
}

/// Every built-in source brings a sample that says what it is named for.
#[test]
fn every_built_in_source_has_samples_that_can_be_read() {
    let now = "2026-02-01T10:00:00Z".parse().unwrap();
    for (file, text) in BUILT_IN.iter().filter(|(file, _)| file.starts_with("sources/")) {
        let source = SourceDefinition::parse(file, text).unwrap();
        assert!(!source.samples.is_empty(), "{file}");
        for name in source.samples.keys() {
            let sample = source.sample(Some(name), "100", now).unwrap();
            let headers = sample.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
            let preview = source.preview(&headers, &sample.body).unwrap();
            let certbridge_mapping::Reading::Event(event) = preview.reading() else { panic!("{file}: {name}") };
            assert_eq!((event.event_type.as_str(), event.record.id.as_str()), (name.as_str(), "100"), "{file}");
        }
        assert!(source.sample(None, "100", now).is_some());
    }
}

/// What the parser says that it takes in a table, from the fault that it finds with a member that nobody knows.
fn taken(file: &str, table: &str, text: &str) -> BTreeSet<String> {
    let marked = if table.is_empty() {
        format!("no_such_member = 1\n{text}")
    } else {
        text.replacen(
            table,
            &format!("{table}no_such_member = 1{}", if table.ends_with('\n') { "\n" } else { ", " }),
            1,
        )
    };
    assert_ne!(marked, text, "{table} is not in the definition");
    let fault = parse(file, &marked).unwrap_err();
    let (_, names) = fault.split_once("unknown field `no_such_member`, expected ").unwrap_or_else(|| panic!("{fault}"));
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn properties(schema: &Value) -> BTreeSet<String> {
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_source_schema_has_what_the_parser_takes() {
    let (schema, file) = (schema(SOURCE), "sources/standard-webhooks.toml");
    let head = |text: &str| {
        STANDARD.replacen("[verification]\nscheme = \"standard-webhooks\"\ntolerance_seconds = 300\n", text, 1)
    };
    let full = STANDARD
        .replacen("[records.certificate]\n", "[records.certificate]\nlisted = { id = \"$.id\" }\n", 1)
        .replacen("[event]\n", "[event]\norigin = { from = \"$.o\", accept = [\"x\"] }\n", 1)
        .replacen("retry_status = 503\n", "retry_status = 503\nrate = { requests = 1, seconds = 1 }\n", 1);
    let defs = &schema["$defs"];
    for (place, table) in [
        (&schema, ""),
        (&defs["rate"], "rate = { "),
        (&defs["event"], "[event]\n"),
        (&defs["event"]["properties"]["origin"], "origin = { "),
        (&defs["event_type"], "\"certificate.created\" = { "),
        (&defs["record"], "[records.certificate]\n"),
        (&defs["listed"], "listed = { "),
        (&defs["field"], "certificate_id = { "),
    ] {
        assert_eq!(properties(place), taken(file, table, &full), "{table}");
    }
    let event_place = taken(file, "id = { ", STANDARD);
    assert_eq!(properties(&defs["event_place"]["oneOf"][1]), event_place);

    for (scheme, members) in [
        ("hmac-sha256", "header = \"X\"\n"),
        ("rsa-sha256", "header = \"X\"\n"),
        ("ed25519", "header = \"X\"\n"),
        ("standard-webhooks", ""),
        ("token", ""),
    ] {
        let text = head(&format!("[verification]\nscheme = \"{scheme}\"\n{members}"));
        assert_eq!(parse(file, &text), Ok(()), "{scheme}");
        let mut members = taken(file, "[verification]\n", &text);
        members.insert("scheme".to_owned());
        let of = |one: &&Value| one["properties"]["scheme"]["const"] == scheme;
        let declared = defs["verification"]["oneOf"].as_array().unwrap().iter().find(of).unwrap();
        assert_eq!(properties(declared), members, "{scheme}");
    }
    let fault = parse(file, &head("[verification]\nscheme = \"no-such\"\n")).unwrap_err();
    let (_, known) = fault.split_once("expected one of ").unwrap();
    let known: Vec<_> = known.split('`').skip(1).step_by(2).collect();
    let declared = defs["verification"]["oneOf"].as_array().unwrap();
    assert!(declared.iter().map(|one| one["properties"]["scheme"]["const"].as_str().unwrap()).eq(known));

    let signed = head(
        "[verification]\nscheme = \"ed25519\"\nheader = \"X\"\ntimestamp = { header = \"T\", tolerance_seconds = 1 }\n",
    );
    assert_eq!(properties(&defs["timestamp"]), taken(file, "timestamp = { ", &signed));
    let place = STANDARD.replacen("from = \"$.data.title\"", "from = { path = \"$.a\", table = \"t\" }", 1);
    let mut members = BTreeSet::new();
    for one in defs["place"]["oneOf"].as_array().unwrap().iter().skip(1) {
        members.extend(properties(one));
    }
    assert_eq!(members, taken(file, "from = { ", &place));
}

#[test]
fn the_destination_schema_has_what_the_parser_takes() {
    let (schema, file) = (schema(DESTINATION), "destinations/snapshots.toml");
    let defs = &schema["$defs"];
    for (place, table) in [
        (&schema, ""),
        (&defs["rate"], "[rate]\n"),
        (&defs["request"], "[requests.certificate]\n"),
        (&defs["field"], "certificate_id = { "),
        (&defs["listing"], "[listings.certificate]\n"),
        (&defs["batch"], "[batch]\n"),
        (&defs["reconciliation"], "[reconciliation]\n"),
    ] {
        assert_eq!(properties(place), taken(file, table, SNAPSHOTS), "{table}");
    }
}

#[test]
fn the_schema_of_highlevel_has_what_the_parser_takes() {
    let (schema, file) = (schema(DESTINATION), "destinations/highlevel.toml");
    let defs = &schema["$defs"];
    let full = HIGHLEVEL.replacen(
        "[highlevel.invoice]\n",
        "[highlevel.invoice]\nsend = { user_id = \"u\", action = \"send_manually\" }\n",
        1,
    );
    for (place, table) in [
        (&defs["highlevel"], "[highlevel]\n"),
        (&defs["highlevel_versions"], "[highlevel.versions]\n"),
        (&defs["highlevel_object"], "[highlevel.records.certificate]\n"),
        (&defs["highlevel_association"], "association = { "),
        (&defs["highlevel_invoice"], "[highlevel.invoice]\n"),
        (&defs["highlevel_send"], "send = { "),
    ] {
        assert_eq!(properties(place), taken(file, table, &full), "{table}");
    }
    for (from, to) in [
        ("payment_mode = \"other\"", "payment_mode = \"shells\""),
        ("object = \"custom_objects.sites\"", "object = \"sites\""),
        ("contacts = \"2021-07-28\"", "contacts = \"a b\""),
        ("authorize_url = \"https:", "authorize_url = \"http:"),
    ] {
        let text = HIGHLEVEL.replacen(from, to, 1);
        assert!(text != HIGHLEVEL && parse(file, &text).is_err(), "{to} is taken by the parser");
        assert!(!validator(DESTINATION).is_valid(&json_of(&text)), "{to} is taken by the schema");
    }
}

/// The words that the parser takes where it takes only some.
fn words(file: &str, text: &str, from: &str) -> BTreeSet<String> {
    let (before, after) = from.split_once('"').unwrap();
    let (_, end) = after.split_once('"').unwrap();
    assert!(text.contains(from), "{from}");
    let fault = parse(file, &text.replacen(from, &format!("{before}\"no_such_word\"{end}"), 1)).unwrap_err();
    let (_, names) = fault.split_once("unknown variant `no_such_word`, expected ").unwrap_or_else(|| panic!("{fault}"));
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_schemas_have_the_words_that_the_parser_takes() {
    let enumerated = |place: &Value| -> BTreeSet<String> {
        place["enum"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let (schema, file) = (schema(SOURCE), "sources/standard-webhooks.toml");
    let defs = &schema["$defs"];
    let more = STANDARD
        .replacen(
            "title = { from = \"$.data.title\" }",
            "title = { from = { path = \"$.t\", words = \"first\" }, on_missing = \"null\" }",
            1,
        )
        .replacen(
            "scheme = \"standard-webhooks\"\ntolerance_seconds = 300",
            "scheme = \"rsa-sha256\"\nheader = \"X\"\npadding = \"pss\"\nencoding = \"hex\"",
            1,
        );
    for (place, from) in [
        (&defs["field"]["properties"]["type"], "type = \"identifier\""),
        (&defs["field"]["properties"]["on_missing"], "on_missing = \"null\""),
        (&defs["record"]["properties"]["content"], "content = \"payload\""),
        (&defs["event_type"]["properties"]["kind"], "kind = \"certificate\""),
        (&defs["event_type"]["properties"]["operation"], "operation = \"created\""),
        (&defs["place"]["oneOf"][2]["properties"]["words"], "words = \"first\""),
        (&defs["verification"]["oneOf"][1]["properties"]["padding"], "padding = \"pss\""),
        (&defs["verification"]["oneOf"][1]["properties"]["encoding"], "encoding = \"hex\""),
    ] {
        assert_eq!(enumerated(place), words(file, &more, from), "{from}");
    }
    let (schema, file) = (self::schema(DESTINATION), "destinations/snapshots.toml");
    let defs = &schema["$defs"];
    assert_eq!(enumerated(&defs["request"]["properties"]["method"]), words(file, SNAPSHOTS, "method = \"POST\""));
    let missing = &defs["reconciliation"]["properties"]["missing_at_source"];
    assert_eq!(enumerated(missing), words(file, SNAPSHOTS, "missing_at_source = \"report\""));
}

#[test]
fn what_is_broken_is_refused_by_both() {
    let broken = [
        (SOURCE, "sources/standard-webhooks.toml", STANDARD, "name = \"standard-webhooks\"", "name = \"a b\""),
        (SOURCE, "sources/standard-webhooks.toml", STANDARD, "retry_status = 503", "retry_status = 200"),
        (SOURCE, "sources/standard-webhooks.toml", STANDARD, "retry_status = 503", "max_body_bytes = 300000"),
        (SOURCE, "sources/standard-webhooks.toml", STANDARD, "retry_status = 503", "no_such = 1"),
        (SOURCE, "sources/standard-webhooks.toml", STANDARD, "tolerance_seconds = 300", "tolerance_seconds = 0"),
        (SOURCE, "sources/standard-webhooks.toml", STANDARD, "scheme = \"standard-webhooks\"", "scheme = \"none\""),
        (SOURCE, "sources/standard-webhooks.toml", STANDARD, "type = \"$.type\"", "type = \"type\""),
        (SOURCE, "sources/standard-webhooks.toml", STANDARD, "type = \"$.type\"", "type = []"),
        (SOURCE, "sources/standard-webhooks.toml", STANDARD, "header = \"webhook-id\"", "header = \"webhook id\""),
        (
            SOURCE,
            "sources/standard-webhooks.toml",
            STANDARD,
            "from = \"$.data.title\"",
            "from = { path = \"$.a\", words = \"two\" }",
        ),
        (
            SOURCE,
            "sources/standard-webhooks.toml",
            STANDARD,
            "from = \"$.data.title\"",
            "from = { path = \"$.a\", table = \"t\", words = \"first\" }",
        ),
        (SOURCE, "sources/standard-webhooks.toml", STANDARD, "from = \"$.data.title\"", "from = { join = [] }"),
        (
            DESTINATION,
            "destinations/snapshots.toml",
            SNAPSHOTS,
            "locations_path = \"/locations\"",
            "locations_path = \"x\"",
        ),
        (DESTINATION, "destinations/snapshots.toml", SNAPSHOTS, "requests = 10", "requests = 0"),
        (DESTINATION, "destinations/snapshots.toml", SNAPSHOTS, "max_share = 0.2", "max_share = 20"),
        (DESTINATION, "destinations/snapshots.toml", SNAPSHOTS, "max_records = 25", "max_records = 26"),
        (DESTINATION, "destinations/snapshots.toml", SNAPSHOTS, "size = 100", "size = 0"),
        (DESTINATION, "destinations/snapshots.toml", SNAPSHOTS, "path = \"/batch_sync\"", "path = \"batch_sync\""),
    ];
    for (schema, file, text, from, to) in broken {
        assert!(text.contains(from), "{from}");
        let text = text.replacen(from, to, 1);
        assert!(parse(file, &text).is_err(), "{to} is taken by the parser");
        assert!(!validator(schema).is_valid(&json_of(&text)), "{to} is taken by the schema");
    }
    assert!(!validator(SOURCE).is_valid(&json!({})));
}

#[test]
fn samples_are_checked_when_they_are_loaded() {
    let faults = |from: &str, to: &str| {
        assert!(STANDARD.contains(from));
        SourceDefinition::parse("sources/standard-webhooks.toml", &STANDARD.replacen(from, to, 1)).unwrap_err().faults
    };
    let none = faults("\"certificate.created\" = '''", "\"certificate.made\" = '''");
    assert_eq!(none, ["samples.certificate.made: it is none of [event.types]"]);
    let broken = faults("\"timestamp\": \"{now}\", \"data\": {\"cert", "\"timestamp\" \"{now}\", \"data\": {\"cert");
    assert!(broken[0].starts_with("samples.certificate.created: it is no JSON: it breaks off at line 1"), "{broken:?}");
}
