//! The report for a person, in one file.

use crate::{
    chart::{Chart, Fault},
    text,
    trend::TrendPoint,
    words,
};
use askama::Template;
use certbridge_sync::reconcile::{Finding, Outcome, Report, Side, Totals, Verdict};
use jiff::Timestamp;
use std::cmp::Reverse;

/// The most locations that are shown by themselves.
const LOCATIONS: usize = 50;
/// The most locations in the chart.
const CHARTED: usize = 12;
/// The most batches that the trend goes back.
const BATCHES: usize = 30;
/// The most remarks that are shown.
const REMARKS: usize = 50;
/// The most differences that are shown of one finding.
const DIFFERENCES: usize = 8;
/// The most signs of an id or a value.
const NAME: usize = 80;
/// The most signs of a sentence.
const SENTENCE: usize = 400;

/// Why a page was not made.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A chart could not be drawn.
    #[error("a chart could not be drawn: {0}")]
    Chart(String),
    /// The template could not be filled.
    #[error("the page could not be written: {0}")]
    Template(#[from] askama::Error),
}

/// The report as one HTML file that needs nothing else: no script, no font, nothing from any other place.
///
/// `trend` holds earlier batches and this one, the oldest first; the last 30 are shown. `plan` is the version of the plan
/// that the records were mapped by.
pub fn html(report: &Report, trend: &[TrendPoint], plan: Option<&str>) -> Result<String, RenderError> {
    let trend = &trend[trend.len().saturating_sub(BATCHES)..];
    let charts = Charts::new(report, trend).map_err(|error| RenderError::Chart(error.to_string()))?;
    Ok(Page::new(report, trend, plan, charts).render()?)
}

/// What the template shows. Every text of somebody else's went through [`words::shown`].
#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    subject: String,
    source: String,
    kinds: String,
    headline: String,
    advice: &'static str,
    tone: &'static str,
    dry_run: bool,
    finished_at: Moment,
    figures: Vec<(&'static str, String)>,
    remarks: Vec<String>,
    more_remarks: usize,
    outcomes: Vec<Line>,
    /// How many ids were compared.
    records: String,
    adds_up: bool,
    causes: Vec<Line>,
    locations: Vec<LocationLine>,
    listings: Vec<Listing>,
    blind: bool,
    oldest_drift: Option<(Moment, String)>,
    trend: Vec<TrendLine>,
    findings: Vec<FindingLine>,
    /// How many findings there are, if they are not all shown.
    cut: Option<String>,
    facts: Vec<(&'static str, String)>,
    charts: Charts,
}

struct Charts {
    outcomes: Option<Chart>,
    locations: Option<Chart>,
    share: Option<Chart>,
    differing: Option<Chart>,
}

/// A time, for people and for programs.
struct Moment {
    iso: Timestamp,
    text: String,
}

/// A number with its name and meaning.
struct Line {
    name: &'static str,
    meaning: &'static str,
    count: String,
    share: String,
}

struct LocationLine {
    name: String,
    /// Whether the name is an id, and not a word of ours.
    is_id: bool,
    records: String,
    matched: String,
    differing: String,
    repaired: String,
    in_flight: String,
}

/// A listing of one side.
struct Listing {
    name: &'static str,
    /// `None` if it cannot be listed.
    side: Option<ListedSide>,
}

struct ListedSide {
    rows: String,
    pages: String,
    announced: String,
    complete: bool,
    /// Whether it has another number of rows than it said.
    contradicts: bool,
}

struct TrendLine {
    finished_at: Moment,
    records: String,
    share: String,
    differing: String,
}

struct FindingLine {
    id: String,
    location: Option<String>,
    outcome: &'static str,
    cause: Option<&'static str>,
    repaired: bool,
    since: Option<Moment>,
    reason: Option<String>,
    differences: Vec<(String, Option<(String, String)>)>,
    more_differences: usize,
}

impl Page {
    fn new(report: &Report, trend: &[TrendPoint], plan: Option<&str>, charts: Charts) -> Self {
        let totals = &report.totals;
        let found = totals.records.saturating_sub(words::count(totals, Outcome::Matched));
        let findings = &report.findings[..report.findings.len().min(Report::MAX_FINDINGS)];
        let line = |(name, meaning), count, whole| Line {
            name,
            meaning,
            count: words::number(count),
            share: words::share(count, whole),
        };
        let caused = words::sum(totals.drift.values().copied());
        let causes = words::DRIFTS.map(|drift| (drift, totals.drift.get(&drift).copied().unwrap_or_default()));
        let oldest_drift =
            report.oldest_drift.map(|since| (Moment::new(since), words::span(since, report.finished_at)));
        Self {
            subject: format!("{} {}", words::shown(&report.source, NAME), words::kind(0, report)),
            source: words::shown(&report.source, NAME),
            kinds: words::kind(0, report),
            headline: text::headline(report),
            advice: text::advice(report),
            tone: match report.verdict {
                Verdict::Clean | Verdict::Repaired => "good",
                Verdict::NeedsPerson => "warn",
                Verdict::Failed => "bad",
            },
            dry_run: report.dry_run,
            finished_at: Moment::new(report.finished_at),
            figures: figures(report),
            remarks: report.remarks.iter().take(REMARKS).map(|remark| words::shown(remark, SENTENCE)).collect(),
            more_remarks: report.remarks.len().saturating_sub(REMARKS),
            outcomes: words::OUTCOMES
                .map(|outcome| line(words::outcome(outcome), words::count(totals, outcome), totals.records))
                .into(),
            records: words::number(totals.records),
            adds_up: report.adds_up(),
            causes: causes
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(drift, count)| line(words::drift(drift), count, caused))
                .collect(),
            locations: locations(report),
            listings: vec![
                Listing::new("Source", report.coverage.source.as_ref()),
                Listing::new("Destination", report.coverage.destination.as_ref()),
                Listing::new("Certbridge", Some(&report.coverage.own)),
            ],
            blind: report.coverage.source.is_none(),
            oldest_drift,
            trend: trend.iter().map(TrendLine::new).collect(),
            findings: findings.iter().map(FindingLine::new).collect(),
            cut: (found > findings.len() as u64).then(|| words::number(found)),
            facts: facts(report, plan),
            charts,
        }
    }
}

