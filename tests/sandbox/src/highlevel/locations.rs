//! Locations, and the fields that their contacts have of their own.

use super::{
    COMPANY_ID, Inner,
    call::{Answer, Call, Refusal, bad, created, ok, unprocessable},
    values,
};
use serde_json::{Value, json};

/// `GET /locations/search`: those that the token may use, in pages.
pub(super) fn search(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let (skip, limit) = (call.number("skip", 0)?, call.number("limit", 10)?);
    if call.query.get("companyId").is_some_and(|company| company != COMPANY_ID) {
        return Err(bad("Company not found"));
    }
    let fits = |location: &Value| {
        let id = location["id"].as_str().unwrap_or_default();
        let email = call.query.get("email");
        call.may_use(id).is_ok() && email.is_none_or(|email| location["email"] == email.as_str())
    };
    let mut locations = values(&inner.stock.locations);
    locations.retain(fits);
    if call.query.get("order").is_some_and(|order| order == "desc") {
        locations.reverse();
    }
    let skip = if call.struck.repeats() { 0 } else { skip };
    let page = locations.into_iter().skip(skip).take(limit);
    let page = page.map(|location| (location["id"].as_str().unwrap_or_default().to_owned(), location)).collect();
    ok(json!({ "locations": call.struck.shown(page) }))
}

/// `GET /locations/{id}`.
pub(super) fn view(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    call.may_use(call.part("id"))?;
    let mut location = inner.location(call.part("id"))?;
    location["companyId"] = COMPANY_ID.into();
    ok(json!({ "location": location }))
}

impl Inner {
    /// A location that there is.
    pub(super) fn location(&self, id: &str) -> Result<Value, Refusal> {
        self.stock.locations.get(id).ok_or_else(|| bad("Location not found"))
    }
}

/// `GET /locations/{id}/customFields`.
pub(super) fn fields(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    call.may_use(call.part("id"))?;
    let of_location = |field: &Value| field["locationId"] == call.part("id");
    let fields: Vec<_> = values(&inner.stock.contact_fields).into_iter().filter(of_location).collect();
    ok(json!({ "customFields": fields }))
}

/// `POST /locations/{id}/customFields`.
pub(super) fn add_field(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let location = call.part("id");
    call.may_use(location)?;
    inner.location(location)?;
    let given = call.object()?;
    let missing: Vec<_> = ["name", "dataType"].into_iter().filter(|name| !given.contains_key(*name)).collect();
    if !missing.is_empty() {
        return Err(unprocessable(missing.iter().map(|name| format!("{name} should not be empty")).collect()));
    }
    let name = given["name"].as_str().unwrap_or_default();
    let id = inner.id();
    let mut field = json!({
        "id": id,
        "fieldKey": format!("contact.{}", name.to_lowercase().replace(' ', "_")),
        "position": 0,
        "locationId": location,
        "model": "contact",
    });
    for (member, value) in &given {
        field[member] = value.clone();
    }
    inner.stock.contact_fields.put(&id, field.clone());
    created(json!({ "customField": field }))
}
