//! The findings for a spreadsheet.

use crate::words;
use certbridge_sync::reconcile::{Drift, Finding, Outcome};
use csv::{IntoInnerError, Terminator, Writer, WriterBuilder};
use jiff::Timestamp;
use serde::Serialize;
use std::{
    borrow::Cow,
    io::{self, Write},
};

/// The findings as CSV (RFC 4180, UTF-8), written as they come: nothing is held back but a small buffer.
///
/// A spreadsheet takes a cell for a formula by its first sign, and may cut a line at other signs than commas. So a quote
/// mark `'` stands before whatever could begin a formula, at the start of a text and after any sign that could end a cell.
/// It is put so that it can be taken off again: nothing is lost.
#[derive(Debug)]
pub struct Csv<W: Write> {
    writer: Writer<W>,
}

/// One row. The order of its fields is the order of [`Csv::HEADER`].
#[derive(Serialize)]
struct Row<'a> {
    id: Cow<'a, str>,
    outcome: Outcome,
    cause: Option<Drift>,
    since: Option<Timestamp>,
    location_id: Option<Cow<'a, str>>,
    repaired: bool,
    differences: usize,
    fields: String,
    reason: Option<Cow<'a, str>>,
}

impl<W: Write> Csv<W> {
    /// The columns.
    pub const HEADER: [&'static str; 9] =
        ["id", "outcome", "cause", "since", "location_id", "repaired", "differences", "fields", "reason"];

    /// Begins with the header.
    pub fn new(writer: W) -> io::Result<Self> {
        let mut csv = Self::without_header(writer);
        csv.writer.write_record(Self::HEADER)?;
        Ok(csv)
    }

    /// Goes on after a header, or other rows, that stand elsewhere.
    pub fn without_header(writer: W) -> Self {
        Self { writer: WriterBuilder::new().has_headers(false).terminator(Terminator::CRLF).from_writer(writer) }
    }

    /// Adds a finding.
    pub fn write(&mut self, finding: &Finding) -> io::Result<()> {
        let row = Row {
            id: guarded(&finding.id),
            outcome: finding.outcome,
            cause: finding.drift,
            since: finding.since,
            location_id: finding.location_id.as_deref().map(guarded),
            repaired: finding.repaired,
            differences: finding.fields.len(),
            fields: guarded(&differences(finding)).into_owned(),
            reason: finding.reason.as_deref().map(guarded),
        };
        Ok(self.writer.serialize(row)?)
    }

    /// Writes what is left, and gives the writer back.
    pub fn finish(self) -> io::Result<W> {
        self.writer.into_inner().map_err(IntoInnerError::into_error)
    }
}

/// The differences as one cell: `status: expected "issued", found "revoked"; email: personal`.
fn differences(finding: &Finding) -> String {
    let difference = |(field, values)| match values {
        Some((expected, found)) => format!("{field}: expected {expected}, found {found}"),
        None => format!("{field}: personal"),
    };
    words::differences(finding).map(difference).collect::<Vec<_>>().join("; ")
}

/// The text, with a quote mark before whatever a spreadsheet could take for a formula.
fn guarded(text: &str) -> Cow<'_, str> {
    // From behind, since what stands at a cell's start is judged by what follows it; so each sign is looked at once.
    let mut tempting = false;
    let mut marks = Vec::new();
    for (index, char) in text.char_indices().rev() {
        if tempting && ends_a_cell(char) {
            marks.push(index + char.len_utf8());
        }
        tempting = begins_a_formula(char) || (is_passed_over(char) && tempting);
    }
    if tempting {
        marks.push(0);
    }
    if marks.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut guarded = String::with_capacity(text.len() + marks.len());
    let mut rest = 0;
    for mark in marks.into_iter().rev() {
        guarded.push_str(&text[rest..mark]);
        guarded.push('\'');
        rest = mark;
    }
    guarded.push_str(&text[rest..]);
    Cow::Owned(guarded)
}

/// Whether some spreadsheet begins a formula by it, full-width signs included; tab and line breaks can push one into place.
fn begins_a_formula(char: char) -> bool {
    matches!(
        char,
        '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '−' | '﹢' | '﹣' | '﹦' | '﹫' | '\t' | '\r' | '\n'
    )
}

/// Whether some spreadsheet passes over it on the way to a cell's content.
fn is_passed_over(char: char) -> bool {
    char.is_whitespace()
        || words::is_unseen(char)
        || matches!(char, '"' | '\'' | '`' | '‘' | '’' | '“' | '”' | '＂' | '＇')
}

/// Whether some spreadsheet ends a cell by it, if it does not take the comma alone.
fn ends_a_cell(char: char) -> bool {
    matches!(char, ',' | ';' | '|' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_guarded_wherever_a_cell_could_begin() {
        for (text, expected) in [
            ("", ""),
            ("10000005", "10000005"),
            ("a-b=c@d", "a-b=c@d"),
            ("=1+1", "'=1+1"),
            ("-12", "'-12"),
            ("＠SUM", "'＠SUM"),
            ("\tx", "'\tx"),
            (" \"=x", "' \"=x"),
            ("\u{feff}=x", "'\u{feff}=x"),
            ("'=x", "''=x"),
            ("a;=x", "a;'=x"),
            ("a, =x", "a,' =x"),
            ("a\n=x", "a\n'=x"),
            ("it's; fine", "it's; fine"),
        ] {
            assert_eq!(guarded(text), expected, "{text:?}");
        }
    }
}
