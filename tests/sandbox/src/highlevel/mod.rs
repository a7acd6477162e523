//! HighLevel's API, version 2, as its published contracts have it: OAuth and private tokens, locations, contacts, custom
//! objects with their records, associations and invoices.
//!
//! Where those contracts say nothing, the sandbox takes the answer that is harder on a client: a relation that is there
//! already is refused, a property that the schema lacks is refused, and a token never reaches another location.

mod associations;
mod call;
mod contacts;
mod invoices;
mod locations;
mod oauth;
mod objects;

pub use call::VERSION;
pub(crate) use oauth::form_members;
pub use oauth::{CLIENT_ID, CLIENT_SECRET, SCOPES};

use crate::{
    accredible::merge,
    provider::{Options, Provider, Route, Unreadable, common_routes, json_body, lock},
    table::Table,
};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    routing::{delete, get, post, put},
};
use call::{Access::*, Limiter, route};
use jiff::{SignedDuration, Timestamp};
use oauth::{Grant, Session, TOKEN_LIFE, UserType};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// The one agency, which every location is of.
pub const COMPANY_ID: &str = "5DP4iH6HLkQsiKESj6rh";

/// How often refresh tokens were presented.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Refreshes {
    /// And gave new tokens.
    pub done: u64,
    /// And were good no more.
    pub refused: u64,
}

/// HighLevel as a server.
pub struct HighLevel {
    server: Provider,
    inner: Arc<Inner>,
}

struct Inner {
    stock: Stock,
    tokens: Table<Session>,
    grants: Table<Grant>,
    counter: Table<u64>,
    scopes: Mutex<Vec<String>>,
    token_life: Mutex<i64>,
    ahead: Mutex<SignedDuration>,
    refreshes: Mutex<Refreshes>,
    limiter: Limiter,
    traces: AtomicU64,
    /// Held while a call is handled: one after the other.
    applying: Mutex<()>,
}

/// What it holds, each kind by its id.
struct Stock {
    locations: Table<Value>,
    contact_fields: Table<Value>,
    contacts: Table<Value>,
    schemas: Table<Value>,
    fields: Table<Value>,
    records: Table<Value>,
    associations: Table<Value>,
    relations: Table<Value>,
    invoices: Table<Value>,
}

impl Stock {
    fn open(folder: Option<&std::path::Path>) -> io::Result<Self> {
        let table = |name: &str| Table::open(folder, &format!("highlevel-{name}"));
        Ok(Self {
            locations: table("locations")?,
            contact_fields: table("contact-fields")?,
            contacts: table("contacts")?,
            schemas: table("schemas")?,
            fields: table("fields")?,
            records: table("records")?,
            associations: table("associations")?,
            relations: table("relations")?,
            invoices: table("invoices")?,
        })
    }

    fn of(&self, kind: &str) -> Option<&Table<Value>> {
        Some(match kind {
            "locations" => &self.locations,
            "contact_fields" => &self.contact_fields,
            "contacts" => &self.contacts,
            "schemas" => &self.schemas,
            "fields" => &self.fields,
            "records" => &self.records,
            "associations" => &self.associations,
            "relations" => &self.relations,
            "invoices" => &self.invoices,
            _ => return None,
        })
    }
}

/// The rows of a table.
fn values(table: &Table<Value>) -> Vec<Value> {
    table.rows().into_iter().map(|(_, row)| row).collect()
}

impl HighLevel {
    /// Starts it, with what it kept, if it was told to keep. Its key is a private integration token that may use every
    /// location, of which there are none.
    ///
    /// # Errors
    /// The port is taken, or the folder cannot be read or written.
    pub async fn start(options: Options) -> io::Result<Self> {
        let folder = options.folder.as_deref();
        let inner = Arc::new(Inner {
            stock: Stock::open(folder)?,
            tokens: Table::open(folder, "highlevel-tokens")?,
            grants: Table::open(folder, "highlevel-grants")?,
            counter: Table::open(folder, "highlevel-counter")?,
            scopes: Mutex::new(SCOPES.iter().map(|scope| (*scope).to_owned()).collect()),
            token_life: Mutex::new(TOKEN_LIFE),
            ahead: Mutex::new(SignedDuration::ZERO),
            refreshes: Mutex::default(),
            limiter: Limiter::default(),
            traces: AtomicU64::new(0),
            applying: Mutex::default(),
        });
        let server = Provider::start(options.port, inner.clone(), api(), control()).await?;
        let highlevel = Self { server, inner };
        highlevel.add_key(&options.api_key, None, SCOPES);
        Ok(highlevel)
    }

    /// Its server: address, log, faults.
    pub fn server(&self) -> &Provider {
        &self.server
    }

    /// Its base address.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Adds a private integration token of these scopes: of one location, or for every one. One that is there is
    /// replaced.
    pub fn add_key(&self, key: &str, location_id: Option<&str>, scopes: &[&str]) {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let location_id = location_id.map(str::to_owned);
        self.inner.tokens.put(key, Session { user_type: UserType::Private, location_id, scopes, expires_at: None });
    }

