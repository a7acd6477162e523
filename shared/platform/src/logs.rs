//! Logs: one JSON object a line, flat, so that a query can name `source` or `event_id` wherever in the spans it stands.

use crate::config::Env;
use serde_json::{Map, Value};
use std::{fmt, io};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    filter::Targets,
    fmt::{
        FmtContext, FormatEvent, FormattedFields, MakeWriter,
        format::{JsonFields, Writer},
    },
    layer::SubscriberExt,
    registry::{LookupSpan, Scope},
};

/// Starts logging to stdout for Lambda, at the level of `AWS_LAMBDA_LOG_LEVEL`, else of `RUST_LOG`, else info. Does
/// nothing if logging was started before.
pub fn init(env: &Env) {
    // Fails only if there is a subscriber already.
    let _ = tracing::subscriber::set_global_default(flat(filter(env, "info"), io::stdout));
}

/// What is logged: as `AWS_LAMBDA_LOG_LEVEL` says, else as `RUST_LOG` does (a level, or levels by target, such as
/// `info,webhook=debug`), else what `default` says.
pub fn filter(env: &Env, default: &str) -> Targets {
    let level = env.get("AWS_LAMBDA_LOG_LEVEL").map(|level| match level.as_str() {
        "FATAL" => "error".to_owned(),
        _ => level.to_lowercase(),
    });
    let directives = level.or_else(|| env.get("RUST_LOG")).unwrap_or_else(|| default.to_owned());
    directives.parse().unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO))
}

fn flat<W>(filter: Targets, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().fmt_fields(JsonFields::new()).event_format(Flat).with_writer(writer);
    tracing_subscriber::registry().with(filter).with(lines)
}

/// Puts the fields of all spans and of the event side by side: the inner ones win, and our own four win over all.
struct Flat;

impl<S> FormatEvent<S, JsonFields> for Flat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                line.extend(serde_json::from_str::<Map<_, _>>(&fields.fields).unwrap_or_default());
            }
        }
        event.record(&mut Fields(&mut line));
        let metadata = event.metadata();
        line.insert("timestamp".into(), jiff::Timestamp::now().to_string().into());
        line.insert("level".into(), metadata.level().as_str().into());
        line.insert("target".into(), metadata.target().into());
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(filter: &str, log: impl FnOnce()) -> Vec<Value> {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        tracing::subscriber::with_default(flat(filter.parse().unwrap(), move || writer.clone()), log);
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn one_flat_line_with_the_fields_of_all_spans() {
        let lines = lines("info", || {
            let outer = tracing::info_span!("request", request_id = "r-1", source = tracing::field::Empty);
            let _outer = outer.enter();
            outer.record("source", "accredible");
            let _inner = tracing::info_span!("sync", record = "certificate#1", attempt = 2).entered();
            tracing::warn!(error = %"busy", ok = false, "a \"line\"\nbreak");
            tracing::debug!("too low");
        });
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        for (name, value) in [
            ("request_id", Value::from("r-1")),
            ("source", "accredible".into()),
            ("record", "certificate#1".into()),
            ("attempt", 2.into()),
            ("error", "busy".into()),
            ("ok", false.into()),
            ("message", "a \"line\"\nbreak".into()),
            ("level", "WARN".into()),
        ] {
            assert_eq!(line[name], value, "{name} in {line}");
        }
        line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    }

    #[test]
    fn lambdas_level_wins() {
        let of = |variables: &[(&str, &str)]| filter(&variables.iter().copied().collect(), "info").to_string();
        assert_eq!(of(&[]), "info");
        assert_eq!(of(&[("RUST_LOG", "warn")]), "warn");
        assert_eq!(of(&[("RUST_LOG", "warn"), ("AWS_LAMBDA_LOG_LEVEL", "DEBUG")]), "debug");
        assert_eq!(of(&[("AWS_LAMBDA_LOG_LEVEL", "FATAL")]), "error");
        assert_eq!(of(&[("RUST_LOG", "a=b=c")]), "info");
    }
}
