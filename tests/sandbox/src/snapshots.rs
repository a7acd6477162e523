//! The Snapshots API, the destination: upserts of certificates, one or several at once, of locations, customers and
//! invoices, and what was applied in which order.

mod records;

use crate::{
    accredible::merge,
    cursors::Cursors,
    fault::Struck,
    provider::{Options, Provider, Route, Unreadable, common_routes, json_body, lock},
    table::Table,
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeSet,
    io,
    ops::Bound,
    sync::{Arc, Mutex},
};

/// What a key must be allowed to do to list the locations.
pub const LOCATION_SCOPE: &str = "saas/location.read";

/// The most certificates on a page.
const MAX_PAGE: usize = 100;

/// The most certificates at once.
const MAX_BATCH: usize = 25;

/// A request that changed, or repeated, a certificate here. A request repeated under its idempotency key is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Application {
    /// Whose.
    pub certificate_id: String,
    /// The key that the request came under.
    pub idempotency_key: Option<String>,
    /// The whole body.
    pub body: Value,
}

/// A request that changed, or repeated, a record of any kind here.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Applied {
    /// `certificate`, `location`, `customer` or `invoice`.
    pub kind: String,
    /// Which one.
    pub id: String,
    /// The key that the request came under.
    pub idempotency_key: Option<String>,
    /// The whole body.
    pub body: Value,
}

/// A certificate as it stands here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Certificate {
    #[serde(flatten)]
    fields: Map<String, Value>,
    updated_at: Timestamp,
}

/// What was answered under an idempotency key.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answered {
    body: Value,
    request_id: String,
}

/// The Snapshots API as a server.
pub struct Snapshots {
    server: Provider,
    inner: Arc<Inner>,
}

