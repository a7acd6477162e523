//! What Accredible's API has of its own (`GET /v1/credentials/{id}`, documented in its version 25.08).

use serde_json::Value;

/// The documented form, to the letter.
pub(crate) fn authorization(key: &str) -> String {
    format!("Token token={key}")
}

/// Whether an answer holds a credential. Some of its errors come as `{"success": false, "data": ".."}`.
pub(crate) fn holds_record(document: &Value) -> bool {
    document.get("credential").is_some_and(Value::is_object)
}
