//! Batches in a run: started, crashed, gone on from where they were written down, given up; and what their reports must
//! never tell.

use crate::{
    past::{Carrier, Seen, title_of, title_told},
    play::{Kind, SKEW, Simulation, engine, hinted},
    ports::Process,
    world::{HINTS, PAYLOADS},
};
use certbridge::local::machine::Execution;
use certbridge_batch::{BatchSync, Ended, Input};
use certbridge_sync::{
    audit::Actor,
    batches::{BatchRequest, BatchRow, BatchStatus, Batches as _, Mode, Registered},
    ports::Records as _,
    reconcile::{Finding, Outcome, Report, Verdict},
};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{collections::BTreeSet, pin::Pin};

/// An execution whose process may be gone.
pub(crate) struct Dead {
    /// Its name.
    pub(crate) name: String,
    /// The source.
    pub(crate) source: &'static str,
    pub(crate) dry_run: bool,
    /// As it was started.
    execution: Execution,
    /// Whether another process goes on with it.
    replaced: bool,
}

/// What an archive in memory answers.
pub(crate) fn ready<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("what stands in memory is ready at once")
}

impl Simulation {
    /// Lets something happen to a batch. `false` if nothing did.
    pub(crate) fn step_batches(&mut self) -> bool {
        let (dice, faults) = {
            let mut state = self.world.lock();
            (state.rng.u32(0..100), state.faults)
        };
        let running: Vec<_> =
            (0..self.tasks.len()).filter(|index| matches!(self.tasks[*index].kind, Kind::Batch(_))).collect();
        match dice {
            0..3 if faults && running.len() < 2 && self.batches < 3 && (self.batches == 0 || dice == 0) => {
                let (source, dry_run) = {
                    let mut state = self.world.lock();
                    (if state.rng.u32(0..8) == 0 { PAYLOADS } else { HINTS }, state.rng.u32(0..5) == 0)
                };
                self.batch(source, dry_run);
                true
            }
            3..9 if !self.dead.is_empty() => {
                let index = self.world.lock().rng.usize(0..self.dead.len());
                let dead = self.dead.swap_remove(index);
                self.revive(dead);
                true
            }
            // It has much to do, and would be at it all day if it were polled like any other.
            9..48 if !running.is_empty() => {
                let index = running[self.world.lock().rng.usize(0..running.len())];
                self.poll(index);
                true
            }
            _ => false,
        }
    }

    /// Starts a batch: as a schedule does, or of one that is on record.
    fn batch(&mut self, source: &'static str, dry_run: bool) -> String {
        self.batches += 1;
        let runtime = &self.engines[0].runtime;
        let input = if self.world.lock().rng.bool() {
            Input { source: Some(source.to_owned()), dry_run, ..Input::default() }
        } else {
            let id: certbridge_sync::batches::BatchId = format!("batch-{}", self.batches).parse().unwrap();
            let row = BatchRow {
                id: id.clone(),
                request: BatchRequest {
                    mode: Mode::Reconcile,
                    source: source.to_owned(),
                    kind: certbridge_mapping::Kind::Certificate,
                    dry_run,
                    force: false,
                    actor: Actor::Reconciliation,
                },
                request_digest: String::new(),
                requested_at: self.world.now(),
                status: BatchStatus::Queued,
                execution: None,
                finished_at: None,
                summary: None,
                error: None,
            };
            assert_eq!(ready(self.tables.register(&row)), Ok(Registered::New));
            Input { batch_id: Some(id), ..Input::default() }
        };
        let execution = Execution::new(input, runtime);
        let name = name_of(&execution);
        let seen =
            Seen { began_at: self.world.now(), listed: Vec::new(), hidden: BTreeSet::new(), cut: BTreeSet::new() };
        self.world.lock().executions.insert(name.clone(), seen);
        self.revive(Dead { name: name.clone(), source, dry_run, execution, replaced: false });
        name
    }

