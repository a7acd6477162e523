//! The sample events in `events/`: each goes through what its function itself reads it with.

use crate::{files, none, root, text_of};
use api::{Api, Cursors};
use authorizer::Authorizer;
use aws_lambda_events::sqs::SqsEvent;
use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
    types::AttributeValue,
};
use certbridge_archive::Archive;
use certbridge_mapping::{
    Definitions, Delivery, Document, Event, Keys, Kind, Reading, RecordKey, Refusal, Unreadable, Verified,
};
use certbridge_platform::{
    Metrics, SecretError, SecretProvider, Secrets, SystemRuntime,
    http::{Request, headers, owner, path_parameter, query_parameter, request_id, route, source_ip},
    metrics::{Dropped, NAMESPACE},
    secrets::API_KEYS,
};
use certbridge_sandbox::dynamodb::EmbeddedDynamoDb;
use certbridge_store::{DynamoStore, Tables, schema};
use certbridge_sync::{
    AuditRow, StoreError,
    batches::{BatchId, Executions},
    delivery::Delivery as Waiting,
    memory::MemoryStore,
    notice::{Bus, Notice},
    ports::{Inbox, RetryQueue},
    row::{InboxRow, Pointer},
};
use jiff::Timestamp;
use lambda_http::request::LambdaRequest;
use notify::Notify;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use sync_event::{Content, Trigger};

/// The key that the samples are signed with. To have them accepted, it must stand in the secret `sources/accredible`.
const KEY: &str = "sample-signing-key";
const TYPE: &str = "certificate_issued";

fn sample(file: &str) -> Value {
    serde_json::from_str(&text_of(&Path::new("events").join(file)).unwrap()).unwrap()
}

