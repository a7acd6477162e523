//! HighLevel's API, version 2, the destination.
//!
//! One push is several requests, and there are no idempotency keys: so each step may be done again, and what a failure
//! may have left behind counts the steps before it.
//!
//! ```text
//! customer     contact (upsert)
//! certificate  association? -> contact (upsert) -> record (ours, or found, or made) -> relation
//! location     record
//! invoice      contact? -> invoice (ours, or found, or made) -> what its status asks for; or a record
//! ```
//!
//! What is made is noted in a map of our own: see [`certbridge_sync::ids`].

mod api;
mod auth;
mod contacts;
mod invoices;
mod locations;
mod ours;
mod records;
mod setup;

pub use auth::Connected;
pub use setup::{Part, Prepared};

use crate::{
    address::{BaseUrl, BaseUrlError},
    http::{Http, error},
    location_list::{LocationList, Wanted},
};
use api::At;
use auth::Tokens;
use certbridge_mapping::{
    DestinationDefinition, Kind, RecordKey, Request, ShownRecord,
    highlevel::{HighLevelRules, Target},
};
use certbridge_sync::{
    StoreError,
    error::{Effect, RemoteClass, RemoteError},
    grants::Grants,
    ids::{DestinationIds, IdMap},
    ports::{Credentials, Destination, DestinationKeys, ListError, LocationCheck, Locations, Page, Pushed},
};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    fmt::Display,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// What a person is told to do.
const CONNECT: &str = "run `certbridge connect highlevel`";

/// HighLevel over HTTP. `K` holds what its secret does, `S` the grants and the ids.
pub struct HighLevel<K, S> {
    http: Http,
    keys: K,
    store: S,
    base: BaseUrl,
    provider: String,
    defined: RwLock<Arc<Defined>>,
    tokens: Tokens,
    locations: LocationList,
    /// The ids of associations, by location and key.
    associations: Mutex<HashMap<(String, String), String>>,
    /// Until when a location, or the company, wants no more requests.
    pauses: Mutex<HashMap<String, Timestamp>>,
}

/// What is in force.
struct Defined {
    definition: Arc<DestinationDefinition>,
    rules: HighLevelRules,
}

/// One push.
struct Work<'a> {
    key: &'a RecordKey,
    /// The request's fields.
    body: &'a Map<String, Value>,
    /// The location that the record is in.
    location: &'a str,
    /// What is known of it there.
    ids: DestinationIds,
    deadline: Instant,
    /// Whether a step was applied, or may have been.
    applied: AtomicBool,
    /// The id of the last request that was.
    trace: Mutex<Option<String>>,
}

impl Work<'_> {
    fn at(&self) -> At<'_> {
        At { location: Some(self.location), deadline: self.deadline }
    }

    /// A field that is a text and not blank.
    fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str().filter(|text| !text.trim().is_empty())
    }

    /// The id that the record has at its source.
    fn own_id(&self) -> &str {
        self.key.id.as_str()
    }

    /// The name under which an id is noted: what a record is in one location, it is not in another.
    fn role(&self, what: &str) -> String {
        format!("{what}@{}", self.location)
    }

    /// What a failure left behind, all steps taken together.
    fn left_by(&self, error: RemoteError) -> RemoteError {
        let before = if self.applied.load(Ordering::Relaxed) { Effect::Possible } else { Effect::None };
        let left = Some(error.effect().max(before));
        RemoteError { left, ..error }
    }
}