    /// Has a new process go on with an execution from where it was written down.
    pub(crate) fn revive(&mut self, dead: Dead) {
        let written = ready(Execution::unfinished(&self.archive)).unwrap();
        let execution = written.into_iter().find(|written| name_of(written) == dead.name);
        let execution = execution.unwrap_or_else(|| dead.execution.clone());
        let ended = self.world.lock().ended_batches.iter().any(|(name, _)| *name == dead.name);
        if ended {
            return;
        }
        self.carriers += 1;
        let skew = if self.world.lock().rng.bool() { SKEW } else { -SKEW };
        let process = Process { number: self.carriers, skew: SignedDuration::from_millis(skew) };
        let carrier = Carrier {
            execution: dead.name.clone(),
            source: dead.source,
            dry_run: dead.dry_run,
            has_turn: false,
            claims: std::collections::BTreeMap::new(),
        };
        self.world.lock().carriers.insert(process.number, carrier);
        self.world.tell(|| format!("process {} carries {} of {}", process.number, dead.name, dead.source));
        let engine = engine(&self.world, &self.tables, &self.plans, process);
        let app = BatchSync { engine, archive: self.archive.clone(), checkpoints: self.archive.clone() };
        let (world, name) = (self.world.clone(), dead.name.clone());
        let future = async move {
            match execution.run(&app).await {
                Ok(ended) => {
                    world.tell(|| format!("{name} ended: {:?}", ended.verdict));
                    world.lock().ended_batches.push((name, ended));
                    true
                }
                Err(error) => {
                    world.tell(|| format!("{name} failed: {error}"));
                    false
                }
            }
        };
        self.spawn(Kind::Batch(Box::new(dead)), future);
    }

    /// The process of a batch dies. The execution is gone on with, or given up; and now and then its process was not
    /// dead, and works on beside the one that goes on.
    pub(crate) fn crash_batch(&mut self, dead: Dead, future: Pin<Box<dyn Future<Output = bool>>>) {
        let dice = self.world.lock().rng.u32(0..8);
        self.world.tell(|| format!("{} crashed ({dice})", dead.name));
        if dice == 0 {
            self.abandoned |= !dead.replaced;
            return;
        }
        if dice == 1 && !dead.replaced {
            let twin = Dead { name: dead.name.clone(), execution: dead.execution.clone(), replaced: true, ..dead };
            self.spawn(Kind::Batch(Box::new(twin)), future);
        }
        if !dead.replaced {
            self.dead.push(dead);
        }
    }

    /// Every process dies that carries a batch.
    pub(crate) fn die(&mut self) {
        for task in self.tasks.drain(..) {
            if let Kind::Batch(dead) = task.kind {
                self.dead.push(*dead);
            }
        }
    }

    /// Looks at the executions that have come to their end.
    pub(crate) fn check_ended(&mut self) -> Result<(), String> {
        let ended: Vec<_> = self.world.lock().ended_batches.drain(..).collect();
        for (name, ended) in ended {
            self.dead.retain(|dead| dead.name != name);
            if let Some(report) = self.report(&ended) {
                self.is_true(&name, &report)?;
                self.last_report = Some(report);
            }
        }
        Ok(())
    }

    fn report(&self, ended: &Ended) -> Option<Report> {
        let at = ended.report.as_ref()?;
        Some(ready(self.archive.get_json(&format!("{at}.json"))).unwrap().expect("a report that is named is there"))
    }

    /// Whether a report adds up, and tells of nothing that never was while its batch ran.
    fn is_true(&self, name: &str, report: &Report) -> Result<(), String> {
        self.world.tell(|| format!("{name} reports {:?} {:?}", report.totals, report.findings));
        if !report.adds_up() {
            return Err(format!("{name}: its report does not add up: {report:?}"));
        }
        report.findings.iter().try_for_each(|finding| self.is_true_of(name, report, finding))
    }

