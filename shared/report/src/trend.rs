//! How earlier batches came out.

use crate::words;
use certbridge_sync::reconcile::{Outcome, Report};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One batch's place in the trend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrendPoint {
    /// When it was over.
    pub finished_at: Timestamp,
    /// How many ids were compared.
    pub records: u64,
    /// How many matched.
    pub matched: u64,
    /// How many differed, whether they were repaired or not.
    pub differing: u64,
}

impl From<&Report> for TrendPoint {
    fn from(report: &Report) -> Self {
        Self {
            finished_at: report.finished_at,
            records: report.totals.records,
            matched: words::count(&report.totals, Outcome::Matched),
            differing: words::differing(&report.totals),
        }
    }
}
