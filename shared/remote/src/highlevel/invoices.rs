//! Invoices: real ones, if the contact is known and has what an invoice needs; else records.
//!
//! An invoice has no place for our id but its name, by which it is found again. Its status cannot be written: it follows
//! from what is done with it, so what is still to be done is seen by how it stands.

use super::{
    HighLevel, Work,
    api::{Ask, Group},
    contacts::{self, Contact},
    lock,
    ours::{NEVER, Thing},
};
use certbridge_mapping::{
    Kind, RecordKey,
    destination::escape_segment,
    highlevel::{INVOICES_PATH, InvoiceRules, ObjectRules},
};
use certbridge_sync::{
    error::{RemoteClass, RemoteError},
    grants::Grants,
    ids::{DestinationId, IdMap},
    ports::DestinationKeys,
};
use reqwest::StatusCode;
use serde_json::{Map, Number, Value, json};
use std::sync::Mutex;

const READ: &str = "invoices.readonly";
const WRITE: &str = "invoices.write";

/// How many invoices a search for one may show.
const FOUND: u32 = 20;
/// As far as a double is exact.
const MAX_DIGITS: usize = 15;

/// What an invoice is told as.
enum Form {
    Real(Option<Contact>),
    Record,
}

/// An invoice, as a thing of ours.
struct TheInvoice<'a, K, S> {
    api: &'a HighLevel<K, S>,
    work: &'a Work<'a>,
    rules: &'a InvoiceRules,
    contact: Option<&'a Contact>,
    amount: &'a Number,
    /// How it stands, once that is known.
    standing: Mutex<Option<Standing>>,
}

impl<K: DestinationKeys, S: IdMap + Grants> Thing for TheInvoice<'_, K, S> {
    async fn change(&self, id: &str) -> Result<bool, RemoteError> {
        let Self { api, work, rules, amount, .. } = self;
        let Some(before) = api.standing(work, id).await? else { return Ok(false) };
        // What is over is not rewritten first.
        let is_over = matches!(work.text("status"), Some("void" | "deleted")) || before.is("void");
        let after = if is_over { before } else { api.change_invoice(work, rules, id, amount, before).await? };
        *lock(&self.standing) = Some(after);
        Ok(true)
    }

    async fn find(&self) -> Result<Option<String>, RemoteError> {
        self.api.find_invoice(self.work).await
    }

    async fn make(&self) -> Result<String, RemoteError> {
        let Self { api, work, rules, amount, .. } = self;
        let gone = || api.error(RemoteClass::Rejected, "the invoice was removed there, and is not made again");
        let body = api.invoice(work, rules, amount, self.contact.ok_or_else(gone)?);
        let answer = api.step(work, Ask::write("POST", Group::Invoices, WRITE, INVOICES_PATH, &body)).await?;
        *lock(&self.standing) = Standing::of(&answer);
        api.id_at(&answer, &["/_id"])
    }
}

/// How an invoice stands there.
struct Standing {
    status: String,
    due: Number,
    total: Number,
}

impl Standing {
    fn of(invoice: &Value) -> Option<Self> {
        let number = |name: &str| invoice[name].as_number().cloned();
        Some(Self {
            status: invoice["status"].as_str()?.to_owned(),
            due: number("amountDue").or_else(|| number("total"))?,
            total: number("total")?,
        })
    }

    fn is(&self, status: &str) -> bool {
        self.status == status
    }
}

impl<K: DestinationKeys, S: IdMap + Grants> HighLevel<K, S> {
    /// An invoice, and then what its status asks for.
    pub(super) async fn tell_invoice(&self, work: &Work<'_>) -> Result<(), RemoteError> {
        let defined = self.defined();
        let (rules, object) = (&defined.rules.invoice, defined.rules.records.get(&Kind::Invoice));
        match self.form_of(work, rules).await? {
            Form::Real(contact) => self.tell_real(work, rules, contact.as_ref()).await,
            Form::Record => {
                let object = object.ok_or_else(|| self.error(RemoteClass::Misrouted, "no object for invoices"))?;
                self.tell_as_record(work, object).await
            }
        }
    }

    async fn tell_as_record(&self, work: &Work<'_>, object: &ObjectRules) -> Result<(), RemoteError> {
        self.upsert_record(work, object).await?;
        self.leave_others(work, object).await
    }

