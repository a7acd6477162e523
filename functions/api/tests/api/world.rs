//! The function on a clock, tables and an archive of the test's, asked by the gateway's own events.

use api::{Api, Cursors, Tables, handle};
use certbridge_archive::Archive;
use certbridge_mapping::{Definitions, EventKey, Kind, RecordKey};
use certbridge_platform::{
    Metrics,
    http::{self, GatewayResponse},
    metrics::{Collected, NAMESPACE},
};
use certbridge_sync::{
    AuditRow, StoreError,
    batches::{
        BatchId, BatchProgress, BatchRow, BatchStatus, BatchStep, BatchSummary, Batches, Executions, Registered, Turn,
    },
    catalog::{Catalog, Listed, Open},
    history::{AuditLog, Delivery},
    memory::MemoryStore,
    ports::{ClaimError, CommitError, Inbox, Inserted, Overdue, Records, RetryQueue, Runtime, Scanned},
    reconcile::Verdict,
    replay::{Reopening, Replays},
    row::{Claim, Commit, InboxRow, InboxState, Lease, Pointer, RecordRow, Release, Reschedule},
};
use jiff::{SignedDuration, Timestamp};
use lambda_http::Context;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A clock that goes on by a second whenever it is read, and counts for randomness.
#[derive(Clone, Default)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Runtime for Clock {
    fn now(&self) -> Timestamp {
        let seconds = i64::try_from(self.0.fetch_add(1, Ordering::SeqCst)).unwrap();
        "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    async fn sleep(&self, _: Duration) {}

    fn random(&self) -> u128 {
        u128::from(self.0.load(Ordering::SeqCst))
    }
}

/// What it was asked to start, and how it fails.
#[derive(Clone, Default)]
pub(crate) struct Machine(Arc<Mutex<(Vec<String>, Option<StoreError>)>>);

impl Machine {
    pub(crate) fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().0.clone()
    }

    pub(crate) fn fail(&self, error: Option<StoreError>) {
        self.0.lock().unwrap().1 = error;
    }
}

impl Executions for Machine {
    async fn start(&self, id: &BatchId) -> Result<(), StoreError> {
        let mut machine = self.0.lock().unwrap();
        machine.0.push(id.to_string());
        machine.1.clone().map_or(Ok(()), Err)
    }
}

/// A table that does nothing.
pub(crate) struct Broken(pub(crate) StoreError);

impl Batches for Broken {
    async fn register(&self, _: &BatchRow) -> Result<Registered, StoreError> {
        Err(self.0.clone())
    }

    async fn update_batch(&self, _: &BatchRow) -> Result<(), StoreError> {
        Err(self.0.clone())
    }

    async fn batch(&self, _: &BatchId) -> Result<Option<(BatchRow, BatchProgress)>, StoreError> {
        Err(self.0.clone())
    }

    async fn batches(&self, _: Option<&str>, _: usize) -> Result<Scanned<BatchRow>, StoreError> {
        Err(self.0.clone())
    }

    async fn note(&self, _: &BatchId, _: BatchStep) -> Result<(), StoreError> {
        Err(self.0.clone())
    }

    async fn take_turn(&self, _: &str, _: Timestamp, _: Timestamp) -> Result<Turn, StoreError> {
        Err(self.0.clone())
    }

    async fn end_turn(&self, _: &str) -> Result<(), StoreError> {
        Err(self.0.clone())
    }
}

/// Of the other tables, as of this one.
macro_rules! broken {
    ($($port:ident { $(fn $name:ident($($type:ty),*) -> $answer:ty;)* })*) => {
        $(impl $port for Broken {
            $(async fn $name(&self, $(_: $type),*) -> Result<$answer, StoreError> {
                Err(self.0.clone())
            })*
        })*
    };
}

