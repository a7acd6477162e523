//! Repairing a partition, chunk by chunk, for as long as the invocation lasts.

use crate::{
    BatchSync, Tables, TaskError,
    compare::{Comparison, Mend, Row},
    task::{Batch, Repaired},
};
use certbridge_mapping::{MissingAtSource, Operation, Plan, RecordKey, destination::MAX_BATCH_RECORDS};
use certbridge_sync::{
    assert::{Asserted, Assertion, Batch as OnAccountOf},
    batches::BatchStep,
    ports::{Destination, Fetched, RetryQueue, Runtime, Sources},
    reconcile::{Finding, Outcome},
    sync::Run,
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// How many partitions the state machine repairs at the same time. Together they keep to the destination's rate.
pub const REPAIR_CONCURRENCY: u32 = 4;
/// The least time that a step is begun with, and the most that it may take.
const STEP: SignedDuration = SignedDuration::from_secs(30);
/// What is kept of it to write down what became of the last request.
const RESERVE: SignedDuration = SignedDuration::from_secs(5);
/// How many times in a row the same rows are waited for before they are given up.
const MAX_WAITS: u32 = 10;
/// The longest that is waited at once.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// How long a source is left alone that fails in a way that may pass.
const PAUSE: Duration = Duration::from_secs(30);

/// What became of a row.
enum Mended {
    /// This, for good.
    Finding(Box<Finding>),
    /// A provider wants less of us: after this, it may be tried again.
    Later(Duration, Box<Finding>),
}

impl<S, R, D, Q, T> BatchSync<S, R, D, Q, T>
where
    S: Tables,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    /// Repairs a partition from where it was left, until its end or `stop_at`. What was done is written before this
    /// returns; what was done and not written, because the invocation died, is recognised when it is done again.
    pub(crate) async fn repair(
        &self,
        batch: &Batch,
        partition: u16,
        before: Repaired,
        request_id: &str,
        stop_at: Timestamp,
    ) -> Result<Repaired, TaskError> {
        let plan = &self.plan(&batch.source)?;
        let Comparison { rows, .. } = self.comparison(batch, partition).await?;
        let pace = plan.destination().rate.map_or(Duration::ZERO, |rate| rate.interval() * REPAIR_CONCURRENCY);
        let mut after = Repaired { wait_seconds: 0, ..before.clone() };
        let mut findings: Vec<Finding> = Vec::new();
        while let Some(step) = next_step(rows.get(after.rows..).unwrap_or_default(), most(plan)) {
            let began = self.engine.runtime.now();
            if began + STEP > stop_at {
                break;
            }
            let run = Run { id: request_id.to_owned(), deadline: began + STEP - RESERVE, ends_at: began + STEP };
            let mended = self.mend(plan, batch, step, &run).await;
            let longest = mended.iter().filter_map(Mended::wait).max();
            if let Some(wait) = longest.filter(|_| after.waits < MAX_WAITS) {
                after.wait_seconds = wait.min(LONGEST_WAIT).as_secs().max(1);
                after.waits += 1;
                break;
            }
            findings.extend(mended.into_iter().map(Mended::finding));
            after.rows += step.len();
            after.waits = 0;
            if step.iter().any(|row| row.mend.is_some()) && after.rows < rows.len() {
                self.pace(began, pace).await;
            }
        }
        after.done = after.rows >= rows.len();
        if after == before {
            return Err(TaskError::Transient("out of time".to_owned()));
        }
        if !findings.is_empty() {
            self.archive.put_json(&part(batch, partition, before.rows), &findings).await?;
        }
        if after.done {
            self.engine.store.note(&batch.id, BatchStep::Repaired(partition)).await?;
        }
        Ok(after)
    }

    async fn pace(&self, since: Timestamp, pace: Duration) {
        let past = Duration::try_from(self.engine.runtime.now().duration_since(since)).unwrap_or_default();
        if let Some(left) = pace.checked_sub(past).filter(|left| !left.is_zero()) {
            self.engine.runtime.sleep(left).await;
        }
    }

    /// Mends the rows of one step.
    async fn mend(&self, plan: &Plan, batch: &Batch, step: &[Row], run: &Run) -> Vec<Mended> {
        let account = OnAccountOf { id: batch.id.as_str(), actor: batch.actor.clone() };
        if let [row @ Row { mend: Some(Mend::Read), .. }] = step {
            return vec![self.read(plan, batch, row, &account, run).await];
        }
        let assertions: Vec<_> = step.iter().filter_map(|row| assertion(batch, row)).collect();
        let mut asserted = self.engine.assert_chunk(&account, &assertions, run).await.into_iter();
        let mended = |row: &Row| match assertion(batch, row).and_then(|_| asserted.next()) {
            Some(asserted) => mended(row.finding.clone(), asserted),
            None => Mended::Finding(Box::new(row.finding.clone())),
        };
        step.iter().map(mended).collect()
    }

    /// Asks the source directly: for what its listing lacks, before that counts as missing; and for what it lists again
    /// though we hold it as deleted, before the destination is told.
    async fn read(&self, plan: &Plan, batch: &Batch, row: &Row, account: &OnAccountOf<'_>, run: &Run) -> Mended {
        let finding = row.finding.clone();
        let Ok(key) = finding.id.parse().map(|id| batch.key(id)) else { return Mended::Finding(Box::new(finding)) };
        let missing = finding.outcome == Outcome::MissingAtSource;
        // Before the answer: what is committed while it is on its way may be newer.
        let asked_at = self.engine.runtime.now();
        match self.engine.sources.fetch(plan, &key, self.engine.settings.fetch_timeout).await {
            Ok(Fetched::Found(_)) if missing => {
                set_aside(finding, Outcome::InFlight, "the source has it, though it does not list it")
            }
            Ok(Fetched::Found(_)) => mended(finding, self.engine.assert_newest(account, &key, run).await),
            Ok(Fetched::NotFound) if missing => self.missing(plan, &key, finding, asked_at, account, run).await,
            Ok(Fetched::NotFound) => {
                set_aside(finding, Outcome::InFlight, "the source has it no more, though it lists it")
            }
            Err(error) if error.is_transient() => {
                let wait = error.retry_after.unwrap_or(PAUSE);
                Mended::Later(wait, Box::new(set_aside_finding(finding, Outcome::Failed, error.to_string())))
            }
            Err(error) => set_aside(finding, Outcome::Failed, error.to_string()),
        }
    }

    /// What is done about a record that the source, asked directly at this time, does not have.
    async fn missing(
        &self,
        plan: &Plan,
        key: &RecordKey,
        finding: Finding,
        asked_at: Timestamp,
        account: &OnAccountOf<'_>,
        run: &Run,
    ) -> Mended {
        let proven =
            Finding { reason: Some("asked for directly, the source has no such record".to_owned()), ..finding };
        if plan.destination().reconciliation.missing_at_source == MissingAtSource::Report {
            return Mended::Finding(Box::new(proven));
        }
        let held = match self.engine.store.read(key).await {
            Ok(row) => row.and_then(|row| row.state),
            Err(error) => return set_aside(proven, Outcome::Failed, error.to_string()),
        };
        // What we never held, nothing can be told of.
        let Some(held) = held else { return Mended::Finding(Box::new(proven)) };
        let tombstone = held.record.after(Operation::Deleted);
        let assertion = Assertion { key: key.clone(), record: tombstone, listed_at: Some(asked_at) };
        let mut asserted = self.engine.assert_chunk(account, &[assertion], run).await;
        match asserted.pop() {
            Some(asserted) => mended(proven, asserted),
            None => Mended::Finding(Box::new(proven)),
        }
    }

    /// The findings of a partition as they stand after its repair, or as they were compared if there was none.
    pub(crate) async fn findings(
        &self,
        batch: &Batch,
        partition: u16,
        rows: Vec<Row>,
        repaired: bool,
    ) -> Result<Vec<Finding>, TaskError> {
        let mut findings = Vec::with_capacity(rows.len());
        while repaired && findings.len() < rows.len() {
            let Some(next) = self.archive.get_json::<Vec<Finding>>(&part(batch, partition, findings.len())).await?
            else {
                break;
            };
            if next.is_empty() {
                break;
            }
            findings.extend(next);
        }
        let left = rows.into_iter().skip(findings.len()).map(|row| match row.mend {
            Some(_) if repaired => {
                set_aside_finding(row.finding, Outcome::Failed, "its repair did not come to its end".to_owned())
            }
            _ => row.finding,
        });
        findings.extend(left);
        Ok(findings)
    }
}