    /// What it is told as: what it was told as before, else a real one if all that one needs is there.
    async fn form_of(&self, work: &Work<'_>, rules: &InvoiceRules) -> Result<Form, RemoteError> {
        let known = |what: &str| work.ids.get(&work.role(what)).and_then(DestinationId::known);
        if known("invoice").is_some() {
            return Ok(Form::Real(None));
        }
        if known("record").is_some() {
            return Ok(Form::Record);
        }
        // One that was begun as a real one may be there.
        let begun = work.ids.get(&work.role("invoice")).is_some_and(|id| *id != DestinationId::Begun { at: NEVER });
        let otherwise = || if begun { Form::Real(None) } else { Form::Record };
        let Some(contact) = self.contact_of(work).await? else { return Ok(otherwise()) };
        let contact = Contact {
            name: contact.name.or_else(|| work.text("customer_name").map(str::to_owned)),
            email: contact.email.or_else(|| work.text("customer_email").map(str::to_owned)),
            phone: contact.phone.or_else(|| rules.phone.clone()),
            ..contact
        };
        let whole = contact.name.is_some() && contact.email.is_some() && contact.phone.is_some();
        let dated = work.text("issue_date").or_else(|| work.text("due_date")).is_some();
        Ok(if whole && dated { Form::Real(Some(contact)) } else { otherwise() })
    }

    /// The contact whom it is for: the customer that we told of, or whoever has the e-mail address.
    async fn contact_of(&self, work: &Work<'_>) -> Result<Option<Contact>, RemoteError> {
        if let Some(id) = work.text("customer_id").and_then(|id| id.parse().ok()) {
            let customer = RecordKey { kind: Kind::Customer, source: work.key.source.clone(), id };
            let ids = self.store.ids(&customer).await.map_err(|error| self.of_store(&error))?;
            if let Some(id) = ids.get(&work.role("contact")).and_then(DestinationId::known) {
                let path = format!("/contacts/{}", escape_segment(id));
                let ask = Ask::get(Group::Contacts, contacts::READ, &path);
                let answer = self.ask(work.at(), ask).await?;
                match answer.status {
                    // It was removed, or merged: the e-mail address may tell.
                    StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => {}
                    status if status.is_success() => {
                        let told = serde_json::from_slice(&answer.body).unwrap_or_default();
                        return self.contact(&told).map(Some);
                    }
                    _ => return Err(self.refusal(ask, &answer)),
                }
            }
        }
        match work.text("customer_email") {
            Some(email) => self.upsert_person(work, email, work.text("customer_name")).await.map(Some),
            None => Ok(None),
        }
    }

    async fn tell_real(
        &self,
        work: &Work<'_>,
        rules: &InvoiceRules,
        contact: Option<&Contact>,
    ) -> Result<(), RemoteError> {
        let amount = self.amount(work)?;
        let invoice = TheInvoice { api: self, work, rules, contact, amount: &amount, standing: Mutex::default() };
        let id = self.ours(work, &work.role("invoice"), &invoice).await?;
        let standing = lock(&invoice.standing).take();
        let unclear = || self.error(RemoteClass::Unusable, "an invoice that does not tell how it stands");
        self.act(work, rules, id.id(), &standing.ok_or_else(unclear)?).await
    }

