//! One call of the API: who calls, whether that is allowed, and what an answer looks like.

use super::{Inner, oauth::Session};
use crate::{
    fault::Struck,
    provider::{Route, lock},
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderName, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// The version that every one of these endpoints wants in its `Version` header.
pub const VERSION: &str = "2021-07-28";

/// How many milliseconds the burst limit counts over.
const INTERVAL_MS: i64 = 10_000;

/// The documented burst limit.
const BURST: u32 = 100;

/// The documented limit of a day.
const DAILY: u32 = 200_000;

/// Whose tokens an endpoint takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// A location's.
    Location,
    /// The agency's.
    Agency,
    /// Either.
    Both,
}

/// What answers a call that is allowed.
pub(super) type Handle = fn(&Inner, &Call) -> Result<Answer, Refusal>;

/// A call that is allowed.
pub(super) struct Call {
    pub(super) session: Session,
    pub(super) path: BTreeMap<String, String>,
    pub(super) query: BTreeMap<String, String>,
    pub(super) body: Bytes,
    pub(super) struck: Struck,
}

/// An answer, yet without its trace id.
pub(super) struct Answer(pub(super) StatusCode, pub(super) Value);

/// 200.
pub(super) fn ok(body: Value) -> Result<Answer, Refusal> {
    Ok(Answer(StatusCode::OK, body))
}

/// 201.
pub(super) fn created(body: Value) -> Result<Answer, Refusal> {
    Ok(Answer(StatusCode::CREATED, body))
}

/// An error in one of the shapes of this API.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    /// A text, or a list of texts.
    message: Value,
    error: Option<&'static str>,
}

/// 400, which has one message and no name.
pub(super) fn bad(message: impl Into<String>) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, message: message.into().into(), error: None }
}

/// 401.
pub(super) fn unauthorized(message: &str) -> Refusal {
    Refusal { status: StatusCode::UNAUTHORIZED, message: message.into(), error: Some("Unauthorized") }
}

/// 404.
pub(super) fn not_found(message: &str) -> Refusal {
    Refusal { status: StatusCode::NOT_FOUND, message: message.into(), error: Some("Not Found") }
}

/// 422, which has a list of messages.
pub(super) fn unprocessable(messages: Vec<String>) -> Refusal {
    let (status, error) = (StatusCode::UNPROCESSABLE_ENTITY, Some("Unprocessable Entity"));
    Refusal { status, message: messages.into(), error }
}

fn forbidden() -> Refusal {
    let message = "The token does not have access to this location.".into();
    Refusal { status: StatusCode::FORBIDDEN, message, error: Some("Forbidden") }
}

fn too_many() -> Refusal {
    Refusal { status: StatusCode::TOO_MANY_REQUESTS, message: "Too Many Requests".into(), error: None }
}

impl Refusal {
    pub(super) fn into_answer(self) -> Answer {
        let mut body = json!({ "statusCode": self.status.as_u16(), "message": self.message });
        if let Some(error) = self.error {
            body["error"] = error.into();
        }
        Answer(self.status, body)
    }
}

impl Answer {
    /// With the trace id that every answer of an object carries.
    pub(super) fn traced(mut self, trace_id: String) -> Response {
        if let Value::Object(body) = &mut self.1 {
            body.insert("traceId".to_owned(), trace_id.into());
        }
        (self.0, Json(self.1)).into_response()
    }
}

impl Call {
    /// A part of the path.
    pub(super) fn part(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// The body, an object.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Refusal> {
        serde_json::from_slice(&self.body).map_err(|_| bad("Unexpected token in JSON"))
    }

    /// A number of the query, or the default.
    pub(super) fn number(&self, name: &str, default: usize) -> Result<usize, Refusal> {
        let number = self.query.get(name).map(|text| text.parse());
        number.transpose().map(|number| number.unwrap_or(default)).map_err(|_| {
            unprocessable(vec![format!("{name} must be a number conforming to the specified constraints")])
        })
    }

    /// A member of the query that has to be there.
    pub(super) fn wanted(&self, name: &str) -> Result<&str, Refusal> {
        let given = self.query.get(name).filter(|text| !text.is_empty());
        given.map(String::as_str).ok_or_else(|| unprocessable(vec![format!("{name} should not be empty")]))
    }

