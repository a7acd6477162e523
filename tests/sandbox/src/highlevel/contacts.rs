//! Contacts: upserted by email, then by phone.

use super::{
    Inner,
    call::{Answer, Call, Refusal, bad, ok, unprocessable},
    values,
};
use serde_json::{Map, Value, json};

/// All that an upsert may name.
const MEMBERS: &[&str] = &[
    "firstName",
    "lastName",
    "name",
    "email",
    "locationId",
    "gender",
    "phone",
    "address1",
    "city",
    "state",
    "postalCode",
    "website",
    "timezone",
    "dnd",
    "dndSettings",
    "inboundDndSettings",
    "tags",
    "customFields",
    "source",
    "dateOfBirth",
    "country",
    "companyName",
    "assignedTo",
    "createNewIfDuplicateAllowed",
];

/// What of it is a text.
const TEXTS: &[&str] = &[
    "firstName",
    "lastName",
    "name",
    "email",
    "gender",
    "phone",
    "address1",
    "city",
    "state",
    "postalCode",
    "website",
    "timezone",
    "source",
    "country",
    "companyName",
    "assignedTo",
];

/// `POST /contacts/upsert`.
pub(super) fn upsert(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let given = call.object()?;
    let flaws = flaws(&given);
    if !flaws.is_empty() {
        return Err(unprocessable(flaws));
    }
    let location = &given["locationId"].as_str().unwrap_or_default().to_owned();
    call.may_use(location)?;
    let settings = inner.location(location)?;
    let twice = settings.pointer("/settings/allowDuplicateContact") == Some(&true.into())
        && given.get("createNewIfDuplicateAllowed") == Some(&true.into());
    let found = if twice { None } else { inner.match_contact(location, &given) };
    let is_new = found.is_none();
    let contact = inner.write_contact(location, found, given);
    ok(json!({ "new": is_new, "contact": contact }))
}

fn flaws(given: &Map<String, Value>) -> Vec<String> {
    let unknown = given.keys().filter(|name| !MEMBERS.contains(&name.as_str()));
    let mut flaws: Vec<_> = unknown.map(|name| format!("property {name} should not exist")).collect();
    if given.get("locationId").and_then(Value::as_str).is_none_or(str::is_empty) {
        flaws.push("locationId should not be empty".to_owned());
    }
    for name in TEXTS {
        match given.get(*name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if *name == "email" && !is_email(text) => {
                flaws.push("email must be an email".to_owned());
            }
            Some(Value::String(_)) => {}
            Some(_) => flaws.push(format!("{name} must be a string")),
        }
    }
    for name in ["tags", "customFields"] {
        if given.get(name).is_some_and(|value| !value.is_array()) {
            flaws.push(format!("{name} must be an array"));
        }
    }
    flaws
}

fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(user, host)| !user.is_empty() && host.contains('.') && !host.contains(['@', ' ']))
}

/// A phone number without what is for people only.
fn digits(phone: &str) -> String {
    phone.chars().filter(|letter| letter.is_ascii_digit() || *letter == '+').collect()
}

impl Inner {
    fn match_contact(&self, location: &str, given: &Map<String, Value>) -> Option<Value> {
        let text = |name: &str| given.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let email = text("email").map(str::to_lowercase);
        let phone = text("phone").map(digits);
        let mut contacts = values(&self.stock.contacts);
        contacts.retain(|contact| contact["locationId"] == location);
        let by_email = |contact: &&Value| email.as_deref().is_some_and(|email| contact["emailLowerCase"] == email);
        let by_phone = |contact: &&Value| phone.as_deref().is_some_and(|phone| contact["phone"] == phone);
        contacts.iter().find(by_email).or_else(|| contacts.iter().find(by_phone)).cloned()
    }

