//! Whether our subscriptions at the sources are still in force, where a source tells: one that was disabled is silent, and
//! so is one to which nothing happens.

use crate::App;
use certbridge_platform::metrics::Unit;
use certbridge_sync::ports::Sources;
use serde_json::{Value, json};

impl<S, R: Sources, D, Q, T, K> App<S, R, D, Q, T, K> {
    /// Asks every source, one after the other. One that cannot be asked keeps none of the others from it.
    pub(crate) async fn check_subscriptions(&self) -> Value {
        let engine = &self.batches.engine;
        let mut told = serde_json::Map::new();
        for plan in &engine.plans.all() {
            let source = plan.source().name.as_str();
            let lapsed = match engine.sources.lapsed_subscriptions(plan.source()).await {
                Ok(None) => continue,
                Ok(Some(lapsed)) => lapsed,
                Err(error) => {
                    tracing::warn!(source, %error, "cannot be asked for our subscriptions");
                    told.insert(source.to_owned(), json!({ "error": error.to_string() }));
                    continue;
                }
            };
            if !lapsed.is_empty() {
                tracing::error!(source, lapsed = lapsed.join(", "), "subscriptions that bring nothing any more");
            }
            self.metrics.emit(&[("SubscriptionsLapsed", lapsed.len() as f64, Unit::Count)], &[("Source", source)]);
            told.insert(source.to_owned(), json!({ "lapsed": lapsed }));
        }
        Value::Object(told)
    }
}
