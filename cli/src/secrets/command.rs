//! The command: what is typed, and what is printed.

use super::{
    Document, Held, SecretStore, SecretsError, Stage, advice,
    document::{API_KEY, CACHE_AGE, SIGNING_KEY, is_in_use, stage},
    is_ours,
};
use crate::{
    CliError,
    place::{Bundle, Needs, Place},
    table::{plain, table},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use certbridge_mapping::{Definitions, Keys, SourceDefinition};
use certbridge_platform::{
    Env, SystemRuntime,
    secrets::{API_KEYS, age::KeyNote},
};
use certbridge_store::Matched;
use certbridge_sync::{in_force::Control, ports::Runtime};
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// How much of the inbox is looked through for what a key has proven, in pages of a megabyte.
const PAGES: usize = 64;

/// What may be done with secrets.
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Show all secrets, how many keys each holds, and how old the oldest is
    List {
        /// Print an object
        #[arg(long)]
        json: bool,
        /// Where
        #[command(flatten)]
        place: Place,
    },
    /// Show the ids of a secret's keys, and how old they are
    Show {
        /// `sources/NAME`, `destinations/NAME` or `audit`
        name: String,
        /// Print an object
        #[arg(long)]
        json: bool,
        /// Where
        #[command(flatten)]
        place: Place,
    },
    /// Show also which keys of a source matched lately, and where its rotation stands
    Status {
        /// `sources/NAME`, `destinations/NAME` or `audit`
        name: String,
        /// Print an object
        #[arg(long)]
        json: bool,
        /// Where
        #[command(flatten)]
        place: Place,
    },
    /// Rotate a key, step by step, so that no event is refused
    ///
    /// Without a step, it says where the rotation stands and which step is next. docs/rotation.md has the order for each
    /// provider. On AWS it takes secretsmanager:GetSecretValue, secretsmanager:PutSecretValue and
    /// secretsmanager:UpdateSecretVersionStage on the one secret; dynamodb:Query on the state table and dynamodb:Scan on the inbox to see which keys match.
    Rotate(RotateArgs),
}

/// A step of a rotation.
#[derive(Debug, Clone, Args)]
pub struct RotateArgs {
    /// `sources/NAME`, `destinations/NAME`, `audit` or `api-keys`
    pub name: String,
    /// What is to be done
    pub step: Option<Step>,
    /// The new key, if somebody else has made it; `-` reads it from stdin
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Which key to take out
    #[arg(long, value_name = "KEYID")]
    pub id: Option<String>,
    /// Which member to switch; `api_key` unless it is something else
    #[arg(long, value_parser = ["api_key", "client_secret"])]
    pub member: Option<String>,
    /// Do it although it is too soon, or although the sender still uses the key
    #[arg(long)]
    pub force: bool,
    /// Print the newest key of a source again, for whoever tells it to the sender
    #[arg(long)]
    pub reveal: bool,
    /// Where
    #[command(flatten)]
    pub place: Place,
}

/// What a rotation is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// Put a new key beside the old one
    Add,
    /// Say where the sender is told the new key; of a destination, an API and the audit: put the new one in place
    Switch,
    /// Take an old key out
    Remove,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Switch => "switch",
            Self::Remove => "remove",
        }
    }
}

/// What the tables tell of a source.
struct Told {
    source: Arc<SourceDefinition>,
    /// `None` where the tables cannot be read.
    matched: Option<Matched>,
}

/// Does it, where it is to be done.
pub async fn run(command: SecretsCommand, env: &Env) -> Result<(), CliError> {
    match command {
        SecretsCommand::List { json, place } => list(&SecretStore::open(&place, env).await?, json).await,
        SecretsCommand::Show { name, json, place } => {
            let held = held(&SecretStore::open(&place, env).await?, &name).await?;
            Ok(print(&shown(&name, &held, None, json))?)
        }
        SecretsCommand::Status { name, json, place } => {
            let store = SecretStore::open(&place, env).await?;
            let held = held(&store, &name).await?;
            let told = told(&name, &place, env).await?;
            let matched = told.as_ref().and_then(|told| told.matched.as_ref());
            print(&shown(&name, &held, matched, json))?;
            if !json {
                hint(&next(&name, &held, told.as_ref()));
            }
            Ok(())
        }
        SecretsCommand::Rotate(args) => rotate(args, env).await,
    }
}

async fn held(store: &SecretStore, name: &str) -> Result<Held, CliError> {
    if !is_ours(name) {
        return Err(SecretsError::Name(name.to_owned()).into());
    }
    Ok(store.read(name).await?.ok_or_else(|| SecretsError::Missing(name.to_owned()))?)
}

