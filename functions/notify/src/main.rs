//! Wires the function `notify`.

use aws_lambda_events::dynamodb::Event;
use certbridge_platform::{Env, Metrics, SystemRuntime, logs, metrics::NAMESPACE};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use notify::{Notify, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logs::init(&Env::process());
    let app = &Notify { metrics: Metrics::new(NAMESPACE, "notify", SystemRuntime) };
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Event>| async move {
        handle(app, &event.payload);
        Ok::<_, Error>(())
    }))
    .await
}
