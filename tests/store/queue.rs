//! The retry queue, against a server that says what SQS would.

use crate::{http, sample};
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use certbridge_store::SqsRetryQueue;
use certbridge_sync::{StoreError, ports::RetryQueue, row::Pointer};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// A queue that gives each batch this answer, and what it is sent.
async fn queue(status: u16, body: Value) -> (SqsRetryQueue, Arc<Mutex<Vec<Value>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let endpoint = http::serve({
        let seen = Arc::clone(&seen);
        move |request| {
            seen.lock().unwrap().push(serde_json::from_slice(&request.body).unwrap());
            let answer = http::answer(status, &body.to_string());
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
    (SqsRetryQueue::new(aws_sdk_sqs::Client::from_conf(config), "http://queue/retry"), seen)
}

fn pointers(delays: &[Duration]) -> Vec<(Pointer, Duration)> {
    delays.iter().map(|delay| (Pointer::Event(sample::event_key("e")), *delay)).collect()
}

#[tokio::test]
async fn pointers_go_in_batches_of_ten() {
    let (queue, seen) = queue(200, json!({"Successful": [], "Failed": []})).await;
    queue.send(&pointers(&[Duration::ZERO; 23])).await.unwrap();
    let sizes: Vec<_> = seen.lock().unwrap().iter().map(|batch| batch["Entries"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [10, 10, 3]);
    queue.send(&[]).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 3, "nothing is sent for nothing");
}

#[tokio::test]
async fn delays_are_rounded_up_and_cut_to_what_the_queue_can_hold() {
    let (queue, seen) = queue(200, json!({"Successful": [], "Failed": []})).await;
    let delays = [0, 1, 1000, 1001, 899_001, 900_001, 86_400_000].map(Duration::from_millis);
    queue.send(&pointers(&delays)).await.unwrap();
    let batch = seen.lock().unwrap()[0].clone();
    let sent: Vec<_> = batch["Entries"].as_array().unwrap().iter().map(|entry| &entry["DelaySeconds"]).collect();
    assert_eq!(sent, [0, 1, 1, 2, 900, 900, 900]);
    assert_eq!(batch["QueueUrl"], "http://queue/retry");
}

#[tokio::test]
async fn a_message_is_the_pointer_and_no_more() {
    let (queue, seen) = queue(200, json!({"Successful": [], "Failed": []})).await;
    let pointers =
        [Pointer::Event(sample::event_key("e")), Pointer::Assert { record: sample::record_key("10"), attempt: 3 }];
    queue.send(&pointers.clone().map(|pointer| (pointer, Duration::ZERO))).await.unwrap();
    let batch = seen.lock().unwrap()[0].clone();
    let bodies = batch["Entries"].as_array().unwrap().iter().map(|entry| entry["MessageBody"].as_str().unwrap());
    let bodies: Vec<_> = bodies.map(str::to_owned).collect();
    assert_eq!(bodies[0], r#"{"event":{"source":"accredible","id":"e"}}"#);
    assert_eq!(bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect::<Vec<Pointer>>(), pointers);
}

#[tokio::test]
async fn a_batch_that_is_taken_in_part_is_a_transient_error() {
    let failed = json!({"Id": "1", "SenderFault": false, "Code": "InternalError"});
    let (queue, _) = queue(200, json!({"Successful": [], "Failed": [failed]})).await;
    let error = queue.send(&pointers(&[Duration::ZERO; 3])).await.unwrap_err();
    assert_eq!(error, StoreError::Unavailable("SendMessageBatch: 1 of 3 were not taken".into()));
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_refused_for_good() {
    let (queue, _) = queue(400, json!({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "x"})).await;
    let error = queue.send(&pointers(&[Duration::ZERO])).await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
}