broken! {
    Catalog {
        fn listed(Kind, u8, Option<&str>, Option<Timestamp>, usize) -> Vec<Listed>;
        fn open(InboxState, u8, Option<&Open>, usize) -> Vec<Open>;
    }
    AuditLog {
        fn rows(&RecordKey, Option<u64>, usize) -> Vec<AuditRow>;
        fn deliveries(&[EventKey]) -> Vec<Delivery>;
    }
    Replays {
        fn reopen(&InboxRow, &Reopening) -> bool;
    }
    Inbox {
        fn insert(&InboxRow) -> Inserted;
        fn get(&EventKey) -> Option<InboxRow>;
        fn reschedule(&EventKey, u32, &Reschedule) -> bool;
        fn set_aside(&EventKey, u32, InboxState, &str) -> bool;
        fn overdue(u8, Timestamp, usize) -> Vec<Overdue>;
    }
}

impl Records for Broken {
    async fn claim(&self, _: &RecordKey, _: &Lease, _: Timestamp) -> Result<Claim, ClaimError> {
        Err(self.0.clone().into())
    }

    async fn release(&self, _: &Claim, _: Release) -> Result<(), StoreError> {
        Err(self.0.clone())
    }

    async fn commit(&self, _: &Commit<'_>) -> Result<(), CommitError> {
        Err(self.0.clone().into())
    }

    async fn read(&self, _: &RecordKey) -> Result<Option<RecordRow>, StoreError> {
        Err(self.0.clone())
    }
}

/// A queue that remembers what was sent.
#[derive(Clone, Default)]
pub(crate) struct Queue(Arc<Mutex<Vec<Pointer>>>);

impl Queue {
    pub(crate) fn sent(&self) -> Vec<Pointer> {
        self.0.lock().unwrap().clone()
    }
}

impl RetryQueue for Queue {
    async fn send(&self, pointers: &[(Pointer, Duration)]) -> Result<(), StoreError> {
        self.0.lock().unwrap().extend(pointers.iter().map(|(pointer, _)| pointer.clone()));
        Ok(())
    }
}

pub(crate) struct World<S = MemoryStore> {
    pub(crate) app: Api<S, Queue, Machine, Clock>,
    pub(crate) metrics: Collected,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::on(MemoryStore::new(), Archive::memory())
    }

    /// The row of a batch.
    pub(crate) async fn row(&self, id: &str) -> BatchRow {
        self.app.store.batch(&id.parse().unwrap()).await.unwrap().unwrap().0
    }

    /// Asks for a batch that reconciles, and writes it anew.
    pub(crate) async fn with(id: &str, change: impl FnOnce(&mut BatchRow)) -> Self {
        let world = Self::new();
        world.run(&json!({ "batch_id": id })).await;
        let mut row = world.row(id).await;
        change(&mut row);
        world.app.store.update_batch(&row).await.unwrap();
        world
    }

    /// With a report of which the archive holds these forms.
    pub(crate) async fn reported(archive: Archive, forms: &[(&str, &str)]) -> Self {
        let mut world = Self::with("b-1", finished).await;
        world.app.archive = archive;
        for (form, content) in forms {
            world.app.archive.put(&format!("batches/b-1/report.{form}"), (*content).to_owned()).await.unwrap();
        }
        world
    }
}

pub(crate) fn finished(row: &mut BatchRow) {
    row.status = BatchStatus::Finished;
    row.execution = Some("arn:secret".to_owned());
    row.finished_at = Some(row.requested_at);
    row.summary = Some(BatchSummary {
        verdict: Verdict::Repaired,
        headline: "3 of 5 were repaired".to_owned(),
        records: 5,
        differing: 4,
        repaired: 3,
        report: "batches/b-1/report".to_owned(),
    });
}

impl<S: Tables> World<S> {
    pub(crate) fn on(store: S, archive: Archive) -> Self {
        let metrics = Collected::default();
        let app = Api {
            definitions: Definitions::built_in().into(),
            destination: "snapshots".to_owned(),
            store,
            queue: Queue::default(),
            executions: Machine::default(),
            checkpoints: Archive::memory(),
            archive,
            runtime: Clock::default(),
            metrics: Metrics::new(NAMESPACE, "api", Clock::default()).with_sink(metrics.clone()),
            cursors: Cursors::new("a key of the test's".to_owned().into()),
            summary: Mutex::default(),
        };
        Self { app, metrics }
    }