async fn list(store: &SecretStore, as_json: bool) -> Result<(), CliError> {
    let now = SystemRuntime.now();
    let (mut objects, mut rows) = (Vec::new(), table(&["secret", "keys", "oldest"]));
    for name in store.names().await? {
        let Some(held) = store.read(&name).await? else { continue };
        // The keys of our own API have a command of their own, which knows their owners and ends.
        let keys = held.document.keys();
        // One whose age nobody knows may be the oldest.
        let ages: Option<Vec<_>> = keys.iter().map(|key| days(key, held.since, now)).collect();
        let days = ages.unwrap_or_default().into_iter().max();
        objects.push(json!({"secret": name, "keys": keys.len(), "oldest_days": days.map(|days| days.0)}));
        let (count, oldest) = match name.as_str() {
            API_KEYS => ("-".to_owned(), "see `certbridge keys list`".to_owned()),
            _ if keys.is_empty() => ("0".to_owned(), "-".to_owned()),
            _ => (keys.len().to_string(), age(days)),
        };
        rows.add_row([plain(&name), count, oldest]);
    }
    Ok(print(&if as_json { json!({"secrets": objects}).to_string() } else { rows.to_string() })?)
}

/// How many days old a key is, and whether it may be older.
fn days(key: &KeyNote, since: Option<Timestamp>, now: Timestamp) -> Option<(i64, bool)> {
    let (at, at_least) = key.added.map(|at| (at, false)).or(since.map(|at| (at, true)))?;
    Some((now.duration_since(at).as_hours() / 24, at_least))
}

fn age(days: Option<(i64, bool)>) -> String {
    match days {
        None => "unknown".to_owned(),
        Some((days, at_least)) => format!("{}{days} d", if at_least { "at least " } else { "" }),
    }
}

fn shown(name: &str, held: &Held, matched: Option<&Matched>, as_json: bool) -> String {
    let now = SystemRuntime.now();
    let keys = held.document.keys();
    let last = |key: &KeyNote| matched.and_then(|matched| matched.last.get(&key.id)).copied();
    if as_json {
        let keys = keys.iter().map(|key| {
            json!({"member": key.member, "id": key.id, "added": key.added, "last_matched": last(key),
                "age_days": days(key, held.since, now).map(|days| days.0)})
        });
        let whole = matched.map(|matched| matched.whole);
        return json!({"secret": name, "keys": keys.collect::<Vec<_>>(), "inbox_whole": whole}).to_string();
    }
    let mut shown = table(&["member", "key", "added", "age", "last matched"]);
    for key in &keys {
        let added = key.added.map_or("unknown".to_owned(), |at| at.to_string());
        let last = match (matched, last(key)) {
            (_, Some(at)) => at.to_string(),
            (Some(_), None) if key.member == super::document::SIGNING => "not seen".to_owned(),
            _ => String::new(),
        };
        shown.add_row([key.member.to_owned(), key.id.clone(), added, age(days(key, held.since, now)), last]);
    }
    shown.to_string()
}

/// The definition of the source that a secret is of, and which of its keys match.
async fn told(name: &str, place: &Place, env: &Env) -> Result<Option<Told>, CliError> {
    let Some(source) = name.strip_prefix("sources/") else { return Ok(None) };
    let built_in = || Definitions::built_in().source(source).cloned();
    let unknown = || CliError::UnknownSource(source.to_owned());
    let (definition, matched) = match place.open(env, Needs::All).await {
        Ok(bundle) => {
            let told = in_tables(&bundle, source).await;
            bundle.close().await?;
            told?
        }
        // The secret is there before the tables are.
        Err(error) => {
            hint(&format!("which keys match is not known: {error}"));
            (built_in(), None)
        }
    };
    Ok(Some(Told { source: definition.ok_or_else(unknown)?, matched }))
}

async fn in_tables(
    bundle: &Bundle,
    source: &str,
) -> Result<(Option<Arc<SourceDefinition>>, Option<Matched>), CliError> {
    let files = bundle.store().control().await?.definitions;
    let definitions = Definitions::in_force(files.iter().map(|(file, text)| (file.as_str(), text.as_str())));
    let matched = bundle.store().keys_matched(source, PAGES).await?;
    if !matched.whole {
        hint("the inbox is larger than was looked through: the metric KeyMatched, by Source and Key, tells all of it");
    }
    Ok((definitions.source(source).cloned(), Some(matched)))
}

