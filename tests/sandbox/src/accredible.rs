//! Accredible's API as its documentation has it (version 25.08): one credential by its id, and the search for many.

use crate::{
    cursors::Cursors,
    fault::Struck,
    provider::{Options, Provider, Route, Unreadable, common_routes, json_body},
    search::{BadSearch, Place, Search},
    table::Table,
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION, header::WWW_AUTHENTICATE},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{io, sync::Arc};

/// A credential, as `GET /v1/credentials/{id}` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential(Value);

impl Credential {
    /// A published credential of one person, with no location, in the shape of the documented example.
    pub fn new(id: &str) -> Self {
        Self(json!({
            "id": id,
            "name": "Example Certificate",
            "description": "An example description.",
            "approve": true,
            "grade": null,
            "complete": true,
            "issued_on": "2026-01-31",
            "course_link": "https://www.example.com/course",
            "custom_attributes": null,
            "expired_on": null,
            "group_name": "Example Group",
            "group_id": 9549,
            "url": format!("https://www.credential.net/{id}"),
            "encoded_id": id,
            "private": false,
            "seo_image": format!("https://api.accredible.com/v1/frontend/credential_seo_image/{id}"),
            "certificate": { "image": { "preview": null } },
            "badge": { "image": { "preview": null } },
            "evidence_items": [],
            "references": [],
            "recipient": {
                "name": "Example Person",
                "email": "person@example.com",
                "phone_number": null,
                "id": format!("person-{id}"),
                "meta_data": null,
            },
            "issuer": { "name": "Example Organization", "description": null, "url": "https://www.example.com", "id": 4897 },
            "meta_data": null,
        }))
    }

    /// Of this location of the destination's.
    #[must_use]
    pub fn at_location(self, location_id: &str) -> Self {
        self.with(&json!({ "custom_attributes": { "location_id": location_id } }))
    }

    /// Of this recipient.
    #[must_use]
    pub fn issued_to(self, id: &str, name: &str, email: &str) -> Self {
        self.with(&json!({ "recipient": { "id": id, "name": name, "email": email } }))
    }

    /// Of this name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.with(&json!({ "name": name }))
    }

    /// Issued, and perhaps expired, on these days (YYYY-MM-DD).
    #[must_use]
    pub fn dated(self, issued_on: &str, expired_on: Option<&str>) -> Self {
        self.with(&json!({ "issued_on": issued_on, "expired_on": expired_on }))
    }

    /// With these members in place of its own. Objects are merged; a null is kept as null.
    #[must_use]
    pub fn with(mut self, patch: &Value) -> Self {
        merge(&mut self.0, patch);
        self
    }

    /// As JSON.
    pub fn value(&self) -> &Value {
        &self.0
    }
}

/// RFC 7396, but that a null is kept: a provider shows every member always.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (name, value) in patch {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Accredible as a server.
pub struct Accredible {
    server: Provider,
    inner: Arc<Inner>,
}

struct Inner {
    authorization: String,
    credentials: Table<Stored>,
    cursors: Cursors,
}

/// A credential as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) credential: Value,
    pub(crate) created_at: Timestamp,
    /// When it last came to be another than it was.
    pub(crate) updated_at: Timestamp,
}

