//! The report for programs.

use certbridge_sync::reconcile::{Finding, Report};
use serde_json::Value;
use std::borrow::Cow;

/// The report as JSON, as `docs/report.schema.json` describes it.
pub fn json(report: &Report) -> Result<String, serde_json::Error> {
    let mut json = serde_json::to_string_pretty(&*without_personal(report))?;
    json.push('\n');
    Ok(json)
}

/// The report without personal values. Whoever made it left them out already; a report is sent around, so we look again.
fn without_personal(report: &Report) -> Cow<'_, Report> {
    let tells = |finding: &Finding| {
        finding.fields.iter().any(|field| field.personal && !(field.expected.is_null() && field.found.is_null()))
    };
    if !report.findings.iter().any(tells) {
        return Cow::Borrowed(report);
    }
    let mut report = report.clone();
    for field in report.findings.iter_mut().flat_map(|finding| &mut finding.fields).filter(|field| field.personal) {
        (field.expected, field.found) = (Value::Null, Value::Null);
    }
    Cow::Owned(report)
}
