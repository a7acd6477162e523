//! The world that batches are tested in: real HTTP, tables and archive in memory, a clock that is moved by hand.

use crate::breaker::{Clock, NoQueue, OneKey, World};
use certbridge::local::machine::Execution;
use certbridge_archive::Archive;
use certbridge_batch::{BatchSync, Ended, Input};
use certbridge_mapping::Definitions;
use certbridge_remote::{HttpSources, Snapshots};
use certbridge_sandbox::{self as sandbox, Accredible, Credential};
use certbridge_sync::{
    audit::Actor,
    batches::{BatchId, BatchRequest, BatchRow, BatchStatus, Batches as _, Mode},
    memory::MemoryStore,
    ports::Runtime,
    reconcile::{Drift, Outcome, Report},
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

pub(crate) type App = BatchSync<MemoryStore, HttpSources<OneKey>, Snapshots<OneKey>, NoQueue, Clock>;

/// A source, a destination, our tables, and what carries batches over them.
pub(crate) struct Batches {
    pub(crate) app: App,
    pub(crate) source: Accredible,
    pub(crate) destination: sandbox::Snapshots,
    pub(crate) store: MemoryStore,
    pub(crate) clock: Clock,
}

impl Batches {
    /// A source with certificates `1` to `records`, and a destination with none.
    pub(crate) async fn with(records: u32) -> Self {
        Self::by(&Definitions::built_in(), records).await
    }

    /// The same, by these definitions.
    pub(crate) async fn by(definitions: &Definitions, records: u32) -> Self {
        let World { source, destination, store, clock, engine } = World::start_by(definitions).await;
        clock.set(Timestamp::now());
        for id in 1..=records {
            let id = id.to_string();
            source.put(&id, &Credential::new(&id).at_location("loc_london"));
        }
        let app = BatchSync { engine, archive: Archive::memory(), checkpoints: Archive::memory() };
        Self { app, source, destination, store, clock }
    }

    /// Puts a batch on record, an hour after the last one.
    pub(crate) async fn asked_for(&self, id: &str, request: BatchRequest) -> BatchId {
        self.clock.set(self.clock.now() + SignedDuration::from_hours(1));
        let row = BatchRow {
            id: id.parse().unwrap(),
            request,
            request_digest: format!("digest-of-{id}"),
            requested_at: self.clock.now(),
            status: BatchStatus::Queued,
            execution: None,
            finished_at: None,
            summary: None,
            error: None,
        };
        self.store.register(&row).await.unwrap();
        row.id
    }

    pub(crate) fn execution(&self, id: &BatchId) -> Execution {
        Execution::new(Input { batch_id: Some(id.clone()), ..Input::default() }, &self.clock)
    }

    pub(crate) async fn ended(&self, id: &BatchId) -> (Ended, Report) {
        let ended = self.execution(id).run(&self.app).await.unwrap();
        let report = self.report(&ended).await;
        (ended, report)
    }

    pub(crate) async fn run(&self, id: &str) -> (Ended, Report) {
        self.ended(&self.asked_for(id, reconcile()).await).await
    }

    pub(crate) async fn forced(&self, id: &str) -> (Ended, Report) {
        self.ended(&self.asked_for(id, BatchRequest { force: true, ..reconcile() }).await).await
    }

    /// Of how the execution of a batch ended.
    pub(crate) async fn report(&self, ended: &Ended) -> Report {
        let report = ended.report.as_ref().expect("a batch that came to its end has a report");
        self.app.archive.get_json(&format!("{report}.json")).await.unwrap().unwrap()
    }

    pub(crate) fn pushes(&self) -> usize {
        self.destination.applications().len()
    }
}

pub(crate) fn reconcile() -> BatchRequest {
    BatchRequest {
        mode: Mode::Reconcile,
        source: "accredible".to_owned(),
        kind: certbridge_mapping::Kind::Certificate,
        dry_run: false,
        force: false,
        actor: Actor::Reconciliation,
    }
}

pub(crate) fn outcomes(report: &Report) -> BTreeMap<Outcome, u64> {
    assert!(report.adds_up(), "{report:?}");
    report.totals.outcomes.clone()
}

/// How one record came out.
pub(crate) fn found(report: &Report, id: &str) -> (Outcome, Option<Drift>, bool) {
    let finding = report.findings.iter().find(|finding| finding.id == id);
    finding.map_or((Outcome::Matched, None, false), |of| (of.outcome, of.drift, of.repaired))
}
