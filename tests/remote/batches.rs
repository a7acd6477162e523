//! Several records at once: what an answer tells of each, and what of all.

use crate::{
    raw::Raw,
    support::{BRIEF, Keys, PATIENT, destination, failed, http, record, request, snapshots, snapshots_definition},
};
use certbridge_mapping::{DestinationDefinition, Request};
use certbridge_remote::Snapshots;
use certbridge_sandbox::Fault;
use certbridge_sync::{
    error::{Effect, RemoteClass, RemoteError},
    ports::{Destination, Pushed},
};
use serde_json::{Value, json};
use std::time::Duration;

type Told = Result<Vec<Result<Pushed, RemoteError>>, RemoteError>;

async fn push_within(url: &str, ids: &[&str], timeout: Duration) -> Told {
    let requests: Vec<_> = ids.iter().map(|id| request(id)).collect();
    snapshots(url).push_batch("b", &requests, "b#1", timeout).await
}

async fn push(url: &str, ids: &[&str]) -> Told {
    push_within(url, ids, PATIENT).await
}

/// What was told, in a word each: `ok`, or the error's class and message.
fn words(told: Told) -> Vec<String> {
    let word = |told: Result<Pushed, RemoteError>| match told {
        Ok(pushed) => format!("ok {}", pushed.request_id.unwrap_or_default()).trim_end().to_owned(),
        Err(error) => format!("{}: {}", error.class, error.message),
    };
    told.unwrap().into_iter().map(word).collect()
}

#[tokio::test]
async fn a_batch_is_applied_once_under_its_key() {
    let server = destination().await;
    let ids: Vec<_> = (1..=25).map(|id| id.to_string()).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let first = push(&server.url(), &ids).await.unwrap();
    assert!(first.iter().all(|told| told.as_ref().is_ok_and(|pushed| pushed.request_id.is_some())));
    assert_eq!(push(&server.url(), &ids).await.unwrap(), first);
    assert_eq!((first.len(), server.applications().len()), (25, 25));
    assert_eq!(server.certificate("25").unwrap(), request("25").body);
    let seen = &server.server().requests()[0];
    assert_eq!((seen.path.as_str(), seen.headers["idempotency-key"].as_str()), ("/batch_sync", "b#1"));
    assert_eq!((&seen.body["batch_id"], &seen.body["records"][24]), (&json!("b"), &request("25").body));
}

#[tokio::test]
async fn a_bad_record_is_refused_alone() {
    let server = destination().await;
    let mut bad = request("2");
    bad.body["location_id"] = json!("loc_atlantis");
    bad.body["user_id"] = json!("");
    let requests = [request("1"), bad, request("3")];
    let told = snapshots(&server.url()).push_batch("b", &requests, "k", PATIENT).await.unwrap();
    assert!(told[0].is_ok() && told[2].is_ok());
    let error = failed(told[1].clone(), RemoteClass::Rejected);
    assert_eq!(error.message, "refused, names invalid_certificate, location_id, required, unknown, user_id");
    assert_eq!((error.effect(), server.certificate_ids()), (Effect::None, vec!["1".to_owned(), "3".to_owned()]));
}

#[tokio::test]
async fn half_a_batch_is_in_doubt_and_repeated_without_harm() {
    let server = destination().await;
    server.server().add_fault(Fault::Halfway.once().on("POST", "/batch_sync"));
    let error = failed(push(&server.url(), &["1", "2", "3"]).await, RemoteClass::Failed);
    assert_eq!((error.effect(), server.certificate_ids()), (Effect::Possible, vec!["1".to_owned(), "2".to_owned()]));
    assert!(push(&server.url(), &["1", "2", "3"]).await.unwrap().iter().all(Result::is_ok));
    assert_eq!((server.applications().len(), server.certificate_ids().len()), (3, 3));
    // A single request has no half.
    server.server().add_fault(Fault::Halfway.once());
    failed(snapshots(&server.url()).push(&record("1"), &request("4"), "k", PATIENT).await, RemoteClass::Failed);
    assert!(server.certificate("4").is_some());
}

