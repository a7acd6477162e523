//! Wires the function `api`.
// The futures of the SDK, of the runtime and of a handler lie deep in one another.
#![recursion_limit = "256"]

use api::{Api, Config, handle};
use certbridge_archive::Archive;
use certbridge_platform::{Env, Metrics, SystemRuntime, aws, definitions, http, logs, metrics::NAMESPACE};
use certbridge_store::{DynamoStore, SfnExecutions};
use certbridge_sync::{
    InForce,
    in_force::{Control, REFRESH},
    ports::Runtime,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let env = Env::process();
    logs::init(&env);
    let config = Config::read(&env)?;
    let sdk = aws::function_config(&env)?;
    let batches = DynamoStore::new(aws_sdk_dynamodb::Client::new(&sdk), config.tables);
    let executions = SfnExecutions::new(aws_sdk_sfn::Client::new(&sdk), config.state_machine_arn);
    let archive = Archive::open(&config.reports_url, config.endpoint.as_deref())?;
    let metrics = Metrics::new(NAMESPACE, "api", SystemRuntime);

    // One read opens the connection to DynamoDB.
    let files = batches.control().await?.definitions;
    let definitions = InForce::new(files, SystemRuntime.now(), REFRESH);
    definitions::report(&definitions.current(), &metrics);
    let app = &Api { definitions, batches, executions, archive, runtime: SystemRuntime, metrics };
    http::serve(async move |request| {
        definitions::refresh(&app.definitions, &app.batches, app.runtime.now(), &app.metrics).await;
        handle(app, request).await
    })
    .await
}
