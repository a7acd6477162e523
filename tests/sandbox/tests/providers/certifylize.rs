//! Certifylize as the sandbox plays it.

use crate::support::{Receiver, call};
use certbridge_sandbox::{
    Certifylize, Options,
    certifylize::{credential, event, sign},
};
use serde_json::{Value, json};

const KEY: &str = "key";

fn options() -> Options {
    Options { api_key: KEY.to_owned(), ..Options::default() }
}

#[tokio::test]
async fn every_route_listed_is_served() {
    let server = Certifylize::start(options()).await.unwrap();
    for (method, path) in Certifylize::routes() {
        let (status, body) = call(&server.url(), KEY, method, &path.replace("{id}", "none"), &Value::Null).await;
        assert_ne!(status, 405, "{method} {path}");
        assert_ne!(body, json!("no such route"), "{method} {path}");
    }
}

#[tokio::test]
async fn a_change_is_another_revision() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Options { folder: Some(folder.path().to_owned()), ..options() };
    let server = Certifylize::start(start()).await.unwrap();
    server.put("1", &credential("1", "loc_london"));
    server.put("1", &json!({ "status": "issued" }));
    assert_eq!(server.credential("1").unwrap()["revision"], 1);
    let at = "/_sandbox/credentials/1";
    assert_eq!(call(&server.url(), KEY, "PUT", at, &json!({ "status": "revoked" })).await.0, 204);
    server.shutdown().await;
    let server = Certifylize::start(start()).await.unwrap();
    let (status, told) = call(&server.url(), KEY, "GET", "/v1/credentials/1", &Value::Null).await;
    let shown = &told["credential"];
    assert_eq!((status, &shown["revision"], &shown["status"]), (200, &json!(2), &json!("revoked")));
    server.put("1", &json!({ "revision": 9, "title": "T" }));
    assert_eq!(server.credential("1").unwrap()["revision"], 9);
    assert_eq!(call(&server.url(), "x", "GET", "/v1/credentials/1", &Value::Null).await.0, 401);
    assert!(server.remove("1") && !server.remove("1"));
    let (status, told) = call(&server.url(), KEY, "GET", "/v1/credentials/1", &Value::Null).await;
    assert_eq!((status, &told["error"]["code"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn a_test_is_delivered_as_documented() {
    let (server, receiver) = (Certifylize::start(options()).await.unwrap(), Receiver::start(&[204, 500], None).await);
    server.add_webhook("w1", &receiver.url, "secret");
    for (delivered, status) in [(true, 204), (false, 500)] {
        let (_, told) = call(&server.url(), KEY, "POST", "/webhooks/w1/test", &Value::Null).await;
        assert_eq!(told, json!({ "delivered": delivered, "status": status }));
    }
    let received = &receiver.received()[0];
    assert_eq!(received.header("User-Agent"), "Certifylize-Webhooks/1.0");
    assert_eq!(received.header("x-certifylize-event-type"), "edu.credential.issued");
    assert_eq!(
        (received.header("x-certifylize-attempt"), received.header("x-certifylize-delivery-id").len()),
        ("1", 36)
    );
    let signed = sign("secret", received.header("x-certifylize-timestamp"), &received.body);
    assert_eq!(signed[1].1, received.header("x-certifylize-signature"));
    assert_eq!(received.json()["data"]["status"], "issued");
    assert_eq!(call(&server.url(), KEY, "POST", "/webhooks/w2/test", &Value::Null).await.0, 404);
}

#[test]
fn the_signature_is_of_timestamp_and_body() {
    // Computed by another implementation: HMAC-SHA256 of `1.{}` under `secret`.
    let signed = sign("secret", "1", b"{}");
    assert_eq!(signed[1].1, "sha256=1122767b193110cfec322b6f199b599edbf608ed087f2d27afb0b97d99523908");
    let body = event("evt_1", "edu.credential.issued", "2026-02-21T21:30:46.677Z", None);
    assert_eq!(body.as_object().unwrap().len(), 3);
}
