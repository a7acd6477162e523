//! `GET /batches`, `/batches/{id}` and `/batches/{id}/report`.

use crate::handler::{Api, NoReport, Refused};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use certbridge_archive::Content;
use certbridge_mapping::{
    Problems,
    problem::{Problem, Shape},
};
use certbridge_platform::{
    Answer,
    http::{Request, path_parameter, query_parameter},
};
use certbridge_sync::{
    audit::Actor,
    batches::{BatchId, BatchProgress, BatchRow, BatchStatus, BatchSummary, Batches, Executions, Mode},
    ports::Runtime,
    reconcile::Verdict,
};
use jiff::Timestamp;
use serde::Serialize;
use std::time::Duration;

const DEFAULT_LIMIT: usize = 25;
const MAX_LIMIT: usize = 100;
/// The largest report that is answered as it is, in bytes; Lambda answers with 6 MB at most, and JSON makes more of them.
const MAX_INLINE: u64 = 4 * 1024 * 1024;
/// How long a link to a larger one opens it.
const LINK_LASTS: Duration = Duration::from_secs(300);
/// What a page may do: show itself, and nothing else.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'none'";

/// A batch, as a caller sees it.
#[derive(Serialize)]
pub(crate) struct Shown<'a> {
    batch_id: &'a BatchId,
    status: BatchStatus,
    mode: Mode,
    source: &'a str,
    kind: &'a str,
    dry_run: bool,
    force: bool,
    requested_by: &'a str,
    requested_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<ShownSummary<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct ShownSummary<'a> {
    verdict: Verdict,
    headline: &'a str,
    records: u64,
    repaired: u64,
}

impl<'a> From<&'a BatchRow> for Shown<'a> {
    fn from(row: &'a BatchRow) -> Self {
        let summary = |of: &'a BatchSummary| ShownSummary {
            verdict: of.verdict,
            headline: &of.headline,
            records: of.records,
            repaired: of.repaired,
        };
        Self {
            batch_id: &row.id,
            status: row.status,
            mode: row.request.mode,
            source: &row.request.source,
            kind: row.request.kind.as_str(),
            dry_run: row.request.dry_run,
            force: row.request.force,
            requested_by: match &row.request.actor {
                Actor::Caller { owner } => owner,
                _ => "schedule",
            },
            requested_at: row.requested_at,
            finished_at: row.finished_at,
            summary: row.summary.as_ref().map(summary),
            report: row.summary.as_ref().map(|_| format!("/batches/{}/report", row.id)),
            error: row.error.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct WithProgress<'a> {
    #[serde(flatten)]
    batch: Shown<'a>,
    progress: BatchProgress,
}

#[derive(Serialize)]
struct Page<'a> {
    batches: Vec<Shown<'a>>,
    next_cursor: Option<String>,
}

/// The forms of a report.
#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    Csv,
    Html,
}

impl Form {
    const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Html];

    /// Its name, which is also the ending of its object.
    fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Html => "html",
        }
    }

    fn answer(self, id: &BatchId, content: String) -> Answer {
        let answer = match self {
            Self::Json => Answer::new(200, "application/json", content),
            Self::Csv => Answer::new(200, "text/csv; charset=utf-8", content)
                .header("content-disposition", format!("attachment; filename=\"{id}.csv\"")),
            Self::Html => Answer::new(200, "text/html; charset=utf-8", content)
                .header("content-security-policy", PAGE_POLICY)
                .header("referrer-policy", "no-referrer"),
        };
        answer.header("x-content-type-options", "nosniff")
    }
}

impl<S: Batches, E: Executions, T: Runtime> Api<S, E, T> {
    pub(crate) async fn list(&self, request: &Request, owner: &str) -> Result<Answer, Refused> {
        let (limit, cursor) = page_wanted(request)?;
        let page = self.batches.batches(cursor.as_deref(), limit).await?;
        let batches: Vec<_> = page.items.iter().map(Shown::from).collect();
        tracing::info!(owner, batches = batches.len(), "told of batches");
        self.metrics.count("Told", &[("Of", "batches")]);
        let next_cursor = page.next.map(|place| BASE64_URL_SAFE_NO_PAD.encode(place));
        Ok(Answer::json(200, &Page { batches, next_cursor }))
    }