#[tokio::test]
async fn what_befalls_a_batch_befalls_each_record() {
    let server = destination().await;
    for (fault, class, effect) in [
        (Fault::Status { status: 429, retry_after: Some("7".into()) }, RemoteClass::Throttled, Effect::None),
        (Fault::status(503), RemoteClass::Failed, Effect::Possible),
        (Fault::status(504), RemoteClass::Unanswered, Effect::PossibleLater),
        (Fault::status(401), RemoteClass::Unauthorized, Effect::None),
        (Fault::status(422), RemoteClass::Rejected, Effect::None),
        (Fault::status(404), RemoteClass::Misrouted, Effect::None),
        (Fault::Cut, RemoteClass::Unanswered, Effect::PossibleLater),
        (Fault::AnswerLost, RemoteClass::Unanswered, Effect::PossibleLater),
        (Fault::WrongBody, RemoteClass::Unusable, Effect::Possible),
    ] {
        server.server().add_fault(fault.clone().once());
        let error = failed(push(&server.url(), &["1", "2"]).await, class);
        assert_eq!(error.effect(), effect, "{fault:?}");
        assert_eq!(error.retry_after, (class == RemoteClass::Throttled).then_some(Duration::from_secs(7)));
    }
    server.server().add_fault(Fault::Hang.once());
    failed(push_within(&server.url(), &["1"], BRIEF).await, RemoteClass::Unanswered);
}

#[tokio::test]
async fn what_an_answer_does_not_clearly_tell_is_in_doubt() {
    let silent = "unusable answer: the batch's answer does not tell of it";
    let unclear = "unusable answer: the batch's answer has no word for it that is known";
    let torn = "unusable answer: the batch's answer tells of it in two ways";
    let synced = |id: Value| json!({ "certificate_id": id, "status": "synced" });
    let rejected = |id: Value| json!({ "certificate_id": id, "status": "rejected" });
    for (results, wanted) in [
        (json!([synced(json!("2")), synced(json!("1"))]), ["ok", "ok"]),
        (json!([synced(json!(1)), synced(json!("3"))]), ["ok", silent]),
        (json!([]), [silent, silent]),
        (json!([null, "1", [], {}, synced(json!(null))]), [silent, silent]),
        (json!([synced(json!("1")), rejected(json!("1")), rejected(json!("2"))]), [torn, "rejected: refused"]),
        (json!([synced(json!("1")), synced(json!("1")), {"certificate_id": "2"}]), ["ok", unclear]),
        (
            json!([{"certificate_id": "1", "status": "queued"}, {"certificate_id": "2", "status": "person-1"}]),
            [unclear, unclear],
        ),
        (
            json!([
                {"certificate_id": "1", "status": "synced", "request_id": "r 1"},
                {"certificate_id": "2", "status": "synced", "request_id": "r-2"},
            ]),
            ["ok", "ok r-2"],
        ),
    ] {
        let raw = Raw::answering("207 Multi-Status", &json!({ "results": results }).to_string());
        let told = push(&raw.url, &["1", "2"]).await;
        for error in told.iter().flatten().filter_map(|told| told.as_ref().err()) {
            let doubt = if error.class == RemoteClass::Rejected { Effect::None } else { Effect::Possible };
            assert_eq!(error.effect(), doubt, "{results}");
        }
        assert_eq!(words(told), wanted, "{results}");
    }
}

#[tokio::test]
async fn an_answer_that_tells_of_no_record_leaves_all_in_doubt() {
    for body in ["", "fine!", "[]", "{}", r#"{"results": {}}"#, r#"{"results": null}"#, r#"{"results": ["#] {
        let raw = Raw::answering("200 OK", body);
        let error = failed(push(&raw.url, &["1", "2"]).await, RemoteClass::Unusable);
        assert_eq!((error.message.as_str(), error.effect()), ("200, but nothing of the records", Effect::Possible));
    }
}

#[tokio::test]
async fn what_cannot_be_a_batch_is_not_sent() {
    let raw = Raw::answering("200 OK", "{}");
    assert_eq!(push(&raw.url, &[]).await, Ok(Vec::new()));
    let many: Vec<_> = (0..26).map(|id| id.to_string()).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(failed(push(&raw.url, &many).await, RemoteClass::Rejected).message, "more than 25 at once");
    let twice = failed(push(&raw.url, &["1", "2", "1"]).await, RemoteClass::Rejected);
    assert_eq!(twice.message, "a record stands twice in one batch");
    let nameless = Request { body: json!({ "title": "x" }), ..request("1") };
    let told = snapshots(&raw.url).push_batch("b", &[nameless], "k", PATIENT).await;
    assert_eq!(failed(told, RemoteClass::Rejected).message, "a record without an id");
    let without = DestinationDefinition { batch: None, ..snapshots_definition().clone() };
    let client = Snapshots::new(http(), Keys::good(), &raw.url, &without).unwrap();
    failed(client.push_batch("b", &[request("1")], "k", PATIENT).await, RemoteClass::Misrouted);
    assert!(raw.nothing_seen());
}
