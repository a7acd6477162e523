//! The command: what is typed, and what is printed.

use super::{Author, ConfigError, Standing, Wanted, check, enforce, file_of, parsed, past, show, wanted};
use crate::{
    CliError,
    local::{SecretsFile, add_source},
    place::{Bundle, Needs, Place},
};
use certbridge_mapping::{Definitions, SourceDefinition};
use certbridge_platform::{Env, SystemRuntime};
use certbridge_store::verify_history;
use certbridge_sync::{in_force::Control, ports::Runtime};
use clap::{Args, Subcommand};
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// See and change which definitions are in force, without a build or a deployment.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check definitions, and put them into force
    ///
    /// They are checked exactly as functions check them, and beside all others that are in force. A file in a folder
    /// `sources` or `destinations` is one of those; any other, by what it declares. Functions have it within five
    /// minutes, and `certbridge up` within a second. On a data folder, a source's missing secret is made.
    ///
    /// On AWS it takes dynamodb:Query, dynamodb:PutItem and dynamodb:DeleteItem on the state table.
    Push {
        /// The definitions
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// How
        #[command(flatten)]
        change: Change,
    },
    /// Show what is in force: all of it, or one definition as it stands
    Show {
        /// Its name: `accredible`, or `sources/accredible`
        name: Option<String>,
        /// Its versions, the newest first, and whether its history is whole
        #[arg(long, requires = "name")]
        history: bool,
        /// Print an object
        #[arg(long)]
        json: bool,
        /// Where
        #[command(flatten)]
        place: Place,
    },
    /// Put an older version into force again, as a new version
    Rollback {
        /// Its name
        name: String,
        /// The version; the one before the newest, if none is given (0 is the built-in one)
        #[arg(long, value_name = "VERSION")]
        to: Option<u64>,
        /// How
        #[command(flatten)]
        change: Change,
    },
    /// Take a definition out of force: the built-in one of its name is in force again, or none
    Withdraw {
        /// Its name
        name: String,
        /// How
        #[command(flatten)]
        change: Change,
    },
}

/// How a change is made.
#[derive(Debug, Args)]
pub struct Change {
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    /// Refuse unless this is the newest version (0: there is none yet)
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
    /// Who makes the change; the system's user, or whom AWS takes the caller for, if not given
    #[arg(long)]
    by: Option<String>,
    /// Why
    #[arg(long)]
    note: Option<String>,
    /// Where
    #[command(flatten)]
    place: Place,
}

/// Does it, where it is to be done.
pub async fn run(command: ConfigCommand, env: &Env) -> Result<(), CliError> {
    let (ConfigCommand::Push { change: Change { place, .. }, .. }
    | ConfigCommand::Show { place, .. }
    | ConfigCommand::Rollback { change: Change { place, .. }, .. }
    | ConfigCommand::Withdraw { change: Change { place, .. }, .. }) = &command;
    let bundle = place.open(env, Needs::State).await?;
    let done = run_on(&bundle, command, env).await;
    bundle.close().await?;
    done
}

async fn run_on(bundle: &Bundle, command: ConfigCommand, env: &Env) -> Result<(), CliError> {
    let store = bundle.store();
    match command {
        ConfigCommand::Push { files, change } => {
            let wanted = files.iter().map(|path| wanted(path)).collect::<Result<Vec<_>, _>>()?;
            make(bundle, &wanted, &change, env).await
        }
        ConfigCommand::Rollback { name, to, change } => {
            let wanted = past(store, &file_of(store, &name).await?, to).await?;
            make(bundle, &[wanted], &change, env).await
        }
        ConfigCommand::Withdraw { name, change } => {
            let wanted = Wanted { file: file_of(store, &name).await?, text: None };
            make(bundle, &[wanted], &change, env).await
        }
        ConfigCommand::Show { name: None, json, .. } => {
            let (standings, definitions) = (Standing::all(store).await?, in_force(bundle).await?);
            let objects = || standings.iter().map(|standing| show::object(standing, &definitions, None));
            let shown = if json {
                json!({"definitions": objects().collect::<Vec<_>>()}).to_string()
            } else {
                show::all(&standings, &definitions)
            };
            Ok(print(&format!("{shown}\n"))?)
        }
        ConfigCommand::Show { name: Some(name), history, json, .. } => show_one(bundle, &name, history, json).await,
    }
}

async fn in_force(bundle: &Bundle) -> Result<Definitions, CliError> {
    Ok(parsed(&bundle.store().control().await?.definitions))
}

