//! The command: what is typed, and what is printed.

use super::{
    Compared, MappingError, Told, compare,
    load::{self, Loaded},
};
use crate::{
    CliError,
    local::tables,
    table::{plain, table},
};
use certbridge_mapping::{
    Kind, Plan, Problem, Sample, SourceDefinition,
    check::{Checked, check_document, check_event},
};
use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

/// The longest value that a table shows, in characters.
const WIDTH: usize = 48;

/// See what definitions make of payloads. Nothing is stored or sent.
#[derive(Debug, Subcommand)]
pub enum MappingCommand {
    /// Map a sample, and show it field by field: what was found where, and what the destination would be told
    ///
    /// It shows what the sample holds. The exit code is 1 if anything is wrong with it.
    Check {
        /// The source's definition: a file, or the name of one in force
        definition: String,
        /// A delivery's body; the definition's own `[samples]`, if none is given
        #[arg(long, value_name = "FILE")]
        sample: Option<PathBuf>,
        /// Take the sample for a record of this kind, as the source's API answers with it: certificate, location,
        /// customer or invoice
        #[arg(long, requires = "sample")]
        kind: Option<Kind>,
        /// The destination: the name of one in force, or a file
        #[arg(long, default_value = "snapshots")]
        destination: String,
        /// Print an object
        #[arg(long)]
        json: bool,
        /// The data folder whose definitions are in force
        #[arg(long, default_value = ".certbridge")]
        data: PathBuf,
    },
    /// Map payloads by two definitions, and show which records the destination would be told of otherwise
    ///
    /// Each record counts once, by its newest payload. What tells of a person is shown as "differs".
    Diff {
        /// The definition before: a file, or the name of one in force
        old: String,
        /// The definition after
        new: String,
        /// A folder of deliveries' bodies, each a *.json
        #[arg(long, value_name = "DIR")]
        events: PathBuf,
        /// Take them for records of this kind, as the source's API answers with them
        #[arg(long)]
        kind: Option<Kind>,
        /// The destination, where sources are compared
        #[arg(long, default_value = "snapshots")]
        destination: String,
        /// The source, where destinations are compared
        #[arg(long)]
        source: Option<String>,
        /// Show values that tell of a person, too
        #[arg(long)]
        show_personal: bool,
        /// Print an object
        #[arg(long)]
        json: bool,
        /// The data folder whose definitions are in force
        #[arg(long, default_value = ".certbridge")]
        data: PathBuf,
    },
}

