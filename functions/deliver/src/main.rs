//! Wires the function `deliver`.
// The futures of the SDK, of the runtime and of a handler lie deep in one another.
#![recursion_limit = "256"]

use aws_lambda_events::sqs::SqsEvent;
use certbridge_platform::{
    Env, Metrics, Secrets, SecretsManager, SystemRuntime, aws, logs, metrics::NAMESPACE, secrets::ENDPOINTS,
};
use certbridge_remote::hooks::{Hooks, Reach};
use certbridge_store::{DynamoStore, SqsDeliveries};
use deliver::{BatchResponse, Config, Deliver, handle};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use std::sync::Arc;
use tracing::Instrument;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    logs::init(&env);
    let config = Config::read(&env)?;
    let sdk = aws::function_config(&env)?;
    let secrets = Arc::new(Secrets::new(SecretsManager::new(&sdk, config.secret_prefix), SystemRuntime));
    secrets.prefetch([ENDPOINTS]).await;
    let app = &Deliver {
        queue: SqsDeliveries::new(aws_sdk_sqs::Client::new(&sdk), config.queue_url),
        endpoints: DynamoStore::new(aws_sdk_dynamodb::Client::new(&sdk), config.tables),
        secrets,
        hooks: Hooks::new(Reach::Public)?,
        runtime: SystemRuntime,
        metrics: Metrics::new(NAMESPACE, "deliver", SystemRuntime),
    };
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let span = tracing::info_span!("queue", request_id = event.context.request_id);
        Ok::<BatchResponse, Error>(handle(app, event.payload).instrument(span).await)
    }))
    .await
}
