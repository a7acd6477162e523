//! Certifylize: its webhooks as they are documented, and one credential by its id.
//!
//! The path and the shape of a credential, the bearer key, and that the timestamp counts seconds are choices: only the
//! webhooks' headers, signature and events are documented.

use crate::{
    accredible::merge,
    delivery::{Rule, send_once},
    keys::hmac_hex,
    provider::{Options, Provider, Route, Unreadable, common_routes, json_body},
    table::Table,
};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{io, sync::Arc};

/// The events that are documented.
pub const EVENTS: &[&str] = &[
    "edu.credential.issued",
    "edu.credential.revoked",
    "edu.credential.updated",
    "edu.api_key.created",
    "edu.api_key.revoked",
];

/// An event's body: as the documented sample, which shows no data, or with data.
pub fn event(id: &str, kind: &str, created_at: &str, data: Option<&Value>) -> Value {
    let mut body = json!({ "id": id, "type": kind, "createdAt": created_at });
    if let Some(data) = data {
        body["data"] = data.clone();
    }
    body
}

/// A credential of one person, issued at a location.
pub fn credential(id: &str, location_id: &str) -> Value {
    json!({
        "id": id,
        "revision": 1,
        "status": "issued",
        "issuedOn": "2026-01-31",
        "expiresOn": null,
        "title": "Example Certificate",
        "recipient": { "id": format!("person-{id}"), "name": "Example Person", "email": "person@example.com" },
        "locationId": location_id,
    })
}

/// The headers that prove a body, sent at this time.
pub fn sign(secret: &str, timestamp: &str, body: &[u8]) -> Vec<(String, String)> {
    let signature = hmac_hex(secret, &[timestamp.as_bytes(), b".", body]);
    vec![
        ("x-certifylize-timestamp".to_owned(), timestamp.to_owned()),
        ("x-certifylize-signature".to_owned(), format!("sha256={signature}")),
    ]
}

/// Where events are delivered to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The address.
    pub url: String,
    /// What its deliveries are signed with.
    pub secret: String,
}

/// Certifylize as a server.
pub struct Certifylize {
    server: Provider,
    inner: Arc<Inner>,
}

struct Inner {
    authorization: String,
    credentials: Table<Value>,
    webhooks: Table<Webhook>,
}

impl Certifylize {
    /// Starts it, with what it kept, if it was told to keep.
    ///
    /// # Errors
    /// The port is taken, or the folder cannot be read or written.
    pub async fn start(options: Options) -> io::Result<Self> {
        let folder = options.folder.as_deref();
        let inner = Arc::new(Inner {
            authorization: format!("Bearer {}", options.api_key),
            credentials: Table::open(folder, "certifylize-credentials")?,
            webhooks: Table::open(folder, "certifylize-webhooks")?,
        });
        let server = Provider::start(options.port, inner.clone(), api(), control()).await?;
        Ok(Self { server, inner })
    }

    /// Its server: address, log, faults.
    pub fn server(&self) -> &Provider {
        &self.server
    }

    /// Its base address.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Makes a credential, or changes the one that is there, whose revision then goes up by one unless it is told.
    pub fn put(&self, id: &str, patch: &Value) {
        self.inner.put(id, patch);
    }

    /// Removes a credential. `false` if there was none.
    pub fn remove(&self, id: &str) -> bool {
        self.inner.credentials.remove(id)
    }

    /// A credential as it stands.
    pub fn credential(&self, id: &str) -> Option<Value> {
        self.inner.credentials.get(id)
    }

    /// Delivers tests to this address from now on.
    pub fn add_webhook(&self, id: &str, url: &str, secret: &str) {
        self.inner.webhooks.put(id, Webhook { url: url.to_owned(), secret: secret.to_owned() });
    }

    /// Stops, and waits until the port is free.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }

    /// All routes, as (method, path).
    pub fn routes() -> Vec<(&'static str, &'static str)> {
        let own = api().into_iter().chain(control()).map(|(method, path, _)| (method, path));
        own.chain(common_routes()).collect()
    }
}

fn api() -> Vec<Route<Arc<Inner>>> {
    vec![("GET", "/v1/credentials/{id}", get(view)), ("POST", "/webhooks/{id}/test", post(test))]
}

fn control() -> Vec<Route<Arc<Inner>>> {
    vec![
        ("PUT", "/_sandbox/credentials/{id}", put(put_credential)),
        ("DELETE", "/_sandbox/credentials/{id}", delete(remove_credential)),
        ("PUT", "/_sandbox/webhooks/{id}", put(put_webhook)),
    ]
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response()
}

impl Inner {
    fn allows(&self, headers: &HeaderMap) -> bool {
        headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes() == self.authorization.as_bytes())
    }

    fn put(&self, id: &str, patch: &Value) {
        let before = self.credentials.get(id);
        let mut after = before.clone().unwrap_or_else(|| credential(id, "loc_london"));
        merge(&mut after, patch);
        if before.as_ref() == Some(&after) {
            return;
        }
        if let Some(before) = before.filter(|_| patch["revision"].is_null()) {
            after["revision"] = (before["revision"].as_u64().unwrap_or_default() + 1).into();
        }
        if patch["updatedAt"].is_null() {
            after["updatedAt"] = format!("{:.3}", Timestamp::now()).into();
        }
        self.credentials.put(id, after);
    }
}

async fn view(State(inner): State<Arc<Inner>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if !inner.allows(&headers) {
        return refuse(StatusCode::UNAUTHORIZED, "unauthorized", "The API key is missing or wrong.");
    }
    match inner.credentials.get(&id) {
        Some(credential) => Json(json!({ "credential": credential })).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "not_found", "There is no such credential."),
    }
}

/// Delivers a sample to a webhook, once, and says what it answered.
async fn test(State(inner): State<Arc<Inner>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if !inner.allows(&headers) {
        return refuse(StatusCode::UNAUTHORIZED, "unauthorized", "The API key is missing or wrong.");
    }
    let Some(Webhook { url, secret }) = inner.webhooks.get(&id) else {
        return refuse(StatusCode::NOT_FOUND, "not_found", "There is no such webhook.");
    };
    let now = Timestamp::now();
    let data = credential("sample-1", "sample-location");
    let sample = event("evt_sample", EVENTS[0], &format!("{now:.3}"), Some(&data));
    let headers = sign(&secret, &now.as_second().to_string(), sample.to_string().as_bytes());
    let status = send_once(&url, Rule::Certifylize, &sample, headers).await;
    Json(json!({ "delivered": status.is_some_and(|status| (200..300).contains(&status)), "status": status }))
        .into_response()
}

async fn put_credential(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Unreadable> {
    let patch: Map<String, Value> = json_body(&body)?;
    inner.put(&id, &Value::Object(patch));
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_credential(State(inner): State<Arc<Inner>>, Path(id): Path<String>) -> StatusCode {
    if inner.credentials.remove(&id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn put_webhook(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Unreadable> {
    inner.webhooks.put(&id, json_body(&body)?);
    Ok(StatusCode::NO_CONTENT)
}
