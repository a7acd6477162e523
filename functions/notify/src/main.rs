//! Wires the function `notify`.
// The futures of the SDK, of the runtime and of a handler lie deep in one another.
#![recursion_limit = "256"]

use aws_lambda_events::dynamodb::Event;
use certbridge_platform::{Env, Metrics, SystemRuntime, aws, logs, metrics::NAMESPACE};
use certbridge_store::EventBridgeBus;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use notify::{BatchResponse, Config, Notify, handle};
use tracing::Instrument;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    logs::init(&env);
    let config = Config::read(&env)?;
    let bus = EventBridgeBus::new(aws_sdk_eventbridge::Client::new(&aws::function_config(&env)?), config.event_bus);
    let metrics = Metrics::new(NAMESPACE, "notify", SystemRuntime);
    let app = &Notify { bus, runtime: SystemRuntime, metrics };
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Event>| async move {
        let span = tracing::info_span!("stream", request_id = event.context.request_id);
        Ok::<BatchResponse, Error>(handle(app, &event.payload).instrument(span).await)
    }))
    .await
}
