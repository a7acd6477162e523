//! Bodies as Standard Webhooks recommends them, of each kind of record. Who signs is the caller.

use serde_json::{Value, json};

/// An event of this type at this time, about this.
pub fn event(kind: &str, timestamp: &str, data: &Value) -> Value {
    json!({ "type": kind, "timestamp": timestamp, "data": data })
}

/// That a certificate was issued, at a location.
pub fn certificate(timestamp: &str, id: &str, location_id: &str) -> Value {
    let data = json!({
        "certificate_id": id,
        "user_id": format!("person-{id}"),
        "issue_date": "2026-01-31",
        "location_id": location_id,
        "status": "issued",
        "expiry_date": null,
        "title": "Example Certificate",
        "recipient_name": "Example Person",
        "recipient_email": "person@example.com",
    });
    event("certificate.issued", timestamp, &data)
}

/// That a location was made.
pub fn location(timestamp: &str, id: &str) -> Value {
    let data = json!({ "location_id": id, "name": "London", "address": "1 High Street", "country": "GB" });
    event("location.created", timestamp, &data)
}

/// That a customer was made.
pub fn customer(timestamp: &str, id: &str) -> Value {
    let data = json!({
        "customer_id": id,
        "email": "person@example.com",
        "first_name": "Example",
        "last_name": "Person",
        "phone": "+442079460000",
    });
    event("customer.created", timestamp, &data)
}

/// That an invoice was made, for a customer.
pub fn invoice(timestamp: &str, id: &str, customer_id: &str) -> Value {
    let data = json!({
        "invoice_id": id,
        "customer_id": customer_id,
        "customer_email": "person@example.com",
        "customer_name": "Example Person",
        "total": "120.50",
        "currency": "USD",
        "status": "sent",
        "issue_date": "2026-01-31",
        "due_date": "2026-02-28",
    });
    event("invoice.created", timestamp, &data)
}
