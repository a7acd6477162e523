//! `GET /events` and `POST /events/{source}/{id}/replay`: what is not settled, and running an event again.

use crate::{
    handler::{Api, Refused, Tables},
    query::{PageWanted, fault},
    shown::ShownEvent,
};
use certbridge_mapping::EventKey;
use certbridge_platform::{
    Answer,
    http::{Request, path_parameter, query_parameter},
};
use certbridge_sync::{
    batches::Executions,
    catalog::{self, Open},
    ports::{RetryQueue, Runtime},
    replay::replay,
    row::InboxState,
};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// What may be asked for.
const STATES: [InboxState; 3] = [InboxState::Quarantined, InboxState::Failed, InboxState::Pending];

#[derive(Serialize)]
struct Page {
    events: Vec<ShownEvent>,
    next_cursor: Option<String>,
}

impl<S: Tables, Q: RetryQueue, E: Executions, T: Runtime> Api<S, Q, E, T> {
    /// The events in a state. One that moved on meanwhile is left out.
    pub(crate) async fn events(&self, request: &Request) -> Result<Answer, Refused> {
        let state = match query_parameter(request, "state") {
            None => STATES[0],
            Some(value) => {
                let named = STATES.into_iter().find(|state| state.as_str() == value);
                named.ok_or_else(|| fault("state", value, &STATES.map(InboxState::as_str).join(", ")))?
            }
        };
        let page = PageWanted::read(request, &self.cursors, &[state.as_str()])?;
        let after = match page.after.as_deref() {
            None => None,
            Some(place) => Some(
                at(place).ok_or_else(|| Refused::Unusable("a proven cursor is no place in the index".to_owned()))?,
            ),
        };
        let (open, more) = catalog::open(&self.store, state, after.as_ref(), page.limit).await?;
        let keys: Vec<_> = open.iter().map(|open| open.key.clone()).collect();
        let found = self.store.deliveries(&keys).await?.into_iter().filter(|delivery| delivery.state == state);
        let mut found: BTreeMap<_, _> = found.map(|delivery| (delivery.key.clone(), delivery)).collect();
        let events = keys.iter().filter_map(|key| found.remove(key)).map(ShownEvent::from).collect();
        let next = open.last().filter(|_| more).map(place);
        Ok(Answer::json(200, &Page { events, next_cursor: page.next(&self.cursors, next.as_deref()) }))
    }

    /// Runs an event again, on the caller's account.
    pub(crate) async fn replay(&self, request: &Request, owner: &str) -> Result<Answer, Refused> {
        let definitions = self.definitions.current();
        let named = path_parameter(request, "source").unwrap_or_default();
        let source = definitions.source(named).map_or(named, |source| &source.name);
        let key =
            EventKey { source: source.to_owned(), id: path_parameter(request, "id").unwrap_or_default().to_owned() };
        let row = replay(&self.store, &self.queue, &definitions, &key, owner, self.runtime.now()).await?;
        tracing::info!(source, event_id = key.id, owner, attempt = row.attempt, "an event is run again");
        self.metrics.count("Replayed", &[("Source", source)]);
        Ok(Answer::json(202, &ShownEvent::from(row)))
    }
}

/// The place of an event in the index, and back.
fn place(open: &Open) -> String {
    format!("{} {}", open.next_at.as_millisecond(), open.key)
}

fn at(place: &str) -> Option<Open> {
    let (at, key) = place.split_once(' ')?;
    let (source, id) = key.split_once('#')?;
    let next_at = Timestamp::from_millisecond(at.parse().ok()?).ok()?;
    Some(Open { next_at, key: EventKey { source: source.to_owned(), id: id.to_owned() } })
}
