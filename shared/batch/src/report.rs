//! The end of a batch: its checkpoint and its report.

use crate::{
    BatchSync, TaskError,
    task::{Batch, Decision, Walk, Walks},
};
use certbridge_report::{Csv, TrendPoint, headline, html, json};
use certbridge_sync::{
    audit::Actor,
    checkpoint::{Checkpoint, Head, Stored, Tree},
    ports::{Breakers, Destination, Inbox, Records, RetryQueue, Runtime, Scan, Sources},
    reconcile::{Coverage, Outcome, OwnRow, Report, Side, Tally, Verdict},
};
use serde::{Deserialize, Serialize};

/// How many batches the trend shows.
const TREND: usize = 30;

/// How a batch came out, for whoever asked for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The batch.
    pub batch_id: String,
    /// How it came out.
    pub verdict: Verdict,
    /// In one sentence.
    pub headline: String,
    /// Where the report stands in the archive, without its ending: `.json`, `.csv`, `.html`.
    pub report: String,
}

impl<S, R, D, Q, T> BatchSync<S, R, D, Q, T>
where
    S: Inbox + Records + Breakers + Scan,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    pub(crate) async fn report(&self, batch: &Batch, walks: &Walks, decision: &Decision) -> Result<Summary, TaskError> {
        let mut csv = Csv::new(Vec::new()).map_err(unwritable)?;
        let mut tally = Tally::default();
        for partition in 0..batch.partitions {
            let findings = self.findings(batch, decision, partition).await?;
            for finding in findings.iter().filter(|finding| finding.outcome != Outcome::Matched) {
                csv.write(finding).map_err(unwritable)?;
            }
            tally = tally.merge(Tally::of(findings));
        }
        let side = |walk: &Walk| (!walk.unlisted).then(|| walk.side.clone());
        let coverage = Coverage {
            source: side(&walks.source),
            destination: side(&walks.destination),
            own: side(&walks.own).unwrap_or_else(Side::default),
        };
        let mut to_decide = decision.remarks.clone();
        let checkpoint = match self.checkpoint(batch, walks).await {
            Ok(checkpoint) => checkpoint,
            // Something of the audit trail is gone: the very night on which there must be a report.
            Err(TaskError::Refused(fault)) => {
                tracing::error!(fault, "no checkpoint");
                to_decide.push(fault);
                None
            }
            Err(error) => return Err(error),
        };
        let verdict = match tally.verdict(&coverage, batch.dry_run) {
            Verdict::Repaired | Verdict::Clean if !to_decide.is_empty() => Verdict::NeedsPerson,
            verdict => verdict,
        };
        let remarks = to_decide.into_iter().chain(walks.remarks()).collect();
        let report = Report {
            schema: Report::SCHEMA,
            batch_id: batch.id.clone(),
            started_by: match &batch.actor {
                Actor::Caller { owner } => owner.clone(),
                _ => "schedule".to_owned(),
            },
            source: batch.source.clone(),
            kind: batch.kind.to_string(),
            started_at: batch.started_at,
            finished_at: self.engine.runtime.now(),
            dry_run: batch.dry_run,
            verdict,
            remarks,
            coverage,
            totals: tally.totals,
            by_location: tally.by_location,
            oldest_drift: tally.oldest_drift,
            findings: tally.findings,
            checkpoint: checkpoint.map(|stored| stored.unproven().hash().to_string()),
        };
        let trend = self.trend(&report).await?;
        let at = format!("batches/{}/report", batch.id);
        let page = html(&report, &trend, Some(self.plan(batch)?.version().as_str()));
        let page = page.map_err(|error| TaskError::Refused(error.to_string()))?;
        let text = json(&report).map_err(|error| TaskError::Refused(error.to_string()))?;
        self.archive.put(&format!("{at}.csv"), csv.finish().map_err(unwritable)?).await?;
        self.archive.put(&format!("{at}.html"), page).await?;
        // The last one: whoever finds it finds all three.
        self.archive.put(&format!("{at}.json"), text).await?;
        Ok(Summary { batch_id: batch.id.clone(), verdict, headline: headline(&report), report: at })
    }

    /// The points of the last batches, this one among them.
    async fn trend(&self, report: &Report) -> Result<Vec<TrendPoint>, TaskError> {
        let path = format!("trends/{}.json", report.source);
        let mut trend: Vec<TrendPoint> = self.archive.get_json(&path).await?.unwrap_or_default();
        let point = TrendPoint::from(report);
        // A task that is run again adds no second point.
        trend.retain(|known| known.finished_at < report.started_at);
        trend.push(point);
        let excess = trend.len().saturating_sub(TREND);
        trend.drain(..excess);
        self.archive.put_json(&path, &trend).await?;
        Ok(trend)
    }

    /// The checkpoint over the ends of all chains, as our own listing saw them.
    async fn checkpoint(&self, batch: &Batch, walks: &Walks) -> Result<Option<Stored>, TaskError> {
        if !walks.own.side.complete {
            return Ok(None);
        }
        let mut tree = Tree::new();
        for partition in 0..batch.partitions {
            let own = self.rows::<OwnRow>(batch, "own", &walks.own, partition).await?;
            let rows = own.map_or_else(Vec::new, |own| own.rows);
            let head = |row: OwnRow| Head::of(&batch.key(row.id.parse().ok()?), &row.audit);
            let mut heads: Vec<_> = rows.into_iter().filter_map(head).collect();
            heads.sort_by_cached_key(Head::place);
            heads.dedup();
            for head in &heads {
                tree.push(head).map_err(|fault| refused(&fault))?;
            }
        }
        let latest = format!("checkpoints/{}/latest.json", batch.source);
        let previous: Option<Stored> = self.archive.get_json(&latest).await?;
        // A task that is run again makes no second one.
        if previous.as_ref().is_some_and(|latest| latest.unproven().batch_id == batch.id) {
            return Ok(previous);
        }
        let previous = previous.as_ref().map(Stored::unproven);
        let now = self.engine.runtime.now();
        let checkpoint = Checkpoint::next(previous, &batch.id, now, &tree.summary());
        let stored = checkpoint.map_err(|fault| refused(&fault))?.seal(self.signer.as_ref());
        self.archive.put_json(&format!("checkpoints/{}/{}.json", batch.source, batch.id), &stored).await?;
        self.archive.put_json(&latest, &stored).await?;
        Ok(Some(stored))
    }
}

fn refused(fault: &dyn std::error::Error) -> TaskError {
    TaskError::Refused(format!("audit checkpoint: {fault}"))
}

fn unwritable(error: std::io::Error) -> TaskError {
    TaskError::Refused(error.to_string())
}