/// Does it. Problems are the exit code.
pub async fn run(command: MappingCommand) -> Result<ExitCode, CliError> {
    match command {
        MappingCommand::Check { definition, sample, kind, destination, json, data } => {
            let in_force = tables::definitions(&data).await?;
            let source = load::source(&definition, &in_force)?;
            let plan = Plan::new(Arc::clone(&source), load::destination(&destination, &in_force)?);
            let checked = check(&plan, sample.as_deref(), kind)?;
            let shown = if json { as_json(&checked).to_string() } else { as_text(&plan, &checked) };
            print(&shown)?;
            let sound = checked.iter().all(|(_, checked)| checked.problems.is_empty());
            Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        MappingCommand::Diff { old, new, events, kind, destination, source, show_personal, json, data } => {
            let in_force = tables::definitions(&data).await?;
            let source = source.map(|named| load::source(&named, &in_force)).transpose()?;
            let (old, new) = match (load::load(&old, &in_force)?, load::load(&new, &in_force)?) {
                (Loaded::Source(old), Loaded::Source(new)) => {
                    let destination = load::destination(&destination, &in_force)?;
                    (Plan::new(old, Arc::clone(&destination)), Plan::new(new, destination))
                }
                (Loaded::Destination(old), Loaded::Destination(new)) => {
                    let source = source.ok_or(MappingError::NoSource)?;
                    (Plan::new(Arc::clone(&source), old), Plan::new(source, new))
                }
                _ => return Err(MappingError::Unlike.into()),
            };
            let compared = compare(&old, &new, kind, payloads(&events)?, Timestamp::now())?;
            let shown = if json {
                diff_as_json(&old, &new, &compared, show_personal).to_string()
            } else {
                diff_as_text(&old, &new, &compared, show_personal)
            };
            print(&shown)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Each payload under a name, and what became of it.
fn check(plan: &Plan, sample: Option<&Path>, kind: Option<Kind>) -> Result<Vec<(String, Checked)>, CliError> {
    let source = plan.source();
    let (now, id) = (Timestamp::now(), "certbridge-test");
    if let Some(path) = sample {
        let body = fs::read(path).map_err(CliError::file(path))?;
        let checked = match kind {
            Some(kind) => check_document(plan, kind, &body).ok_or_else(|| MappingError::no_kind(plan, kind))?,
            None => {
                let headers = source.sample_headers(&type_of(source, &body), id, now);
                check_event(plan, &Sample { event_type: String::new(), body, headers })
            }
        };
        return Ok(vec![(path.display().to_string(), checked)]);
    }
    if source.samples.is_empty() {
        return Err(MappingError::NoSample(source.name.clone()).into());
    }
    let samples = source.samples.keys().filter_map(|name| source.sample(Some(name), id, now));
    Ok(samples.map(|sample| (sample.event_type.clone(), check_event(plan, &sample))).collect())
}

/// The type that a body names, where it names one in the body.
fn type_of(source: &SourceDefinition, body: &[u8]) -> String {
    let named = source.event.types.keys().find(|name| {
        let quoted = json!(name).to_string();
        String::from_utf8_lossy(body).contains(&quoted)
    });
    named.cloned().unwrap_or_default()
}

fn as_text(plan: &Plan, checked: &[(String, Checked)]) -> String {
    let mut text = format!("{} to {}, plan {}\n", plan.source().name, plan.destination().name, plan.version());
    for (name, checked) in checked {
        text.push_str(&format!("\n{}\n", plain(name)));
        if let Some(event) = &checked.event {
            let order = event.version.as_ref().map_or("a hint", |_| "with its state");
            text.push_str(&format!(
                "  {} {}, {} at {}, {order}, event {}\n",
                event.record.kind, event.record.id, event.operation, event.time, event.key.id
            ));
        }
        if let Some(note) = &checked.note {
            text.push_str(&format!("  {note}\n"));
        }
        if !checked.rows.is_empty() {
            text.push_str(&format!("{}\n", rows(plan, checked)));
        }
        if let Some(request) = &checked.request {
            text.push_str(&format!("  {} {}\n", request.method.as_str(), request.path));
        }
        for problem in &checked.problems {
            text.push_str(&format!("  problem: {problem}\n"));
        }
        if checked.problems.is_empty() {
            text.push_str("  no problems\n");
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn rows(plan: &Plan, checked: &Checked) -> String {
    let destination = &plan.destination().name;
    let mut shown = table(&["from", "found", "field", "value", &format!("at {destination}"), "told"]);
    for row in &checked.rows {
        let (at, told) = match &row.told {
            Some((field, told)) => (field.clone(), cell(told)),
            None => (String::new(), String::new()),
        };
        shown.add_row([
            short(&row.from),
            row.found.as_ref().map_or_else(String::new, value),
            row.field.clone().unwrap_or_default(),
            if row.field.is_some() { cell(&row.value) } else { String::new() },
            at,
            told,
        ]);
    }
    shown.to_string()
}

fn cell(read: &Result<Value, Problem>) -> String {
    match read {
        Ok(found) => value(found),
        Err(problem) => short(&format!("wanted {}", problem.wanted)),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => short(text),
        other => short(&other.to_string()),
    }
}

fn short(text: &str) -> String {
    let text = plain(text);
    if text.chars().count() <= WIDTH { text } else { text.chars().take(WIDTH - 1).chain(['…']).collect() }
}

#[derive(Serialize)]
struct Shown<'a> {
    sample: &'a str,
    #[serde(flatten)]
    checked: &'a Checked,
}

fn as_json(checked: &[(String, Checked)]) -> Value {
    let samples = checked.iter().map(|(sample, checked)| Shown { sample, checked });
    json!({"samples": samples.collect::<Vec<_>>()})
}

/// All *.json of a folder, by their names.
fn payloads(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, CliError> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .map_err(CliError::file(folder))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(MappingError::NoEvents(folder.to_owned()).into());
    }
    let read = |path: PathBuf| Ok((path.clone(), fs::read(&path).map_err(CliError::file(&path))?));
    files.into_iter().map(read).collect()
}

fn name_of(file: &Path) -> String {
    file.file_name().map(|name| plain(&name.to_string_lossy())).unwrap_or_default()
}

fn diff_as_text(old: &Plan, new: &Plan, compared: &Compared, show_personal: bool) -> String {
    let mut shown = table(&["record", "payload", "field", "old", "new"]);
    for (key, file, told) in &compared.records {
        let record = format!("{} {}", key.kind, plain(key.id.as_str()));
        let mut add = |field: &str, old: String, new: String| {
            shown.add_row([record.clone(), name_of(file), field.to_owned(), old, new]);
        };
        match told {
            Told::Same => {}
            Told::Differs(differences) => {
                for one in differences {
                    let hidden = one.personal && !show_personal;
                    let cell = |shown: &Value| if hidden { "differs".to_owned() } else { value(shown) };
                    add(&one.field, cell(&one.old), cell(&one.new));
                }
            }
            Told::NoLonger(problems) => add("", "mapped".to_owned(), format!("cannot be mapped: {problems}")),
            Told::OnlyNow(problems) => add("", format!("could not be mapped: {problems}"), "mapped".to_owned()),
            Told::Neither(problems) => {
                add("", "could not be mapped".to_owned(), format!("cannot be mapped: {problems}"));
            }
        }
    }
    let mut text = format!("plan {} to plan {}\n", old.version(), new.version());
    if !shown.is_empty() {
        text.push_str(&format!("{shown}\n"));
    }
    for (file, why) in &compared.others {
        text.push_str(&format!("{}: left out: {}\n", name_of(file), plain(why)));
    }
    let (again, records) = (compared.pushed_again(), compared.records.len());
    text.push_str(&format!("{again} of {records} records would be pushed again"));
    text
}

fn diff_as_json(old: &Plan, new: &Plan, compared: &Compared, show_personal: bool) -> Value {
    let records = compared.records.iter().map(|(key, file, told)| {
        let (outcome, differences, problems) = match told {
            Told::Same => ("same", &[][..], None),
            Told::Differs(differences) => ("differs", &differences[..], None),
            Told::NoLonger(problems) => ("no_longer_mapped", &[][..], Some(problems)),
            Told::OnlyNow(problems) => ("mapped_now", &[][..], Some(problems)),
            Told::Neither(problems) => ("not_mapped", &[][..], Some(problems)),
        };
        let fields = differences.iter().map(|one| {
            let mut field = json!({"field": one.field, "personal": one.personal});
            if !one.personal || show_personal {
                field["old"] = one.old.clone();
                field["new"] = one.new.clone();
            }
            field
        });
        let fields: Vec<_> = fields.collect();
        json!({
            "record": key.to_string(), "payload": name_of(file), "outcome": outcome, "fields": fields,
            "problems": problems,
        })
    });
    let others = compared.others.iter().map(|(file, why)| json!({"payload": name_of(file), "why": why}));
    json!({
        "old_plan": old.version(), "new_plan": new.version(),
        "records": records.collect::<Vec<_>>(), "left_out": others.collect::<Vec<_>>(),
        "pushed_again": compared.pushed_again(),
    })
}
