//! `GET /certificates`, `/records/{kind}` and what is below: what is synced, its trail, and its whole story.

use crate::{
    handler::{Api, Refused, Tables},
    query::{self, PageWanted, fault},
    shown::{ShownEvent, ShownRecord},
};
use certbridge_mapping::{Plan, RecordKey};
use certbridge_platform::{
    Answer,
    http::{Request, query_parameter},
};
use certbridge_sync::{
    AuditRow,
    batches::Executions,
    catalog::{self, Filter, Listed, Summary},
    history::{self, Entry},
    ports::{RetryQueue, Runtime},
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::sync::{Arc, PoisonError};

/// How long the numbers are kept: a page that many look at counts once.
const SUMMARY_LASTS: SignedDuration = SignedDuration::from_secs(30);

#[derive(Serialize)]
struct Line {
    record: String,
    kind: &'static str,
    source: String,
    id: String,
    status: Option<String>,
    location_id: Option<String>,
    synced_at: Timestamp,
}

impl From<Listed> for Line {
    fn from(listed: Listed) -> Self {
        let Listed { key, synced_at, status, location_id } = listed;
        Self {
            record: key.to_string(),
            kind: key.kind.as_str(),
            id: key.id.to_string(),
            source: key.source,
            status,
            location_id,
            synced_at,
        }
    }
}

#[derive(Serialize)]
struct Lines {
    records: Vec<Line>,
    next_cursor: Option<String>,
}

/// Whether the rows of a page are as they were written, and follow one another.
#[derive(Serialize)]
struct Chain {
    holds: bool,
    fault: Option<String>,
}

impl From<Option<String>> for Chain {
    fn from(fault: Option<String>) -> Self {
        Self { holds: fault.is_none(), fault }
    }
}

#[derive(Serialize)]
struct Rows {
    record: String,
    rows: Vec<AuditRow>,
    chain: Chain,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct ShownEntry {
    row: AuditRow,
    delivery: Option<ShownEvent>,
}

#[derive(Serialize)]
struct ShownHistory {
    record: Option<ShownRecord>,
    entries: Vec<ShownEntry>,
    open: Vec<ShownEvent>,
    open_complete: bool,
    chain: Chain,
    next_cursor: Option<String>,
}

impl<S: Tables, Q: RetryQueue, E: Executions, T: Runtime> Api<S, Q, E, T> {
    /// The records of a kind.
    pub(crate) async fn records(&self, request: &Request) -> Result<Answer, Refused> {
        let kind = query::kind(request)?;
        let text = |name| query_parameter(request, name);
        let since = text("updated_since").map(|since| {
            since.parse::<Timestamp>().map_err(|_| fault("updated_since", since, "a time, as RFC 3339 writes it"))
        });
        // A source that is no longer declared may still have records.
        let definitions = self.definitions.current();
        let source = text("source").map(|name| definitions.source(name).map_or(name, |source| &source.name));
        let filter = Filter {
            source: source.map(str::to_owned),
            status: text("status").map(str::to_owned),
            location_id: text("location_id").map(str::to_owned),
            since: since.transpose()?,
        };
        let filters = ["source", "status", "location_id", "updated_since"].map(|name| text(name).unwrap_or_default());
        let filters: Vec<_> = [kind.as_str()].into_iter().chain(filters).collect();
        let page = PageWanted::read(request, &self.cursors, &filters)?;
        let slice = catalog::records(&self.store, kind, &filter, page.after.clone(), page.limit).await?;
        let next_cursor = page.next(&self.cursors, slice.next.as_deref());
        Ok(Answer::json(200, &Lines { records: slice.items.into_iter().map(Line::from).collect(), next_cursor }))
    }

    /// One record.
    pub(crate) async fn record(&self, request: &Request) -> Result<Answer, Refused> {
        let key = query::record(request, &self.definitions.current())?;
        let row = self.store.read(&key).await?.ok_or(Refused::UnknownRecord)?;
        Ok(Answer::json(200, &ShownRecord::new(&row, self.plan(&key).as_ref(), self.runtime.now())))
    }

    /// A record's trail.
    pub(crate) async fn audit(&self, request: &Request) -> Result<Answer, Refused> {
        let (key, page, before) = self.page_of_trail(request)?;
        let record = self.store.read(&key).await?.ok_or(Refused::UnknownRecord)?;
        let trail = history::trail(&self.store, &key, Some(&record.audit), before, page.limit).await?;
        let next_cursor = page.next(&self.cursors, trail.next.map(|next| next.to_string()).as_deref());
        let record = key.to_string();
        Ok(Answer::json(200, &Rows { record, rows: trail.rows, chain: trail.fault.into(), next_cursor }))
    }

    /// A record's whole story. One that has none is not known.
    pub(crate) async fn history(&self, request: &Request) -> Result<Answer, Refused> {
        let (key, page, before) = self.page_of_trail(request)?;
        let history = history::history(&self.store, &key, before, page.limit).await?;
        if history.record.is_none() && history.open.is_empty() && history.entries.is_empty() {
            return Err(Refused::UnknownRecord);
        }
        let plan = self.plan(&key);
        let entry = |Entry { row, delivery }| ShownEntry { row, delivery: delivery.map(ShownEvent::from) };
        Ok(Answer::json(
            200,
            &ShownHistory {
                record: history.record.map(|row| ShownRecord::new(&row, plan.as_ref(), self.runtime.now())),
                entries: history.entries.into_iter().map(entry).collect(),
                open: history.open.into_iter().map(ShownEvent::from).collect(),
                open_complete: history.open_complete,
                chain: history.fault.into(),
                next_cursor: page.next(&self.cursors, history.next.map(|next| next.to_string()).as_deref()),
            },
        ))
    }

    /// What there is, in numbers.
    pub(crate) async fn summary(&self) -> Result<Answer, Refused> {
        let now = self.runtime.now();
        let kept = self.summary.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fresh = |of: &Arc<Summary>| (SignedDuration::ZERO..SUMMARY_LASTS).contains(&now.duration_since(of.at));
        let summary = match kept.filter(fresh) {
            Some(summary) => summary,
            None => {
                let counted = Arc::new(catalog::summary(&self.store, now).await?);
                *self.summary.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&counted));
                counted
            }
        };
        Ok(Answer::json(200, &*summary))
    }

    /// The plan of a record's source, if one is in force.
    fn plan(&self, key: &RecordKey) -> Option<Plan> {
        let definitions = self.definitions.current();
        let destination = definitions.destination(&self.destination)?;
        Some(Plan::new(Arc::clone(definitions.source(&key.source)?), Arc::clone(destination)))
    }

    fn page_of_trail<'a>(&self, request: &'a Request) -> Result<(RecordKey, PageWanted<'a>, Option<u64>), Refused> {
        let key = query::record(request, &self.definitions.current())?;
        let of = ["kind", "source", "id"].map(|name| {
            let source = query_parameter(request, name).filter(|_| name == "source");
            certbridge_platform::http::path_parameter(request, name).or(source).unwrap_or_default()
        });
        let page = PageWanted::read(request, &self.cursors, &of)?;
        let before = page.after.as_deref().map(str::parse).transpose();
        let before = before.map_err(|_| Refused::Unusable("a proven cursor is no sequence".to_owned()))?;
        Ok((key, page, before))
    }
}
