//! Accredit: subscriptions to its webhooks, and a sample of an event that is really delivered, signed with RSA.
//!
//! Documented are the three routes, the error codes, the headers of a delivery and one event. What bodies of requests and
//! answers look like otherwise is a choice, in the `PascalCase` of the documented body; so is the bearer key, and that a
//! Signature Key is PEM and signs the raw body with PKCS#1 v1.5.

use crate::{
    accredible::merge,
    delivery::{Rule, send_once},
    keys::RsaKey,
    provider::{Options, Provider, Route, common_routes, lock},
    table::Table,
};
use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    io,
    sync::{Arc, Mutex},
};

/// What can be subscribed to. Only the first is in the public catalogue; the others are what a certificate needs.
pub const EVENTS: &[&str] = &[
    "BadgeExportZipFile.Created",
    "Certificate.Created",
    "Certificate.Updated",
    "Certificate.Expired",
    "Certificate.Revoked",
    "Certificate.Deleted",
    "Certificate.Verified",
];

/// An event's body: the documented base, and these members.
pub fn event(name: &str, timestamp: &str, members: &Value) -> Value {
    let mut body = json!({ "Event": name, "Timestamp": timestamp });
    merge(&mut body, members);
    body
}

/// The one event that is documented.
pub fn badge_export(timestamp: &str, id: &str) -> Value {
    event("BadgeExportZipFile.Created", timestamp, &json!({ "BadgeExportZipFileId": id }))
}

/// An event of a certificate, at a location.
pub fn certificate(name: &str, timestamp: &str, id: &str, location_id: &str) -> Value {
    let members = json!({
        "CertificateId": id,
        "UserId": format!("person-{id}"),
        "IssueDate": "2026-01-31",
        "LocationId": location_id,
        "TenantId": "tenant-1",
        "Status": "Issued",
        "Title": "Example Certificate",
        "FirstName": "Example",
        "LastName": "Person",
        "Email": "person@example.com",
    });
    event(name, timestamp, &members)
}

/// Who wants to be told of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Subscription {
    /// Where to.
    pub url: String,
    /// Of which events.
    pub events: Vec<String>,
    /// For one tenant, or for the system.
    #[serde(default)]
    pub tenant_id: Option<String>,
}

/// Accredit as a server.
pub struct Accredit {
    server: Provider,
    inner: Arc<Inner>,
}

struct Inner {
    authorization: String,
    subscriptions: Table<Subscription>,
    keys: Table<String>,
    key: Mutex<Signing>,
}

/// What deliveries are signed with.
enum Signing {
    /// A key that is made when it is first needed, since that takes long.
    Later,
    With(RsaKey),
    Nothing,
}

