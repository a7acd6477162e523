//! `GET /batches`, `/batches/{id}` and `/batches/{id}/report`.

use crate::{
    handler::{Api, NoReport, Refused, Tables},
    query::PageWanted,
};
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
    batches::{BatchId, BatchProgress, BatchRow, BatchStatus, BatchSummary, Executions, Mode},
    ports::{RetryQueue, Runtime},
    reconcile::Verdict,
};
use jiff::Timestamp;
use serde::Serialize;
use std::time::Duration;

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
    differing: u64,
    repaired: u64,
}

impl<'a> From<&'a BatchRow> for Shown<'a> {
    fn from(row: &'a BatchRow) -> Self {
        let summary = |of: &'a BatchSummary| ShownSummary {
            verdict: of.verdict,
            headline: &of.headline,
            records: of.records,
            differing: of.differing,
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

impl<S: Tables, Q: RetryQueue, E: Executions, T: Runtime> Api<S, Q, E, T> {
    pub(crate) async fn list(&self, request: &Request, owner: &str) -> Result<Answer, Refused> {
        let wanted = PageWanted::read(request, &self.cursors, &[])?;
        let page = self.store.batches(wanted.after.as_deref(), wanted.limit).await?;
        let batches: Vec<_> = page.items.iter().map(Shown::from).collect();
        tracing::info!(owner, batches = batches.len(), "told of batches");
        self.metrics.count("Told", &[("Of", "batches")]);
        let next_cursor = wanted.next(&self.cursors, page.next.as_deref());
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
        self.store.batch(&id).await?.ok_or(Refused::UnknownBatch)
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

fn form_wanted(request: &Request) -> Result<Form, Problems> {
    let Some(value) = query_parameter(request, "format") else { return Ok(Form::Json) };
    let form = Form::ALL.into_iter().find(|form| form.as_str() == value);
    form.ok_or_else(|| Problems::one(Problem::new("format", Shape::String(value.chars().count()), "json, csv or html")))
}
