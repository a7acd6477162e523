//! Erasing what a record says of a person, and holding it back from that.
//!
//! What stays of an erased record is a husk: its fence, the place of its last state in the order of states, the end of
//! its audit chain, and when it was erased. So whatever was known before, told again, does not bring it back: an older
//! state is superseded, an earlier hint is covered. A newer state from the source does, and that is on record.
//!
//! Both go through a claim and a commit like any other work on a record, so no worker comes in between.

use crate::{
    audit::{Action, Actor, Cause, Entry, Outcome},
    error::StoreError,
    ports::{ClaimError, CommitError, Inbox, Records, Runtime, Scan},
    row::{Claim, Commit, Husk, INDEX_SHARDS, InboxState, Lease, RecordRow, Release},
};
use certbridge_mapping::{EventKey, PlanVersion, RecordKey};
use jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeSet, future::Future};

/// How long a claim may last: thousands of deliveries are blanked under it.
const LEASE: SignedDuration = SignedDuration::from_mins(15);
/// How long a settled delivery is kept, from when nothing holds it any more.
const RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How many rows are read at once.
const PAGE: usize = 500;

/// What the tables hold of a record beside its row.
pub trait Remains: Records + Inbox + Scan {
    /// The events that its chain names.
    fn events_of(&self, record: &RecordKey) -> impl Future<Output = Result<Vec<EventKey>, StoreError>> + Send;

