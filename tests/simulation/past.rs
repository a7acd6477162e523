//! What only the world knows: which state the source had of each record, and when. By it every commit and every push of
//! a batch is judged: **what was listed never goes over something newer.**

use crate::world::{HINTS, PAYLOADS, State};
use certbridge_mapping::{Record, Request};
use certbridge_sync::{
    audit::{AuditRow, Cause},
    row::Commit,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a record is at its source: the title, by which states are told apart, or nothing.
pub(crate) type Title = Option<String>;

/// The states that records had at their source, each with the time from which on it had it.
#[derive(Default)]
pub(crate) struct Past {
    states: BTreeMap<String, Vec<(Timestamp, Title)>>,
    /// From when on what was last committed of a record is known to have been so at the source.
    committed: BTreeMap<String, Timestamp>,
    /// The same of what the destination was last told of it.
    told: BTreeMap<String, Timestamp>,
    /// The first fetch under each claim.
    pub(crate) fetched: BTreeMap<String, Timestamp>,
    /// The newest claim of each record.
    pub(crate) newest_claims: BTreeMap<String, String>,
}

impl Past {
    pub(crate) fn change(&mut self, record: String, at: Timestamp, state: Title) {
        self.states.entry(record).or_default().push((at, state));
    }

    /// Whether the source had this state at some time since then.
    pub(crate) fn had(&self, record: &str, state: &Title, since: Timestamp) -> bool {
        let mut before = (Timestamp::MIN, None);
        let mut had = false;
        for (from, next) in self.states.get(record).into_iter().flatten() {
            had |= before.1 == *state && *from >= since;
            before = (*from, next.clone());
        }
        had || before.1 == *state
    }

    /// When it last changed.
    pub(crate) fn changed_at(&self, record: &str) -> Option<Timestamp> {
        self.states.get(record)?.last().map(|(at, _)| *at)
    }
}

/// What an execution has seen of the listings, whichever processes carried it.
pub(crate) struct Seen {
    /// When it began, by the world's time.
    pub(crate) began_at: Timestamp,
    /// The items of the source's pages: id, when the page's request began, and what it showed.
    pub(crate) listed: Vec<(String, Timestamp, Title)>,
    /// What a side kept back of its listing, though it has it.
    pub(crate) hidden: BTreeSet<(&'static str, String)>,
    /// The sides whose listings cannot be read on from some page on.
    pub(crate) cut: BTreeSet<&'static str>,
}

/// A process that carries an execution.
pub(crate) struct Carrier {
    /// The execution.
    pub(crate) execution: String,
    /// The source.
    pub(crate) source: &'static str,
    pub(crate) dry_run: bool,
    /// Whether it has made sure of its turn for the task that it does.
    pub(crate) has_turn: bool,
    /// Its newest claim of each record.
    pub(crate) claims: BTreeMap<String, String>,
}

impl State {
    /// Says what must never be. The first fault counts.
    pub(crate) fn accuse(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    /// The execution that a process carries, if it carries one.
    pub(crate) fn seen_by(&mut self, process: u64) -> Option<&mut Seen> {
        let execution = &self.carriers.get(&process)?.execution;
        self.executions.get_mut(execution)
    }

    /// A task of a batch must have kept its turn before it does this.
    pub(crate) fn needs_turn(&mut self, process: u64, what: &str) {
        if let Some(carrier) = self.carriers.get(&process).filter(|carrier| !carrier.has_turn) {
            let fault = format!("{} did without its turn: {what}", carrier.execution);
            self.accuse(fault);
        }
    }

    /// A dry run must not do this.
    pub(crate) fn writes(&mut self, process: u64, what: &str) {
        if let Some(carrier) = self.carriers.get(&process).filter(|carrier| carrier.dry_run) {
            let fault = format!("{}, a dry run, did: {what}", carrier.execution);
            self.accuse(fault);
        }
    }

    /// From when on, at the earliest, a state that a batch lists is known to have been so.
    fn listed_from(&self, process: u64, id: &str, title: &Title) -> Option<Timestamp> {
        let seen = self.executions.get(&self.carriers.get(&process)?.execution)?;
        let shown = seen.listed.iter().filter(|(of, _, shown)| of == id && shown == title);
        shown.map(|(_, begun, _)| *begun).min()
    }

    /// Takes a commit that was written.
    pub(crate) fn committed(&mut self, process: u64, skew: SignedDuration, commit: &Commit<'_>) {
        let key = &commit.claim.row.key;
        let (record, id) = (key.to_string(), key.id.as_str());
        let Some(state) = commit.state else { return };
        let before = commit.claim.row.state.as_ref().map(|state| &state.record);
        let listed = matches!(commit.audit.cause, Cause::Batch { .. }) && commit.fetched_at.is_none();
        if listed && key.source == PAYLOADS && before != Some(&state.record) {
            self.accuse(format!("{record}: a batch committed what its source never delivered"));
        }
        if key.source != HINTS {
            return;
        }
        let title = title_of(&state.record);
        let known_from = self.past.committed.get(&record).copied();
        // What was committed before is no other state.
        if listed && before != Some(&state.record) {
            self.judge("committed", &record, &title, known_from, commit.audit);
        }
        let from = match commit.fetched_at {
            Some(at) => Some(at - skew),
            None => self.listed_from(process, id, &title),
        };
        if let Some(from) = from.max(known_from) {
            self.past.committed.insert(record, from);
        }
    }

    fn judge(&mut self, did: &str, record: &str, title: &Title, known_from: Option<Timestamp>, row: &AuditRow) {
        if let Some(since) = known_from
            && !self.past.had(record, title, since)
        {
            self.accuse(format!(
                "{record}#{} {did} {title:?}, which the source had left by {since}, when something newer was read",
                row.fence
            ));
        }
    }

    /// Takes what the destination was told, in time or not, under a claim.
    pub(crate) fn told(&mut self, process: Option<u64>, claim: &str, request: &Request, in_time: bool) {
        let Some(record) = claim.rsplit_once('#').map(|(record, _)| record.to_owned()) else { return };
        let Some(id) = record.strip_prefix(&format!("certificate#{HINTS}#")).map(str::to_owned) else { return };
        let title = title_told(&request.body);
        let fetched = self.past.fetched.get(claim).copied();
        let listed = process.and_then(|process| self.listed_from(process, &id, &title));
        let since = self.past.told.get(&record).copied();
        let is_listed = process.is_some_and(|process| self.carriers.contains_key(&process)) && fetched.is_none();
        if let Some(since) = since.filter(|_| is_listed && in_time)
            && !self.past.had(&record, &title, since)
        {
            self.accuse(format!(
                "{claim} told {title:?}, which the source had left by {since}, when what the destination had been told \
                 was read"
            ));
        }
        let from = fetched.into_iter().chain(listed).min();
        // What is held is told again where the source shows nothing: that is as old as it was.
        let held =
            since.filter(|since| from.is_some_and(|from| !self.past.had(&record, &title, from) && *since < from));
        match held.or(from) {
            Some(from) => self.past.told.insert(record, from),
            None => self.past.told.remove(&record),
        };
    }
}

/// What a record is at its source.
pub(crate) fn title_of(record: &Record) -> Title {
    let title = record.to_fields().get("title").and_then(Value::as_str).map(str::to_owned);
    title.filter(|_| !record.is_deleted())
}

/// What a request to the destination tells of a record.
pub(crate) fn title_told(body: &Value) -> Title {
    let title = body["title"].as_str().map(str::to_owned);
    title.filter(|_| body["status"] != "deleted")
}