/// Where the findings stand that one call wrote, which began at this row: the next part begins where it ends.
fn part(batch: &Batch, partition: u16, from: usize) -> String {
    batch.path(&format!("findings/{partition:03}/{from:06}.json"))
}

/// The most records that the destination takes at once.
fn most(plan: &Plan) -> usize {
    plan.destination().batch.as_ref().map_or(MAX_BATCH_RECORDS, |rules| rules.max_records)
}

/// What is mended together: one row that asks for a read, or as many others as fit into one request.
fn next_step(rows: &[Row], most: usize) -> Option<&[Row]> {
    let first = rows.first()?;
    if matches!(first.mend, Some(Mend::Read)) {
        return rows.get(..1);
    }
    let mut pushes = 0;
    let fits = |row: &&Row| {
        pushes += usize::from(row.mend.is_some());
        !matches!(row.mend, Some(Mend::Read)) && pushes <= most
    };
    rows.get(..rows.iter().take_while(fits).count())
}

fn assertion(batch: &Batch, row: &Row) -> Option<Assertion> {
    let Some(Mend::Push { record, listed_at }) = &row.mend else { return None };
    let key = batch.key(row.finding.id.parse().ok()?);
    Some(Assertion { key, record: record.as_ref().clone(), listed_at: *listed_at })
}

