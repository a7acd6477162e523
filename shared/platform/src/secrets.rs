//! Secrets, and how long we believe them.
//!
//! - A secret is used for at most five minutes after the fetch that read it began: a key that is taken out is dead
//!   then. After four minutes the next reader fetches it again; if that fails, the old one serves the last minute (an
//!   outage shorter than that goes unseen), and then readers get an error that asks for another try. It fails closed.
//! - What is of no use is fetched again sooner: a missing secret after a minute; one that is unreadable, holds not what
//!   was asked for, or was refused ([`Secrets::refused`]), at the next read, but so at most once a minute.
//! - Readers of one secret wait for one fetch. A broken secret is nobody else's problem.
//! - Each fetch tells how old the oldest key in it is, as the metric `KeyAge`: see [`age`].

pub mod age;
mod aws;
mod content;

use crate::{
    Metrics,
    keys::{ApiKeyring, Caller, Denied},
    metrics::Unit,
};
use certbridge_mapping::Keys;
use certbridge_sync::{
    StoreError,
    delivery::Endpoint,
    ports::{ApiKeys, Credentials, DestinationKeys, Runtime},
};
use content::{ApiKeyPart, CursorPart, DestinationPart, EndpointsPart, SigningPart, SubscriptionsPart};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

pub use aws::SecretsManager;
pub use content::AuditSecret;

/// The secret that holds the keys to our own API.
pub const API_KEYS: &str = "api-keys";
/// The secret that holds the audit's keys.
pub const AUDIT: &str = "audit";
/// The secret that holds the key to our cursors.
pub const CURSORS: &str = "cursors";

/// The secret that says who is told of what happened.
pub const ENDPOINTS: &str = "endpoints";

/// How long a secret is used.
const LIMIT: SignedDuration = SignedDuration::from_mins(5);
/// When it is fetched again.
const REFRESH: SignedDuration = SignedDuration::from_mins(4);
/// How long a missing secret stays missing, and what lies at least between two fetches for a refusal.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// How long a failed refresh is left alone, while the old value still serves.
const PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// Where secrets are kept.
pub trait SecretProvider: Send + Sync {
    /// Reads a secret by its name after the prefix; `None` if there is none.
    fn read(&self, id: &str) -> impl Future<Output = Result<Option<SecretString>, SecretError>> + Send;

    /// Reads several, and says of each in its place what [`Self::read`] would: with one call, where there is such a call.
    fn read_all(&self, ids: &[&str]) -> impl Future<Output = Vec<Read>> + Send {
        let reads = ids.iter().map(|id| async move { Ok(self.read(id).await?.map(Version::undated)) });
        futures::future::join_all(reads.collect::<Vec<_>>())
    }
}

/// What came of reading one secret.
pub type Read = Result<Option<Version>, SecretError>;

/// What a secret holds.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its text.
    pub text: SecretString,
    /// Since when it holds this, where that is known: no key in it is newer.
    pub since: Option<Timestamp>,
}

impl Version {
    /// Nobody knows since when.
    pub fn undated(text: SecretString) -> Self {
        Self { text, since: None }
    }
}

/// Why a secret could not be had. The text is for the log and tells nothing of what the secret holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The provider did not answer, or wants less of us.
    #[error("secret {name} could not be fetched: {message}")]
    Unavailable {
        /// The secret.
        name: String,
        /// What happened.
        message: String,
    },
    /// We may not read it.
    #[error("no permission to read secret {name} or to decrypt it: see the function's role")]
    Denied {
        /// The secret.
        name: String,
    },
    /// The provider will not give it.
    #[error("secret {name} was refused: {message}")]
    Refused {
        /// The secret.
        name: String,
        /// The reason.
        message: String,
    },
    /// It is not the JSON that it should be.
    #[error("secret {name} is not the JSON that it should be, at line {line}, column {column}")]
    Unreadable {
        /// The secret.
        name: String,
        /// Where reading stopped.
        line: usize,
        /// Where reading stopped.
        column: usize,
    },
}

impl SecretError {
    /// Only the place: the error's own text may quote the secret.
    fn unreadable(name: &str, error: &serde_json::Error) -> Self {
        Self::Unreadable { name: name.to_owned(), line: error.line(), column: error.column() }
    }

    /// Whether trying again can help without anybody mending anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl From<SecretError> for StoreError {
    fn from(error: SecretError) -> Self {
        if error.is_transient() { Self::Unavailable(error.to_string()) } else { Self::Refused(error.to_string()) }
    }
}

/// The secrets, cached: see the module.
pub struct Secrets<P, R> {
    provider: P,
    runtime: R,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    metrics: Option<Metrics>,
}

/// The place of one secret.
#[derive(Default)]
struct Slot {
    refused: AtomicBool,
    cached: tokio::sync::Mutex<Cached>,
}

