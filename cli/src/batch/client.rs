//! The routes that start and tell of batches, as `functions/api` answers them.

use certbridge_mapping::Kind;
use certbridge_sync::reconcile::Verdict;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::time::Duration;

/// The longest that one answer is waited for: the gateway gives up after 30 s.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Why the API did not answer what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address.
    #[error("{0} is no address of an API")]
    Address(String),
    /// Nothing serves there.
    #[error("{url} does not answer: {source}. Is it running? `certbridge up` serves it on this machine")]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// It refused.
    #[error("{status}: {problem}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// What it said (RFC 9457).
        problem: String,
    },
    /// It answered something else.
    #[error("an answer that is none of this API: {0}")]
    Unusable(#[from] reqwest::Error),
}

/// A batch, as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Its id.
    pub batch_id: String,
    /// Where it stands: queued, running, finished or failed.
    pub status: String,
    /// How it came out, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How far it has come.
    #[serde(default)]
    pub progress: Progress,
    /// Everything else.
    #[serde(flatten)]
    pub more: serde_json::Map<String, Value>,
}

impl Shown {
    /// Whether nothing more will happen to it.
    pub fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "finished" | "failed")
    }

    /// How it came out, once it has.
    pub fn verdict(&self) -> Option<Verdict> {
        match self.status.as_str() {
            "failed" => Some(Verdict::Failed),
            _ => self.summary.as_ref().map(|summary| summary.verdict),
        }
    }
}

/// How a batch came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// In a word.
    pub verdict: Verdict,
    /// In a sentence.
    pub headline: String,
}

/// How far a batch has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// How many records the source has listed.
    pub source: u64,
    /// How many the destination has.
    pub destination: u64,
    /// How many of our own were read.
    pub own: u64,
    /// How many partitions there are.
    pub partitions: u64,
    /// How many of them were compared.
    pub compared: u64,
    /// How many of them were repaired.
    pub repaired: u64,
}

/// A page of batches.
#[derive(Debug, Deserialize)]
struct Page {
    batches: Vec<Shown>,
}

/// The API of a bundle, for the holder of a key.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: SecretString,
}

impl Client {
    /// The API at an address.
    ///
    /// # Errors
    /// It is no address.
    pub fn new(url: &str, key: SecretString) -> Result<Self, ApiError> {
        let fault = || ApiError::Address(url.to_owned());
        let base: Url = url.trim_end_matches('/').parse().map_err(|_| fault())?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(fault());
        }
        let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { http, base, key })
    }

    /// Asks for a batch.
    ///
    /// # Errors
    /// [`ApiError`]; the same body with the same `batch_id` may be sent again.
    pub async fn start(&self, source: &str, kind: Kind, body: &Value) -> Result<Shown, ApiError> {
        let request =
            self.request(Method::POST, "batch_sync").query(&[("source", source), ("kind", kind.as_str())]).json(body);
        self.answer(request).await
    }

    /// A batch as it stands.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn batch(&self, id: &str) -> Result<Shown, ApiError> {
        self.answer(self.request(Method::GET, &format!("batches/{id}"))).await
    }

    /// The last batches, the last one first.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn batches(&self, limit: usize) -> Result<Vec<Shown>, ApiError> {
        let request = self.request(Method::GET, "batches").query(&[("limit", limit)]);
        Ok(self.answer::<Page>(request).await?.batches)
    }

    /// A batch's report, in one of its forms.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn report(&self, id: &str, form: &str) -> Result<String, ApiError> {
        let request = self.request(Method::GET, &format!("batches/{id}/report")).query(&[("format", form)]);
        Ok(self.sent(request).await?.text().await?)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/{path}", self.base.as_str().trim_end_matches('/'));
        self.http.request(method, url).header("x-api-key", self.key.expose_secret())
    }

    async fn answer<A: DeserializeOwned>(&self, request: RequestBuilder) -> Result<A, ApiError> {
        Ok(self.sent(request).await?.json().await?)
    }

    async fn sent(&self, request: RequestBuilder) -> Result<Response, ApiError> {
        let unreachable =
            |source: reqwest::Error| ApiError::Unreachable { url: self.base.to_string(), source: source.without_url() };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() { Ok(answer) } else { Err(ApiError::Refused { status, problem: problem(answer).await }) }
    }
}

/// What a problem says: its title, its detail, and each field that is wrong.
async fn problem(answer: Response) -> String {
    let body: Value = answer.json().await.unwrap_or_default();
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let faults = body["errors"].as_array().into_iter().flatten().map(|fault| {
        let part = |name: &str| fault[name].as_str().unwrap_or_default().to_owned();
        format!("{}: {} instead of {}", part("field"), part("found"), part("wanted"))
    });
    let said: Vec<_> = [text("title"), text("detail")].into_iter().flatten().chain(faults).collect();
    if said.is_empty() { "refused".to_owned() } else { said.join("; ") }
}
