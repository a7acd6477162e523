//! Metrics in CloudWatch's embedded format: a line on stdout, no call and no agent.

use certbridge_sync::ports::Runtime;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

/// The namespace of all our metrics.
pub const NAMESPACE: &str = "Certbridge";

/// The unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A time in milliseconds.
    Milliseconds,
    /// A time in seconds.
    Seconds,
    /// A size.
    Bytes,
    /// A share, in hundredths.
    Percent,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::Seconds => "Seconds",
            Self::Bytes => "Bytes",
            Self::Percent => "Percent",
        }
    }
}

/// Where the lines go.
pub trait Sink: Send + Sync {
    /// Takes one line, without its end.
    fn line(&self, line: &str);
}

/// Lambda's stdout, which CloudWatch reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stdout;

impl Sink for Stdout {
    fn line(&self, line: &str) {
        // A lost metric must not fail a request.
        let _ = writeln!(io::stdout().lock(), "{line}");
    }
}

/// The log, at the level debug: where there is no CloudWatch to read them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logged;

impl Sink for Logged {
    fn line(&self, line: &str) {
        tracing::debug!(target: "certbridge::metrics", line, "metrics");
    }
}

/// Nowhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dropped;

impl Sink for Dropped {
    fn line(&self, _: &str) {}
}

/// A list that can be looked at, for tests and the local mode.
#[derive(Debug, Clone, Default)]
pub struct Collected(Arc<Mutex<Vec<String>>>);

impl Collected {
    /// Takes out what came so far.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink for Collected {
    fn line(&self, line: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
    }
}

/// The metrics of one function. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    namespace: &'static str,
    function: Arc<str>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    sink: Arc<dyn Sink>,
}

impl Metrics {
    /// Metrics of `function`, on stdout.
    pub fn new(namespace: &'static str, function: &str, runtime: impl Runtime + 'static) -> Self {
        Self { namespace, function: function.into(), clock: Arc::new(move || runtime.now()), sink: Arc::new(Stdout) }
    }

    /// The same metrics, elsewhere.
    #[must_use]
    pub fn with_sink(self, sink: impl Sink + 'static) -> Self {
        Self { sink: Arc::new(sink), ..self }
    }

    /// Counts one thing.
    pub fn count(&self, name: &str, dimensions: &[(&str, &str)]) {
        self.emit(&[(name, 1.0, Unit::Count)], dimensions);
    }

    /// Writes several metrics that share their dimensions: by the function alone, which is what alarms watch, and by all
    /// dimensions together. Each new combination of dimensions is another metric, and is paid for: a source or a reason
    /// is one, an id is not.
    pub fn emit(&self, metrics: &[(&str, f64, Unit)], dimensions: &[(&str, &str)]) {
        let dimensions = std::iter::once(("Function", &*self.function))
            .chain(dimensions.iter().copied())
            .filter(|(_, value)| !value.is_empty()); // CloudWatch drops the whole line over an empty one
        let metrics = metrics.iter().filter(|(_, value, _)| value.is_finite());
        let names: Vec<_> = dimensions.clone().map(|(name, _)| name).collect();
        let mut sets = vec![&names[..1]];
        sets.extend((names.len() > 1).then_some(&names[..]));
        let mut line = Map::new();
        line.insert(
            "_aws".into(),
            json!({
                "Timestamp": (self.clock)().as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": self.namespace,
                    "Dimensions": sets,
                    "Metrics": metrics.clone().map(|(name, _, unit)| json!({"Name": name, "Unit": unit.name()}))
                        .collect::<Vec<_>>(),
                }],
            }),
        );
        line.extend(dimensions.map(|(name, value)| (name.to_owned(), value.into())));
        line.extend(metrics.map(|(name, value, _)| ((*name).to_owned(), number(*value))));
        self.sink.line(&Value::Object(line).to_string());
    }
}

/// Whole numbers without a point, as a reader expects of a count.
fn number(value: f64) -> Value {
    let whole = value as i64;
    if whole as f64 == value { whole.into() } else { value.into() }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("namespace", &self.namespace)
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ManualClock;

    fn emitted(emit: impl FnOnce(&Metrics)) -> Value {
        let lines = Collected::default();
        emit(&Metrics::new(NAMESPACE, "webhook", ManualClock::new()).with_sink(lines.clone()));
        let lines = lines.take();
        assert_eq!(lines.len(), 1);
        assert!(!lines[0].contains('\n'));
        serde_json::from_str(&lines[0]).unwrap()
    }

    #[test]
    fn a_count_is_one_line_of_embedded_format() {
        assert_eq!(
            emitted(|metrics| metrics.count("Accepted", &[("Source", "accredible")])),
            json!({
                "_aws": {
                    "Timestamp": 1_795_341_600_000_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Certbridge",
                        "Dimensions": [["Function"], ["Function", "Source"]],
                        "Metrics": [{"Name": "Accepted", "Unit": "Count"}],
                    }],
                },
                "Function": "webhook",
                "Source": "accredible",
                "Accepted": 1,
            })
        );
    }

    #[test]
    fn several_metrics_share_a_line_and_empty_dimensions_and_no_numbers_are_left_out() {
        let line = emitted(|metrics| {
            let values = [("Lag", 1.5, Unit::Seconds), ("Size", 300.0, Unit::Bytes), ("Rate", f64::NAN, Unit::Count)];
            metrics.emit(&values, &[("Source", "")]);
        });
        assert_eq!((&line["Lag"], &line["Size"], line.get("Rate")), (&json!(1.5), &json!(300), None));
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(declared["Dimensions"], json!([["Function"]]));
        assert_eq!(declared["Metrics"], json!([{"Name": "Lag", "Unit": "Seconds"}, {"Name": "Size", "Unit": "Bytes"}]));
    }
}