impl Accredible {
    /// Starts it, with what it kept, if it was told to keep.
    ///
    /// # Errors
    /// The port is taken, or the folder cannot be read or written.
    pub async fn start(options: Options) -> io::Result<Self> {
        let inner = Arc::new(Inner {
            authorization: format!("Token token={}", options.api_key),
            credentials: Table::open(options.folder.as_deref(), "accredible-credentials")?,
            cursors: Cursors::default(),
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

    /// Puts a credential there, over one of its id.
    pub fn put(&self, id: &str, credential: &Credential) {
        self.inner.put(id, credential.0.clone());
    }

    /// Says when a credential last changed. `false` if there is none.
    pub fn set_updated_at(&self, id: &str, updated_at: Timestamp) -> bool {
        self.inner.set_updated_at(id, updated_at)
    }

    /// Refuses every cursor that was handed out until now.
    pub fn expire_cursors(&self) {
        self.inner.cursors.expire();
    }

    /// Changes a credential as [`Credential::with`] does. `false` if there is none.
    pub fn update(&self, id: &str, patch: &Value) -> bool {
        let found = self.credential(id);
        found.map(|credential| self.put(id, &credential.with(patch))).is_some()
    }

    /// Deletes a credential. `false` if there was none.
    pub fn delete(&self, id: &str) -> bool {
        self.inner.credentials.remove(id)
    }

    /// A credential as it stands.
    pub fn credential(&self, id: &str) -> Option<Credential> {
        self.inner.credentials.get(id).map(|stored| Credential(stored.credential))
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
    vec![("GET", "/v1/credentials/{id}", get(view)), ("POST", "/v2/credentials/search", post(search))]
}

fn control() -> Vec<Route<Arc<Inner>>> {
    vec![
        ("GET", "/_sandbox/credentials", get(list)),
        ("PUT", "/_sandbox/credentials/{id}", put(put_credential)),
        ("DELETE", "/_sandbox/credentials/{id}", delete(delete_credential)),
        ("PUT", "/_sandbox/credentials/{id}/updated_at", put(put_updated_at)),
        ("DELETE", "/_sandbox/cursors", delete(expire_cursors)),
    ]
}

/// Why a request is refused, in the shape of its own that each reason has.
enum Refusal {
    Denied,
    Search(BadSearch),
}

impl From<BadSearch> for Refusal {
    fn from(bad: BadSearch) -> Self {
        Self::Search(bad)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let challenge = [(WWW_AUTHENTICATE, "Token realm=\"Application\"")];
        match self {
            Self::Denied => (StatusCode::UNAUTHORIZED, challenge, "HTTP Token: Access denied.\n").into_response(),
            Self::Search(bad) => bad.into_response(),
        }
    }
}

impl Inner {
    fn authorize(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes() == self.authorization.as_bytes());
        if given { Ok(()) } else { Err(Refusal::Denied) }
    }

    fn set_updated_at(&self, id: &str, updated_at: Timestamp) -> bool {
        let found = self.credentials.get(id);
        found.map(|stored| self.credentials.put(id, Stored { updated_at, ..stored })).is_some()
    }

    fn put(&self, id: &str, credential: Value) {
        let (now, before) = (Timestamp::now(), self.credentials.get(id));
        let created_at = before.as_ref().map_or(now, |before| before.created_at);
        let same = before.filter(|before| before.credential == credential);
        let updated_at = same.map_or(now, |before| before.updated_at);
        self.credentials.put(id, Stored { credential, created_at, updated_at });
    }
}

async fn view(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    inner.authorize(&headers)?;
    Ok(match inner.credentials.get(&id) {
        Some(stored) => Json(json!({ "credential": stored.credential })).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({ "error": "Not found" }))).into_response(),
    })
}

async fn search(
    State(inner): State<Arc<Inner>>,
    Extension(struck): Extension<Struck>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    let search = Search::parse(&body)?;
    // A cursor stands for the place that its page comes after: none, if it repeats the first one.
    let after = search.cursor().map(|cursor| inner.cursors.place::<Option<Place>>(cursor));
    let after = after.map(|place| place.ok_or_else(Search::bad_cursor)).transpose()?.flatten();
    let (found, items) = inner.credentials.read(|rows| {
        let found = search.find(rows.iter(), after.as_ref())?;
        let shown = found.ids.iter().filter_map(|id| Some((id.clone(), rows.get(id)?.item(id))));
        let items = struck.shown(shown.collect());
        Ok::<_, BadSearch>((found, items))
    })?;
    let mut meta = json!({ "count": struck.announced(found.count), "from": search.offset(), "size": search.size() });
    // A page that has items has a cursor, the last one too: then the next page is empty.
    if struck.repeats() {
        meta["cursor"] = inner.cursors.issue(&after).into();
    } else if let Some(last) = found.last {
        meta["cursor"] = inner.cursors.issue(&Some(last)).into();
    }
    Ok(Json(json!({ "credentials": items, "meta": meta })))
}

async fn expire_cursors(State(inner): State<Arc<Inner>>) -> StatusCode {
    inner.cursors.expire();
    StatusCode::NO_CONTENT
}

async fn list(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let credentials: Vec<_> = inner.credentials.rows().into_iter().map(|(_, stored)| stored.credential).collect();
    Json(json!({ "credentials": credentials }))
}

async fn put_credential(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Unreadable> {
    let patch: Map<String, Value> = if body.is_empty() { Map::new() } else { json_body(&body)? };
    let before = inner.credentials.get(&id).map(|stored| Credential(stored.credential));
    let credential = before.unwrap_or_else(|| Credential::new(&id));
    let credential = credential.with(&Value::Object(patch));
    inner.put(&id, credential.0.clone());
    Ok(Json(json!({ "credential": credential.0 })))
}

async fn delete_credential(State(inner): State<Arc<Inner>>, Path(id): Path<String>) -> StatusCode {
    if inner.credentials.remove(&id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdatedAt {
    updated_at: Timestamp,
}

async fn put_updated_at(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Unreadable> {
    let UpdatedAt { updated_at } = json_body(&body)?;
    Ok(if inner.set_updated_at(&id, updated_at) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
}