/// Where a rotation stands, and what comes next.
fn next(name: &str, held: &Held, told: Option<&Told>) -> String {
    let rotate = format!("certbridge secrets rotate {name}");
    let Some(Told { source, matched }) = told else {
        return match name.strip_prefix("destinations/") {
            Some(destination) => advice::destination(destination),
            None if name == "audit" => advice::AUDIT.to_owned(),
            None => String::new(),
        };
    };
    let last = matched.as_ref().map(|matched| matched.last.clone()).unwrap_or_default();
    match stage(&held.document.signing(), &last, SystemRuntime.now()) {
        Stage::Off => format!("It has no signing key, so the source is off.\nnext: {rotate} add"),
        Stage::Add => match advice::given_by(source) {
            None => format!("It has one signing key.\nnext: {rotate} add"),
            Some(by) => format!("It has one signing key. The new one is given: {by}"),
        },
        Stage::Wait { new, until } => {
            format!("{new} is not known to every function before {until}.\nnext, from then on: {rotate} switch")
        }
        Stage::Switch { new } => {
            format!(
                "Every function knows {new}, and nothing has come under it.\nnext: {rotate} switch\n{}",
                advice::set_where(source)
            )
        }
        Stage::Drain { old, at } => format!(
            "{old} still matches, last at {at}. What was sent before the switch may be sent again: wait until nothing comes \
             under it for five minutes, and for as long as the sender tries again.\nnext, then: {rotate} remove --id {old}"
        ),
        Stage::Remove { old } => format!("Nothing comes under {old} any more.\nnext: {rotate} remove --id {old}"),
    }
}

async fn rotate(args: RotateArgs, env: &Env) -> Result<(), CliError> {
    let name = args.name.as_str();
    if name == "api-keys" {
        return Err(SecretsError::ApiKeys.into());
    }
    let store = SecretStore::open(&args.place, env).await?;
    let held = held(&store, name).await?;
    let is_source = name.starts_with("sources/");
    let of_signing = is_source && args.member.is_none();
    match args.step {
        Some(Step::Switch) if !of_signing => return replace(&store, &args).await,
        Some(step) if !of_signing => return Err(SecretsError::Step { name: name.to_owned(), step: step.name() }.into()),
        _ => {}
    }
    let told = told(name, &args.place, env).await?;
    let Some((step, told)) = args.step.zip(told.as_ref()) else {
        let matched = told.as_ref().and_then(|told| told.matched.as_ref());
        print(&shown(name, &held, matched, false))?;
        hint(&next(name, &held, told.as_ref()));
        return Ok(());
    };
    match step {
        Step::Add => add(&store, &args, &told.source).await,
        Step::Switch => switch(&args, &held.document, told),
        Step::Remove => remove(&store, &args, &held.document, told).await,
    }
}

async fn add(store: &SecretStore, args: &RotateArgs, source: &SourceDefinition) -> Result<(), CliError> {
    let name = args.name.as_str();
    let given = args.key_file.as_deref().map(read_key).transpose()?;
    let is_made = given.is_none();
    let key = match given {
        Some(key) => key,
        None => match advice::given_by(source) {
            Some(by) => return Err(SecretsError::Given(by).into()),
            None => fresh_key(source, &SystemRuntime)?,
        },
    };
    if !is_usable(source, &key) {
        return Err(SecretsError::Unusable(name.to_owned()).into());
    }
    let now = SystemRuntime.now();
    let mut id = String::new();
    store.update(name, |document| document.add(&key, now).map(|added| id = added)).await?;
    if is_made {
        print(key.expose_secret())?;
        hint("This is the new key, for the sender alone. `switch --reveal` shows it again.");
    }
    hint(&format!(
        "{id} stands beside the others in {name} of {}. Every function knows it from {} on.\nnext, from then on: certbridge \
         secrets rotate {name} switch",
        store.place(),
        soon(now),
    ));
    Ok(())
}

fn soon(now: Timestamp) -> String {
    format!("{:.0}", now + CACHE_AGE)
}

/// Says where the sender is told the new key.
fn switch(args: &RotateArgs, document: &Document, told: &Told) -> Result<(), CliError> {
    let keys = document.signing();
    let Some((new, [_, ..])) = keys.split_last() else {
        return Err(SecretsError::OnlyOne(args.name.clone()).into());
    };
    let until = new.added.map(|added| added + CACHE_AGE).filter(|until| SystemRuntime.now() < *until);
    if let Some(until) = until.filter(|_| !args.force) {
        return Err(SecretsError::TooSoon(until).into());
    }
    let keys = document.signing_texts()?;
    if let Some(key) = keys.last().filter(|_| args.reveal) {
        print(key.expose_secret())?;
    }
    hint(&format!("Tell the sender the key {}.\n{}", new.id, advice::set_where(&told.source)));
    if !args.reveal {
        hint("--reveal prints it, on stdout and alone.");
    }
    hint(&format!("next, once `certbridge secrets status {}` shows that it matches: remove the old one", args.name));
    Ok(())
}