struct Inner {
    /// What lets in.
    authorizations: Mutex<BTreeSet<String>>,
    scopes: Mutex<BTreeSet<String>>,
    locations: Table<String>,
    certificates: Table<Certificate>,
    /// What is no certificate, by kind and id.
    records: Table<Value>,
    answered: Table<Answered>,
    applied: Mutex<Vec<Applied>>,
    cursors: Cursors,
    /// Held while a request is applied: one after the other.
    applying: Mutex<u64>,
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

impl Snapshots {
    /// Starts it, with what it kept, if it was told to keep. Its key may list the locations, of which there are none.
    ///
    /// # Errors
    /// The port is taken, or the folder cannot be read or written.
    pub async fn start(options: Options) -> io::Result<Self> {
        let folder = options.folder.as_deref();
        let inner = Arc::new(Inner {
            authorizations: Mutex::new(BTreeSet::from([bearer(&options.api_key)])),
            scopes: Mutex::new(BTreeSet::from([LOCATION_SCOPE.to_owned()])),
            locations: Table::open(folder, "snapshots-locations")?,
            certificates: Table::open(folder, "snapshots-certificates")?,
            records: Table::open(folder, "snapshots-records")?,
            answered: Table::open(folder, "snapshots-answered")?,
            applied: Mutex::default(),
            cursors: Cursors::default(),
            applying: Mutex::default(),
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

    /// Adds a location.
    pub fn add_location(&self, id: &str, name: &str) {
        self.inner.locations.put(id, name.to_owned());
    }

    /// Removes a location. `false` if there was none.
    pub fn remove_location(&self, id: &str) -> bool {
        self.inner.remove_location(id)
    }

    /// Lets in who has one of these keys, and nobody else: as its admin page makes and revokes them.
    pub fn let_in(&self, keys: &[&str]) {
        *lock(&self.inner.authorizations) = keys.iter().map(|key| bearer(key)).collect();
    }

    /// Allows the key no more and no less than this.
    pub fn set_scopes(&self, scopes: &[&str]) {
        *lock(&self.inner.scopes) = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    }

    /// A certificate as it stands, without the time of its last change.
    pub fn certificate(&self, id: &str) -> Option<Value> {
        self.inner.certificates.get(id).map(|certificate| Value::Object(certificate.fields))
    }

    /// The ids of all certificates.
    pub fn certificate_ids(&self) -> Vec<String> {
        self.inner.certificates.rows().into_iter().map(|(id, _)| id).collect()
    }

    /// Changes or makes a certificate, as somebody at the destination might. Objects are merged.
    pub fn edit(&self, id: &str, patch: &Value) {
        self.inner.edit(id, patch);
    }

    /// Removes a certificate, as somebody at the destination might. `false` if there was none.
    pub fn remove(&self, id: &str) -> bool {
        self.inner.certificates.remove(id)
    }

    /// Refuses every cursor that was handed out until now.
    pub fn expire_cursors(&self) {
        self.inner.cursors.expire();
    }

    /// The certificates that were applied since the start, in their order.
    pub fn applications(&self) -> Vec<Application> {
        let certificates = self.applied_of("certificate").into_iter();
        certificates
            .map(|Applied { id, idempotency_key, body, .. }| Application { certificate_id: id, idempotency_key, body })
            .collect()
    }

    /// What was applied since the start, of all kinds in its order.
    pub fn applied(&self) -> Vec<Applied> {
        lock(&self.inner.applied).clone()
    }

    /// What was applied since the start of this kind, in its order.
    pub fn applied_of(&self, kind: &str) -> Vec<Applied> {
        self.applied().into_iter().filter(|applied| applied.kind == kind).collect()
    }

    /// A record as it stands: `kind` is `certificate`, `location`, `customer` or `invoice`.
    pub fn record(&self, kind: &str, id: &str) -> Option<Value> {
        if kind == "certificate" { self.certificate(id) } else { self.inner.records.get(&row_key(kind, id)) }
    }

    /// The ids of all records of a kind.
    pub fn record_ids(&self, kind: &str) -> Vec<String> {
        if kind == "certificate" {
            return self.certificate_ids();
        }
        let rows = self.inner.records.rows().into_iter();
        rows.filter_map(|(key, _)| Some(key.strip_prefix(kind)?.strip_prefix('#')?.to_owned())).collect()
    }

    /// Changes or makes a record of any kind, as somebody at the destination might. Objects are merged.
    pub fn edit_record(&self, kind: &str, id: &str, patch: &Value) {
        self.inner.edit_record(kind, id, patch);
    }

    /// Removes a record of any kind, as somebody at the destination might. `false` if there was none.
    pub fn remove_record(&self, kind: &str, id: &str) -> bool {
        self.inner.remove_record(kind, id)
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
        ("POST", "/certificates/{id}/sync", post(sync)),
        ("POST", "/batch_sync", post(sync_batch)),
        ("GET", "/certificates/{id}", get(view)),
        ("GET", "/certificates", get(list)),
        ("GET", "/locations", get(locations)),
        ("POST", "/locations", post(records::location)),
        ("POST", "/customers", post(records::customer)),
        ("POST", "/invoices", post(records::invoice)),
    ]
}

fn control() -> Vec<Route<Arc<Inner>>> {
    vec![
        ("GET", "/_sandbox/applications", get(list_applications)),
        ("PUT", "/_sandbox/certificates/{id}", put(edit_certificate)),
        ("DELETE", "/_sandbox/certificates/{id}", delete(remove_certificate)),
        ("PUT", "/_sandbox/locations/{id}", put(put_location)),
        ("DELETE", "/_sandbox/locations/{id}", delete(remove_location)),
        ("GET", "/_sandbox/records/{kind}/{id}", get(view_record)),
        ("PUT", "/_sandbox/records/{kind}/{id}", put(put_record)),
        ("DELETE", "/_sandbox/records/{kind}/{id}", delete(delete_record)),
        ("PUT", "/_sandbox/scopes", put(put_scopes)),
        ("DELETE", "/_sandbox/cursors", delete(expire_cursors)),
    ]
}

/// One thing wrong with a request's body.
#[derive(Debug, Serialize)]
struct Flaw {
    field: &'static str,
    code: &'static str,
}

/// An error in the one shape of this API.
struct Refusal {
    status: StatusCode,
    error: &'static str,
    message: String,
    flaws: Vec<Flaw>,
}

fn refuse(status: StatusCode, error: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { status, error, message: message.into(), flaws: Vec::new() }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, error, message, flaws } = self;
        let body = json!({ "statusCode": status.as_u16(), "error": error, "message": message, "errors": flaws });
        (status, Json(body)).into_response()
    }
}

fn idempotency_key(headers: &HeaderMap) -> Option<&str> {
    headers.get("idempotency-key")?.to_str().ok()
}

fn row_key(kind: &str, id: &str) -> String {
    format!("{kind}#{id}")
}

async fn sync(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    inner.authorize(&headers)?;
    let fields: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|_| refuse(StatusCode::BAD_REQUEST, "not_json", "The body is no JSON object."))?;
    let flaws = inner.flaws(&id, &fields);
    if !flaws.is_empty() {
        let refusal = refuse(StatusCode::UNPROCESSABLE_ENTITY, "invalid_certificate", "The certificate is invalid.");
        return Err(Refusal { flaws, ..refusal });
    }
    let request_id = inner.apply("certificate", &id, idempotency_key(&headers), fields)?;
    let body = json!({ "certificate_id": id, "status": "synced", "request_id": request_id });
    Ok(([("x-request-id", request_id)], Json(body)).into_response())
}

/// Several certificates at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    batch_id: String,
    records: Vec<Map<String, Value>>,
}

