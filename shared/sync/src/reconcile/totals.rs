//! Findings, counted. What is counted by partition can be merged in any grouping.

use super::{Coverage, Finding, LocationTotals, Outcome, Report, Totals, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a report says of many findings, by partition or of all.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// The numbers.
    pub totals: Totals,
    /// The numbers by location, in the order of their ids.
    pub by_location: Vec<LocationTotals>,
    /// The oldest difference.
    pub oldest_drift: Option<Timestamp>,
    /// What was found, other than matched: at most [`Report::MAX_FINDINGS`], the worst first.
    pub findings: Vec<Finding>,
}

impl Tally {
    /// Of these findings, each of another record.
    pub fn of(findings: impl IntoIterator<Item = Finding>) -> Self {
        let mut tally = Self::default();
        let mut by_location: BTreeMap<Option<String>, Totals> = BTreeMap::new();
        for finding in findings {
            tally.totals.count(&finding);
            by_location.entry(finding.location_id.clone()).or_default().count(&finding);
            tally.oldest_drift = earliest(tally.oldest_drift, finding.drift.and(finding.since));
            if finding.outcome != Outcome::Matched {
                tally.findings.push(finding);
            }
            // So that memory stays bounded however many there are.
            if tally.findings.len() >= 2 * Report::MAX_FINDINGS {
                tally.keep_the_worst();
            }
        }
        tally.by_location = listed(by_location);
        tally.keep_the_worst();
        tally
    }

    /// Of both. The records of the two are different ones.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.totals.merge(&other.totals);
        let mut by_location: BTreeMap<_, Totals> = BTreeMap::new();
        for LocationTotals { location_id, totals } in self.by_location.into_iter().chain(other.by_location) {
            by_location.entry(location_id).or_default().merge(&totals);
        }
        self.by_location = listed(by_location);
        self.oldest_drift = earliest(self.oldest_drift, other.oldest_drift);
        self.findings.extend(other.findings);
        self.keep_the_worst();
        self
    }

    /// How a batch with these numbers came out, if it came to its end. What is in flight is left to the next one.
    pub fn verdict(&self, coverage: &Coverage, dry_run: bool) -> Verdict {
        let mut sides = [&coverage.source, &coverage.destination].into_iter().flatten().peekable();
        if sides.peek().is_none() {
            return Verdict::Failed;
        }
        let complete = coverage.own.complete && sides.all(|side| side.complete);
        let stuck = self.totals.of(&[Outcome::Failed, Outcome::Duplicate, Outcome::Invalid]) > 0;
        let differing = self.totals.differing();
        if stuck || !complete || (!dry_run && differing > self.totals.repaired) {
            Verdict::NeedsPerson
        } else if differing > 0 {
            Verdict::Repaired
        } else {
            Verdict::Clean
        }
    }

    fn keep_the_worst(&mut self) {
        self.findings.sort_unstable_by(|one, other| place(one).cmp(&place(other)));
        self.findings.truncate(Report::MAX_FINDINGS);
    }
}

/// The outcomes that a repair mends.
const DIFFERING: [Outcome; 3] = [Outcome::MissingAtSource, Outcome::MissingAtDestination, Outcome::Mismatched];

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

fn listed(by_location: BTreeMap<Option<String>, Totals>) -> Vec<LocationTotals> {
    by_location.into_iter().map(|(location_id, totals)| LocationTotals { location_id, totals }).collect()
}

/// A finding's place in a report, the worst first: what only a person can mend, then what is not yet repaired, then what
/// is old. No two records share one.
fn place(finding: &Finding) -> (u8, bool, bool, Option<Timestamp>, &str) {
    let outcome = match finding.outcome {
        Outcome::Failed => 0,
        Outcome::Duplicate => 1,
        Outcome::Invalid => 2,
        Outcome::MissingAtSource => 3,
        Outcome::MissingAtDestination => 4,
        Outcome::Mismatched => 5,
        Outcome::InFlight => 6,
        Outcome::Matched => 7,
    };
    (outcome, finding.repaired, finding.since.is_none(), finding.since, &finding.id)
}

impl Totals {
    /// Counts one finding. Only what differed counts as repaired: what matched, and was told again, was not wrong.
    pub fn count(&mut self, finding: &Finding) {
        self.records += 1;
        *self.outcomes.entry(finding.outcome).or_default() += 1;
        if let Some(drift) = finding.drift {
            *self.drift.entry(drift).or_default() += 1;
        }
        self.repaired += u64::from(finding.repaired && DIFFERING.contains(&finding.outcome));
    }

    /// Adds other numbers to these.
    pub fn merge(&mut self, other: &Self) {
        self.records += other.records;
        self.repaired += other.repaired;
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(*outcome).or_default() += count;
        }
        for (drift, count) in &other.drift {
            *self.drift.entry(*drift).or_default() += count;
        }
    }

    /// Whether every record is counted once, only what differs has a cause, and only what differed was repaired.
    pub fn adds_up(&self) -> bool {
        let differing = self.differing();
        let caused: u64 = self.drift.values().sum();
        self.records == self.outcomes.values().sum::<u64>()
            && caused <= differing + self.of(&[Outcome::Failed])
            && self.repaired <= differing
    }

    /// How many records differed, whether or not they were repaired.
    pub fn differing(&self) -> u64 {
        self.of(&DIFFERING)
    }

    /// Which share of the records differed; `None` of none.
    pub fn drift_share(&self) -> Option<f64> {
        (self.records > 0).then(|| self.differing() as f64 / self.records as f64)
    }

    fn of(&self, outcomes: &[Outcome]) -> u64 {
        outcomes.iter().filter_map(|outcome| self.outcomes.get(outcome)).sum()
    }
}

impl Report {
    /// Whether its numbers agree with each other: all records, by outcome, by location, and those that are told one by
    /// one.
    pub fn adds_up(&self) -> bool {
        let mut of_locations = Totals::default();
        self.by_location.iter().for_each(|location| of_locations.merge(&location.totals));
        let mut told = Totals::default();
        self.findings.iter().for_each(|finding| told.count(finding));
        let unmatched = self.totals.records.saturating_sub(self.totals.of(&[Outcome::Matched]));
        let within = |outcome: &Outcome| told.of(&[*outcome]) <= self.totals.of(&[*outcome]);
        self.totals.adds_up()
            && of_locations == self.totals
            && self.by_location.iter().all(|location| location.totals.adds_up())
            && told.of(&[Outcome::Matched]) == 0
            && told.outcomes.keys().all(within)
            && told.records == unmatched.min(Self::MAX_FINDINGS as u64)
    }
}
