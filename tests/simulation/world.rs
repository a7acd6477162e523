//! The world that a run is set in: time, chance, the providers, the stream and the queue.

use crate::past::{Carrier, Past, Seen};
use certbridge_batch::Ended;
use certbridge_mapping::{EventKey, RecordKey, Request};
use certbridge_sync::{
    ports::{Fetched, Pushed},
    row::{InboxRow, Lease, Pointer},
};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

pub(crate) const HINTS: &str = "accredible";
pub(crate) const PAYLOADS: &str = "ledger";

/// Everything outside the code under test. Clones share it.
#[derive(Clone)]
pub(crate) struct World(pub(crate) Arc<Mutex<State>>);

pub(crate) struct State {
    pub(crate) now: Timestamp,
    pub(crate) rng: Rng,
    /// Whether anything may still go wrong.
    pub(crate) faults: bool,
    /// Whether this is a run in which workers freeze and wake up late, but neither die nor lose anything: what they
    /// do then, the protocol must mend by itself.
    pub(crate) zombies: bool,
    /// What the source that is fetched from shows, by id.
    pub(crate) source: BTreeMap<String, Value>,
    /// What the destination holds, by path.
    pub(crate) destination: BTreeMap<String, Value>,
    /// Requests that the destination will apply later.
    pub(crate) late: Vec<Application>,
    /// Inserted rows, not yet delivered.
    pub(crate) stream: Vec<InboxRow>,
    /// Messages, with the time from which they may be seen.
    pub(crate) queue: Vec<(Pointer, Timestamp)>,
    /// Events that a sender was told were accepted.
    pub(crate) acknowledged: BTreeSet<EventKey>,
    /// Every claim that was made, by idempotency key.
    pub(crate) claims: BTreeMap<String, ClaimInfo>,
    /// The claims that were committed or released.
    pub(crate) ended: BTreeSet<String>,
    /// The claims whose request was applied.
    pub(crate) applied: BTreeSet<String>,
    /// What a port saw that must never be.
    pub(crate) fault: Option<String>,
    /// Applications that came after their lease had ended, and that nobody has noticed yet.
    pub(crate) unnoticed: BTreeSet<String>,
    /// Events of which a worker noted that they must be pushed.
    pub(crate) excused: BTreeSet<String>,
    /// The hidden history of the source.
    pub(crate) past: Past,
    /// The executions of batches, by name.
    pub(crate) executions: BTreeMap<String, Seen>,
    /// The processes that carry them, by number.
    pub(crate) carriers: BTreeMap<u64, Carrier>,
    /// Executions that came to their end, and have not been looked at yet.
    pub(crate) ended_batches: Vec<(String, Ended)>,
    /// When each record was first told to the destination, by path. Gone once it is removed there.
    pub(crate) arrived: BTreeMap<String, Timestamp>,
    /// When the first of those wakes up that sleep.
    pub(crate) wakes_at: Timestamp,
    /// How many writes changed no event and no record.
    pub(crate) writes_aside: u64,
    /// How many requests were applied.
    pub(crate) applications: u64,
    /// What happened, for a failing seed.
    pub(crate) story: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Application {
    pub(crate) request: Request,
    pub(crate) idempotency_key: String,
    /// The process that sent it.
    pub(crate) process: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct ClaimInfo {
    pub(crate) lease: Lease,
    pub(crate) must_push: bool,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            now: "2026-03-01T00:00:00Z".parse().unwrap(),
            rng: Rng::with_seed(seed),
            faults: true,
            zombies: seed % 4 == 3,
            source: BTreeMap::new(),
            destination: BTreeMap::new(),
            late: Vec::new(),
            stream: Vec::new(),
            queue: Vec::new(),
            acknowledged: BTreeSet::new(),
            claims: BTreeMap::new(),
            ended: BTreeSet::new(),
            applied: BTreeSet::new(),
            fault: None,
            unnoticed: BTreeSet::new(),
            excused: BTreeSet::new(),
            past: Past::default(),
            executions: BTreeMap::new(),
            carriers: BTreeMap::new(),
            ended_batches: Vec::new(),
            arrived: BTreeMap::new(),
            wakes_at: Timestamp::MAX,
            writes_aside: 0,
            applications: 0,
            story: Vec::new(),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.lock().now
    }

    /// Whether a crash, or a request that is applied late, strikes now.
    pub(crate) fn kills(&self, percent: u32) -> bool {
        let zombies = self.lock().zombies;
        !zombies && self.strikes(percent)
    }

    /// Whether a fault of this many in a hundred strikes now.
    pub(crate) fn strikes(&self, percent: u32) -> bool {
        let mut state = self.lock();
        state.faults && state.rng.u32(0..100) < percent
    }

    pub(crate) fn advance(&self, by: SignedDuration) {
        self.lock().now += by;
    }

    pub(crate) fn tell(&self, line: impl FnOnce() -> String) {
        let line = line();
        let mut state = self.lock();
        let now = state.now;
        state.story.push(format!("{now} {line}"));
    }

    /// What the source answers about a record.
    pub(crate) fn fetch(&self, key: &RecordKey) -> Fetched {
        match self.lock().source.get(key.id.as_str()) {
            None => Fetched::NotFound,
            Some(credential) => {
                let body = serde_json::json!({ "credential": credential }).to_string();
                Fetched::Found(certbridge_mapping::Document::fetched(body.as_bytes()).unwrap())
            }
        }
    }

    /// Applies a request at the destination.
    pub(crate) fn apply(&self, application: &Application) -> Pushed {
        let mut state = self.lock();
        let key = &application.idempotency_key;
        let over = state.ended.contains(key) || state.claims.get(key).is_none_or(|claim| claim.lease.until < state.now);
        state.applied.insert(key.clone());
        if over {
            state.unnoticed.insert(application.idempotency_key.clone());
        }
        state.told(Some(application.process), &application.idempotency_key, &application.request, !over);
        state.applications += 1;
        let now = state.now;
        state.arrived.entry(application.request.path.clone()).or_insert(now);
        let title = application.request.body["title"].clone();
        let line =
            format!("{} applied {} {title}{}", state.now, application.idempotency_key, if over { " late" } else { "" });
        state.story.push(line);
        state.destination.insert(application.request.path.clone(), application.request.body.clone());
        Pushed { request_id: None }
    }
}
