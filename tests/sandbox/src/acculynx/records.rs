//! Contacts, jobs and invoices: one by its id, and in pages.

use super::{Inner, PUBLIC_URL, Refusal};
use crate::fault::Struck;
use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use jiff::civil::Date;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// The members of a query, by their names.
pub(super) type Asked = Query<BTreeMap<String, String>>;

const DEFAULT_SIZE: i64 = 25;

const MAX_SIZE: i64 = 50;

/// How far lists go.
const MAX_START: i64 = 100_000;

/// The milestones that are listed unless others are asked for: all but `dead`.
const MILESTONES: &str = "lead,prospect,approved,completed,invoiced,closed,cancelled";

/// One of a kind in the shape of the documented example.
pub(super) fn example(kind: &str, id: &str) -> Value {
    match kind {
        "contacts" => example_contact(id),
        "jobs" => example_job(id),
        "invoices" => example_invoice(id),
        _ => json!({ "subscriptionId": id }),
    }
}

fn example_contact(id: &str) -> Value {
    let link = format!("{PUBLIC_URL}/contacts/{id}");
    json!({
        "id": id,
        "_link": link,
        "firstName": "John",
        "lastName": "Smith",
        "salutation": "Mr.",
        "crossReference": "",
        "companyName": "Acme Roofing Inc.",
        "phoneNumbers": [{
            "id": "b2830ef6-c5ff-44ca-a3b9-aa767f50a04b",
            "_link": format!("{link}/phone-numbers/b2830ef6-c5ff-44ca-a3b9-aa767f50a04b"),
            "number": "3095551234", "ext": "", "type": "Mobile", "primary": true, "smsOptOut": false,
        }],
        "emailAddresses": [{
            "id": "40ac2713-13eb-4c69-8780-eee57fc71cba",
            "_link": format!("{link}/email-addresses/40ac2713-13eb-4c69-8780-eee57fc71cba"),
            "address": "john@example.com", "primary": true,
        }],
        "mailingAddress": example_address(),
        "billingAddress": example_address(),
    })
}

fn example_address() -> Value {
    let country = format!("{PUBLIC_URL}/acculynx/countries/1");
    json!({
        "street1": "123 Main St.",
        "street2": "Apt 2",
        "city": "Peoria",
        "state": { "id": 13, "name": "Illinois", "abbreviation": "IL", "_link": format!("{country}/states/13") },
        "zipCode": "61603",
        "country": { "id": 1, "name": "United States", "abbreviation": "US", "_link": country },
    })
}

fn example_job(id: &str) -> Value {
    json!({
        "id": id,
        "_link": format!("{PUBLIC_URL}/jobs/{id}"),
        "contacts": [],
        "locationAddress": example_address(),
        "geoLocation": { "latitude": 40.69, "longitude": -89.59 },
        "tradeTypes": [{ "tradeId": "e8ea8f4c-14ca-4bdf-8fe6-8824103a9a30", "name": "Roofing" }],
        "jobCategory": { "id": 1, "name": "Residential" },
        "workType": { "id": 1, "name": "New", "systemDefault": true },
        "leadSource": { "id": "6a4b5b41-9a4b-4dbd-a5f4-6a6d6b8d9c11", "name": "Website", "children": [] },
        "initialAppointment": { "_link": format!("{PUBLIC_URL}/jobs/{id}/initial-appointment") },
        "milestoneDate": "2026-01-31T10:00:00Z",
        "createdDate": "2026-01-31T10:00:00Z",
        "modifiedDate": "2026-01-31T10:00:00Z",
        "currentMilestone": "Prospect",
        "jobNumber": "10",
        "jobName": "10: John Smith",
        "priority": "Normal",
        "assignment": "assigned",
    })
}

fn example_invoice(id: &str) -> Value {
    json!({
        "id": id,
        "_link": format!("{PUBLIC_URL}/invoices/{id}"),
        "jobId": "e591bf22-9828-4144-bca8-42cbb8c6e2c0",
        "invoiceNumber": "10-1",
        "invoiceSequence": 1,
        "invoiceDate": "2026-01-31T10:00:00Z",
        "dueDate": "2026-02-28T10:00:00Z",
        "currentInvoiceState": "Unpaid",
        "totalPrice": 120.5,
        "balanceDue": 120.5,
        "invoiceName": "Roof",
        "createdDate": "2026-01-31T10:00:00Z",
        "sortIndex": 1,
        "recordingStatus": "",
        "recordingClassification": "",
        "sections": [],
    })
}

