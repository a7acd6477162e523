//! What a hostile or clumsy caller may send: what is answered, and what is left in the tables.

use crate::{
    http::{Reply, Request},
    support::{Closed, EXPIRED, OPS, READER, World, event, key, secrets, signed},
};
use certbridge_mapping::{EventKey, definition::MAX_BODY_BYTES};
use certbridge_sandbox::Credential;
use certbridge_sync::row::{InboxRow, InboxState};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path};

const SIGNATURE: &str = "x-accredible-signature";

/// What a delivery leaves in the inbox.
enum Left {
    Nothing,
    /// A row that was settled with this outcome.
    Settled(&'static str),
    /// A row that is set aside for these reasons.
    Quarantined(&'static [&'static str]),
}

/// One delivery.
struct Case {
    name: String,
    request: Request,
    status: u16,
    problem: Option<&'static str>,
    left: Left,
}

impl Case {
    fn refused(name: &str, request: Request, status: u16, problem: &'static str) -> Self {
        Self { name: name.to_owned(), request, status, problem: Some(problem), left: Left::Nothing }
    }

    fn taken(name: impl Into<String>, request: Request, left: Left) -> Self {
        Self { name: name.into(), request, status: 202, problem: None, left }
    }

    fn quarantined(name: impl Into<String>, request: Request, reasons: &'static [&'static str]) -> Self {
        Self::taken(name, request, Left::Quarantined(reasons))
    }
}

/// The body of an event that can be synced. Each is another event.
fn good(number: u32) -> String {
    event("certificate_created", "100", &format!("2026-02-01T10:00:00.{number:03}Z")).to_string()
}

/// The same, with one member changed; null takes it out.
fn with(name: &str, value: impl Into<Value>) -> String {
    let mut event = event("certificate_created", "100", "2026-02-02T10:00:00Z");
    event[name] = value.into();
    event.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    event.to_string()
}

fn padded(size: usize, number: u32) -> String {
    let body = good(number);
    let padding = " ".repeat(size - body.len());
    body + &padding
}

/// The request with its signature changed so.
fn resigned(mut request: Request, change: impl Fn(&str) -> Vec<u8>) -> Request {
    for (name, value) in &mut request.headers {
        if name.eq_ignore_ascii_case(SIGNATURE) {
            *value = change(std::str::from_utf8(value).unwrap());
        }
    }
    request
}

fn at(target: &str, request: Request) -> Request {
    Request { target: target.to_owned(), ..request }
}

/// Deliveries that are not proven, or not ours.
fn unproven(folder: &Path) -> Vec<Case> {
    let sign = |number| signed(folder, good(number));
    let plain = |number| Request::post("/webhooks/accredible", good(number));
    let signature = |request: &Request| {
        let header = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(SIGNATURE));
        header.unwrap().1.clone()
    };
    let no = |name, request| Case::refused(name, request, 401, "not-proven");
    let twice = |request: Request| {
        let again = signature(&request);
        request.header(SIGNATURE, again)
    };
    let unknown = |name, target, number| Case::refused(name, at(target, sign(number)), 404, "unknown-source");
    let no_route =
        |name, method, target| Case::refused(name, Request { method, ..at(target, sign(30)) }, 404, "not-found");
    vec![
        no("no signature", plain(1)),
        no("an empty signature", plain(2).header(SIGNATURE, "")),
        no("another header's signature", plain(3).header("x-signature", signature(&sign(3)))),
        no("no hex", plain(4).header(SIGNATURE, "not hexadecimal")),
        no("a wrong signature", plain(5).header(SIGNATURE, "0".repeat(64))),
        no("a truncated signature", resigned(sign(6), |text| text[..62].into())),
        no("half a digit too few", resigned(sign(7), |text| text[..63].into())),
        no("too long a signature", resigned(sign(8), |text| format!("{text}00").into())),
        no("the header twice", twice(sign(9))),
        no("the header twice, the first one wrong", twice(resigned(sign(10), |_| "0".repeat(64).into()))),
        no("the header joined by a comma", resigned(sign(11), |text| format!("{text},{text}").into())),
        no("a comma after it", resigned(sign(12), |text| format!("{text},").into())),
        no("Latin-1 in the header", resigned(sign(13), |text| [b"\xe9", text.as_bytes()].concat())),
        no("UTF-8 in the header", resigned(sign(14), |text| format!("é{text}").into())),
        no("an api key", plain(15).header("authorization", format!("Bearer {OPS}"))),
        no("other bytes", Request { body: good(17).into(), ..sign(16) }),
        no("one byte more", Request { body: format!("{} ", good(18)).into(), ..sign(18) }),
        no("an empty body with another's signature", Request { body: Vec::new(), ..sign(19) }),
        unknown("an unknown source", "/webhooks/nobody", 20),
        unknown("another case", "/webhooks/Accredible", 21),
        unknown("a source that is a path", "/webhooks/..", 23),
        unknown("a source with a slash in it", "/webhooks/accredible%2F", 24),
        unknown("a source that is not UTF-8", "/webhooks/%ff", 25),
        unknown("a source with a NUL", "/webhooks/accredible%00", 26),
        unknown("a key's name", "/webhooks/accredible%23x", 27),
        Case::refused("too large", signed(folder, padded(MAX_BODY_BYTES + 1, 28)), 413, "body-too-large"),
        Case::refused(
            "too large and not proven",
            Request::post("/webhooks/accredible", padded(MAX_BODY_BYTES + 1, 29)),
            413,
            "body-too-large",
        ),
        no_route("GET", "GET", "/webhooks/accredible"),
        no_route("PUT", "PUT", "/webhooks/accredible"),
        no_route("a method that there is not", "BREW", "/webhooks/accredible"),
        no_route("a path that there is not", "POST", "/webhook/accredible"),
        no_route("too long a path", "POST", "/webhooks/accredible/a/b"),
        no_route("no source", "POST", "/webhooks/"),
        no_route("a source that is empty", "POST", "/webhooks//token"),
        no_route("two slashes", "POST", "//webhooks/accredible"),
        no_route("the root", "GET", "/"),
        no_route("no certificate's sync", "POST", "/certificates/sync"),
    ]
}

