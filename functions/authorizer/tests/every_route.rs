//! Every route with every kind of key.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use authorizer::{Authorizer, Decision, handle};
use certbridge_platform::{
    Metrics, SecretError, SecretProvider, Secrets, SystemRuntime,
    http::routes::ROUTES,
    metrics::{Dropped, NAMESPACE},
};
use certbridge_sync::ports::Runtime;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2CustomAuthorizerV2Request as Question;
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The secret `api-keys`, or none that can be read.
struct Held(Option<String>);

impl SecretProvider for Held {
    async fn read(&self, id: &str) -> Result<Option<SecretString>, SecretError> {
        let unread = || SecretError::Unavailable { name: id.to_owned(), message: "simulated".into() };
        self.0.clone().map(|text| Some(text.into())).ok_or_else(unread)
    }
}

fn entry(key: &str, scopes: Value, expires: Option<&str>) -> Value {
    let mut entry = json!({"id": key, "sha256": hex::encode(Sha256::digest(key)), "owner": "Olga", "scopes": scopes});
    if let Some(expires) = expires {
        entry["expires"] = expires.into();
    }
    entry
}

fn app(keys: Option<Value>) -> Authorizer<Held, SystemRuntime> {
    let held = Held(keys.map(|keys| json!({ "keys": keys }).to_string()));
    let metrics = Metrics::new(NAMESPACE, "authorizer", SystemRuntime).with_sink(Dropped);
    Authorizer { secrets: Arc::new(Secrets::new(held, SystemRuntime)), metrics }
}

fn question(route: &str, headers: Value) -> Question {
    let context = json!({"accountId": "0", "apiId": "a", "routeKey": route, "timeEpoch": 0,
        "http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"}});
    serde_json::from_value(json!({"version": "2.0", "type": "REQUEST", "routeKey": route, "rawPath": "/",
        "headers": headers, "requestContext": context}))
    .unwrap()
}

async fn ask(app: &Authorizer<Held, SystemRuntime>, route: &str, headers: Value) -> Decision {
    handle(app, &question(route, headers)).await.unwrap()
}

#[tokio::test]
async fn a_key_opens_the_routes_of_its_scopes_and_no_other() {
    let future = (SystemRuntime.now() + std::time::Duration::from_secs(3600)).to_string();
    for route in ROUTES {
        let scope = route.scope.unwrap_or("sync:write");
        let app = app(Some(json!([
            entry("good", json!([scope]), Some(&future)),
            entry("narrow", json!(["something:else"]), None),
            entry("none", json!([]), None),
            entry("expired", json!([scope]), Some("2026-01-01T00:00:00Z")),
        ])));
        for key in ["narrow", "none", "expired", "revoked", "", "GOOD", "good "] {
            // A revoked key is one that the secret no longer holds. White space around a key is not part of it.
            let let_in = key.trim() == "good" && route.scope.is_some();
            for headers in [json!({"authorization": format!("Bearer {key}")}), json!({"x-api-key": key})] {
                let decision = ask(&app, route.key, headers).await;
                assert_eq!(decision.is_authorized, let_in, "{} with {key:?}", route.key);
                assert_eq!(decision.context.owner.is_empty(), !let_in);
            }
        }
        assert!(!ask(&app, route.key, json!({})).await.is_authorized, "{} without a key", route.key);
        let decision = ask(&app, route.key, json!({"x-api-key": "good"})).await;
        assert_eq!(decision.is_authorized, route.scope.is_some(), "{}", route.key);
        if decision.is_authorized {
            assert_eq!(serde_json::to_value(&decision).unwrap()["context"], json!({"owner": "Olga", "keyId": "good"}));
        }
    }
}

#[tokio::test]
async fn who_may_read_batches_may_not_run_them() {
    let app = app(Some(json!([
        entry("runner", json!(["batch:run"]), None),
        entry("reader", json!(["records:read"]), None),
        entry("syncer", json!(["sync:write"]), None),
    ])));
    let reads = ["GET /batches", "GET /batches/{id}", "GET /batches/{id}/report"];
    for (route, key) in std::iter::once(("POST /batch_sync", "runner")).chain(reads.map(|route| (route, "reader"))) {
        for presented in ["runner", "reader", "syncer"] {
            let decision = ask(&app, route, json!({"x-api-key": presented})).await;
            assert_eq!(decision.is_authorized, presented == key, "{route} with {presented}");
        }
    }
}

#[tokio::test]
async fn a_route_that_is_not_known_is_denied() {
    let app = app(Some(json!([entry("good", json!(["sync:write", "", "*"]), None)])));
    for route in
        ["", "$default", "POST /certificates/{id}", "GET /certificates/{id}/sync", "POST /batches", "GET /batch_sync"]
    {
        assert!(!ask(&app, route, json!({"x-api-key": "good"})).await.is_authorized, "{route}");
    }
}

#[tokio::test]
async fn keys_that_cannot_be_read_open_nothing() {
    let asked = handle(&app(None), &question(ROUTES[2].key, json!({"x-api-key": "good"}))).await;
    assert!(asked.is_err());
}