    pub(crate) async fn show(&self, request: &Request, owner: &str) -> Result<Answer, Refused> {
        let (row, progress) = self.wanted(request).await?;
        tracing::info!(owner, batch_id = %row.id, "told of a batch");
        self.metrics.count("Told", &[("Of", "batch")]);
        Ok(Answer::json(200, &WithProgress { batch: Shown::from(&row), progress }))
    }

    pub(crate) async fn report(&self, request: &Request, owner: &str) -> Result<Answer, Refused> {
        let form = form_wanted(request)?;
        let (row, _) = self.wanted(request).await?;
        let summary = row.summary.as_ref().ok_or_else(|| Refused::NoReport(why_none(&row)))?;
        let path = format!("{}.{}", summary.report, form.as_str());
        let content = self.archive.get_within(&path, MAX_INLINE).await?;
        let answer = match content.ok_or(Refused::NoReport(NoReport::Gone))? {
            Content::Whole(content) => form.answer(&row.id, text(&content)?),
            Content::TooLarge => self.large_report(&row.id, &path, form).await?,
        };
        tracing::info!(owner, batch_id = %row.id, format = form.as_str(), status = answer.status, "told a report");
        self.metrics.count("Told", &[("Of", "report")]);
        Ok(answer)
    }

    /// A link to a report that is too large to be answered. A folder makes no links, and whoever has one has no gateway
    /// that counts bytes.
    async fn large_report(&self, id: &BatchId, path: &str, form: Form) -> Result<Answer, Refused> {
        if let Some(link) = self.archive.link(path, LINK_LASTS).await? {
            return Ok(Answer::new(303, "text/plain", "").header("location", link));
        }
        let content = self.archive.get(path).await?.ok_or(Refused::NoReport(NoReport::Gone))?;
        Ok(form.answer(id, text(&content)?))
    }

    /// The batch that the path names.
    async fn wanted(&self, request: &Request) -> Result<(BatchRow, BatchProgress), Refused> {
        let id =
            path_parameter(request, "id").and_then(|id| id.parse::<BatchId>().ok()).ok_or(Refused::UnknownBatch)?;
        self.batches.batch(&id).await?.ok_or(Refused::UnknownBatch)
    }
}

fn text(content: &[u8]) -> Result<String, Refused> {
    let text = std::str::from_utf8(content).map_err(|_| Refused::Unusable("a report is not text".to_owned()))?;
    Ok(text.to_owned())
}

/// Why a batch has no report.
fn why_none(row: &BatchRow) -> NoReport {
    match (row.status, &row.error) {
        (BatchStatus::Queued | BatchStatus::Running, _) => NoReport::NotOver,
        (_, Some(error)) => NoReport::Failed(error.clone()),
        (_, None) => NoReport::None,
    }
}

/// The limit and the place after which the page begins.
fn page_wanted(request: &Request) -> Result<(usize, Option<String>), Problems> {
    let mut faults = Vec::new();
    let mut fault = |name: &str, value: &str, wanted: String| {
        faults.push(Problem::new(name, Shape::String(value.chars().count()), wanted));
    };
    let limit = query_parameter(request, "limit").map_or(DEFAULT_LIMIT, |value| {
        let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.unwrap_or_else(|| {
            fault("limit", value, format!("a number from 1 to {MAX_LIMIT}"));
            DEFAULT_LIMIT
        })
    });
    let cursor = query_parameter(request, "cursor").and_then(|value| {
        let place = place(value);
        if place.is_none() {
            fault("cursor", value, "the next_cursor of a page".to_owned());
        }
        place
    });
    if faults.is_empty() { Ok((limit, cursor)) } else { Err(Problems(faults)) }
}

/// The place that a cursor says, if it is one that [`BatchRow::place`] could be.
fn place(cursor: &str) -> Option<String> {
    let place = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (time, id) = place.split_once('#')?;
    let time_is_one = time.parse::<Timestamp>().is_ok_and(|at| format!("{at:.3}") == time);
    (time_is_one && id.parse::<BatchId>().is_ok()).then_some(place)
}

fn form_wanted(request: &Request) -> Result<Form, Problems> {
    let Some(value) = query_parameter(request, "format") else { return Ok(Form::Json) };
    let form = Form::ALL.into_iter().find(|form| form.as_str() == value);
    form.ok_or_else(|| Problems::one(Problem::new("format", Shape::String(value.chars().count()), "json, csv or html")))
}
