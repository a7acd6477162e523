//! Numbers that add up, however they are merged.

use crate::sample::at;
use certbridge_sync::reconcile::{Coverage, Drift, Finding, Outcome, Report, Side, Tally, Totals, Verdict};
use fastrand::Rng;

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
const DIFFERING: [Outcome; 3] = [Outcome::MissingAtDestination, Outcome::MissingAtSource, Outcome::Mismatched];

fn plain(id: &str, outcome: Outcome) -> Finding {
    Finding {
        id: id.to_owned(),
        outcome,
        drift: None,
        since: None,
        fields: Vec::new(),
        location_id: None,
        reason: None,
        repaired: false,
    }
}

fn any(random: &mut Rng, id: usize) -> Finding {
    let outcome = OUTCOMES[random.usize(..OUTCOMES.len())];
    let differs = DIFFERING.contains(&outcome);
    Finding {
        drift: differs.then(|| DRIFTS[random.usize(..DRIFTS.len())]),
        since: (differs && random.bool()).then(|| at(random.i64(0..500))),
        location_id: random.bool().then(|| format!("loc_{}", random.u8(0..5))),
        repaired: differs && random.bool(),
        ..plain(&id.to_string(), outcome)
    }
}

fn report(tally: Tally) -> Report {
    Report {
        schema: Report::SCHEMA,
        batch_id: "b".to_owned(),
        started_by: "a test".to_owned(),
        source: "accredible".to_owned(),
        kind: "certificate".to_owned(),
        started_at: at(0),
        finished_at: at(1),
        dry_run: false,
        verdict: tally.verdict(&coverage(), false),
        remarks: Vec::new(),
        coverage: coverage(),
        totals: tally.totals,
        by_location: tally.by_location,
        oldest_drift: tally.oldest_drift,
        findings: tally.findings,
        checkpoint: None,
    }
}

fn coverage() -> Coverage {
    let side = Side { rows: 9, pages: 1, announced: None, complete: true };
    Coverage { source: Some(side.clone()), destination: Some(side.clone()), own: side }
}

/// Merges neighbours until one is left, any two first.
fn merged(random: &mut Rng, mut parts: Vec<Tally>) -> Tally {
    while parts.len() > 1 {
        let place = random.usize(0..parts.len() - 1);
        let right = parts.remove(place + 1);
        let left = std::mem::take(&mut parts[place]);
        parts[place] = if random.bool() { left.merge(right) } else { right.merge(left) };
    }
    parts.pop().unwrap_or_default()
}

#[test]
fn any_grouping_gives_the_same_and_it_adds_up() {
    for seed in 0..60 {
        let mut random = Rng::with_seed(seed);
        // Some have more findings than a report holds.
        let count = if seed % 10 == 0 { 4 * Report::MAX_FINDINGS } else { random.usize(0..300) };
        let findings: Vec<_> = (0..count).map(|id| any(&mut random, id)).collect();
        let whole = Tally::of(findings.clone());
        let of = random.usize(1..12);
        let mut parts = vec![Vec::new(); of];
        for finding in findings {
            parts[random.usize(..of)].push(finding);
        }
        let parts: Vec<_> = parts.into_iter().map(Tally::of).collect();
        for _ in 0..3 {
            assert_eq!(merged(&mut random, parts.clone()), whole, "seed {seed}");
        }
        assert_eq!(whole.totals.records, count as u64);
        assert!(whole.totals.adds_up() && whole.findings.len() <= Report::MAX_FINDINGS);
        let told = serde_json::to_string(&whole).unwrap();
        assert_eq!(serde_json::from_str::<Tally>(&told).unwrap(), whole);
        assert!(report(whole).adds_up(), "seed {seed}");
    }
}

#[test]
fn numbers_that_do_not_add_up_are_seen() {
    let mut random = Rng::with_seed(7);
    let sound = report(Tally::of((0..100).map(|id| any(&mut random, id))));
    assert!(sound.adds_up());
    let spoilt = |spoil: fn(&mut Report)| {
        let mut report = sound.clone();
        spoil(&mut report);
        !report.adds_up()
    };
    assert!(spoilt(|report| report.totals.records += 1));
    assert!(spoilt(|report| report.totals = Totals::default()));
    assert!(spoilt(|report| *report.totals.outcomes.get_mut(&Outcome::Matched).unwrap() += 1));
    assert!(spoilt(|report| *report.totals.drift.get_mut(&Drift::PlanChanged).unwrap() += 100));
    assert!(spoilt(|report| report.totals.repaired += 100));
    assert!(spoilt(|report| drop(report.by_location.pop())));
    assert!(spoilt(|report| report.by_location[0].totals.records += 1));
    assert!(spoilt(|report| drop(report.findings.pop())));
    assert!(spoilt(|report| report.findings[0].outcome = Outcome::Matched));
    assert!(spoilt(|report| report.findings.extend(report.findings.clone())));
}