/// The numbers at the top.
fn figures(report: &Report) -> Vec<(&'static str, String)> {
    let totals = &report.totals;
    let differing = words::differing(totals);
    vec![
        ("Compared", words::number(totals.records)),
        ("Matched", words::share(words::count(totals, Outcome::Matched), totals.records)),
        ("Differed", words::number(differing)),
        ("Repaired", words::number(totals.repaired)),
        ("Left", words::number(words::left(totals))),
        (
            "Oldest difference",
            report.oldest_drift.map_or("none".to_owned(), |since| words::span(since, report.finished_at)),
        ),
    ]
}

/// What else is to be known of the batch.
fn facts(report: &Report, plan: Option<&str>) -> Vec<(&'static str, String)> {
    let unknown = || "not known".to_owned();
    vec![
        ("Batch", words::shown(&report.batch_id, NAME)),
        ("Started by", words::shown(&report.started_by, NAME)),
        ("Started", words::time(report.started_at)),
        ("Finished", words::time(report.finished_at)),
        ("Took", words::span(report.started_at, report.finished_at)),
        ("Dry run", if report.dry_run { "yes: nothing was written" } else { "no" }.to_owned()),
        ("Plan version", plan.map_or_else(unknown, |plan| words::shown(plan, NAME))),
        (
            "Newest audit checkpoint",
            report.checkpoint.as_ref().map_or("none yet".to_owned(), |root| words::shown(root, 2 * NAME)),
        ),
        ("Form of the report", report.schema.to_string()),
    ]
}

/// The locations, the one with the most differences first, each with its name.
fn by_difference(report: &Report) -> Vec<(Option<&str>, &Totals)> {
    let mut locations: Vec<_> =
        report.by_location.iter().map(|location| (location.location_id.as_deref(), &location.totals)).collect();
    locations.sort_by_key(|(id, totals)| (Reverse(words::differing(totals)), Reverse(totals.records), *id));
    locations
}