impl Accredit {
    /// Starts it, with what it kept, its key too, if it was told to keep.
    ///
    /// # Errors
    /// The port is taken, or the folder cannot be read or written.
    pub async fn start(options: Options) -> io::Result<Self> {
        let folder = options.folder.as_deref();
        let keys = Table::<String>::open(folder, "accredit-keys")?;
        let key = keys.get("signing").map(|kept| RsaKey::read(&kept)).transpose()?;
        let inner = Arc::new(Inner {
            authorization: format!("Bearer {}", options.api_key),
            subscriptions: Table::open(folder, "accredit-subscriptions")?,
            keys,
            key: Mutex::new(key.map_or(Signing::Later, Signing::With)),
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

    /// The public key that its deliveries are proven with, as PEM; none after it was taken away.
    pub fn signature_key(&self) -> Option<String> {
        self.inner.signature_key()
    }

    /// Makes another key.
    ///
    /// # Errors
    /// No key can be made.
    pub fn rotate_key(&self) -> io::Result<()> {
        self.inner.rotate_key()
    }

    /// Has no key from now on, until it is given another.
    pub fn take_key(&self) {
        self.inner.take_key();
    }

    /// The header that proves a body, for a [`Courier`](crate::Courier).
    pub fn sign(&self, body: &[u8]) -> Vec<(String, String)> {
        self.inner.sign(body)
    }

    /// The subscriptions, in the order of their addresses.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.inner.subscriptions.rows().into_iter().map(|(_, subscription)| subscription).collect()
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
    vec![
        ("GET", "/api/webhookSubscription/events", get(list_events)),
        ("POST", "/api/webhookSubscription", post(subscribe)),
        ("POST", "/api/webhookSubscription/triggerSampleEventNotification", post(trigger)),
    ]
}

fn control() -> Vec<Route<Arc<Inner>>> {
    vec![
        ("GET", "/_sandbox/subscriptions", get(list_subscriptions)),
        ("POST", "/_sandbox/key", post(make_key)),
        ("DELETE", "/_sandbox/key", delete(take_key)),
    ]
}

/// Why a request is refused.
enum Refusal {
    Denied,
    /// The documented codes, by their last digit.
    Webhook(u8, &'static str),
}

const NO_SUBSCRIPTION: Refusal = Refusal::Webhook(0, "There is no webhook subscription.");
const NO_EVENT: Refusal = Refusal::Webhook(1, "There is no such notification event.");
const SAME_EXISTS: Refusal = Refusal::Webhook(2, "A webhook subscription with the same values already exists.");
const NO_KEY: Refusal = Refusal::Webhook(3, "There is no signature key for this user.");

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let told = |status: StatusCode, code: String, message: &str| {
            (status, Json(json!({ "Code": code, "Message": message }))).into_response()
        };
        match self {
            Self::Denied => told(StatusCode::UNAUTHORIZED, "Unauthorized".to_owned(), "The key is missing or wrong."),
            Self::Webhook(code, message) => told(StatusCode::BAD_REQUEST, format!("ACR_02.003.{code:03}"), message),
        }
    }
}

impl Inner {
    fn authorize(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes() == self.authorization.as_bytes());
        if given { Ok(()) } else { Err(Refusal::Denied) }
    }

    fn rotate_key(&self) -> io::Result<()> {
        *lock(&self.key) = Signing::With(self.make_key()?);
        Ok(())
    }

    fn make_key(&self) -> io::Result<RsaKey> {
        let key = RsaKey::generate()?;
        self.keys.put("signing", key.kept()?);
        Ok(key)
    }

    fn take_key(&self) {
        self.keys.remove("signing");
        *lock(&self.key) = Signing::Nothing;
    }

    /// What `read` makes of the key, if there is one.
    fn with_key<A>(&self, read: impl FnOnce(&RsaKey) -> A) -> Option<A> {
        let mut signing = lock(&self.key);
        if matches!(*signing, Signing::Later) {
            *signing = Signing::With(self.make_key().ok()?);
        }
        if let Signing::With(key) = &*signing { Some(read(key)) } else { None }
    }

    fn signature_key(&self) -> Option<String> {
        self.with_key(RsaKey::public_pem)?.ok()
    }

    fn sign(&self, body: &[u8]) -> Vec<(String, String)> {
        let signature = self.with_key(|key| key.sign(body));
        signature.map(|signature| ("X-Signature".to_owned(), signature)).into_iter().collect()
    }
}

async fn list_events(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    Ok(Json(EVENTS.iter().map(|event| json!({ "Event": event })).collect()))
}

async fn subscribe(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    let subscription: Subscription = serde_json::from_slice(&body).map_err(|_| NO_EVENT)?;
    if subscription.events.is_empty() || !subscription.events.iter().all(|event| EVENTS.contains(&event.as_str())) {
        return Err(NO_EVENT);
    }
    // One address has one subscription a tenant; the same one again is none.
    let row = format!("{} {}", subscription.url, subscription.tenant_id.as_deref().unwrap_or_default());
    if inner.subscriptions.get(&row).is_some_and(|before| before == subscription) {
        return Err(SAME_EXISTS);
    }
    let key = inner.signature_key().ok_or(NO_KEY)?;
    let mut told = json!(subscription);
    told["SignatureKey"] = key.into();
    inner.subscriptions.put(&row, subscription);
    Ok(Json(told))
}

/// Which event's sample is asked for.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sample {
    event: String,
}

/// Delivers a sample to everybody who subscribed to the event, once, and says what each answered.
async fn trigger(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    let Sample { event: name } = serde_json::from_slice(&body).map_err(|_| NO_EVENT)?;
    if !EVENTS.contains(&name.as_str()) {
        return Err(NO_EVENT);
    }
    let wanted = inner.subscriptions.rows().into_iter().map(|(_, subscription)| subscription);
    let wanted: Vec<_> = wanted.filter(|subscription| subscription.events.contains(&name)).collect();
    if wanted.is_empty() {
        return Err(NO_SUBSCRIPTION);
    }
    let sample = sample(&name);
    let signature = inner.sign(sample.to_string().as_bytes());
    if signature.is_empty() {
        return Err(NO_KEY);
    }
    let mut deliveries = Vec::new();
    for Subscription { url, .. } in wanted {
        let status = send_once(&url, Rule::Accredit, &sample, signature.clone()).await;
        deliveries.push(json!({ "Url": url, "Status": status }));
    }
    Ok(Json(json!({ "Event": name, "Deliveries": deliveries })))
}

fn sample(name: &str) -> Value {
    let now = format!("{:.3}", Timestamp::now());
    match name {
        "BadgeExportZipFile.Created" => badge_export(&now, "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
        _ => certificate(name, &now, "sample-1", "sample-location"),
    }
}

async fn list_subscriptions(State(inner): State<Arc<Inner>>) -> Json<Value> {
    Json(inner.subscriptions.rows().into_iter().map(|(_, subscription)| json!(subscription)).collect())
}

async fn make_key(State(inner): State<Arc<Inner>>) -> Result<Json<Value>, StatusCode> {
    inner.rotate_key().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Json(json!({ "SignatureKey": inner.signature_key() })))
}

async fn take_key(State(inner): State<Arc<Inner>>) -> StatusCode {
    inner.take_key();
    StatusCode::NO_CONTENT
}
