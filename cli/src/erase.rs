//! `certbridge erase`: what we hold of a person, and nothing of the proof.

use crate::{
    CliError,
    audit::record_key,
    place::{Bundle, Needs, Place},
};
use certbridge_mapping::{Kind, RecordKey};
use certbridge_platform::{Env, SystemRuntime};
use certbridge_store::DynamoStore;
use certbridge_sync::{erase::erase, ports::Scan};
use clap::Args;
use std::{
    io::{self, BufRead, IsTerminal, Write},
    process::ExitCode,
};

/// How many records are read at once.
const PAGE: usize = 500;

/// What it cannot reach, and whoever erases must know of.
const OUT_OF_REACH: &str = "\
Not reached: the source and the destination themselves (erase there first: what the source still shows comes back as a
new state); backups of the tables (35 days); what batches have listed (work/, 7 days) and what callers gave in batches
(requests/, 30 days); deliveries that could not be read and so name no record; the record's id, and who did what in the
audit trail. Logs and reports hold no personal values.";

/// Why nothing is erased.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EraseError {
    /// Nobody said yes.
    #[error("nothing was erased: say --yes")]
    NotAsked,
    /// There is none.
    #[error("no record that we hold has this value in any field")]
    Nobody,
    /// The record.
    #[error(transparent)]
    Record(#[from] certbridge_sync::erase::EraseError),
}

/// Erase what we hold of a record or a person, and keep the proof of what was done
///
/// Of a record a husk stays: how often it was claimed, the place of its last state, and its audit chain, with a row that
/// tells of the erasure. Its values, the salt of its digests, and the bodies of its deliveries go. An event that waits for
/// it must be settled first, and a record that is held is left alone.
#[derive(Debug, Args)]
pub struct EraseOptions {
    #[command(flatten)]
    place: Place,
    /// The record, KIND/SOURCE/ID
    #[arg(value_parser = record_key, required_unless_present = "person")]
    record: Option<RecordKey>,
    /// All records that have this value in a field, such as a mail address; found by reading all records that we hold
    #[arg(long, value_name = "VALUE", conflicts_with = "record")]
    person: Option<String>,
    /// Forget what the destination calls the record, too: should it come back, it may be made there a second time
    #[arg(long)]
    forget_ids: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Erases.
pub async fn run(options: EraseOptions, env: &Env) -> Result<ExitCode, CliError> {
    let bundle = options.place.open(env, Needs::All).await?;
    let done = erased(&options, &bundle, env).await;
    bundle.close().await?;
    done?;
    Ok(ExitCode::SUCCESS)
}

async fn erased(options: &EraseOptions, bundle: &Bundle, env: &Env) -> Result<(), CliError> {
    let store = bundle.store();
    let records = match (&options.record, &options.person) {
        (Some(record), _) => vec![record.clone()],
        (None, person) => of_person(store, person.as_deref().unwrap_or_default()).await?,
    };
    let mut err = io::stderr();
    if records.is_empty() {
        return Err(EraseError::Nobody.into());
    }
    for record in &records {
        writeln!(err, "{record}")?;
    }
    if !options.yes && !asked(records.len())? {
        return Err(EraseError::NotAsked.into());
    }
    let by = bundle.caller(env).await?;
    for record in &records {
        let done = erase(store, &SystemRuntime, record, &by, options.forget_ids).await.map_err(EraseError::from)?;
        let (deliveries, sequence) = (done.deliveries, done.sequence);
        writeln!(io::stdout(), "{record} is erased: {deliveries} deliveries blanked, audit row {sequence}")?;
    }
    writeln!(err, "{OUT_OF_REACH}")?;
    Ok(())
}

/// The records that have this value in a field of their state. What only a delivery says that was not taken over, is not
/// found.
async fn of_person(store: &DynamoStore, value: &str) -> Result<Vec<RecordKey>, CliError> {
    let is_it = |field: &serde_json::Value| field.as_str().is_some_and(|text| text.eq_ignore_ascii_case(value));
    let mut found = Vec::new();
    for kind in Kind::ALL {
        let mut cursor: Option<String> = None;
        loop {
            let page = store.records(kind, cursor.as_deref(), PAGE).await?;
            for row in page.items {
                let fields = row.state.map(|state| state.record.to_fields()).unwrap_or_default();
                if fields.as_object().is_some_and(|fields| fields.values().any(is_it)) {
                    found.push(row.key);
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

fn asked(count: usize) -> io::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    write!(io::stderr(), "Erase {count} of these for good? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
