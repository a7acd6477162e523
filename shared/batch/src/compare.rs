//! Comparing a partition, and deciding.

use crate::{
    BatchSync, Tables, TaskError,
    task::{Batch, Compared, Decision, Walk, Walks},
};
use certbridge_archive::Manifest;
use certbridge_mapping::{Plan, Record, RecordId};
use certbridge_sync::{
    batches::{BatchStep, Mode},
    ports::{Destination, RetryQueue, Runtime, Sources},
    reconcile::{self, Finding, Outcome, Repair, Tally},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// How far apart two moments must be to be told in order: the skew of two clocks and the time of a push.
const MARGIN: SignedDuration = SignedDuration::from_secs(15);

/// What a comparison wrote of a partition.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// The numbers of what matched, and needs nothing more.
    pub(crate) settled: Tally,
    /// Everything else, in the order of the ids.
    pub(crate) rows: Vec<Row>,
}

/// A finding, with what would mend it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) finding: Finding,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mend: Option<Mend>,
}

/// What would mend it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mend {
    /// Telling the destination of this record; if it was listed, only if nobody touched it since.
    Push { record: Box<Record>, listed_at: Option<Timestamp> },
    /// Asking the source directly, since what was listed is not proof enough.
    Read,
}

impl<S, R, D, Q, T> BatchSync<S, R, D, Q, T>
where
    S: Tables,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    /// Compares one partition, and writes what was found. Of what matches, only the numbers are kept.
    pub(crate) async fn compare(&self, batch: &Batch, walks: &Walks, partition: u16) -> Result<Compared, TaskError> {
        let plan = &self.plan(&batch.source)?;
        let rows = match batch.mode {
            Mode::Reconcile => self.listed(plan, batch, walks, partition).await?,
            Mode::Upsert => self.given_rows(plan, batch, partition).await?,
        };
        let canary = canary(plan, batch);
        let found = Compared {
            partition,
            records: rows.len() as u64,
            repairs: rows.iter().filter(|row| row.mend.is_some()).count() as u64,
            canary: canary
                .and_then(|id| rows.iter().find(|row| row.finding.id == id.as_str()))
                .map(|row| row.finding.outcome),
        };
        let is_open = |row: &Row| row.mend.is_some() || row.finding.outcome != Outcome::Matched;
        let (rows, settled): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_open);
        let comparison = Comparison { settled: Tally::of(settled.into_iter().map(|row| row.finding)), rows };
        self.archive.put_json(&at(batch, partition), &comparison).await?;
        self.engine.store.note(&batch.id, BatchStep::Compared(partition)).await?;
        Ok(found)
    }

    async fn listed(&self, plan: &Plan, batch: &Batch, walks: &Walks, partition: u16) -> Result<Vec<Row>, TaskError> {
        let now = self.engine.runtime.now();
        let own = self.rows(batch, "own", &walks.own, partition).await?;
        let listed = reconcile::Partition {
            source: self.rows(batch, "source", &walks.source, partition).await?,
            destination: self.rows(batch, "destination", &walks.destination, partition).await?,
            own: own.unwrap_or(reconcile::Listing { rows: Vec::new(), began_at: now, complete: false }),
            now,
            margin: MARGIN,
        };
        let row = |of: reconcile::Compared| Row {
            finding: of.finding,
            mend: of.repair.map(|repair| match repair {
                Repair::Read => Mend::Read,
                Repair::Push { record, listed_at } => Mend::Push { record, listed_at: Some(listed_at) },
            }),
        };
        Ok(reconcile::compare(plan, batch.kind, listed).into_iter().map(row).collect())
    }

    /// Whether what was found may be repaired.
    pub(crate) fn decide(&self, batch: &Batch, walks: &Walks, compared: &[Compared]) -> Result<Decision, TaskError> {
        let plan = &self.plan(&batch.source)?;
        let mut remarks = Vec::new();
        if batch.mode == Mode::Reconcile && !batch.force {
            remarks.extend(too_many(plan, compared));
            remarks.extend(canary(plan, batch).and_then(|id| lost(id, compared)));
        }
        let repair = !batch.dry_run && remarks.is_empty() && walks.own.side.complete;
        Ok(Decision { repair, remarks })
    }

    /// What a partition holds of a listing; `None` if there is no such listing.
    pub(crate) async fn rows<W: DeserializeOwned>(
        &self,
        batch: &Batch,
        side: &str,
        walk: &Walk,
        partition: u16,
    ) -> Result<Option<reconcile::Listing<W>>, TaskError> {
        if walk.unlisted {
            return Ok(None);
        }
        let manifest = Manifest::new(&self.archive, batch.path(side));
        let rows = manifest.read(&walk.segments, partition).await?;
        let began_at = walk.began_at.unwrap_or(batch.started_at);
        Ok(Some(reconcile::Listing { rows, began_at, complete: walk.side.complete }))
    }

    /// What the comparison wrote of a partition.
    pub(crate) async fn comparison(&self, batch: &Batch, partition: u16) -> Result<Comparison, TaskError> {
        let missing = || TaskError::Refused(format!("partition {partition} was never compared"));
        self.archive.get_json(&at(batch, partition)).await?.ok_or_else(missing)
    }
}

fn at(batch: &Batch, partition: u16) -> String {
    batch.path(&format!("compared/{partition:03}.json"))
}

fn canary<'a>(plan: &'a Plan, batch: &Batch) -> Option<&'a RecordId> {
    plan.source().records.get(&batch.kind)?.listed.as_ref()?.canary.as_ref()
}

/// Why so many changes need a person's word, if they do.
fn too_many(plan: &Plan, compared: &[Compared]) -> Option<String> {
    let rules = &plan.destination().reconciliation;
    let records: u64 = compared.iter().map(|of| of.records).sum();
    let repairs: u64 = compared.iter().map(|of| of.repairs).sum();
    rules.too_many(repairs, records).then(|| {
        format!(
            "{repairs} of {records} records differ, more than the {} or {:.0} in a hundred that may be repaired without \
             a person's word. Nothing was repaired: look at the report, and start the batch again with force if this \
             is right",
            rules.max_changes,
            rules.max_share * 100.0
        )
    })
}

/// Why the listings are not to be believed, if the record that is always there is not.
fn lost(canary: &RecordId, compared: &[Compared]) -> Option<String> {
    let outcome = compared.iter().find_map(|of| of.canary);
    let there = matches!(outcome, Some(Outcome::Matched | Outcome::Mismatched | Outcome::InFlight));
    (!there).then(|| {
        format!(
            "the canary {canary} is not on both sides, so the listings are not believed. Nothing was repaired: find out \
             why, and start the batch again with force if this is right"
        )
    })
}
