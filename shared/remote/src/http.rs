//! One client for all providers: one attempt, bounded in time and in size.

use crate::{refusal::refusal, trace::traceparent};
use certbridge_sync::{
    error::{RemoteClass, RemoteError, StoreError},
    ports::ApiKeys,
};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Certificate, Client, Method, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect, retry,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::{error::Error, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// The largest answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Shorter than the five seconds that common servers wait: a request on a connection that was closed meanwhile is one of
/// which nobody knows whether it arrived.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// The media type of a form.
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client")]
pub struct HttpError(#[from] reqwest::Error);

/// The HTTP client. Clones share its connections: make one a process.
#[derive(Clone)]
pub struct Http {
    client: Client,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// A request, all but the key.
pub(crate) struct Call<'a> {
    /// Whom to: `sources/{name}` or `destinations/{name}`, which is also the name of the key's secret.
    pub(crate) provider: &'a str,
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// How the key stands in the `Authorization` header.
    pub(crate) authorization: fn(&str) -> String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Body<'a>>,
}

/// What a request carries.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    /// JSON.
    Json(&'a Value),
    /// The members of a form.
    Form(&'a [(&'a str, &'a str)]),
}

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Empty if the status is no success and the body could not be read.
    pub(crate) body: Vec<u8>,
}

impl Http {
    /// A client that trusts the roots compiled in, follows no redirect, takes no proxy from the environment, and keeps
    /// no cookies.
    ///
    /// # Errors
    /// The TLS stack cannot be set up.
    pub fn new() -> Result<Self, HttpError> {
        let client = Client::builder()
            .tls_certs_only(roots()?)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .user_agent(concat!("certbridge/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, clock: Arc::new(Timestamp::now) })
    }

    /// The same client by another clock, for tests. It dates what is cached and what `Retry-After` says; time limits
    /// run by the runtime's own.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Sends a request with the provider's key, once, and reads the answer, all within `timeout`. A refused key is
    /// noted.
    pub(crate) async fn send(
        &self,
        keys: &impl ApiKeys,
        call: Call<'_>,
        timeout: Duration,
    ) -> Result<Answer, RemoteError> {
        let provider = call.provider;
        let deadline = Instant::now() + timeout;
        let no_time = |_| error(provider, RemoteClass::Unreachable, "no time was left to send it");
        let key = timeout_at(deadline, api_key(keys, provider)).await.map_err(no_time)??;
        let answer = self.send_with(key.as_ref(), call, deadline).await?;
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            keys.refused(provider);
            if key.is_none() {
                return Err(error(provider, RemoteClass::Unauthorized, format!("no api_key in the secret {provider}")));
            }
        }
        Ok(answer)
    }

    /// Sends a request with a key that is at hand, once, and reads the answer, all until `deadline`.
    pub(crate) async fn send_with(
        &self,
        key: Option<&SecretString>,
        call: Call<'_>,
        deadline: Instant,
    ) -> Result<Answer, RemoteError> {
        let provider = call.provider;
        if Instant::now() >= deadline {
            return Err(error(provider, RemoteClass::Unreachable, "no time was left to send it"));
        }
        let mut request = self.client.request(call.method, call.url).headers(call.headers);
        // Without a key, the provider decides: behind a private gateway there may be none.
        if let Some(key) = key {
            request = request.header(AUTHORIZATION, authorization(provider, call.authorization, key)?);
        }
        if let Some(traceparent) = traceparent() {
            request = request.header("traceparent", traceparent);
        }
        request = match call.body {
            None => request,
            Some(Body::Json(body)) => request.json(body),
            Some(Body::Form(members)) => request.header(CONTENT_TYPE, FORM).body(form(members)),
        };
        let late = |_| error(provider, RemoteClass::Unanswered, "no whole answer in time");
        timeout_at(deadline, exchange(provider, request)).await.map_err(late)?
    }

    /// The error that an answer which is no success stands for.
    pub(crate) fn refusal(&self, provider: &str, answer: &Answer) -> RemoteError {
        refusal(provider, answer.status, &answer.headers, &answer.body, self.now())
    }
}

/// An error of a class, with nothing to wait for.
pub(crate) fn error(provider: &str, class: RemoteClass, message: impl Into<String>) -> RemoteError {
    RemoteError::new(provider, class, message)
}

/// The destination's own id of the request, if it gives one that a log can hold.
pub(crate) fn request_id(answer: &Answer) -> Option<String> {
    let header = answer.headers.get("x-request-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let member = || {
        let body: Value = serde_json::from_slice(&answer.body).ok()?;
        let id = ["traceId", "request_id"].iter().find_map(|name| body.get(name)?.as_str())?;
        Some(id.to_owned())
    };
    header.filter(|id| is_plain_id(id)).or_else(|| member().filter(|id| is_plain_id(id)))
}

/// The roots compiled in.
pub(crate) fn roots() -> Result<Vec<Certificate>, reqwest::Error> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|root| Certificate::from_der(root)).collect()
}

/// Whether a log can hold it.
pub(crate) fn is_plain_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
}

fn form(members: &[(&str, &str)]) -> String {
    let escaped = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let members: Vec<_> = members.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    members.join("&")
}

async fn api_key(keys: &impl ApiKeys, provider: &str) -> Result<Option<SecretString>, RemoteError> {
    match keys.api_key(provider).await {
        Ok(key) => Ok(key),
        // What the store says of a secret is its own affair, and may quote it.
        Err(StoreError::Refused(_)) => {
            Err(error(provider, RemoteClass::Unauthorized, format!("the secret {provider} may not be read")))
        }
        Err(_) => Err(error(provider, RemoteClass::Unreachable, format!("the secret {provider} could not be read"))),
    }
}

fn authorization(provider: &str, form: fn(&str) -> String, key: &SecretString) -> Result<HeaderValue, RemoteError> {
    let mut value = HeaderValue::try_from(form(key.expose_secret().trim()))
        .map_err(|_| error(provider, RemoteClass::Unauthorized, "the api_key holds what no header can"))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn exchange(provider: &str, request: reqwest::RequestBuilder) -> Result<Answer, RemoteError> {
    let response = request.send().await.map_err(|cause| {
        let class =
            if cause.is_connect() || cause.is_builder() { RemoteClass::Unreachable } else { RemoteClass::Unanswered };
        error(provider, class, innermost(&cause))
    })?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = match body(response).await {
        Ok(body) => body,
        // The status has said it all.
        Err(_) if !status.is_success() => Vec::new(),
        Err(Unread::Cut(cause)) => return Err(error(provider, RemoteClass::Unanswered, innermost(&cause))),
        Err(Unread::TooLong) => {
            let message = format!("{}, but more than {MAX_ANSWER_BYTES} bytes", status.as_u16());
            return Err(error(provider, RemoteClass::Unusable, message));
        }
    };
    tracing::debug!(provider, status = status.as_u16(), bytes = body.len(), "answered");
    Ok(Answer { status, headers, body })
}

/// Why a body was not read.
enum Unread {
    Cut(reqwest::Error),
    TooLong,
}

async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Unread::Cut)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Unread::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What lies at the bottom of a failed exchange: "Connection refused", "invalid peer certificate". The outer errors
/// would repeat the address.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let Some(mut cause) = error.source() else { return "broken off".to_owned() };
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().chars().take(200).collect()
}