/// A request, as `lambda_http` reads it from the gateway's event.
fn request(file: &str) -> Request {
    let event: LambdaRequest = serde_json::from_value(sample(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let is_v1 = matches!(event, LambdaRequest::ApiGatewayV1(_));
    assert!(is_v1 || matches!(event, LambdaRequest::ApiGatewayV2(_)), "{file}");
    assert_eq!(is_v1, file.contains("v1"), "{file}");
    let request = Request::from(event);
    assert_eq!(source_ip(&request), Some("192.0.2.10".parse().unwrap()), "{file}");
    assert!(!request_id(&request).is_empty(), "{file}");
    request
}

/// What a webhook says, once it is proven with the samples' key.
fn delivered<T>(file: &str, then: impl FnOnce(Result<&Verified<'_>, Refusal>) -> T) -> T {
    let request = request(file);
    let definitions = Definitions::built_in();
    let source = definitions.source(path_parameter(&request, "source").unwrap()).unwrap();
    assert!(source.allows(source_ip(&request)));
    let delivery = Delivery {
        headers: headers(&request),
        body: request.body().as_ref(),
        path_token: path_parameter(&request, "token"),
    };
    let keys = Keys::new([SecretString::from(KEY)]).unwrap();
    match source.verify(&delivery, &keys, Timestamp::UNIX_EPOCH) {
        Ok(verified) => then(Ok(&verified)),
        Err(refusal) => then(Err(refusal)),
    }
}

fn read(file: &str) -> Result<Reading, Unreadable> {
    delivered(file, |verified| verified.unwrap().read())
}

fn event(file: &str) -> Event {
    match read(file) {
        Ok(Reading::Event(event)) => *event,
        other => panic!("{file}: {other:?}"),
    }
}

#[test]
fn every_sample_has_a_test() {
    let tested = [
        "events/README.md",
        "events/api/batch.json",
        "events/api/batches.json",
        "events/api/certificates.json",
        "events/api/dashboard.json",
        "events/api/events.json",
        "events/api/history.json",
        "events/api/preview.json",
        "events/api/reconcile.json",
        "events/api/replay.json",
        "events/api/report.json",
        "events/api/upsert.json",
        "events/authorizer/bearer.json",
        "events/authorizer/no-key.json",
        "events/authorizer/x-api-key.json",
        "events/batch-sync/begin.json",
        "events/batch-sync/checkpoint.json",
        "events/batch-sync/poll.json",
        "events/batch-sync/subscriptions.json",
        "events/deliver/delivery.json",
        "events/deliver/notice.json",
        "events/notify/set-aside.json",
        "events/notify/stream.json",
        "events/notify/touched.json",
        "events/sync-certificate/dry-run.json",
        "events/sync-certificate/fetch.json",
        "events/sync-certificate/given.json",
        "events/sync-certificate/locations.json",
        "events/sync-certificate/record.json",
        "events/sync-event/queue.json",
        "events/sync-event/stream.json",
        "events/sync-event/sweep.json",
        "events/webhook/alias.json",
        "events/webhook/base64.json",
        "events/webhook/ignored.json",
        "events/webhook/payload-v1.json",
        "events/webhook/payload-v2.json",
        "events/webhook/unproven.json",
        "events/webhook/unreadable.json",
    ];
    let there: Vec<_> = files("events").iter().map(|file| file.display().to_string()).collect();
    none(there.iter().filter(|file| !tested.contains(&file.as_str())).map(|file| format!("no test reads {file}")));
    none(tested.iter().filter(|file| !root().join(file).exists()).map(|file| format!("{file} is not there")));
}

#[test]
fn webhooks_are_proven_and_read() {
    let first = event("webhook/payload-v2.json");
    assert_eq!(
        (first.event_type.as_str(), first.record.to_string().as_str()),
        (TYPE, "certificate#accredible#10000005")
    );
    // The same bytes by another route and in another encoding are the same event.
    for again in ["webhook/payload-v1.json", "webhook/base64.json", "webhook/alias.json"] {
        assert_eq!(event(again), first, "{again}");
    }
    assert_eq!(sample("webhook/base64.json")["isBase64Encoded"], json!(true));
    assert_eq!(path_parameter(&request("webhook/alias.json"), "source"), Some("certificates"));
}

#[test]
fn webhooks_that_are_not_synced_say_why() {
    let ignored = Reading::Ignored { event_type: "certificate_viewed".into(), known: true };
    assert_eq!(read("webhook/ignored.json"), Ok(ignored));
    let problems = read("webhook/unreadable.json").unwrap_err().problems;
    let fields: Vec<_> = problems.0.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["source", "record_id", "time"]);
    let refusal = delivered("webhook/unproven.json", |verified| verified.map(drop).unwrap_err());
    assert_eq!(refusal, Refusal::HeaderMissing { header: "X-Accredible-Signature".into() });
}

#[test]
fn requests_for_one_certificate_are_read() {
    let key = RecordKey { kind: Kind::Certificate, source: "accredible".into(), id: "10000005".parse().unwrap() };
    for file in ["fetch", "given", "dry-run"].map(|name| format!("sync-certificate/{name}.json")) {
        let request = request(&file);
        assert_eq!(path_parameter(&request, "id"), Some(key.id.as_str()), "{file}");
        assert_eq!(owner(&request), Some("operations"), "{file}: whom the authorizer let in");
        assert_eq!(query_parameter(&request, "dry_run"), file.contains("dry-run").then_some("true"), "{file}");
    }
    let by_kind = request("sync-certificate/record.json");
    let named = ["kind", "source", "id"].map(|name| path_parameter(&by_kind, name));
    assert_eq!(named, [Some("certificate"), Some("accredible"), Some(key.id.as_str())]);
    assert_eq!(route(&request("sync-certificate/locations.json")).map(|route| route.key), Some("GET /locations"));
    let body = |name: &str| request(&format!("sync-certificate/{name}.json")).into_body();
    assert!(Document::given(body("fetch").as_ref()).unwrap().value().as_object().is_some_and(Map::is_empty));
    assert!(body("dry-run").as_ref().is_empty());
    let definitions = Definitions::built_in();
    let plan = certbridge_mapping::Plan::new(
        definitions.source("accredible").unwrap().clone(),
        definitions.destination("snapshots").unwrap().clone(),
    );
    let record = plan.given(&key, &Document::given(body("given").as_ref()).unwrap()).unwrap();
    assert_eq!(plan.request(&record).unwrap().path, "/certificates/10000005/sync");
}

/// A queue that takes whatever is sent.
struct Nowhere;

impl RetryQueue for Nowhere {
    async fn send(&self, _: &[(Pointer, Duration)]) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A state machine that starts whatever it is asked to.
struct Machine;

impl Executions for Machine {
    async fn start(&self, _: &BatchId) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test]
async fn batches_are_asked_for_and_told_of() {
    let app = Api {
        definitions: Definitions::built_in().into(),
        destination: "snapshots".to_owned(),
        store: MemoryStore::new(),
        queue: Nowhere,
        executions: Machine,
        archive: Archive::memory(),
        checkpoints: Archive::memory(),
        runtime: SystemRuntime,
        metrics: metrics("api"),
        cursors: Cursors::new(SecretString::from("a key")),
        summary: Mutex::default(),
    };
    let ask = async |file: &str| {
        let request = request(&format!("api/{file}.json"));
        assert_eq!(owner(&request), Some("operations"), "{file}: whom the authorizer let in");
        let answer = api::handle(&app, request).await;
        (answer.status, serde_json::from_str::<Value>(&answer.body).unwrap())
    };
    for (file, mode) in [("reconcile", "reconcile"), ("reconcile", "reconcile"), ("upsert", "upsert")] {
        let (status, body) = ask(file).await;
        assert_eq!((status, &body["mode"]), (202, &json!(mode)), "{file}");
    }
    let (status, body) = ask("batches").await;
    assert_eq!((status, body["batches"].as_array().map(Vec::len)), (200, Some(2)));
    let (status, body) = ask("batch").await;
    assert_eq!((status, &body["dry_run"], &body["requested_by"]), (200, &json!(true), &json!("operations")));
    let (status, body) = ask("report").await;
    assert_eq!((status, &body["detail"]), (404, &json!("The batch is not over yet.")));
    assert_eq!(ask("certificates").await, (200, json!({"records": [], "next_cursor": null})));
    assert_eq!(ask("events").await, (200, json!({"events": [], "next_cursor": null})));
    assert_eq!((ask("history").await.0, ask("replay").await.0), (404, 404), "there is nothing yet");
    let (status, body) = ask("preview").await;
    assert_eq!((status, &body["event"]["record"]), (200, &json!("certificate#accredible#10000005")));
    let page = api::handle(&app, request("api/dashboard.json")).await;
    assert_eq!((page.status, page.content_type), (200, "text/html; charset=utf-8"));
}

#[test]
fn a_batch_begins_and_a_poll_is_made() {
    let task = serde_json::from_value(sample("batch-sync/begin.json")).unwrap();
    let certbridge_batch::Task::Begin(start) = task else { panic!("{task:?}") };
    assert_eq!((start.input.source.as_deref(), start.input.batch_id), (Some("accredible"), None));
    assert_eq!(sample("batch-sync/poll.json"), json!({"task": "poll"}));
    assert_eq!(sample("batch-sync/subscriptions.json"), json!({"task": "subscriptions"}));
    assert_eq!(sample("batch-sync/checkpoint.json"), json!({"task": "checkpoint"}));
}

/// The secret `api-keys`, as the samples' README gives it.
struct Shown;

impl SecretProvider for Shown {
    async fn read(&self, id: &str) -> Result<Option<SecretString>, SecretError> {
        assert_eq!(id, API_KEYS);
        let readme = text_of(Path::new("events/README.md")).unwrap();
        let block = readme.split("```json\n").nth(1).and_then(|rest| rest.split("```").next());
        Ok(block.map(SecretString::from))
    }
}

fn metrics(function: &'static str) -> Metrics {
    Metrics::new(NAMESPACE, function, SystemRuntime).with_sink(Dropped)
}

#[tokio::test]
async fn the_authorizer_lets_in_who_has_a_key() {
    let secrets = Arc::new(Secrets::new(Shown, SystemRuntime));
    let app = Authorizer { secrets, metrics: metrics("authorizer") };
    for (file, let_in) in [("bearer", true), ("x-api-key", true), ("no-key", false)] {
        let question = serde_json::from_value(sample(&format!("authorizer/{file}.json"))).unwrap();
        let decision = serde_json::to_value(authorizer::handle(&app, &question).await.unwrap()).unwrap();
        assert_eq!(decision["isAuthorized"], let_in, "{file}");
        // What it tells of the caller is what the gateway hands on.
        let handed_on = &sample("sync-certificate/fetch.json")["requestContext"]["authorizer"]["lambda"];
        assert_eq!(&decision["context"] == handed_on, let_in, "{file}");
    }
}

/// A bus that takes everything.
#[derive(Default)]
struct Taken(Mutex<Vec<Notice>>);

impl Bus for &Taken {
    async fn put(&self, notices: &[Notice]) -> Vec<usize> {
        self.0.lock().unwrap().extend_from_slice(notices);
        Vec::new()
    }
}

/// What a stream's record tells.
async fn told(file: &str) -> Vec<Notice> {
    let taken = Taken::default();
    let app = Notify { bus: &taken, runtime: SystemRuntime, metrics: metrics("notify") };
    let answer = notify::handle(&app, &serde_json::from_value(sample(file)).unwrap()).await;
    assert_eq!(answer, notify::BatchResponse::default(), "{file}");
    taken.0.into_inner().unwrap()
}

#[tokio::test]
async fn rows_are_told_and_touched_ones_are_not() {
    let row = &sample("notify/stream.json")["Records"][0]["dynamodb"]["NewImage"]["row"]["S"];
    let row: AuditRow = serde_json::from_str(row.as_str().unwrap()).unwrap();
    assert_eq!(row.hash, row.expected_hash());
    assert_eq!(told("notify/stream.json").await, [Notice::of_audit(&row).unwrap()]);
    assert_eq!(told("notify/touched.json").await, []);
    let aside = told("notify/set-aside.json").await;
    assert_eq!((aside.len(), aside[0].notice_type.as_str()), (1, "record.quarantined"));
}

#[tokio::test]
async fn the_queue_brings_notices_and_deliveries() {
    let [synced] = told("notify/stream.json").await.try_into().unwrap();
    let message = |file: &str| {
        let event: SqsEvent = serde_json::from_value(sample(file)).unwrap();
        deliver::Message::from(event.records.into_iter().next().unwrap())
    };
    let notice = message("deliver/notice.json");
    assert_eq!((notice.attempt, notice.content), (1, Some(deliver::Content::Notice(Box::new(synced.clone())))));
    let delivery = message("deliver/delivery.json");
    let wanted = Waiting { endpoint: "zapier".to_owned(), notice: synced };
    assert_eq!((delivery.attempt, delivery.content), (3, Some(deliver::Content::Delivery(Box::new(wanted)))));
}

/// The parts of a batch, all of which can be read.
fn batch(file: &str) -> Vec<(String, Content)> {
    match Trigger::try_from(sample(file)).unwrap() {
        Trigger::Batch(items) => items.into_iter().map(|item| (item.id, item.content.unwrap())).collect(),
        Trigger::Sweep => panic!("{file} is no batch"),
    }
}

fn streamed() -> InboxRow {
    let mut items = batch("sync-event/stream.json");
    let Some((id, Content::Row(row))) = items.pop() else { panic!("no row") };
    assert_eq!(id, sample("sync-event/stream.json")["Records"][0]["dynamodb"]["SequenceNumber"]);
    assert!(items.is_empty());
    *row
}

#[test]
fn the_stream_brings_the_row_that_the_webhook_makes() {
    let row = streamed();
    let made = delivered("webhook/payload-v2.json", |verified| {
        let verified = verified.unwrap();
        let Ok(Reading::Event(event)) = verified.read() else { panic!("no event") };
        (verified.body().to_vec(), verified.key_id().to_owned(), *event)
    });
    assert_eq!((row.body, row.proven_by, row.event), (made.0, made.1, Some(made.2)));
}

#[tokio::test]
async fn the_streams_image_is_what_the_store_writes() {
    let database = EmbeddedDynamoDb::start(None).unwrap();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(database.endpoint())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"));
    let client = Client::from_conf(config.build());
    let tables = Tables::with_prefix("samples-");
    schema::create(&client, &tables).await.unwrap();
    let row = streamed();
    DynamoStore::new(client.clone(), tables.clone()).insert(&row).await.unwrap();

    let key = AttributeValue::S(row.key.to_string());
    let item = client.get_item().table_name(&tables.inbox).key("pk", key).send().await.unwrap().item.unwrap();
    let change = &sample("sync-event/stream.json")["Records"][0]["dynamodb"];
    let mut image = change["NewImage"].as_object().unwrap().clone();
    // Bytes are compared as bytes, by the test above.
    image.remove("body");
    let written: Map<_, _> =
        item.iter().filter(|(name, _)| *name != "body").map(|(name, value)| (name.clone(), shown(value))).collect();
    assert_eq!(Value::Object(image), Value::Object(written));
    assert_eq!(change["Keys"], json!({"pk": shown(&item["pk"])}));
}

/// An attribute as a stream shows it.
fn shown(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::Bool(flag) => json!({"BOOL": flag}),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_queue_brings_pointers() {
    let event = event("webhook/payload-v2.json");
    let pointers: Vec<_> = batch("sync-event/queue.json")
        .into_iter()
        .map(|(_, content)| match content {
            Content::Pointer(pointer) => pointer,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(pointers, [Pointer::Event(event.key), Pointer::Assert { record: event.record, attempt: 0 }]);
}

#[test]
fn the_schedule_brings_the_sweep() {
    assert!(matches!(Trigger::try_from(sample("sync-event/sweep.json")), Ok(Trigger::Sweep)));
}
