//! Wires the function `api`.
// The futures of the SDK, of the runtime and of a handler lie deep in one another.
#![recursion_limit = "256"]

use api::{Api, Config, Cursors, handle};
use certbridge_archive::Archive;
use certbridge_platform::{
    Env, Metrics, Secrets, SecretsManager, SystemRuntime, aws, definitions, http, logs, metrics::NAMESPACE,
};
use certbridge_store::{DynamoStore, SfnExecutions, SqsRetryQueue};
use certbridge_sync::{
    InForce,
    in_force::{Control, REFRESH},
    ports::Runtime,
};
use std::sync::Mutex;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let env = Env::process();
    logs::init(&env);
    let config = Config::read(&env)?;
    let sdk = aws::function_config(&env)?;
    let store = DynamoStore::new(aws_sdk_dynamodb::Client::new(&sdk), config.tables);
    let queue = SqsRetryQueue::new(aws_sdk_sqs::Client::new(&sdk), config.retry_queue_url);
    let executions = SfnExecutions::new(aws_sdk_sfn::Client::new(&sdk), config.state_machine_arn);
    let archive = Archive::open(&config.reports_url, config.endpoint.as_deref())?;
    let checkpoints = config.checkpoints_url.as_ref().unwrap_or(&config.reports_url);
    let checkpoints = Archive::open(checkpoints, config.endpoint.as_deref())?;
    let metrics = Metrics::new(NAMESPACE, "api", SystemRuntime);
    let secrets = Secrets::new(SecretsManager::new(&sdk, config.secret_prefix), SystemRuntime);

    // One read opens the connection to DynamoDB.
    let (control, key) = tokio::join!(store.control(), secrets.cursor_key());
    let definitions = InForce::new(control?.definitions, SystemRuntime.now(), REFRESH);
    definitions::report(&definitions.current(), &metrics);
    let app = &Api {
        definitions,
        destination: config.destination,
        store,
        queue,
        executions,
        archive,
        checkpoints,
        runtime: SystemRuntime,
        metrics,
        cursors: Cursors::new(key?),
        summary: Mutex::default(),
    };
    http::serve(async move |request| {
        definitions::refresh(&app.definitions, &app.store, app.runtime.now(), &app.metrics).await;
        handle(app, request).await
    })
    .await
}