/// The locations' numbers; those that have no line of their own share the last one, so that the column adds up.
fn locations(report: &Report) -> Vec<LocationLine> {
    let locations = by_difference(report);
    let (shown, others) = locations.split_at(locations.len().min(LOCATIONS));
    let mut lines: Vec<_> = shown
        .iter()
        .map(|(id, totals)| {
            LocationLine::new(id.map_or_else(no_location, |id| words::shown(id, NAME)), id.is_some(), &[*totals])
        })
        .collect();
    if !others.is_empty() {
        let totals: Vec<_> = others.iter().map(|(_, totals)| *totals).collect();
        lines.push(LocationLine::new(format!("{} others", words::number(others.len() as u64)), false, &totals));
    }
    lines
}

fn no_location() -> String {
    "Not known".to_owned()
}

impl Charts {
    fn new(report: &Report, trend: &[TrendPoint]) -> Result<Self, Fault> {
        let outcomes = words::OUTCOMES.into_iter().filter(|outcome| *outcome != Outcome::Matched);
        let outcomes: Vec<_> = outcomes
            .map(|outcome| (words::outcome(outcome).0.to_owned(), words::count(&report.totals, outcome)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let locations: Vec<_> = by_difference(report)
            .into_iter()
            .map(|(id, totals)| (id.map_or_else(no_location, str::to_owned), words::differing(totals)))
            .take_while(|(_, count)| *count > 0)
            .take(CHARTED)
            .collect();
        Ok(Self {
            outcomes: Chart::bars("outcomes", "What did not match", &outcomes)?,
            locations: Chart::bars("locations", "Where most differed", &locations)?,
            share: Chart::matched_share(trend)?,
            differing: Chart::differences(trend)?,
        })
    }
}

impl Moment {
    fn new(time: Timestamp) -> Self {
        Self { iso: time, text: words::time(time) }
    }
}

impl LocationLine {
    fn new(name: String, is_id: bool, totals: &[&Totals]) -> Self {
        let sum = |count: fn(&Totals) -> u64| words::number(words::sum(totals.iter().map(|totals| count(totals))));
        Self {
            name,
            is_id,
            records: sum(|totals| totals.records),
            matched: sum(|totals| words::count(totals, Outcome::Matched)),
            differing: sum(words::differing),
            repaired: sum(|totals| totals.repaired),
            in_flight: sum(|totals| words::count(totals, Outcome::InFlight)),
        }
    }
}

impl Listing {
    fn new(name: &'static str, side: Option<&Side>) -> Self {
        let side = side.map(|side| ListedSide {
            rows: words::number(side.rows),
            pages: words::number(side.pages),
            announced: side.announced.map_or("not said".to_owned(), words::number),
            complete: side.complete,
            contradicts: side.announced.is_some_and(|announced| announced != side.rows),
        });
        Self { name, side }
    }
}

impl TrendLine {
    fn new(point: &TrendPoint) -> Self {
        Self {
            finished_at: Moment::new(point.finished_at),
            records: words::number(point.records),
            share: words::share(point.matched, point.records),
            differing: words::number(point.differing),
        }
    }
}

impl FindingLine {
    fn new(finding: &Finding) -> Self {
        let cut = |text: &str| words::shown(text, NAME);
        Self {
            id: cut(&finding.id),
            location: finding.location_id.as_deref().map(cut),
            outcome: words::outcome(finding.outcome).0,
            cause: finding.drift.map(|drift| words::drift(drift).0),
            repaired: finding.repaired,
            since: finding.since.map(Moment::new),
            reason: finding.reason.as_ref().map(|reason| words::shown(reason, SENTENCE)),
            differences: words::differences(finding)
                .take(DIFFERENCES)
                .map(|(field, values)| (cut(field), values.map(|(expected, found)| (cut(&expected), cut(&found)))))
                .collect(),
            more_differences: finding.fields.len().saturating_sub(DIFFERENCES),
        }
    }
}
