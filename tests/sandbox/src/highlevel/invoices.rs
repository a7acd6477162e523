//! Invoices. What state one is in follows from what was done with it, and cannot be written.

use super::{
    Inner,
    call::{Answer, Call, Refusal, bad, ok, unprocessable},
    objects::missing,
    values,
};
use jiff::civil::Date;
use serde_json::{Map, Value, json};

/// What follows from the rest, and cannot be written.
const READ_ONLY: &[&str] =
    &["_id", "status", "total", "totalSummary", "amountDue", "amountPaid", "createdAt", "updatedAt"];

/// A body with these members, of a location that the caller may use.
fn complete(inner: &Inner, call: &Call, wanted: &[&str]) -> Result<Map<String, Value>, Refusal> {
    let given = call.object()?;
    let mut flaws = missing(&given, &["altId", "altType"]);
    flaws.extend(missing(&given, wanted));
    flaws.extend(wrong(&given));
    if !flaws.is_empty() {
        return Err(unprocessable(flaws));
    }
    let location = given["altId"].as_str().unwrap_or_default();
    call.may_use(location)?;
    inner.location(location)?;
    Ok(given)
}

/// The complaints about members that are there, and wrong.
fn wrong(given: &Map<String, Value>) -> Vec<String> {
    let read_only = READ_ONLY.iter().filter(|name| given.contains_key(**name));
    let mut flaws: Vec<_> = read_only.map(|name| format!("property {name} should not exist")).collect();
    if given.get("altType").is_some_and(|kind| kind != "location") {
        flaws.push("altType must be one of the following values: location".to_owned());
    }
    for day in ["issueDate", "dueDate"] {
        let is_day = |text: &str| text.len() == 10 && text.parse::<Date>().is_ok();
        if given.get(day).is_some_and(|value| !value.as_str().is_some_and(is_day)) {
            flaws.push(format!("{day} must be in YYYY-MM-DD format"));
        }
    }
    for name in ["items", "invoiceItems"] {
        let items = given.get(name).and_then(Value::as_array).into_iter().flatten().enumerate();
        for (place, item) in items {
            let bad = ["amount", "qty"].into_iter().filter(|member| !item[*member].is_number());
            flaws.extend(bad.map(|member| format!("{name}.{place}.{member} must be a number")));
            let bad = ["name", "currency"].into_iter().filter(|member| !item[*member].is_string());
            flaws.extend(bad.map(|member| format!("{name}.{place}.{member} must be a string")));
        }
    }
    flaws
}

/// `POST /invoices/`.
pub(super) fn create(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let wanted = [
        "name",
        "businessDetails",
        "currency",
        "items",
        "discount.type",
        "contactDetails.id",
        "contactDetails.name",
        "contactDetails.phoneNo",
        "contactDetails.email",
        "issueDate",
        "sentTo.email",
        "liveMode",
    ];
    let mut given = complete(inner, call, &wanted)?;
    let contact = given["contactDetails"]["id"].as_str().unwrap_or_default();
    if inner.stock.contacts.get(contact).is_none_or(|contact| contact["locationId"] != given["altId"]) {
        return Err(bad("Contact not found"));
    }
    let (id, now) = (inner.id(), inner.written_now());
    let items = given.remove("items").unwrap_or_default();
    let number = values(&inner.stock.invoices).len() + 1;
    let mut invoice = json!({
        "_id": id,
        "status": "draft",
        "amountPaid": 0,
        "title": "INVOICE",
        "invoiceNumber": number,
        "dueDate": given["issueDate"],
        "createdAt": now,
    });
    given.insert("invoiceItems".to_owned(), items);
    ok(inner.write_invoice(&mut invoice, given))
}

/// `PUT /invoices/{id}`: here the items have another name, and the due date has to be told.
pub(super) fn update(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let given = complete(inner, call, &["name", "currency", "invoiceItems", "issueDate", "dueDate"])?;
    let mut invoice = inner.invoice(call, &given)?;
    if ["paid", "void"].iter().any(|status| invoice["status"] == *status) {
        return Err(bad(format!(
            "Invoice is {} and cannot be updated",
            invoice["status"].as_str().unwrap_or_default()
        )));
    }
    ok(inner.write_invoice(&mut invoice, given))
}

impl Inner {
    fn write_invoice(&self, invoice: &mut Value, given: Map<String, Value>) -> Value {
        for (name, value) in given {
            invoice[name] = value;
        }
        let (sum, discount) = sums(invoice);
        let (total, paid) = (sum - discount, invoice["amountPaid"].as_f64().unwrap_or_default());
        invoice["total"] = plain(total);
        invoice["totalSummary"] = json!({ "subTotal": plain(sum), "discount": plain(discount), "tax": 0 });
        invoice["amountDue"] = plain(total - paid);
        invoice["updatedAt"] = self.written_now();
        self.stock.invoices.put(invoice["_id"].as_str().unwrap_or_default(), invoice.clone());
        invoice.clone()
    }