    fn write_contact(&self, location: &str, found: Option<Value>, mut given: Map<String, Value>) -> Value {
        let mut contact = found.unwrap_or_else(|| {
            json!({ "id": self.id(), "locationId": location, "type": "lead", "tags": [], "customFields": [],
                "dateAdded": self.written_now() })
        });
        given.remove("createNewIfDuplicateAllowed");
        let fields = given.remove("customFields");
        if let Some(phone) = given.get("phone").and_then(Value::as_str).map(digits) {
            given.insert("phone".to_owned(), phone.clone().into());
            // What another contact has of the second key is left to it.
            let taken = |other: &Value| {
                other["id"] != contact["id"] && other["locationId"] == location && other["phone"] == phone.as_str()
            };
            if values(&self.stock.contacts).iter().any(taken) {
                given.remove("phone");
            }
        }
        for (name, value) in given {
            contact[name] = value;
        }
        self.write_custom_fields(location, &mut contact, fields.as_ref().and_then(Value::as_array));
        complete(&mut contact);
        contact["dateUpdated"] = self.written_now();
        let id = contact["id"].as_str().unwrap_or_default().to_owned();
        self.stock.contacts.put(&id, contact.clone());
        contact
    }

    /// Writes the fields that the location has; others are passed over without a word.
    fn write_custom_fields(&self, location: &str, contact: &mut Value, given: Option<&Vec<Value>>) {
        for field in given.into_iter().flatten() {
            let known = values(&self.stock.contact_fields).into_iter().find(|known| {
                let by_key = field["key"].as_str().map(|key| format!("contact.{}", key.trim_start_matches("contact.")));
                let named = known["id"] == field["id"] || by_key.is_some_and(|key| known["fieldKey"] == key);
                known["locationId"] == location && named
            });
            let Some(known) = known else { continue };
            let value = if field["field_value"].is_null() { &field["value"] } else { &field["field_value"] };
            let Some(own) = contact["customFields"].as_array_mut() else { continue };
            own.retain(|other| other["id"] != known["id"]);
            own.push(json!({ "id": known["id"], "value": value }));
        }
    }
}

/// Fills in what follows from the rest.
fn complete(contact: &mut Value) {
    let text = |contact: &Value, name: &str| contact[name].as_str().unwrap_or_default().to_owned();
    let (first, last) = (text(contact, "firstName"), text(contact, "lastName"));
    if !first.is_empty() || !last.is_empty() {
        contact["name"] = format!("{first} {last}").trim().into();
    }
    for (name, lower) in [
        ("email", "emailLowerCase"),
        ("firstName", "firstNameLowerCase"),
        ("lastName", "lastNameLowerCase"),
        ("name", "fullNameLowerCase"),
    ] {
        if contact[name].is_string() {
            contact[lower] = text(contact, name).to_lowercase().into();
        }
    }
}

/// `GET /contacts/`: after the contact that the page before ended with.
pub(super) fn list(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let location = call.wanted("locationId")?;
    call.may_use(location)?;
    let limit = call.number("limit", 20)?.min(100);
    let query = call.query.get("query").map(|query| query.to_lowercase()).unwrap_or_default();
    let named = |contact: &Value| {
        let texts =
            ["fullNameLowerCase", "emailLowerCase", "phone"].map(|name| contact[name].as_str().unwrap_or_default());
        query.is_empty() || texts.iter().any(|text| text.contains(&query))
    };
    let mut contacts = values(&inner.stock.contacts);
    contacts.retain(|contact| contact["locationId"] == location && named(contact));
    let total = contacts.len();
    if let Some(after) = call.query.get("startAfterId").filter(|_| !call.struck.repeats()) {
        contacts.retain(|contact| contact["id"].as_str() > Some(after));
    }
    let page: Vec<_> = contacts.into_iter().take(limit).collect();
    let last = page.last().map(|contact| contact["id"].clone()).unwrap_or_default();
    let shown =
        page.into_iter().map(|contact| (contact["id"].as_str().unwrap_or_default().to_owned(), contact)).collect();
    let total = call.struck.announced(total);
    ok(
        json!({ "contacts": call.struck.shown(shown), "count": total, "meta": { "total": total, "startAfterId": last } }),
    )
}

/// `GET /contacts/{id}`.
pub(super) fn view(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    ok(json!({ "contact": inner.contact(call)? }))
}

/// `DELETE /contacts/{id}`. The contract writes it `succeded`.
pub(super) fn remove(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    inner.contact(call)?;
    ok(json!({ "succeded": inner.stock.contacts.remove(call.part("id")) }))
}

impl Inner {
    fn contact(&self, call: &Call) -> Result<Value, Refusal> {
        let id = call.part("id");
        let contact = self.stock.contacts.get(id).ok_or_else(|| bad(format!("Contact with id {id} not found")))?;
        call.may_use(contact["locationId"].as_str().unwrap_or_default())?;
        Ok(contact)
    }
}
