//! Deliveries by each sender's own rule.

use crate::support::Receiver;
use certbridge_sandbox::{Attempt, Courier, Rule, accredit, certifylize, seventeenhats, standard_webhooks};
use serde_json::{Value, json};
use std::time::Duration;

fn unsigned(_: &[u8], _: u32) -> Vec<(String, String)> {
    Vec::new()
}

fn told(attempts: &[Attempt]) -> Vec<(u32, Option<u16>)> {
    attempts.iter().map(|attempt| (attempt.attempt, attempt.status)).collect()
}

#[tokio::test]
async fn each_sender_tries_again_by_its_own_rule() {
    for (rule, answers, attempts) in [
        (Rule::Accredit, vec![400, 400, 200], vec![0, 1, 2]),
        (Rule::Accredit, vec![400; 9], vec![0, 1, 2, 3, 4, 5]),
        (Rule::Accredit, vec![503], vec![0]),
        (Rule::Accredit, vec![401], vec![0]),
        (Rule::AccuLynx, vec![503, 302, 400, 204], vec![1, 2, 3, 4]),
        (Rule::AccuLynx, vec![500; 9], vec![1, 2, 3, 4, 5]),
        (Rule::Certifylize, vec![429, 200], vec![1, 2]),
        (Rule::StandardWebhooks, vec![500; 19], (1..=10).collect()),
        (Rule::StandardWebhooks, vec![301, 202], vec![1, 2]),
        (Rule::HighLevel, vec![429; 9], (1..=7).collect()),
        (Rule::HighLevel, vec![503], vec![1]),
        (Rule::Zapier, vec![503], vec![1]),
        (Rule::Zapier, vec![], vec![1]),
    ] {
        let receiver = Receiver::start(&answers, None).await;
        let sent = Courier::new(&receiver.url, rule, unsigned).deliver(&["{}"]).await;
        let told: Vec<_> = sent.iter().map(|attempt| attempt.attempt).collect();
        assert_eq!(told, attempts, "{rule:?} {answers:?}");
        assert_eq!(receiver.received().len(), attempts.len());
    }
}

#[tokio::test]
async fn an_attempt_says_which_it_is() {
    let receiver = Receiver::start(&[400, 200], None).await;
    let courier = Courier::new(&receiver.url, Rule::Accredit, |_, attempt| {
        vec![("X-Signature".to_owned(), format!("signature-{attempt}"))]
    });
    courier.deliver(&["{}", "{}"]).await;
    let received = receiver.received();
    let header = |name: &str| received.iter().map(|received| received.header(name)).collect::<Vec<_>>();
    // The second is sent before the first is tried again.
    assert_eq!(header("X-JobAttempt"), ["0", "0", "1"]);
    assert_eq!(header("X-Signature"), ["signature-0", "signature-0", "signature-1"]);
    let jobs = header("X-JobId");
    assert!(jobs[0] == jobs[2] && jobs[0] != jobs[1]);
    courier.deliver(&["{}"]).await;
    assert!(!jobs.contains(&receiver.received()[3].header("X-JobId")));
}

#[tokio::test]
async fn gone_is_the_end_of_all_and_a_wait_is_kept() {
    let receiver = Receiver::start(&[200, 410], None).await;
    let courier = Courier::new(&receiver.url, Rule::StandardWebhooks, unsigned);
    assert_eq!(told(&courier.deliver(&["1", "2", "3"]).await), [(1, Some(200)), (1, Some(410))]);
    let receiver = Receiver::start(&[429, 429], Some("100")).await;
    let due = async |rule| {
        let sent = Courier::new(&receiver.url, rule, unsigned).deliver(&["{}"]).await;
        sent.iter().map(|attempt| attempt.due.as_secs()).collect::<Vec<_>>()
    };
    assert_eq!(due(Rule::StandardWebhooks).await, [0, 100, 400]);
    let receiver = Receiver::start(&[429], Some("100")).await;
    let sent = Courier::new(&receiver.url, Rule::Certifylize, unsigned).deliver(&["{}"]).await;
    assert_eq!(sent[1].due, Duration::from_secs(10));
}