/// What is known of a secret. Times are those at which a fetch began.
#[derive(Default)]
struct Cached {
    text: Option<SecretString>,
    fetched: Option<Timestamp>,
    tried: Option<Timestamp>,
    fetched_for_refusal: Option<Timestamp>,
}

impl Cached {
    fn is_due(&self, now: Timestamp, refused: bool) -> bool {
        let past = |time, age| !is_within(time, age, now);
        let refresh = if self.text.is_some() { REFRESH } else { MINUTE };
        past(self.fetched, LIMIT)
            || past(self.fetched, refresh) && past(self.tried, PAUSE)
            || refused && past(self.fetched_for_refusal, MINUTE)
    }

    fn is_usable(&self, now: Timestamp) -> bool {
        is_within(self.fetched, LIMIT, now)
    }
}

/// Whether that was less than `age` ago. A time to come, from before the clock was set back, was not.
fn is_within(time: Option<Timestamp>, age: SignedDuration, now: Timestamp) -> bool {
    time.is_some_and(|time| (SignedDuration::ZERO..age).contains(&now.duration_since(time)))
}

impl<P: SecretProvider, R: Runtime> Secrets<P, R> {
    /// Secrets of a provider. Nothing is fetched yet.
    pub fn new(provider: P, runtime: R) -> Self {
        Self { provider, runtime, slots: Mutex::default(), metrics: None }
    }

    /// The same secrets, each of whose fetches tells how old its keys are.
    #[must_use]
    pub fn telling(self, metrics: Metrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// Fetches several secrets at once, at start. What fails is logged, and fetched again when it is needed.
    pub async fn prefetch<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        // In the order of their names: two who take several places wait for each other in no circle.
        let slots: BTreeMap<_, _> = names.into_iter().map(|name| (name, self.slot(name))).collect();
        let mut due = Vec::new();
        for (name, slot) in &slots {
            let cached = slot.cached.lock().await;
            if cached.is_due(self.runtime.now(), slot.refused.load(Ordering::Relaxed)) {
                due.push((*name, slot, cached));
            }
        }
        let began: Vec<_> = due.iter_mut().map(|(_, slot, cached)| self.begin(&slot.refused, cached)).collect();
        let names: Vec<_> = due.iter().map(|(name, ..)| *name).collect();
        if names.is_empty() {
            return;
        }
        let answers = self.provider.read_all(&names).await;
        for (((name, _, cached), began), answer) in due.iter_mut().zip(began).zip(answers) {
            if let Err(error) = self.end(name, began, answer, cached) {
                tracing::warn!(%error, "a secret could not be prefetched");
            }
        }
    }

    /// The keys that prove a source's deliveries; `None` if there are none, and then the source is off.
    pub async fn keys(&self, secret: &str) -> Result<Option<Keys>, SecretError> {
        self.part(secret, SigningPart::into_keys).await
    }

    /// The keys of a source after those that were `tried` did not prove a delivery, if the secret now holds others. It
    /// is fetched for this at most once a minute; if that fails, the old keys stand, so there are no others.
    pub async fn keys_other_than(&self, tried: &Keys, secret: &str) -> Result<Option<Keys>, SecretError> {
        self.refused(secret);
        Ok(self.keys(secret).await?.filter(|keys| !keys.are_like(tried)))
    }

    /// The audit's keys; `None` if there is no such secret.
    pub async fn audit(&self) -> Result<Option<AuditSecret>, SecretError> {
        self.part(AUDIT, Some).await
    }

    /// The key that proves our cursors.
    ///
    /// # Errors
    /// [`SecretError`] if it cannot be read, or there is none.
    pub async fn cursor_key(&self) -> Result<SecretString, SecretError> {
        let key = self.part(CURSORS, CursorPart::into_key).await?;
        key.ok_or_else(|| SecretError::Refused { name: CURSORS.to_owned(), message: "it holds no key".to_owned() })
    }

    /// Who is told of what happened: nobody, if there is no such secret. An entry that is broken is left out, and said in
    /// the log by its place.
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>, SecretError> {
        let part = self.part(ENDPOINTS, |part: EndpointsPart| Some(part.into_endpoints())).await?;
        let (endpoints, broken) = part.unwrap_or_default();
        for place in broken {
            tracing::error!(place, "an endpoint is left out: it needs an id of its own, a url, signing and events");
        }
        Ok(endpoints)
    }

    /// Who presents this key to our API, and whether its scopes hold `scope`. A key that is not known is looked up
    /// again, at most once a minute: it may be new.
    pub async fn authorize(&self, presented: &str, scope: &str) -> Result<Caller, AuthorizeError> {
        let first = self.keyring().await?.authorize(presented, scope, self.runtime.now());
        if !matches!(first, Err(Denied::Unknown { .. })) {
            return Ok(first?);
        }
        self.refused(API_KEYS);
        Ok(self.keyring().await?.authorize(presented, scope, self.runtime.now())?)
    }

