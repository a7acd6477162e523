use crate::trigger::{BatchItemFailure, BatchResponse, Content, Item, Trigger};
use certbridge_platform::{Metrics, Tracer, metrics::Unit, trace::Work};
use certbridge_sync::{
    Engine, StoreError,
    audit::Action,
    event::Disposition,
    ports::{Breakers, Destination, Inbox, Records, RetryQueue, Runtime, Sources},
    row::{InboxRow, InboxState, Pointer},
    sweep::{Swept, sweep},
    sync::Run,
};
use certbridge_wiring::within;
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use tracing::Instrument;

/// How many records are worked on at the same time.
const CONCURRENCY: usize = 8;
/// The longest that one record may take.
const LONGEST_RUN: SignedDuration = SignedDuration::from_secs(25);
/// What is kept of the invocation's time to write down what became of the last record.
const RESERVE: SignedDuration = SignedDuration::from_secs(3);
/// The least time that a record is begun with.
const SHORTEST_RUN: SignedDuration = SignedDuration::from_secs(2);
/// How many overdue events of each index shard one sweep sends.
const SWEEP_LIMIT: usize = 500;

/// Everything that the handler needs.
#[derive(Debug)]
pub struct SyncEvent<E> {
    /// The use cases.
    pub engine: E,
    /// The counters.
    pub metrics: Metrics,
    /// Who is told of what was done for a trace.
    pub tracer: Tracer,
}

/// Handles one invocation, which ends at `ends_at` at the latest.
///
/// # Errors
/// Only of a sweep: a batch answers which of its parts failed.
pub async fn handle<S, R, D, Q, T>(
    app: &SyncEvent<Engine<S, R, D, Q, T>>,
    trigger: Trigger,
    request_id: &str,
    ends_at: Timestamp,
) -> Result<BatchResponse, StoreError>
where
    S: Inbox + Records + Breakers,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    match trigger {
        Trigger::Batch(items) => Ok(app.batch(items, request_id, ends_at).await),
        Trigger::Sweep => {
            let engine = &app.engine;
            let now = engine.runtime.now();
            let Swept { sent, since } = sweep(&engine.store, &engine.queue, now, SWEEP_LIMIT).await?;
            if let Some(since) = since {
                tracing::info!(sent, %since, "swept");
            }
            app.metrics.emit(&[("SweepSent", sent as f64, Unit::Count), pending_age(since, now)], &[]);
            Ok(BatchResponse::default())
        }
    }
}

