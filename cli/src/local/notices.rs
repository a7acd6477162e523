//! Notices and their deliveries in process: what the bus, its rule and the queue of deliveries do on AWS. What waits here is
//! lost with the process; `certbridge notifications replay` tells it again.

use super::{DynamoStore, SecretsFile, SharedSecrets, stream::StreamReader};
use aws_lambda_events::{dynamodb, sqs::SqsEvent};
use certbridge_platform::{Metrics, SystemRuntime, metrics::Logged, metrics::NAMESPACE};
use certbridge_remote::hooks::{Hooks, Reach};
use certbridge_sync::{
    StoreError,
    delivery::{Deliveries, Delivery, MAX_ATTEMPTS},
    notice::{Bus, Notice},
    ports::Runtime,
};
use deliver::Deliver;
use notify::Notify;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{
        Semaphore,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    task::JoinSet,
    time::Instant,
};

/// How many messages are worked on at the same time.
const WORKERS: usize = 8;
/// When a message is seen again that failed for a reason of ours.
const VISIBILITY: Duration = Duration::from_secs(30);

/// A message, and when it may be seen.
#[derive(Debug)]
pub(crate) struct Message {
    id: String,
    body: String,
    attempt: u32,
    due: Instant,
}

/// The sending end: the bus, and the queue of deliveries behind its rule.
#[derive(Debug, Clone)]
pub(crate) struct LocalNotices {
    sender: UnboundedSender<Message>,
    /// How long messages are held back that failed, by their ids.
    waits: Arc<Mutex<HashMap<String, Duration>>>,
}

/// The receiving end.
pub(crate) type Messages = UnboundedReceiver<Message>;

pub(crate) type LocalNotify = Notify<LocalNotices, SystemRuntime>;
pub(crate) type LocalDeliver = Deliver<LocalNotices, DynamoStore, SecretsFile, SystemRuntime>;

impl LocalNotices {
    pub(crate) fn new() -> (Self, Messages) {
        let (sender, receiver) = unbounded_channel();
        (Self { sender, waits: Arc::default() }, receiver)
    }

    fn push(&self, body: &Value) -> Result<(), StoreError> {
        let id = format!("{:032x}", SystemRuntime.random());
        let message = Message { id, body: body.to_string(), attempt: 1, due: Instant::now() };
        self.sender.send(message).map_err(|_| StoreError::Unavailable("the queue is closed".into()))
    }
}

impl Bus for LocalNotices {
    /// As the bus hands an event to its rule's queue.
    async fn put(&self, notices: &[Notice]) -> Vec<usize> {
        let event = |notice: &Notice| {
            json!({
                "version": "0", "source": notice.source, "detail-type": notice.notice_type, "time": notice.time,
                "detail": notice,
            })
        };
        let unsent = notices.iter().enumerate().filter(|(_, notice)| self.push(&event(notice)).is_err());
        unsent.map(|(place, _)| place).collect()
    }
}

impl Deliveries for LocalNotices {
    async fn send(&self, deliveries: &[Delivery]) -> Result<(), StoreError> {
        deliveries.iter().try_for_each(|delivery| self.push(&json!(delivery)))
    }

    async fn postpone(&self, receipt: &str, wait: Duration) -> Result<(), StoreError> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).insert(receipt.to_owned(), wait);
        Ok(())
    }
}

/// The function `notify`.
pub(crate) fn notify(bus: &LocalNotices) -> LocalNotify {
    let metrics = Metrics::new(NAMESPACE, "notify", SystemRuntime).with_sink(Logged);
    Notify { bus: bus.clone(), runtime: SystemRuntime, metrics }
}

/// The function `deliver`.
pub(crate) fn deliver(
    queue: &LocalNotices,
    store: &DynamoStore,
    secrets: &SharedSecrets<SecretsFile>,
    reach: Reach,
) -> Result<LocalDeliver, certbridge_remote::HttpError> {
    Ok(Deliver {
        queue: queue.clone(),
        endpoints: store.clone(),
        secrets: Arc::clone(secrets),
        hooks: Hooks::new(reach)?,
        runtime: SystemRuntime,
        metrics: Metrics::new(NAMESPACE, "deliver", SystemRuntime).with_sink(Logged),
    })
}

/// Gives what comes out of a stream to `notify`.
pub(super) async fn notify_driver(app: Arc<LocalNotify>, reader: StreamReader) {
    reader
        .run(async |event| match serde_json::from_value::<dynamodb::Event>(event) {
            Ok(event) => {
                let answer = notify::handle(&app, &event).await;
                answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
            }
            Err(error) => {
                tracing::error!(%error, "an event could not be passed on");
                Vec::new()
            }
        })
        .await;
}

/// Gives what waits in the queue to `deliver`.
pub(super) async fn deliver_driver(app: Arc<LocalDeliver>, mut messages: Messages) {
    let workers = Arc::new(Semaphore::new(WORKERS));
    let mut running = JoinSet::new();
    while let Some(message) = messages.recv().await {
        let (app, workers) = (Arc::clone(&app), Arc::clone(&workers));
        running.spawn(async move {
            tokio::time::sleep_until(message.due).await;
            // The semaphore is never closed.
            let _permit = workers.acquire().await;
            if let Some(message) = attempt(&app, message).await
                && app.queue.sender.send(message).is_err()
            {
                tracing::warn!("a message is lost");
            }
        });
        while running.try_join_next().is_some() {}
    }
}

/// Gives everything that waits to `deliver`, once, with what becomes of it meanwhile. Returns how many attempts failed.
pub(crate) async fn deliver_once(app: &LocalDeliver, messages: &mut Messages) -> usize {
    let mut failed = 0;
    while let Ok(message) = messages.try_recv() {
        failed += usize::from(attempt(app, message).await.is_some());
    }
    failed
}

/// One attempt. What is left of it is to be seen again.
async fn attempt(app: &LocalDeliver, message: Message) -> Option<Message> {
    let event = json!({"Records": [{
        "messageId": message.id, "receiptHandle": message.id, "body": message.body, "eventSource": "aws:sqs",
        "attributes": {"ApproximateReceiveCount": message.attempt.to_string()},
    }]});
    let event: SqsEvent = match serde_json::from_value(event) {
        Ok(event) => event,
        Err(error) => {
            tracing::error!(%error, "a message could not be passed on");
            return None;
        }
    };
    let failed = !deliver::handle(app, event).await.batch_item_failures.is_empty();
    let wait = app.queue.waits.lock().unwrap_or_else(PoisonError::into_inner).remove(&message.id);
    // Where the queue of deliveries gives up, too.
    let again = failed && message.attempt < MAX_ATTEMPTS;
    again.then(|| Message { attempt: message.attempt + 1, due: Instant::now() + wait.unwrap_or(VISIBILITY), ..message })
}
