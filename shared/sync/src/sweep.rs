//! The sweep: sends again what the pending index shows overdue.
//!
//! It heals whatever lost an event on its way: an expired stream, a lost message, a failed hand-over, a bad deployment.

use crate::{
    error::StoreError,
    ports::{Inbox, Overdue, RetryQueue},
    row::{INDEX_SHARDS, Pointer},
};
use futures::future::try_join_all;
use jiff::Timestamp;
use std::time::Duration;

/// What a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// How many pointers were sent.
    pub sent: usize,
    /// Since when the longest overdue event is, if there is one.
    pub since: Option<Timestamp>,
}

/// Sends a pointer to every event that is overdue, at most `limit` of each index shard, the longest overdue first.
pub async fn sweep<I: Inbox, Q: RetryQueue>(
    inbox: &I,
    queue: &Q,
    now: Timestamp,
    limit: usize,
) -> Result<Swept, StoreError> {
    let shards = try_join_all((0..INDEX_SHARDS).map(|shard| inbox.overdue(shard, now, limit))).await?;
    let since = shards.iter().flatten().map(|overdue| overdue.since).min();
    let point = |overdue: Overdue| (Pointer::Event(overdue.key), Duration::ZERO);
    let pointers: Vec<_> = shards.into_iter().flatten().map(point).collect();
    if !pointers.is_empty() {
        queue.send(&pointers).await?;
    }
    Ok(Swept { sent: pointers.len(), since })
}
