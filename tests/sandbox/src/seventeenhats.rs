//! 17hats has no webhooks: what arrives is what a Zap is told to send, flat and without an envelope.

use crate::accredible::merge;
use serde_json::{Value, json};

/// The header that a Zap sends its secret in.
pub const TOKEN_HEADER: &str = "X-Certbridge-Token";

/// An event of this type at this time, with these members.
pub fn event(kind: &str, time: &str, members: &Value) -> Value {
    let mut body = json!({ "type": kind, "time": time });
    merge(&mut body, members);
    body
}

/// That a customer was made.
pub fn customer(time: &str, id: &str, email: &str, first_name: &str, last_name: &str) -> Value {
    let members = json!({ "customer_id": id, "email": email, "first_name": first_name, "last_name": last_name });
    event("customer.created", time, &members)
}

/// That a location was made.
pub fn location(time: &str, id: &str, name: &str, address: &str, country: &str) -> Value {
    let members = json!({ "location_id": id, "name": name, "address": address, "country": country });
    event("location.created", time, &members)
}

/// That an invoice was sent to a customer: over a sum, which is a text, in dollars.
pub fn invoice(time: &str, id: &str, customer_id: &str, total: &str) -> Value {
    let members =
        json!({ "invoice_id": id, "customer_id": customer_id, "total": total, "currency": "USD", "status": "sent" });
    event("invoice.created", time, &members)
}
