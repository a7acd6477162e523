use crate::locations::locations;
use certbridge_mapping::{Document, Kind, Record, RecordId, RecordKey};
use certbridge_platform::{
    Answer, Metrics, Problem, ProblemType,
    http::{Request, deadline, owner, path_parameter, query_parameter, request_id, route},
};
use certbridge_sync::{
    Engine,
    audit::Action,
    event::SyncRequest,
    ports::{Breakers, Destination, Inbox, Records, RetryQueue, Runtime, Sources},
    sync::{Failure, Report, Run, Unsettled},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::time::Duration;

/// The source whose certificates are meant where none is named.
const DEFAULT_SOURCE: &str = "accredible";
/// The largest body that is taken, in bytes.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// The longest that a caller is kept waiting: the gateway gives up after 30 s.
const LONGEST_RUN: SignedDuration = SignedDuration::from_secs(20);
/// What is kept of the invocation's time to answer.
const RESERVE: SignedDuration = SignedDuration::from_secs(3);

/// Everything that the handler needs.
#[derive(Debug)]
pub struct SyncCertificate<E> {
    /// The use cases.
    pub engine: E,
    /// The counters.
    pub metrics: Metrics,
}

/// What a caller asks for.
struct Wish {
    request: SyncRequest,
    dry_run: bool,
}

/// Answers one request.
pub async fn handle<S, R, D, Q, T>(app: &SyncCertificate<Engine<S, R, D, Q, T>>, request: Request) -> Answer
where
    S: Inbox + Records + Breakers,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    let engine = &app.engine;
    if route(&request).is_some_and(|route| route.key == "GET /locations") {
        return locations(engine, &request).await.revalidated(&request);
    }
    let wish = match engine_wish(engine, &request) {
        Ok(wish) => wish,
        Err(problem) => return (*problem).into(),
    };
    let now = engine.runtime.now();
    let run = run(&request, now);
    let result = if wish.dry_run {
        engine.dry_run(&wish.request, &run).await.map_err(Unsettled::from)
    } else {
        engine.sync_now(&wish.request, &run).await
    };
    let record = &wish.request.key;
    match result {
        Ok(report) => {
            let outcome = report.outcome.as_str();
            tracing::info!(%record, outcome, owner = wish.request.owner, dry_run = wish.dry_run, "synced on demand");
            app.metrics.count("SyncedOnDemand", &[("Outcome", outcome)]);
            Answer::json(200, &body(record, &report, wish.dry_run))
        }
        Err(unsettled) => {
            tracing::warn!(%record, %unsettled, owner = wish.request.owner, "not synced on demand");
            app.metrics.count("SyncOnDemandFailed", &[]);
            problem(&unsettled, engine.runtime.now()).into()
        }
    }
}

/// Reads the request, all of it before anything is touched. Only a caller whom the authorizer let in has an owner.
fn engine_wish<S, R, D, Q, T>(engine: &Engine<S, R, D, Q, T>, request: &Request) -> Result<Wish, Box<Problem>> {
    let problem = |kind, detail: String| Box::new(Problem::new(kind).detail(detail));
    let owner = owner(request).ok_or_else(|| Box::new(Problem::new(ProblemType::Unauthorized)))?.to_owned();
    let id: RecordId = path_parameter(request, "id")
        .unwrap_or_default()
        .parse()
        .map_err(|error| problem(ProblemType::MalformedRequest, format!("{error}.")))?;
    let kind = match path_parameter(request, "kind").map(str::parse::<Kind>) {
        None => Kind::Certificate,
        Some(Ok(kind)) => kind,
        Some(Err(error)) => return Err(problem(ProblemType::MalformedRequest, format!("{error}."))),
    };
    let named = path_parameter(request, "source").or_else(|| query_parameter(request, "source"));
    let source = named.unwrap_or(DEFAULT_SOURCE);
    let plan = engine.plans.of(source).ok_or_else(|| Box::new(Problem::new(ProblemType::UnknownSource)))?;
    let dry_run = match query_parameter(request, "dry_run") {
        None | Some("false") => false,
        Some("true" | "") => true,
        Some(_) => return Err(problem(ProblemType::MalformedRequest, "dry_run is true or false.".into())),
    };
    let key = RecordKey { kind, source: plan.source().name.clone(), id };
    let given = given(&plan, &key, request.body().as_ref())?;
    Ok(Wish { request: SyncRequest { key, given, owner }, dry_run })
}

/// The record in the body; `None` if the body says nothing that the path does not.
fn given(plan: &certbridge_mapping::Plan, key: &RecordKey, body: &[u8]) -> Result<Option<Record>, Box<Problem>> {
    if body.len() > MAX_BODY_BYTES {
        let detail = format!("At most {MAX_BODY_BYTES} bytes are taken.");
        return Err(Box::new(Problem::new(ProblemType::BodyTooLarge).detail(detail)));
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let document = Document::given(body)
        .map_err(|problems| Box::new(Problem::new(ProblemType::MalformedRequest).errors(problems)))?;
    if document.value().as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(None);
    }
    let record = plan.given(key, &document);
    record.map(Some).map_err(|problems| Box::new(Problem::new(ProblemType::Unmappable).errors(problems)))
}

fn run(request: &Request, now: Timestamp) -> Run {
    let ends_at = deadline(request).unwrap_or(now + LONGEST_RUN + RESERVE);
    Run { id: request_id(request).to_owned(), deadline: (now + LONGEST_RUN).min(ends_at - RESERVE), ends_at }
}

fn body(record: &RecordKey, report: &Report, dry_run: bool) -> serde_json::Value {
    json!({
        "record": record.to_string(),
        "dry_run": dry_run,
        "outcome": if dry_run { "dry_run" } else { report.outcome.as_str() },
        "pushed": report.action == Action::Pushed,
        "changes": report.changes,
        "plan": report.plan,
        "audit_sequence": report.sequence,
        "destination_request_id": report.destination_request_id,
    })
}

/// What a failure is to the caller.
fn problem(unsettled: &Unsettled, now: Timestamp) -> Problem {
    let until =
        |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or_default().max(Duration::from_secs(1));
    let soon = Duration::from_secs(5);
    match &unsettled.failure {
        Failure::Leased { until: at } => {
            Problem::new(ProblemType::Conflict).detail("The record is being synced right now.").retry_after(until(*at))
        }
        Failure::Replaced { .. } | Failure::Moved => Problem::new(ProblemType::Conflict)
            .detail("Another sync of the record overtook this one.")
            .retry_after(soon),
        Failure::Parked { until: at, .. } => Problem::new(ProblemType::Unavailable)
            .detail("A provider does not take our key: a person must look.")
            .retry_after(until(*at)),
        Failure::OutOfTime => Problem::new(ProblemType::Unavailable).retry_after(soon),
        Failure::Transient { retry_after, .. } => Problem::new(ProblemType::BadGateway)
            .detail("A provider failed in a way that may pass.")
            .retry_after(retry_after.or(unsettled.not_before.map(until)).unwrap_or(soon)),
        Failure::NotVisible(_) | Failure::NotFound => {
            Problem::new(ProblemType::NotFound).detail("The source has no such record.")
        }
        Failure::Unmappable(problems) => Problem::new(ProblemType::Unmappable).errors(problems.clone()),
        Failure::Rejected(_) => Problem::new(ProblemType::Unmappable).detail("A provider refuses this very request."),
        Failure::Store(error) if error.is_transient() => Problem::new(ProblemType::Unavailable).retry_after(soon),
        Failure::Store(_) => Problem::new(ProblemType::Internal),
    }
}