    fn is_true_of(&self, name: &str, report: &Report, finding: &Finding) -> Result<(), String> {
        let state = self.world.lock();
        let Some(seen) = state.executions.get(name) else { return Ok(()) };
        let lie = |what: &str| Err(format!("{name}: {} is {:?}, {what}", finding.id, finding.outcome));
        let hidden = |side| seen.hidden.contains(&(side, finding.id.clone()));
        match finding.outcome {
            Outcome::Invalid => lie("and all there is can be read"),
            Outcome::MissingAtDestination if !hidden("destination") => {
                let arrived = state.arrived.get(&format!("/certificates/{}/sync", finding.id));
                if arrived.is_some_and(|at| *at < seen.began_at) { lie("and was there all the time") } else { Ok(()) }
            }
            Outcome::MissingAtSource if report.source == HINTS => {
                let proven = finding.reason.as_deref().is_some_and(|reason| reason.starts_with("asked for directly"));
                let gone = state.past.had(&hinted(&finding.id), &None, seen.began_at);
                if (proven || !hidden("source")) && !gone {
                    return lie("and was there all the time");
                }
                let key = hinted(&finding.id).parse().unwrap();
                let held = ready(self.tables.read(&key)).unwrap().and_then(|row| row.state);
                let back = state.source.contains_key(&finding.id);
                if finding.repaired && !back && !held.is_some_and(|state| state.record.is_deleted()) {
                    return lie("repaired, and still held");
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What happened before a run with batches: records were told of and came to rest, and then changes were lost.
    pub(crate) fn yesterday(&mut self) -> Result<(), String> {
        self.world.lock().faults = false;
        let dice = |simulation: &Self, sides| simulation.world.lock().rng.u32(0..sides);
        let title = |simulation: &Self| format!("state {}", ["A", "B"][dice(simulation, 2) as usize]);
        for id in ["1", "2", "3", "4"] {
            if dice(self, 4) > 0 {
                self.tell(id, &title(self));
            }
        }
        self.settle(false)?;
        self.tamper();
        for id in ["1", "2", "3", "4"] {
            let title = match dice(self, 8) {
                0 => None,
                1..4 => Some(title(self)),
                _ => continue,
            };
            self.newest.extend(title.clone().map(|title| (hinted(id), title)));
            self.at_source(id, title, false);
        }
        self.world.advance(SignedDuration::from_secs(60));
        self.world.lock().faults = true;
        Ok(())
    }

    /// A run without faults in which a batch is about to begin. One record has changed and nobody was told, one is gone at
    /// its source, one at the destination.
    pub(crate) fn drifted(seed: u64) -> Result<Self, String> {
        let mut simulation = Self::new(seed);
        simulation.world.lock().faults = false;
        for id in ["1", "2", "3"] {
            simulation.tell(id, "state A");
        }
        simulation.settle(false)?;
        simulation.at_source("1", Some("state B".to_owned()), false);
        simulation.newest.insert(hinted("1"), "state B".to_owned());
        simulation.at_source("2", None, false);
        let removed = "/certificates/3/sync";
        simulation.world.lock().destination.remove(removed);
        simulation.world.lock().arrived.remove(removed);
        simulation.world.advance(SignedDuration::from_secs(60));
        simulation.batch(HINTS, false);
        Ok(simulation)
    }

    /// What was told is delivered and synced within a few seconds; or its worker dies once the destination was told, its
    /// lease runs out, and the event has not come again yet.
    pub(crate) fn at_once(&mut self, dies: bool) -> Result<(), String> {
        let pause = SignedDuration::from_millis(100);
        self.world.advance(pause);
        while let Some((source, body)) = self.unsent.pop() {
            self.send(source, body);
        }
        self.run_out(pause)?;
        while !self.world.lock().stream.is_empty() {
            self.deliver_stream();
        }
        let applied = self.world.lock().applications;
        // One that finds the record leased puts the event off, and is over.
        while dies && !self.tasks.is_empty() {
            self.poll(0);
            if self.world.lock().applications > applied && !self.tasks.is_empty() {
                self.crash(0);
            }
        }
        self.run_out(pause)?;
        self.world.advance(SignedDuration::from_secs(if dies { 40 } else { 5 }));
        self.check()
    }

    /// Polls the batch so many times, with as little time in between as there may be.
    pub(crate) fn carry(&mut self, polls: u32) -> Result<(), String> {
        for _ in 0..polls {
            if self.tasks.is_empty() {
                break;
            }
            self.poll(0);
            self.world.advance(SignedDuration::from_millis(100));
            self.check()?;
        }
        Ok(())
    }

    /// Whether a batch at rest mends whatever is left.
    pub(crate) fn mended(&mut self) -> Result<(), String> {
        self.night(HINTS)?;
        self.at_its_end()
    }

    /// Whether this is what the destination holds, and what is on record.
    pub(crate) fn is_told(&self, id: &str, title: &str) -> Result<(), String> {
        let row = ready(self.tables.read(&hinted(id).parse().unwrap())).unwrap();
        let committed = row.and_then(|row| row.state).and_then(|state| title_of(&state.record));
        let told = self.world.lock().destination.get(&format!("/certificates/{id}/sync")).and_then(title_told);
        let wanted = Some(title.to_owned());
        if committed == wanted && told == wanted {
            return Ok(());
        }
        Err(format!("{id} is {wanted:?}, committed is {committed:?}, and the destination was told {told:?}"))
    }

    /// Two nights at rest: the first one mends whatever differs, also what somebody changed at the destination; the
    /// second one finds nothing to do.
    pub(crate) fn nights(&mut self) -> Result<(), String> {
        let delivered = self.tamper();
        let sources = if delivered { &[HINTS, PAYLOADS][..] } else { &[HINTS] };
        for source in sources {
            let report = self.night(source)?;
            // A deletion of what is in doubt takes a batch more: the doubt is ended by telling what is held.
            let in_doubt =
                |finding: &Finding| finding.reason.as_deref().is_some_and(|of| of.starts_with("it was in doubt"));
            if report.findings.iter().any(in_doubt) {
                self.night(source)?;
            }
        }
        self.at_its_end()?;
        let pushed = self.world.lock().applications;
        for source in sources {
            let report = self.night(source)?;
            self.is_clean(source, &report)?;
        }
        if self.world.lock().applications != pushed {
            return Err("the second night pushed something".into());
        }
        Ok(())
    }

    /// Somebody edits, or removes, what the destination holds. Whether what is delivered there may need a night, too: it
    /// costs many steps, since nobody knows how much there is.
    fn tamper(&mut self) -> bool {
        let mut guard = self.world.lock();
        let state = &mut *guard;
        let mut removed = Vec::new();
        let delivered = !state.unnoticed.is_empty() || state.rng.u32(0..12) == 0;
        for (path, body) in &mut state.destination {
            let id = body["certificate_id"].as_str().unwrap();
            // What its source no longer has is for a person to decide, whatever the destination holds of it.
            if !(state.source.contains_key(id) || (delivered && id.starts_with('L'))) {
                continue;
            }
            match state.rng.u32(0..4) {
                0 if title_told(body).is_some() => body["title"] = "edited".into(),
                1 if title_told(body).is_some() => removed.push(path.clone()),
                _ => {}
            }
        }
        for path in removed {
            state.destination.remove(&path);
            state.arrived.remove(&path);
        }
        drop(guard);
        self.world.tell(|| "somebody was at the destination".to_owned());
        delivered
    }

    /// A batch that nothing disturbs, in which all goes fast or slow.
    fn night(&mut self, source: &'static str) -> Result<Report, String> {
        self.world.advance(SignedDuration::from_secs(60));
        let name = self.batch(source, false);
        let pause = [100, 400, 1_000][self.world.lock().rng.usize(0..3)];
        let mut ended = None;
        while ended.is_none() && !self.tasks.is_empty() {
            self.world.lock().wakes_at = Timestamp::MAX;
            self.poll(0);
            ended = self.world.lock().ended_batches.first().map(|(_, ended)| ended.clone());
            self.check()?;
            let wakes_at = std::mem::replace(&mut self.world.lock().wakes_at, Timestamp::MAX);
            if wakes_at == Timestamp::MAX {
                self.world.advance(SignedDuration::from_millis(pause));
            } else {
                let mut state = self.world.lock();
                state.now = state.now.max(wakes_at);
            }
        }
        let ended = ended.ok_or(format!("{name} came to no end"))?;
        if ended.verdict == Verdict::Failed {
            return Err(format!("{name} failed at rest: {}", ended.mail.text));
        }
        let report = self.report(&ended).ok_or("no report")?;
        // What it sent to the queue.
        self.settle(false)?;
        Ok(report)
    }

    /// Whether all that a second night found is what only a person can mend.
    fn is_clean(&self, source: &'static str, report: &Report) -> Result<(), String> {
        let held: BTreeSet<_> = {
            let rows =
                self.tables.record_rows().into_iter().filter(|row| row.key.source == source && row.state.is_some());
            rows.map(|row| row.key.id.to_string()).collect()
        };
        let state = self.world.lock();
        for finding in &report.findings {
            let path = format!("/certificates/{}/sync", finding.id);
            let elsewhere = finding.id.starts_with('L') != (source == PAYLOADS);
            let at_source = state.source.contains_key(&finding.id);
            let explained = match finding.outcome {
                // The destination knows ids only: it lists the records of all sources alike.
                Outcome::MissingAtSource | Outcome::InFlight if elsewhere => state.destination.contains_key(&path),
                // Of what we never held, nothing can be told.
                Outcome::MissingAtSource => !at_source && (!self.deletes || !held.contains(&finding.id)),
                _ => false,
            };
            if !explained {
                return Err(format!("at rest, the second night found {finding:?}"));
            }
        }
        let coverage = &report.coverage;
        let whole = [coverage.source.as_ref(), coverage.destination.as_ref(), Some(&coverage.own)];
        if !whole.into_iter().flatten().all(|side| side.complete) {
            return Err(format!("at rest, a listing is not complete: {coverage:?}"));
        }
        let untold = |(id, credential): (&String, &Value)| {
            let body = state.destination.get(&format!("/certificates/{id}/sync"));
            (body.map(title_told) != Some(credential["name"].as_str().map(str::to_owned))).then(|| id.clone())
        };
        let lacking: Vec<_> = state.source.iter().filter_map(untold).collect();
        if lacking.is_empty() { Ok(()) } else { Err(format!("after two nights, the destination lacks {lacking:?}")) }
    }
}

fn name_of(execution: &Execution) -> String {
    serde_json::to_value(execution).unwrap()["start"]["execution"].as_str().unwrap().to_owned()
}
