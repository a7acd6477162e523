//! Definitions and their histories, for a person and for a script.

use super::{Standing, built_in};
use crate::table::{plain, table};
use certbridge_mapping::Definitions;
use certbridge_store::DefinitionEntry;
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

/// What a change comes to, and the lines that differ.
pub(super) fn difference(file: &str, before: Option<&str>, after: Option<&str>) -> String {
    let (before, after) = match (before, after) {
        (None, None) => return String::new(),
        (None, Some(after)) => return format!("{file}: new, {} lines\n", after.lines().count()),
        (Some(before), after) => (before, after.unwrap_or_default()),
    };
    let diff = TextDiff::from_lines(before, after);
    let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    let (added, removed) = (count(ChangeTag::Insert), count(ChangeTag::Delete));
    let lines = diff.unified_diff().context_radius(3).header("in force", "to be").to_string();
    format!("{file}: {added} lines added, {removed} removed\n{lines}")
}

/// Where the text in force comes from.
fn origin(standing: &Standing) -> String {
    match (&standing.in_force, &standing.newest) {
        (Some(_), Some(newest)) if standing.agrees() => format!("version {}", newest.version),
        (Some(_), _) => "not what its history says".to_owned(),
        (None, _) if built_in(&standing.file).is_some() => "built in".to_owned(),
        (None, _) => "withdrawn".to_owned(),
    }
}

/// What is wrong with a definition in force.
fn faults(standing: &Standing, definitions: &Definitions) -> Vec<String> {
    let of = definitions.errors().iter().filter(|error| error.file == standing.file);
    of.flat_map(|error| error.faults.clone()).collect()
}

/// All of them, in a table.
pub(super) fn all(standings: &[Standing], definitions: &Definitions) -> String {
    let mut shown = table(&["definition", "in force", "since", "by", "note"]);
    let mut broken = String::new();
    for standing in standings {
        // A version that was withdrawn tells of the built-in one that is in force again.
        let newest = standing.newest.as_ref();
        let faults = faults(standing, definitions);
        let state = if faults.is_empty() { origin(standing) } else { format!("{}: broken, and off", origin(standing)) };
        shown.add_row([
            standing.file.clone(),
            state,
            newest.map_or_else(String::new, |newest| newest.time.to_string()),
            newest.map_or_else(String::new, |newest| plain(&newest.by)),
            newest.and_then(|newest| newest.note.as_deref()).map_or_else(String::new, plain),
        ]);
        for fault in faults {
            broken.push_str(&format!("\n{}: {fault}", standing.file));
        }
    }
    format!("{shown}{broken}")
}

/// The versions of one, the newest first.
pub(super) fn history(entries: &[DefinitionEntry]) -> String {
    let mut shown = table(&["version", "when", "by", "note", "sha256"]);
    for entry in entries.iter().rev() {
        let sha256 = entry.sha256.as_deref().map_or("withdrawn", |sha256| &sha256[..16.min(sha256.len())]);
        shown.add_row([
            entry.version.to_string(),
            entry.time.to_string(),
            plain(&entry.by),
            entry.note.as_deref().map_or_else(String::new, plain),
            plain(sha256),
        ]);
    }
    shown.to_string()
}

/// One of them, for a script.
pub(super) fn object(standing: &Standing, definitions: &Definitions, history: Option<&[DefinitionEntry]>) -> Value {
    let mut object = json!({
        "file": standing.file,
        "in_force": origin(standing),
        "version": standing.newest.as_ref().map(|newest| newest.version),
        "since": standing.newest.as_ref().map(|newest| newest.time),
        "by": standing.newest.as_ref().map(|newest| &newest.by),
        "note": standing.newest.as_ref().and_then(|newest| newest.note.as_ref()),
        "faults": faults(standing, definitions),
    });
    if let Some(history) = history {
        object["history"] = json!(history);
    }
    object
}