/// Upserts each certificate by itself, under the request's key and its own id: one that is invalid is refused alone, and
/// one that was applied before is not applied again.
async fn sync_batch(
    State(inner): State<Arc<Inner>>,
    Extension(struck): Extension<Struck>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    let no_batch = |_| refuse(StatusCode::BAD_REQUEST, "no_batch", "The body is no batch.");
    let Batch { batch_id, records } = serde_json::from_slice(&body).map_err(no_batch)?;
    if batch_id.is_empty() || !(1..=MAX_BATCH).contains(&records.len()) {
        let message = format!("A batch has an id, and 1 to {MAX_BATCH} records.");
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, "invalid_batch", message));
    }
    let key = idempotency_key(&headers);
    let handled = struck.handled(records.len());
    let results: Vec<_> = records.into_iter().take(handled).map(|fields| inner.apply_one_of(key, fields)).collect();
    Ok(Json(json!({ "batch_id": batch_id, "results": results })))
}

impl Inner {
    /// Applies one certificate of several, and tells what became of it.
    fn apply_one_of(&self, key: Option<&str>, fields: Map<String, Value>) -> Value {
        let id = fields.get("certificate_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let rejected = |error: &str, flaws: &[Flaw]| json!({ "certificate_id": id, "status": "rejected", "error": error, "errors": flaws });
        let flaws = self.flaws(&id, &fields);
        if !flaws.is_empty() {
            return rejected("invalid_certificate", &flaws);
        }
        let key = key.map(|key| format!("{key}#{id}"));
        match self.apply("certificate", &id, key.as_deref(), fields) {
            Ok(request_id) => json!({ "certificate_id": id, "status": "synced", "request_id": request_id }),
            Err(refusal) => rejected(refusal.error, &refusal.flaws),
        }
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match headers.get(AUTHORIZATION) {
            Some(value) if value.to_str().is_ok_and(|value| lock(&self.authorizations).contains(value)) => Ok(()),
            _ => Err(refuse(StatusCode::UNAUTHORIZED, "unauthorized", "The key is missing or wrong.")),
        }
    }

    fn flaws(&self, id: &str, fields: &Map<String, Value>) -> Vec<Flaw> {
        let text = |field: &str| fields.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        let mut flaws = Vec::new();
        for field in ["certificate_id", "user_id", "issue_date", "location_id"] {
            let code = match (field, text(field)) {
                (_, None) => Some("required"),
                ("certificate_id", Some(text)) if text != id => Some("mismatch"),
                ("issue_date", Some(text)) if text.parse::<Date>().is_err() => Some("invalid"),
                ("location_id", Some(text)) if self.locations.get(text).is_none() => Some("unknown"),
                _ => None,
            };
            flaws.extend(code.map(|code| Flaw { field, code }));
        }
        flaws
    }

    /// Upserts a record, unless this very request was applied before. Gives the request's id.
    fn apply(&self, kind: &str, id: &str, key: Option<&str>, fields: Map<String, Value>) -> Result<String, Refusal> {
        let mut count = lock(&self.applying);
        let body = Value::Object(fields.clone());
        match key.and_then(|key| self.answered.get(key)) {
            Some(before) if before.body == body => return Ok(before.request_id),
            Some(_) => {
                let message = "The idempotency key was used for another request.";
                return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", message));
            }
            None => {}
        }
        *count += 1;
        let now = Timestamp::now();
        let request_id = format!("snap-{}-{count}", now.as_millisecond());
        self.write(kind, id, fields, now);
        if let Some(key) = key {
            self.answered.put(key, Answered { body: body.clone(), request_id: request_id.clone() });
        }
        let idempotency_key = key.map(str::to_owned);
        lock(&self.applied).push(Applied { kind: kind.to_owned(), id: id.to_owned(), idempotency_key, body });
        Ok(request_id)
    }

    /// Writes a record over what is there. A location is then one of those that are listed.
    fn write(&self, kind: &str, id: &str, fields: Map<String, Value>, now: Timestamp) {
        if kind == "certificate" {
            return self.certificates.put(id, Certificate { fields, updated_at: now });
        }
        if kind == "location" {
            self.locations.put(id, fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned());
        }
        self.records.put(&row_key(kind, id), Value::Object(fields));
    }

    fn edit_record(&self, kind: &str, id: &str, patch: &Value) {
        if kind == "certificate" {
            return self.edit(id, patch);
        }
        let _applying = lock(&self.applying);
        let mut record = self.records.get(&row_key(kind, id)).unwrap_or_else(|| json!({}));
        merge(&mut record, patch);
        if let Value::Object(fields) = record {
            self.write(kind, id, fields, Timestamp::now());
        }
    }

    fn remove_record(&self, kind: &str, id: &str) -> bool {
        match kind {
            "certificate" => self.certificates.remove(id),
            "location" => self.remove_location(id),
            _ => self.records.remove(&row_key(kind, id)),
        }
    }

    fn remove_location(&self, id: &str) -> bool {
        self.records.remove(&row_key("location", id));
        self.locations.remove(id)
    }

    fn edit(&self, id: &str, patch: &Value) {
        let _applying = lock(&self.applying);
        let fields = self.certificates.get(id).map(|certificate| certificate.fields).unwrap_or_default();
        let mut fields = Value::Object(fields);
        merge(&mut fields, patch);
        if let Value::Object(fields) = fields {
            self.certificates.put(id, Certificate { fields, updated_at: Timestamp::now() });
        }
    }
}

async fn view(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    let certificate = inner.certificates.get(&id);
    let none = || refuse(StatusCode::NOT_FOUND, "unknown_certificate", "There is no such certificate.");
    Ok(Json(json!({ "certificate": certificate.ok_or_else(none)? })))
}

/// A page of certificates: those whose ids come after the cursor.
#[derive(Debug, Deserialize)]
struct Page {
    limit: Option<usize>,
    cursor: Option<String>,
}

async fn list(
    State(inner): State<Arc<Inner>>,
    Extension(struck): Extension<Struck>,
    Query(page): Query<Page>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    let limit = page.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    // A cursor stands for the id that its page comes after: none, if it repeats the first one.
    let bad_cursor = || refuse(StatusCode::BAD_REQUEST, "invalid_cursor", "The cursor is invalid or has expired.");
    let after = page.cursor.map(|cursor| inner.cursors.place::<Option<String>>(&cursor).ok_or_else(bad_cursor));
    let after = after.transpose()?.flatten();
    let (rows, total) = inner.certificates.read(|rows| {
        let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let after = rows.range::<String, _>((start, Bound::Unbounded)).take(limit + 1);
        (after.map(|(id, certificate)| (id.clone(), certificate.clone())).collect::<Vec<_>>(), rows.len())
    });
    let last = rows.get(limit).and_then(|_| rows.get(limit - 1)).map(|(id, _)| id);
    let next_cursor = if struck.repeats() {
        Some(inner.cursors.issue(&after))
    } else {
        last.map(|last| inner.cursors.issue(&Some(last)))
    };
    let shown = rows.into_iter().take(limit).map(|(id, certificate)| (id, json!(certificate))).collect();
    let (certificates, total) = (struck.shown(shown), struck.announced(total));
    Ok(Json(json!({ "certificates": certificates, "next_cursor": next_cursor, "total": total })))
}

async fn expire_cursors(State(inner): State<Arc<Inner>>) -> StatusCode {
    inner.cursors.expire();
    StatusCode::NO_CONTENT
}

async fn locations(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    if !lock(&inner.scopes).contains(LOCATION_SCOPE) {
        let message = format!("The key lacks the scope {LOCATION_SCOPE}.");
        return Err(refuse(StatusCode::FORBIDDEN, "insufficient_scope", message));
    }
    let locations = inner.locations.rows().into_iter().map(|(id, name)| json!({ "id": id, "name": name }));
    Ok(Json(json!({ "locations": locations.collect::<Vec<_>>() })))
}

/// As it is read by hand: a certificate is named as such, too.
async fn list_applications(State(inner): State<Arc<Inner>>) -> Json<Vec<Value>> {
    let told = |applied: &Applied| {
        let mut told = json!(applied);
        if applied.kind == "certificate" {
            told["certificate_id"] = applied.id.as_str().into();
        }
        told
    };
    Json(lock(&inner.applied).iter().map(told).collect())
}

async fn view_record(
    State(inner): State<Arc<Inner>>,
    Path((kind, id)): Path<(String, String)>,
) -> Result<Json<Value>, StatusCode> {
    let found = match kind.as_str() {
        "certificate" => inner.certificates.get(&id).map(|certificate| Value::Object(certificate.fields)),
        _ => inner.records.get(&row_key(&kind, &id)),
    };
    found.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn put_record(
    State(inner): State<Arc<Inner>>,
    Path((kind, id)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Unreadable> {
    let patch: Map<String, Value> = json_body(&body)?;
    inner.edit_record(&kind, &id, &Value::Object(patch));
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_record(State(inner): State<Arc<Inner>>, Path((kind, id)): Path<(String, String)>) -> StatusCode {
    if inner.remove_record(&kind, &id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn edit_certificate(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Unreadable> {
    let patch: Map<String, Value> = json_body(&body)?;
    inner.edit(&id, &Value::Object(patch));
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_certificate(State(inner): State<Arc<Inner>>, Path(id): Path<String>) -> StatusCode {
    if inner.certificates.remove(&id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

/// A location's body.
#[derive(Debug, Deserialize)]
struct Location {
    name: String,
}

async fn put_location(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Unreadable> {
    inner.locations.put(&id, json_body::<Location>(&body)?.name);
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_location(State(inner): State<Arc<Inner>>, Path(id): Path<String>) -> StatusCode {
    if inner.remove_location(&id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn put_scopes(State(inner): State<Arc<Inner>>, body: Bytes) -> Result<StatusCode, Unreadable> {
    *lock(&inner.scopes) = json_body(&body)?;
    Ok(StatusCode::NO_CONTENT)
}
