//! What notices are made of, and the endpoints that nothing is sent to; and the queue of deliveries, through the real SDK.

use crate::{
    backend::Embedded,
    http,
    sample::{at, audit, commit, lease, record_key},
};
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use certbridge_store::SqsDeliveries;
use certbridge_sync::{
    delivery::{Deliveries, Delivery, DisabledEndpoints, LONGEST_WAIT},
    notice::Notice,
    ports::Records,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// A queue that gives each call this answer, and what it is asked.
async fn queue(body: Value) -> (SqsDeliveries, Calls) {
    let seen = Calls::default();
    let endpoint = http::serve({
        let seen = Arc::clone(&seen);
        move |request| {
            seen.lock().unwrap().push((request.operation(), serde_json::from_slice(&request.body).unwrap()));
            let answer = http::answer(200, &body.to_string());
            async move { Some(answer) }
        }
    })
    .await;
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .build();
    (SqsDeliveries::new(aws_sdk_sqs::Client::from_conf(config), "http://queue/deliveries"), seen)
}

async fn deliveries(count: usize) -> Vec<Delivery> {
    let world = Embedded::start().await;
    let claim = world.store.claim(&record_key("1"), &lease("a", 30), at(0)).await.unwrap();
    let notice = Notice::of_audit(&audit(&claim)).unwrap();
    (0..count).map(|id| Delivery { endpoint: id.to_string(), notice: notice.clone() }).collect()
}

#[tokio::test]
async fn deliveries_go_ten_in_a_call_and_come_back_as_they_were() {
    let (queue, calls) = queue(json!({"Successful": [], "Failed": []})).await;
    let sent = deliveries(12).await;
    queue.send(&sent).await.unwrap();
    let calls = std::mem::take(&mut *calls.lock().unwrap());
    let entries: Vec<&Vec<Value>> = calls.iter().map(|(_, body)| body["Entries"].as_array().unwrap()).collect();
    assert_eq!(entries.iter().map(|entries| entries.len()).collect::<Vec<_>>(), [10, 2]);
    let read = |entry: &Value| serde_json::from_str::<Delivery>(entry["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(entries.into_iter().flatten().map(read).collect::<Vec<_>>(), sent);
}

#[tokio::test]
async fn one_that_was_not_taken_fails_the_call() {
    let failed = json!([{"Id": "0", "Code": "InternalError", "SenderFault": false}]);
    let (queue, _) = queue(json!({"Successful": [], "Failed": failed})).await;
    assert!(queue.send(&deliveries(1).await).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_message_is_held_back_by_its_receipt() {
    let (queue, calls) = queue(json!({})).await;
    queue.postpone("receipt", LONGEST_WAIT).await.unwrap();
    let [(operation, body)] = std::mem::take(&mut *calls.lock().unwrap()).try_into().unwrap();
    assert_eq!(operation, "ChangeMessageVisibility");
    assert_eq!((&body["ReceiptHandle"], &body["VisibilityTimeout"]), (&json!("receipt"), &json!(43_200)));
}

#[tokio::test]
async fn endpoints_are_disabled_until_they_are_enabled() {
    let world = Embedded::start().await;
    let store = &world.store;
    assert_eq!(store.disabled().await, Ok(BTreeMap::new()));
    store.disable("a", at(1)).await.unwrap();
    store.disable("b", at(2)).await.unwrap();
    store.disable("a", at(3)).await.unwrap();
    assert_eq!(store.disabled().await, Ok(BTreeMap::from([("a".to_owned(), at(3)), ("b".to_owned(), at(2))])));
    store.enable("a").await.unwrap();
    store.enable("a").await.unwrap();
    assert_eq!(store.disabled().await, Ok(BTreeMap::from([("b".to_owned(), at(2))])));
}

#[tokio::test]
async fn pages_of_the_audit_hold_every_row_once() {
    let world = Embedded::start().await;
    let ids = ["1", "a-b", "c:d.7"];
    for id in ids {
        for _ in 0..3 {
            let claim = world.store.claim(&record_key(id), &lease("a", 30), at(0)).await.unwrap();
            world.store.commit(&commit(&claim, None, &audit(&claim), None)).await.unwrap();
        }
    }
    for limit in [1, 2, 4, 100] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = world.store.audit_page(None, cursor.as_deref(), limit).await.unwrap();
            assert!(page.items.len() <= limit);
            seen.extend(page.items.into_iter().map(|row| (row.record, row.sequence)));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let all: BTreeSet<_> = seen.iter().cloned().collect();
        let wanted = ids.iter().flat_map(|id| (1..=3).map(move |sequence| (record_key(id).to_string(), sequence)));
        assert_eq!((seen.len(), all), (9, wanted.collect()), "{limit}");
    }
}
