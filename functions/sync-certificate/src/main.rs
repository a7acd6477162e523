//! Wires the function `sync-certificate`.
// The futures of the SDK, of the runtime and of a handler lie deep in one another.
#![recursion_limit = "256"]

use certbridge_platform::{
    Env, Metrics, Secrets, SecretsManager, SystemRuntime, aws, http, logs, metrics::NAMESPACE, trace,
};
use certbridge_store::{DynamoStore, SqsRetryQueue};
use certbridge_sync::in_force::REFRESH;
use certbridge_wiring::{EngineConfig, engine, refresh, within};
use std::sync::Arc;
use sync_certificate::{SyncCertificate, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let env = Env::process();
    logs::init(&env);
    let config = EngineConfig::read(&env)?;
    let sdk = aws::function_config(&env)?;
    let store = DynamoStore::new(aws_sdk_dynamodb::Client::new(&sdk), config.tables);
    let queue = SqsRetryQueue::new(aws_sdk_sqs::Client::new(&sdk), config.retry_queue_url);
    let metrics = Metrics::new(NAMESPACE, "sync-certificate", SystemRuntime);
    let secrets = Secrets::new(SecretsManager::new(&sdk, config.secret_prefix), SystemRuntime);
    let secrets = Arc::new(secrets.telling(metrics.clone()));
    let engine = engine(&env, config.destination, store, secrets, queue, &metrics, REFRESH).await?;
    let app = &SyncCertificate { engine, metrics };
    http::serve(async move |request| {
        refresh(&app.engine, &app.metrics).await;
        within(trace::of_request(&request), handle(app, request)).await
    })
    .await
}