fn id_of(row: &Value) -> String {
    row["id"].as_str().unwrap_or_default().to_owned()
}

/// Whether what is asked for is to be told in full.
fn includes(asked: &BTreeMap<String, String>, what: &str) -> bool {
    asked.get("includes").is_some_and(|names| names.split(',').any(|name| name.trim() == what))
}

fn links(items: &Value) -> Value {
    let items = items.as_array().into_iter().flatten();
    items.map(|item| json!({ "id": item["id"], "_link": item["_link"] })).collect()
}

/// A contact as it is shown: of its addresses and numbers only links, unless they are asked for.
fn shown_contact(mut contact: Value, asked: &BTreeMap<String, String>) -> Value {
    for (include, member) in [("emailAddress", "emailAddresses"), ("phoneNumber", "phoneNumbers")] {
        if !includes(asked, include) {
            contact[member] = links(&contact[member]);
        }
    }
    contact
}

/// A page of so many items.
struct Page {
    start: usize,
    size: usize,
    told_start: i64,
}

impl Inner {
    /// The page that is asked for by the number of a page (`pageStartIndex`) or of a record (`recordStartIndex`). One that
    /// starts after the last item is out of range; the first one never is.
    fn page(&self, asked: &BTreeMap<String, String>, start_name: &str, count: usize) -> Result<Page, Refusal> {
        let number = |name: &str, default: i64| {
            let given = asked.get(name).map(|text| text.parse::<i64>());
            let whole = || self.bad(format!("{name} is not a whole number."));
            given.transpose().map(|number| number.unwrap_or(default)).map_err(|_| whole())
        };
        let (size, told_start) = (number("pageSize", DEFAULT_SIZE)?, number(start_name, 0)?);
        let start = if start_name == "pageStartIndex" { told_start.saturating_mul(size) } else { told_start };
        let out = || self.refuse(StatusCode::RANGE_NOT_SATISFIABLE, "The requested range is not satisfiable.");
        if !(1..=MAX_SIZE).contains(&size) || !(0..=MAX_START).contains(&told_start) {
            return Err(out());
        }
        let (start, size) = (usize::try_from(start).map_err(|_| out())?, usize::try_from(size).map_err(|_| out())?);
        if start > 0 && start >= count { Err(out()) } else { Ok(Page { start, size, told_start }) }
    }

    /// The page of these, in the shape of every list.
    fn listed(
        &self,
        asked: &BTreeMap<String, String>,
        start_name: &str,
        struck: &Struck,
        rows: Vec<Value>,
    ) -> Result<Json<Value>, Refusal> {
        let count = rows.len();
        let Page { start, size, told_start } = self.page(asked, start_name, count)?;
        let start = if struck.repeats() { 0 } else { start };
        let items = rows.into_iter().skip(start).take(size).map(|row| (id_of(&row), row)).collect();
        Ok(Json(json!({
            "count": struck.announced(count),
            "pageSize": size,
            "pageStartIndex": told_start,
            "items": struck.shown(items),
        })))
    }

    fn found(&self, kind: &str, id: &str) -> Result<Value, Refusal> {
        let row = self.of(kind).and_then(|table| table.get(id));
        row.ok_or_else(|| self.refuse(StatusCode::NOT_FOUND, format!("{id} was not found.")))
    }

    /// A job as it is shown: of its contacts only links, unless they are asked for.
    pub(super) fn shown_job(&self, mut job: Value, asked: &BTreeMap<String, String>) -> Value {
        if let Some(job) = job.as_object_mut() {
            job.remove("assignment");
        }
        for link in job["contacts"].as_array_mut().into_iter().flatten() {
            let contact = self.contacts.get(link["contact"]["id"].as_str().unwrap_or_default());
            if let Some(contact) = contact.filter(|_| includes(asked, "contact") || includes(asked, "contacts")) {
                link["contact"] = shown_contact(contact, asked);
            }
        }
        job
    }
}

pub(super) async fn contacts(
    State(inner): State<Arc<Inner>>,
    Extension(struck): Extension<Struck>,
    Query(asked): Asked,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    let rows = inner.contacts.rows().into_iter().map(|(_, row)| shown_contact(row, &asked)).collect();
    inner.listed(&asked, "pageStartIndex", &struck, rows)
}

