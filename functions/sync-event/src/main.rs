//! Wires the function `sync-event`.
// The futures of the SDK, of the runtime and of a handler lie deep in one another.
#![recursion_limit = "256"]

use certbridge_platform::{
    Env, Metrics, Secrets, SecretsManager, SystemRuntime, Tracer, aws, http, logs, metrics::NAMESPACE, trace,
};
use certbridge_store::{DynamoStore, SqsRetryQueue};
use certbridge_sync::{in_force::REFRESH, ports::Runtime};
use certbridge_wiring::{EngineConfig, engine, refresh, within};
use jiff::SignedDuration;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;
use std::sync::Arc;
use sync_event::{BatchResponse, SyncEvent, handle};

/// How long an invocation is taken to last that does not say it.
const UNTOLD: SignedDuration = SignedDuration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    logs::init(&env);
    let config = EngineConfig::read(&env)?;
    let sdk = aws::function_config(&env)?;
    let store = DynamoStore::new(aws_sdk_dynamodb::Client::new(&sdk), config.tables);
    let queue = SqsRetryQueue::new(aws_sdk_sqs::Client::new(&sdk), config.retry_queue_url);
    let metrics = Metrics::new(NAMESPACE, "sync-event", SystemRuntime);
    let secrets = Secrets::new(SecretsManager::new(&sdk, config.secret_prefix), SystemRuntime);
    let secrets = Arc::new(secrets.telling(metrics.clone()));
    let engine = engine(&env, config.destination, store, secrets, queue, &metrics, REFRESH).await?;
    let app = &SyncEvent { engine, metrics, tracer: Tracer::new(&env, "sync-event") };

    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let ends_at = http::ends_at(&event.context).unwrap_or_else(|| SystemRuntime.now() + UNTOLD);
        refresh(&app.engine, &app.metrics).await;
        let work = handle(app, event.payload.try_into()?, &event.context.request_id, ends_at);
        let answer = within(trace::of_context(&event.context), work).await?;
        Ok::<BatchResponse, Error>(answer)
    }))
    .await
}
