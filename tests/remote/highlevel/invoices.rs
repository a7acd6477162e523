//! Invoices: real ones, records, and what their status asks for.

use super::{LONDON, World, api_with, certificate, push, request, rules, with};
use crate::support::{PATIENT, failed};
use certbridge_mapping::{
    Kind,
    highlevel::{HighLevelRules, SendRules},
};
use certbridge_sandbox::Fault;
use certbridge_sync::{
    error::{Effect, RemoteClass},
    ports::Destination,
};
use serde_json::{Value, json};

const INVOICES: &str = "custom_objects.invoices";

fn customer() -> Value {
    json!({ "customer_id": "7", "first_name": "Jo", "last_name": "Ng", "email": "jo@ng.org", "phone": "+441" })
}

fn invoice(status: &str) -> Value {
    json!({
        "invoice_id": "i-1", "total": "199.90", "currency": "USD", "status": status, "title": "Roof", "number": "1001",
        "customer_id": "7", "issue_date": "2026-03-01", "due_date": "2026-03-31",
    })
}

async fn world() -> World<certbridge_sync::memory::MemoryStore> {
    let world = World::new().await;
    world.push(Kind::Customer, &customer()).await.unwrap();
    world.server.server().clear_requests();
    world
}

#[tokio::test]
async fn an_invoice_of_a_known_customer_is_a_real_one() {
    let world = world().await;
    world.push(Kind::Invoice, &invoice("draft")).await.unwrap();
    let invoices = world.server.invoices();
    let (made, contact) = (&invoices[0], &world.server.contacts()[0]);
    assert_eq!((&made["name"], &made["altId"]), (&json!("Roof [i-1]"), &json!(LONDON)));
    assert_eq!(
        made["contactDetails"],
        json!({ "id": contact["id"], "name": "Jo Ng", "phoneNo": "+441", "email": "jo@ng.org" })
    );
    assert_eq!(made["invoiceItems"], json!([{ "name": "Roof", "currency": "USD", "amount": 199.9, "qty": 1 }]));
    assert_eq!((&made["issueDate"], &made["dueDate"]), (&json!("2026-03-01"), &json!("2026-03-31")));
    assert_eq!((&made["liveMode"], &made["status"], &made["total"]), (&json!(false), &json!("draft"), &json!(199.9)));
    assert_eq!((&made["sentTo"], &made["invoiceNumber"]), (&json!({ "email": ["jo@ng.org"] }), &json!("1001")));
    world.push(Kind::Invoice, &with(&invoice("draft"), json!({ "total": "250.00" }))).await.unwrap();
    let invoices = world.server.invoices();
    assert_eq!((invoices.len(), &invoices[0]["total"]), (1, &json!(250)));
    assert!(world.server.records(INVOICES).is_empty());
}

#[tokio::test]
async fn the_status_is_brought_about_once() {
    for (status, wanted, verb) in
        [("paid", "paid", "record-payment"), ("void", "void", "void"), ("deleted", "void", "void")]
    {
        let world = world().await;
        for _ in 0..3 {
            world.push(Kind::Invoice, &invoice(status)).await.unwrap();
        }
        let invoices = world.server.invoices();
        assert_eq!((invoices.len(), &invoices[0]["status"]), (1, &json!(wanted)), "{status}");
        let acts = world.requests().iter().filter(|request| request.ends_with(verb)).count();
        assert_eq!(acts, 1, "{status}");
        assert!(world.requests().iter().all(|request| !request.starts_with("DELETE")));
    }
}

#[tokio::test]
async fn a_payment_whose_answer_is_lost_is_not_made_twice() {
    let world = world().await;
    world.push(Kind::Invoice, &invoice("sent")).await.unwrap();
    let path = format!("/invoices/{}/record-payment", world.server.invoices()[0]["_id"].as_str().unwrap());
    world.server.server().add_fault(Fault::AnswerLost.once().on("POST", &path));
    let error = failed(world.push(Kind::Invoice, &invoice("paid")).await, RemoteClass::Unanswered);
    assert_eq!(error.effect(), Effect::PossibleLater);
    world.push(Kind::Invoice, &invoice("paid")).await.unwrap();
    let invoice = &world.server.invoices()[0];
    assert_eq!((&invoice["amountPaid"], &invoice["amountDue"]), (&json!(199.9), &json!(0)));
}

