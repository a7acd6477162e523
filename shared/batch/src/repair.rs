//! Comparing, deciding and repairing.

use crate::{
    BatchSync, TaskError,
    batch::CHUNK,
    task::{Batch, Decision, Walk, Walks},
};
use certbridge_archive::Manifest;
use certbridge_mapping::{Record, destination::MAX_BATCH_RECORDS};
use certbridge_sync::{
    assert::{Asserted, Assertion, Batch as OnAccountOf},
    ports::{Breakers, Destination, Fetched, Inbox, Records, RetryQueue, Runtime, Scan, Sources},
    reconcile::{self, Finding, Outcome, Repair},
    sync::Run,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A finding with what would mend it, as the comparison writes it for the repair.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    finding: Finding,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    push: Option<(Record, Timestamp)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    read: bool,
}

/// How far apart two moments must be to be told in order: the skew of two clocks and the time of a push.
const MARGIN: SignedDuration = SignedDuration::from_secs(15);

impl<S, R, D, Q, T> BatchSync<S, R, D, Q, T>
where
    S: Inbox + Records + Breakers + Scan,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    /// Compares one partition, and writes what was found of each of its records.
    pub(crate) async fn compare(&self, batch: &Batch, walks: &Walks, partition: u16) -> Result<u16, TaskError> {
        let plan = self.plan(batch)?;
        let listed = reconcile::Partition {
            source: self.rows(batch, "source", &walks.source, partition).await?,
            destination: self.rows(batch, "destination", &walks.destination, partition).await?,
            own: self.rows(batch, "own", &walks.own, partition).await?.unwrap_or(reconcile::Listing {
                rows: Vec::new(),
                began_at: self.engine.runtime.now(),
                complete: false,
            }),
            now: self.engine.runtime.now(),
            margin: MARGIN,
        };
        let compared = reconcile::compare(plan, batch.kind, listed);
        let row = |of: reconcile::Compared| match of.repair {
            None => Row { finding: of.finding, push: None, read: false },
            Some(Repair::Read) => Row { finding: of.finding, push: None, read: true },
            Some(Repair::Push { record, listed_at }) => {
                Row { finding: of.finding, push: Some((*record, listed_at)), read: false }
            }
        };
        let rows: Vec<Row> = compared.into_iter().map(row).collect();
        self.write(batch, "compared", partition, &rows).await?;
        Ok(partition)
    }

    /// Whether what was found may be repaired.
    pub(crate) async fn decide(&self, batch: &Batch, walks: &Walks) -> Result<Decision, TaskError> {
        let (mut records, mut differing) = (0, 0);
        for partition in 0..batch.partitions {
            for row in self.read::<Row>(batch, "compared", partition).await? {
                records += 1;
                differing += u64::from(row.push.is_some() || row.read);
            }
        }
        let mut remarks = Vec::new();
        let share = differing as f64 / (records.max(1)) as f64;
        if !batch.force && differing > self.rails.few && share > self.rails.share {
            remarks.push(format!(
                "{differing} of {records} records differ, more than {:.0} in a hundred. Nothing was repaired: look at \
                 the report, and start the batch again with force if this is right",
                self.rails.share * 100.0
            ));
        }
        Ok(Decision { repair: !batch.dry_run && remarks.is_empty() && walks.own.side.complete, remarks })
    }

    /// Repairs one partition, chunk by chunk.
    pub(crate) async fn repair(
        &self,
        batch: &Batch,
        partition: u16,
        request_id: &str,
        ends_at: Timestamp,
    ) -> Result<u16, TaskError> {
        let mut rows: Vec<Row> = self.read(batch, "compared", partition).await?;
        self.read_again(batch, &mut rows).await?;
        let ready: Vec<_> =
            rows.iter().enumerate().filter_map(|(place, row)| Some((place, assertion(batch, row)?))).collect();
        let account = OnAccountOf { id: &batch.id, actor: batch.actor.clone() };
        for chunk in ready.chunks(MAX_BATCH_RECORDS) {
            let now = self.engine.runtime.now();
            let chunk_ends = now + SignedDuration::try_from(CHUNK).unwrap_or(SignedDuration::ZERO);
            if chunk_ends > ends_at {
                return Err(TaskError::Transient("out of time".to_owned()));
            }
            let run = Run {
                id: request_id.to_owned(),
                deadline: chunk_ends - SignedDuration::from_secs(5),
                ends_at: chunk_ends,
            };
            let assertions: Vec<_> = chunk.iter().map(|(_, assertion)| assertion.clone()).collect();
            let asserted = self.engine.assert_chunk(&account, &assertions, &run).await;
            for ((place, _), asserted) in chunk.iter().zip(asserted) {
                let finding = &mut rows[*place].finding;
                match asserted {
                    Asserted::Done(_) => finding.repaired = true,
                    Asserted::InFlight(why) => set_aside(finding, Outcome::InFlight, why),
                    Asserted::Failed(why) => set_aside(finding, Outcome::Failed, why),
                }
            }
        }
        self.write(batch, "findings", partition, &rows.into_iter().map(|row| row.finding).collect::<Vec<_>>()).await?;
        Ok(partition)
    }

    /// Asks the source directly for what its listing lacks, before that counts as missing.
    async fn read_again(&self, batch: &Batch, rows: &mut [Row]) -> Result<(), TaskError> {
        let plan = self.plan(batch)?;
        for row in rows.iter_mut().filter(|row| row.read) {
            let Ok(id) = row.finding.id.parse() else { continue };
            match self.engine.sources.fetch(plan, &batch.key(id), self.engine.settings.fetch_timeout).await {
                Ok(Fetched::NotFound) => {
                    row.finding.reason = Some("asked for directly, the source has no such record".to_owned());
                }
                Ok(Fetched::Found(_)) => {
                    set_aside(
                        &mut row.finding,
                        Outcome::InFlight,
                        "the source has it, though it does not list it".to_owned(),
                    );
                }
                Err(error) if error.is_transient() => return Err(TaskError::Transient(error.to_string())),
                Err(error) => set_aside(&mut row.finding, Outcome::Failed, error.to_string()),
            }
        }
        Ok(())
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

    async fn write<W: Serialize>(
        &self,
        batch: &Batch,
        what: &str,
        partition: u16,
        rows: &[W],
    ) -> Result<(), TaskError> {
        Ok(self.archive.put_lines(&batch.path(&format!("{what}/{partition:03}.jsonl")), rows).await?)
    }

    /// What was written of a partition.
    pub(crate) async fn read<W: DeserializeOwned>(
        &self,
        batch: &Batch,
        what: &str,
        partition: u16,
    ) -> Result<Vec<W>, TaskError> {
        Ok(self.archive.get_lines(&batch.path(&format!("{what}/{partition:03}.jsonl"))).await?)
    }

    /// The findings of a partition, as they stand.
    pub(crate) async fn findings(
        &self,
        batch: &Batch,
        decision: &Decision,
        partition: u16,
    ) -> Result<Vec<Finding>, TaskError> {
        if decision.repair {
            return self.read(batch, "findings", partition).await;
        }
        let rows: Vec<Row> = self.read(batch, "compared", partition).await?;
        Ok(rows.into_iter().map(|row| row.finding).collect())
    }
}

fn assertion(batch: &Batch, row: &Row) -> Option<Assertion> {
    let (record, listed_at) = row.push.clone()?;
    Some(Assertion { key: batch.key(row.finding.id.parse().ok()?), record, listed_at: Some(listed_at) })
}

/// What a repair found out goes over what the comparison had found.
fn set_aside(finding: &mut Finding, outcome: Outcome, why: String) {
    finding.outcome = outcome;
    finding.reason = Some(why);
    if outcome == Outcome::InFlight {
        (finding.drift, finding.since) = (None, None);
    }
}
