//! Records and events, as a caller sees them. Values of personal fields are never told.

use certbridge_mapping::{Event, Plan};
use certbridge_sync::{
    history::Delivery,
    row::{AuditHead, InboxRow, InboxState, RecordRow},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// A record.
#[derive(Serialize)]
pub(crate) struct ShownRecord {
    record: String,
    kind: &'static str,
    source: String,
    id: String,
    status: Option<String>,
    location_id: Option<String>,
    synced_at: Option<Timestamp>,
    fetched_at: Option<Timestamp>,
    fields: Map<String, Value>,
    withheld: Vec<String>,
    plan: Option<String>,
    plan_in_force: bool,
    in_progress: bool,
    in_doubt: bool,
    erased: bool,
    held: bool,
    audit: AuditHead,
}

impl ShownRecord {
    /// A record by the plan that says which of its fields are personal. Without a plan, nobody knows: then all are.
    pub(crate) fn new(row: &RecordRow, plan: Option<&Plan>, now: Timestamp) -> Self {
        let state = row.state.as_ref();
        let all = state.map_or(Value::Null, |state| state.record.to_fields());
        let all = if let Value::Object(all) = all { all } else { Map::new() };
        let personal = |name: &str| plan.is_none_or(|plan| plan.is_personal(&row.key, name));
        let (withheld, fields): (Map<_, _>, Map<_, _>) = all.into_iter().partition(|(name, _)| personal(name));
        let in_progress = row.lease.as_ref().is_some_and(|lease| lease.until >= now);
        Self {
            record: row.key.to_string(),
            kind: row.key.kind.as_str(),
            source: row.key.source.clone(),
            id: row.key.id.to_string(),
            status: state.and_then(|state| state.record.status()),
            location_id: state.and_then(|state| state.record.location_id().map(str::to_owned)),
            synced_at: state.map(|state| state.synced_at),
            fetched_at: row.fetched_at,
            fields,
            withheld: withheld.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name).collect(),
            plan: state.map(|state| state.plan.to_string()),
            plan_in_force: state.zip(plan).is_some_and(|(state, plan)| state.plan == *plan.version()),
            in_progress,
            in_doubt: !in_progress && row.fence != row.clean_fence,
            erased: row.husk.is_some(),
            held: row.hold,
            audit: row.audit.clone(),
        }
    }
}

/// An event.
#[derive(Serialize)]
pub(crate) struct ShownEvent {
    event: String,
    source: String,
    id: String,
    state: InboxState,
    received_at: Timestamp,
    proven_by: String,
    attempt: u32,
    reason: Option<String>,
    event_type: Option<String>,
    operation: Option<String>,
    record: Option<String>,
    next_at: Option<Timestamp>,
}

impl From<Delivery> for ShownEvent {
    fn from(delivery: Delivery) -> Self {
        let Delivery { key, received_at, proven_by, event, state, attempt, next_at, reason, replay: _ } = delivery;
        let (event_type, operation, record) = match event {
            Some(Event { event_type, operation, record, .. }) => {
                (Some(event_type), Some(operation.to_string()), Some(record.to_string()))
            }
            None => (None, None, None),
        };
        Self {
            event: key.to_string(),
            source: key.source,
            id: key.id,
            state,
            received_at,
            proven_by,
            attempt,
            reason,
            event_type,
            operation,
            record,
            next_at: (state == InboxState::Pending).then_some(next_at),
        }
    }
}

impl From<InboxRow> for ShownEvent {
    fn from(row: InboxRow) -> Self {
        Delivery::from(row).into()
    }
}