    pub(crate) async fn send(&self, event: Value) -> Reply {
        let event = serde_json::from_value(event).unwrap();
        let reply = Reply(http::handle(event, Context::default(), &|request| handle(&self.app, request)).await);
        let read = matches!(reply.0.status_code, 200 | 304) && reply.0.headers.contains_key("etag");
        let kept = if read { "private, no-cache" } else { "no-store" };
        assert_eq!(reply.0.headers["cache-control"], kept, "{reply:?}");
        reply
    }

    pub(crate) async fn post(&self, target: &str, body: &str) -> Reply {
        self.send(event("POST", "POST /batch_sync", target, None, Some(body))).await
    }

    pub(crate) async fn run(&self, body: &Value) -> Reply {
        self.post("/batch_sync", &body.to_string()).await
    }

    /// Asks a route that nobody was let in to.
    pub(crate) async fn anyone(&self, key: &str, if_none_match: Option<&str>) -> Reply {
        let (method, path) = key.split_once(' ').unwrap();
        let mut event = event(method, key, path, None, None);
        event["requestContext"]["authorizer"] = Value::Null;
        if let Some(known) = if_none_match {
            event["headers"]["if-none-match"] = json!(known);
        }
        self.send(event).await
    }

    /// Asks a route by its key, whose parameters are given as they stand in the path.
    pub(crate) async fn ask(&self, key: &str, parameters: Value, query: &str, body: Option<&Value>) -> Reply {
        let (method, path) = key.split_once(' ').unwrap();
        let mut event = event(method, key, &format!("{path}?{query}"), None, body.map(Value::to_string).as_deref());
        event["pathParameters"] = parameters;
        self.send(event).await
    }

    pub(crate) async fn list(&self, query: &str) -> Reply {
        self.send(event("GET", "GET /batches", &format!("/batches?{query}"), None, None)).await
    }

    pub(crate) async fn show(&self, id: &str) -> Reply {
        self.send(event("GET", "GET /batches/{id}", &format!("/batches/{id}"), Some(id), None)).await
    }

    pub(crate) async fn report(&self, id: &str, query: &str) -> Reply {
        let target = format!("/batches/{id}/report?{query}");
        self.send(event("GET", "GET /batches/{id}/report", &target, Some(id), None)).await
    }

    /// The dimensions of the one metric of this name since this was last asked.
    pub(crate) fn counted(&self, name: &str) -> Value {
        let lines: Vec<Value> = self.metrics.take().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut counted = lines.into_iter().filter(|line| line[name] == 1);
        let line = counted.next().unwrap_or_default();
        assert!(counted.next().is_none(), "one metric a request");
        line
    }
}

#[derive(Debug)]
pub(crate) struct Reply(pub(crate) GatewayResponse);

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.0.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Its body, if its status is this one.
    #[track_caller]
    pub(crate) fn told(&self, status: u16) -> Value {
        assert_eq!(self.0.status_code, status, "{self:?}");
        self.json()
    }

    /// The end of its problem's type, with its detail.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> (String, String) {
        let body = self.told(status);
        assert_eq!(self.0.headers["content-type"], "application/problem+json", "{self:?}");
        let kind = body["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        (kind, body["detail"].as_str().unwrap_or_default().to_owned())
    }

    #[track_caller]
    pub(crate) fn fields(&self) -> Vec<String> {
        let body = self.told(400);
        body["errors"].as_array().unwrap().iter().map(|of| of["field"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.get(name).map(String::as_str)
    }
}

pub(crate) fn event(method: &str, key: &str, target: &str, id: Option<&str>, body: Option<&str>) -> Value {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    json!({
        "version": "2.0", "routeKey": key, "rawPath": path, "rawQueryString": query, "headers": {},
        "pathParameters": id.map(|id| json!({"id": id})),
        "requestContext": {
            "routeKey": key, "requestId": "r-1", "stage": "$default",
            "authorizer": {"lambda": {"owner": "ops"}},
            "http": {"method": method, "path": path, "sourceIp": "192.0.2.1"},
        },
        "body": body, "isBase64Encoded": false,
    })
}
