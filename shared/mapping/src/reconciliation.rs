//! What a reconciliation may do without a person's word.

use serde::Deserialize;

/// The ceilings of a reconciliation, and what it does about records that the source no longer has.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReconciliationRules {
    /// The most records that may be repaired in one batch.
    pub max_changes: u64,
    /// The greatest share of all records that may be, from 0 to 1.
    pub max_share: f64,
    /// So many may be whatever their share.
    pub few: u64,
    /// What becomes of a record that the source no longer has.
    pub missing_at_source: MissingAtSource,
}

/// What becomes of a record that the destination has and the source does not, once a direct read has proven it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingAtSource {
    /// It is reported, and a person decides.
    Report,
    /// The destination is told that it is deleted.
    Delete,
}

impl Default for ReconciliationRules {
    fn default() -> Self {
        Self { max_changes: 10_000, max_share: 0.2, few: 100, missing_at_source: MissingAtSource::Report }
    }
}

impl ReconciliationRules {
    /// Whether so many of so many records are too many to be repaired without a person's word.
    pub fn too_many(&self, changes: u64, records: u64) -> bool {
        let share = changes as f64 / records.max(1) as f64;
        changes > self.max_changes || (changes > self.few && share > self.max_share)
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        let broken = !(0.0..=1.0).contains(&self.max_share);
        broken.then(|| "max_share: from 0 to 1".to_owned()).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_changes_pass_and_many_do_not() {
        let rules = ReconciliationRules::default();
        for (changes, records, too_many) in [
            (0, 0, false),
            (100, 100, false),
            (101, 101, true),
            (101, 505, false),
            (101, 504, true),
            (10_000, 50_000, false),
            (10_001, 1_000_000, true),
        ] {
            assert_eq!(rules.too_many(changes, records), too_many, "{changes} of {records}");
        }
    }

    #[test]
    fn a_share_is_a_share() {
        assert!(ReconciliationRules { max_share: 20.0, ..Default::default() }.faults()[0].starts_with("max_share"));
        assert!(ReconciliationRules { max_share: f64::NAN, ..Default::default() }.faults()[0].starts_with("max_share"));
        assert_eq!(ReconciliationRules::default().faults(), Vec::<String>::new());
    }
}