#[tokio::test]
async fn nobody_there_is_no_answer() {
    let receiver = Receiver::start(&[], None).await;
    let url = receiver.url.clone();
    drop(receiver);
    tokio::task::yield_now().await;
    assert_eq!(told(&Courier::new(&url, Rule::Accredit, unsigned).deliver(&["{}"]).await), [(0, None)]);
    assert_eq!(Courier::new(&url, Rule::AccuLynx, unsigned).deliver(&["{}"]).await.len(), 5);
}

#[tokio::test]
async fn seeds_duplicate_and_reorder_alike_each_time() {
    let bodies: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let sent = async |seed: u64| {
        let receiver = Receiver::start(&[], None).await;
        let courier = Courier::new(&receiver.url, Rule::Accredit, unsigned).duplicated(seed).reordered(seed);
        let attempts = courier.deliver(&bodies).await;
        let jobs = receiver.received().iter().map(|received| received.header("X-JobId").to_owned()).collect::<Vec<_>>();
        (attempts, jobs)
    };
    let (attempts, jobs) = sent(7).await;
    assert_eq!((&attempts, &jobs), (&sent(7).await.0, &sent(7).await.1));
    assert_ne!(attempts, sent(8).await.0);
    let order: Vec<_> = attempts.iter().map(|attempt| attempt.body).collect();
    assert!(!order.is_sorted() && (0..20).all(|body| order.contains(&body)));
    let duplicates = attempts.iter().filter(|attempt| attempt.duplicate).count();
    assert!(duplicates > 0 && order.len() == 20 + duplicates);
    let distinct: std::collections::BTreeSet<_> = jobs.iter().collect();
    assert_eq!(distinct.len(), 20);
}

#[tokio::test]
async fn a_body_is_carried_as_it_was_signed() {
    let receiver = Receiver::start(&[], None).await;
    let body = certifylize::event("evt_1", "edu.credential.updated", "2026-01-31T10:00:00Z", None).to_string();
    let sign = |body: &[u8], _| certifylize::sign("secret", "1", body);
    Courier::new(&receiver.url, Rule::Certifylize, sign).deliver(&[&body]).await;
    let received = &receiver.received()[0];
    assert_eq!(received.header("x-certifylize-event-type"), "edu.credential.updated");
    assert_eq!(received.header("x-certifylize-signature"), sign(body.as_bytes(), 1)[1].1);
    assert_eq!(received.body, body);
}

#[test]
fn bodies_are_as_documented() {
    let at = "2026-01-31T10:00:00Z";
    for (body, wanted) in [
        (
            seventeenhats::customer(at, "c1", "a@x.org", "A", "B"),
            json!({ "type": "customer.created", "time": at, "customer_id": "c1", "email": "a@x.org", "first_name": "A",
                "last_name": "B" }),
        ),
        (
            seventeenhats::location(at, "l1", "London", "1 High Street", "GB"),
            json!({ "type": "location.created", "time": at, "location_id": "l1", "name": "London",
                "address": "1 High Street", "country": "GB" }),
        ),
        (
            seventeenhats::invoice(at, "i1", "c1", "120.50"),
            json!({ "type": "invoice.created", "time": at, "invoice_id": "i1", "customer_id": "c1", "total": "120.50",
                "currency": "USD", "status": "sent" }),
        ),
        (
            accredit::badge_export(at, "b1"),
            json!({ "Event": "BadgeExportZipFile.Created", "Timestamp": at, "BadgeExportZipFileId": "b1" }),
        ),
        (
            certifylize::event("evt_1", "edu.credential.issued", at, Some(&json!({ "id": "1" }))),
            json!({ "id": "evt_1", "type": "edu.credential.issued", "createdAt": at, "data": { "id": "1" } }),
        ),
    ] {
        assert_eq!(body, wanted);
    }
    for (body, kind) in [
        (standard_webhooks::certificate(at, "1", "loc"), "certificate"),
        (standard_webhooks::location(at, "1"), "location"),
        (standard_webhooks::customer(at, "1"), "customer"),
        (standard_webhooks::invoice(at, "1", "2"), "invoice"),
    ] {
        assert_eq!((&body["data"][format!("{kind}_id")], &body["timestamp"]), (&json!("1"), &json!(at)));
        assert!(body["type"].as_str().is_some_and(|text| text.starts_with(kind)) && body["data"] != Value::Null);
    }
}
