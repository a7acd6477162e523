use crate::{cursor::Cursors, page};
use certbridge_archive::{Archive, ArchiveError};
use certbridge_mapping::Problems;
use certbridge_platform::{
    Answer, Metrics, Problem, ProblemType,
    http::{Request, owner, route},
};
use certbridge_sync::{
    InForce, StoreError,
    batches::{BatchId, Batches, Executions},
    catalog::{Catalog, Summary},
    history::AuditLog,
    ports::{Inbox, Records, RetryQueue, Runtime},
    replay::{NotReplayed, Replays},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// When a caller may ask again for what failed in a way that may pass.
const SOON: Duration = Duration::from_secs(5);
/// When a caller may ask again for the report of a batch that is not over.
const LATER: Duration = Duration::from_secs(30);

/// The tables, as this function reads and writes them.
pub trait Tables: AuditLog + Batches + Catalog + Inbox + Records + Replays {}

impl<S: AuditLog + Batches + Catalog + Inbox + Records + Replays> Tables for S {}

/// Everything that the handler needs.
#[derive(Debug)]
pub struct Api<S, Q, E, T> {
    /// The definitions in force.
    pub definitions: InForce,
    /// The name of the destination's definition.
    pub destination: String,
    /// The tables.
    pub store: S,
    /// Where pointers to events go that are run again.
    pub queue: Q,
    /// What carries batches.
    pub executions: E,
    /// Where the records that callers give are kept, and reports.
    pub archive: Archive,
    /// Where the audit's checkpoints are kept.
    pub checkpoints: Archive,
    /// Time and randomness.
    pub runtime: T,
    /// The counters.
    pub metrics: Metrics,
    /// What makes cursors.
    pub cursors: Cursors,
    /// The numbers that were counted last.
    pub summary: Mutex<Option<Arc<Summary>>>,
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoReport {
    #[error("The batch is not over yet.")]
    NotOver,
    #[error("The batch failed: {0}")]
    Failed(String),
    #[error("The batch came to no report.")]
    None,
    #[error("The report is no longer kept.")]
    Gone,
}

/// Why a request is not granted. The text is for the log: it holds nothing that the caller wrote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("nobody was let in")]
    Unauthorized,
    #[error("there is no such route")]
    UnknownRoute,
    #[error("there is no such source")]
    UnknownSource,
    #[error("the body has {bytes} bytes, {limit} are allowed")]
    BodyTooLarge { bytes: usize, limit: usize },
    #[error("{} faults", .0.0.len())]
    Malformed(Problems),
    #[error("there is no such batch")]
    UnknownBatch,
    #[error("there is no such record")]
    UnknownRecord,
    #[error(transparent)]
    NotReplayed(NotReplayed),
    #[error("batch {0} was asked for with another body")]
    OtherBody(BatchId),
    #[error("batch {id} is on record, and not started: {error}")]
    NotStarted { id: BatchId, error: StoreError },
    #[error("no report: {0}")]
    NoReport(NoReport),
    #[error("{0}")]
    Unusable(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl From<Problems> for Refused {
    fn from(problems: Problems) -> Self {
        Self::Malformed(problems)
    }
}

impl From<NotReplayed> for Refused {
    fn from(why: NotReplayed) -> Self {
        match why {
            NotReplayed::Store(error) => Self::Store(error),
            NotReplayed::NoDefinition => Self::UnknownSource,
            why => Self::NotReplayed(why),
        }
    }
}

impl Refused {
    /// A short stable word for metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::UnknownRoute => "route",
            Self::UnknownSource => "unknown-source",
            Self::BodyTooLarge { .. } => "size",
            Self::Malformed(_) => "malformed",
            Self::UnknownBatch => "unknown-batch",
            Self::UnknownRecord => "unknown-record",
            Self::NotReplayed(_) => "not-replayed",
            Self::OtherBody(_) => "other-body",
            Self::NotStarted { .. } => "start",
            Self::NoReport(_) => "no-report",
            Self::Unusable(_) => "unusable",
            Self::Store(_) => "store",
            Self::Archive(_) => "archive",
        }
    }

    /// What the caller is told.
    fn problem(&self) -> Problem {
        let ours = |transient| match transient {
            true => Problem::new(ProblemType::Unavailable).retry_after(SOON),
            false => Problem::new(ProblemType::Internal),
        };
        match self {
            Self::Unauthorized => Problem::new(ProblemType::Unauthorized),
            Self::UnknownRoute | Self::UnknownBatch | Self::UnknownRecord => Problem::new(ProblemType::NotFound),
            Self::NotReplayed(why) => match why {
                NotReplayed::Unknown => {
                    Problem::new(ProblemType::NotFound).detail("There is no such event, or no more.")
                }
                NotReplayed::Unreadable(problems) => Problem::new(ProblemType::Unmappable)
                    .detail("It cannot be read by the definition in force.")
                    .errors(problems.clone()),
                NotReplayed::Erased => Problem::new(ProblemType::Conflict).detail("What it said was erased."),
                NotReplayed::Ignored => Problem::new(ProblemType::Unmappable)
                    .detail("Its type is not synced, says the definition in force."),
                _ => Problem::new(ProblemType::Conflict).detail("The event has moved on meanwhile.").retry_after(SOON),
            },
            Self::UnknownSource => Problem::new(ProblemType::UnknownSource),
            Self::BodyTooLarge { limit, .. } => {
                Problem::new(ProblemType::BodyTooLarge).detail(format!("At most {limit} bytes are taken."))
            }
            Self::Malformed(problems) => Problem::new(ProblemType::MalformedRequest).errors(problems.clone()),
            Self::OtherBody(id) => Problem::new(ProblemType::Conflict)
                .detail(format!("Batch {id} was asked for with another body: another batch needs another batch_id.")),
            Self::NotStarted { id, error } => ours(error.is_transient()).detail(format!(
                "Batch {id} is on record, but could not be started: send it again with this batch_id."
            )),
            Self::NoReport(why) => {
                let problem = Problem::new(ProblemType::NotFound).detail(why.to_string());
                if *why == NoReport::NotOver { problem.retry_after(LATER) } else { problem }
            }
            Self::Unusable(_) => ours(false),
            Self::Store(error) => ours(error.is_transient()),
            Self::Archive(error) => ours(error.is_transient()),
        }
    }
}

/// Answers one request.
pub async fn handle<S, Q, E, T>(app: &Api<S, Q, E, T>, request: Request) -> Answer
where
    S: Tables,
    Q: RetryQueue,
    E: Executions,
    T: Runtime,
{
    let answer = match app.answer(&request).await {
        Ok(answer) => answer,
        Err(refused) => {
            let (reason, owner) = (refused.reason(), owner(&request));
            tracing::warn!(reason, owner, error = %refused, "refused");
            app.metrics.count("Refused", &[("Reason", reason)]);
            refused.problem().into()
        }
    };
    answer.revalidated(&request)
}

impl<S: Tables, Q: RetryQueue, E: Executions, T: Runtime> Api<S, Q, E, T> {
    /// Only a caller whom the authorizer let in has an owner.
    async fn answer(&self, request: &Request) -> Result<Answer, Refused> {
        let route = route(request).ok_or(Refused::UnknownRoute)?;
        let owner = match (route.scope, owner(request)) {
            (Some(_), None) => return Err(Refused::Unauthorized),
            (_, owner) => owner.unwrap_or_default(),
        };
        match route.key {
            "POST /batch_sync" => self.start(request, owner).await,
            "GET /batches" => self.list(request, owner).await,
            "GET /batches/{id}" => self.show(request, owner).await,
            "GET /batches/{id}/report" => self.report(request, owner).await,
            "GET /certificates" | "GET /records/{kind}" => self.records(request).await,
            "GET /certificates/{id}" | "GET /records/{kind}/{source}/{id}" => self.record(request).await,
            "GET /certificates/{id}/audit" | "GET /records/{kind}/{source}/{id}/audit" => self.audit(request).await,
            "GET /certificates/{id}/history" | "GET /records/{kind}/{source}/{id}/history" => {
                self.history(request).await
            }
            "GET /audit/checkpoints" => self.checkpoints(request).await,
            "GET /summary" => self.summary().await,
            "GET /events" => self.events(request).await,
            "POST /events/{source}/{id}/replay" => self.replay(request, owner).await,
            "GET /mappings" => Ok(self.mappings()),
            "POST /mappings/preview" => self.preview(request),
            "GET /dashboard" => Ok(page::dashboard()),
            "GET /openapi.json" => Ok(page::contract()),
            "GET /health" => Ok(page::health()),
            _ => Err(Refused::UnknownRoute),
        }
    }
}
