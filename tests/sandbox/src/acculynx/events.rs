//! The bodies of its deliveries: as they arrive, and as its samples have them.

use super::PUBLIC_URL;
use jiff::Timestamp;
use serde_json::{Value, json};

/// A delivery's body as it arrives: in camelCase, its time with seven digits of a second.
pub fn event(topic: &str, event_id: &str, subscription_id: &str, at: Timestamp, inner: &Value) -> Value {
    json!({
        "topicName": topic,
        "eventDateTime": format!("{at:.7}"),
        "eventId": event_id,
        "subscriptionId": subscription_id,
        "event": inner,
    })
}

/// What `contact_added` and `contact_changed` say: which contact, and nothing of it.
pub fn contact_event(id: &str, at: Timestamp) -> Value {
    json!({ "contact": { "id": id, "date": format!("{at:.7}"), "_link": format!("{PUBLIC_URL}/contacts/{id}") } })
}

/// What `job_created` and `job_updated` say: the whole job.
pub fn job_event(job: &Value) -> Value {
    json!({ "job": job })
}

/// What `job.invoice_updated` and `job.invoice_voided` say: which invoice of which job.
pub fn invoice_event(id: &str, job_id: &str) -> Value {
    json!({ "job": {
        "id": job_id,
        "_link": format!("{PUBLIC_URL}/jobs/{job_id}"),
        "invoice": { "id": id, "_link": format!("{PUBLIC_URL}/invoices/{id}") },
    } })
}

/// The same body with keys in `PascalCase`, as a documented sample has it.
pub fn pascal(body: &Value) -> Value {
    match body {
        Value::Object(members) => members.iter().map(|(name, value)| (capital(name), pascal(value))).collect(),
        Value::Array(items) => items.iter().map(pascal).collect(),
        other => other.clone(),
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}
