use aws_lambda_events::dynamodb::{Event, EventRecord};
use certbridge_platform::{Metrics, metrics::Unit};
use certbridge_store::{audit_row, inbox_row};
use certbridge_sync::{
    StoreError,
    notice::{Bus, Notice},
    ports::Runtime,
};
use serde::Serialize;
use serde_dynamo::AttributeValue;

/// Everything that the handler needs.
#[derive(Debug)]
pub struct Notify<B, R> {
    /// Where notices go.
    pub bus: B,
    /// The clock.
    pub runtime: R,
    /// The counters.
    pub metrics: Metrics,
}

/// The answer to a batch: what is to be delivered again.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// The failed parts.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// One failed part of a batch.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// The stream's sequence number.
    pub item_identifier: String,
}

/// Handles one batch of the audit table's stream, or of the inbox's, whose filter leaves only what was set aside.
///
/// A row that cannot be read is counted and left: it would hold up every row behind it until it expires. A notice that the
/// bus does not take is asked for again, and with it whatever came after it in the stream: what was taken already comes
/// out twice, under the same id.
pub async fn handle<B: Bus, R: Runtime>(app: &Notify<B, R>, event: &Event) -> BatchResponse {
    let (mut notices, mut ids) = (Vec::new(), Vec::new());
    for record in &event.records {
        match app.notice(record) {
            Ok(Some(notice)) => {
                notices.push(notice);
                ids.push(record.change.sequence_number.clone().unwrap_or_default());
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, key = key(record, "pk"), "a row tells nobody anything: it cannot be read");
                app.metrics.count("NoticeUnreadable", &[]);
            }
        }
    }
    if notices.is_empty() {
        return BatchResponse::default();
    }
    let unsent = app.bus.put(&notices).await;
    for (place, Notice { id, notice_type, .. }) in notices.iter().enumerate() {
        if unsent.contains(&place) {
            tracing::warn!(notice = id, kind = notice_type, "not taken by the bus, to be put again");
        } else {
            tracing::info!(notice = id, kind = notice_type, "put onto the bus");
        }
    }
    let sent = notices.len() - unsent.len();
    app.metrics
        .emit(&[("NoticesSent", sent as f64, Unit::Count), ("NoticesUnsent", unsent.len() as f64, Unit::Count)], &[]);
    let failed = |place: usize| Some(BatchItemFailure { item_identifier: ids.get(place)?.clone() });
    BatchResponse { batch_item_failures: unsent.into_iter().filter_map(failed).collect() }
}

impl<B, R: Runtime> Notify<B, R> {
    /// What a change of a row tells.
    fn notice(&self, record: &EventRecord) -> Result<Option<Notice>, StoreError> {
        let image = || record.change.new_image.clone().into();
        // Rows of the audit have a place in their chain; those of the inbox have none.
        if !record.change.keys.contains_key("sk") {
            let at = record.change.approximate_creation_date_time.timestamp_millis();
            let at = jiff::Timestamp::from_millisecond(at).ok().filter(|at| at.as_second() > 0);
            return Ok(Notice::of_inbox(&inbox_row(&image())?, at.unwrap_or_else(|| self.runtime.now())));
        }
        if record.event_name != "INSERT" {
            self.touched(record);
            return Ok(None);
        }
        let row = audit_row(&image())?;
        Notice::of_audit(&row).map(Some).ok_or_else(|| StoreError::Refused("its record cannot be read".to_owned()))
    }

    /// Rows are only ever added to the audit. Who did anything else stands in `CloudTrail`; the stream does not know.
    fn touched(&self, record: &EventRecord) {
        let (record_key, sequence) = (key(record, "pk"), key(record, "sk"));
        tracing::error!(change = record.event_name, record = record_key, sequence, "an audit row was touched");
        self.metrics.count("AuditTouched", &[]);
    }
}

fn key<'a>(record: &'a EventRecord, name: &str) -> Option<&'a str> {
    match record.change.keys.get(name)? {
        AttributeValue::S(value) | AttributeValue::N(value) => Some(value),
        _ => None,
    }
}
