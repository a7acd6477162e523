//! The function `deliver`: what is sent to whom, and what becomes of what fails.

use crate::{
    rows::{inbox, synced},
    server::{Asked, Reply, Server, status},
};
use certbridge_mapping::{self as mapping, Definitions, Keys};
use certbridge_platform::{
    Metrics, SecretError, SecretProvider, Secrets, SystemRuntime,
    metrics::{Collected, NAMESPACE},
};
use certbridge_remote::hooks::{Hooks, Reach};
use certbridge_sync::{
    StoreError,
    delivery::{Deliveries, Delivery, DisabledEndpoints, MAX_ATTEMPTS},
    notice::Notice,
    ports::Runtime,
    row::InboxState,
};
use deliver::Deliver;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

const OLD: &str = "whsec_b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQt";
const NEW: &str = "whsec_bmV3LW5ldy1uZXctbmV3LW5ldy1uZXct";

#[derive(Clone, Copy)]
struct Clock;

impl Clock {
    fn time() -> Timestamp {
        "2026-03-01T12:00:05Z".parse().unwrap()
    }
}

impl Runtime for Clock {
    fn now(&self) -> Timestamp {
        Self::time()
    }
    async fn sleep(&self, _: Duration) {}
    fn random(&self) -> u128 {
        500
    }
}

struct Secret(Value);

impl SecretProvider for Secret {
    async fn read(&self, id: &str) -> Result<Option<SecretString>, SecretError> {
        assert_eq!(id, "endpoints");
        Ok(Some(self.0.to_string().into()))
    }
}

/// The queue, and the endpoints that are disabled.
#[derive(Default, Clone)]
struct World(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    sent: Vec<Delivery>,
    postponed: Vec<(String, u64)>,
    disabled: BTreeMap<String, Timestamp>,
}

impl Deliveries for World {
    async fn send(&self, deliveries: &[Delivery]) -> Result<(), StoreError> {
        self.0.lock().unwrap().sent.extend_from_slice(deliveries);
        Ok(())
    }
    async fn postpone(&self, receipt: &str, wait: Duration) -> Result<(), StoreError> {
        self.0.lock().unwrap().postponed.push((receipt.to_owned(), wait.as_secs()));
        Ok(())
    }
}

impl DisabledEndpoints for World {
    async fn disabled(&self) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        Ok(self.0.lock().unwrap().disabled.clone())
    }
    async fn disable(&self, endpoint: &str, at: Timestamp) -> Result<(), StoreError> {
        self.0.lock().unwrap().disabled.insert(endpoint.to_owned(), at);
        Ok(())
    }
    async fn enable(&self, endpoint: &str) -> Result<(), StoreError> {
        self.0.lock().unwrap().disabled.remove(endpoint);
        Ok(())
    }
}

struct Function {
    world: World,
    lines: Collected,
    app: Deliver<World, World, Secret, Clock>,
}

impl Function {
    fn new(endpoints: Value) -> Self {
        let (world, lines) = (World::default(), Collected::default());
        let app = Deliver {
            queue: world.clone(),
            endpoints: world.clone(),
            secrets: Arc::new(Secrets::new(Secret(json!({ "endpoints": endpoints })), Clock)),
            hooks: Hooks::new(Reach::ThisMachineToo).unwrap(),
            runtime: Clock,
            metrics: Metrics::new(NAMESPACE, "deliver", SystemRuntime).with_sink(lines.clone()),
        };
        Self { world, lines, app }
    }

    /// The ids of the messages, numbered from 0 on, that stay in the queue.
    async fn handle(&self, bodies: &[(Value, u32)]) -> Vec<String> {
        let messages: Vec<_> = bodies
            .iter()
            .enumerate()
            .map(|(id, (body, attempt))| {
                json!({
                    "messageId": id.to_string(), "receiptHandle": format!("r-{id}"), "body": body.to_string(),
                    "attributes": {"ApproximateReceiveCount": attempt.to_string()}, "eventSource": "aws:sqs",
                })
            })
            .collect();
        let event = serde_json::from_value(json!({ "Records": messages })).unwrap();
        let answer = deliver::handle(&self.app, event).await;
        answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
    }

