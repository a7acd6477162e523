//! What a caller gave to be told, compared with what the destination was told before.

use crate::{
    BatchSync, Tables, TaskError,
    compare::{Mend, Row},
    task::Batch,
};
use certbridge_mapping::{Document, Kind, Plan, Problems, Record, RecordId, Request};
use certbridge_sync::{
    ports::{Destination, RetryQueue, Runtime, Sources},
    reconcile::{Drift, FieldDifference, Finding, Outcome, partition},
    row::RecordState,
};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use std::collections::BTreeMap;

/// How many of our own rows are read at the same time.
const READS: usize = 16;

/// A record as it was given.
struct Given {
    /// Its id, or its place in the request if it has none.
    id: String,
    record: Result<Record, String>,
}

impl<S, R, D, Q, T> BatchSync<S, R, D, Q, T>
where
    S: Tables,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    /// The records of a request, as they stand in the archive.
    pub(crate) async fn given(&self, request_digest: &str) -> Result<Vec<Value>, TaskError> {
        let missing = || TaskError::Refused("the records of the request are no longer there".to_owned());
        self.archive.get_json(&format!("requests/{request_digest}.json")).await?.ok_or_else(missing)
    }

    /// How each record of a partition came out, in the order of the ids.
    pub(crate) async fn given_rows(&self, plan: &Plan, batch: &Batch, of: u16) -> Result<Vec<Row>, TaskError> {
        let mut by_id: BTreeMap<String, Vec<Result<Record, String>>> = BTreeMap::new();
        for (place, value) in self.given(&batch.request_digest).await?.iter().enumerate() {
            let Given { id, record } = read(plan, batch, place, value);
            if partition(&id, batch.partitions) == of {
                by_id.entry(id).or_default().push(record);
            }
        }
        let row = async |(id, records)| self.given_row(plan, batch, id, records).await;
        stream::iter(by_id.into_iter().map(row)).buffered(READS).try_collect().await
    }

    async fn given_row(
        &self,
        plan: &Plan,
        batch: &Batch,
        id: String,
        records: Vec<Result<Record, String>>,
    ) -> Result<Row, TaskError> {
        let alike = records.windows(2).all(|pair| pair[0] == pair[1]);
        let record = match records.into_iter().next() {
            _ if !alike => {
                let reason = "it was given more than once, with different content";
                return Ok(open(id, Outcome::Duplicate, reason.to_owned()));
            }
            Some(Ok(record)) => record,
            Some(Err(reason)) => return Ok(open(id, Outcome::Invalid, reason)),
            None => return Ok(open(id, Outcome::Invalid, "it was not given".to_owned())),
        };
        let request = match plan.request(&record) {
            Ok(request) => request,
            Err(problems) => return Ok(open(id, Outcome::Invalid, problems.to_string())),
        };
        let key = match id.parse::<RecordId>() {
            Ok(id) => batch.key(id),
            Err(error) => return Ok(open(id, Outcome::Invalid, error.to_string())),
        };
        let held = self.engine.store.read(&key).await?.and_then(|row| row.state);
        let mut finding = Finding {
            location_id: record.location_id().map(str::to_owned),
            ..Finding::new(id, Outcome::MissingAtDestination)
        };
        match held.filter(|state| !state.record.is_deleted()) {
            None => finding.drift = Some(Drift::NeverArrived),
            Some(told) if told.plan == *plan.version() && told.fingerprint == request.fingerprint() => {
                finding.outcome = Outcome::Matched;
            }
            Some(told) => {
                finding.outcome = Outcome::Mismatched;
                finding.drift = Some(if told.record == record { Drift::PlanChanged } else { Drift::NeverArrived });
                finding.since = Some(told.synced_at);
                finding.fields = differences(plan, batch.kind, &request, &told);
            }
        }
        // Told even if the destination was told just that before: whoever gives a state wants it to be so.
        Ok(Row { finding, mend: Some(Mend::Push { record: Box::new(record), listed_at: None }) })
    }
}

fn read(plan: &Plan, batch: &Batch, place: usize, value: &Value) -> Given {
    let nameless = || format!("records[{place}]");
    let id = match value.get(batch.kind.id_field()) {
        Some(Value::String(text)) => text.parse::<RecordId>().map_err(|error| error.to_string()),
        Some(Value::Number(number)) => number.to_string().parse::<RecordId>().map_err(|error| error.to_string()),
        _ => Err(format!("it has no {}", batch.kind.id_field())),
    };
    match id {
        Err(reason) => Given { id: nameless(), record: Err(reason) },
        Ok(id) => {
            let record = document(value).and_then(|document| plan.given(&batch.key(id.clone()), &document));
            Given { id: id.into(), record: record.map_err(|problems| problems.to_string()) }
        }
    }
}

fn document(value: &Value) -> Result<Document, Problems> {
    Document::given(value.to_string().as_bytes())
}

/// Where what is to be told differs from what was told last.
fn differences(plan: &Plan, kind: Kind, request: &Request, told: &RecordState) -> Vec<FieldDifference> {
    let before = plan.request(&told.record).ok().and_then(|request| request.body.as_object().cloned());
    let differences = plan.differences(kind, request, &before.unwrap_or_default());
    differences.into_iter().map(FieldDifference::from).collect()
}

fn open(id: String, outcome: Outcome, reason: String) -> Row {
    Row { finding: Finding { reason: Some(reason), ..Finding::new(id, outcome) }, mend: None }
}