    /// Refuses a location that the caller's token does not reach.
    pub(super) fn may_use(&self, location: &str) -> Result<(), Refusal> {
        match &self.session.location_id {
            Some(own) if own != location => Err(forbidden()),
            _ => Ok(()),
        }
    }

    /// Whether a row is of a location that the caller may use, and of the one that the query names, if it names one.
    pub(super) fn sees(&self, row: &Value) -> bool {
        let location = row["locationId"].as_str().or(row["altId"].as_str()).unwrap_or_default();
        let named = self.query.get("locationId").or(self.query.get("altId"));
        self.may_use(location).is_ok() && named.is_none_or(|named| named == location)
    }
}

/// A route of the API that a token of this access with this scope may call.
pub(super) fn route(
    method: &'static str,
    path: &'static str,
    (scope, access): (&'static str, Access),
    handle: Handle,
) -> Route<Arc<Inner>> {
    let filter = match method {
        "GET" => MethodFilter::GET,
        "PUT" => MethodFilter::PUT,
        "DELETE" => MethodFilter::DELETE,
        _ => MethodFilter::POST,
    };
    let serve = move |State(inner): State<Arc<Inner>>,
                      Path(path): Path<BTreeMap<String, String>>,
                      Query(query): Query<BTreeMap<String, String>>,
                      Extension(struck): Extension<Struck>,
                      headers: HeaderMap,
                      body: Bytes| async move {
        let admit = || {
            let session = inner.session(&headers)?;
            session.check(scope, access)?;
            check_version(&headers)?;
            Ok(session)
        };
        let session = match admit() {
            Ok(session) => session,
            Err(refusal) => return refused(&inner, refusal),
        };
        let (limit, within) = inner.limiter.count(&session.resource(), inner.now().as_millisecond());
        let call = Call { session, path, query, body, struck };
        let _one_at_a_time = lock(&inner.applying);
        let answer = if within { handle(&inner, &call) } else { Err(too_many()) };
        let answer = answer.unwrap_or_else(Refusal::into_answer);
        (limit, answer.traced(inner.trace_id())).into_response()
    };
    (method, path, on(filter, serve))
}

fn refused(inner: &Inner, refusal: Refusal) -> Response {
    refusal.into_answer().traced(inner.trace_id())
}

fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get("version") {
        None => Err(unauthorized("version header was not found.")),
        Some(version) if version.as_bytes() == VERSION.as_bytes() => Ok(()),
        Some(_) => Err(bad("version header is invalid.")),
    }
}

/// The token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// The headers that tell of the limits.
type LimitHeaders = [(HeaderName, String); 5];

/// Counts the requests of each location or agency. It only tells, unless it is told to hold.
#[derive(Default)]
pub(super) struct Limiter {
    counts: Mutex<BTreeMap<String, Count>>,
    burst: Mutex<Option<u32>>,
}

#[derive(Default)]
struct Count {
    interval: i64,
    within: u32,
    day: u32,
}

impl Limiter {
    /// Refuses from now on what goes over so many requests in ten seconds, or nothing.
    pub(super) fn hold(&self, burst: Option<u32>) {
        *lock(&self.burst) = burst;
    }

    /// Counts a request: what to tell, and whether it is within the limit.
    fn count(&self, resource: &str, now_ms: i64) -> (LimitHeaders, bool) {
        let held = *lock(&self.burst);
        let burst = held.unwrap_or(BURST);
        let mut counts = lock(&self.counts);
        let count = counts.entry(resource.to_owned()).or_default();
        if count.interval != now_ms / INTERVAL_MS {
            (count.interval, count.within) = (now_ms / INTERVAL_MS, 0);
        }
        count.within += 1;
        count.day += 1;
        let within = held.is_none() || count.within <= burst;
        let told = |name, value: String| (HeaderName::from_static(name), value);
        let headers = [
            told("x-ratelimit-limit-daily", DAILY.to_string()),
            told("x-ratelimit-daily-remaining", DAILY.saturating_sub(count.day).to_string()),
            told("x-ratelimit-interval-milliseconds", INTERVAL_MS.to_string()),
            told("x-ratelimit-max", burst.to_string()),
            told("x-ratelimit-remaining", burst.saturating_sub(count.within).to_string()),
        ];
        (headers, within)
    }
}
