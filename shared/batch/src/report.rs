//! The end of a batch: its report, and what is told of it.

use crate::{
    BatchSync, Tables, TaskError,
    begin::ascii,
    checkpoint,
    compare::Comparison,
    task::{Batch, Decision, Ended, Mail, Walk, Walks},
};
use certbridge_report::{Csv, TrendPoint, headline, html, json, mail};
use certbridge_sync::{
    audit::Actor,
    batches::{BatchRow, BatchStatus, BatchSummary, Mode},
    notice::{BatchData, Notice},
    ports::{Destination, RetryQueue, Runtime, Sources},
    reconcile::{Coverage, Report, Side, Tally, Verdict},
};
use std::time::Duration;

/// How many batches the trend shows.
const TREND: usize = 30;
/// How long the link in a mail opens the report. A link that a function makes ends with its credentials, too.
pub const REPORT_LINK_LASTS: Duration = Duration::from_secs(12 * 3600);

impl<S, R, D, Q, T> BatchSync<S, R, D, Q, T>
where
    S: Tables,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    pub(crate) async fn report(&self, batch: &Batch, walks: &Walks, decision: &Decision) -> Result<Ended, TaskError> {
        let row = self.engine.store.batch(&batch.id).await?.map(|(row, _)| row);
        let row = row.ok_or_else(|| TaskError::Refused(format!("there is no batch {}", batch.id)))?;
        let at = format!("batches/{}/report", batch.id);
        // The task was done, and its answer lost.
        if row.status == BatchStatus::Finished
            && let Some(report) = self.archive.get_json::<Report>(&format!("{at}.json")).await?
        {
            return self.ended(batch, &report, at).await;
        }
        self.keep_turn(batch).await?;
        let tally = self.tally(batch, decision, &format!("{at}.csv")).await?;
        let report = self.summed_up(batch, walks, decision, tally).await?;
        let trend = if batch.mode == Mode::Reconcile { self.trend(&report).await? } else { Vec::new() };
        let page = html(&report, &trend, Some(self.plan(&batch.source)?.version().as_str()));
        let page = page.map_err(|error| TaskError::Refused(error.to_string()))?;
        let text = json(&report).map_err(|error| TaskError::Refused(error.to_string()))?;
        self.archive.put(&format!("{at}.html"), page).await?;
        // The last one: whoever finds it finds all three.
        self.archive.put(&format!("{at}.json"), text).await?;
        self.engine.store.update_batch(&finished(row, &report, &at)).await?;
        self.end_turn(&batch.execution).await;
        self.ended(batch, &report, at).await
    }

    /// The numbers of all partitions. The rows go to the CSV as they come: there may be millions.
    async fn tally(&self, batch: &Batch, decision: &Decision, csv: &str) -> Result<Tally, TaskError> {
        let mut object = self.archive.begin(csv).await?;
        let mut tally = Tally::default();
        let header = Csv::new(Vec::new()).and_then(Csv::finish).map_err(unwritable)?;
        object.write(&header).await?;
        for partition in 0..batch.partitions {
            let Comparison { settled, rows } = self.comparison(batch, partition).await?;
            let findings = self.findings(batch, partition, rows, decision.repair).await?;
            let mut piece = Csv::without_header(Vec::new());
            findings.iter().try_for_each(|finding| piece.write(finding)).map_err(unwritable)?;
            object.write(&piece.finish().map_err(unwritable)?).await?;
            tally = tally.merge(settled).merge(Tally::of(findings));
        }
        object.finish().await?;
        Ok(tally)
    }

    async fn summed_up(
        &self,
        batch: &Batch,
        walks: &Walks,
        decision: &Decision,
        tally: Tally,
    ) -> Result<Report, TaskError> {
        let side = |walk: &Walk| (!walk.unlisted).then(|| walk.side.clone());
        let coverage = Coverage {
            source: side(&walks.source),
            destination: side(&walks.destination),
            own: side(&walks.own).unwrap_or_else(Side::default),
        };
        let checkpoint = checkpoint::latest(&self.checkpoints).await?;
        let verdict = match tally.verdict(&coverage, batch.dry_run) {
            Verdict::Repaired | Verdict::Clean if !decision.remarks.is_empty() => Verdict::NeedsPerson,
            verdict => verdict,
        };
        let listed = if batch.mode == Mode::Reconcile { walks.remarks() } else { Vec::new() };
        Ok(Report {
            schema: Report::SCHEMA,
            batch_id: batch.id.to_string(),
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
            remarks: decision.remarks.iter().cloned().chain(listed).collect(),
            coverage,
            totals: tally.totals,
            by_location: tally.by_location,
            oldest_drift: tally.oldest_drift,
            findings: tally.findings,
            checkpoint: checkpoint.map(|stored| stored.unproven().hash().to_string()),
        })
    }

    /// The points of the last reconciliations, this one among them.
    async fn trend(&self, report: &Report) -> Result<Vec<TrendPoint>, TaskError> {
        let path = format!("trends/{}.json", report.source);
        let mut trend: Vec<TrendPoint> = self.archive.get_json(&path).await?.unwrap_or_default();
        // A task that is run again adds no second point.
        trend.retain(|known| known.finished_at < report.started_at);
        trend.push(TrendPoint::from(report));
        let excess = trend.len().saturating_sub(TREND);
        trend.drain(..excess);
        self.archive.put_json(&path, &trend).await?;
        Ok(trend)
    }

    async fn ended(&self, batch: &Batch, report: &Report, at: String) -> Result<Ended, TaskError> {
        let link = self.archive.link(&format!("{at}.html"), REPORT_LINK_LASTS).await?;
        let link = link.map_or_else(|| format!("GET /batches/{}/report", batch.id), |link| link.to_string());
        let mail = Mail { subject: ascii(&format!("Certbridge: {}", headline(report))), text: mail(report, &link) };
        let data = BatchData {
            batch_id: batch.id.clone(),
            verdict: report.verdict,
            records: Some(report.totals.records),
            repaired: Some(report.totals.repaired),
        };
        let notice = Some(Notice::of_batch(data, report.finished_at));
        let drift = (batch.mode == Mode::Reconcile).then(|| report.totals.drift_share()).flatten();
        Ok(Ended { batch_id: batch.id.clone(), verdict: report.verdict, drift, report: Some(at), mail, notice })
    }
}

fn finished(row: BatchRow, report: &Report, at: &str) -> BatchRow {
    let summary = BatchSummary {
        verdict: report.verdict,
        headline: headline(report),
        records: report.totals.records,
        differing: report.totals.differing(),
        repaired: report.totals.repaired,
        report: at.to_owned(),
    };
    BatchRow {
        status: BatchStatus::Finished,
        finished_at: Some(report.finished_at),
        summary: Some(summary),
        error: None,
        ..row
    }
}

fn unwritable(error: std::io::Error) -> TaskError {
    TaskError::Refused(error.to_string())
}
