//! The kinds of record that the Snapshots API takes beside certificates.

use crate::support::{answer, client};
use certbridge_sandbox::{Applied, Options, Snapshots};
use reqwest::Method;
use serde_json::{Value, json};

const KEY: &str = "key";

async fn snapshots() -> Snapshots {
    Snapshots::start(Options { api_key: KEY.to_owned(), ..Options::default() }).await.unwrap()
}

async fn call(server: &Snapshots, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("{}{path}", server.url());
    let request = client().request(Method::from_bytes(method.as_bytes()).unwrap(), url).bearer_auth(KEY);
    answer(request.body(body.to_string())).await
}

async fn post(server: &Snapshots, path: &str, key: &str, body: &Value) -> (u16, Value) {
    let request = client().post(format!("{}{path}", server.url())).bearer_auth(KEY).header("Idempotency-Key", key);
    answer(request.body(body.to_string())).await
}

fn location() -> Value {
    json!({ "location_id": "l1", "name": "London", "address": "1 High Street", "country": "GB" })
}

fn customer() -> Value {
    json!({ "customer_id": "c1", "email": "a@x.org", "first_name": "A", "last_name": "B", "colour": { "eyes": "red" } })
}

fn invoice() -> Value {
    json!({ "invoice_id": "i1", "customer_id": "c1", "total": "120.50", "currency": "USD", "status": "sent" })
}

#[tokio::test]
async fn every_kind_is_upserted_once_a_key() {
    let server = snapshots().await;
    for (kind, path, body, id) in [
        ("location", "/locations", location(), "l1"),
        ("customer", "/customers", customer(), "c1"),
        ("invoice", "/invoices", invoice(), "i1"),
    ] {
        let (status, told) = post(&server, path, kind, &body).await;
        assert_eq!((status, &told["status"], &told[format!("{kind}_id")]), (200, &json!("synced"), &json!(id)));
        assert_eq!(post(&server, path, kind, &body).await.1, told);
        let mut other = body.clone();
        other["note"] = json!("new");
        let (status, refusal) = post(&server, path, kind, &other).await;
        assert_eq!((status, &refusal["error"]), (422, &json!("idempotency_key_reused")));
        assert_eq!(server.record(kind, id), Some(body.clone()));
        assert_eq!(call(&server, "POST", path, &other).await.0, 200);
        assert_eq!((server.record(kind, id), server.record_ids(kind)), (Some(other.clone()), vec![id.to_owned()]));
        let applied = |key: Option<&str>, body| Applied {
            kind: kind.to_owned(),
            id: id.to_owned(),
            idempotency_key: key.map(str::to_owned),
            body,
        };
        assert_eq!(server.applied_of(kind), [applied(Some(kind), body), applied(None, other)]);
    }
    assert_eq!((server.applied().len(), server.applications()), (6, vec![]));
    assert_eq!(
        call(&server, "GET", "/locations", &Value::Null).await.1,
        json!({ "locations": [{ "id": "l1", "name": "London" }] })
    );
    let anonymous = client().post(format!("{}/customers", server.url())).body(customer().to_string());
    assert_eq!(answer(anonymous).await.0, 401);
}

#[tokio::test]
async fn a_certificate_is_a_record_like_others() {
    let server = snapshots().await;
    assert_eq!(post(&server, "/locations", "k", &location()).await.0, 200);
    let body = json!({ "certificate_id": "1", "user_id": "u", "issue_date": "2026-01-31", "location_id": "l1" });
    assert_eq!(post(&server, "/certificates/1/sync", "k1", &body).await.0, 200);
    assert_eq!((server.record("certificate", "1"), server.record_ids("certificate").len()), (Some(body), 1));
    assert_eq!((server.applications().len(), server.applied().len()), (1, 2));
    let (_, log) = call(&server, "GET", "/_sandbox/applications", &Value::Null).await;
    assert_eq!((&log[0]["kind"], &log[0]["certificate_id"]), (&json!("location"), &Value::Null));
    assert_eq!((&log[1]["id"], &log[1]["certificate_id"]), (&json!("1"), &json!("1")));
}

#[tokio::test]
async fn an_invalid_record_is_refused_whole() {
    let server = snapshots().await;
    for (path, mut body, field, value, code) in [
        ("/locations", location(), "location_id", json!(null), "required"),
        ("/locations", location(), "name", json!(""), "required"),
        ("/locations", location(), "address", json!(7), "invalid"),
        ("/locations", location(), "country", json!("UK"), "invalid"),
        ("/locations", location(), "country", json!("gb"), "invalid"),
        ("/customers", customer(), "customer_id", json!(1), "invalid"),
        ("/customers", customer(), "email", json!(null), "required"),
        ("/customers", customer(), "email", json!("a at x.org"), "invalid"),
        ("/customers", customer(), "last_name", json!([]), "invalid"),
        ("/invoices", invoice(), "total", json!(null), "required"),
        ("/invoices", invoice(), "total", json!("12,50"), "invalid"),
        ("/invoices", invoice(), "total", json!("1e3"), "invalid"),
        ("/invoices", invoice(), "total", json!(true), "invalid"),
        ("/invoices", invoice(), "status", json!(null), "required"),
    ] {
        body[field] = value;
        let (status, refusal) = post(&server, path, "k", &body).await;
        assert_eq!((status, &refusal["errors"]), (422, &json!([{ "field": field, "code": code }])), "{path} {body}");
    }
    assert_eq!(post(&server, "/invoices", "k", &json!([])).await.0, 400);
    assert_eq!(server.applied(), []);
    for (path, mut body, field, value) in [
        ("/locations", location(), "country", json!(null)),
        ("/invoices", invoice(), "total", json!(120.5)),
        ("/invoices", invoice(), "total", json!("-3")),
    ] {
        body[field] = value;
        assert_eq!(call(&server, "POST", path, &body).await.0, 200, "{body}");
    }
}

#[tokio::test]
async fn records_are_edited_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { api_key: KEY.to_owned(), folder: Some(folder.path().to_owned()), port: 0 };
    let server = Snapshots::start(options()).await.unwrap();
    server.edit_record("customer", "c1", &json!({ "email": "a@x.org" }));
    let at = "/_sandbox/records/customer/c1";
    assert_eq!(call(&server, "PUT", at, &json!({ "last_name": "B" })).await.0, 204);
    assert_eq!(call(&server, "PUT", "/_sandbox/records/location/l1", &location()).await.0, 204);
    server.shutdown().await;
    let server = Snapshots::start(options()).await.unwrap();
    assert_eq!(call(&server, "GET", at, &Value::Null).await, (200, json!({ "email": "a@x.org", "last_name": "B" })));
    assert_eq!(call(&server, "GET", "/locations", &Value::Null).await.1["locations"][0]["name"], "London");
    assert!(server.remove_location("l1") && server.record("location", "l1").is_none());
    assert_eq!(call(&server, "DELETE", at, &Value::Null).await.0, 204);
    assert_eq!(call(&server, "DELETE", at, &Value::Null).await.0, 404);
    assert_eq!(call(&server, "GET", at, &Value::Null).await.0, 404);
    assert!(!server.remove_record("customer", "c1"));
}
