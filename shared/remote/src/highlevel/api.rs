//! One request: whose token, which version, what a refusal means, and how often.

use super::{HighLevel, Work, auth::Token, lock};
use crate::{
    http::{Answer, Body, Call, is_plain_id, request_id},
    refusal::MAX_RETRY_AFTER,
};
use certbridge_mapping::highlevel::Versions;
use certbridge_sync::{
    error::{Effect, RemoteClass, RemoteError},
    grants::Grants,
    ids::IdMap,
    ports::DestinationKeys,
};
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;
use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};
use tokio::time::Instant;

/// How many requests are left in the interval.
const REMAINING: &str = "x-ratelimit-remaining";
/// How long the interval is.
const INTERVAL: &str = "x-ratelimit-interval-milliseconds";
/// How many are left of the day's.
const DAILY_REMAINING: &str = "x-ratelimit-daily-remaining";
/// The documented interval.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// A group of endpoints that have one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Oauth,
    Locations,
    Contacts,
    Objects,
    CustomFields,
    Associations,
    Invoices,
}

impl Group {
    fn version(self, versions: &Versions) -> &str {
        match self {
            Self::Oauth => &versions.oauth,
            Self::Locations => &versions.locations,
            Self::Contacts => &versions.contacts,
            Self::Objects => &versions.objects,
            Self::CustomFields => &versions.custom_fields,
            Self::Associations => &versions.associations,
            Self::Invoices => &versions.invoices,
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Oauth => "/oauth",
            Self::Locations => "/locations",
            Self::Contacts => "/contacts",
            Self::Objects => "/objects",
            Self::CustomFields => "/custom-fields",
            Self::Associations => "/associations",
            Self::Invoices => "/invoices",
        }
    }
}

/// A request.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) method: &'static str,
    pub(super) group: Group,
    /// What the token must be allowed to do.
    pub(super) scope: &'static str,
    /// With its query, escaped.
    pub(super) path: &'a str,
    pub(super) body: Option<Body<'a>>,
    /// Whether it changes nothing there.
    pub(super) only_asks: bool,
}

impl<'a> Ask<'a> {
    /// A request that changes nothing.
    pub(super) fn get(group: Group, scope: &'static str, path: &'a str) -> Self {
        Self { method: "GET", group, scope, path, body: None, only_asks: true }
    }

    /// A search, which is a question however it is put.
    pub(super) fn search(group: Group, scope: &'static str, path: &'a str, body: &'a Value) -> Self {
        Self { only_asks: true, ..Self::write("POST", group, scope, path, body) }
    }

    /// A request that changes something.
    pub(super) fn write(
        method: &'static str,
        group: Group,
        scope: &'static str,
        path: &'a str,
        body: &'a Value,
    ) -> Self {
        Self { method, group, scope, path, body: Some(Body::Json(body)), only_asks: false }
    }

    /// A request that removes something.
    pub(super) fn delete(group: Group, scope: &'static str, path: &'a str) -> Self {
        Self { method: "DELETE", only_asks: false, ..Self::get(group, scope, path) }
    }
}

/// Where a request goes, and how long it may take.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    /// The location whose token is wanted; none for the company's, or for what there is.
    pub(super) location: Option<&'a str>,
    pub(super) deadline: Instant,
}

impl<K: DestinationKeys, S: IdMap + Grants> HighLevel<K, S> {
    /// Makes a request with the token that goes with it. Where the token is refused and there is a newer one, once more: a
    /// refused token has changed nothing.
    pub(super) async fn ask(&self, at: At<'_>, ask: Ask<'_>) -> Result<Answer, RemoteError> {
        let token = self.token(at).await?;
        let answer = self.send(&token, ask, at).await?;
        if answer.status != StatusCode::UNAUTHORIZED || speaks_of_a_scope(&answer) {
            return Ok(answer);
        }
        match self.other_token(&token, at).await? {
            Some(token) => self.send(&token, ask, at).await,
            None => Ok(answer),
        }
    }

    /// Makes a request that is to succeed, and gives the answer's body.
    pub(super) async fn wanted(&self, at: At<'_>, ask: Ask<'_>) -> Result<Value, RemoteError> {
        let answer = self.ask(at, ask).await?;
        if !answer.status.is_success() {
            return Err(self.refusal(ask, &answer));
        }
        self.read(ask, &answer)
    }

    /// Takes a step of a push that changes something there, and gives the answer's body.
    pub(super) async fn step(&self, work: &Work<'_>, ask: Ask<'_>) -> Result<Value, RemoteError> {
        let answer = self.ask(work.at(), ask).await?;
        self.applied(work, ask, &answer)
    }

    /// What an answer to a step says, once it is noted that the step was applied.
    pub(super) fn applied(&self, work: &Work<'_>, ask: Ask<'_>, answer: &Answer) -> Result<Value, RemoteError> {
        if !answer.status.is_success() {
            return Err(self.refusal(ask, answer));
        }
        work.applied.store(true, Ordering::Relaxed);
        *lock(&work.trace) = request_id(answer);
        self.read(ask, answer)
    }

    fn read(&self, ask: Ask<'_>, answer: &Answer) -> Result<Value, RemoteError> {
        serde_json::from_slice(&answer.body).map_err(|_| {
            let message = format!("{}, but {} {} gave no JSON", answer.status.as_u16(), ask.method, ask.group.path());
            self.asked(ask, self.error(RemoteClass::Unusable, message))
        })
    }