    /// The keys to our API: an empty ring, which opens nothing, if there is no such secret.
    pub async fn keyring(&self) -> Result<ApiKeyring, SecretError> {
        Ok(self.part(API_KEYS, Some).await?.unwrap_or_default())
    }

    /// Notes that what a secret holds was refused, or proved nothing: the next read fetches it again, unless that
    /// was done within a minute.
    pub fn refused(&self, secret: &str) {
        self.slot(secret).refused.store(true, Ordering::Relaxed);
    }

    /// What one reader wants of a secret.
    async fn part<T: DeserializeOwned, U>(
        &self,
        name: &str,
        take: impl FnOnce(T) -> Option<U> + Send,
    ) -> Result<Option<U>, SecretError> {
        let Some(text) = self.text(name).await? else { return Ok(None) };
        let text = text.expose_secret();
        let part = if text.trim().is_empty() { Ok(None) } else { serde_json::from_str(text).map(take) };
        if !matches!(part, Ok(Some(_))) {
            self.refused(name);
        }
        part.map_err(|error| SecretError::unreadable(name, &error))
    }

    async fn text(&self, name: &str) -> Result<Option<SecretString>, SecretError> {
        let slot = self.slot(name);
        let mut cached = slot.cached.lock().await;
        if cached.is_due(self.runtime.now(), slot.refused.load(Ordering::Relaxed)) {
            self.fetch(name, &slot.refused, &mut cached).await?;
        }
        Ok(cached.text.clone())
    }

    async fn fetch(&self, name: &str, refused: &AtomicBool, cached: &mut Cached) -> Result<(), SecretError> {
        let began = self.begin(refused, cached);
        let answer = self.provider.read_all(&[name]).await.pop();
        self.end(name, began, answer.unwrap_or(Ok(None)), cached)
    }

    /// Notes that a fetch begins, and when.
    fn begin(&self, refused: &AtomicBool, cached: &mut Cached) -> Timestamp {
        let began = self.runtime.now();
        cached.tried = Some(began);
        if refused.swap(false, Ordering::Relaxed) {
            cached.fetched_for_refusal = Some(began);
        }
        began
    }

    /// Keeps what a fetch came to.
    fn end(&self, name: &str, began: Timestamp, answer: Read, cached: &mut Cached) -> Result<(), SecretError> {
        match answer {
            Ok(version) => {
                if let Some(version) = &version {
                    self.tell_age(name, version, began);
                }
                (cached.text, cached.fetched) = (version.map(|version| version.text), Some(began));
            }
            Err(error) if cached.is_usable(self.runtime.now()) => {
                tracing::warn!(%error, "a secret could not be refreshed, the one at hand is used for now");
            }
            Err(error) => {
                (cached.text, cached.fetched) = (None, None);
                return Err(error);
            }
        }
        Ok(())
    }

    fn tell_age(&self, name: &str, version: &Version, now: Timestamp) {
        let Some(metrics) = &self.metrics else { return };
        let oldest = age::keys_of(version.text.expose_secret()).into_iter();
        let Some(since) = oldest.filter_map(|key| key.added.or(version.since)).min() else { return };
        let days = now.duration_since(since).as_secs_f64() / 86_400.0;
        metrics.emit(&[("KeyAge", days, Unit::Count)], &[("Secret", name)]);
    }

    fn slot(&self, name: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(name) {
            return Arc::clone(slot);
        }
        Arc::clone(slots.entry(name.to_owned()).or_default())
    }
}

impl<P: SecretProvider, R: Runtime> ApiKeys for Secrets<P, R> {
    async fn api_key(&self, secret: &str) -> Result<Option<SecretString>, StoreError> {
        Ok(self.part(secret, ApiKeyPart::into_key).await?)
    }

    async fn subscriptions(&self, secret: &str) -> Result<Vec<String>, StoreError> {
        let ids = self.part(secret, |part: SubscriptionsPart| Some(part.subscriptions)).await?;
        Ok(ids.flatten().unwrap_or_default())
    }

    fn refused(&self, secret: &str) {
        Secrets::refused(self, secret);
    }
}

impl<P: SecretProvider, R: Runtime> DestinationKeys for Secrets<P, R> {
    async fn credentials(&self, secret: &str) -> Result<Option<Credentials>, StoreError> {
        Ok(self.part(secret, |part: DestinationPart| Some(part.into_credentials())).await?)
    }
}

impl<P, R> fmt::Debug for Secrets<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_tuple("Secrets").field(&slots.keys().collect::<Vec<_>>()).finish()
    }
}

/// Why a caller is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizeError {
    /// The key does not open this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The keys could not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

#[cfg(test)]
mod tests;