/// Deliveries that are proven and fine, however they look.
fn accepted(folder: &Path) -> Vec<Case> {
    let sign = |number| signed(folder, good(number));
    let synced = |name, request| Case::taken(name, request, Left::Settled("synced, unchanged or covered"));
    let ignored = |name, body: String| Case { status: 200, ..Case::taken(name, signed(folder, body), Left::Nothing) };
    let mut untyped = sign(106);
    untyped.headers.retain(|(name, _)| name != "content-type");
    vec![
        synced("as it should be", sign(100)),
        synced("upper-case hex", resigned(sign(101), |text| text.to_uppercase().into())),
        synced("spaces around it", resigned(sign(102), |text| format!("  {text} ").into())),
        synced("by its alias", at("/webhooks/certificates", sign(103))),
        synced("an escaped path", at("/webhooks/%61ccredible", sign(104))),
        synced("a token that nobody asked for", at("/webhooks/accredible/token", sign(105))),
        synced("no content type", untyped),
        synced("exactly as large as may be", signed(folder, padded(MAX_BODY_BYTES, 107))),
        synced("a number as an id", signed(folder, with("certificate_id", 100))),
        synced("a number as a time", signed(folder, with("timestamp", 1_770_000_000))),
        synced("no source in the body", signed(folder, with("source", Value::Null))),
        ignored("an acknowledged type", with("event_type", "certificate_viewed")),
        ignored("an unknown type", with("event_type", "certificate_eaten")),
        ignored("a hostile type", with("event_type", "certificate\u{0}\n#\u{202e}".repeat(500))),
        // Nothing else of an event whose type is not synced is looked at.
        ignored("an unknown type and nothing else", json!({"event_type": "x"}).to_string()),
    ]
}

