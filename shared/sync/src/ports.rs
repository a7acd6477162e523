//! What the use cases need of the world. Each implementation passes the same contract tests.

use crate::{
    breaker::BreakerState,
    error::{RemoteError, StoreError},
    row::{Claim, Commit, InboxRow, InboxState, Lease, Pointer, RecordRow, Release, Reschedule},
};
use certbridge_mapping::{
    DestinationDefinition, Document, EventKey, Kind, ListedRecord, Plan, RecordKey, Request, ShownRecord,
    SourceDefinition,
};
use jiff::{Timestamp, civil::Date};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

/// Time and randomness.
pub trait Runtime: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
    /// 128 random bits.
    fn random(&self) -> u128;
}

/// What became of an insert into the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// The row is new.
    New,
    /// There is a row of this key, and it was left alone.
    Exists {
        /// The SHA-256 of that row's body.
        body_digest: String,
    },
}

/// A pending event whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// Which one.
    pub key: EventKey,
    /// When its time came.
    pub since: Timestamp,
}

/// The inbox.
pub trait Inbox: Send + Sync {
    /// Puts a row if there is none of its key. This alone decides what is a duplicate.
    fn insert(&self, row: &InboxRow) -> impl Future<Output = Result<Inserted, StoreError>> + Send;

    /// The row of a key, read consistently.
    fn get(&self, key: &EventKey) -> impl Future<Output = Result<Option<InboxRow>, StoreError>> + Send;