fn mended(finding: Finding, asserted: Asserted) -> Mended {
    match asserted {
        Asserted::Done(_) | Asserted::Already => Mended::Finding(Box::new(Finding { repaired: true, ..finding })),
        Asserted::InFlight(why) => set_aside(finding, Outcome::InFlight, why),
        Asserted::Failed(why) => set_aside(finding, Outcome::Failed, why),
        Asserted::Later(wait) => {
            let why = "the destination wanted less of us for too long".to_owned();
            Mended::Later(wait, Box::new(set_aside_finding(finding, Outcome::Failed, why)))
        }
    }
}

fn set_aside(finding: Finding, outcome: Outcome, why: impl Into<String>) -> Mended {
    Mended::Finding(Box::new(set_aside_finding(finding, outcome, why.into())))
}

/// What a repair found out goes over what the comparison had found.
fn set_aside_finding(finding: Finding, outcome: Outcome, why: String) -> Finding {
    let finding = Finding { outcome, reason: Some(why), ..finding };
    if outcome == Outcome::InFlight { Finding { drift: None, since: None, ..finding } } else { finding }
}

impl Mended {
    fn wait(&self) -> Option<Duration> {
        match self {
            Self::Finding(_) => None,
            Self::Later(wait, _) => Some(*wait),
        }
    }

    fn finding(self) -> Finding {
        match self {
            Self::Finding(finding) | Self::Later(_, finding) => *finding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(mend: Option<Mend>) -> Row {
        Row { finding: Finding::new("1", Outcome::Mismatched), mend }
    }

    #[test]
    fn a_step_holds_what_one_request_takes() {
        let record = certbridge_mapping::Record::Certificate(certbridge_mapping::Certificate {
            certificate_id: "1".into(),
            user_id: "2".into(),
            issue_date: "2026-01-31".parse().unwrap(),
            location_id: "l".into(),
            status: certbridge_mapping::CertificateStatus::Issued,
            expiry_date: None,
            title: None,
            group_name: None,
            recipient_name: None,
            recipient_email: None,
            url: None,
        });
        let push = || row(Some(Mend::Push { record: Box::new(record.clone()), listed_at: None }));
        let (read, none) = (|| row(Some(Mend::Read)), || row(None));
        let steps = |rows: Vec<Row>| {
            let (mut sizes, mut at) = (Vec::new(), 0);
            while let Some(step) = next_step(&rows[at..], 2) {
                sizes.push(step.len());
                at += step.len();
            }
            sizes
        };
        assert_eq!(steps(vec![]), [0; 0]);
        assert_eq!(steps(vec![push(), push(), push()]), [2, 1]);
        assert_eq!(steps(vec![none(), push(), none(), push(), none(), push()]), [5, 1]);
        assert_eq!(steps(vec![read(), read(), push(), read(), none()]), [1, 1, 1, 1, 1]);
    }
}
