//! AccuLynx: all of its topics, and what a delivery that anybody may have made cannot bring about.

use super::ground::{Ground, Sender};
use crate::breaker::KEY;
use certbridge_mapping::{Kind, Operation};
use certbridge_sandbox::{self as sandbox, AccuLynx, acculynx};
use certbridge_sync::row::InboxState;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{io::ErrorKind, net::TcpListener};

const AT: &str = "2026-05-26T14:23:55.4999782Z";
const OURS: &str = "6541d9e1-12c1-45b8-b5bd-5ffa8849a4b8";
const CONTACT: &str = "eadaaa11-1276-4166-bb93-db02f46b39a2";
const JOB: &str = "e591bf22-9828-4144-bca8-42cbb8c6e2c0";
const INVOICE: &str = "0d7c2a6c-0c55-4f07-9b5e-6ad0f0d4f3a1";

/// What an event of a topic does to which record.
type Means = (Kind, Operation, &'static str);

/// What each topic is for us; nothing, if it is acknowledged.
const TOPICS: &[(&str, Option<Means>)] = &[
    ("contact_added", Some((Kind::Customer, Operation::Created, CONTACT))),
    ("contact_changed", Some((Kind::Customer, Operation::Updated, CONTACT))),
    ("contact.custom-field.status_changed", None),
    ("contact.custom-field.value_changed", None),
    ("job_created", Some((Kind::Location, Operation::Created, JOB))),
    ("job_updated", Some((Kind::Location, Operation::Updated, JOB))),
    ("job.accounting.integration-status.current_changed", None),
    ("job.appointments.initial_created", None),
    ("job.appointments.initial_updated", None),
    ("job.category_changed", None),
    ("job.contacts.primary_changed", Some((Kind::Location, Operation::Updated, JOB))),
    ("job.custom-field.status_changed", None),
    ("job.custom-field.value_changed", None),
    ("job.financials.approved-value_changed", None),
    ("job.invoice_updated", Some((Kind::Invoice, Operation::Updated, INVOICE))),
    ("job.invoice_voided", Some((Kind::Invoice, Operation::Revoked, INVOICE))),
    ("job.milestone.current_changed", None),
    ("job.milestone.status.current_changed", None),
    ("job.representatives.company_assigned", None),
    ("job.representatives.company_changed", None),
    ("job.trade-type_changed", None),
    ("job.work-type_changed", None),
    // Names that its documentation has beside them, and one that it may have tomorrow.
    ("job-milestone-changed", None),
    ("job.primary.contact_changed", None),
    ("job.financials.approvedValue_changed", None),
    ("job.weather_changed", None),
];

/// What a delivery of this topic says of whom.
fn inner(topic: &str) -> Value {
    match topic {
        // These leave out whose field it is.
        "contact.custom-field.status_changed" | "job.custom-field.status_changed" => {
            json!({"customField": {"id": "5d0f", "status": "Disabled"}})
        }
        topic if topic.starts_with("contact") => acculynx::contact_event(CONTACT, AT.parse().unwrap()),
        topic if topic.starts_with("job.invoice") => acculynx::invoice_event(INVOICE, JOB),
        _ => acculynx::job_event(&json!({"id": JOB, "jobName": "10: John Smith"})),
    }
}

fn event(topic: &str, event_id: &str, subscription: &str) -> Value {
    let at: Timestamp = AT.parse().unwrap();
    let event = acculynx::event(topic, event_id, subscription, at, &inner(topic));
    assert_eq!(event["eventDateTime"], AT, "seven digits");
    event
}

/// AccuLynx with one record of each kind, and a bundle that lists one subscription.
async fn start() -> (AccuLynx, Ground, Sender) {
    let options = sandbox::Options { api_key: KEY.to_owned(), ..sandbox::Options::default() };
    let acculynx = AccuLynx::start(options).await.unwrap();
    acculynx.put_contact(CONTACT, &json!({}));
    acculynx.put_job(JOB, &json!({}));
    acculynx.put_invoice(INVOICE, &json!({"totalPrice": 1234.56}));
    let ground = Ground::start([("ACCULYNX_URL", acculynx.url())]).await;
    let sender = ground.sender("acculynx");
    ground.secrets.set("acculynx", json!({"signing": [sender.signing()], "subscriptions": ["another", OURS]}));
    (acculynx, ground, sender)
}

#[tokio::test]
async fn every_topic_is_taken_in_either_case() {
    for topic in acculynx::TOPICS {
        assert!(TOPICS.iter().any(|(name, _)| name == topic), "{topic}");
    }
    let (_acculynx, ground, sender) = start().await;
    for (number, (topic, means)) in TOPICS.iter().enumerate() {
        let body = event(topic, &format!("e-{number}"), OURS);
        for (case, body) in [("camel", body.clone()), ("pascal", acculynx::pascal(&body))] {
            // One event has one id, in whatever case it is told.
            let body: Value = serde_json::from_str(&body.to_string().replace("\"e-", &format!("\"{case}-"))).unwrap();
            let (status, answer) = ground.post(&sender.event(body.to_string(), ground.now())).await;
            let Some((kind, operation, id)) = means else {
                assert_eq!((status, &answer["status"]), (200, &json!("ignored")), "{topic}, {case}");
                continue;
            };
            assert_eq!((status, &answer["event_id"]), (202, &json!(format!("{case}-{number}"))), "{topic}");
            let rows = ground.world.store.inbox_rows();
            let row = rows.iter().find(|row| row.key.id == format!("{case}-{number}")).unwrap();
            assert_eq!((row.state, row.reason.as_ref()), (InboxState::Pending, None), "{topic}, {case}");
            let event = row.event.as_ref().unwrap();
            assert_eq!((event.record.kind, event.operation, event.record.id.as_str()), (*kind, *operation, *id));
            assert_eq!((event.time, &event.version), (AT.parse().unwrap(), &None), "{topic}, {case}");
        }
    }
}

#[tokio::test]
async fn each_kind_of_record_arrives() {
    let (acculynx, ground, sender) = start().await;
    for topic in ["contact_added", "job_created", "job.invoice_updated"] {
        let row = ground.sync(&sender, &event(topic, topic, OURS)).await;
        assert_eq!(
            (row.state, row.attempt, row.reason.as_deref()),
            (InboxState::Settled, 0, Some("synced")),
            "{topic}"
        );
    }
    let told: Vec<_> =
        ground.world.destination.applied().into_iter().map(|applied| (applied.kind, applied.body)).collect();
    let address = "123 Main St., Apt 2";
    let wanted = [
        (
            "customer",
            json!({"customer_id": CONTACT, "email": "john@example.com", "first_name": "John", "last_name": "Smith"}),
        ),
        ("location", json!({"location_id": JOB, "name": "10: John Smith", "address": address, "country": "US"})),
        ("invoice", json!({"invoice_id": INVOICE, "total": "1234.56", "currency": "USD", "status": "sent"})),
    ];
    assert_eq!(told, wanted.map(|(kind, body)| (kind.to_owned(), body)));

    // What an event says of a state is not looked at: the API is asked.
    let row = ground.sync(&sender, &event("job.invoice_voided", "voided", OURS)).await;
    assert_eq!(row.reason.as_deref(), Some("synced"));
    assert_eq!(ground.world.destination.record("invoice", INVOICE).unwrap()["status"], "void");
    assert_eq!(acculynx.server().requests().len(), 4);
}

#[tokio::test]
async fn another_subscription_than_ours_brings_about_nothing() {
    let (acculynx, ground, sender) = start().await;
    let synced = TOPICS.iter().filter(|(_, means)| means.is_some());
    for (number, (topic, _)) in synced.enumerate() {
        let mut body = event(topic, &format!("e-{number}"), "6541d9e1-0000-0000-0000-000000000000");
        if number % 2 == 0 {
            body = acculynx::pascal(&body);
        }
        let row = ground.sync(&sender, &body).await;
        assert_eq!(row.state, InboxState::Quarantined, "{topic}");
        let reason = row.reason.unwrap();
        assert!(reason.contains("subscription: wanted one of the subscriptions that the secret lists"), "{reason}");
    }
    for without in ["subscriptionId", "eventId"] {
        let mut body = event("contact_added", "e-none", OURS);
        body.as_object_mut().unwrap().remove(without);
        assert_eq!(ground.sync(&sender, &body).await.state, InboxState::Quarantined, "{without}");
    }
    assert!(acculynx.server().requests().is_empty() && ground.world.destination.server().requests().is_empty());
}

#[tokio::test]
async fn a_link_is_never_followed() {
    let (acculynx, ground, sender) = start().await;
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let link = format!("http://{}/api/v2/contacts/{CONTACT}", trap.local_addr().unwrap());
    for (number, topic) in ["contact_added", "job_updated", "job.invoice_updated"].into_iter().enumerate() {
        let mut body = event(topic, &format!("e-{number}"), OURS);
        set_links(&mut body, &link);
        body["event"]["_link"] = link.as_str().into();
        body["_link"] = link.as_str().into();
        let row = ground.sync(&sender, &body).await;
        assert_eq!(row.reason.as_deref(), Some("synced"), "{topic}");
    }
    let asked: Vec<_> = acculynx.server().requests().into_iter().map(|request| request.path).collect();
    let contact = format!("/api/v2/contacts/{CONTACT}?includes=emailAddress,phoneNumber");
    let wanted = [contact, format!("/api/v2/jobs/{JOB}"), format!("/api/v2/invoices/{INVOICE}")];
    assert_eq!(asked, wanted);
    assert_eq!(trap.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "somebody came");
}

/// Lets every link lead there.
fn set_links(value: &mut Value, link: &str) {
    if let Value::Object(members) = value {
        for (name, member) in members {
            if name == "_link" { *member = link.into() } else { set_links(member, link) }
        }
    }
}

#[tokio::test]
async fn an_id_that_is_none_asks_for_nothing() {
    let (acculynx, ground, sender) = start().await;
    for id in ["../contacts", "a/b", "", " ", "a?b", "%2e%2e"] {
        let mut body = event("contact_added", &format!("e-{id}"), OURS);
        body["event"]["contact"]["id"] = id.into();
        assert_eq!(ground.sync(&sender, &body).await.state, InboxState::Quarantined, "{id:?}");
    }
    assert!(acculynx.server().requests().is_empty());
}