    fn counted(&self, metric: &str) -> usize {
        self.lines.take().iter().filter(|line| line.contains(&format!("\"{metric}\":1"))).count()
    }

    fn postponed(&self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.world.0.lock().unwrap().postponed)
    }
}

fn notice() -> Notice {
    Notice::of_audit(&synced(3)).unwrap()
}

/// A notice as the bus's rule brings it.
fn event(notice: &Notice) -> Value {
    json!({"version": "0", "id": "x", "detail-type": notice.notice_type, "source": "certbridge", "detail": notice})
}

fn to(endpoint: &str) -> Value {
    json!(Delivery { endpoint: endpoint.to_owned(), notice: notice() })
}

fn endpoint(id: &str, url: &str, signing: &Value, events: &[&str]) -> Value {
    json!({"id": id, "url": url, "signing": signing, "events": events})
}

/// Whether somebody who holds this key takes it for ours: by the verification that our own door has.
fn proven(asked: &Asked, key: &str) -> bool {
    let definitions = Definitions::built_in();
    let source = definitions.source("standard-webhooks").unwrap();
    let headers = asked.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let delivery = mapping::Delivery { headers, body: &asked.body, path_token: None };
    source.verify(&delivery, &Keys::new([SecretString::from(key)]).unwrap(), Clock::time()).is_ok()
}

#[tokio::test]
async fn a_notice_becomes_one_message_for_each_endpoint_that_wants_it() {
    let at = "https://hooks.example/";
    let function = Function::new(json!([
        endpoint("all", at, &json!(NEW), &["*"]),
        endpoint("certificates", at, &json!([NEW]), &["certificate.*"]),
        endpoint("batches", at, &json!(NEW), &["batch.completed"]),
        endpoint("gone", at, &json!(NEW), &["*"]),
        endpoint("no-key", at, &json!([""]), &["*"]),
        endpoint("all", at, &json!(NEW), &["*"]),
        {"id": "broken", "url": at},
        "broken",
    ]));
    function.world.0.lock().unwrap().disabled.insert("gone".to_owned(), Timestamp::UNIX_EPOCH);
    let aside = Notice::of_inbox(&inbox(InboxState::Failed, None), Clock::time()).unwrap();
    assert_eq!(function.handle(&[(event(&notice()), 1), (event(&aside), 1)]).await, [""; 0]);
    let sent: Vec<_> = std::mem::take(&mut function.world.0.lock().unwrap().sent);
    let sent: Vec<_> = sent.iter().map(|one| (one.endpoint.as_str(), one.notice.notice_type.as_str())).collect();
    assert_eq!(sent, [("all", "certificate.synced"), ("certificates", "certificate.synced"), ("all", "event.failed")]);
}

#[tokio::test]
async fn a_stranger_can_prove_a_post() {
    let server = Server::answering(vec![status(200)]).await;
    let function = Function::new(json!([endpoint("a", &server.url, &json!([NEW, OLD]), &["*"])]));
    assert_eq!(function.handle(&[(to("a"), 1)]).await, [""; 0]);
    let [asked] = server.asked().try_into().unwrap();
    // In the midst of a rotation each of the two keys proves it, and no other does.
    assert!(proven(&asked, NEW) && proven(&asked, OLD));
    assert!(!proven(&asked, "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXIt"));
    assert_eq!(asked.header("webhook-signature").split(' ').count(), 2);
    assert_eq!(asked.header("webhook-id"), notice().delivery_id());
    assert_eq!(asked.header("content-type"), "application/json");
    assert_eq!(serde_json::from_slice::<Value>(&asked.body).unwrap(), json!(notice()));
    let mut spoilt = asked.clone();
    spoilt.body[0] = b'[';
    assert!(!proven(&spoilt, NEW));
    assert_eq!(function.counted("Delivered"), 1);
}