/// Deliveries that are proven and cannot be read or mapped.
fn unreadable(folder: &Path) -> Vec<Case> {
    const BODY: &[&str] = &["unreadable: body: wanted JSON"];
    const ID: &[&str] = &["record_id: wanted an id"];
    let signed = |body: &[u8]| signed(folder, body);
    let quarantined = |name: &str, body: String, reasons| Case::quarantined(name, signed(body.as_bytes()), reasons);
    let nested = |brackets: usize| format!("{}{}", "[".repeat(brackets), "]".repeat(brackets));
    let mut cases = vec![
        Case::quarantined("an empty body", signed(b""), BODY),
        Case::quarantined("no JSON", signed(b"event_type=certificate_created"), BODY),
        Case::quarantined("JSON that breaks off", signed(&good(1).as_bytes()[..40]), BODY),
        Case::quarantined("two documents", signed(format!("{}{}", good(1), good(2)).as_bytes()), BODY),
        Case::quarantined("not UTF-8", signed(b"{\"event_type\": \"\xff\xfe\"}"), BODY),
        Case::quarantined("UTF-16", signed(b"\xff\xfe{\0}\0"), BODY),
        Case::quarantined("a NUL", signed(b"\0"), BODY),
        Case::quarantined("a lone surrogate", signed(br#"{"event_type": "\ud800"}"#), BODY),
        quarantined("nested deeply", nested(100_000), BODY),
        quarantined("objects nested deeply", "{\"a\":".repeat(40_000), BODY),
        quarantined("a huge number as an id", with("certificate_id", 0).replace(":0", ":1e400"), BODY),
        quarantined("null", "null".into(), &["type: ", "record_id: ", "time: "]),
        quarantined("a list", "[]".into(), &["type: ", "record_id: ", "time: "]),
        quarantined(
            "nothing in it",
            "{}".into(),
            &[
                "type: wanted a text or a whole number, found nothing",
                "record_id: wanted a text or a whole number, found nothing",
                "time: wanted a text or a whole number, found nothing",
            ],
        ),
        quarantined("no type", with("event_type", Value::Null), &["unreadable: type: "]),
        quarantined("no id", with("certificate_id", Value::Null), &["unreadable: record_id: "]),
        quarantined("no time", with("timestamp", Value::Null), &["unreadable: time: "]),
        quarantined("a blank id", with("certificate_id", "  "), &["unreadable: record_id: "]),
        quarantined("an object as an id", with("certificate_id", json!({"id": 1})), &["found an object of 1 members"]),
        quarantined("a fraction as an id", with("certificate_id", 1.5), &["record_id: ", "found a number"]),
        quarantined("too large a number as an id", with("certificate_id", 1e30), &["record_id: ", "found a number"]),
        quarantined("a time that is none", with("timestamp", "yesterday"), &["time: wanted RFC 3339"]),
        quarantined("a day that there is not", with("timestamp", "2026-02-30T00:00:00Z"), &["time: "]),
        quarantined("another source", with("source", "credly"), &["source: wanted one of accredible"]),
        quarantined("a source that is no text", with("source", 7), &["source: wanted one of accredible"]),
        quarantined("a location that there is not", with("certificate_id", "nowhere"), &["unmappable: location_id: "]),
        quarantined("no location", with("certificate_id", "homeless"), &["unmappable: location_id: "]),
    ];
    for id in hostile_ids() {
        let name = format!("the id {:.40}", id.escape_debug().to_string());
        cases.push(Case::quarantined(name, signed(with("certificate_id", id).as_bytes()), ID));
    }
    cases
}

/// Ids that no path and no key can hold.
fn hostile_ids() -> Vec<String> {
    let ids = [
        ".",
        "..",
        "a/b",
        "../../locations",
        "a\\b",
        "a%2Fb",
        "%2e%2e",
        "%252e",
        "a?b",
        "a#b",
        "a b",
        "a\nb",
        "a\r\nx: y",
        "a\tb",
        "a\u{0}b",
        "\u{7f}",
        "a\u{85}b",
        "a\u{2028}b",
    ];
    ids.map(str::to_owned).into_iter().chain(["x".repeat(257), "x".repeat(4096)]).collect()
}

/// Sends every case, and says which event each one became.
async fn send_all(world: &World, cases: &[Case]) -> Vec<Option<String>> {
    let mut ids = Vec::new();
    for case in cases {
        let reply = world.send(&case.request).await;
        let problem = reply.problem();
        assert_eq!((reply.status, problem.as_deref()), (case.status, case.problem), "{}: {reply:?}", case.name);
        ids.push((case.status == 202).then(|| reply.event_id()));
    }
    ids
}

fn check(case: &Case, row: Option<&InboxRow>) {
    let name = &case.name;
    let (state, reason) = row.map(|row| (row.state, row.reason.clone().unwrap_or_default())).unzip();
    match &case.left {
        Left::Nothing => assert_eq!(state, None, "{name}"),
        Left::Settled(outcomes) => {
            assert_eq!(state, Some(InboxState::Settled), "{name}: {reason:?}");
            assert!(outcomes.contains(&reason.unwrap()), "{name}");
        }
        Left::Quarantined(wanted) => {
            assert_eq!(state, Some(InboxState::Quarantined), "{name}: {reason:?}");
            let reason = reason.unwrap();
            wanted.iter().for_each(|part| assert!(reason.contains(part), "{name}: {reason} lacks {part:?}"));
        }
    }
    if let Some(row) = row {
        assert_eq!(row.body, case.request.body, "{name}: the very bytes are kept");
        assert_eq!(row.expires_at.is_some(), row.state == InboxState::Settled, "{name}: nothing unfinished expires");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_delivery_is_answered_and_kept_as_it_should_be() {
    let world = World::start().await;
    world.source().put("nowhere", &Credential::new("nowhere").at_location("loc_nowhere"));
    world.source().put("homeless", &Credential::new("homeless"));
    let folder = world.folder.path();
    let cases: Vec<_> = [unproven(folder), accepted(folder), unreadable(folder)].into_iter().flatten().collect();
    let ids = send_all(&world, &cases).await;
    for id in ids.iter().flatten() {
        world.done(&EventKey { source: "accredible".into(), id: id.clone() }).await;
    }
    // The files of the bundle itself tell what there is beside the rows that were looked for.
    let folder = world.stop().await;
    let tables = Closed::open(folder.path());
    let mut rows = tables.inbox().await;
    for (case, id) in cases.iter().zip(&ids) {
        let row = id.as_ref().map(|id| rows.remove(&format!("accredible#{id}")).expect("it was answered 202"));
        check(case, row.as_ref());
    }
    assert_eq!(rows, BTreeMap::new(), "rows that no answer tells of");
    tables.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_without_a_key_is_off_and_looks_like_none() {
    let mut secrets = secrets();
    let world = World::start_with(&secrets).await;
    let delivery = world.signed(good(1));
    let unknown = world.send(&at("/webhooks/nobody", delivery.clone())).await;
    world.stop().await;
    secrets["sources/accredible"]["signing"] = json!([]);
    let world = World::start_with(&secrets).await;
    let told = |reply: Reply| (reply.status, reply.body);
    assert_eq!(told(world.send(&delivery).await), told(unknown.clone()));
    assert_eq!(told(world.send(&at("/webhooks/nobody", delivery)).await), told(unknown));
}

/// A call of `POST /certificates/{id}/sync`, what is answered, and the fields that the answer names.
struct Call {
    name: &'static str,
    request: Request,
    answer: (u16, &'static str),
    fields: &'static [&'static str],
}

fn call(name: &'static str, request: Request, status: u16, problem: &'static str) -> Call {
    Call { name, request, answer: (status, problem), fields: &[] }
}

fn sync(target: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::post(target, body).header("x-api-key", OPS)
}

fn calls() -> Vec<Call> {
    let on = |query: &str| format!("/certificates/100/sync{query}");
    let body =
        |name, body: &str, status, problem, fields| Call { fields, ..call(name, sync(&on(""), body), status, problem) };
    let as_key = |name, header, value: String, status, problem| {
        call(name, Request::post(on(""), "{}").header(header, value), status, problem)
    };
    let long = "x".repeat(1000);
    let wrong_types =
        json!({"user_id": {}, "issue_date": "31.1.2026", "location_id": [], "status": "gone", "title": 1.5});
    let all = json!({"user_id": "u", "issue_date": "2026-01-31", "location_id": "loc_london"});
    let but = |name: &str, value: Value| {
        let mut fields = all.clone();
        fields[name] = value;
        fields.to_string()
    };
    vec![
        call("no key", Request::post(on(""), "{}"), 401, "unauthorized"),
        as_key("an empty key", "x-api-key", String::new(), 401, "unauthorized"),
        as_key("a wrong key", "x-api-key", "wrong".into(), 401, "unauthorized"),
        as_key("a key of another scheme", "authorization", format!("Basic {OPS}"), 401, "unauthorized"),
        as_key("an expired key", "x-api-key", EXPIRED.into(), 401, "unauthorized"),
        as_key("a key without the scope", "authorization", format!("Bearer {READER}"), 403, "forbidden"),
        as_key("the bearer goes first", "authorization", "Bearer wrong".into(), 401, "unauthorized"),
        call("an unknown source", sync(&on("?source=nobody"), "{}"), 404, "unknown-source"),
        call("an empty source", sync(&on("?source="), "{}"), 404, "unknown-source"),
        call("a source that is not UTF-8", sync(&on("?source=%ff"), "{}"), 404, "unknown-source"),
        call("a dry run that is neither", sync(&on("?dry_run=maybe"), "{}"), 400, "malformed-request"),
        call("a dry run in another case", sync(&on("?dry_run=TRUE"), "{}"), 400, "malformed-request"),
        call("two wishes", sync(&on("?dry_run=1&source=accredible"), "{}"), 400, "malformed-request"),
        call("too large a body", sync(&on(""), " ".repeat(MAX_BODY_BYTES + 1)), 413, "body-too-large"),
        body("no JSON", "{", 400, "malformed-request", &["body"]),
        body("not UTF-8", "\u{1}", 400, "malformed-request", &["body"]),
        call("bytes", sync(&on(""), b"\xff\xfe".to_vec()), 400, "malformed-request"),
        call("nested deeply", sync(&on(""), "[".repeat(100_000)), 400, "malformed-request"),
        body("a list", "[]", 422, "unmappable", &["body"]),
        body("a number", "7", 422, "unmappable", &["body"]),
        body(
            "wrong types",
            &wrong_types.to_string(),
            422,
            "unmappable",
            &["user_id", "issue_date", "location_id", "status", "title"],
        ),
        body(
            "an unknown field and nothing else",
            r#"{"planet": "mars"}"#,
            422,
            "unmappable",
            &["planet", "user_id", "issue_date", "location_id"],
        ),
        body("another certificate", &but("certificate_id", json!("101")), 422, "unmappable", &["certificate_id"]),
        body(
            "a location that there is not",
            &but("location_id", json!("loc_mars")),
            422,
            "unmappable",
            &["location_id"],
        ),
        call("a path of dots", sync("/certificates/../sync", "{}"), 400, "malformed-request"),
        call("a path of escaped dots", sync("/certificates/%2e%2E/sync", "{}"), 400, "malformed-request"),
        call("one dot", sync("/certificates/./sync", "{}"), 400, "malformed-request"),
        call("no id", sync("/certificates//sync", "{}"), 404, "not-found"),
        call("an escaped slash", sync("/certificates/a%2Fb/sync", "{}"), 400, "malformed-request"),
        call("an escaped backslash", sync("/certificates/a%5cb/sync", "{}"), 400, "malformed-request"),
        call("escaped twice", sync("/certificates/a%252Fb/sync", "{}"), 400, "malformed-request"),
        call("a NUL", sync("/certificates/%00/sync", "{}"), 400, "malformed-request"),
        call("a new line", sync("/certificates/a%0D%0Ab/sync", "{}"), 400, "malformed-request"),
        call("a question mark", sync("/certificates/a%3Fb/sync", "{}"), 400, "malformed-request"),
        call("a separator of keys", sync("/certificates/a%23b/sync", "{}"), 400, "malformed-request"),
        call("4 KB", sync(&format!("/certificates/{}/sync", long.repeat(4)), "{}"), 400, "malformed-request"),
        call("not UTF-8 in the path", sync("/certificates/%ff/sync", "{}"), 404, "not-found"),
        call("half an escape", sync("/certificates/%e/sync", "{}"), 400, "malformed-request"),
        call("a slash", sync("/certificates/a/b/sync", "{}"), 404, "not-found"),
        call("a letter of another alphabet", sync("/certificates/%C3%A9/sync", "{}"), 404, "not-found"),
        call("a certificate that there is not", sync("/certificates/101/sync", "{}"), 404, "not-found"),
        call("another method", Request { method: "GET", ..sync(&on(""), "{}") }, 404, "not-found"),
        call("deleting", Request { method: "DELETE", ..sync(&on(""), "") }, 404, "not-found"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_that_cannot_be_served_is_told_what_is_wrong() {
    let world = World::start().await;
    for Call { name, request, answer: (status, problem), fields } in calls() {
        let reply = world.send(&request).await;
        assert_eq!((reply.status, reply.problem().as_deref()), (status, Some(problem)), "{name}: {reply:?}");
        let mut told = reply.fields();
        if !fields.is_empty() {
            let mut fields = fields.to_vec();
            told.sort();
            fields.sort_unstable();
            assert_eq!(told, fields, "{name}: {reply:?}");
        }
    }
    assert_eq!(world.destination().applications(), []);
    let folder = world.stop().await;
    let tables = Closed::open(folder.path());
    assert_eq!(tables.inbox().await, BTreeMap::new());
    tables.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_delivery_is_known_again() {
    let world = World::start().await;
    let delivery = world.signed("not JSON");
    let first = world.send(&delivery).await;
    let again = world.send(&delivery).await;
    assert_eq!((first.status, again.status), (202, 200));
    assert_eq!(key(&first), key(&again));
}
