//! The polls of all sources whose definitions ask for them, one after the other.

use crate::App;
use certbridge_batch::Tables;
use certbridge_mapping::{Kind, Plan};
use certbridge_platform::metrics::Unit;
use certbridge_sync::{
    poll::{PollError, PollMarks, Polled, poll},
    ports::{Runtime, Sources},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// How long all polls of an invocation may take: the next one comes five minutes later.
const LONGEST: SignedDuration = SignedDuration::from_mins(4);

impl<S, R, D, Q, T, K> App<S, R, D, Q, T, K>
where
    S: Tables + PollMarks,
    R: Sources,
    T: Runtime,
{
    /// Polls every source that is to be polled. One that fails keeps none of the others from it; the next invocation
    /// goes on where each stood.
    pub(crate) async fn poll(&self, ends_at: Timestamp) -> Value {
        let engine = &self.batches.engine;
        let stop_at = ends_at.min(engine.runtime.now() + LONGEST);
        let mut told = serde_json::Map::new();
        for plan in &engine.plans.all() {
            for kind in plan.polled_kinds() {
                let polled = poll(&engine.store, &engine.sources, &engine.runtime, plan, kind, stop_at).await;
                told.insert(format!("{}/{kind}", plan.source().name), self.tell_poll(plan, kind, polled));
            }
        }
        Value::Object(told)
    }

    /// One log line and one set of numbers per poll.
    fn tell_poll(&self, plan: &Plan, kind: Kind, polled: Result<Polled, PollError>) -> Value {
        let source = plan.source().name.as_str();
        let now = self.batches.engine.runtime.now();
        match polled {
            Ok(polled) => {
                let Polled { pages, found, accepted, duplicates, nameless, undated, done, walked_at, .. } = &polled;
                let cut_short = polled.cut_short.as_ref().map(ToString::to_string);
                tracing::info!(
                    source, %kind, pages, found, accepted, duplicates, nameless, undated, done, cut_short, "polled"
                );
                let age = walked_at.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0));
                let numbers = [
                    ("PollPages", *pages as f64, Unit::Count),
                    ("PollAccepted", *accepted as f64, Unit::Count),
                    ("PollNameless", *nameless as f64, Unit::Count),
                    ("PollAge", age, Unit::Seconds),
                ];
                self.metrics.emit(&numbers, &[("Source", source)]);
                json!({ "accepted": accepted, "pages": pages, "done": done })
            }
            Err(error) => {
                let transient = error.is_transient();
                tracing::error!(source, %kind, %error, transient, "not polled");
                self.metrics.count("PollFailed", &[("Source", source)]);
                json!({ "error": error.to_string() })
            }
        }
    }
}
