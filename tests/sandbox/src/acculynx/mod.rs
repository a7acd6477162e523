//! AccuLynx: contacts, jobs and invoices of its API as its contract has them (version 2.2614), subscriptions to its
//! webhooks as others found them, and the bodies of these.
//!
//! Not documented, and so chosen: `count` counts all that the filters let through, at most 50 items are on a page, and
//! what a subscription looks like in a list.

mod events;
mod records;
mod subscriptions;

pub use events::{contact_event, event, invoice_event, job_event, pascal};
pub use subscriptions::TOPICS;

use crate::{
    accredible::merge,
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
use serde_json::{Map, Value, json};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Where its links lead, whatever address it is served at.
const PUBLIC_URL: &str = "https://api.acculynx.com/api/v2";

/// AccuLynx as a server.
pub struct AccuLynx {
    server: Provider,
    inner: Arc<Inner>,
}

struct Inner {
    authorization: String,
    contacts: Table<Value>,
    jobs: Table<Value>,
    invoices: Table<Value>,
    subscriptions: Table<Value>,
    traces: AtomicU64,
}

impl AccuLynx {
    /// Starts it, with what it kept, if it was told to keep.
    ///
    /// # Errors
    /// The port is taken, or the folder cannot be read or written.
    pub async fn start(options: Options) -> io::Result<Self> {
        let folder = options.folder.as_deref();
        let inner = Arc::new(Inner {
            authorization: format!("Bearer {}", options.api_key),
            contacts: Table::open(folder, "acculynx-contacts")?,
            jobs: Table::open(folder, "acculynx-jobs")?,
            invoices: Table::open(folder, "acculynx-invoices")?,
            subscriptions: Table::open(folder, "acculynx-subscriptions")?,
            traces: AtomicU64::new(0),
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

    /// Makes a contact in the shape of the documented example, or changes it. Objects are merged.
    pub fn put_contact(&self, id: &str, patch: &Value) {
        self.inner.put("contacts", id, patch);
    }

    /// Makes a job in the shape of the documented example, or changes it, which dates its change unless that is told.
    /// One whose `assignment` is `unassigned` is shown only to who asks for those.
    pub fn put_job(&self, id: &str, patch: &Value) {
        self.inner.put("jobs", id, patch);
    }

    /// Makes an invoice in the shape of the documented example, or changes it.
    pub fn put_invoice(&self, id: &str, patch: &Value) {
        self.inner.put("invoices", id, patch);
    }

    /// What stands there: `kind` is `contacts`, `jobs`, `invoices` or `subscriptions`.
    pub fn row(&self, kind: &str, id: &str) -> Option<Value> {
        self.inner.of(kind)?.get(id)
    }

    /// Removes what stands there. `false` if there was none.
    pub fn remove(&self, kind: &str, id: &str) -> bool {
        self.inner.of(kind).is_some_and(|table| table.remove(id))
    }

    /// The subscriptions, those that were deleted too, which are disabled.
    pub fn subscriptions(&self) -> Vec<Value> {
        self.inner.subscriptions.rows().into_iter().map(|(_, row)| row).collect()
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
        ("GET", "/api/v2/contacts", get(records::contacts)),
        ("GET", "/api/v2/contacts/{id}", get(records::contact)),
        ("GET", "/api/v2/contacts/{id}/email-addresses", get(records::email_addresses)),
        ("GET", "/api/v2/contacts/{id}/phone-numbers", get(records::phone_numbers)),
        ("GET", "/api/v2/jobs", get(records::jobs)),
        ("GET", "/api/v2/jobs/{id}", get(records::job)),
        ("GET", "/api/v2/jobs/{id}/invoices", get(records::job_invoices)),
        ("GET", "/api/v2/invoices/{id}", get(records::invoice)),
        ("GET", "/webhooks/v2/topics", get(subscriptions::topics)),
        ("GET", "/webhooks/v2/subscriptions", get(subscriptions::list)),
        ("POST", "/webhooks/v2/subscriptions", post(subscriptions::create)),
        ("PUT", "/webhooks/v2/subscriptions/{id}", put(subscriptions::update)),
        ("DELETE", "/webhooks/v2/subscriptions/{id}", delete(subscriptions::disable)),
        ("POST", "/webhooks/v2/subscriptions/{id}/test-event", post(subscriptions::test_event)),
    ]
}

fn control() -> Vec<Route<Arc<Inner>>> {
    vec![
        ("GET", "/_sandbox/rows/{kind}", get(list_rows)),
        ("PUT", "/_sandbox/rows/{kind}/{id}", put(put_row)),
        ("DELETE", "/_sandbox/rows/{kind}/{id}", delete(remove_row)),
    ]
}

/// An error in the one shape of this API, yet without its trace id.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    title: &'static str,
    detail: String,
    trace: u64,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, title, detail, trace } = self;
        let body = json!({
            "type": format!("https://httpstatuses.com/{}", status.as_u16()),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "traceId": format!("|sandbox-{trace:016x}."),
        });
        (status, Json(body)).into_response()
    }
}

impl Inner {
    fn authorize(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes() == self.authorization.as_bytes());
        if given { Ok(()) } else { Err(self.refuse(StatusCode::UNAUTHORIZED, "API Key is invalid or deactivated")) }
    }

    fn refuse(&self, status: StatusCode, detail: impl Into<String>) -> Refusal {
        let title = status.canonical_reason().unwrap_or("Error");
        Refusal { status, title, detail: detail.into(), trace: self.traces.fetch_add(1, Ordering::Relaxed) + 1 }
    }

    fn bad(&self, detail: impl Into<String>) -> Refusal {
        self.refuse(StatusCode::BAD_REQUEST, detail)
    }

    fn of(&self, kind: &str) -> Option<&Table<Value>> {
        Some(match kind {
            "contacts" => &self.contacts,
            "jobs" => &self.jobs,
            "invoices" => &self.invoices,
            "subscriptions" => &self.subscriptions,
            _ => return None,
        })
    }

    /// `false` if there is no such kind.
    fn put(&self, kind: &str, id: &str, patch: &Value) -> bool {
        let Some(table) = self.of(kind) else { return false };
        let mut row = table.get(id).unwrap_or_else(|| records::example(kind, id));
        merge(&mut row, patch);
        if kind == "jobs" && patch["modifiedDate"].is_null() {
            row["modifiedDate"] = format!("{:.0}", Timestamp::now()).into();
        }
        table.put(id, row);
        true
    }
}

async fn list_rows(State(inner): State<Arc<Inner>>, Path(kind): Path<String>) -> Result<Json<Value>, StatusCode> {
    let table = inner.of(&kind).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(table.rows().into_iter().map(|(_, row)| row).collect()))
}

async fn put_row(
    State(inner): State<Arc<Inner>>,
    Path((kind, id)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Unreadable> {
    let patch: Map<String, Value> = json_body(&body)?;
    let known = inner.put(&kind, &id, &Value::Object(patch));
    Ok(if known { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
}

async fn remove_row(State(inner): State<Arc<Inner>>, Path((kind, id)): Path<(String, String)>) -> StatusCode {
    let removed = inner.of(&kind).is_some_and(|table| table.remove(&id));
    if removed { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}