#[tokio::test]
async fn an_invoice_whose_making_broke_off_is_made_once() {
    for fault in [Fault::AnswerLost, Fault::Cut, Fault::WrongBody] {
        let world = world().await;
        world.server.server().add_fault(fault.clone().once().on("POST", "/invoices/"));
        assert!(world.push(Kind::Invoice, &invoice("draft")).await.is_err(), "{fault:?}");
        world.clock.advance(61);
        world.push(Kind::Invoice, &invoice("draft")).await.unwrap();
        assert_eq!(world.server.invoices().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn what_is_paid_is_not_changed() {
    let world = world().await;
    world.push(Kind::Invoice, &invoice("paid")).await.unwrap();
    let other = with(&invoice("paid"), json!({ "total": "1.00" }));
    let error = failed(world.push(Kind::Invoice, &other).await, RemoteClass::Rejected);
    assert_eq!(error.message, "the invoice is paid there, and comes to something else");
    assert_eq!(error.effect(), Effect::None);
}

#[tokio::test]
async fn none_is_sent_unless_it_is_wished() {
    let world = world().await;
    world.push(Kind::Invoice, &invoice("sent")).await.unwrap();
    assert_eq!(world.server.invoices()[0]["status"], "draft");
    let mut wishes: HighLevelRules = rules().clone();
    wishes.invoice.send = Some(SendRules { user_id: "u".into(), action: "send_manually".into() });
    let (url, store) = (world.server.url(), world.store.clone());
    let api = api_with(&url, store, world.keys.clone(), &world.clock, "other", &wishes);
    for _ in 0..2 {
        push(&api, Kind::Invoice, &invoice("sent")).await.unwrap();
    }
    assert_eq!(world.server.invoices()[0]["status"], "sent");
    let sends = world.requests().iter().filter(|request| request.ends_with("/send")).count();
    assert_eq!(sends, 1);
}

#[tokio::test]
async fn an_address_makes_a_contact_and_a_record_is_what_cannot_be_one() {
    let world = World::new().await;
    let unknown = with(&invoice("sent"), json!({ "customer_id": "8" }));
    world.push(Kind::Invoice, &unknown).await.unwrap();
    let records = world.server.records(INVOICES);
    assert_eq!((records.len(), &records[0]["properties"]["total"]), (1, &json!("199.90")));
    assert_eq!(records[0]["properties"]["status"], "sent");
    // Once it is a record, it stays one.
    world.push(Kind::Customer, &with(&customer(), json!({ "customer_id": "8" }))).await.unwrap();
    world.push(Kind::Invoice, &with(&unknown, json!({ "status": "paid" }))).await.unwrap();
    assert!(world.server.invoices().is_empty());
    assert_eq!(world.server.records(INVOICES)[0]["properties"]["status"], "paid");

    // Somebody without a telephone number, whom an invoice cannot be for, unless one is declared for such.
    let by_address = json!({
        "invoice_id": "i-2", "total": "5.00", "currency": "EUR", "status": "draft", "issue_date": "2026-03-01",
        "customer_email": "al@example.com", "customer_name": "Al",
    });
    world.push(Kind::Invoice, &by_address).await.unwrap();
    assert_eq!((world.server.records(INVOICES).len(), world.server.contacts().len()), (2, 2));
    let mut wishes: HighLevelRules = rules().clone();
    wishes.invoice.phone = Some("+1".into());
    let (url, store) = (world.server.url(), world.store.clone());
    let api = api_with(&url, store, world.keys.clone(), &world.clock, "other", &wishes);
    push(&api, Kind::Invoice, &with(&by_address, json!({ "invoice_id": "i-3" }))).await.unwrap();
    let invoices = world.server.invoices();
    assert_eq!((invoices.len(), &invoices[0]["contactDetails"]["phoneNo"]), (1, &json!("+1")));
    assert_eq!(invoices[0]["name"], "Invoice [i-3]");
}

#[tokio::test]
async fn all_are_records_if_the_path_says_so() {
    let world = world().await;
    let (key, mut request) = request(Kind::Invoice, &invoice("draft"));
    request.path = "/objects/custom_objects.invoices/records".to_owned();
    world.api.push(&key, &request, "", PATIENT).await.unwrap();
    assert_eq!((world.server.records(INVOICES).len(), world.server.invoices().len()), (1, 0));
}

#[tokio::test]
async fn a_customer_whose_contact_was_removed_is_known_by_the_address() {
    let world = world().await;
    world.server.remove("contacts", world.server.contacts()[0]["id"].as_str().unwrap());
    world.push(Kind::Certificate, &certificate("1")).await.unwrap();
    let fields = with(&invoice("draft"), json!({ "customer_email": "jor@dan.org" }));
    world.push(Kind::Invoice, &fields).await.unwrap();
    assert_eq!(world.server.contacts().len(), 1);
    assert_eq!(world.server.records(INVOICES).len(), 1, "it has no telephone number");
}
