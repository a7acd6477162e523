//! Who wants to be told of what. Names differ between making and changing, the address cannot be changed, and what is
//! deleted is only disabled.

use super::{
    Inner, Refusal,
    events::{contact_event, event, invoice_event, job_event},
    records::{Asked, example},
};
use crate::delivery::{Rule, send_once};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, Uri},
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// All that can be subscribed to.
pub const TOPICS: &[&str] = &[
    "contact_added",
    "contact_changed",
    "contact.custom-field.status_changed",
    "contact.custom-field.value_changed",
    "job_created",
    "job_updated",
    "job.accounting.integration-status.current_changed",
    "job.appointments.initial_created",
    "job.appointments.initial_updated",
    "job.category_changed",
    "job.contacts.primary_changed",
    "job.custom-field.status_changed",
    "job.custom-field.value_changed",
    "job.financials.approved-value_changed",
    "job.invoice_updated",
    "job.invoice_voided",
    "job.milestone.current_changed",
    "job.milestone.status.current_changed",
    "job.representatives.company_assigned",
    "job.representatives.company_changed",
    "job.trade-type_changed",
    "job.work-type_changed",
];

/// How many are on a page of the list.
const PAGE_SIZE: usize = 25;

pub(super) async fn topics(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    let items: Vec<_> = TOPICS.iter().map(|topic| json!({ "topicName": topic })).collect();
    Ok(Json(json!({ "items": items })))
}

pub(super) async fn list(
    State(inner): State<Arc<Inner>>,
    Query(asked): Asked,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    let page = asked.get("pageStartIndex").map_or(Ok(0), |text| text.parse::<usize>());
    let page = page.map_err(|_| inner.bad("pageStartIndex is not a whole number."))?;
    let rows = inner.subscriptions.rows();
    let items = rows.iter().map(|(_, row)| row).skip(page.saturating_mul(PAGE_SIZE)).take(PAGE_SIZE);
    Ok(Json(json!({ "items": items.collect::<Vec<_>>(), "count": rows.len(), "pageStartIndex": page })))
}

impl Inner {
    fn body(&self, body: &Bytes) -> Result<Map<String, Value>, Refusal> {
        serde_json::from_slice(body).map_err(|_| self.bad("The body is no JSON object."))
    }

    fn text(&self, given: &Map<String, Value>, name: &str) -> Result<Value, Refusal> {
        let text = given.get(name).filter(|value| value.as_str().is_some_and(|text| !text.is_empty()));
        text.cloned().ok_or_else(|| self.bad(format!("{name} is required.")))
    }

    fn topics(&self, given: &Map<String, Value>) -> Result<Value, Refusal> {
        let names = given.get("topicNames").filter(|names| names.as_array().is_some_and(|names| !names.is_empty()));
        let names = names.ok_or_else(|| self.bad("topicNames is required."))?;
        let known = |name: &Value| name.as_str().is_some_and(|name| TOPICS.contains(&name));
        match names.as_array().into_iter().flatten().find(|name| !known(name)) {
            Some(unknown) => Err(self.bad(format!("There is no topic {unknown}."))),
            None => Ok(names.clone()),
        }
    }

    fn subscription(&self, id: &str) -> Result<Value, Refusal> {
        let row = self.subscriptions.get(id);
        row.ok_or_else(|| self.refuse(StatusCode::NOT_FOUND, format!("Subscription {id} was not found.")))
    }
}

/// HTTPS, but for this machine: a test's receiver has no certificate.
fn is_consumer(url: &Value) -> bool {
    let Some(Ok(uri)) = url.as_str().map(str::parse::<Uri>) else { return false };
    let local = uri.host().is_some_and(|host| ["127.0.0.1", "localhost"].contains(&host));
    uri.scheme_str() == Some("https") || local
}

pub(super) async fn create(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    inner.authorize(&headers)?;
    let given = inner.body(&body)?;
    let (url, contact) = (inner.text(&given, "consumerUrl")?, inner.text(&given, "techContact")?);
    if !is_consumer(&url) {
        return Err(inner.bad("consumerUrl has to be HTTPS."));
    }
    let kind = inner.text(&given, "integrationType")?;
    if kind != "Api" && kind != "Zapier" {
        return Err(inner.bad("integrationType is Api or Zapier."));
    }
    let topics = inner.topics(&given)?;
    let id = format!("6541d9e1-12c1-45b8-b5bd-{:012x}", inner.subscriptions.rows().len() + 1);
    let row = json!({
        "subscriptionId": id,
        "consumerUrl": url,
        "technicalContact": contact,
        "topicNames": topics,
        "integrationType": kind,
        "status": "Enabled",
    });
    inner.subscriptions.put(&id, row);
    Ok((StatusCode::CREATED, Json(json!({ "subscriptionId": id }))))
}

/// Here the contact has another name, and the address cannot be told.
pub(super) async fn update(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    inner.authorize(&headers)?;
    let mut row = inner.subscription(&id)?;
    let given = inner.body(&body)?;
    if given.contains_key("consumerUrl") {
        return Err(inner.bad("consumerUrl cannot be changed."));
    }
    row["technicalContact"] = inner.text(&given, "technicalContact")?;
    row["topicNames"] = inner.topics(&given)?;
    inner.subscriptions.put(&id, row);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn disable(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    inner.authorize(&headers)?;
    let mut row = inner.subscription(&id)?;
    row["status"] = "Disabled".into();
    inner.subscriptions.put(&id, row);
    Ok(StatusCode::NO_CONTENT)
}

/// Delivers a sample of any topic, subscribed to or not, once.
pub(super) async fn test_event(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    inner.authorize(&headers)?;
    let row = inner.subscription(&id)?;
    let given = inner.body(&body)?;
    let topic = inner.text(&given, "topicName")?;
    let topic = topic.as_str().unwrap_or_default();
    if !TOPICS.contains(&topic) || row["status"] == "Disabled" {
        return Err(inner.bad("The topic is unknown, or the subscription disabled."));
    }
    let now = Timestamp::now();
    let event_id = format!("38e4c045-2a6c-43f2-8309-{:012x}", now.as_millisecond());
    let sample = event(topic, &event_id, &id, now, &inner.sample(topic, now));
    send_once(row["consumerUrl"].as_str().unwrap_or_default(), Rule::AccuLynx, &sample, Vec::new()).await;
    Ok(StatusCode::NO_CONTENT)
}

impl Inner {
    /// What a topic says, of the first that is here, or of an example.
    fn sample(&self, topic: &str, now: Timestamp) -> Value {
        let first = |kind: &str| {
            let row = self.of(kind).and_then(|table| table.rows().into_iter().next().map(|(_, row)| row));
            row.unwrap_or_else(|| example(kind, "eadaaa11-1276-4166-bb93-db02f46b39a2"))
        };
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        if topic.starts_with("contact") {
            contact_event(&text(&first("contacts"), "id"), now)
        } else if topic.starts_with("job.invoice") {
            let invoice = first("invoices");
            invoice_event(&text(&invoice, "id"), &text(&invoice, "jobId"))
        } else {
            job_event(&self.shown_job(first("jobs"), &Default::default()))
        }
    }
}
