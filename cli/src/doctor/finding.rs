//! What was found: one thing looked at, how it stands, and how to mend it.

use crate::table::{plain, table};
use serde::Serialize;
use serde_json::{Value, json};

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Definitions and addresses.
    Configuration,
    /// The secrets, and how old their keys are.
    Secrets,
    /// The sources' and the destination's APIs.
    Providers,
    /// The tables.
    Tables,
    /// What carries events from one to the next.
    Wiring,
    /// What waits, and what waits for a person.
    Events,
    /// Reconciliations, checkpoints and polls.
    Batches,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should.
    Ok,
    /// It was not looked at; the text says why.
    Skipped,
    /// Not as it should, and nothing is lost by it yet.
    Warning,
    /// Something does not work.
    Failed,
}

impl State {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is called, for scripts.
    pub id: String,
    /// What it is about.
    pub area: Area,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub what: String,
    /// How to mend it; none where there is nothing to mend.
    pub mend: Option<String>,
}

/// What was found so far, of all that is looked at.
#[derive(Debug, Clone, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    fn push(&mut self, area: Area, id: impl Into<String>, state: State, what: impl Into<String>, mend: Option<String>) {
        self.0.push(Finding { id: id.into(), area, state, what: what.into(), mend });
    }

    /// It is as it should be.
    pub fn ok(&mut self, area: Area, id: impl Into<String>, what: impl Into<String>) {
        self.push(area, id, State::Ok, what, None);
    }

    /// It was not looked at, or need not be.
    pub fn skipped(&mut self, area: Area, id: impl Into<String>, why: impl Into<String>) {
        self.push(area, id, State::Skipped, why, None);
    }

    /// It should be looked at.
    pub fn warning(&mut self, area: Area, id: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) {
        self.push(area, id, State::Warning, what, Some(mend.into()));
    }

    /// It does not work.
    pub fn failed(&mut self, area: Area, id: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) {
        self.push(area, id, State::Failed, what, Some(mend.into()));
    }

    /// All of them.
    pub fn all(&self) -> &[Finding] {
        &self.0
    }

    /// The worst of all.
    pub fn worst(&self) -> State {
        let bad = self.0.iter().map(|finding| finding.state).filter(|state| *state != State::Skipped);
        bad.max().unwrap_or(State::Ok)
    }

    /// The process's exit code: 0 as it should be, 1 something does not work, 3 something should be looked at.
    pub fn exit_code(&self) -> u8 {
        match self.worst() {
            State::Ok | State::Skipped => 0,
            State::Failed => 1,
            State::Warning => 3,
        }
    }

    /// For scripts: docs/doctor.schema.json says what it holds.
    pub fn as_json(&self) -> Value {
        json!({"version": 1, "state": self.worst(), "findings": self.0})
    }

    /// For a person: a table, and below it what is to be done.
    pub fn as_text(&self) -> String {
        let mut rows = table(&["area", "check", "state", "found"]);
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_by_key(|finding| finding.area);
        let mut last = None;
        for finding in &sorted {
            let area = if last == Some(finding.area) { String::new() } else { word(finding.area) };
            last = Some(finding.area);
            rows.add_row([area, plain(&finding.id), finding.state.as_str().to_owned(), plain(&finding.what)]);
        }
        let mends = sorted.iter().filter_map(|finding| Some((finding, finding.mend.as_deref()?)));
        let lines =
            mends.map(|(finding, mend)| format!("\n{} {}: {}", finding.state.as_str(), finding.id, plain(mend)));
        rows.to_string() + &lines.collect::<String>()
    }
}

fn word(area: Area) -> String {
    json!(area).as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides_and_what_was_skipped_does_not() {
        let mut found = Findings::default();
        assert_eq!((found.worst(), found.exit_code()), (State::Ok, 0));
        found.skipped(Area::Wiring, "wiring.queue", "not on AWS");
        found.ok(Area::Tables, "tables.inbox", "there");
        assert_eq!(found.exit_code(), 0);
        found.warning(Area::Secrets, "secrets.audit", "no signing_key", "make one");
        assert_eq!(found.exit_code(), 3);
        found.failed(Area::Providers, "providers.x", "401\u{1b}[2J", "rotate");
        assert_eq!((found.worst(), found.exit_code()), (State::Failed, 1));
        assert_eq!(found.as_json()["findings"][1]["state"], "ok");
        let text = found.as_text();
        assert!(text.contains("failed providers.x: rotate") && !text.contains('\u{1b}'), "{text}");
    }
}
