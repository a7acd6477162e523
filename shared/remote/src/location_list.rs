//! A destination's list of locations, and how long it is believed.

use crate::{
    http::{Http, error},
    nearest::nearest,
};
use certbridge_sync::{
    error::{RemoteClass, RemoteError},
    ports::{LocationCheck, Locations},
};
use futures::lock::Mutex;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long the list is believed.
const FRESH: SignedDuration = SignedDuration::from_mins(10);

/// How long it is believed that a location is not on the list: a new one is worth another look, and so is one that a
/// person has asked for since.
const FRESH_MISS: SignedDuration = SignedDuration::from_mins(1);

/// The list, as it was last read.
#[derive(Default)]
pub(crate) struct LocationList(Mutex<Option<Cached>>);

/// What is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) location_id: &'a str,
    /// When a person asked for it, if one did.
    pub(crate) asked_at: Option<Timestamp>,
}

struct Cached {
    read_at: Timestamp,
    /// `None`: there is no list to read.
    listing: Option<Locations>,
}

impl LocationList {
    /// Whether a location is on the list, which is read if what is known of it is too old.
    pub(crate) async fn check<F: Future<Output = Result<Option<Locations>, RemoteError>>>(
        &self,
        http: &Http,
        provider: &str,
        wanted: Wanted<'_>,
        limit: Duration,
        read: impl FnOnce(Duration) -> F,
    ) -> Result<LocationCheck, RemoteError> {
        let known = |cached: &Cached| cached.check(wanted, http.now());
        self.look(http, provider, limit, read, known, |listing| says(listing, wanted.location_id)).await
    }

    /// The whole list, no older than a new location may go unseen.
    pub(crate) async fn all<F: Future<Output = Result<Option<Locations>, RemoteError>>>(
        &self,
        http: &Http,
        provider: &str,
        limit: Duration,
        read: impl FnOnce(Duration) -> F,
    ) -> Result<Option<Locations>, RemoteError> {
        let known = |cached: &Cached| cached.is_within(FRESH_MISS, http.now()).then(|| cached.listing.clone());
        self.look(http, provider, limit, read, known, whole).await
    }

    /// What is known of the list, or else what it says once it is read again.
    async fn look<T, F: Future<Output = Result<Option<Locations>, RemoteError>>>(
        &self,
        http: &Http,
        provider: &str,
        limit: Duration,
        read: impl FnOnce(Duration) -> F,
        known: impl Fn(&Cached) -> Option<T>,
        says: impl FnOnce(Option<&Locations>) -> T,
    ) -> Result<T, RemoteError> {
        let started = Instant::now();
        // Held while the list is read, so that many who miss at once read it once.
        let lock = timeout(limit, self.0.lock()).await;
        let busy = |_| error(provider, RemoteClass::Unreachable, "somebody else reads the locations");
        let mut cached = lock.map_err(busy)?;
        if let Some(known) = cached.as_ref().and_then(known) {
            return Ok(known);
        }
        // Before, not after: what is asked for meanwhile may not be on it.
        let read_at = http.now();
        let listing = read(limit.saturating_sub(started.elapsed())).await?;
        let told = cached.as_ref().is_some_and(|cached| cached.listing.is_none());
        if listing.is_none() && !told {
            tracing::warn!(provider, "lists no locations: they are not checked");
        }
        let said = says(listing.as_ref());
        *cached = Some(Cached { read_at, listing });
        Ok(said)
    }
}

impl Cached {
    /// Whether the location is there, if what was read is fresh enough to say so.
    fn check(&self, wanted: Wanted<'_>, now: Timestamp) -> Option<LocationCheck> {
        let check = says(self.listing.as_ref(), wanted.location_id);
        let fresh = match check {
            LocationCheck::Unknown { .. } => {
                self.is_within(FRESH_MISS, now) && wanted.asked_at.is_none_or(|asked_at| asked_at <= self.read_at)
            }
            _ => self.is_within(FRESH, now),
        };
        fresh.then_some(check)
    }

    /// Whether it was read less than `age` ago. A clock that was set back proves nothing.
    fn is_within(&self, age: SignedDuration, now: Timestamp) -> bool {
        (SignedDuration::ZERO..age).contains(&now.duration_since(self.read_at))
    }
}

fn whole(listing: Option<&Locations>) -> Option<Locations> {
    listing.cloned()
}

fn says(listing: Option<&Locations>, location_id: &str) -> LocationCheck {
    match listing {
        Some(listing) if listing.names.contains_key(location_id) => LocationCheck::Known,
        Some(listing) if listing.complete => LocationCheck::Unknown { nearest: nearest(&listing.names, location_id) },
        _ => LocationCheck::Unchecked,
    }
}
