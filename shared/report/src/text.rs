//! The report in a few words: for a subject line, a chat, a mail.

use crate::words;
use certbridge_sync::reconcile::{Outcome, Report, Verdict};
use std::fmt::Write;

/// The most remarks that a mail repeats.
const REMARKS: usize = 10;

/// The verdict in one plain sentence, on one line: `Clean: 12,431 certificates match.`
pub fn headline(report: &Report) -> String {
    let totals = &report.totals;
    let (differing, left) = (words::differing(totals), words::left(totals));
    let all = words::records(totals.records, report);
    let differ = if differing == 1 { "differs" } else { "differ" };
    match report.verdict {
        Verdict::Clean if totals.records == 0 => format!("Clean: there were no {}.", words::kind(0, report)),
        Verdict::Clean => {
            let matched = words::count(totals, Outcome::Matched);
            let in_flight = words::count(totals, Outcome::InFlight);
            let verb = if matched == 1 { "matches" } else { "match" };
            let rest = match in_flight {
                0 => String::new(),
                1 => ", 1 is in flight".to_owned(),
                many => format!(", {} are in flight", words::number(many)),
            };
            format!("Clean: {} {verb}{rest}.", words::records(matched, report))
        }
        Verdict::Repaired if report.dry_run => {
            format!("To repair: {} of {all} {differ}. Nothing was written.", words::number(differing))
        }
        Verdict::Repaired => {
            let were = if differing == 1 { "was" } else { "were" };
            format!("Repaired: {} of {all} differed and {were} brought in line.", words::number(differing))
        }
        Verdict::NeedsPerson if left > 0 && report.dry_run => {
            format!("Needs a person: {} of {all} {differ}. Nothing was written.", words::number(differing))
        }
        Verdict::NeedsPerson if left > 0 => {
            let repaired = match totals.repaired {
                0 => String::new(),
                1 => "; 1 was repaired".to_owned(),
                many => format!("; {} were repaired", words::number(many)),
            };
            let remain = if left == 1 { "still differs" } else { "still differ" };
            format!("Needs a person: {} of {all} {remain}{repaired}.", words::number(left))
        }
        Verdict::NeedsPerson => format!("Needs a person: {}.", remark(report, "something must be decided")),
        Verdict::Failed => format!("Failed: {}.", remark(report, "the comparison could not be done")),
    }
}

/// The first remark, as part of a sentence.
fn remark(report: &Report, otherwise: &str) -> String {
    let remark = report.remarks.first().map(|remark| words::shown(remark.trim(), 160)).unwrap_or_default();
    let remark = remark.trim_end_matches('.');
    if remark.is_empty() { otherwise.to_owned() } else { remark.to_owned() }
}

/// What the verdict asks of its reader.
pub(crate) fn advice(report: &Report) -> &'static str {
    match (report.verdict, report.dry_run) {
        (Verdict::Clean, _) => "There is nothing to do.",
        (Verdict::Repaired, true) => "This was a dry run. Run it again without, and the differences are repaired.",
        (Verdict::Repaired, false) => "There is nothing to do.",
        (Verdict::NeedsPerson, _) => "Somebody must look at what is listed below and decide.",
        (Verdict::Failed, _) => "The numbers below are not to be trusted. Find out why, and run it again.",
    }
}

/// A short mail in plain text: the headline, what is to be decided, the totals and where to read more. Its subject is
/// the [`headline`].
pub fn mail(report: &Report, link: &str) -> String {
    let mut lines = vec![headline(report), advice(report).to_owned(), String::new()];
    if !report.remarks.is_empty() {
        lines.push("To decide or to know:".to_owned());
        lines.extend(report.remarks.iter().take(REMARKS).map(|remark| format!("- {}", words::shown(remark, 300))));
        if let Some(more @ 1..) = report.remarks.len().checked_sub(REMARKS) {
            lines.push(format!("- and {more} more"));
        }
        lines.push(String::new());
    }
    let totals = &report.totals;
    let outcomes = words::OUTCOMES.map(|outcome| (words::outcome(outcome).0, words::count(totals, outcome)));
    let shown = outcomes.into_iter().filter(|(name, count)| *count > 0 || *name == "Matched");
    lines.extend(
        shown
            .chain([("Compared", totals.records), ("Repaired", totals.repaired)])
            .map(|(name, count)| format!("{name:<24}{:>12}", words::number(count))),
    );
    lines.push(String::new());
    let facts = [
        ("Source", words::shown(&report.source, 80)),
        ("Batch", words::shown(&report.batch_id, 80)),
        ("Finished", words::time(report.finished_at)),
        ("Report", words::shown(link, 2000)),
    ];
    lines.extend(facts.map(|(name, fact)| format!("{name:<10}{fact}")));
    lines.into_iter().fold(String::new(), |mut text, line| {
        // Writing into a text does not fail.
        let _ = writeln!(text, "{line}");
        text
    })
}