    /// Writes when a pending event is tried again. `false` if it is no longer pending at `attempt`; a repetition of the
    /// very same write may be answered either way.
    fn reschedule(
        &self,
        key: &EventKey,
        attempt: u32,
        to: &Reschedule,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Takes a pending event out of the way, to be looked at: `state` is quarantined or failed. `false` if it is no
    /// longer pending at `attempt`.
    fn set_aside(
        &self,
        key: &EventKey,
        attempt: u32,
        state: InboxState,
        reason: &str,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The pending events of one index shard (0 to 15) whose time has come, the longest overdue first.
    fn overdue(
        &self,
        shard: u8,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Overdue>, StoreError>> + Send;
}

/// Why a record could not be claimed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Somebody works on it.
    #[error("leased until {until}")]
    Leased {
        /// Until when.
        until: Timestamp,
    },
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a commit wrote nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The record has been claimed by somebody else since.
    #[error("the claim was replaced")]
    FenceLost,
    /// The fence holds, but the event is no longer pending at this attempt.
    #[error("the event has moved on")]
    EventMoved,
    /// The store did not do it, or did not say.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The records, and with them the audit rows.
pub trait Records: Send + Sync {
    /// Leases a record: if there is no lease, or the lease has run out, or it is this very owner's (a try whose answer
    /// was lost). Makes the record if there is none.
    fn claim(
        &self,
        key: &RecordKey,
        lease: &Lease,
        now: Timestamp,
    ) -> impl Future<Output = Result<Claim, ClaimError>> + Send;

    /// Gives a claim up. Does nothing if it was replaced.
    fn release(&self, claim: &Claim, release: Release) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Writes record, audit row and inbox row, or none of them, and ends the lease. A commit whose answer was lost may
    /// be repeated.
    fn commit(&self, commit: &Commit<'_>) -> impl Future<Output = Result<(), CommitError>> + Send;

    /// The record as it is, without claiming it.
    fn read(&self, key: &RecordKey) -> impl Future<Output = Result<Option<RecordRow>, StoreError>> + Send;
}

/// The breakers, as the functions share them.
pub trait Breakers: Send + Sync {
    /// Says how a provider's breaker stands; `None` closes it.
    fn set_breaker(
        &self,
        provider: &str,
        state: Option<&BreakerState>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The retry queue. It may lose, repeat and reorder: the pending index is the truth.
pub trait RetryQueue: Send + Sync {
    /// Sends pointers, each to be seen after its delay.
    fn send(&self, pointers: &[(Pointer, Duration)]) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What a source answered about a record.
#[derive(Debug, Clone)]
pub enum Fetched {
    /// It has it.
    Found(Document),
    /// It has none of this id.
    NotFound,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items that name a record.
    pub items: Vec<T>,
    /// How many items name none that could be a record of ours. Any record may be among them, so what a listing with
    /// such items lacks is not missing for sure.
    pub nameless: u64,
    /// The next page's cursor; none on the last page.
    pub next: Option<String>,
    /// How many items there are in all, if the answer says so. It may be wrong: nothing but a remark rests on it.
    pub announced: Option<u64>,
}

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Nothing of the kind is listed there: no definition says how, or there is no such route (404, 405, 501).
    #[error("{0} lists none")]
    Unlisted(String),
    /// The cursor is refused, as one that has expired: the listing starts over. The first page is never refused so.
    #[error("the cursor is refused: {0}")]
    CursorRefused(RemoteError),
    /// It failed like any other request.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

/// What is remembered of a walk from page to page, to tell that it goes round in a circle: one cursor, now and then
/// replaced by a later one. A walk that is continued by another process takes it along.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    mark: Option<String>,
    steps: u64,
}

impl Trail {
    /// Takes a step to a page. `false` if the walk goes in a circle, which is told before it was gone round three times.
    #[must_use]
    pub fn step(&mut self, cursor: &str) -> bool {
        if self.mark.as_deref() == Some(cursor) {
            return false;
        }
        self.steps += 1;
        // The marks lie ever further apart: sooner or later one is on the circle, and stays for a whole round.
        if self.steps.is_power_of_two() {
            self.mark = Some(cursor.to_owned());
        }
        true
    }
}

/// The sources' APIs.
pub trait Sources: Send + Sync {
    /// Reads one record, within `timeout`.
    fn fetch(
        &self,
        plan: &Plan,
        key: &RecordKey,
        timeout: Duration,
    ) -> impl Future<Output = Result<Fetched, RemoteError>> + Send;

    /// Reads a page of the records of a kind, within `timeout`: the first, or the one of a cursor, which goes with the
    /// same `since` as before. With `since`, only records that changed on that day or later, by the source's clock.
    fn source_page(
        &self,
        plan: &Plan,
        kind: Kind,
        cursor: Option<&str>,
        since: Option<Date>,
        timeout: Duration,
    ) -> impl Future<Output = Result<Page<ListedRecord>, ListError>> + Send;

    /// Which of our subscriptions there bring nothing any more, one text each; `None` where it does not tell, or our
    /// secret does not say which are ours.
    fn lapsed_subscriptions(
        &self,
        source: &SourceDefinition,
    ) -> impl Future<Output = Result<Option<Vec<String>>, RemoteError>> + Send {
        let _ = source;
        async { Ok(None) }
    }
}

/// What a destination said to a push that it applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Its own id of the request, if it gave one.
    pub request_id: Option<String>,
}

/// Whether a destination has a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocationCheck {
    /// It has it.
    Known,
    /// It lists its locations, and this is none of them.
    Unknown {
        /// Those whose ids or names come nearest, as `id (name)`, the nearest first; at most three.
        nearest: Vec<String>,
    },
    /// It does not list its locations.
    Unchecked,
}

/// A destination's locations, as they were last read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locations {
    /// Their names, which may be blank, by their ids.
    pub names: BTreeMap<String, String>,
    /// Whether there are no others.
    pub complete: bool,
}

/// The destination's API.
pub trait Destination: Send + Sync {
    /// Takes over another definition of it, which has come into force.
    fn redefine(&self, definition: &Arc<DestinationDefinition>);

    /// Sends the request that tells of a record, within `timeout`: an upsert, safe to repeat under one idempotency key.
    fn push(
        &self,
        key: &RecordKey,
        request: &Request,
        idempotency_key: &str,
        timeout: Duration,
    ) -> impl Future<Output = Result<Pushed, RemoteError>> + Send;

    /// Sends several requests of a batch at once, within `timeout`, each of another record: at most as many as the
    /// definition allows. The same requests may be sent again under one idempotency key.
    ///
    /// Tells of each request in the order given. One that the answer does not clearly tell of has failed with a
    /// possible effect.
    ///
    /// # Errors
    /// What befell all of them alike; its effect is that of each. That they are rejected as a whole says nothing of any
    /// one, so they are then pushed one by one, as they are where batches are not taken (misrouted).
    fn push_batch(
        &self,
        batch_id: &str,
        requests: &[Request],
        idempotency_key: &str,
        timeout: Duration,
    ) -> impl Future<Output = Result<Vec<Result<Pushed, RemoteError>>, RemoteError>> + Send;

    /// Reads a page of what it has of a kind, within `timeout`: the first, or the one of a cursor.
    fn destination_page(
        &self,
        kind: Kind,
        cursor: Option<&str>,
        timeout: Duration,
    ) -> impl Future<Output = Result<Page<ShownRecord>, ListError>> + Send;

    /// Whether it has a location. The list is cached; that a location is missing from it is not believed if it was read
    /// before `asked_at`, when a person asked who may have added the location just then.
    fn check_location(
        &self,
        location_id: &str,
        asked_at: Option<Timestamp>,
        timeout: Duration,
    ) -> impl Future<Output = Result<LocationCheck, RemoteError>> + Send;

    /// Its locations, within `timeout`; `None` if it does not list them. The list is cached.
    fn locations(&self, timeout: Duration) -> impl Future<Output = Result<Option<Locations>, RemoteError>> + Send {
        let _ = timeout;
        async { Ok(None) }
    }
}

/// The keys that we hold for the providers' APIs.
pub trait ApiKeys: Send + Sync {
    /// The key in the secret of this name (`sources/accredible`, `destinations/snapshots`); `None` if there is none.
    fn api_key(&self, secret: &str) -> impl Future<Output = Result<Option<SecretString>, StoreError>> + Send;

    /// The ids of our subscriptions at the source of this secret, as it lists them.
    fn subscriptions(&self, secret: &str) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send {
        let _ = secret;
        async { Ok(Vec::new()) }
    }

    /// Notes that the provider refused the key, so that the secret is read again soon: it may have been rotated.
    fn refused(&self, secret: &str);
}

impl<K: ApiKeys> ApiKeys for &K {
    async fn api_key(&self, secret: &str) -> Result<Option<SecretString>, StoreError> {
        K::api_key(self, secret).await
    }

    async fn subscriptions(&self, secret: &str) -> Result<Vec<String>, StoreError> {
        K::subscriptions(self, secret).await
    }

    fn refused(&self, secret: &str) {
        K::refused(self, secret);
    }
}

impl<K: ApiKeys> ApiKeys for Arc<K> {
    async fn api_key(&self, secret: &str) -> Result<Option<SecretString>, StoreError> {
        K::api_key(self, secret).await
    }

    async fn subscriptions(&self, secret: &str) -> Result<Vec<String>, StoreError> {
        K::subscriptions(self, secret).await
    }

    fn refused(&self, secret: &str) {
        K::refused(self, secret);
    }
}

/// What we hold for a destination of several locations, each of which may have a key of its own.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The key for every location that has none of its own.
    pub api_key: Option<SecretString>,
    /// Our OAuth client, where there is no key.
    pub client: Option<(String, SecretString)>,
    /// The company, where the API asks for it.
    pub company_id: Option<String>,
    /// The location of records that name none.
    pub default_location: Option<String>,
    /// The locations that have a key of their own, by their ids.
    pub locations: BTreeMap<String, SecretString>,
}

/// What we hold for a destination, all of it.
pub trait DestinationKeys: ApiKeys {
    /// What stands in the secret of this name; `None` if there is none.
    fn credentials(&self, secret: &str) -> impl Future<Output = Result<Option<Credentials>, StoreError>> + Send;
}

impl<K: DestinationKeys> DestinationKeys for Arc<K> {
    async fn credentials(&self, secret: &str) -> Result<Option<Credentials>, StoreError> {
        K::credentials(self, secret).await
    }
}

/// A page of what stands in the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned<T> {
    /// What is on it; a page may be empty, and yet not the last one.
    pub items: Vec<T>,
    /// Where the next one begins; `None` after the last.
    pub next: Option<String>,
}

/// What stands in the tables, page by page, of which each reads at most `limit` rows. For reconciliation: nothing that works on one record needs it.
pub trait Scan: Send + Sync {
    /// The records of one kind, whatever source they are from, in no order that means anything.
    fn records(
        &self,
        kind: Kind,
        cursor: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Scanned<RecordRow>, StoreError>> + Send;

    /// The events of one index shard (0 to 15) that are in this state, which is not settled.
    fn unsettled(
        &self,
        state: InboxState,
        shard: u8,
        cursor: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Scanned<EventKey>, StoreError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many steps a walk takes until it is told, that comes to a circle of `round` pages after `before` others.
    fn told_after(before: usize, round: usize) -> Option<usize> {
        let mut trail = Trail::default();
        let page = |step: usize| if step < before { step } else { before + (step - before) % round };
        (0..10_000).find(|step| !trail.step(&page(*step).to_string()))
    }

    #[test]
    fn a_walk_in_a_circle_is_told() {
        for (before, round) in [(0, 1), (1, 1), (0, 2), (5, 1), (5, 3), (0, 7), (17, 16), (100, 31)] {
            let steps = told_after(before, round).unwrap();
            assert!(steps <= 3 * (before + round), "{before} and {round}: {steps}");
        }
    }

    #[test]
    fn a_walk_that_goes_on_is_none() {
        let mut trail = Trail::default();
        for cursor in 0..10_000 {
            assert!(trail.step(&cursor.to_string()));
        }
    }
}