    /// The invoice of the path, in the location of the body or the query.
    fn invoice(&self, call: &Call, given: &Map<String, Value>) -> Result<Value, Refusal> {
        let invoice = self.stock.invoices.get(call.part("id")).filter(|invoice| call.sees(invoice));
        let here = invoice.filter(|invoice| given.get("altId").is_none_or(|location| invoice["altId"] == *location));
        here.ok_or_else(|| bad("Invoice not found"))
    }
}

/// What the items come to, and what is off it.
fn sums(invoice: &Value) -> (f64, f64) {
    let items = invoice["invoiceItems"].as_array().into_iter().flatten();
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let sum: f64 = items.map(|item| number(&item["amount"]) * number(&item["qty"])).sum();
    let discount = number(&invoice["discount"]["value"]);
    let share = invoice["discount"]["type"] == "percentage";
    (sum, if share { sum * discount / 100.0 } else { discount })
}

/// A sum of money as the API writes it: no fraction, if there is none.
fn plain(amount: f64) -> Value {
    let rounded = (amount * 100.0).round() / 100.0;
    if rounded.fract() == 0.0 { json!(rounded as i64) } else { json!(rounded) }
}

/// `GET /invoices/{id}`.
pub(super) fn view(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    call.may_use(call.wanted("altId")?)?;
    call.wanted("altType")?;
    ok(inner.invoice(call, &Map::new())?)
}

/// `GET /invoices/`.
pub(super) fn list(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let location = call.wanted("altId")?;
    call.may_use(location)?;
    for name in ["altType", "limit", "offset"] {
        call.wanted(name)?;
    }
    let (limit, offset) = (call.number("limit", 0)?, call.number("offset", 0)?);
    let asked = |name: &str| call.query.get(name);
    let fits = |invoice: &Value| {
        let text = |pointer: &str| invoice.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        text("/altId") == location
            && asked("status").is_none_or(|status| text("/status") == status)
            && asked("contactId").is_none_or(|contact| text("/contactDetails/id") == contact)
            && asked("startAt").is_none_or(|day| text("/issueDate") >= day.as_str())
            && asked("endAt").is_none_or(|day| text("/issueDate") <= day.as_str())
            && asked("search")
                .is_none_or(|part| text("/name").contains(part) || invoice["invoiceNumber"].to_string().contains(part))
    };
    let mut invoices = values(&inner.stock.invoices);
    invoices.retain(fits);
    if asked("sortOrder").is_some_and(|order| order == "descend") {
        invoices.reverse();
    }
    let total = invoices.len();
    let offset = if call.struck.repeats() { 0 } else { offset };
    let page = invoices.into_iter().skip(offset).take(limit);
    let page = page.map(|invoice| (invoice["_id"].as_str().unwrap_or_default().to_owned(), invoice)).collect();
    ok(json!({ "invoices": call.struck.shown(page), "total": call.struck.announced(total) }))
}

/// `POST /invoices/{id}/send`.
pub(super) fn send(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let given = complete(inner, call, &["userId", "action", "liveMode"])?;
    let mut invoice = inner.invoice(call, &given)?;
    match invoice["status"].as_str() {
        Some("draft") => invoice["status"] = "sent".into(),
        Some("void") => return Err(bad("Invoice is void and cannot be sent")),
        _ => {}
    }
    let invoice = inner.write_invoice(&mut invoice, Map::new());
    ok(json!({ "invoice": invoice, "smsData": {}, "emailData": {} }))
}

/// `POST /invoices/{id}/void`.
pub(super) fn void(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let given = complete(inner, call, &[])?;
    let mut invoice = inner.invoice(call, &given)?;
    if invoice["status"] == "void" {
        return Err(bad("Invoice is already void"));
    }
    invoice["status"] = "void".into();
    ok(inner.write_invoice(&mut invoice, Map::new()))
}

/// `POST /invoices/{id}/record-payment`: of what is due, unless it says how much.
pub(super) fn record_payment(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let given = complete(inner, call, &["mode", "notes"])?;
    let mut invoice = inner.invoice(call, &given)?;
    let due = invoice["amountDue"].as_f64().unwrap_or_default();
    let amount = given.get("amount").and_then(Value::as_f64).unwrap_or(due);
    if invoice["status"] == "void" || amount <= 0.0 || amount > due {
        return Err(bad("The payment does not fit the invoice"));
    }
    let paid = invoice["amountPaid"].as_f64().unwrap_or_default() + amount;
    invoice["amountPaid"] = plain(paid);
    invoice["status"] = if due - amount < 0.005 { "paid".into() } else { "partially_paid".into() };
    let invoice = inner.write_invoice(&mut invoice, Map::new());
    ok(json!({ "success": true, "invoice": invoice }))
}
