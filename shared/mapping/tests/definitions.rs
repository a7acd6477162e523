//! Definitions: those that stand in the repository, and everything that may be wrong with one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use certbridge_mapping::{Definitions, DestinationDefinition, SourceDefinition};
use std::{net::IpAddr, time::Duration};

const SOURCE: &str = include_str!("../../../config/sources/accredible.toml");
const DESTINATION: &str = include_str!("../../../config/destinations/snapshots.toml");

/// The built-in source with some of its text replaced.
fn source(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(SOURCE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

/// The line that declares a field of the built-in source.
fn declaration(field: &str) -> &'static str {
    SOURCE.lines().find(|line| line.starts_with(&format!("{field} = {{ from"))).unwrap()
}

#[track_caller]
fn check(changes: &[(&str, &str)], wanted: &[&str]) {
    let error = SourceDefinition::parse("sources/accredible.toml", &source(changes)).unwrap_err();
    assert_eq!(error.faults, wanted);
    assert_eq!(error.to_string(), format!("sources/accredible.toml: {}", wanted.join("; ")));
}

/// Checks that a definition which has not the right form says so with its line and these words.
#[track_caller]
fn check_form(changes: &[(&str, &str)], line: &str, words: &[&str]) {
    let error = SourceDefinition::parse("accredible.toml", &source(changes)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("TOML parse error at line ") && text.contains(line), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert!(!text.contains("untagged"), "{text}");
}

#[test]
fn the_built_in_definitions_are_sound() {
    let definitions = Definitions::built_in();
    assert_eq!(definitions.errors(), []);
    let sources: Vec<_> = definitions.sources().map(|source| source.name.as_str()).collect();
    assert_eq!(sources, ["17hats", "accredible", "accredit", "acculynx", "certifylize", "standard-webhooks"]);
    assert!(definitions.destination("snapshots").is_some());
    let source = definitions.source("accredible").unwrap();
    assert_eq!(
        (source.secret_name().as_str(), source.url_variable().as_str()),
        ("sources/accredible", "ACCREDIBLE_URL")
    );
    assert_eq!((source.retry_status, source.max_body_bytes), (503, 256 * 1024));
    assert_eq!(source.rate.unwrap().interval(), Duration::from_millis(300));
    let rate = definitions.destination("snapshots").unwrap().rate.unwrap();
    assert_eq!(rate.interval(), Duration::from_millis(100));
}

#[test]
fn every_fault_of_a_definition_is_listed_at_once() {
    check(
        &[
            ("name = \"accredible\"", "name = \"accredible\"\nmax_body_bytes = 300000\nvariable = \"17X\""),
            ("[\"certificates\"]", "[\"certi/ficates\", \"\"]"),
            ("retry_status = 503", "retry_status = 200"),
            ("requests = 1000", "requests = 0"),
            ("header = \"X-Accredible-Signature\"", "header = \"X Signature\""),
            ("record_id = \"$.certificate_id\"", "record_id = []"),
            ("accept = [\"accredible\"]", "accept = []"),
            ("\"certificate_viewed\"", "\"certificate_issued\""),
            ("fetch_path = \"/v1/credentials/{id}\"", "fetch_path = \"v1/credentials\""),
            ("user_id = {", "user_ident = {"),
            (
                "issue_date = { from = \"$.credential.issued_on\", type = \"date\", required = true }",
                "issue_date = { from = \"$.credential.issued_on\" }",
            ),
            ("table = \"location_by_group\"", "table = \"location_by_moon\""),
            (declaration("status"), "status = { from = \"$.status\", type = \"enum\" }"),
            ("title = { from = \"$.credential.name\" }", "title = { from = [], values = { a = \"b\" } }"),
            (
                "url = { from = \"$.credential.url\" }",
                "url = { from = \"$.u\", type = \"integer\", default = \"x\", required = true, on_missing = \"null\" }",
            ),
        ],
        &[
            "aliases: \"certi/ficates\" has something else than letters, digits and hyphens, or nothing",
            "aliases: \"\" has something else than letters, digits and hyphens, or nothing",
            "variable: 17X_URL is no variable's name",
            "verification.header: \"X Signature\" is no header's name",
            "max_body_bytes: at most 262144",
            "retry_status: 400, 408, 409, 425, 429 or a 5xx",
            "rate.requests: at least 1",
            "event.acknowledged: certificate_issued stands among the types too",
            "event.record_id: it names no place",
            "event.origin: it accepts no word",
            "records.certificate: location_id: there is no table \"location_by_moon\"",
            "records.certificate: status: an enum needs `values`",
            "records.certificate: title: `from` names no place and there is no default",
            "records.certificate: title: `values` goes with the types enum, country and currency",
            "records.certificate: url: `required` and `default` exclude each other",
            "records.certificate: url: `required` rejects what is missing",
            "records.certificate: url: the default is not of the field's type",
            "records.certificate: user_ident: a certificate has no such field",
            "records.certificate: user_id: a certificate must have it",
            "records.certificate: issue_date: it must be required, or have a default",
            "records.certificate: issue_date: its type does not fit a certificate",
            "records.certificate: status: it must be required, or have a default",
            "records.certificate: url: its type does not fit a certificate",
            "records.certificate: fetch_path: a path with {id}, since the content is fetched",
            "records.certificate: fetch_path: it begins with a slash",
            "records.certificate: listed.fields: location_id: there is no table \"location_by_moon\"",
            "records.certificate: listed.fields: user_id is no field of the record's",
        ],
    );
}

#[test]
fn a_default_is_of_its_type_and_is_used() {
    let title = "title = { from = \"$.credential.name\" }";
    let at = |fault: &str| format!("records.certificate: title: {fault}");
    let not_of_type = at("the default is not of the field's type");
    let unused = at("the `default` is never used: on_missing says otherwise");
    for (declared, wanted) in [
        ("default = 5", &not_of_type),
        ("default = 2026-01-31", &not_of_type),
        ("type = \"date\", default = \"soon\"", &not_of_type),
        ("type = \"email\", default = \"nobody\"", &not_of_type),
        ("type = \"enum\", values = { a = \"b\" }, default = 1", &not_of_type),
        ("default = \"x\", on_missing = \"null\"", &unused),
        ("default = \"x\", on_missing = \"reject\"", &unused),
        ("on_missing = \"default\"", &at("on_missing = \"default\" needs a `default`")),
    ] {
        check(&[(title, &format!("title = {{ from = \"$.credential.name\", {declared} }}"))], &[wanted]);
    }
}

#[test]
fn words_of_an_enum_are_those_of_the_record() {
    let status = declaration("status");
    let misfit = "records.certificate: status: its type does not fit a certificate";
    for declared in [
        "from = [], type = \"enum\", default = \"valid\"",
        "from = \"$.s\", type = \"enum\", required = true, values = { on = \"issued\", off = \"gone\" }",
        "from = [], default = \"issued\"",
    ] {
        check(&[(status, &format!("status = {{ {declared} }}"))], &[misfit]);
    }
}

#[test]
fn a_type_speaks_of_a_kind_that_is_read() {
    let text = source(&[]);
    let (before, rest) = text.split_once("[records.certificate]").unwrap();
    let without = format!("{}\n[tables{}", before, rest.split_once("[tables").unwrap().1);
    let without = without.replace("name = \"accredible\"", "name = \"accredible\"\nrecords = {}");
    let error = SourceDefinition::parse("accredible.toml", &without).unwrap_err();
    assert_eq!(error.faults.len(), 7, "{error}");
    assert!(error.faults[0].starts_with("event.types.certificate_"), "{error}");
    assert!(error.faults[0].ends_with(": there is no [records.certificate]"), "{error}");
}

#[test]
fn what_has_not_the_right_form_is_shown_where_it_stands() {
    let title = "title = { from = \"$.credential.name\" }";
    let with = |to: &'static str| [(title, to)];
    check_form(&with("title = { from = \"$.credential[\" }"), "title =", &["\"$.credential[\" is no JSONPath"]);
    check_form(&with("title = { from = [\"$.a\", \"name\"] }"), "title =", &["\"name\" is no JSONPath"]);
    check_form(&with("title = { from = 5 }"), "title =", &["integer `5`, expected a JSONPath, a table, or a list"]);
    check_form(&with("title = { from = \"$.a\", fallback = \"$.b\" }"), "title =", &["unknown field `fallback`"]);
    check_form(
        &with("title = { from = \"$.a\", type = \"text\" }"),
        "title =",
        &["unknown variant `text`", "`string`"],
    );
    check_form(&with("title = { from = \"$.a\", on_missing = \"skip\" }"), "title =", &["unknown variant `skip`"]);
    check_form(&with("title = { type = \"date\" }"), "title =", &["missing field `from`"]);
    let lookup = with("title = { from = { path = \"$.a\", table = \"t\", default = \"x\" } }");
    check_form(&lookup, "title =", &["unknown field `default`", "`path`, `table`"]);
    check_form(
        &with("title = { from = [{ path = \"$.a\" }] }"),
        "title =",
        &["a place is a path, { path, table }, { path, words } or { join, with }"],
    );

    check_form(&[("retry_status", "retry_code")], "retry_code", &["unknown field `retry_code`", "`retry_status`"]);
    check_form(&[("hmac-sha256", "hmac-md5")], "scheme", &["unknown variant `hmac-md5`", "`hmac-sha256`", "`token`"]);
    check_form(&[("encoding = ", "encodings = ")], "", &["unknown field `encodings`"]);
    check_form(&[("encoding = \"hex\"", "encoding = \"base32\"")], "", &["unknown variant `base32`"]);
    check_form(&[("scheme = \"hmac-sha256\"\n", "")], "", &["missing field `scheme`"]);
    check_form(
        &[("type = \"$.event_type\"", "type = { head = \"X\" }")],
        "type =",
        &["unknown field `head`", "`header`"],
    );
    check_form(
        &[("operation = \"revoked\"", "operation = \"burnt\"")],
        "certificate_revoked",
        &["unknown variant `burnt`"],
    );
    check_form(
        &[("kind = \"certificate\", operation = \"revoked\"", "kind = \"badge\", operation = \"revoked\"")],
        "certificate_revoked",
        &["unknown variant `badge`"],
    );
    check_form(&[("[records.certificate]", "[records.badge]")], "", &["unknown variant `badge`"]);
    check_form(
        &[("retry_status = 503", "retry_status = 503\nallowed_cidrs = [\"10.0.0.0/40\"]")],
        "allowed_cidrs",
        &[],
    );
    check_form(&[("retry_status = 503", "retry_status =")], "retry_status", &[]);
    check_form(&[("requests = 1000", "requests = 1000\nburst = 5")], "burst", &["unknown field `burst`"]);
    check_form(&[("requests = 1000", "requests = -1")], "requests", &["integer `-1`"]);
}

#[test]
fn a_destination_has_its_faults_too() {
    let broken = r#"
        name = "snap shots"
        locations_path = "locations"
        rate = { requests = 1, seconds = 0 }
        [requests.certificate]
        method = "POST"
        path = "certificates/{id}/{title}/{/sync?now"
        [requests.certificate.fields]
        title = { from = "$.title" }
        number = { from = { path = "$.title", table = "numbers" }, type = "enum" }
        [batch]
        path = "batch_sync"
        max_records = 26
        id = "$.id"
        results = "$.results"
        status = "$.status"
        applied = []
        rejected = ["no"]
    "#;
    let error = DestinationDefinition::parse("destinations/snapshots.toml", broken).unwrap_err();
    assert_eq!(
        error.faults,
        [
            "name: \"snap shots\" has something else than letters, digits and hyphens, or nothing",
            "locations_path: it begins with a slash",
            "rate.seconds: at least 1",
            "requests.certificate: number: an enum needs `values`",
            "requests.certificate: number: there is no table \"numbers\"",
            "requests.certificate: the path begins with a slash, and has neither query nor fragment",
            "requests.certificate: the path has a brace without its other one",
            "requests.certificate: the path names {id}, which is no field",
            "requests.certificate: the path names {title}, which must be required, or have a default",
            "batch: path: it begins with a slash, and has neither query, fragment nor braces",
            "batch: max_records: 1 to 25",
            "batch: applied: it knows no word",
        ]
    );
    let listing = r#"
        name = "snapshots"
        requests = {}
        [listings.certificate]
        path = "/certificates?all"
        size_parameter = "limit"
        size = 0
        cursor_parameter = "a&b"
        cursor = "$.next"
        items = "$.certificates"
        id = "$.id"
        [batch]
        path = "/batch_sync"
        max_records = 25
        id = "$.id"
        results = "$.results"
        status = "$.status"
        applied = ["synced"]
        rejected = ["synced"]
    "#;
    assert_eq!(
        DestinationDefinition::parse("destinations/snapshots.toml", listing).unwrap_err().faults,
        [
            "listings.certificate: there are no requests of the kind, whose fields it would show",
            "listings.certificate: path: it begins with a slash, and has neither query, fragment nor braces",
            "listings.certificate: cursor_parameter: \"a&b\" is no plain name",
            "listings.certificate: size: 1 to 1000",
            "batch: \"synced\" stands among `applied` and `rejected`",
        ]
    );
    let error = DestinationDefinition::parse("snapshots.toml", &DESTINATION.replace("POST", "DELETE")).unwrap_err();
    assert!(error.to_string().contains("unknown variant `DELETE`"), "{error}");
}

#[test]
fn a_broken_definition_is_left_out_alone() {
    let broken = source(&[("name = \"accredible\"", "name = \"accredible\"\nspeed = 5")]);
    let other = source(&[("\"accredible\"\naliases = [\"certificates\"]", "\"other\"")]);
    let other_destination = DESTINATION.replace("\"snapshots\"", "\"elsewhere\"");
    let files = [
        ("sources/accredible.toml", broken.as_str()),
        ("sources/other.toml", &other),
        ("destinations/elsewhere.toml", &other_destination),
        ("destinations/snapshots.toml", "name = 5"),
    ];
    let definitions = Definitions::in_force(files);
    assert_eq!(definitions.errors().len(), 2);
    assert_eq!(definitions.errors()[0].file, "sources/accredible.toml");
    assert_eq!(definitions.errors()[1].file, "destinations/snapshots.toml");
    // Off, and so are the built-in ones of their names: what somebody tightened must not come back loose.
    assert!(definitions.source("certificates").is_none() && definitions.source("other").is_some());
    assert!(definitions.destination("snapshots").is_none() && definitions.destination("elsewhere").is_some());
}

#[test]
fn a_definition_takes_the_place_of_the_built_in_one_of_its_name() {
    let eu = source(&[("https://api.accredible.com\"", "https://eu.api.accredible.com\"")]);
    let definitions = Definitions::in_force([("sources/accredible.toml", eu.as_str())]);
    assert_eq!(definitions.errors(), []);
    let source = definitions.source("certificates").unwrap();
    assert_eq!(source.base_url.as_deref(), Some("https://eu.api.accredible.com"));
    assert_eq!(definitions.sources().count(), Definitions::built_in().sources().count());
}

#[test]
fn a_name_is_one_sources_alone() {
    let named = |name: &str, aliases: &str| {
        source(&[("\"accredible\"\naliases = [\"certificates\"]", &format!("\"{name}\"\naliases = [{aliases}]"))])
    };
    for (name, aliases, taken) in [
        ("other", "\"certificates\"", "certificates"),
        ("other", "\"fine\", \"accredible\"", "accredible"),
        ("certificates", "", "certificates"),
    ] {
        let file = format!("sources/{name}.toml");
        let definitions = Definitions::in_force([(file.as_str(), named(name, aliases).as_str())]);
        assert_eq!(definitions.errors()[0].to_string(), format!("{file}: name: {taken} is another source's"));
        assert_eq!(definitions.source("certificates").unwrap().name, "accredible");
        assert!(definitions.source("other").is_none());
    }
    // A copy that still has the name of what it was copied from must not take its place.
    let copy = named("accredible", "");
    let definitions = Definitions::in_force([("sources/mine.toml", copy.as_str())]);
    assert_eq!(definitions.errors()[0].faults, ["name: accredible, but the file is mine's"]);
}

#[test]
fn addresses_are_allowed_by_range() {
    let closed =
        source(&[("retry_status = 503", "retry_status = 503\nallowed_cidrs = [\"192.0.2.0/24\", \"2001:db8::/32\"]")]);
    let closed = SourceDefinition::parse("accredible.toml", &closed).unwrap();
    let open = SourceDefinition::parse("accredible.toml", SOURCE).unwrap();
    let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    for (text, allowed) in [
        ("192.0.2.7", true),
        ("::ffff:192.0.2.7", true),
        ("2001:db8::1", true),
        ("192.0.3.1", false),
        ("::ffff:192.0.3.1", false),
        ("2001:db9::1", false),
    ] {
        assert_eq!(closed.allows(address(text)), allowed, "{text}");
        assert!(open.allows(address(text)));
    }
    assert!(!closed.allows(None), "an unknown address is not allowed where any are listed");
    assert!(open.allows(None));
}

#[test]
fn variables_are_named_after_the_source() {
    let variable = |name: &str, more: &str| {
        let text = source(&[("name = \"accredible\"", &format!("name = \"{name}\"{more}"))]);
        SourceDefinition::parse(&format!("{name}.toml"), &text).map(|source| source.url_variable())
    };
    assert_eq!(variable("standard-webhooks", "").unwrap(), "STANDARD_WEBHOOKS_URL");
    assert_eq!(variable("17hats", "\nvariable = \"SEVENTEENHATS\"").unwrap(), "SEVENTEENHATS_URL");
    assert_eq!(variable("17hats", "").unwrap_err().faults, ["variable: 17HATS_URL is no variable's name"]);
}