    /// Takes what a delivery says out of its row, and leaves the mark that tells duplicates. One that was set aside is
    /// settled with that, as `outcome`; it goes at `expires_at`, unless it goes earlier. `false` if it is pending.
    fn blank(
        &self,
        event: &EventKey,
        outcome: &str,
        expires_at: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Says when a settled delivery goes; `None` keeps it.
    fn expire(&self, event: &EventKey, at: Option<Timestamp>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Forgets what the destination calls the record.
    fn forget_ids(&self, record: &RecordKey) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Why nothing was erased, or held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EraseError {
    /// There is none, or nothing was ever done to it.
    #[error("{0}: nothing is known of it")]
    Unknown(RecordKey),
    /// It is held.
    #[error("{0}: it is held; `certbridge audit hold --release` ends that")]
    Held(RecordKey),
    /// An event waits for it.
    #[error("{record}: the event {event} is pending: try again once it is settled")]
    Pending {
        /// The record.
        record: RecordKey,
        /// The event.
        event: EventKey,
    },
    /// Nobody knows whether the destination holds its state, and only that state could end the doubt.
    #[error("{0}: a push of it is in doubt: sync it first, or let the next reconciliation do so")]
    InDoubt(RecordKey),
    /// Somebody works on it.
    #[error("{record}: somebody works on it, until {until} at the latest")]
    Leased {
        /// The record.
        record: RecordKey,
        /// Until when.
        until: Timestamp,
    },
    /// It took too long, and somebody else has claimed it.
    #[error("{0}: it took too long: do it again")]
    Lost(RecordKey),
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// How many deliveries were blanked.
    pub deliveries: usize,
    /// The place of the audit row that tells of it.
    pub sequence: u64,
}

/// Erases a record, on behalf of `by`. Doing it again does no harm, and finishes what was cut off.
pub async fn erase<S: Remains>(
    store: &S,
    runtime: &impl Runtime,
    record: &RecordKey,
    by: &str,
    ids_too: bool,
) -> Result<Erased, EraseError> {
    let claim = claim(store, runtime, record).await?;
    match blanked(store, runtime, &claim, ids_too).await {
        Ok(deliveries) => {
            let version = claim.row.state.as_ref().map_or_else(
                || claim.row.husk.as_ref().and_then(|husk| husk.version.clone()),
                |state| state.version.clone(),
            );
            let husk = Husk { erased_at: runtime.now(), version };
            let ended = Ended { outcome: Outcome::Erased, command: "erase", husk: Some(&husk), hold: false };
            Ok(Erased { deliveries, sequence: commit(store, runtime, &claim, by, &ended).await? })
        }
        Err(error) => {
            let release = if claim.must_push { Release::InDoubt } else { Release::Clean };
            store.release(&claim, release).await?;
            Err(error)
        }
    }
}

/// Holds a record, or ends that, on behalf of `by`, and gives the place of the audit row that tells of it. While it is
/// held it cannot be erased, and its deliveries do not expire.
pub async fn hold<S: Remains>(
    store: &S,
    runtime: &impl Runtime,
    record: &RecordKey,
    by: &str,
    held: bool,
) -> Result<u64, EraseError> {
    let claim = claim(store, runtime, record).await?;
    if claim.must_push {
        store.release(&claim, Release::InDoubt).await?;
        return Err(EraseError::InDoubt(record.clone()));
    }
    let (outcome, command) = if held { (Outcome::Held, "hold") } else { (Outcome::Released, "release") };
    let husk = claim.row.husk.as_ref();
    let sequence = commit(store, runtime, &claim, by, &Ended { outcome, command, husk, hold: held }).await?;
    // Afterwards: what is settled from now on goes by the hold itself.
    let until = (!held).then(|| runtime.now() + RETENTION);
    for event in store.events_of(record).await? {
        store.expire(&event, until).await?;
    }
    Ok(sequence)
}

async fn claim<S: Remains>(store: &S, runtime: &impl Runtime, record: &RecordKey) -> Result<Claim, EraseError> {
    // A claim makes the record if there is none.
    let known = |row: &RecordRow| row.audit.sequence > 0;
    if !store.read(record).await?.as_ref().is_some_and(known) {
        return Err(EraseError::Unknown(record.clone()));
    }
    let now = runtime.now();
    let lease = Lease { owner: format!("command/{:032x}", runtime.random()), until: now + LEASE };
    store.claim(record, &lease, now).await.map_err(|error| match error {
        ClaimError::Leased { until } => EraseError::Leased { record: record.clone(), until },
        ClaimError::Store(error) => EraseError::Store(error),
    })
}

/// Blanks every delivery that speaks of the record, and says how many there were.
async fn blanked<S: Remains>(
    store: &S,
    runtime: &impl Runtime,
    claim: &Claim,
    ids_too: bool,
) -> Result<usize, EraseError> {
    let record = &claim.row.key;
    if claim.row.hold {
        return Err(EraseError::Held(record.clone()));
    }
    if claim.must_push {
        return Err(EraseError::InDoubt(record.clone()));
    }
    let pending = |event: &EventKey| EraseError::Pending { record: record.clone(), event: event.clone() };
    if let Some(event) = unsettled(store, record, InboxState::Pending).await?.first() {
        return Err(pending(event));
    }
    let mut events: BTreeSet<EventKey> = store.events_of(record).await?.into_iter().collect();
    for state in [InboxState::Quarantined, InboxState::Failed] {
        events.extend(unsettled(store, record, state).await?);
    }
    for event in &events {
        if !store.blank(event, Outcome::Erased.as_str(), runtime.now() + RETENTION).await? {
            return Err(pending(event));
        }
    }
    if ids_too {
        store.forget_ids(record).await?;
    }
    Ok(events.len())
}

/// The events in this state, which is not settled, that speak of the record.
async fn unsettled<S: Remains>(store: &S, record: &RecordKey, state: InboxState) -> Result<Vec<EventKey>, StoreError> {
    let mut found = Vec::new();
    for shard in 0..INDEX_SHARDS {
        let mut cursor: Option<String> = None;
        loop {
            let page = store.unsettled(state, shard, cursor.as_deref(), PAGE).await?;
            for key in page.items.into_iter().filter(|key| key.source == record.source) {
                let row = store.get(&key).await?;
                if row.and_then(|row| row.event).is_some_and(|event| event.record == *record) {
                    found.push(key);
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

/// How a command's work on a record ends.
struct Ended<'a> {
    outcome: Outcome,
    command: &'static str,
    husk: Option<&'a Husk>,
    hold: bool,
}

async fn commit<S: Remains>(
    store: &S,
    runtime: &impl Runtime,
    claim: &Claim,
    by: &str,
    ended: &Ended<'_>,
) -> Result<u64, EraseError> {
    let row = &claim.row;
    let plan = row.state.as_ref().map_or_else(|| PlanVersion::from(String::new()), |state| state.plan.clone());
    let entry = Entry {
        record: &row.key,
        fence: claim.fence,
        time: runtime.now(),
        actor: Actor::Operator { name: by.to_owned() },
        cause: Cause::Command { name: ended.command.to_owned() },
        action: Action::None,
        outcome: ended.outcome,
        changes: Vec::new(),
        plan,
        destination_request_id: None,
    };
    let audit = entry.append_to(&row.audit);
    let salt = row.salt.clone().unwrap_or_else(|| format!("{:032x}", runtime.random()));
    let fetched_at = (ended.outcome == Outcome::Erased).then(|| runtime.now());
    let (husk, hold) = (ended.husk, ended.hold);
    let commit = Commit { claim, state: None, husk, hold, fetched_at, salt: &salt, audit: &audit, settle: None };
    store.commit(&commit).await.map_err(|error| match error {
        CommitError::FenceLost | CommitError::EventMoved => EraseError::Lost(row.key.clone()),
        CommitError::Store(error) => EraseError::Store(error),
    })?;
    Ok(audit.sequence)
}