pub(super) async fn contact(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    Query(asked): Asked,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    Ok(Json(shown_contact(inner.found("contacts", &id)?, &asked)))
}

pub(super) async fn email_addresses(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    Ok(Json(json!({ "items": inner.found("contacts", &id)?["emailAddresses"] })))
}

pub(super) async fn phone_numbers(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    Ok(Json(json!({ "items": inner.found("contacts", &id)?["phoneNumbers"] })))
}

/// A job that nobody was assigned to is not shown, and the 404 has no body.
pub(super) async fn job(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    Query(asked): Asked,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    inner.authorize(&headers)?;
    let job = inner.jobs.get(&id).filter(|job| job["assignment"] != "unassigned");
    Ok(match job {
        Some(job) => Json(inner.shown_job(job, &asked)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

/// What jobs are asked for.
struct Wanted {
    dated: &'static str,
    from: Option<Date>,
    to: Option<Date>,
    sorted: &'static str,
    descending: bool,
    unassigned: bool,
    milestones: Vec<String>,
}

impl Inner {
    fn wanted(&self, asked: &BTreeMap<String, String>) -> Result<Wanted, Refusal> {
        let given = |name: &str| asked.get(name).map(String::as_str);
        let field = |name: &str| match given(name) {
            None | Some("CreatedDate") => Ok("createdDate"),
            Some("MilestoneDate") => Ok("milestoneDate"),
            Some("ModifiedDate") => Ok("modifiedDate"),
            Some(other) => Err(self.bad(format!("{name} cannot be {other}."))),
        };
        let day = |name: &str| {
            let day = given(name).map(|text| if text.len() == 10 { text.parse::<Date>().ok() } else { None });
            day.map(|day| day.ok_or_else(|| self.bad(format!("{name} is not a date, YYYY-MM-DD.")))).transpose()
        };
        let flag = |name: &str, no: &str, yes: &str| match given(name) {
            None => Ok(false),
            Some(text) if text == no || text == yes => Ok(text == yes),
            Some(other) => Err(self.bad(format!("{name} cannot be {other}."))),
        };
        Ok(Wanted {
            dated: field("dateFilterType")?,
            from: day("startDate")?,
            to: day("endDate")?,
            sorted: field("sortBy")?,
            descending: flag("sortOrder", "Ascending", "Descending")?,
            unassigned: flag("assignment", "assigned", "unassigned")?,
            milestones: given("milestones").unwrap_or(MILESTONES).split(',').map(str::to_lowercase).collect(),
        })
    }
}

impl Wanted {
    fn fits(&self, job: &Value) -> bool {
        let text = |name: &str| job[name].as_str().unwrap_or_default();
        let day = text(self.dated).get(..10).and_then(|day| day.parse::<Date>().ok());
        (text("assignment") == "unassigned") == self.unassigned
            && self.milestones.iter().any(|milestone| text("currentMilestone").eq_ignore_ascii_case(milestone))
            && self.from.is_none_or(|from| day.is_some_and(|day| day >= from))
            && self.to.is_none_or(|to| day.is_some_and(|day| day <= to))
    }
}

/// The jobs, by the number of a record. Those that nobody was assigned to only if they are asked for.
pub(super) async fn jobs(
    State(inner): State<Arc<Inner>>,
    Extension(struck): Extension<Struck>,
    Query(asked): Asked,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    let wanted = inner.wanted(&asked)?;
    let mut rows: Vec<_> = inner.jobs.rows().into_iter().map(|(_, job)| job).filter(|job| wanted.fits(job)).collect();
    rows.sort_by_key(|job| job[wanted.sorted].as_str().unwrap_or_default().to_owned());
    if wanted.descending {
        rows.reverse();
    }
    let rows = rows.into_iter().map(|job| inner.shown_job(job, &asked)).collect();
    inner.listed(&asked, "recordStartIndex", &struck, rows)
}

pub(super) async fn job_invoices(
    State(inner): State<Arc<Inner>>,
    Extension(struck): Extension<Struck>,
    Path(id): Path<String>,
    Query(asked): Asked,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    inner.found("jobs", &id)?;
    let rows =
        inner.invoices.rows().into_iter().map(|(_, row)| row).filter(|row| row["jobId"] == id.as_str()).collect();
    inner.listed(&asked, "pageStartIndex", &struck, rows)
}

pub(super) async fn invoice(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    inner.authorize(&headers)?;
    Ok(Json(inner.found("invoices", &id)?))
}