    /// Sends a request with a token, once.
    pub(super) async fn send(&self, token: &Token, ask: Ask<'_>, at: At<'_>) -> Result<Answer, RemoteError> {
        let no_path = || self.error(RemoteClass::Misrouted, "no plain path");
        let url = self.base.join(ask.path).ok_or_else(no_path)?;
        let version = HeaderValue::from_str(ask.group.version(&self.defined().rules.versions));
        let version = version.map_err(|_| self.error(RemoteClass::Misrouted, "no plain version"))?;
        let headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/json")),
            (HeaderName::from_static("version"), version),
        ]);
        let method = Method::from_bytes(ask.method.as_bytes()).unwrap_or(Method::GET);
        let authorization: fn(&str) -> String = |token| format!("Bearer {token}");
        let call = Call { provider: &self.provider, method, url, authorization, headers, body: ask.body };
        let answer = self.http.send_with(Some(token.secret()), call, at.deadline).await;
        let answer = answer.map_err(|error| self.asked(ask, error))?;
        self.note_pace(at.location, &answer);
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.keys.refused(&self.provider);
        }
        Ok(answer)
    }

    /// An error as a question's: it has no effect.
    fn asked(&self, ask: Ask<'_>, error: RemoteError) -> RemoteError {
        if ask.only_asks { RemoteError { left: Some(Effect::None), ..error } } else { error }
    }

    /// The error that an answer which is no success stands for.
    pub(super) fn refusal(&self, ask: Ask<'_>, answer: &Answer) -> RemoteError {
        let mut error = self.http.refusal(&self.provider, answer);
        match error.class {
            RemoteClass::Unauthorized => {
                let (status, path) = (answer.status.as_u16(), ask.group.path());
                error.message = format!("{status}: {} {path} needs the scope {}", ask.method, ask.scope);
            }
            RemoteClass::Throttled => error.retry_after = error.retry_after.or_else(|| interval(&answer.headers)),
            _ => {
                let named = fields_named(ask, answer);
                if !named.is_empty() {
                    error.message += &format!(", speaks of {}", named.into_iter().collect::<Vec<_>>().join(", "));
                }
            }
        }
        // With it, HighLevel's support finds the request.
        if let Some(trace) = request_id(answer) {
            error.message += &format!(" (trace {trace})");
        }
        self.asked(ask, error)
    }

    /// An id that an answer gives, fit to be written into a path and into our tables.
    pub(super) fn id_at(&self, answer: &Value, pointers: &[&str]) -> Result<String, RemoteError> {
        let found = pointers.iter().find_map(|pointer| answer.pointer(pointer)?.as_str());
        let id = found.filter(|id| is_plain_id(id)).map(str::to_owned);
        id.ok_or_else(|| self.error(RemoteClass::Unusable, format!("an answer without {}", pointers.join(" or "))))
    }

    /// Notes that a location, or the company, has no requests left for a while.
    fn note_pace(&self, location: Option<&str>, answer: &Answer) {
        let none_left = number(&answer.headers, REMAINING) == Some(0);
        if let Some(wait) = interval(&answer.headers).filter(|_| none_left) {
            let until = self.http.now() + wait;
            lock(&self.pauses).insert(location.unwrap_or_default().to_owned(), until);
        }
    }

    /// Refuses to begin where no requests are left: what is begun, goes on.
    pub(super) fn check_pace(&self, location: Option<&str>) -> Result<(), RemoteError> {
        let mut pauses = lock(&self.pauses);
        let Some(until) = pauses.get(location.unwrap_or_default()).copied() else { return Ok(()) };
        let left = Duration::try_from(until.duration_since(self.http.now())).unwrap_or_default();
        // A clock that was set back must not make it wait for ever.
        if left.is_zero() || left > MAX_RETRY_AFTER {
            pauses.remove(location.unwrap_or_default());
            return Ok(());
        }
        let error = self.error(RemoteClass::Throttled, "no requests are left for this location for a while");
        Err(RemoteError { retry_after: Some(left), ..error })
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// How long until there are requests left again.
fn interval(headers: &HeaderMap) -> Option<Duration> {
    if number(headers, DAILY_REMAINING) == Some(0) {
        return Some(MAX_RETRY_AFTER);
    }
    let limited = number(headers, REMAINING).is_some() || number(headers, INTERVAL).is_some();
    let interval = number(headers, INTERVAL).map_or(DEFAULT_INTERVAL, Duration::from_millis);
    limited.then_some(interval.min(MAX_RETRY_AFTER))
}

/// Whether a refused token is good, but not for this.
fn speaks_of_a_scope(answer: &Answer) -> bool {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    messages(&body).any(|message| message.contains("scope"))
}

/// What an answer says in words: `message` is a text or a list of texts.
fn messages(body: &Value) -> impl Iterator<Item = &str> {
    let message = &body["message"];
    message.as_str().into_iter().chain(message.as_array().into_iter().flatten().filter_map(Value::as_str))
}

/// The names of our own fields that a refusal's words hold. The words themselves may repeat what was sent.
fn fields_named(ask: Ask<'_>, answer: &Answer) -> BTreeSet<String> {
    let Some(Body::Json(sent)) = ask.body else { return BTreeSet::new() };
    let mut names = BTreeSet::new();
    gather_names(sent, &mut names);
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: BTreeSet<_> = messages(&body).flat_map(|text| text.split(|c| !is_name(c))).map(str::to_owned).collect();
    names.intersection(&words).cloned().collect()
}

fn gather_names(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            names.insert(name.clone());
            gather_names(value, names);
        }),
        Value::Array(items) => items.iter().for_each(|item| gather_names(item, names)),
        _ => {}
    }
}
