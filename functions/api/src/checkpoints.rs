//! `GET /audit/checkpoints`.

use crate::{
    handler::{Api, Refused, Tables},
    query::PageWanted,
};
use certbridge_archive::{Archive, ArchiveError};
use certbridge_platform::{Answer, http::Request};
use certbridge_sync::{
    batches::Executions,
    checkpoint::{self, Stored},
    ports::{RetryQueue, Runtime},
};
use futures::future::try_join_all;
use jiff::Timestamp;
use serde::Serialize;

#[derive(Serialize)]
struct Shown {
    number: u64,
    time: Timestamp,
    size: u64,
    rows: u64,
    root: String,
    hash: String,
    previous: Option<String>,
    signed: bool,
    key_id: Option<String>,
}

impl From<&Stored> for Shown {
    fn from(stored: &Stored) -> Self {
        let checkpoint = stored.unproven();
        Self {
            number: checkpoint.number,
            time: checkpoint.time,
            size: checkpoint.size,
            rows: checkpoint.rows,
            root: checkpoint.root.to_string(),
            hash: checkpoint.hash().to_string(),
            previous: checkpoint.previous.as_ref().map(ToString::to_string),
            signed: matches!(stored, Stored::Signed(_)),
            key_id: checkpoint.key_id.clone(),
        }
    }
}

#[derive(Serialize)]
struct Page {
    checkpoints: Vec<Shown>,
    next_cursor: Option<String>,
}

impl<S: Tables, Q: RetryQueue, E: Executions, T: Runtime> Api<S, Q, E, T> {
    /// The checkpoints, the newest first. Whether they hold is for `certbridge audit verify` to say, which has the key.
    pub(crate) async fn checkpoints(&self, request: &Request) -> Result<Answer, Refused> {
        let page = PageWanted::read(request, &self.cursors, &[])?;
        let newest = match page.after.as_deref().map(str::parse::<u64>) {
            None => newest(&self.checkpoints).await?,
            Some(after) => after
                .map_err(|_| Refused::Unusable("a proven cursor is no checkpoint's number".to_owned()))?
                .saturating_sub(1),
        };
        let oldest = newest.saturating_sub(page.limit.try_into().unwrap_or(u64::MAX)) + 1;
        let numbers = (oldest..=newest).rev();
        let read = try_join_all(numbers.map(|number| stored(&self.checkpoints, number))).await?;
        let checkpoints = read.iter().flatten().map(Shown::from).collect();
        let next = (oldest > 1).then(|| oldest.to_string());
        Ok(Answer::json(200, &Page { checkpoints, next_cursor: page.next(&self.cursors, next.as_deref()) }))
    }
}

/// The number of the newest; 0 before the first.
async fn newest(archive: &Archive) -> Result<u64, ArchiveError> {
    let noted = archive.get_json::<Stored>(checkpoint::LATEST).await?;
    Ok(noted.map_or(0, |latest| latest.unproven().number))
}

async fn stored(archive: &Archive, number: u64) -> Result<Option<Stored>, ArchiveError> {
    archive.get_json(&checkpoint::path(number)).await
}
