//! The tables, what waits in them, and how batches and polls stand.

use super::{Area, Findings};
use crate::CliError;
use certbridge_mapping::Definitions;
use certbridge_store::{DynamoStore, TableFacts};
use certbridge_sync::{
    Plans,
    batches::{BatchStatus, Batches, Mode},
    in_force::ControlRows,
    poll::PollMarks,
    ports::{Inbox, Scan},
    row::{INDEX_SHARDS, InboxState},
};
use jiff::{SignedDuration, Timestamp};

/// How long an event may be overdue before the sweep is not what it waits for.
const OVERDUE: SignedDuration = SignedDuration::from_mins(10);
/// How old the last reconciliation may be.
const RECONCILED: SignedDuration = SignedDuration::from_hours(36);
/// How old the last whole poll may be.
const POLLED: SignedDuration = SignedDuration::from_hours(1);
/// How many events of a shard are counted.
const COUNTED: usize = 1_000;

pub(super) async fn examine(found: &mut Findings, store: &DynamoStore, is_deployed: bool) -> Vec<TableFacts> {
    let tables = store.inspect().await;
    for table in &tables {
        let id = format!("tables.{}", table.role);
        if !table.faults.is_empty() {
            let mend = "compare it with template.yaml; the stack's own resources are mended by a deployment";
            found.failed(Area::Tables, id, format!("{}: {}", table.name, table.faults.join("; ")), mend);
        } else if is_deployed && table.point_in_time == Some(false) {
            let mend = format!("switch on point-in-time recovery of {}", table.name);
            found.warning(Area::Tables, id, format!("{} cannot be put back in time", table.name), mend);
        } else {
            found.ok(Area::Tables, id, table.name.clone());
        }
    }
    tables
}

/// What waits, and what waits for a person.
pub(super) async fn events(
    found: &mut Findings,
    store: &DynamoStore,
    control: &ControlRows,
    now: Timestamp,
) -> Result<(), CliError> {
    let area = Area::Events;
    let mut overdue = Vec::new();
    for shard in 0..INDEX_SHARDS {
        overdue.extend(store.overdue(shard, now - OVERDUE, COUNTED).await?);
    }
    let pending = counted(store, InboxState::Pending).await?;
    match overdue.iter().min_by_key(|event| event.since) {
        None => found.ok(area, "events.pending", format!("{pending} pending, none overdue")),
        Some(oldest) => {
            let what = format!("{} of {pending} pending are overdue, the oldest since {}", overdue.len(), oldest.since);
            let mend =
                "the sweep sends them again every five minutes: look at the logs of sync-event, and at the schedule";
            found.failed(area, "events.pending", what, mend);
        }
    }
    for (state, mend) in [
        (
            InboxState::Quarantined,
            "a person must look: the dashboard's Events and `certbridge why ID` say why; mend it, and run them again",
        ),
        (InboxState::Failed, "they were tried for five days: mend the cause, and run them again"),
    ] {
        let (id, number) = (format!("events.{}", state.as_str()), counted(store, state).await?);
        match number.as_str() {
            "0" => found.ok(area, id, "none"),
            _ => found.warning(area, id, format!("{number} {}", state.as_str()), mend),
        }
    }
    for (provider, breaker) in &control.breakers {
        let what = format!(
            "{provider} refused our key {} times in a row; asked again after {}",
            breaker.refusals, breaker.open_until
        );
        let mend = format!("certbridge secrets rotate {provider}");
        found.failed(area, format!("events.breaker.{provider}"), what, mend);
    }
    if control.breakers.is_empty() {
        found.ok(area, "events.breakers", "all closed");
    }
    Ok(())
}

/// How many events there are in a state, or that there are more than were counted.
async fn counted(store: &DynamoStore, state: InboxState) -> Result<String, CliError> {
    let (mut number, mut more) = (0, false);
    for shard in 0..INDEX_SHARDS {
        let page = store.unsettled(state, shard, None, COUNTED).await?;
        number += page.items.len();
        more |= page.next.is_some();
    }
    Ok(format!("{}{number}", if more { "more than " } else { "" }))
}

/// The last reconciliation, and how far sources are polled.
pub(super) async fn batches(
    found: &mut Findings,
    store: &DynamoStore,
    definitions: &Definitions,
    destination: Option<&str>,
    is_deployed: bool,
    now: Timestamp,
) -> Result<(), CliError> {
    let area = Area::Batches;
    let rows = store.batches(None, 50).await?.items;
    let last = rows.into_iter().find(|row| row.request.mode == Mode::Reconcile && row.status.is_over());
    let run = "certbridge batch run";
    match last {
        None if is_deployed => found.warning(area, "batches.last", "both sides were never compared", run),
        None => found.skipped(area, "batches.last", "both sides were never compared: `certbridge batch run` does"),
        Some(row) if row.status == BatchStatus::Failed => {
            let why = row.error.unwrap_or_default();
            found.failed(area, "batches.last", format!("{} failed: {why}", row.id), run);
        }
        Some(row) => {
            let at = row.finished_at.unwrap_or(row.requested_at);
            let said = row.summary.map(|summary| summary.headline).unwrap_or_default();
            let what = format!("{} ended at {at}: {said}", row.id);
            if is_deployed && now.duration_since(at) > RECONCILED {
                found.warning(area, "batches.last", what, "is the schedule Nightly on? It runs every night");
            } else {
                found.ok(area, "batches.last", what);
            }
        }
    }
    let plans = destination.and_then(|destination| Plans::new(definitions, destination));
    for plan in plans.iter().flat_map(Plans::all) {
        for kind in plan.polled_kinds() {
            let source = &plan.source().name;
            let id = format!("batches.poll.{source}");
            let walked = store.poll_mark(source, kind).await?.and_then(|mark| mark.walked_at);
            match walked {
                Some(at) if now.duration_since(at) <= POLLED || !is_deployed => {
                    found.ok(area, id, format!("every {kind} that changed was read at {at}"));
                }
                Some(at) => {
                    let mend = "look at the log of batch-sync, and at the schedule of its polls";
                    found.failed(area, id, format!("changes were last read to the end at {at}"), mend);
                }
                None => found.skipped(
                    area,
                    id,
                    "it was not polled yet: a source that is off is never, and one that is on every five minutes",
                ),
            }
        }
    }
    Ok(())
}
