//! Wires the function `batch-sync`.
// The futures of the SDK, of the runtime and of a handler lie deep in one another.
#![recursion_limit = "256"]

use batch_sync::{App, Config, handle};
use certbridge_archive::Archive;
use certbridge_batch::BatchSync;
use certbridge_platform::{
    Env, Metrics, Secrets, SecretsManager, SystemRuntime, aws, http, logs, metrics::NAMESPACE, trace,
};
use certbridge_store::{DynamoStore, SqsRetryQueue};
use certbridge_sync::{in_force::REFRESH, ports::Runtime};
use certbridge_wiring::{engine, refresh, within};
use jiff::SignedDuration;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;
use std::sync::Arc;

/// How long an invocation is taken to last that does not say it.
const UNTOLD: SignedDuration = SignedDuration::from_mins(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    logs::init(&env);
    let Config { engine: config, reports_url, checkpoints_url, endpoint } = Config::read(&env)?;
    let sdk = aws::function_config(&env)?;
    let store = DynamoStore::new(aws_sdk_dynamodb::Client::new(&sdk), config.tables);
    let queue = SqsRetryQueue::new(aws_sdk_sqs::Client::new(&sdk), config.retry_queue_url);
    let metrics = Metrics::new(NAMESPACE, "batch-sync", SystemRuntime);
    let secrets = Secrets::new(SecretsManager::new(&sdk, config.secret_prefix), SystemRuntime);
    let secrets = Arc::new(secrets.telling(metrics.clone()));
    let archive = Archive::open(&reports_url, endpoint.as_deref())?;
    let checkpoints = Archive::open(&checkpoints_url, endpoint.as_deref())?;
    let engine = engine(&env, config.destination, store, Arc::clone(&secrets), queue, &metrics, REFRESH).await?;
    let app = &App { batches: BatchSync { engine, archive, checkpoints }, metrics, keys: secrets };

    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let ends_at = http::ends_at(&event.context).unwrap_or_else(|| SystemRuntime.now() + UNTOLD);
        let (trace, request_id) = (trace::of_context(&event.context), event.context.request_id);
        refresh(&app.batches.engine, &app.metrics).await;
        within(trace, handle(app, event.payload, &request_id, ends_at)).await
    }))
    .await
}
