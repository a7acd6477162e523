//! The Snapshots API as the destination of pushes.

use crate::{
    raw::Raw,
    support::{
        BRIEF, KEY, Keys, PATIENT, destination, failed, http, plan, record, request, snapshots, snapshots_definition,
    },
};
use certbridge_mapping::{Document, Request, destination::Method};
use certbridge_remote::Snapshots;
use certbridge_sync::{error::RemoteClass, ports::Destination};
use serde_json::json;

#[tokio::test]
async fn a_push_is_applied_once_under_its_key() {
    let server = destination().await;
    let snapshots = snapshots(&server.url());
    let first = snapshots.push(&record("1"), &request("1"), "certificate#accredible#1#7", PATIENT).await.unwrap();
    let again = snapshots.push(&record("1"), &request("1"), "certificate#accredible#1#7", PATIENT).await.unwrap();
    assert!(first.request_id.is_some());
    assert_eq!(first, again);
    let other = snapshots.push(&record("1"), &request("1"), "certificate#accredible#1#8", PATIENT).await.unwrap();
    assert_ne!(first, other);
    let keys: Vec<_> = server.applications().into_iter().map(|applied| applied.idempotency_key.unwrap()).collect();
    assert_eq!(keys, ["certificate#accredible#1#7", "certificate#accredible#1#8"]);
    assert_eq!(server.certificate("1").unwrap(), request("1").body);
}

#[tokio::test]
async fn a_mapped_record_is_what_arrives() {
    let server = destination().await;
    let (plan, key) = (plan(), record("1"));
    let body = json!({ "user_id": "u", "issue_date": "2026-01-31", "location_id": "loc_london" });
    let record = plan.given(&key, &Document::given(body.to_string().as_bytes()).unwrap()).unwrap();
    let request = plan.request(&record).unwrap();
    snapshots(&server.url()).push(&key, &request, "k", PATIENT).await.unwrap();
    assert_eq!(server.certificate("1").unwrap(), request.body);
}

#[tokio::test]
async fn method_path_key_and_body_are_the_requests_own() {
    let raw = Raw::answering("200 OK", "");
    let put = Request { method: Method::Put, path: "/a%2Fb/%C3%A9".into(), body: json!({ "a": "é" }) };
    let pushed = snapshots(&format!("{}/base/", raw.url)).push(&record("1"), &put, "a b#é%\n", PATIENT).await.unwrap();
    assert_eq!(pushed.request_id, None);
    let seen = raw.requests.recv().unwrap();
    assert!(seen.starts_with("PUT /base/a%2Fb/%C3%A9 HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("\r\nidempotency-key: a%20b#%C3%A9%25%0A\r\n"), "{seen}");
    assert!(seen.contains(&format!("\r\nauthorization: Bearer {KEY}\r\n")), "{seen}");
    assert!(seen.contains("\r\ncontent-type: application/json\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\n{\"a\":\"é\"}"), "{seen}");
}

#[tokio::test]
async fn request_ids_come_from_the_header_or_the_body() {
    let long = "x".repeat(129);
    for (head, body, id) in [
        ("200 OK\r\nX-Request-Id: abc", r#"{"traceId":"t"}"#, Some("abc")),
        ("201 Created", r#"{"traceId":"t"}"#, Some("t")),
        ("202 Accepted", r#"{"request_id":"r"}"#, Some("r")),
        ("200 OK\r\nX-Request-Id: not one id", r#"{"request_id":"r"}"#, Some("r")),
        ("200 OK", "fine!", None),
        ("200 OK", &format!(r#"{{"traceId":"{long}"}}"#), None),
        ("204 No Content", "", None),
    ] {
        let raw = Raw::answering(head, body);
        let pushed = snapshots(&raw.url).push(&record("1"), &request("1"), "k", PATIENT).await.unwrap();
        assert_eq!(pushed.request_id.as_deref(), id, "{head} {body}");
    }
}

#[tokio::test]
async fn a_rejected_push_names_its_fields() {
    let server = destination().await;
    let mut bad = request("1");
    bad.body["location_id"] = json!("loc_atlantis");
    bad.body["user_id"] = json!("");
    let error = failed(snapshots(&server.url()).push(&record("1"), &bad, "k", PATIENT).await, RemoteClass::Rejected);
    assert_eq!(
        error.message,
        "422 Unprocessable Entity, names invalid_certificate, location_id, required, unknown, user_id"
    );
    assert!(server.applications().is_empty());
}

#[tokio::test]
async fn no_such_route_is_misrouted() {
    let server = destination().await;
    let lost = Request { path: "/elsewhere".into(), ..request("1") };
    failed(snapshots(&server.url()).push(&record("1"), &lost, "k", PATIENT).await, RemoteClass::Misrouted);
    for path in ["@example.com", "elsewhere", "/..", "/a b"] {
        let lost = Request { path: path.into(), ..request("1") };
        failed(snapshots(&server.url()).push(&record("1"), &lost, "k", PATIENT).await, RemoteClass::Misrouted);
    }
    assert_eq!(server.server().requests().len(), 1);
}

#[tokio::test]
async fn a_refused_key_is_noted() {
    let server = destination().await;
    let keys = Keys::answering(Ok(Some("wr0ng")));
    let snapshots = Snapshots::new(http(), keys.clone(), &server.url(), snapshots_definition()).unwrap();
    failed(snapshots.push(&record("1"), &request("1"), "k", PATIENT).await, RemoteClass::Unauthorized);
    assert_eq!(keys.refused(), ["destinations/snapshots"]);
}

#[test]
fn only_a_safe_address_is_taken() {
    for url in ["http://snapshots.example.com", "http://192.0.2.1", "snapshots.example.com", ""] {
        let error = Snapshots::new(http(), Keys::good(), url, snapshots_definition()).err().unwrap();
        assert_eq!(error.provider, "destinations/snapshots", "{url}");
    }
}

#[tokio::test]
async fn a_timeout_shorter_than_the_answer_is_no_answer() {
    let server = destination().await;
    server.server().add_fault(certbridge_sandbox::Fault::Hang.always());
    failed(snapshots(&server.url()).push(&record("1"), &request("1"), "k", BRIEF).await, RemoteClass::Unanswered);
    assert!(server.applications().is_empty());
}