    /// Does what the status asks for and was not done yet. That it is repeated after a crash is what looking first is for:
    /// a payment would count twice.
    async fn act(
        &self,
        work: &Work<'_>,
        rules: &InvoiceRules,
        id: &str,
        standing: &Standing,
    ) -> Result<(), RemoteError> {
        let of = json!({ "altId": work.location, "altType": "location" });
        let act = async |verb: &str, members: Value| {
            let mut body = of.clone();
            if let (Value::Object(body), Value::Object(members)) = (&mut body, members) {
                body.extend(members);
            }
            let path = format!("/invoices/{}/{verb}", escape_segment(id));
            self.step(work, Ask::write("POST", Group::Invoices, WRITE, &path, &body)).await.map(drop)
        };
        match work.text("status") {
            Some("void" | "deleted") if !standing.is("void") => act("void", json!({})).await,
            Some("paid") if !standing.is("paid") && standing.due.as_f64().is_some_and(|due| due > 0.0) => {
                // The contract wants a card and a cheque of every payment.
                let payment = json!({
                    "mode": rules.payment_mode,
                    "card": { "brand": "", "last4": "" },
                    "cheque": { "number": "" },
                    "notes": "Paid at the source, as Certbridge was told.",
                    "amount": standing.due,
                });
                act("record-payment", payment).await
            }
            Some("sent" | "overdue" | "partially_paid") if standing.is("draft") => match &rules.send {
                Some(send) => {
                    let members = json!({ "userId": send.user_id, "action": send.action, "liveMode": rules.live_mode });
                    act("send", members).await
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// How an invoice stands; `None` if there is none any more.
    async fn standing(&self, work: &Work<'_>, id: &str) -> Result<Option<Standing>, RemoteError> {
        let location = escape_segment(work.location);
        let path = format!("/invoices/{}?altId={location}&altType=location", escape_segment(id));
        let ask = Ask::get(Group::Invoices, READ, &path);
        let answer = self.ask(work.at(), ask).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => Ok(None),
            status if status.is_success() => {
                let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                let unclear = || self.error(RemoteClass::Unusable, "an invoice that does not tell how it stands");
                Standing::of(&told).map(Some).ok_or_else(unclear)
            }
            _ => Err(self.refusal(ask, &answer)),
        }
    }

    /// Changes an invoice that can still be changed. One that is paid is as it is.
    async fn change_invoice(
        &self,
        work: &Work<'_>,
        rules: &InvoiceRules,
        id: &str,
        amount: &Number,
        before: Standing,
    ) -> Result<Standing, RemoteError> {
        if !["draft", "sent", "partially_paid"].iter().any(|status| before.is(status)) {
            if before.total.as_f64() == amount.as_f64() {
                return Ok(before);
            }
            let what = format!("the invoice is {} there, and comes to something else", before.status);
            return Err(self.error(RemoteClass::Rejected, what));
        }
        let mut body = self.common(work, rules);
        body["invoiceItems"] = self.items(work, rules, amount);
        body["dueDate"] = json!(due_date(work));
        let path = format!("/invoices/{}", escape_segment(id));
        let answer = self.step(work, Ask::write("PUT", Group::Invoices, WRITE, &path, &body)).await?;
        Ok(Standing::of(&answer).unwrap_or(before))
    }

    /// The invoice that bears our id in its name, if the search shows one.
    async fn find_invoice(&self, work: &Work<'_>) -> Result<Option<String>, RemoteError> {
        let (location, mark) = (escape_segment(work.location), mark(work));
        let search = escape_segment(work.own_id());
        let path = format!("/invoices/?altId={location}&altType=location&limit={FOUND}&offset=0&search={search}");
        let told = self.wanted(work.at(), Ask::get(Group::Invoices, READ, &path)).await?;
        let listed = told["invoices"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_ours = |invoice: &&Value| invoice["name"].as_str().is_some_and(|name| name.ends_with(&mark));
        listed.iter().find(is_ours).map(|invoice| self.id_at(invoice, &["/_id"])).transpose()
    }

    /// What a new invoice says, and a changed one too.
    fn common(&self, work: &Work<'_>, rules: &InvoiceRules) -> Value {
        let issued = work.text("issue_date").or_else(|| work.text("due_date"));
        json!({
            "altId": work.location,
            "altType": "location",
            "name": format!("{} {}", title(work, rules), mark(work)),
            "currency": work.text("currency"),
            "issueDate": issued,
        })
    }

    fn items(&self, work: &Work<'_>, rules: &InvoiceRules, amount: &Number) -> Value {
        json!([{ "name": title(work, rules), "currency": work.text("currency"), "amount": amount, "qty": 1 }])
    }

    fn invoice(&self, work: &Work<'_>, rules: &InvoiceRules, amount: &Number, contact: &Contact) -> Value {
        let mut body = self.common(work, rules);
        let members: Map<String, Value> = Map::from_iter([
            ("items".to_owned(), self.items(work, rules, amount)),
            ("businessDetails".to_owned(), Value::Object(rules.business.clone())),
            ("discount".to_owned(), json!({ "value": 0, "type": "fixed" })),
            (
                "contactDetails".to_owned(),
                json!({ "id": contact.id, "name": contact.name, "phoneNo": contact.phone, "email": contact.email }),
            ),
            ("dueDate".to_owned(), json!(due_date(work))),
            ("sentTo".to_owned(), json!({ "email": [contact.email] })),
            ("liveMode".to_owned(), json!(rules.live_mode)),
        ]);
        if let Value::Object(body) = &mut body {
            body.extend(members);
            if let Some(number) = work.text("number") {
                body.insert("invoiceNumber".to_owned(), number.into());
            }
        }
        body
    }

    /// The sum, as the JSON number that the API wants.
    fn amount(&self, work: &Work<'_>) -> Result<Number, RemoteError> {
        let text = work.text("total").unwrap_or_default();
        let exact = text.bytes().filter(u8::is_ascii_digit).count() <= MAX_DIGITS;
        let number = text.parse::<f64>().ok().filter(|_| exact).and_then(Number::from_f64);
        number.ok_or_else(|| self.error(RemoteClass::Rejected, "a total that no JSON number holds exactly"))
    }
}

fn title<'a>(work: &'a Work<'_>, rules: &'a InvoiceRules) -> &'a str {
    work.text("title").unwrap_or(&rules.item)
}

/// What an invoice's name ends with.
fn mark(work: &Work<'_>) -> String {
    format!("[{}]", work.own_id())
}

fn due_date<'a>(work: &'a Work<'_>) -> Option<&'a str> {
    work.text("due_date").or_else(|| work.text("issue_date"))
}