async fn remove(store: &SecretStore, args: &RotateArgs, document: &Document, told: &Told) -> Result<(), CliError> {
    let name = args.name.as_str();
    let id = args.id.as_deref().ok_or_else(|| SecretsError::NoId(name.to_owned()))?;
    let last = told.matched.as_ref().map(|matched| &matched.last);
    if let Some(at) = last.and_then(|last| is_in_use(id, last)) {
        if !args.force && document.signing().len() > 1 {
            return Err(SecretsError::InUse { id: id.to_owned(), at }.into());
        }
    } else if let Some(at) = last.and_then(|last| last.get(id)) {
        hint(&format!("{id} last proved an event at {at}; what comes under it from now on is refused"));
    }
    let source = &told.source;
    store
        .update(name, |document| {
            document.remove(id)?;
            let usable = document.signing_texts()?.iter().any(|key| is_usable(source, key));
            if usable { Ok(()) } else { Err(SecretsError::Last(name.to_owned())) }
        })
        .await?;
    hint(&format!("{id} is taken out of {name}, and dead within five minutes: from {} on", soon(SystemRuntime.now())));
    Ok(())
}

/// Puts a key in the place of the one that is there: whoever made it lets both in for a while.
async fn replace(store: &SecretStore, args: &RotateArgs) -> Result<(), CliError> {
    let name = args.name.as_str();
    let now = SystemRuntime.now();
    let given = args.key_file.as_deref().map(read_key).transpose()?;
    if name == "audit" {
        let key = given.unwrap_or_else(|| fresh_signer(&SystemRuntime));
        let mut public = String::new();
        store.update(name, |document| document.replace_signer(&key, now).map(|new| public = new)).await?;
        print(&public)?;
        hint(&format!(
            "This is the new public key; note it elsewhere. The old one's stands in {name}, in `retired_public_keys`, and goes \
             on proving what it signed. batch-sync signs with the new {SIGNING_KEY} five minutes later at the latest."
        ));
        return Ok(());
    }
    let by = "whoever lets us in makes it: give it by --key-file FILE, or --key-file - for stdin";
    let key = given.ok_or_else(|| SecretsError::Given(by.to_owned()))?;
    let member = args.member.as_deref().unwrap_or(API_KEY);
    let mut id = String::new();
    store
        .update(name, |document| {
            id = document.replace(member, &key, now);
            Ok(())
        })
        .await?;
    hint(&format!(
        "{member} of {name} is {id} now. Every function uses it at the first refusal of the old one, and from {} on in any \
         case. Revoke the old one where it was made, not before then.",
        soon(now)
    ));
    Ok(())
}

/// A key of a source's scheme, made by us.
pub(crate) fn fresh_key(source: &SourceDefinition, runtime: &impl Runtime) -> Result<SecretString, CliError> {
    let mut random = [0; 32];
    random[..16].copy_from_slice(&runtime.random().to_be_bytes());
    random[16..].copy_from_slice(&runtime.random().to_be_bytes());
    let pair = source.new_key(&random).map_err(|error| CliError::Sign(source.name.clone(), error))?;
    Ok(pair.signing)
}

/// A key that signs checkpoints.
pub(crate) fn fresh_signer(runtime: &impl Runtime) -> SecretString {
    let seed = [runtime.random().to_be_bytes(), runtime.random().to_be_bytes()].concat();
    BASE64_STANDARD.encode(seed).into()
}

/// Whether a scheme can use a key.
pub(crate) fn is_usable(source: &SourceDefinition, key: &SecretString) -> bool {
    Keys::new([key.clone()]).is_some_and(|keys| source.unusable_keys(&keys).is_empty())
}

/// A key that somebody has put into a file, or sends along.
pub(crate) fn read_key(path: &Path) -> Result<SecretString, CliError> {
    let mut text = String::new();
    if path == Path::new("-") {
        io::stdin().lock().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(path).map_err(CliError::file(path))?;
    }
    let key = SecretString::from(text.trim());
    if key.expose_secret().is_empty() { Err(SecretsError::Empty.into()) } else { Ok(key) }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Says something that no script waits for.
fn hint(text: &str) {
    // What was asked for is done, whether anybody reads this or not.
    let _ = writeln!(io::stderr(), "{text}");
}
