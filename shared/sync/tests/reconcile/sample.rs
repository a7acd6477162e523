//! A plan, and the moments at which things were listed.

use certbridge_mapping::{DestinationDefinition, Kind, Plan, Record, SourceDefinition};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const SOURCE: &str = include_str!("../../../../config/sources/accredible.toml");
const DESTINATION: &str = include_str!("../../../../config/destinations/snapshots.toml");

/// When the sides' listings began; when we began to list what we hold; and when all is compared.
pub(crate) const SIDES_BEGAN: i64 = 60;
pub(crate) const OWN_BEGAN: i64 = 70;
pub(crate) const NOW: i64 = 80;
/// How far apart moments must be.
pub(crate) const MARGIN: SignedDuration = SignedDuration::from_mins(1);

pub(crate) fn plan() -> Plan {
    let source = SourceDefinition::parse("sources/accredible.toml", SOURCE).unwrap();
    let destination = DestinationDefinition::parse("destinations/snapshots.toml", DESTINATION).unwrap();
    Plan::new(Arc::new(source), Arc::new(destination))
}

pub(crate) fn at(minute: i64) -> Timestamp {
    "2026-03-12T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
}

pub(crate) fn minute(at: Timestamp) -> i64 {
    at.duration_since(self::at(0)).as_mins()
}

/// The canonical fields of a record, as the source lists them: without a status.
pub(crate) fn listed(id: &str, title: &str) -> Map<String, Value> {
    let fields = json!({
        "certificate_id": id, "user_id": "u1", "issue_date": "2026-01-31", "location_id": "loc_london",
        "expiry_date": null, "title": title, "group_name": "widgets", "recipient_name": "Ada Secret",
        "recipient_email": "ada.secret@example.org", "url": null,
    });
    fields.as_object().unwrap().clone()
}

pub(crate) fn record(fields: &Map<String, Value>, status: &str) -> Record {
    let mut fields = fields.clone();
    fields.insert("status".to_owned(), status.into());
    Record::from_fields(Kind::Certificate, Value::Object(fields)).unwrap()
}

/// What the destination shows of a record that it was told.
pub(crate) fn shown(plan: &Plan, record: &Record) -> Map<String, Value> {
    plan.request(record).unwrap().body.as_object().unwrap().clone()
}
