//! Reports to render: the sample, and random ones full of hostile texts.

#[path = "../../examples/sample/data.rs"]
pub(crate) mod data;

use certbridge_report::{Csv, TrendPoint};
use certbridge_sync::reconcile::*;
use fastrand::Rng;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What nobody may get through.
pub(crate) const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>",
    "</title></style></svg><img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)",
    "' style='x",
    "--><!--",
    "]]><![CDATA[",
    "&lt;b&gt; &amp; &#60;",
    "{{ headline }}{% if true %}",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    " \"'=1",
    "＝1＋1",
    "a;=1",
    "a,\"=1\"\r\n=2",
    "'",
    "'=",
    "\u{202e}gnp.exe\u{202c}",
    "\u{feff}=1",
    "\u{0}\u{1}\u{7f}\u{85}\u{2028}\u{fffe}",
    "two\nlines\r\n\r\nand more",
    "שלום مرحبا",
    "javascript:alert(1)",
    "",
    " ",
];

/// A value that tells something of a person.
pub(crate) const PERSONAL: &str = "jane.doe@example.test";

pub(crate) fn hostile(rng: &mut Rng) -> String {
    match rng.u8(0..10) {
        0 => "x".repeat(rng.usize(0..5000)),
        1 => "<&\"'\u{202e}".repeat(rng.usize(0..500)),
        2 => rng.u64(..).to_string(),
        3 => std::iter::repeat_with(|| rng.char(..)).take(20).collect(),
        _ => (0..rng.usize(1..4)).map(|_| HOSTILE[rng.usize(..HOSTILE.len())]).collect(),
    }
}

fn some<T>(rng: &mut Rng, make: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    rng.bool().then(|| make(rng))
}

fn time(rng: &mut Rng) -> Timestamp {
    Timestamp::new(rng.i64(1_500_000_000..2_000_000_000), rng.i32(0..1_000_000_000)).unwrap()
}

const OUTCOMES: [Outcome; 8] = [
    Outcome::Matched,
    Outcome::MissingAtDestination,
    Outcome::MissingAtSource,
    Outcome::Mismatched,
    Outcome::Duplicate,
    Outcome::Invalid,
    Outcome::InFlight,
    Outcome::Failed,
];
const DRIFTS: [Drift; 4] =
    [Drift::NeverArrived, Drift::ArrivedAndFailed, Drift::EditedAtDestination, Drift::PlanChanged];

pub(crate) fn finding(rng: &mut Rng) -> Finding {
    let value = |rng: &mut Rng| match rng.u8(0..4) {
        0 => json!(rng.i64(..)),
        1 => Value::Null,
        2 => json!([hostile(rng)]),
        _ => json!(hostile(rng)),
    };
    let difference = |rng: &mut Rng| match rng.bool() {
        true => FieldDifference { field: hostile(rng), personal: false, expected: value(rng), found: value(rng) },
        // Somebody forgot to leave it out.
        false => {
            FieldDifference { field: "email".into(), personal: true, expected: json!(PERSONAL), found: Value::Null }
        }
    };
    Finding {
        id: hostile(rng),
        outcome: OUTCOMES[rng.usize(1..OUTCOMES.len())],
        drift: some(rng, |rng| DRIFTS[rng.usize(..DRIFTS.len())]),
        since: some(rng, time),
        fields: (0..rng.usize(0..12)).map(|_| difference(rng)).collect(),
        location_id: some(rng, hostile),
        reason: some(rng, hostile),
        repaired: rng.bool(),
    }
}

fn totals(rng: &mut Rng) -> Totals {
    // Large, and yet all of them together can be counted.
    let large = if rng.u8(0..10) == 0 { u64::MAX / 10_000 } else { 100_000 };
    let outcomes: std::collections::BTreeMap<_, _> =
        OUTCOMES.into_iter().map(|outcome| (outcome, if rng.bool() { rng.u64(0..large) } else { 0 })).collect();
    Totals {
        records: outcomes.values().fold(0, |sum, count| sum.saturating_add(*count)),
        outcomes,
        drift: DRIFTS.into_iter().map(|drift| (drift, rng.u64(0..large))).collect(),
        repaired: rng.u64(0..large),
    }
}

fn side(rng: &mut Rng) -> Side {
    Side { rows: rng.u64(..), pages: rng.u64(..), announced: some(rng, |rng| rng.u64(..)), complete: rng.bool() }
}

pub(crate) fn report(rng: &mut Rng) -> Report {
    Report {
        schema: Report::SCHEMA,
        batch_id: hostile(rng),
        started_by: hostile(rng),
        source: hostile(rng),
        kind: hostile(rng),
        started_at: time(rng),
        finished_at: time(rng),
        dry_run: rng.bool(),
        verdict: [Verdict::Clean, Verdict::Repaired, Verdict::NeedsPerson, Verdict::Failed][rng.usize(..4)],
        remarks: (0..rng.usize(0..60)).map(|_| hostile(rng)).collect(),
        coverage: Coverage { source: some(rng, side), destination: some(rng, side), own: side(rng) },
        totals: totals(rng),
        by_location: (0..rng.usize(0..70))
            .map(|_| LocationTotals { location_id: some(rng, hostile), totals: totals(rng) })
            .collect(),
        oldest_drift: some(rng, time),
        findings: (0..rng.usize(0..30)).map(|_| finding(rng)).collect(),
        checkpoint: some(rng, hostile),
    }
}

pub(crate) fn trend(rng: &mut Rng) -> Vec<TrendPoint> {
    let large = if rng.bool() { u64::MAX } else { 1000 };
    let length = rng.usize(0..40).saturating_sub(3);
    let mut point = |_| {
        // Whether or not they add up: the page must stand it.
        let mut count = || if rng.bool() { rng.u64(0..large) } else { 0 };
        let (records, matched, differing) = (count(), count(), count());
        TrendPoint { finished_at: time(rng), records, matched, differing }
    };
    (0..length).map(&mut point).collect()
}

pub(crate) fn csv(findings: &[Finding]) -> String {
    let mut csv = Csv::new(Vec::new()).unwrap();
    findings.iter().for_each(|finding| csv.write(finding).unwrap());
    String::from_utf8(csv.finish().unwrap()).unwrap()
}
