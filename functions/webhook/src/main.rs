//! Wires the function `webhook`.
// The futures of the SDK, of the runtime and of a handler lie deep in one another.
#![recursion_limit = "256"]

use certbridge_mapping::Definitions;
use certbridge_platform::{
    Env, Metrics, Secrets, SecretsManager, SystemRuntime, aws, definitions, http, logs, metrics::NAMESPACE,
};
use certbridge_store::DynamoStore;
use certbridge_sync::{
    InForce,
    in_force::{Control, REFRESH},
    ports::Runtime,
};
use std::sync::Arc;
use webhook::{Config, Webhook, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let env = Env::process();
    logs::init(&env);
    let config = Config::read(&env)?;
    let sdk = aws::function_config(&env)?;
    let inbox = DynamoStore::new(aws_sdk_dynamodb::Client::new(&sdk), config.tables);
    let metrics = Metrics::new(NAMESPACE, "webhook", SystemRuntime);
    let secrets = Secrets::new(SecretsManager::new(&sdk, config.secret_prefix), SystemRuntime);
    let secrets = Arc::new(secrets.telling(metrics.clone()));

    // One read opens the connection to DynamoDB, and the secrets are fetched meanwhile.
    let names: Vec<_> = Definitions::built_in().sources().map(|source| source.secret_name()).collect();
    let (control, ()) = futures::join!(inbox.control(), secrets.prefetch(names.iter().map(String::as_str)));
    // Without the definitions in force nothing is taken: the built-in ones may prove less, and sync less.
    let definitions = InForce::new(control?.definitions, SystemRuntime.now(), REFRESH);
    definitions::report(&definitions.current(), &metrics);
    let app = &Webhook { definitions, secrets, inbox, runtime: SystemRuntime, metrics };
    http::serve(async move |request| {
        definitions::refresh(&app.definitions, &app.inbox, app.runtime.now(), &app.metrics).await;
        handle(app, request).await
    })
    .await
}