#[tokio::test]
async fn what_fails_stays_for_longer_each_time() {
    let server = Server::answering(vec![status(500)]).await;
    let function = Function::new(json!([endpoint("a", &server.url, &json!(NEW), &["*"])]));
    let mut waits = Vec::new();
    for attempt in 1..=MAX_ATTEMPTS {
        assert_eq!(function.handle(&[(to("a"), attempt)]).await, ["0"]);
        waits.extend(function.postponed().into_iter().map(|(receipt, wait)| {
            assert_eq!(receipt, "r-0");
            wait
        }));
    }
    // After the last one, the queue takes it away.
    assert_eq!(waits, [5, 300, 1_800, 7_200, 18_000, 36_000, 43_200, 43_200, 43_200]);
}

#[tokio::test]
async fn every_answer_has_its_end() {
    let after = |status: u16, wait: &str| (status, vec![("retry-after", wait.to_owned())], String::new());
    let redirect = || (302, vec![("location", "http://127.0.0.1:1/".to_owned())], String::new());
    let cases: [(Reply, Option<u64>); 11] = [
        (status(200), None),
        (status(204), None),
        (status(400), Some(300)),
        (status(401), Some(300)),
        (status(404), Some(300)),
        (status(429), Some(300)),
        (after(429, "77"), Some(77)),
        (after(503, "99999999"), Some(43_200)),
        (status(503), Some(300)),
        (redirect(), Some(300)),
        ((500, Vec::new(), "x".repeat(1024 * 1024)), Some(300)),
    ];
    for (reply, wait) in cases {
        let shown = reply.0;
        let server = Server::answering(vec![reply]).await;
        let function = Function::new(json!([endpoint("a", &server.url, &json!(NEW), &["*"])]));
        let failed = function.handle(&[(to("a"), 2)]).await;
        assert_eq!(failed.is_empty(), wait.is_none(), "{shown}");
        assert_eq!(function.postponed().into_iter().map(|(_, wait)| wait).next(), wait, "{shown}");
        assert_eq!(server.asked().len(), 1, "{shown}: one attempt");
    }
}

#[tokio::test]
async fn who_says_gone_is_told_nothing_until_somebody_asks_for_it() {
    let server = Server::answering(vec![status(410), status(200)]).await;
    let function = Function::new(json!([endpoint("a", &server.url, &json!(NEW), &["*"])]));
    assert_eq!(function.handle(&[(to("a"), 1)]).await, [""; 0]);
    assert_eq!(function.counted("EndpointDisabled"), 1);
    assert_eq!(function.world.disabled().await.unwrap(), BTreeMap::from([("a".to_owned(), Clock::time())]));
    assert_eq!(function.handle(&[(event(&notice()), 1), (to("a"), 1)]).await, [""; 0]);
    assert_eq!((server.asked().len(), function.world.0.lock().unwrap().sent.len()), (1, 0));
    function.world.enable("a").await.unwrap();
    assert_eq!(function.handle(&[(to("a"), 1)]).await, [""; 0]);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn one_that_is_dead_holds_up_no_other() {
    let server = Server::answering(vec![status(200)]).await;
    let function = Function::new(json!([
        // Nobody listens there.
        endpoint("dead", "http://127.0.0.1:1/", &json!(NEW), &["*"]),
        endpoint("elsewhere", "https://10.0.0.1/", &json!(NEW), &["*"]),
        endpoint("no-such-key", &server.url, &json!("whsec_!"), &["*"]),
        endpoint("alive", &server.url, &json!(NEW), &["*"]),
    ]));
    let bodies = ["dead", "elsewhere", "no-such-key", "alive", "removed"].map(|id| (to(id), 1));
    assert_eq!(function.handle(&bodies).await, ["0", "1", "2"]);
    assert_eq!(function.postponed().len(), 3);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn what_is_no_message_of_ours_ends_as_a_dead_letter() {
    let function = Function::new(json!([]));
    let bodies = [(json!({"detail": {}}), 1), (json!("x"), 1), (event(&notice()), 1)];
    assert_eq!(function.handle(&bodies).await, ["0", "1"]);
    assert_eq!(function.postponed(), [], "it comes back by itself, until the queue takes it away");
}
