use crate::message::{Content, Message};
use aws_lambda_events::sqs::SqsEvent;
use certbridge_mapping::verify::sign_webhook;
use certbridge_platform::{Metrics, SecretError, SecretProvider, Secrets};
use certbridge_remote::hooks::{Hook, HookError, Hooks, TIMEOUT};
use certbridge_sync::{
    StoreError,
    delivery::{Deliveries, Delivery, DisabledEndpoints, Endpoint, Verdict, wait},
    notice::Notice,
    ports::Runtime,
};
use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Everything that the handler needs.
#[derive(Debug)]
pub struct Deliver<Q, S, P, R> {
    /// Where deliveries wait.
    pub queue: Q,
    /// Which endpoints nothing is sent to.
    pub endpoints: S,
    /// Who is told.
    pub secrets: Arc<Secrets<P, R>>,
    /// What posts.
    pub hooks: Hooks,
    /// The clock.
    pub runtime: R,
    /// The counters.
    pub metrics: Metrics,
}

/// The answer to a batch: what stays in the queue.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// The failed messages.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// One failed message.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// The message's id.
    pub item_identifier: String,
}

/// What all messages of a batch are judged by.
struct Told {
    endpoints: Vec<Endpoint>,
    disabled: BTreeMap<String, Timestamp>,
}

