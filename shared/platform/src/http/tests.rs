use super::*;
use certbridge_mapping::{Problem as FieldProblem, Problems, Shape};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{sync::Mutex, time::Duration};

fn v2() -> Value {
    json!({
        "version": "2.0",
        "routeKey": "POST /webhooks/{source}",
        "rawPath": "/webhooks/a b",
        "rawQueryString": "source=17hats&dry_run=true&x=a%20b",
        "headers": {
            "host": "not a host", "x-forwarded-proto": "::", "x-forwarded-for": "6.6.6.6", "X-Signature": "one,two",
        },
        "pathParameters": {"source": "a b"},
        "requestContext": {
            "routeKey": "POST /webhooks/{source}",
            "requestId": "r-2",
            "stage": "$default",
            "authorizer": {"lambda": {"owner": "ops"}},
            "http": {"method": "POST", "path": "/webhooks/a b", "sourceIp": "192.0.2.1"},
        },
        "body": "{}",
        "isBase64Encoded": false,
    })
}

fn v1() -> Value {
    json!({
        "version": "1.0",
        "resource": "/webhooks/{source}",
        "path": "/webhooks/accredible",
        "httpMethod": "POST",
        "headers": {"x-signature": "two", "X-Forwarded-For": "6.6.6.6", "only-here": "yes"},
        "multiValueHeaders": {"X-Signature": ["one", "two"], "x-forwarded-for": ["6.6.6.6"]},
        "queryStringParameters": {"source": "b"},
        "multiValueQueryStringParameters": {"source": ["a", "b"]},
        "pathParameters": {"source": "accredible"},
        "requestContext": {
            "httpMethod": "POST",
            "resourcePath": "/webhooks/{source}",
            "requestId": "r-1",
            "stage": "prod",
            "authorizer": {"owner": "ops"},
            "identity": {"sourceIp": "2001:db8::1"},
        },
        "body": "{}",
        "isBase64Encoded": false,
    })
}

fn with(mut event: Value, name: &str, value: impl Into<Value>) -> Value {
    event[name] = value.into();
    event
}

/// Passes an event through the edge, and says what reached the handler.
async fn pass(event: Value) -> (GatewayResponse, Option<Request>) {
    let mut context = Context::default();
    context.deadline = 1_795_341_600_500;
    let seen = Mutex::new(None);
    let handler = async |request: Request| {
        *seen.lock().unwrap() = Some(request);
        Answer::json(202, &json!({"ok": true}))
    };
    let response = handle(serde_json::from_value(event).unwrap(), context, &|request| handler(request)).await;
    (response, seen.into_inner().unwrap())
}

async fn request(event: Value) -> Request {
    pass(event).await.1.unwrap()
}

#[tokio::test]
async fn a_body_that_is_not_its_base64_is_answered_400() {
    for event in [v1(), v2()] {
        let event = with(with(event, "body", "{\"not\": base64}"), "isBase64Encoded", true);
        let (response, seen) = pass(event).await;
        assert!(seen.is_none());
        assert_eq!(response.status_code, 400);
        assert_eq!(response.headers["content-type"], "application/problem+json");
        assert_eq!(response.headers["certbridge-version"], "1");
        let body: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(body["type"], "urn:problem-type:certbridge:malformed-request");
    }
}

#[tokio::test]
async fn bodies_arrive_as_their_exact_bytes() {
    for event in [v1(), v2()] {
        assert_eq!(request(event.clone()).await.body().as_ref(), b"{}");
        let binary = with(with(event.clone(), "body", "AP8K"), "isBase64Encoded", true);
        assert_eq!(request(binary).await.body().as_ref(), [0, 255, 10]);
        assert!(request(with(event, "body", Value::Null)).await.body().is_empty());
    }
}

#[tokio::test]
async fn hostile_headers_and_paths_pass() {
    let request = request(v2()).await;
    assert_eq!(path_parameter(&request, "source"), Some("a b"));
    assert_eq!(request.method(), "POST");
    assert_eq!(headers(&request).only("x-signature").unwrap(), Some("one,two"));
}

#[tokio::test]
async fn doubled_headers_of_payload_1_arrive_both() {
    let request = request(v1()).await;
    let values: Vec<_> = request.headers().get_all("x-signature").iter().collect();
    assert_eq!(values, ["one", "two"]);
    assert!(headers(&request).only("x-signature").is_err());
    assert_eq!(request.headers()["only-here"], "yes");
}

#[tokio::test]
async fn the_address_is_the_gateways() {
    assert_eq!(source_ip(&request(v2()).await), Some("192.0.2.1".parse().unwrap()));
    assert_eq!(source_ip(&request(v1()).await), Some("2001:db8::1".parse().unwrap()));
    let mut without = v2();
    without["requestContext"]["http"]["sourceIp"] = Value::Null;
    assert_eq!(source_ip(&request(without).await), None);
    let mut console = v1();
    console["requestContext"]["identity"]["sourceIp"] = "test-invoke-source-ip".into();
    assert_eq!(source_ip(&request(console).await), None);
}

