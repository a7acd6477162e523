//! What a handler answers, and how the gateway wants to be told.

use super::{
    Request,
    problem::{Problem, ProblemType},
};
use certbridge_mapping::digest::sha256_hex;
use lambda_http::http::Method;
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of our API, in the header `certbridge-version` of every answer.
const API_VERSION: &str = "1";

/// An answer. Its body is text: nothing here answers with bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The type of the body.
    pub content_type: &'static str,
    /// Further headers, each once.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// An answer of any type.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self { status, content_type, headers: Vec::new(), body: body.into() }
    }

    /// An answer in JSON.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        match serde_json::to_string(body) {
            Ok(body) => Self::new(status, "application/json", body),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written");
                Problem::new(ProblemType::Internal).into()
            }
        }
    }

    /// The same answer with a further header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Answer {
    /// The same answer to a request that may know it already: what was read gets an `etag`, and is not told again to
    /// whoever names it in `if-none-match`. It changes by itself and is nobody else's business, so it is never taken from a
    /// cache without asking; everything else is never kept.
    #[must_use]
    pub fn revalidated(self, request: &Request) -> Self {
        if request.method() != Method::GET || self.status != 200 {
            return self.header("cache-control", "no-store");
        }
        let mut digest = sha256_hex(self.body.as_bytes());
        digest.truncate(32);
        let etag = format!("\"{digest}\"");
        let known = request.headers().get_all("if-none-match").iter();
        let known = known.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        // Weakly compared, as RFC 9110 has it: a cache on the way may have marked it so.
        let is_known = known.map(str::trim).any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == etag || tag == "*");
        let answer = if is_known { Self { status: 304, body: String::new(), ..self } } else { self };
        answer.header("cache-control", "private, no-cache").header("etag", etag)
    }
}

/// An answer as the gateway reads it: what payload 1.0 and 2.0 have in common, but for the cookies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayResponse {
    /// The status.
    pub status_code: u16,
    /// The headers.
    pub headers: BTreeMap<&'static str, String>,
    /// The body.
    pub body: String,
    /// Whether the body is base64: never.
    pub is_base64_encoded: bool,
    /// Never any. Payload 1.0 has no such field; of 2.0, `cargo lambda watch` wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookies: Option<[&'static str; 0]>,
}

impl GatewayResponse {
    /// The same, as the request's payload version has it.
    pub(super) fn for_payload(self, is_v2: bool) -> Self {
        Self { cookies: is_v2.then_some([]), ..self }
    }
}

impl From<Answer> for GatewayResponse {
    fn from(answer: Answer) -> Self {
        let mut headers = BTreeMap::from_iter(answer.headers);
        headers.insert("certbridge-version", API_VERSION.to_owned());
        headers.insert("content-type", answer.content_type.to_owned());
        Self { status_code: answer.status, headers, body: answer.body, is_base64_encoded: false, cookies: None }
    }
}
