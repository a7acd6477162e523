//! The bus, through the real SDK, against a server that says what EventBridge would; and what becomes of a stream's batch
//! that it takes in part.

use crate::{
    rows::synced,
    server::{Asked, Reply, Server},
};
use aws_sdk_eventbridge::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use certbridge_platform::{
    Metrics, SystemRuntime,
    metrics::{Collected, NAMESPACE},
};
use certbridge_store::EventBridgeBus;
use certbridge_sync::notice::{Bus, Notice};
use notify::Notify;
use serde_json::{Value, json};

/// EventBridge, which refuses the entries that `refuses` picks; and the bus on it.
async fn bridge(refuses: impl Fn(&Value) -> bool + Send + Sync + 'static) -> (Server, EventBridgeBus) {
    let server = Server::start(move |asked| {
        let results: Vec<_> = entries(asked)
            .iter()
            .map(|entry| match refuses(&entry["Detail"]) {
                true => json!({"ErrorCode": "ThrottlingException", "ErrorMessage": "Jordan"}),
                false => json!({"EventId": "1"}),
            })
            .collect();
        let failed = results.iter().filter(|result| result["EventId"].is_null()).count();
        reply(200, &json!({"FailedEntryCount": failed, "Entries": results}))
    })
    .await;
    let bus = bus(&server);
    (server, bus)
}

fn reply(status: u16, body: &Value) -> Reply {
    (status, vec![("content-type", "application/x-amz-json-1.1".to_owned())], body.to_string())
}

fn bus(server: &Server) -> EventBridgeBus {
    let config = aws_sdk_eventbridge::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&server.url)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .build();
    EventBridgeBus::new(aws_sdk_eventbridge::Client::from_conf(config), "the-bus")
}

/// The entries of a call, each with its detail read.
fn entries(asked: &Asked) -> Vec<Value> {
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    let read = |entry: &Value| {
        let mut entry = entry.clone();
        entry["Detail"] = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        entry
    };
    body["Entries"].as_array().unwrap().iter().map(read).collect()
}

fn notices(count: u64) -> Vec<Notice> {
    (1..=count).map(|sequence| Notice::of_audit(&synced(sequence)).unwrap()).collect()
}

fn is(sequence: u64) -> impl Fn(&Value) -> bool {
    move |detail| detail["data"]["sequence"] == sequence
}

#[tokio::test]
async fn ten_go_in_one_call_each_with_its_type() {
    let (server, bus) = bridge(|_| false).await;
    assert_eq!(bus.put(&notices(23)).await, [0; 0]);
    let calls: Vec<_> = server.asked().iter().map(entries).collect();
    assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 3]);
    let sent: Vec<_> = calls.concat();
    for (entry, notice) in sent.iter().zip(notices(23)) {
        assert_eq!(entry["Detail"], json!(notice));
        let of = |name: &str| entry[name].as_str().unwrap().to_owned();
        assert_eq!(
            (of("EventBusName"), of("Source"), of("DetailType")),
            ("the-bus".into(), "certbridge".into(), "certificate.synced".into())
        );
    }
}

#[tokio::test]
async fn a_call_holds_no_more_bytes_than_are_taken() {
    let (server, bus) = bridge(|_| false).await;
    let long = |sequence: u64| {
        let mut row = synced(sequence);
        row.changes[0].field = "x".repeat(100 * 1024);
        Notice::of_audit(&row).unwrap()
    };
    assert_eq!(bus.put(&[long(1), long(2), long(3)]).await, [0; 0]);
    assert_eq!(server.asked().iter().map(|asked| entries(asked).len()).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn only_what_failed_is_put_again() {
    let (server, bus) = bridge(is(2)).await;
    assert_eq!(bus.put(&notices(3)).await, [1]);
    let sequences: Vec<Vec<_>> = server
        .asked()
        .iter()
        .map(|asked| entries(asked).iter().map(|entry| entry["Detail"]["data"]["sequence"].as_u64().unwrap()).collect())
        .collect();
    assert_eq!(sequences, [vec![1, 2, 3], vec![2], vec![2]]);
}

#[tokio::test]
async fn a_call_that_fails_leaves_all_of_it_unsent() {
    let server = Server::start(|_| reply(500, &json!({"__type": "InternalException"}))).await;
    assert_eq!(bus(&server).put(&notices(2)).await, [0, 1]);
    assert_eq!(server.asked().len(), 3);
}

/// A record of the audit's stream.
fn record(sequence: u64, name: &str) -> Value {
    let row = synced(sequence);
    let keys = json!({"pk": {"S": row.record}, "sk": {"N": sequence.to_string()}});
    let mut image = keys.clone();
    image["row"] = json!({"S": serde_json::to_string(&row).unwrap()});
    json!({
        "awsRegion": "eu-west-1", "eventID": "1", "eventName": name, "eventSource": "aws:dynamodb",
        "dynamodb": {"Keys": keys, "NewImage": image, "SequenceNumber": format!("s-{sequence}"), "SizeBytes": 10},
    })
}

/// What of a batch is to come again, and the metrics.
async fn handled(bus: EventBridgeBus, records: &[Value]) -> (Vec<String>, Vec<String>) {
    let lines = Collected::default();
    let metrics = Metrics::new(NAMESPACE, "notify", SystemRuntime).with_sink(lines.clone());
    let app = Notify { bus, runtime: SystemRuntime, metrics };
    let event = serde_json::from_value(json!({"Records": records})).unwrap();
    let answer = notify::handle(&app, &event).await;
    (answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect(), lines.take())
}

#[tokio::test]
async fn a_batch_fails_from_the_first_row_that_was_not_taken() {
    let (_server, bus) = bridge(is(3)).await;
    let records: Vec<_> = (1..=4).map(|sequence| record(sequence, "INSERT")).collect();
    let (failed, lines) = handled(bus, &records).await;
    assert_eq!(failed, ["s-3"]);
    assert!(lines.iter().any(|line| line.contains(r#""NoticesSent":3"#)), "{lines:?}");
}

#[tokio::test]
async fn a_touched_row_is_an_alarm_and_no_notice() {
    let (server, bus) = bridge(|_| false).await;
    let (failed, lines) = handled(bus, &[record(1, "MODIFY"), record(2, "INSERT"), record(3, "REMOVE")]).await;
    assert_eq!((failed.len(), server.asked().len(), entries(&server.asked()[0]).len()), (0, 1, 1));
    assert_eq!(lines.iter().filter(|line| line.contains(r#""AuditTouched":1"#)).count(), 2, "{lines:?}");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_holds_up_no_other() {
    let (server, bus) = bridge(|_| false).await;
    let mut broken = record(1, "INSERT");
    broken["dynamodb"]["NewImage"]["row"] = json!({"S": "{"});
    let (failed, lines) = handled(bus, &[broken, record(2, "INSERT")]).await;
    assert_eq!((failed.len(), entries(&server.asked()[0]).len()), (0, 1));
    assert!(lines.iter().any(|line| line.contains(r#""NoticeUnreadable":1"#)), "{lines:?}");
}
