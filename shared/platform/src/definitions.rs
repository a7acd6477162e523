//! The definitions in force, as every function reports and refreshes them.

use crate::Metrics;
use certbridge_mapping::Definitions;
use certbridge_sync::{InForce, in_force::Control};
use jiff::Timestamp;

/// Reports the definitions that are broken, each with a log line and the metric `DefinitionBroken`.
pub fn report(definitions: &Definitions, metrics: &Metrics) {
    for error in definitions.errors() {
        tracing::error!(%error, "a definition is broken, and its source off");
        metrics.count("DefinitionBroken", &[]);
    }
}

/// Reads the definitions again, if it is time to: at the start of each invocation of a function without an engine. What
/// cannot be read stays as it was.
pub async fn refresh<C: Control>(in_force: &InForce, store: &C, now: Timestamp, metrics: &Metrics) {
    match in_force.refresh(store, now).await {
        Ok(refreshed) => {
            if let Some(definitions) = refreshed.and_then(|refreshed| refreshed.definitions) {
                report(&definitions, metrics);
            }
        }
        Err(error) => tracing::error!(%error, "the definitions in force cannot be read, and stay as they were"),
    }
}