impl<S, R, D, Q, T> SyncEvent<Engine<S, R, D, Q, T>>
where
    S: Inbox + Records + Breakers,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    /// Works on a batch: several records at the same time, what belongs to one record in its order.
    async fn batch(&self, items: Vec<Item>, request_id: &str, ends_at: Timestamp) -> BatchResponse {
        let failures: Vec<Vec<String>> = stream::iter(groups(items))
            .map(|group| self.in_order(group, request_id, ends_at))
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        let failed = |id| BatchItemFailure { item_identifier: id };
        BatchResponse { batch_item_failures: failures.into_iter().flatten().map(failed).collect() }
    }

    /// The ids of the parts that must be delivered again.
    async fn in_order(&self, items: Vec<Item>, request_id: &str, ends_at: Timestamp) -> Vec<String> {
        let mut failed = Vec::new();
        for item in items {
            let now = self.engine.runtime.now();
            if ends_at.duration_since(now) < RESERVE + SHORTEST_RUN {
                failed.push(item.id);
                continue;
            }
            let deadline = (now + LONGEST_RUN).min(ends_at - RESERVE);
            let run = Run { id: request_id.to_owned(), deadline, ends_at };
            if !self.one(&item, &run).await {
                failed.push(item.id);
            }
        }
        failed
    }

    /// Whether one part of a batch is done with, in one way or another.
    async fn one(&self, item: &Item, run: &Run) -> bool {
        let span = span(item, &run.id);
        let result = async {
            match &item.content {
                Ok(Content::Row(row)) => self.sync(row, run).await,
                Ok(Content::Pointer(Pointer::Event(key))) => match self.engine.due(key).await? {
                    Ok(row) => self.sync(&row, run).await,
                    Err(why) => Ok(Disposition::Dropped(why)),
                },
                Ok(Content::Pointer(pointer)) => self.engine.follow(pointer, run).await,
                Ok(Content::Nothing) => Ok(Disposition::Dropped("not an insert")),
                Err(fault) => Err(StoreError::Refused(fault.clone())),
            }
        }
        .instrument(span.clone())
        .await;
        let _entered = span.enter();
        match result {
            Ok(disposition) => {
                self.tell(&disposition, source(item));
                true
            }
            Err(error) => {
                tracing::error!(%error, "to be delivered again");
                self.metrics.count("Redelivered", &[]);
                false
            }
        }
    }

    /// Syncs an event as a part of the trace in which it was taken.
    async fn sync(&self, row: &InboxRow, run: &Run) -> Result<Disposition, StoreError> {
        let Some(trace) = &row.trace else { return self.engine.sync_event(row, run).await };
        tracing::Span::current().record("trace_id", trace.id());
        let runtime = &self.engine.runtime;
        let (began, below) = (runtime.now(), trace.below(runtime.random() as u64));
        let result = within(Some(below.clone()), self.engine.sync_event(row, run)).await;
        let outcome = match &result {
            Ok(Disposition::Settled { report, .. }) => report.outcome.as_str(),
            Ok(Disposition::Later { .. }) => "later",
            Ok(Disposition::SetAside { state, .. }) => state.as_str(),
            Ok(Disposition::Dropped(_)) => "dropped",
            Err(_) => "redelivered",
        };
        let annotations = &[("source", &*row.key.source), ("event_id", &row.key.id), ("outcome", outcome)];
        let (segment, ended, failed) = (below.parent(), runtime.now(), result.is_err());
        self.tracer.tell(Work { trace, segment, began, ended, failed, annotations });
        result
    }

    /// One log line and one count per decision.
    fn tell(&self, disposition: &Disposition, source: &str) {
        match disposition {
            Disposition::Settled { report, since } => {
                let pushed = report.action == Action::Pushed;
                let outcome = report.outcome.as_str();
                tracing::info!(outcome, pushed, sequence = report.sequence, plan = %report.plan, "settled");
                self.metrics.count("Settled", &[("Outcome", outcome)]);
                // What was told nothing has not arrived anywhere.
                if let Some(since) = since.filter(|_| pushed) {
                    let lag = self.engine.runtime.now().duration_since(since).as_millis() as f64;
                    self.metrics.emit(&[("Lag", lag.max(0.0), Unit::Milliseconds)], &[("Source", source)]);
                }
            }
            Disposition::Later { next_at, attempt, reason, received_at } => {
                tracing::warn!(%next_at, attempt, reason, "later");
                let age = pending_age(*received_at, self.engine.runtime.now());
                self.metrics.emit(&[("Retried", 1.0, Unit::Count), age], &[]);
            }
            Disposition::SetAside { state, reason } => {
                tracing::error!(state = state.as_str(), reason, "set aside");
                let metric = if *state == InboxState::Failed { "Failed" } else { "Quarantined" };
                self.metrics.count(metric, &[("Source", source)]);
            }
            Disposition::Dropped(why) => tracing::info!(why, "dropped"),
        }
    }
}

/// How old the oldest event is that is not settled though its time has come: seconds since `since`.
fn pending_age(since: Option<Timestamp>, now: Timestamp) -> (&'static str, f64, Unit) {
    let age = since.map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0));
    ("PendingAge", age, Unit::Seconds)
}

/// The parts of a batch by what must be worked on in order, the groups themselves in the batch's order: where time runs
/// out, a stream goes on from the first part that was not done.
fn groups(items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<Item>> = Vec::new();
    for item in items {
        let place = *places.entry(group(&item)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(item),
            None => groups.push(vec![item]),
        }
    }
    groups
}

/// What must be worked on in order: one record's events. Of a pointer, only the event is known.
fn group(item: &Item) -> String {
    match &item.content {
        Ok(Content::Row(row)) => row.event.as_ref().map_or_else(|| item.id.clone(), |event| event.record.to_string()),
        Ok(Content::Pointer(Pointer::Event(key))) => key.to_string(),
        Ok(Content::Pointer(Pointer::Assert { record, .. })) => record.to_string(),
        _ => item.id.clone(),
    }
}

/// Whose event or record it is; nobody's, if it cannot be read.
fn source(item: &Item) -> &str {
    match &item.content {
        Ok(Content::Row(row)) => &row.key.source,
        Ok(Content::Pointer(Pointer::Event(key))) => &key.source,
        Ok(Content::Pointer(Pointer::Assert { record, .. })) => &record.source,
        _ => "",
    }
}

/// The span of one part of a batch. Which record an event speaks of is known once its row is read.
fn span(item: &Item, request_id: &str) -> tracing::Span {
    let (record, trace_id) = (tracing::field::Empty, tracing::field::Empty);
    match &item.content {
        Ok(Content::Row(row)) => {
            tracing::info_span!("event", request_id, source = row.key.source, event_id = row.key.id, record, trace_id)
        }
        Ok(Content::Pointer(Pointer::Event(key))) => {
            tracing::info_span!("event", request_id, source = key.source, event_id = key.id, record, trace_id)
        }
        Ok(Content::Pointer(Pointer::Assert { record, .. })) => {
            tracing::info_span!("event", request_id, record = %record)
        }
        _ => tracing::info_span!("event", request_id, item = item.id),
    }
}