#[tokio::test]
async fn the_route_is_the_gateways_or_else_the_paths() {
    for event in [v1(), v2()] {
        assert_eq!(route(&request(event).await).unwrap().key, "POST /webhooks/{source}");
    }
    let watched = |method: &str, path: &str| {
        let mut event = with(v2(), "rawPath", path);
        event["requestContext"]["routeKey"] = "$default".into();
        event["requestContext"]["http"]["method"] = method.into();
        event
    };
    for (method, path, key) in [
        ("GET", "/batches", Some("GET /batches")),
        ("GET", "/batches/b-1/report", Some("GET /batches/{id}/report")),
        ("POST", "/batches", None),
        ("GET", "/", None),
    ] {
        assert_eq!(route(&request(watched(method, path)).await).map(|route| route.key), key, "{method} {path}");
    }
}

#[tokio::test]
async fn the_context_can_be_asked() {
    for (event, id, source) in [(v2(), "r-2", "17hats"), (v1(), "r-1", "a")] {
        let request = request(event).await;
        assert_eq!(request_id(&request), id);
        assert_eq!(owner(&request), Some("ops"));
        assert_eq!(query_parameter(&request, "source"), Some(source));
        assert_eq!(query_parameter(&request, "none"), None);
        assert_eq!(deadline(&request), Some("2026-11-22T10:00:00.5Z".parse().unwrap()));
        assert!(route_key(&request).unwrap().ends_with("/webhooks/{source}"));
    }
    assert_eq!(query_parameter(&request(v2()).await, "x"), Some("a b"));
    let mut open = v2();
    open["requestContext"]["authorizer"] = Value::Null;
    assert_eq!(owner(&request(open).await), None);
    assert_eq!((request_id(&Request::default()), deadline(&Request::default())), ("", None));
}

#[tokio::test]
async fn a_server_with_threads_can_pass_events_in() {
    let event = serde_json::from_value(v2()).unwrap();
    let handler = |request: Request| async move { Answer::new(200, "text/plain", request_id(&request)) };
    let task = tokio::spawn(async move { handle(event, Context::default(), &handler).await });
    assert_eq!(task.await.unwrap().body, "r-2");
}

#[tokio::test]
async fn an_answer_is_what_the_gateway_reads() {
    let answer = json!({
        "statusCode": 202,
        "headers": {"certbridge-version": "1", "content-type": "application/json"},
        "body": "{\"ok\":true}",
        "isBase64Encoded": false,
    });
    assert_eq!(serde_json::to_value(pass(v1()).await.0).unwrap(), answer);
    // Payload 1.0 has no such field, and its gateway answers 502 to fields that it does not know.
    assert_eq!(serde_json::to_value(pass(v2()).await.0).unwrap(), with(answer, "cookies", json!([])));
}

#[test]
fn an_invocation_that_does_not_say_when_it_ends_has_no_end() {
    let ends = |milliseconds| {
        let mut context = Context::default();
        context.deadline = milliseconds;
        ends_at(&context).map(Timestamp::as_millisecond)
    };
    assert_eq!(ends(1_795_341_600_500), Some(1_795_341_600_500));
    // What `cargo lambda watch` says.
    assert_eq!(ends(600_000), None);
    assert_eq!((ends(0), ends(u64::MAX)), (None, None));
}

#[test]
fn a_problem_says_all_that_it_knows() {
    let fields = Problems::one(FieldProblem::new("issue_date", Shape::Number, "a date"));
    let problem = Problem::new(ProblemType::Unmappable).detail("One field is wrong.").errors(fields);
    let answer = Answer::from(problem.retry_after(Duration::from_millis(1_200)).status(400));
    assert_eq!((answer.status, answer.headers.as_slice()), (400, [("retry-after", "2".to_owned())].as_slice()));
    assert_eq!(
        serde_json::from_str::<Value>(&answer.body).unwrap(),
        json!({
            "type": "urn:problem-type:certbridge:unmappable",
            "title": "The record cannot be mapped",
            "status": 400,
            "detail": "One field is wrong.",
            "errors": [{"field": "issue_date", "found": "a number", "wanted": "a date"}],
        })
    );
}

#[test]
fn every_kind_has_a_slug_of_its_own() {
    let slugs: std::collections::BTreeSet<_> = ProblemType::ALL.iter().map(|kind| kind.slug()).collect();
    assert_eq!(slugs.len(), ProblemType::ALL.len());
    assert!(ProblemType::ALL.iter().all(|kind| (400..600).contains(&kind.status()) && !kind.title().is_empty()));
}

#[test]
fn errors_become_problems_without_internals() {
    use crate::{Denied, SecretError};
    let of = |problem: Problem| Answer::from(problem);
    let denied = SecretError::Denied { name: "certbridge/api-keys".into() };
    let answer = of(Problem::from(&denied));
    assert_eq!(answer.status, 500);
    assert!(!answer.body.contains("api-keys"));
    let away = SecretError::Unavailable { name: "audit".into(), message: "timed out".into() };
    assert_eq!(of(Problem::from(&away)).status, 503);
    assert_eq!(of(Problem::from(&Denied::Unknown { expired: Some("old".into()) })).status, 401);
    let scope = Denied::Scope { key_id: "k".into(), scope: "sync:write".into() };
    assert_eq!(of(Problem::from(&scope)).status, 403);
}
