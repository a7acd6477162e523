//! Wires the function `authorizer`.

// The futures of the SDK, of the runtime and of a handler lie deep in one another.
#![recursion_limit = "256"]

use authorizer::{Authorizer, handle};
use certbridge_platform::{
    Env, Metrics, Secrets, SecretsManager, SystemRuntime, aws, config::DEFAULT_SECRET_PREFIX, logs, metrics::NAMESPACE,
    secrets::API_KEYS,
};
use lambda_http::{Error, LambdaEvent, lambda_runtime, service_fn};
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    logs::init(&env);
    let mut vars = env.reader();
    let prefix = vars.parsed("SECRET_PREFIX", DEFAULT_SECRET_PREFIX.to_owned());
    vars.finish()?;
    let secrets = Arc::new(Secrets::new(SecretsManager::new(&aws::function_config(&env)?, prefix), SystemRuntime));
    secrets.prefetch([API_KEYS]).await;
    let app = &Authorizer { secrets, metrics: Metrics::new(NAMESPACE, "authorizer", SystemRuntime) };
    lambda_runtime::run(service_fn(move |event: LambdaEvent<_>| async move {
        handle(app, &event.payload).await.map_err(Error::from)
    }))
    .await
}