impl<K: DestinationKeys, S: IdMap + Grants> HighLevel<K, S> {
    /// The destination at an address. `owner` names this process among all that hold leases on grants: no other has it.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn new(
        http: Http,
        keys: K,
        store: S,
        base_url: &str,
        definition: &Arc<DestinationDefinition>,
        rules: &HighLevelRules,
        owner: impl Into<String>,
    ) -> Result<Self, BaseUrlError> {
        let provider = format!("destinations/{}", definition.name);
        Ok(Self {
            http,
            keys,
            store,
            base: BaseUrl::parse(&provider, base_url)?,
            provider,
            defined: RwLock::new(Arc::new(Defined { definition: Arc::clone(definition), rules: rules.clone() })),
            tokens: Tokens::new(owner.into()),
            locations: LocationList::default(),
            associations: Mutex::default(),
            pauses: Mutex::default(),
        })
    }

    fn defined(&self) -> Arc<Defined> {
        Arc::clone(&self.defined.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the secret holds.
    async fn credentials(&self, deadline: Instant) -> Result<Credentials, RemoteError> {
        let read = timeout_at(deadline, self.keys.credentials(&self.provider)).await;
        let read = read.map_err(|_| self.unreached("no time was left to read the secret"))?;
        match read {
            Ok(Some(credentials)) => Ok(credentials),
            Ok(None) => Err(self.unauthorized(format_args!("there is no secret {}", self.provider))),
            // What the store says of a secret is its own affair, and may quote it.
            Err(StoreError::Refused(_)) => {
                Err(self.unauthorized(format_args!("the secret {} cannot be read", self.provider)))
            }
            Err(_) => Err(self.unreached("the secret could not be read")),
        }
    }

    /// The location that a record is in: its own, or the one for those that have none.
    async fn location_of(
        &self,
        kind: Kind,
        body: &Map<String, Value>,
        deadline: Instant,
    ) -> Result<String, RemoteError> {
        let own = body.get("location_id").filter(|_| kind != Kind::Location).and_then(Value::as_str);
        if let Some(own) = own.filter(|own| !own.trim().is_empty()) {
            return Ok(own.to_owned());
        }
        let missing = || {
            let what = "the record names no location, and the secret no default_location";
            self.error(RemoteClass::Misrouted, what)
        };
        self.credentials(deadline).await?.default_location.ok_or_else(missing)
    }

    async fn tell(&self, work: &Work<'_>, target: Target<'_>) -> Result<(), RemoteError> {
        match target {
            Target::Contact => self.tell_customer(work).await,
            Target::Record(rules) => self.tell_record(work, rules).await,
            Target::Invoice => self.tell_invoice(work).await,
        }
    }

    fn error(&self, class: RemoteClass, message: impl Into<String>) -> RemoteError {
        error(&self.provider, class, message)
    }

    fn unauthorized(&self, message: impl Display) -> RemoteError {
        self.error(RemoteClass::Unauthorized, message.to_string())
    }

    fn unreached(&self, message: impl Display) -> RemoteError {
        self.error(RemoteClass::Unreachable, message.to_string())
    }

    /// What a failure of our tables means for a push. What they say of it holds nothing that was to be written.
    fn of_store(&self, error: &StoreError) -> RemoteError {
        let class = if error.is_transient() { RemoteClass::Unreachable } else { RemoteClass::Misrouted };
        self.error(class, error.to_string())
    }
}

impl<K: DestinationKeys, S: IdMap + Grants> Destination for HighLevel<K, S> {
    fn redefine(&self, definition: &Arc<DestinationDefinition>) {
        let Some(rules) = definition.highlevel.clone() else {
            tracing::error!(provider = self.provider, "its new definition lacks [highlevel]: the old one stays");
            return;
        };
        let defined = Arc::new(Defined { definition: Arc::clone(definition), rules });
        *self.defined.write().unwrap_or_else(PoisonError::into_inner) = defined;
    }

    async fn push(
        &self,
        key: &RecordKey,
        request: &Request,
        _idempotency_key: &str,
        timeout: Duration,
    ) -> Result<Pushed, RemoteError> {
        let deadline = Instant::now() + timeout;
        let unknown = || self.error(RemoteClass::Misrouted, format!("nothing is known of {}", request.path));
        let defined = self.defined();
        let target = defined.rules.target(key.kind, &request.path).ok_or_else(unknown)?;
        let no_object = || self.error(RemoteClass::Rejected, "a request without fields");
        let body = request.body.as_object().ok_or_else(no_object)?;
        let location = &self.location_of(key.kind, body, deadline).await?;
        self.check_pace(Some(location))?;
        let ids = self.store.ids(key).await.map_err(|error| self.of_store(&error))?;
        let (applied, trace) = (AtomicBool::new(false), Mutex::default());
        let work = Work { key, body, location, ids, deadline, applied, trace };
        self.tell(&work, target).await.map_err(|error| work.left_by(error))?;
        let request_id = lock(&work.trace).take();
        Ok(Pushed { request_id })
    }

    async fn push_batch(
        &self,
        _batch_id: &str,
        _requests: &[Request],
        _idempotency_key: &str,
        _timeout: Duration,
    ) -> Result<Vec<Result<Pushed, RemoteError>>, RemoteError> {
        Err(self.error(RemoteClass::Misrouted, "it takes no batches"))
    }

    async fn destination_page(
        &self,
        kind: Kind,
        cursor: Option<&str>,
        timeout: Duration,
    ) -> Result<Page<ShownRecord>, ListError> {
        self.page(kind, cursor, Instant::now() + timeout).await
    }

    async fn check_location(
        &self,
        location_id: &str,
        asked_at: Option<Timestamp>,
        timeout: Duration,
    ) -> Result<LocationCheck, RemoteError> {
        let read = |left| self.list_locations(Instant::now() + left);
        self.locations.check(&self.http, &self.provider, Wanted { location_id, asked_at }, timeout, read).await
    }

    async fn locations(&self, timeout: Duration) -> Result<Option<Locations>, RemoteError> {
        let read = |left| self.list_locations(Instant::now() + left);
        self.locations.all(&self.http, &self.provider, timeout, read).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
