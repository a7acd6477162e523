//! The invariants, as the tables and the destination show them.

use crate::{
    play::Simulation,
    world::{HINTS, State, World},
};
use certbridge_mapping::{RecordKey, digest::canonical_json};
use certbridge_sync::{
    audit::{Action, Cause, Outcome, verify_chain},
    memory::MemoryStore,
    row::{InboxRow, InboxState},
};
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};

/// What must hold after every step.
pub(crate) fn after_step(tables: &MemoryStore, world: &World) -> Result<(), String> {
    let rows = tables.inbox_rows();
    for row in &rows {
        if (row.state == InboxState::Settled) != row.expires_at.is_some() {
            return Err(format!("{} is {:?} and expires {:?}", row.key, row.state, row.expires_at));
        }
        if row.state == InboxState::Quarantined && !is_of_nothing(row, world) {
            return Err(format!("{} was quarantined: {:?}", row.key, row.reason));
        }
    }
    let known: BTreeSet<_> = rows.iter().map(|row| row.key.clone()).collect();
    let state = world.lock();
    if let Some(lost) = state.acknowledged.iter().find(|key| !known.contains(key)) {
        return Err(format!("{lost} was acknowledged and is not in the inbox"));
    }
    let settled: BTreeSet<_> =
        rows.iter().filter(|row| row.state == InboxState::Settled).map(|row| row.key.to_string()).collect();
    let mut explained = BTreeSet::new();
    for record in tables.record_rows() {
        for row in &tables.audit_rows(&record.key) {
            if let Cause::Event { id, .. } = &row.cause
                && !explained.insert(id.clone())
            {
                return Err(format!("{id} has two audit rows"));
            }
            explain_push(&state, &record.key, row)?;
        }
    }
    if explained != settled {
        let odd: Vec<_> = explained.symmetric_difference(&settled).collect();
        return Err(format!("settled events and audit rows differ: {odd:?}"));
    }
    Ok(())
}

/// An event that brings nothing new pushes only if its claim ended another's doubt.
fn explain_push(state: &State, key: &RecordKey, row: &certbridge_sync::AuditRow) -> Result<(), String> {
    let idle = matches!(row.outcome, Outcome::Superseded | Outcome::Covered | Outcome::Unchanged | Outcome::Audited);
    let claim = state.claims.get(&format!("{key}#{}", row.fence));
    let noted = match &row.cause {
        Cause::Event { id, .. } => state.excused.contains(id),
        _ => true,
    };
    let excused = noted || claim.is_none_or(|claim| claim.must_push);
    if idle && row.action == Action::Pushed && !excused {
        return Err(format!("{key}#{} is {:?} and pushed", row.fence, row.outcome));
    }
    Ok(())
}

/// Whether every record's audit chain is whole.
pub(crate) fn chained(tables: &MemoryStore) -> Result<(), String> {
    for record in tables.record_rows() {
        let audit = tables.audit_rows(&record.key);
        verify_chain(&audit, &record.audit).map_err(|broken| format!("{}: {broken}", record.key))?;
        if !audit.is_sorted_by(|a, b| a.fence < b.fence) {
            return Err(format!("{}: fences do not grow", record.key));
        }
    }
    Ok(())
}

/// Only the holder of the newest fence may have appended the newest row.
pub(crate) fn appended_by_holder(tables: &MemoryStore, seen: &mut BTreeMap<RecordKey, u64>) -> Result<(), String> {
    for record in tables.record_rows() {
        let count = seen.insert(record.key.clone(), record.audit.sequence).unwrap_or_default();
        if record.audit.sequence > count {
            let last = tables.audit_rows(&record.key).pop().ok_or("an audit row is missing")?;
            if last.fence != record.fence {
                return Err(format!("{}: fence {} appended under fence {}", record.key, last.fence, record.fence));
            }
        }
    }
    Ok(())
}

/// Whether it is set aside because it speaks of a record that neither side has: one that was gone again before anybody
/// saw it.
fn is_of_nothing(row: &InboxRow, world: &World) -> bool {
    let record = row.event.as_ref().map(|event| &event.record);
    let was_gone = |key: &RecordKey| {
        let state = world.lock();
        // It may have come back since, and nobody was told.
        key.source == HINTS && state.past.had(&key.to_string(), &None, row.received_at - SignedDuration::from_secs(1))
    };
    record.is_some_and(was_gone) && row.state == InboxState::Quarantined
}

/// What must hold once nothing is under way any more.
pub(crate) fn at_rest(tables: &MemoryStore, world: &World) -> Result<(), String> {
    let open = |row: &InboxRow| row.state != InboxState::Settled && !is_of_nothing(row, world);
    match tables.inbox_rows().into_iter().find(open) {
        Some(row) => Err(format!("{} is still {:?} ({:?}, attempt {})", row.key, row.state, row.reason, row.attempt)),
        None if !world.lock().queue.is_empty() => Err("the queue does not run dry".into()),
        None => Ok(()),
    }
}

/// Whether the destination holds the newest committed state of every record, and that is the source's.
pub(crate) fn converged(simulation: &Simulation) -> Result<(), String> {
    let Simulation { tables, world, plans, newest, .. } = simulation;
    for row in tables.record_rows() {
        let Some(state) = &row.state else { continue };
        let request =
            plans.of(&row.key.source).unwrap().request(&state.record).map_err(|problems| problems.to_string())?;
        let world = world.lock();
        let gone = row.key.source == HINTS && !world.source.contains_key(row.key.id.as_str());
        // Of a deletion that nobody is told of, a person is told, unless the definition says to pass it on.
        let left = simulation.untold.get(&row.key.to_string()).is_some_and(|untold| *untold) && !simulation.deletes;
        let deleted = state.record.is_deleted();
        if gone && left && !deleted {
            continue;
        }
        let held = world.destination.get(&request.path);
        if held.map(canonical_json) != Some(canonical_json(&request.body)) {
            return Err(format!("{}: the destination holds {held:?}, committed is {}", row.key, request.body));
        }
        let title = state.record.to_fields()["title"].clone();
        let wanted = newest.get(&row.key.to_string()).map(String::as_str);
        if gone != deleted && row.key.source == HINTS {
            return Err(format!(
                "{}: the source {} it, committed is {title}",
                row.key,
                if gone { "deleted" } else { "has" }
            ));
        }
        if !gone && wanted.is_some_and(|wanted| title != wanted) {
            return Err(format!("{}: newest is {wanted:?}, committed is {title}", row.key));
        }
    }
    Ok(())
}