    /// Forgets a token of any kind. `false` if there was none.
    pub fn revoke(&self, token: &str) -> bool {
        self.inner.tokens.remove(token)
    }

    /// What codes, and so the tokens got for them, allow from now on.
    pub fn set_scopes(&self, scopes: &[&str]) {
        *lock(&self.inner.scopes) = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    }

    /// A code for `POST /oauth/token`, good once: of a location, or of the agency.
    pub fn authorize(&self, location_id: Option<&str>) -> String {
        self.inner.authorize(location_id)
    }

    /// Says how many seconds access tokens live that are issued from now on.
    pub fn set_token_life(&self, seconds: i64) {
        *lock(&self.inner.token_life) = seconds;
    }

    /// Puts its clock on, by which tokens expire and limits are counted.
    pub fn advance(&self, by: SignedDuration) {
        *lock(&self.inner.ahead) += by;
    }

    /// Makes every access token expire that an app was given until now.
    pub fn expire_tokens(&self) {
        self.inner.expire_tokens();
    }

    /// How often refresh tokens were presented.
    pub fn refreshes(&self) -> Refreshes {
        *lock(&self.inner.refreshes)
    }

    /// Answers 429 from now on to what goes over so many requests in ten seconds; with `None`, to nothing.
    pub fn limit(&self, burst: Option<u32>) {
        self.inner.limiter.hold(burst);
    }

    /// Adds a location.
    pub fn add_location(&self, id: &str, name: &str) {
        self.inner.edit("locations", id, &json!({ "name": name }));
    }

    /// The locations.
    pub fn locations(&self) -> Vec<Value> {
        values(&self.inner.stock.locations)
    }

    /// The contacts.
    pub fn contacts(&self) -> Vec<Value> {
        values(&self.inner.stock.contacts)
    }

    /// The schemas of custom objects.
    pub fn schemas(&self) -> Vec<Value> {
        values(&self.inner.stock.schemas)
    }

    /// The fields of custom objects.
    pub fn fields(&self) -> Vec<Value> {
        values(&self.inner.stock.fields)
    }

    /// The records of a custom object, in all locations.
    pub fn records(&self, schema: &str) -> Vec<Value> {
        let all = values(&self.inner.stock.records).into_iter();
        all.filter(|record| record["objectKey"] == schema).collect()
    }

    /// The associations.
    pub fn associations(&self) -> Vec<Value> {
        values(&self.inner.stock.associations)
    }

    /// The relations.
    pub fn relations(&self) -> Vec<Value> {
        values(&self.inner.stock.relations)
    }

    /// The invoices.
    pub fn invoices(&self) -> Vec<Value> {
        values(&self.inner.stock.invoices)
    }

    /// Changes what is there, as somebody there might: `kind` is `contacts`, `records`, `invoices` and so on. Objects are
    /// merged. `false` if there is no such kind.
    pub fn edit(&self, kind: &str, id: &str, patch: &Value) -> bool {
        self.inner.edit(kind, id, patch)
    }

    /// Removes what is there, as somebody there might. `false` if there was none.
    pub fn remove(&self, kind: &str, id: &str) -> bool {
        self.inner.stock.of(kind).is_some_and(|table| table.remove(id))
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
        ("POST", "/oauth/token", post(oauth::token)),
        route("POST", "/oauth/locationToken", ("oauth.write", Agency), oauth::location_token),
        route("GET", "/locations/search", ("locations.readonly", Both), locations::search),
        route("GET", "/locations/{id}", ("locations.readonly", Both), locations::view),
        route("GET", "/locations/{id}/customFields", ("locations/customFields.readonly", Location), locations::fields),
        route("POST", "/locations/{id}/customFields", ("locations/customFields.write", Location), locations::add_field),
        route("POST", "/contacts/upsert", ("contacts.write", Location), contacts::upsert),
        route("GET", "/contacts/", ("contacts.readonly", Location), contacts::list),
        route("GET", "/contacts/{id}", ("contacts.readonly", Location), contacts::view),
        route("DELETE", "/contacts/{id}", ("contacts.write", Location), contacts::remove),
        route("GET", "/objects/", ("objects/schema.readonly", Location), objects::list_schemas),
        route("POST", "/objects/", ("objects/schema.write", Both), objects::create_schema),
        route("GET", "/objects/{key}", ("objects/schema.readonly", Location), objects::view_schema),
        route("POST", "/custom-fields/", ("locations/customFields.write", Location), objects::create_field),
        route("POST", "/custom-fields/folder", ("locations/customFields.write", Location), objects::create_folder),
        route(
            "GET",
            "/custom-fields/object-key/{key}",
            ("locations/customFields.readonly", Location),
            objects::list_fields,
        ),
        route("POST", "/objects/{key}/records", ("objects/record.write", Location), objects::create),
        route("POST", "/objects/{key}/records/search", ("objects/record.readonly", Location), objects::search),
        route("GET", "/objects/{key}/records/{id}", ("objects/record.readonly", Location), objects::view),
        route("PUT", "/objects/{key}/records/{id}", ("objects/record.write", Location), objects::update),
        route("DELETE", "/objects/{key}/records/{id}", ("objects/record.write", Location), objects::remove),
        route("GET", "/associations/", ("associations.readonly", Location), associations::list),
        route("POST", "/associations/", ("associations.write", Location), associations::create),
        route("GET", "/associations/{id}", ("associations.readonly", Location), associations::view),
        route("GET", "/associations/key/{key}", ("associations.readonly", Location), associations::view_by_key),
        route("POST", "/associations/relations", ("associations/relation.write", Location), associations::relate),
        route(
            "GET",
            "/associations/relations/{id}",
            ("associations/relation.readonly", Location),
            associations::relations_of,
        ),
        route(
            "DELETE",
            "/associations/relations/{id}",
            ("associations/relation.write", Location),
            associations::unrelate,
        ),
        route("POST", "/invoices/", ("invoices.write", Both), invoices::create),
        route("GET", "/invoices/", ("invoices.readonly", Both), invoices::list),
        route("GET", "/invoices/{id}", ("invoices.readonly", Both), invoices::view),
        route("PUT", "/invoices/{id}", ("invoices.write", Both), invoices::update),
        route("POST", "/invoices/{id}/send", ("invoices.write", Both), invoices::send),
        route("POST", "/invoices/{id}/void", ("invoices.write", Both), invoices::void),
        route("POST", "/invoices/{id}/record-payment", ("invoices.write", Both), invoices::record_payment),
    ]
}

