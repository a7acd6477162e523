//! `certbridge why`: a record's whole story, in the terminal.

use crate::{
    CliError,
    place::{Needs, Place},
    table::plain,
};
use certbridge_mapping::{EventKey, Kind, RecordKey};
use certbridge_platform::Env;
use certbridge_store::DynamoStore;
use certbridge_sync::{
    AuditRow,
    audit::{Action, Actor, Cause},
    history::{Delivery, Entry, History, history},
    ports::Inbox,
    row::{InboxState, RecordRow},
};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// How many rows of the trail are told, unless another number is wanted.
const PAGE: u16 = 100;
/// What a story may end with: nothing is known.
const UNKNOWN: u8 = 1;
/// What a story may end with: its trail does not hold, or a person must look.
const NEEDS_PERSON: u8 = 4;

/// Tell a record's whole story: what came, what was made of it, what the destination was told, by whom and why
///
/// The exit code is 0 if all is well, 1 if nothing is known of it, and 4 if a person must look: something of it is
/// quarantined or failed, or its trail does not hold.
#[derive(Debug, Args)]
pub struct WhyOptions {
    #[command(flatten)]
    place: Place,
    /// A certificate's id, a record as KIND/SOURCE/ID, or an event as SOURCE#ID
    id: String,
    /// The source of a certificate that is named by its id alone
    #[arg(long, default_value = "accredible")]
    source: String,
    /// How many rows of its trail to tell, the newest first
    #[arg(long, default_value_t = PAGE, value_parser = clap::value_parser!(u16).range(1..))]
    rows: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Tells it.
pub async fn run(options: WhyOptions, env: &Env) -> Result<ExitCode, CliError> {
    let bundle = options.place.open(env, Needs::All).await?;
    let told = told(&options, bundle.store()).await;
    bundle.close().await?;
    let (text, code) = told?;
    writeln!(io::stdout(), "{text}")?;
    Ok(code.into())
}

async fn told(options: &WhyOptions, store: &DynamoStore) -> Result<(String, u8), CliError> {
    let (key, delivery) = match event_key(&options.id) {
        Some(event) => {
            let delivery = store.get(&event).await?.map(Delivery::from);
            let record =
                delivery.as_ref().and_then(|delivery| delivery.event.as_ref()).map(|event| event.record.clone());
            (record, delivery)
        }
        None => (record_key(&options.id, &options.source), None),
    };
    let Some(key) = key else {
        return Ok(match delivery {
            Some(delivery) if options.json => {
                (json!({ "delivery": delivery_json(&delivery) }).to_string(), NEEDS_PERSON)
            }
            Some(delivery) => {
                (format!("{}\nIt names no record: it could not be read.", line_of(&delivery)), NEEDS_PERSON)
            }
            None if options.json => (json!({ "record": null }).to_string(), UNKNOWN),
            None => (format!("Nothing is known of {}.", plain(&options.id)), UNKNOWN),
        });
    };
    let story = history(store, &key, None, options.rows.into()).await?;
    let code = code(&story);
    let text = if options.json { as_json(&key, &story).to_string() } else { as_text(&key, &story) };
    Ok((text, code))
}

/// An event, as `source#id`.
fn event_key(text: &str) -> Option<EventKey> {
    let (source, id) = text.split_once('#')?;
    // A record's key has two of them, and a kind before the first.
    if source.parse::<Kind>().is_ok() {
        return None;
    }
    Some(EventKey { source: source.to_owned(), id: id.to_owned() })
}

/// A record, as `kind/source/id`, as it stands in the trail, or as a certificate's bare id.
fn record_key(text: &str, source: &str) -> Option<RecordKey> {
    let whole = text.parse::<RecordKey>().ok();
    let slashed = || {
        let mut parts = text.splitn(3, '/');
        let (kind, source, id) = (parts.next()?, parts.next()?, parts.next()?);
        Some(RecordKey { kind: kind.parse().ok()?, source: source.to_owned(), id: id.parse().ok()? })
    };
    let bare = || Some(RecordKey { kind: Kind::Certificate, source: source.to_owned(), id: text.parse().ok()? });
    whole.or_else(slashed).or_else(bare)
}

fn is_unknown(story: &History) -> bool {
    story.record.is_none() && story.entries.is_empty() && story.open.is_empty()
}

fn code(story: &History) -> u8 {
    let stuck = |delivery: &Delivery| matches!(delivery.state, InboxState::Quarantined | InboxState::Failed);
    match () {
        () if is_unknown(story) => UNKNOWN,
        () if story.fault.is_some() || story.open.iter().any(stuck) => NEEDS_PERSON,
        () => 0,
    }
}

fn as_text(key: &RecordKey, story: &History) -> String {
    if is_unknown(story) {
        return format!("Nothing is known of {}.", plain(&key.to_string()));
    }
    let mut text = format!("{} {} of {}\n", key.kind, plain(key.id.as_str()), key.source);
    match &story.record {
        Some(row) => text.push_str(&format!("  {}\n", stands(row))),
        None => text.push_str("  nothing of it was committed yet\n"),
    }
    if !story.open.is_empty() {
        text.push_str("\nnot settled\n");
        for delivery in &story.open {
            text.push_str(&format!("  {}\n", line_of(delivery)));
        }
    }
    if !story.open_complete {
        text.push_str("  more is not settled than could be looked through for this record\n");
    }
    if !story.entries.is_empty() {
        text.push_str("\nwhat was done, the newest first\n");
    }
    for Entry { row, delivery } in &story.entries {
        text.push_str(&format!("  {}\n", line(row)));
        for change in &row.changes {
            let (before, after) = (value(&change.before), value(&change.after));
            text.push_str(&format!("      {}: {before} -> {after}\n", change.field));
        }
        if let Some(delivery) = delivery {
            text.push_str(&format!("      came {}, proven by {}\n", shown(delivery.received_at), delivery.proven_by));
        }
    }
    if story.next.is_some() {
        text.push_str("  .. and more: --rows\n");
    }
    text.push('\n');
    match &story.fault {
        None if story.entries.is_empty() => text.push_str("Nothing is on its trail yet."),
        None => text.push_str("The trail holds, as far as it is told here. certbridge audit verify proves it."),
        Some(fault) => text.push_str(&format!("THE TRAIL DOES NOT HOLD: {fault}")),
    }
    text
}

/// How the record stands, in a line.
fn stands(row: &RecordRow) -> String {
    let doubt = match (&row.lease, row.fence == row.clean_fence) {
        (Some(lease), _) if lease.until >= Timestamp::now() => ", being worked on right now",
        (_, false) => ", IN DOUBT: the destination may know more than is on record; it is told anew",
        _ => "",
    };
    let hold = if row.hold { ", on hold" } else { "" };
    match &row.state {
        Some(state) => {
            let status = state.record.status().unwrap_or_default();
            let location = state.record.location_id().map(|id| format!(", location {}", plain(id)));
            let location = location.unwrap_or_default();
            format!("{status}{location}, told {}, plan {}{doubt}{hold}", shown(state.synced_at), state.plan)
        }
        None if row.husk.is_some() => format!("erased: only its trail is kept{doubt}{hold}"),
        None => format!("claimed, and nothing committed yet{doubt}{hold}"),
    }
}

fn line(row: &AuditRow) -> String {
    let who = match &row.actor {
        Actor::Source { name, on_behalf_of, .. } => match on_behalf_of {
            Some(whom) => format!("{name} for {}", plain(whom)),
            None => name.clone(),
        },
        Actor::Caller { owner } => plain(owner),
        Actor::Operator { name } => plain(name),
        Actor::Recovery => "recovery".to_owned(),
        Actor::Reconciliation => "reconciliation".to_owned(),
    };
    let why = match &row.cause {
        Cause::Event { id, event_type, attempt } => {
            format!("event {} ({}), attempt {attempt}", plain(id), plain(event_type))
        }
        Cause::Request { id } => format!("request {}", plain(id)),
        Cause::Recovery { id } => format!("recovery in {}", plain(id)),
        Cause::Batch { id } => format!("batch {}", plain(id)),
        Cause::Command { name } => format!("command {name}"),
    };
    let told = match (row.action, &row.destination_request_id) {
        (Action::Pushed, Some(id)) => format!("destination told ({})", plain(id)),
        (Action::Pushed, None) => "destination told".to_owned(),
        (Action::None, _) => "destination not told".to_owned(),
    };
    format!("#{} {}  {}, by {who}: {why}; {told}", row.sequence, shown(row.time), row.outcome.as_str())
}

fn line_of(delivery: &Delivery) -> String {
    let reason = delivery.reason.as_deref().map(|reason| format!(": {}", plain(reason))).unwrap_or_default();
    let next = match delivery.state {
        InboxState::Pending => format!(", tried again {}", shown(delivery.next_at)),
        _ => String::new(),
    };
    let kind = delivery.event.as_ref().map_or("unreadable", |event| &event.event_type);
    format!(
        "{}  {} {} ({}), {} failed attempts{next}{reason}",
        shown(delivery.received_at),
        delivery.state.as_str(),
        plain(&delivery.key.to_string()),
        plain(kind),
        delivery.attempt,
    )
}

fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.starts_with("digest:") => "(personal)".to_owned(),
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

fn as_json(key: &RecordKey, story: &History) -> Value {
    json!({
        "record": key.to_string(),
        "state": story.record.as_ref().map(|row| json!({
            "status": row.state.as_ref().and_then(|state| state.record.status()),
            "location_id": row.state.as_ref().and_then(|state| state.record.location_id()),
            "synced_at": row.state.as_ref().map(|state| state.synced_at),
            "plan": row.state.as_ref().map(|state| state.plan.to_string()),
            "in_doubt": row.lease.is_none() && row.fence != row.clean_fence,
            "erased": row.husk.is_some(), "held": row.hold, "audit": row.audit,
        })),
        "open": story.open.iter().map(delivery_json).collect::<Vec<_>>(),
        "open_complete": story.open_complete,
        "entries": story.entries.iter().map(|entry| json!({
            "row": entry.row, "delivery": entry.delivery.as_ref().map(delivery_json),
        })).collect::<Vec<_>>(),
        "more": story.next.is_some(),
        "fault": story.fault,
    })
}

fn delivery_json(delivery: &Delivery) -> Value {
    json!({
        "event": delivery.key.to_string(), "state": delivery.state, "received_at": delivery.received_at,
        "proven_by": delivery.proven_by, "attempt": delivery.attempt, "reason": delivery.reason,
        "event_type": delivery.event.as_ref().map(|event| &event.event_type),
        "record": delivery.event.as_ref().map(|event| event.record.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_told_by_its_form() {
        let record = |text: &str| record_key(text, "accredible").map(|key| key.to_string());
        assert_eq!(record("100").as_deref(), Some("certificate#accredible#100"));
        assert_eq!(record("invoice/acculynx/7").as_deref(), Some("invoice#acculynx#7"));
        assert_eq!(record("invoice#acculynx#7").as_deref(), Some("invoice#acculynx#7"));
        assert_eq!(record("a b"), None);
        assert_eq!(event_key("accredible#e#1").map(|key| key.to_string()).as_deref(), Some("accredible#e#1"));
        assert_eq!(event_key("certificate#accredible#100"), None);
        assert_eq!(event_key("100"), None);
    }
}
