//! Wires the function `api`.
// The futures of the SDK, of the runtime and of a handler lie deep in one another.
#![recursion_limit = "256"]

use api::{Api, Config, handle};
use certbridge_archive::Archive;
use certbridge_mapping::Definitions;
use certbridge_platform::{Env, Metrics, SystemRuntime, aws, http, logs, metrics::NAMESPACE};
use certbridge_store::{DynamoStore, SfnExecutions};

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
    let definitions = Definitions::in_force(files.iter().map(|(file, text)| (file.as_str(), text.as_str())));
    for error in definitions.errors() {
        tracing::error!(%error, "a definition is broken, and its source off");
        metrics.count("DefinitionBroken", &[]);
    }
    let app = Api { definitions, batches, executions, archive, runtime: SystemRuntime, metrics };
    http::serve(|request| handle(&app, request)).await
}
