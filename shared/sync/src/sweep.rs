//! The sweep: sends again what the pending index shows overdue.
//!
//! It heals whatever lost an event on its way: an expired stream, a lost message, a failed hand-over, a bad deployment.

use crate::{
    error::StoreError,
    ports::{Inbox, RetryQueue},
    row::{INDEX_SHARDS, Pointer},
};
use futures::future::try_join_all;
use jiff::Timestamp;
use std::time::Duration;

/// Sends a pointer to every event that is overdue, at most `limit` of each index shard, the longest overdue first.
/// Returns how many.
pub async fn sweep<I: Inbox, Q: RetryQueue>(
    inbox: &I,
    queue: &Q,
    now: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let shards = try_join_all((0..INDEX_SHARDS).map(|shard| inbox.overdue(shard, now, limit))).await?;
    let pointers: Vec<_> = shards.into_iter().flatten().map(|key| (Pointer::Event(key), Duration::ZERO)).collect();
    if !pointers.is_empty() {
        queue.send(&pointers).await?;
    }
    Ok(pointers.len())
}
