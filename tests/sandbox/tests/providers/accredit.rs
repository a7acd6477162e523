//! Accredit as the sandbox plays it.

use crate::support::{Receiver, call, text};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use certbridge_sandbox::{
    Accredit, Options,
    accredit::{EVENTS, badge_export, certificate},
};
use serde_json::{Value, json};

const KEY: &str = "key";

async fn accredit() -> Accredit {
    Accredit::start(Options { api_key: KEY.to_owned(), ..Options::default() }).await.unwrap()
}

/// Whether the key proves the body.
fn proves(pem: &str, body: &[u8], signature: &str) -> bool {
    let der = pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, BASE64_STANDARD.decode(der).unwrap());
    key.verify(body, &BASE64_STANDARD.decode(signature).unwrap()).is_ok()
}

async fn post(server: &Accredit, path: &str, body: Value) -> (u16, Value) {
    call(&server.url(), KEY, "POST", &format!("/api/webhookSubscription{path}"), &body).await
}

#[tokio::test]
async fn every_route_listed_is_served() {
    let server = accredit().await;
    for (method, path) in Accredit::routes() {
        let (status, body) = call(&server.url(), KEY, method, path, &Value::Null).await;
        assert_ne!(status, 405, "{method} {path}");
        assert_ne!(body, json!("no such route"), "{method} {path}");
    }
}

#[tokio::test]
async fn a_subscription_gives_a_key_that_proves_its_samples() {
    let (server, receiver) = (accredit().await, Receiver::start(&[], None).await);
    let (_, events) = call(&server.url(), KEY, "GET", "/api/webhookSubscription/events", &Value::Null).await;
    assert_eq!((events.as_array().unwrap().len(), &events[0]["Event"]), (EVENTS.len(), &json!(EVENTS[0])));
    let (status, made) = post(&server, "", json!({ "Url": receiver.url, "Events": EVENTS })).await;
    assert_eq!((status, server.subscriptions().len()), (200, 1));
    let key = text(&made, "SignatureKey");
    for event in [EVENTS[0], EVENTS[1]] {
        let (status, told) = post(&server, "/triggerSampleEventNotification", json!({ "Event": event })).await;
        assert_eq!((status, &told["Deliveries"][0]["Status"]), (200, &json!(200)));
    }
    let received = receiver.received();
    assert_eq!((received[0].header("X-JobAttempt"), received[0].header("Content-Type")), ("0", "application/json"));
    assert!(proves(key, &received[0].body, received[0].header("X-Signature")));
    assert!(!proves(key, &received[1].body, received[0].header("X-Signature")));
    assert!(text(&received[0].json(), "BadgeExportZipFileId").len() == 36);
    assert_eq!(received[1].json()["CertificateId"], "sample-1");
    server.rotate_key().unwrap();
    assert_ne!(server.signature_key().as_deref(), Some(key));
}

#[tokio::test]
async fn what_is_wrong_has_its_documented_code() {
    let server = accredit().await;
    let wanted = json!({ "Url": "https://x.org", "Events": [EVENTS[0]] });
    for (path, body, code) in [
        ("/triggerSampleEventNotification", json!({ "Event": EVENTS[0] }), "ACR_02.003.000"),
        ("/triggerSampleEventNotification", json!({ "Event": "Cat.Fed" }), "ACR_02.003.001"),
        ("/triggerSampleEventNotification", json!({}), "ACR_02.003.001"),
        ("", json!({ "Url": "https://x.org", "Events": [] }), "ACR_02.003.001"),
        ("", json!({ "Url": "https://x.org", "Events": ["Cat.Fed"] }), "ACR_02.003.001"),
        ("", wanted.clone(), ""),
        ("", wanted, "ACR_02.003.002"),
    ] {
        let (status, told) = post(&server, path, body).await;
        assert_eq!(
            (status, told["Code"].as_str().unwrap_or_default()),
            (if code.is_empty() { 200 } else { 400 }, code)
        );
    }
    server.take_key();
    let (status, told) = post(&server, "", json!({ "Url": "https://y.org", "Events": [EVENTS[0]] })).await;
    assert_eq!((status, &told["Code"]), (400, &json!("ACR_02.003.003")));
    let (_, told) = post(&server, "/triggerSampleEventNotification", json!({ "Event": EVENTS[0] })).await;
    assert_eq!(told["Code"], "ACR_02.003.003");
    assert_eq!(call(&server.url(), "x", "GET", "/api/webhookSubscription/events", &Value::Null).await.0, 401);
}

#[tokio::test]
async fn it_keeps_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { api_key: KEY.to_owned(), folder: Some(folder.path().to_owned()), port: 0 };
    let server = Accredit::start(options()).await.unwrap();
    let key = server.signature_key().unwrap();
    post(&server, "", json!({ "Url": "https://x.org", "Events": [EVENTS[0]], "TenantId": "t" })).await;
    server.shutdown().await;
    let server = Accredit::start(options()).await.unwrap();
    assert_eq!(server.signature_key(), Some(key.clone()));
    assert_eq!(server.subscriptions()[0].tenant_id.as_deref(), Some("t"));
    let body = certificate("Certificate.Created", "2026-01-31T10:00:00Z", "1", "loc").to_string();
    assert!(proves(&key, body.as_bytes(), &server.sign(body.as_bytes())[0].1));
    assert_eq!(badge_export("2024-05-10T11:09:21.248Z", "z")["Event"], "BadgeExportZipFile.Created");
}
