//! What went wrong, as RFC 9457 says it. It is for the caller: no internals, no values.

use super::Answer;
use crate::{
    keys::Denied,
    secrets::{AuthorizeError, SecretError},
};
use certbridge_mapping::Problems;
use serde_json::json;
use std::time::Duration;

/// The kinds of problem. Their names are part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemType {
    /// The request cannot be read.
    MalformedRequest,
    /// The delivery is not proven.
    NotProven,
    /// No key, or an unknown one.
    Unauthorized,
    /// The key is not for this.
    Forbidden,
    /// Nobody may send from this address.
    AddressNotAllowed,
    /// There is no such thing.
    NotFound,
    /// There is no such source, or it is off.
    UnknownSource,
    /// It contradicts what was said before.
    Conflict,
    /// The body is too large.
    BodyTooLarge,
    /// The body can be read, but not mapped.
    Unmappable,
    /// Too much at once.
    TooManyRequests,
    /// Our fault.
    Internal,
    /// A provider behind us failed.
    BadGateway,
    /// Not now.
    Unavailable,
}

impl ProblemType {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::MalformedRequest,
        Self::NotProven,
        Self::Unauthorized,
        Self::Forbidden,
        Self::AddressNotAllowed,
        Self::NotFound,
        Self::UnknownSource,
        Self::Conflict,
        Self::BodyTooLarge,
        Self::Unmappable,
        Self::TooManyRequests,
        Self::Internal,
        Self::BadGateway,
        Self::Unavailable,
    ];

    /// Its status.
    pub fn status(self) -> u16 {
        self.describe().0
    }

    /// The end of its `type`.
    pub fn slug(self) -> &'static str {
        self.describe().1
    }

    /// Its title.
    pub fn title(self) -> &'static str {
        self.describe().2
    }

    fn describe(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::MalformedRequest => (400, "malformed-request", "The request cannot be read"),
            Self::NotProven => (401, "not-proven", "The sender is not proven"),
            Self::Unauthorized => (401, "unauthorized", "A valid API key is needed"),
            Self::Forbidden => (403, "forbidden", "The API key is not for this"),
            Self::AddressNotAllowed => (403, "address-not-allowed", "The address is not allowed"),
            Self::NotFound => (404, "not-found", "There is no such resource"),
            Self::UnknownSource => (404, "unknown-source", "There is no such source"),
            Self::Conflict => (409, "conflict", "The request contradicts an earlier one"),
            Self::BodyTooLarge => (413, "body-too-large", "The body is too large"),
            Self::Unmappable => (422, "unmappable", "The record cannot be mapped"),
            Self::TooManyRequests => (429, "too-many-requests", "Too many requests"),
            Self::Internal => (500, "internal", "An internal error"),
            Self::BadGateway => (502, "bad-gateway", "A provider failed"),
            Self::Unavailable => (503, "unavailable", "Not available right now"),
        }
    }
}

/// A problem, to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: ProblemType,
    status: u16,
    detail: Option<String>,
    errors: Option<Problems>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(kind: ProblemType) -> Self {
        Self { kind, status: kind.status(), detail: None, errors: None, retry_after: None }
    }

    /// What is wrong in this case. The caller reads it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The fields that are wrong.
    #[must_use]
    pub fn errors(mut self, errors: Problems) -> Self {
        self.errors = Some(errors);
        self
    }

    /// When to try again.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Another status than its kind's: some senders try again only on one of their own.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let mut body = json!({
            "type": format!("urn:problem-type:certbridge:{}", problem.kind.slug()),
            "title": problem.kind.title(),
            "status": problem.status,
        });
        if let Some(detail) = problem.detail {
            body["detail"] = detail.into();
        }
        if let Some(Problems(errors)) = problem.errors {
            body["errors"] = json!(errors);
        }
        let answer = Answer::new(problem.status, "application/problem+json", body.to_string());
        match problem.retry_after {
            // Rounded up: a sender that comes early would only be sent away again.
            Some(delay) => answer.header("retry-after", delay.as_millis().div_ceil(1000).to_string()),
            None => answer,
        }
    }
}

impl From<&Denied> for Problem {
    fn from(denied: &Denied) -> Self {
        match denied {
            Denied::Missing | Denied::Unknown { .. } => Self::new(ProblemType::Unauthorized),
            Denied::Scope { scope, .. } => {
                Self::new(ProblemType::Forbidden).detail(format!("The key has no scope {scope}."))
            }
        }
    }
}

impl From<&SecretError> for Problem {
    fn from(error: &SecretError) -> Self {
        if error.is_transient() { Self::new(ProblemType::Unavailable) } else { Self::new(ProblemType::Internal) }
    }
}

impl From<&AuthorizeError> for Problem {
    fn from(error: &AuthorizeError) -> Self {
        match error {
            AuthorizeError::Denied(denied) => denied.into(),
            AuthorizeError::Secret(error) => error.into(),
        }
    }
}
