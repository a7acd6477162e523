//! What arrived at the destination of the demo.

use super::Demo;
use crate::{CliError, local::DEFAULT_DESTINATION};
use certbridge_mapping::Kind;
use certbridge_sandbox::{HighLevel, Provider, Snapshots};
use serde_json::Value;

/// What the destination holds of a record.
pub(super) struct Arrived {
    pub(super) record: String,
    pub(super) field: &'static str,
    pub(super) found: String,
    pub(super) as_promised: bool,
}

impl Demo<'_> {
    /// Where a certificate is pushed to, for faults.
    pub(super) fn pushed_to(&self, id: &str) -> Result<(&Provider, String), CliError> {
        let sandbox = self.sandbox()?;
        Ok(match self.destination.as_str() {
            DEFAULT_DESTINATION => (sandbox.snapshots.server(), format!("/certificates/{id}/sync")),
            _ => (sandbox.highlevel.server(), "/objects/custom_objects.certificates/records".to_owned()),
        })
    }

    /// Notes what the destination holds of a record in this field.
    pub(super) fn holds(&mut self, kind: Kind, id: &str, field: &'static str, wanted: &str) -> Result<(), CliError> {
        let sandbox = self.sandbox()?;
        let found = match self.destination.as_str() {
            DEFAULT_DESTINATION => in_snapshots(&sandbox.snapshots, kind, id, field),
            _ => in_highlevel(&sandbox.highlevel, kind, id, field, wanted),
        };
        let as_promised = found == wanted;
        self.arrived.push(Arrived { record: format!("{kind} {id}"), field, found, as_promised });
        Ok(())
    }
}

fn in_snapshots(snapshots: &Snapshots, kind: Kind, id: &str, field: &str) -> String {
    shown(snapshots.record(kind.as_str(), id).map(|held| held[field].clone()))
}

/// Certificates and locations are records there, which have our ids; contacts and invoices have none of ours, so one that
/// holds what is wanted is looked for.
fn in_highlevel(highlevel: &HighLevel, kind: Kind, id: &str, field: &str, wanted: &str) -> String {
    let record = |object: &str| {
        let records = highlevel.records(object).into_iter().map(|record| record["properties"].clone());
        shown(records.into_iter().find(|held| held[kind.id_field()] == id).map(|held| held[field].clone()))
    };
    let any = |held: Vec<Value>, field: &str| {
        let mut values = held.into_iter().map(|held| shown(Some(held[field].clone())));
        values.find(|value| value == wanted).unwrap_or_else(|| "nothing".to_owned())
    };
    match (kind, field) {
        (Kind::Certificate, _) => record("custom_objects.certificates"),
        (Kind::Location, _) => record("custom_objects.sites"),
        (Kind::Customer, "first_name") => any(highlevel.contacts(), "firstName"),
        (Kind::Customer, _) => any(highlevel.contacts(), "lastName"),
        (Kind::Invoice, _) => {
            let invoices = highlevel.invoices().into_iter();
            let amount = |invoice: &Value| invoice["total"].as_f64().map(|total| format!("{total:.2}"));
            let real = invoices.into_iter().filter_map(|invoice| amount(&invoice)).find(|total| total == wanted);
            real.unwrap_or_else(|| record("custom_objects.invoices"))
        }
    }
}

fn shown(value: Option<Value>) -> String {
    match value {
        None | Some(Value::Null) => "nothing".to_owned(),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    }
}