async fn show_one(bundle: &Bundle, name: &str, history: bool, json: bool) -> Result<(), CliError> {
    let store = bundle.store();
    let standing = Standing::read(store, &file_of(store, name).await?).await?;
    let entries = if history { Some(store.definition_history(&standing.file).await?) } else { None };
    let shown = match (json, &entries) {
        (true, entries) => {
            let mut object = show::object(&standing, &in_force(bundle).await?, entries.as_deref());
            object["text"] = json!(standing.effective());
            format!("{object}\n")
        }
        (false, Some(entries)) => format!("{}\n", show::history(entries)),
        (false, None) => standing.effective().unwrap_or_default().to_owned(),
    };
    print(&shown)?;
    if let Some(entries) = entries {
        verify_history(&entries).map_err(ConfigError::from)?;
        hint("the history is whole: each version names the hash of the one before");
    }
    if !standing.agrees() {
        hint(&format!("{}: what is in force is not what its history says", standing.file));
    }
    Ok(())
}

/// Checks the changes, says what they come to, and makes them.
async fn make(bundle: &Bundle, changes: &[Wanted], how: &Change, env: &Env) -> Result<(), CliError> {
    let store = bundle.store();
    let mut files = BTreeSet::new();
    if let Some(twice) = changes.iter().find(|wanted| !files.insert(&wanted.file)) {
        return Err(ConfigError::Twice(twice.file.clone()).into());
    }
    let definitions = check(store, changes).await?;
    let mut standings = Vec::new();
    for wanted in changes {
        let standing = Standing::read(store, &wanted.file).await?;
        let (newest, file) = (standing.version(), standing.file.clone());
        if let Some(expected) = how.if_version.filter(|expected| *expected != newest) {
            return Err(ConfigError::NotNewest { file, newest, expected }.into());
        }
        standings.push((standing, wanted));
    }
    standings.retain(|(standing, wanted)| {
        let same = standing.in_force == wanted.text && standing.agrees();
        if same {
            hint(&format!("{}: is in force already", wanted.file));
        }
        !same
    });
    for (standing, wanted) in &standings {
        let after = wanted.text.as_deref().or_else(|| super::built_in(&wanted.file));
        print(&show::difference(&wanted.file, standing.effective(), after))?;
    }
    if standings.is_empty() || how.dry_run {
        return Ok(());
    }
    let by = match &how.by {
        Some(by) => by.clone(),
        None => bundle.caller(env).await?,
    };
    let author = Author { by, note: how.note.clone() };
    for (standing, wanted) in &standings {
        // First, so that the source is never on without a key.
        if let Some(source) = source_of(&definitions, &wanted.file) {
            provide_secret(bundle, source, standing)?;
        }
        let entry = enforce(store, standing, wanted, &author, SystemRuntime.now()).await?;
        let what = if entry.text.is_some() { "is in force" } else { "is withdrawn" };
        hint(&format!("{}: version {} {what}, by {}", entry.file, entry.version, entry.by));
    }
    hint(match bundle {
        Bundle::Local { .. } => "`certbridge up` has it within a second",
        Bundle::Deployed { .. } => "every function has it within five minutes",
    });
    Ok(())
}

fn source_of<'a>(definitions: &'a Definitions, file: &str) -> Option<&'a SourceDefinition> {
    let name = file.strip_prefix("sources/")?.strip_suffix(".toml")?;
    definitions.source(name).map(AsRef::as_ref)
}

/// On this machine, makes the secret of a source that has none; of a deployment, says which it needs.
fn provide_secret(bundle: &Bundle, source: &SourceDefinition, standing: &Standing) -> Result<(), CliError> {
    match bundle {
        Bundle::Local { data, .. } => make_secret(data, source),
        Bundle::Deployed { prefix, .. } if standing.effective().is_none() => {
            hint(&format!("{}: it is on once the secret {prefix}{} exists", standing.file, source.secret_name()));
            Ok(())
        }
        Bundle::Deployed { .. } => Ok(()),
    }
}

fn make_secret(data: &Path, source: &SourceDefinition) -> Result<(), CliError> {
    let file = SecretsFile::in_folder(data);
    let mut made = false;
    file.update(|secrets| {
        made = !secrets.contains_key(&source.secret_name());
        add_source(secrets, source, &SystemRuntime)
    })?;
    if made {
        hint(&format!("{}: made {} in it", file.path().display(), source.secret_name()));
    }
    Ok(())
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Says something that no script waits for.
fn hint(text: &str) {
    // What was asked for is done, whether anybody reads this or not.
    let _ = writeln!(io::stderr(), "{text}");
}
