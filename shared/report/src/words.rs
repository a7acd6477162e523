//! The words, numbers and times that all forms share.

use certbridge_sync::reconcile::{Drift, Finding, Outcome, Report, Totals};
use jiff::Timestamp;
use std::fmt::Write;

/// The outcomes, in the order in which they are shown.
pub(crate) const OUTCOMES: [Outcome; 8] = [
    Outcome::Matched,
    Outcome::MissingAtDestination,
    Outcome::MissingAtSource,
    Outcome::Mismatched,
    Outcome::Duplicate,
    Outcome::Invalid,
    Outcome::Failed,
    Outcome::InFlight,
];

/// The causes, in the order in which they are shown.
pub(crate) const DRIFTS: [Drift; 4] =
    [Drift::NeverArrived, Drift::ArrivedAndFailed, Drift::EditedAtDestination, Drift::PlanChanged];

/// An outcome's name and meaning.
pub(crate) fn outcome(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Matched => ("Matched", "Both sides agree."),
        Outcome::MissingAtDestination => ("Missing at destination", "The source has it, the destination does not."),
        Outcome::MissingAtSource => ("Missing at source", "The destination has it, the source does not."),
        Outcome::Mismatched => ("Mismatched", "Both have it, and it differs."),
        Outcome::Duplicate => ("Duplicate", "A side lists it more than once, with different content."),
        Outcome::Invalid => ("Invalid", "A side lists something that cannot be read."),
        Outcome::InFlight => ("In flight", "It changed while it was listed: nothing can be said of it now."),
        Outcome::Failed => ("Failed", "It was to be repaired, and could not be."),
    }
}

/// A cause's name and meaning.
pub(crate) fn drift(drift: Drift) -> (&'static str, &'static str) {
    match drift {
        Drift::NeverArrived => ("Never arrived", "No event of this change was ever accepted."),
        Drift::ArrivedAndFailed => ("Arrived and failed", "An event was accepted, and is quarantined or failed."),
        Drift::EditedAtDestination => {
            ("Edited at destination", "We told the destination, and it shows something else.")
        }
        Drift::PlanChanged => ("Plan changed", "It was told by another plan."),
    }
}

/// How many came out so.
pub(crate) fn count(totals: &Totals, outcome: Outcome) -> u64 {
    totals.outcomes.get(&outcome).copied().unwrap_or_default()
}

/// How many differ, repaired or not. What is in flight is neither the same nor different.
pub(crate) fn differing(totals: &Totals) -> u64 {
    let differs = |outcome: &Outcome| !matches!(outcome, Outcome::Matched | Outcome::InFlight);
    sum(totals.outcomes.iter().filter(|(outcome, _)| differs(outcome)).map(|(_, count)| *count))
}

/// How many are left different.
pub(crate) fn left(totals: &Totals) -> u64 {
    differing(totals).saturating_sub(totals.repaired)
}

/// The sum, or the largest number that there is.
pub(crate) fn sum(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

/// The differences of a finding that may be shown with their values; the others only by name.
pub(crate) fn differences(finding: &Finding) -> impl Iterator<Item = (&str, Option<(String, String)>)> {
    finding.fields.iter().map(|difference| {
        let values = (!difference.personal).then(|| (difference.expected.to_string(), difference.found.to_string()));
        (difference.field.as_str(), values)
    })
}

/// A number with its thousands apart: `12,431`.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A share in percent, rounded down, so that it says 100 only when nothing is missing, and 0 only of nothing.
pub(crate) fn share(part: u64, whole: u64) -> String {
    match basis_points(part, whole) {
        Some(0) if part > 0 => "< 0.01 %".to_owned(),
        Some(points) => format!("{}.{:02} %", points / 100, points % 100),
        None => "–".to_owned(),
    }
}

/// A share in hundredths of a percent, rounded down; nothing of nothing.
pub(crate) fn basis_points(part: u64, whole: u64) -> Option<u64> {
    let points = (u128::from(part) * 10_000).checked_div(u128::from(whole))?;
    u64::try_from(points).ok()
}

/// So many of a kind: `1 certificate`, `12,431 certificates`.
pub(crate) fn records(count: u64, report: &Report) -> String {
    format!("{} {}", number(count), kind(count, report))
}

/// The kind's name, for so many.
pub(crate) fn kind(count: u64, report: &Report) -> String {
    let kind = shown(&report.kind, 40);
    if count == 1 { kind } else { format!("{kind}s") }
}

/// A time in UTC, to the second.
pub(crate) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// How long it took from one time to the other, in its largest unit.
pub(crate) fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second().saturating_sub(from.as_second()).max(0);
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Somebody else's text on one line: cut to so many characters, with every sign made visible that cannot be seen or that
/// turns the text around it.
pub(crate) fn shown(text: &str, limit: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(limit));
    for (index, char) in text.chars().enumerate() {
        if index == limit {
            shown.push('…');
            break;
        }
        if is_unseen(char) {
            // Writing into a text does not fail.
            let _ = write!(shown, "[U+{:04X}]", u32::from(char));
        } else {
            shown.push(char);
        }
    }
    shown
}

/// Whether a sign cannot be seen: controls, what turns the direction, what has no width, what only tags, and the signs
/// that are none.
pub(crate) fn is_unseen(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let grouped = [0, 999, 1000, 12_431, 1_000_000, u64::MAX].map(number);
        assert_eq!(grouped, ["0", "999", "1,000", "12,431", "1,000,000", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn a_share_is_100_only_when_nothing_is_missing() {
        assert_eq!(share(u64::MAX, u64::MAX), "100.00 %");
        assert_eq!(share(999_999, 1_000_000), "99.99 %");
        assert_eq!(share(1, 1_000_000), "< 0.01 %");
        assert_eq!((share(0, 9), share(0, 0)), ("0.00 %".to_owned(), "–".to_owned()));
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(shown("a\u{202e}b\nc\u{feff}", 9), "a[U+202E]b[U+000A]c[U+FEFF]");
        assert_eq!(shown("łódź", 3), "łód…");
        assert_eq!(shown("łódź", 4), "łódź");
    }

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        let from = Timestamp::UNIX_EPOCH;
        let spans = [0, 1, 119, 120, 7_200, 172_800].map(|second| span(from, Timestamp::from_second(second).unwrap()));
        assert_eq!(spans, ["0 seconds", "1 second", "119 seconds", "2 minutes", "2 hours", "2 days"]);
        assert_eq!(span(Timestamp::MAX, Timestamp::MIN), "0 seconds");
    }
}