#[test]
fn the_worst_comes_first() {
    let at_minute = |id, outcome, minute| Finding { since: Some(at(minute)), ..plain(id, outcome) };
    let repaired = |finding| Finding { repaired: true, ..finding };
    let worst = [
        plain("z", Outcome::Failed),
        plain("y", Outcome::Duplicate),
        plain("x", Outcome::Invalid),
        plain("w", Outcome::MissingAtSource),
        plain("v", Outcome::MissingAtDestination),
        at_minute("u", Outcome::Mismatched, 1),
        at_minute("s", Outcome::Mismatched, 2),
        at_minute("t", Outcome::Mismatched, 2),
        plain("a", Outcome::Mismatched),
        repaired(at_minute("b", Outcome::Mismatched, 0)),
        plain("c", Outcome::InFlight),
    ];
    let mut findings = worst.to_vec();
    findings.push(plain("d", Outcome::Matched));
    Rng::with_seed(3).shuffle(&mut findings);
    assert_eq!(Tally::of(findings).findings, worst);
}

#[test]
fn the_oldest_drift_is_that_of_what_differs() {
    let dated = |id, drift, minute| Finding { drift, since: Some(at(minute)), ..plain(id, Outcome::Mismatched) };
    let drift = Some(Drift::NeverArrived);
    let tally = Tally::of([dated("1", drift, 7), dated("2", None, 1), dated("3", drift, 5)]);
    assert_eq!(tally.oldest_drift, Some(at(5)));
    assert_eq!(Tally::default().merge(tally).oldest_drift, Some(at(5)));
}

#[test]
fn what_matched_and_was_told_again_was_not_repaired() {
    let told = Finding { repaired: true, ..plain("1", Outcome::Matched) };
    let tally = Tally::of([told, plain("2", Outcome::Mismatched)]);
    assert_eq!(tally.totals.repaired, 0);
    assert_eq!(tally.verdict(&coverage(), false), Verdict::NeedsPerson);
}

#[test]
fn a_verdict_in_a_word() {
    let repaired = Finding { repaired: true, ..plain("1", Outcome::Mismatched) };
    let open = plain("2", Outcome::MissingAtDestination);
    let (matched, moving) = (plain("3", Outcome::Matched), plain("4", Outcome::InFlight));
    let whole = coverage();
    let cut = Side { complete: false, ..whole.own.clone() };
    let verdict = |findings: &[&Finding], dry_run| {
        Tally::of(findings.iter().map(|finding| (*finding).clone())).verdict(&whole, dry_run)
    };
    assert_eq!(verdict(&[], false), Verdict::Clean);
    assert_eq!(verdict(&[&matched, &moving], false), Verdict::Clean);
    assert_eq!(verdict(&[&matched, &repaired], false), Verdict::Repaired);
    assert_eq!(verdict(&[&repaired, &open], false), Verdict::NeedsPerson);
    assert_eq!(verdict(&[&matched, &open], true), Verdict::Repaired);
    for outcome in [Outcome::Failed, Outcome::Duplicate, Outcome::Invalid] {
        assert_eq!(verdict(&[&matched, &plain("5", outcome)], true), Verdict::NeedsPerson);
    }
    let clean = Tally::of([matched]);
    let with = |source: Option<&Side>, destination: Option<&Side>, own: &Side| {
        let coverage = Coverage { source: source.cloned(), destination: destination.cloned(), own: own.clone() };
        clean.verdict(&coverage, false)
    };
    let whole = &whole.own;
    assert_eq!(with(None, Some(whole), whole), Verdict::Clean);
    assert_eq!(with(Some(whole), None, whole), Verdict::Clean);
    assert_eq!(with(None, None, whole), Verdict::Failed);
    assert_eq!(with(Some(&cut), Some(whole), whole), Verdict::NeedsPerson);
    assert_eq!(with(Some(whole), Some(&cut), whole), Verdict::NeedsPerson);
    assert_eq!(with(Some(whole), Some(whole), &cut), Verdict::NeedsPerson);
}
