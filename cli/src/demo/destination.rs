//! What arrived at the destination of the demo.

use super::Demo;
use crate::CliError;
use certbridge_mapping::Kind;
use certbridge_sandbox::Provider;
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
        Ok((self.sandbox()?.snapshots.server(), format!("/certificates/{id}/sync")))
    }

    /// Notes what the destination holds of a record in this field.
    pub(super) fn holds(&mut self, kind: Kind, id: &str, field: &'static str, wanted: &str) -> Result<(), CliError> {
        let found = self.sandbox()?.snapshots.record(kind.as_str(), id).map(|held| held[field].clone());
        let found = match found {
            None => "nothing".to_owned(),
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
        };
        let as_promised = found == wanted;
        self.arrived.push(Arrived { record: format!("{kind} {id}"), field, found, as_promised });
        Ok(())
    }
}
