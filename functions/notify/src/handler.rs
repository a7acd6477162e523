use aws_lambda_events::dynamodb::{Event, EventRecord};
use certbridge_platform::Metrics;
use serde_dynamo::AttributeValue;

/// Everything that the handler needs.
#[derive(Debug)]
pub struct Notify {
    /// The counters.
    pub metrics: Metrics,
}

/// Handles one batch of the audit table's stream, whose filter leaves out what was added. Returns how many rows were
/// changed or removed. Who did it stands in `CloudTrail`; the stream does not know.
pub fn handle(app: &Notify, event: &Event) -> usize {
    let touched: Vec<_> = event.records.iter().filter(|record| record.event_name != "INSERT").collect();
    for record in &touched {
        let (record_key, sequence) = (key(record, "pk"), key(record, "sk"));
        tracing::error!(change = record.event_name, record = record_key, sequence, "an audit row was touched");
        app.metrics.count("AuditTouched", &[]);
    }
    touched.len()
}

fn key<'a>(record: &'a EventRecord, name: &str) -> Option<&'a str> {
    match record.change.keys.get(name)? {
        AttributeValue::S(value) | AttributeValue::N(value) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use certbridge_platform::{
        SystemRuntime,
        metrics::{Collected, NAMESPACE},
    };
    use serde_json::{Value, json};

    fn handled(records: &[Value]) -> (usize, Vec<String>) {
        let lines = Collected::default();
        let metrics = Metrics::new(NAMESPACE, "notify", SystemRuntime).with_sink(lines.clone());
        let event: Event = serde_json::from_value(json!({ "Records": records })).unwrap();
        (handle(&Notify { metrics }, &event), lines.take())
    }

    fn record(change: &str) -> Value {
        json!({
            "awsRegion": "eu-west-1", "eventID": "1", "eventName": change, "eventSource": "aws:dynamodb",
            "dynamodb": {
                "Keys": {"pk": {"S": "certificate#accredible#1"}, "sk": {"N": "3"}},
                "NewImage": {}, "OldImage": {}, "SequenceNumber": "7", "SizeBytes": 10,
            },
        })
    }

    #[test]
    fn each_changed_or_removed_row_counts() {
        let (touched, lines) = handled(&[record("MODIFY"), record("REMOVE")]);
        assert_eq!(touched, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.contains(r#""AuditTouched":1"#)), "{lines:?}");
    }

    #[test]
    fn an_added_row_does_not_count() {
        assert_eq!(handled(&[record("INSERT")]), (0, vec![]));
        assert_eq!(handled(&[]), (0, vec![]));
    }
}
