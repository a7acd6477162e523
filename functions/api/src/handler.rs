use certbridge_archive::{Archive, ArchiveError};
use certbridge_mapping::Problems;
use certbridge_platform::{
    Answer, Metrics, Problem, ProblemType,
    http::{Request, owner, route},
};
use certbridge_sync::{
    InForce, StoreError,
    batches::{BatchId, Batches, Executions},
    ports::Runtime,
};
use std::time::Duration;

/// When a caller may ask again for what failed in a way that may pass.
const SOON: Duration = Duration::from_secs(5);
/// When a caller may ask again for the report of a batch that is not over.
const LATER: Duration = Duration::from_secs(30);

/// Everything that the handler needs.
#[derive(Debug)]
pub struct Api<S, E, T> {
    /// The definitions in force.
    pub definitions: InForce,
    /// The batches.
    pub batches: S,
    /// What carries them.
    pub executions: E,
    /// Where the records that callers give are kept, and reports.
    pub archive: Archive,
    /// Time and randomness.
    pub runtime: T,
    /// The counters.
    pub metrics: Metrics,
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
            Self::UnknownRoute | Self::UnknownBatch => Problem::new(ProblemType::NotFound),
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
pub async fn handle<S: Batches, E: Executions, T: Runtime>(app: &Api<S, E, T>, request: Request) -> Answer {
    let answer = match app.answer(&request).await {
        Ok(answer) => answer,
        Err(refused) => {
            let (reason, owner) = (refused.reason(), owner(&request));
            tracing::warn!(reason, owner, error = %refused, "refused");
            app.metrics.count("Refused", &[("Reason", reason)]);
            refused.problem().into()
        }
    };
    // What is told here changes by itself, and is nobody else's business.
    answer.header("cache-control", "no-store")
}

impl<S: Batches, E: Executions, T: Runtime> Api<S, E, T> {
    /// Only a caller whom the authorizer let in has an owner.
    async fn answer(&self, request: &Request) -> Result<Answer, Refused> {
        let owner = owner(request).ok_or(Refused::Unauthorized)?;
        match route(request).ok_or(Refused::UnknownRoute)?.key {
            "POST /batch_sync" => self.start(request, owner).await,
            "GET /batches" => self.list(request, owner).await,
            "GET /batches/{id}" => self.show(request, owner).await,
            "GET /batches/{id}/report" => self.report(request, owner).await,
            _ => Err(Refused::UnknownRoute),
        }
    }
}
