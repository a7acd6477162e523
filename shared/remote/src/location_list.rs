//! A destination's list of locations, and how long it is believed.

use crate::{
    http::{Http, error},
    nearest::nearest,
};
use certbridge_sync::{
    error::{RemoteClass, RemoteError},
    ports::LocationCheck,
};
use futures::lock::Mutex;
use jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, timeout};

/// How long the list is believed.
const FRESH: SignedDuration = SignedDuration::from_mins(10);

/// How long it is believed that a location is not on the list: a new one is worth another look.
const FRESH_MISS: SignedDuration = SignedDuration::from_mins(1);

/// The list, as it was last read.
#[derive(Default)]
pub(crate) struct LocationList(Mutex<Option<Cached>>);

struct Cached {
    read_at: Timestamp,
    /// `None`: there is no list to read.
    listing: Option<Listing>,
}

/// The locations as they were read.
pub(crate) struct Listing {
    /// Their names, by their ids.
    pub(crate) names: BTreeMap<String, String>,
    /// Whether there are no others.
    pub(crate) complete: bool,
}

impl LocationList {
    /// Whether a location is on the list, which is read if what is known of it is too old.
    pub(crate) async fn check<F: Future<Output = Result<Option<Listing>, RemoteError>>>(
        &self,
        http: &Http,
        provider: &str,
        location_id: &str,
        limit: Duration,
        read: impl FnOnce(Duration) -> F,
    ) -> Result<LocationCheck, RemoteError> {
        let started = Instant::now();
        // Held while the list is read, so that many who miss at once read it once.
        let lock = timeout(limit, self.0.lock()).await;
        let busy = |_| error(provider, RemoteClass::Unreachable, "somebody else reads the locations");
        let mut cached = lock.map_err(busy)?;
        if let Some(check) = cached.as_ref().and_then(|cached| cached.check(location_id, http.now())) {
            return Ok(check);
        }
        let listing = read(limit.saturating_sub(started.elapsed())).await?;
        let told = cached.as_ref().is_some_and(|cached| cached.listing.is_none());
        if listing.is_none() && !told {
            tracing::warn!(provider, "lists no locations: they are not checked");
        }
        let check = says(listing.as_ref(), location_id);
        *cached = Some(Cached { read_at: http.now(), listing });
        Ok(check)
    }
}

impl Cached {
    /// Whether the location is there, if what was read is fresh enough to say so.
    fn check(&self, location_id: &str, now: Timestamp) -> Option<LocationCheck> {
        let check = says(self.listing.as_ref(), location_id);
        let fresh = if matches!(check, LocationCheck::Unknown { .. }) { FRESH_MISS } else { FRESH };
        // A clock that was set back proves nothing.
        (SignedDuration::ZERO..fresh).contains(&now.duration_since(self.read_at)).then_some(check)
    }
}

fn says(listing: Option<&Listing>, location_id: &str) -> LocationCheck {
    match listing {
        Some(listing) if listing.names.contains_key(location_id) => LocationCheck::Known,
        Some(listing) if listing.complete => LocationCheck::Unknown { nearest: nearest(&listing.names, location_id) },
        _ => LocationCheck::Unchecked,
    }
}