/// Why a batch cannot be begun.
#[derive(Debug, thiserror::Error)]
enum NotTold {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How an attempt failed.
enum Failed {
    /// As a matter of the endpoint's: the message is held back for so long.
    There { why: String, retry_after: Option<Duration> },
    /// As a matter of ours: the queue brings it back by itself.
    Here(String),
}

/// Handles one batch of the queue, all of its messages at the same time.
pub async fn handle<Q, S, P, R>(app: &Deliver<Q, S, P, R>, event: SqsEvent) -> BatchResponse
where
    Q: Deliveries,
    S: DisabledEndpoints,
    P: SecretProvider,
    R: Runtime,
{
    let messages: Vec<_> = event.records.into_iter().map(Message::from).collect();
    let told = match app.told().await {
        Ok(told) => told,
        Err(error) => {
            tracing::error!(%error, "nobody is told: it cannot be read who is to be");
            let all = messages.into_iter().map(|message| BatchItemFailure { item_identifier: message.id });
            return BatchResponse { batch_item_failures: all.collect() };
        }
    };
    let done = join_all(messages.iter().map(|message| app.one(message, &told))).await;
    let failed = messages.into_iter().zip(done).filter(|(_, done)| !done);
    let failed = failed.map(|(message, _)| BatchItemFailure { item_identifier: message.id });
    BatchResponse { batch_item_failures: failed.collect() }
}

impl<Q, S, P, R> Deliver<Q, S, P, R>
where
    Q: Deliveries,
    S: DisabledEndpoints,
    P: SecretProvider,
    R: Runtime,
{
    /// Where there is no endpoint, nothing more is asked.
    async fn told(&self) -> Result<Told, NotTold> {
        let endpoints = self.secrets.endpoints().await?;
        let disabled = if endpoints.is_empty() { BTreeMap::new() } else { self.endpoints.disabled().await? };
        Ok(Told { endpoints, disabled })
    }

    /// Whether a message is done with.
    async fn one(&self, message: &Message, told: &Told) -> bool {
        let result = match &message.content {
            Some(Content::Notice(notice)) => self.fan_out(notice, told).await,
            Some(Content::Delivery(delivery)) => self.deliver(delivery, message.attempt, told).await,
            None => Err(Failed::Here("the message is neither a notice nor a delivery".to_owned())),
        };
        match result {
            Ok(()) => true,
            Err(Failed::Here(why)) => {
                tracing::error!(message = message.id, why, "a message stays in the queue");
                false
            }
            Err(Failed::There { why, retry_after }) => {
                self.hold_back(message, &why, retry_after).await;
                false
            }
        }
    }

    /// One message for each endpoint that wants the notice.
    async fn fan_out(&self, notice: &Notice, told: &Told) -> Result<(), Failed> {
        let wanted = told.endpoints.iter().filter(|endpoint| endpoint.wants(&notice.notice_type));
        let enabled = wanted.filter(|endpoint| !told.disabled.contains_key(&endpoint.id));
        let deliveries: Vec<_> =
            enabled.map(|endpoint| Delivery { endpoint: endpoint.id.clone(), notice: notice.clone() }).collect();
        tracing::info!(notice = notice.id, endpoints = deliveries.len(), "for each endpoint that wants it");
        if deliveries.is_empty() {
            return Ok(());
        }
        self.queue.send(&deliveries).await.map_err(|error| Failed::Here(error.to_string()))
    }

    /// One attempt.
    async fn deliver(&self, delivery: &Delivery, attempt: u32, told: &Told) -> Result<(), Failed> {
        let (name, id) = (&delivery.endpoint, delivery.notice.delivery_id());
        let Some(endpoint) = told.endpoints.iter().find(|endpoint| endpoint.id == *name) else {
            tracing::warn!(
                endpoint = name,
                id,
                notice = delivery.notice.id,
                "dropped: there is no such endpoint any more"
            );
            return Ok(());
        };
        if told.disabled.contains_key(name) {
            tracing::info!(endpoint = name, id, notice = delivery.notice.id, "dropped: the endpoint is disabled");
            self.metrics.count("DeliveryDropped", &[]);
            return Ok(());
        }
        let now = self.runtime.now();
        let body = serde_json::to_vec(&delivery.notice).map_err(|error| Failed::Here(error.to_string()))?;
        let there = |why: String| Failed::There { why, retry_after: None };
        let headers = sign_webhook(&id, &body, &endpoint.keys, now).map_err(|error| there(error.to_string()))?;
        let hook = Hook { url: &endpoint.url, port: endpoint.port, headers: &headers, body };
        let answered =
            self.hooks.post(hook, TIMEOUT, now).await.map_err(|error: HookError| there(error.to_string()))?;
        match Verdict::of(answered.status) {
            Verdict::Delivered => {
                tracing::info!(endpoint = name, id, notice = delivery.notice.id, attempt, "delivered");
                self.metrics.count("Delivered", &[]);
                Ok(())
            }
            Verdict::Gone => {
                let disabled = self.endpoints.disable(name, now).await;
                disabled.map_err(|error| Failed::Here(error.to_string()))?;
                tracing::error!(
                    endpoint = name,
                    id,
                    notice = delivery.notice.id,
                    "the endpoint answered 410, and is told nothing any more"
                );
                self.metrics.count("EndpointDisabled", &[]);
                Ok(())
            }
            Verdict::Later => {
                Err(Failed::There { why: answered.status.to_string(), retry_after: answered.retry_after })
            }
        }
    }

    /// Holds back what failed, for longer each time. After the last attempt the queue itself takes it away.
    async fn hold_back(&self, message: &Message, why: &str, retry_after: Option<Duration>) {
        let (endpoint, notice) = match &message.content {
            Some(Content::Delivery(delivery)) => (delivery.endpoint.as_str(), delivery.notice.id.as_str()),
            _ => ("", ""),
        };
        self.metrics.count("DeliveryFailed", &[]);
        let Some(wait) = wait(message.attempt, retry_after, self.runtime.random()) else {
            tracing::error!(endpoint, notice, attempt = message.attempt, why, "not delivered, and not tried any more");
            return;
        };
        tracing::warn!(endpoint, notice, attempt = message.attempt, why, seconds = wait.as_secs(), "not delivered yet");
        if let Err(error) = self.queue.postpone(&message.receipt, wait).await {
            tracing::warn!(%error, "a message comes back sooner than it should");
        }
    }
}
