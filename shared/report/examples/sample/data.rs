//! A batch that could have been.

use certbridge_report::TrendPoint;
use certbridge_sync::reconcile::{Coverage, Drift, FieldDifference, Finding, Outcome, Report, Side, Tally};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// When the batch ended: 2026-11-20 02:14:07 UTC.
const FINISHED: Timestamp = Timestamp::constant(1_795_140_847, 0);

fn before(hours: i64) -> Timestamp {
    FINISHED.saturating_sub(SignedDuration::from_hours(hours)).unwrap_or(FINISHED)
}

fn difference(field: &str, personal: bool, expected: Value, found: Value) -> FieldDifference {
    FieldDifference { field: field.into(), personal, expected, found }
}

/// The report, counted from what was found.
pub(crate) fn report() -> Report {
    let found = |id: u64, outcome, drift, hours: Option<i64>, location: &str| Finding {
        id: id.to_string(),
        outcome,
        drift,
        since: hours.map(before),
        fields: Vec::new(),
        location_id: (!location.is_empty()).then(|| location.into()),
        reason: None,
        repaired: drift.is_some() && outcome != Outcome::Failed,
    };
    let because = |reason: &str, finding| Finding { reason: Some(reason.into()), ..finding };
    let differs = |fields, finding| Finding { fields, ..finding };
    let matched = [("loc_london", 7_402), ("loc_leeds", 3_101), ("loc_york", 1_790), ("loc_bath", 119)];
    let matched = matched.into_iter().zip(1..).flat_map(|((location, count), city)| {
        (0..count).map(move |index| found(city * 20_000_000 + index, Outcome::Matched, None, None, location))
    });
    let never_arrived = [("loc_york", 7), ("loc_london", 3), ("loc_leeds", 1)];
    let never_arrived = never_arrived.into_iter().zip(1..).flat_map(|((location, count), city)| {
        let (outcome, drift) = (Outcome::MissingAtDestination, Some(Drift::NeverArrived));
        (0..count).map(move |index| found(10_007_000 + 10 * city + index, outcome, drift, Some(40), location))
    });
    let edited = Some(Drift::EditedAtDestination);
    let others = [
        because(
            "The destination said 422: location_id is closed.",
            found(10_004_711, Outcome::Failed, Some(Drift::ArrivedAndFailed), Some(212), ""),
        ),
        because("The listing has no issue date.", found(10_004_712, Outcome::Invalid, None, None, "loc_leeds")),
        because("The destination lists it twice.", found(10_003_141, Outcome::Duplicate, None, Some(31), "loc_london")),
        found(10_009_001, Outcome::MissingAtSource, None, Some(77), ""),
        differs(
            vec![
                difference("status", false, json!("revoked"), json!("issued")),
                difference("credit_hours", false, json!(12.5), Value::Null),
                difference("holder_email", true, Value::Null, Value::Null),
            ],
            found(10_006_123, Outcome::Mismatched, edited, Some(19), "loc_leeds"),
        ),
        differs(
            vec![difference("issue_date", false, json!("2026-10-02"), json!("2026-02-10"))],
            found(10_006_125, Outcome::Mismatched, edited, Some(19), "loc_london"),
        ),
        differs(
            vec![difference("category", false, json!("first-aid"), json!("First aid at work"))],
            found(10_006_124, Outcome::Mismatched, Some(Drift::PlanChanged), Some(6), "loc_london"),
        ),
        found(10_011_111, Outcome::InFlight, None, None, "loc_bath"),
    ];
    let tally = Tally::of(matched.chain(never_arrived).chain(others));
    let coverage = Coverage {
        source: Some(Side { rows: 12_430, pages: 125, announced: Some(12_430), complete: true }),
        destination: Some(Side { rows: 12_420, pages: 63, announced: None, complete: true }),
        own: Side { rows: 12_425, pages: 13, announced: None, complete: true },
    };
    Report {
        schema: Report::SCHEMA,
        batch_id: "2026-11-20T02-00-00Z".into(),
        started_by: "schedule".into(),
        source: "accredible".into(),
        kind: "certificate".into(),
        started_at: FINISHED.saturating_sub(SignedDuration::from_secs(847)).unwrap_or(FINISHED),
        finished_at: FINISHED,
        dry_run: false,
        verdict: tally.verdict(&coverage, false),
        remarks: vec![
            "1 certificate stands at the destination and not at the source. Nothing is deleted unless you say so."
                .into(),
            "10004711 was refused by the destination: its location is closed. Open it, or move the certificate.".into(),
        ],
        coverage,
        totals: tally.totals,
        by_location: tally.by_location,
        oldest_drift: tally.oldest_drift,
        findings: tally.findings,
        checkpoint: Some("5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".into()),
    }
}

/// The last batches: one a night, one of them bad.
pub(crate) fn trend(report: &Report) -> Vec<TrendPoint> {
    let differing = [9, 4, 6, 3, 0, 2, 11, 5, 3, 2, 0, 0, 1, 64, 22, 8, 4, 4, 2, 1, 3, 6, 2, 0, 1, 5, 2, 3, 9];
    let earlier = differing.into_iter().zip((1..=29).rev()).map(|(differing, nights)| {
        let records = 12_431 - 7 * u64::try_from(nights).unwrap_or_default();
        let finished_at = before(24 * nights);
        TrendPoint { finished_at, records, matched: records - differing, differing }
    });
    earlier.chain([TrendPoint::from(report)]).collect()
}