fn control() -> Vec<Route<Arc<Inner>>> {
    vec![
        ("GET", "/_sandbox/rows/{kind}", get(list_rows)),
        ("PUT", "/_sandbox/rows/{kind}/{id}", put(edit_row)),
        ("DELETE", "/_sandbox/rows/{kind}/{id}", delete(remove_row)),
        ("POST", "/_sandbox/codes", post(make_code)),
        ("DELETE", "/_sandbox/tokens", delete(expire_tokens)),
        ("PUT", "/_sandbox/scopes", put(put_scopes)),
        ("PUT", "/_sandbox/limit", put(put_limit)),
        ("GET", "/_sandbox/refreshes", get(show_refreshes)),
    ]
}

impl Inner {
    fn now(&self) -> Timestamp {
        Timestamp::now().saturating_add(*lock(&self.ahead)).unwrap_or(Timestamp::MAX)
    }

    /// The time as the API writes it.
    fn written_now(&self) -> Value {
        format!("{:.3}", self.now()).into()
    }

    /// An id that was not given before.
    fn id(&self) -> String {
        let number = self.counter.get("ids").unwrap_or_default() + 1;
        self.counter.put("ids", number);
        format!("{number:024x}")
    }

    fn trace_id(&self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.traces.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn edit(&self, kind: &str, id: &str, patch: &Value) -> bool {
        let Some(table) = self.stock.of(kind) else { return false };
        let own = if kind == "invoices" { "_id" } else { "id" };
        let mut row = table.get(id).unwrap_or_else(|| json!({ own: id }));
        merge(&mut row, patch);
        table.put(id, row);
        true
    }
}

async fn list_rows(State(inner): State<Arc<Inner>>, Path(kind): Path<String>) -> Result<Json<Value>, StatusCode> {
    inner.stock.of(&kind).map(|table| Json(values(table).into())).ok_or(StatusCode::NOT_FOUND)
}

async fn edit_row(
    State(inner): State<Arc<Inner>>,
    Path((kind, id)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Unreadable> {
    let patch: Map<String, Value> = json_body(&body)?;
    let known = inner.edit(&kind, &id, &Value::Object(patch));
    Ok(if known { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
}

async fn remove_row(State(inner): State<Arc<Inner>>, Path((kind, id)): Path<(String, String)>) -> StatusCode {
    let removed = inner.stock.of(&kind).is_some_and(|table| table.remove(&id));
    if removed { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

/// Whom a code is for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeFor {
    location_id: Option<String>,
}

async fn make_code(State(inner): State<Arc<Inner>>, body: Bytes) -> Result<Json<Value>, Unreadable> {
    let CodeFor { location_id } = json_body(&body)?;
    Ok(Json(json!({ "code": inner.authorize(location_id.as_deref()) })))
}

async fn expire_tokens(State(inner): State<Arc<Inner>>) -> StatusCode {
    inner.expire_tokens();
    StatusCode::NO_CONTENT
}

async fn put_scopes(State(inner): State<Arc<Inner>>, body: Bytes) -> Result<StatusCode, Unreadable> {
    *lock(&inner.scopes) = json_body(&body)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn put_limit(State(inner): State<Arc<Inner>>, body: Bytes) -> Result<StatusCode, Unreadable> {
    inner.limiter.hold(json_body(&body)?);
    Ok(StatusCode::NO_CONTENT)
}

async fn show_refreshes(State(inner): State<Arc<Inner>>) -> Json<Refreshes> {
    Json(*lock(&inner.refreshes))
}
