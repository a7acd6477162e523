//! `certbridge test`: a signed event, sent to a running or deployed bundle, and followed to the destination.

use crate::{
    CliError,
    local::{SecretsFile, tables},
    place::{Bundle, Needs, Place},
    sign::{Signed, sign_with},
    table::plain,
};
use certbridge_mapping::{Definitions, EventKey, Sample, SourceDefinition, definition::Content, verify::SignError};
use certbridge_platform::{Env, SecretProvider};
use certbridge_store::DynamoStore;
use certbridge_sync::{
    AuditRow,
    audit::{Action, Cause},
    in_force::Control,
    ports::Inbox,
    row::{InboxRow, InboxState},
};
use clap::Args;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

/// How often the tables are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a definition that was just pushed is waited for.
const PUSHED_JUST_NOW: Duration = Duration::from_secs(15);
/// A record that the sandbox has from the start.
const SANDBOX_ID: &str = "100";
/// Outcomes of an event that came to its proper end.
const DONE: [&str; 4] = ["synced", "unchanged", "audited", "deleted"];

/// What is sent, and where.
#[derive(Debug, Args)]
pub struct TestOptions {
    /// The source to send as
    #[arg(long)]
    source: String,
    /// Where the bundle serves: a deployment's output `ApiUrl`. Of `certbridge up`, the data folder says it
    #[arg(long)]
    url: Option<String>,
    /// Which of the definition's `[samples]`; if none is named, one that makes a record
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// The id of the record that the sample speaks of
    #[arg(long)]
    id: Option<String>,
    /// Send this body instead of a sample
    #[arg(long, value_name = "FILE", conflicts_with_all = ["event_type", "id"])]
    body: Option<PathBuf>,
    /// Sign with the newest of the source's keys, as its sender does once a rotation has switched it over
    #[arg(long)]
    newest: bool,
    /// How long to follow it, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    /// Print an object at the end, and nothing before
    #[arg(long)]
    json: bool,
    /// Which bundle
    #[command(flatten)]
    place: Place,
}

impl TestOptions {
    /// One of a source's samples, to be followed for a minute.
    pub fn of(source: &str, url: Option<String>, place: Place) -> Self {
        let (source, wait) = (source.to_owned(), 60);
        Self { source, url, event_type: None, id: None, body: None, newest: false, wait, json: false, place }
    }
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// The bundle does not run.
    #[error("{}: `certbridge up` does not run on this folder", .0.display())]
    NotRunning(PathBuf),
    /// Nobody knows where the deployment is.
    #[error("give the deployment's address by --url: its output ApiUrl")]
    NoUrl,
    /// Nobody knows a record that the source has.
    #[error("{0} reads its records from the source's API: name one that is there by --id")]
    NeedsId(String),
    /// The deployment has no key that signs.
    #[error(
        "sources/{name}: {error}. A deployment has only what proves: ask the sender for a test event, or put the \
         sender's private key into a data folder and use `certbridge sign`"
    )]
    CannotSign {
        /// The source.
        name: String,
        /// What the key is not.
        error: SignError,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Followed {
    outcome: String,
    as_it_should: bool,
    advice: Option<String>,
}

impl Followed {
    fn done(outcome: &str) -> Self {
        Self { outcome: outcome.to_owned(), as_it_should: true, advice: None }
    }

    fn failed(outcome: &str, advice: impl Into<String>) -> Self {
        Self { outcome: outcome.to_owned(), as_it_should: false, advice: Some(advice.into()) }
    }
}

/// The way of the event, as far as it went.
struct Way {
    began: Instant,
    quiet: bool,
    stages: Vec<(Duration, String, String)>,
}

impl Way {
    fn stage(&mut self, stage: &str, detail: &str) -> io::Result<()> {
        let after = self.began.elapsed();
        if !self.quiet {
            let mut out = io::stdout().lock();
            writeln!(out, "{:>8.3} s  {stage:<12} {}", after.as_secs_f64(), plain(detail))?;
            out.flush()?;
        }
        self.stages.push((after, stage.to_owned(), detail.to_owned()));
        Ok(())
    }
}

/// Does it. Whether the event came to its proper end is the exit code.
pub async fn run(options: TestOptions, env: &Env) -> Result<ExitCode, CliError> {
    let bundle = options.place.open(env, Needs::All).await?;
    let done = run_on(&bundle, &options).await;
    bundle.close().await?;
    done
}

async fn run_on(bundle: &Bundle, options: &TestOptions) -> Result<ExitCode, CliError> {
    let url = address(bundle, options)?;
    let files = bundle.store().control().await?.definitions;
    let definitions = Definitions::in_force(files.iter().map(|(file, text)| (file.as_str(), text.as_str())));
    let source = definitions.source(&options.source);
    let source = source.ok_or_else(|| CliError::UnknownSource(options.source.clone()))?;
    let now = Timestamp::now();
    let sample = sample(bundle, options, source, now)?;
    let signed = signed(bundle, source, options.newest, &sample.body, now).await?;
    let mut way = Way { began: Instant::now(), quiet: options.json, stages: Vec::new() };
    let (mut status, mut answer) = send(&url, &signed, &sample).await?;
    // `up` reads what was pushed a moment ago within a second.
    while status == 404 && matches!(bundle, Bundle::Local { .. }) && way.began.elapsed() < PUSHED_JUST_NOW {
        tokio::time::sleep(LOOK_EVERY).await;
        (status, answer) = send(&url, &signed, &sample).await?;
    }
    let said = answer["status"].as_str().or_else(|| answer["title"].as_str()).unwrap_or_default();
    way.stage("answered", &format!("{status} {said}"))?;
    let key = answer["event_id"].as_str().map(|id| EventKey { source: source.name.clone(), id: id.to_owned() });
    let followed = match (status, &key) {
        (200 | 202, Some(key)) => follow(bundle.store(), key, &mut way, Duration::from_secs(options.wait)).await?,
        (200, None) => ignored(source, &sample),
        _ => refused(status, &source.name),
    };
    tell(options, source, key.as_ref(), &way, &followed)?;
    Ok(if followed.as_it_should { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where the bundle serves.
fn address(bundle: &Bundle, options: &TestOptions) -> Result<String, TestError> {
    match bundle {
        Bundle::Local { tables, data } => {
            let served = tables::served_at(data).filter(|_| tables.is_served());
            let served = served.ok_or_else(|| TestError::NotRunning(data.clone()))?;
            Ok(options.url.clone().unwrap_or(served))
        }
        Bundle::Deployed { .. } => options.url.clone().ok_or(TestError::NoUrl),
    }
}

fn sample(
    bundle: &Bundle,
    options: &TestOptions,
    source: &SourceDefinition,
    now: Timestamp,
) -> Result<Sample, CliError> {
    if let Some(path) = &options.body {
        let body = std::fs::read(path).map_err(CliError::file(path))?;
        return Ok(Sample {
            event_type: String::new(),
            headers: source.sample_headers("", &test_id(source), now),
            body,
        });
    }
    let missing = || match &options.event_type {
        Some(event_type) => crate::mapping::MappingError::NoSampleOf {
            source_name: source.name.clone(),
            event_type: event_type.clone(),
            known: source.samples.keys().cloned().collect(),
        },
        None => crate::mapping::MappingError::NoSample(source.name.clone()),
    };
    let wanted = options.event_type.as_deref();
    let first = source.sample(wanted, &test_id(source), now).ok_or_else(missing)?;
    let kind = source.event.types.get(&first.event_type).map(|rule| rule.kind);
    let is_hint =
        kind.and_then(|kind| source.records.get(&kind)).is_some_and(|rules| rules.content == Content::Fetched);
    let id = match (&options.id, is_hint, bundle) {
        (Some(id), _, _) => id.clone(),
        (None, false, _) => test_id(source),
        (None, true, Bundle::Local { .. }) => SANDBOX_ID.to_owned(),
        (None, true, Bundle::Deployed { .. }) => return Err(TestError::NeedsId(source.name.clone()).into()),
    };
    Ok(source.sample(wanted, &id, now).ok_or_else(missing)?)
}

/// What a record is called that no source has. Two sources' records of one id are one at the destination.
fn test_id(source: &SourceDefinition) -> String {
    format!("certbridge-test-{}", source.name)
}

async fn signed(
    bundle: &Bundle,
    source: &SourceDefinition,
    newest: bool,
    body: &[u8],
    now: Timestamp,
) -> Result<Signed, CliError> {
    match bundle {
        Bundle::Local { data, .. } => {
            let file = SecretsFile::in_folder(data);
            let secret = file.read()?.remove(&source.secret_name()).unwrap_or_default();
            sign_with(file.path(), &secret, source, newest, body, now)
        }
        Bundle::Deployed { secrets, prefix, .. } => {
            let secret = secrets.read(&source.secret_name()).await?;
            let secret = secret.and_then(|text| serde_json::from_str::<Value>(text.expose_secret()).ok());
            let place = PathBuf::from(prefix);
            sign_with(&place, &secret.unwrap_or_default(), source, newest, body, now).map_err(|error| match error {
                CliError::Sign(name, error) => TestError::CannotSign { name, error }.into(),
                other => other,
            })
        }
    }
}

async fn send(url: &str, signed: &Signed, sample: &Sample) -> Result<(u16, Value), CliError> {
    let url = format!("{}{}", url.trim_end_matches('/'), signed.path);
    let is_signed = |name: &str| signed.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let further = sample.headers.iter().filter(|(name, _)| !is_signed(name));
    let mut request = reqwest::Client::new().post(url).header("content-type", "application/json");
    for (name, value) in signed.headers.iter().chain(further) {
        request = request.header(name, value);
    }
    let response = request.body(sample.body.clone()).send().await?;
    let status = response.status().as_u16();
    Ok((status, response.json().await.unwrap_or_default()))
}

/// Follows an accepted event through the tables.
async fn follow(store: &DynamoStore, key: &EventKey, way: &mut Way, patience: Duration) -> Result<Followed, CliError> {
    let (mut is_stored, mut attempts) = (false, 0);
    loop {
        if let Some(row) = store.get(key).await? {
            if !is_stored {
                let record = row.event.as_ref().map_or_else(String::new, |event| format!(" of {}", event.record));
                way.stage("stored", &format!("event {}{record}, proven by {}", key.id, row.proven_by))?;
                is_stored = true;
            }
            if row.attempt > attempts {
                attempts = row.attempt;
                let reason = row.reason.as_deref().unwrap_or_default();
                way.stage("attempt", &format!("{attempts} failed: {reason}; the next one at {}", row.next_at))?;
            }
            if let Some(followed) = ended(store, key, &row, way).await? {
                return Ok(followed);
            }
        }
        if way.began.elapsed() > patience {
            let advice = "it is pending still, and is tried again: look at the log of sync-event, or wait longer";
            return Ok(Followed::failed("pending", advice));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How it came out, if it has.
async fn ended(
    store: &DynamoStore,
    key: &EventKey,
    row: &InboxRow,
    way: &mut Way,
) -> Result<Option<Followed>, CliError> {
    let reason = row.reason.clone().unwrap_or_default();
    match row.state {
        InboxState::Pending => Ok(None),
        InboxState::Settled => {
            if let Some(audit) = audit_of(store, key, row).await? {
                let told = match (&audit.action, &audit.destination_request_id) {
                    (Action::Pushed, Some(id)) => format!("the destination was told, its request {id}"),
                    (Action::Pushed, None) => "the destination was told".to_owned(),
                    (Action::None, _) => "the destination was told nothing".to_owned(),
                };
                way.stage("settled", &format!("{reason}: {told}"))?;
                way.stage("audited", &format!("row {} of {}, plan {}", audit.sequence, audit.record, audit.plan))?;
            } else {
                way.stage("settled", &reason)?;
            }
            Ok(Some(match DONE.contains(&reason.as_str()) {
                true => Followed::done(&reason),
                false => {
                    Followed::failed(&reason, "something newer is known of this record: send it with another --id")
                }
            }))
        }
        InboxState::Quarantined => {
            way.stage("quarantined", &reason)?;
            let advice = format!(
                "it was proven, but cannot be read or mapped, or the destination refuses it: \
                 `certbridge mapping check {} --sample FILE` shows which field",
                key.source
            );
            Ok(Some(Followed::failed("quarantined", advice)))
        }
        InboxState::Failed => {
            way.stage("failed", &reason)?;
            Ok(Some(Followed::failed("failed", "it was tried for five days: mend what the reason says, and replay it")))
        }
    }
}

async fn audit_of(store: &DynamoStore, key: &EventKey, row: &InboxRow) -> Result<Option<AuditRow>, CliError> {
    let Some(event) = &row.event else { return Ok(None) };
    let rows = store.audit_rows(&event.record).await?;
    let is_of = |audit: &AuditRow| matches!(&audit.cause, Cause::Event { id, .. } if *id == key.to_string());
    Ok(rows.into_iter().rev().find(is_of))
}

/// A type that is not synced, which is as it should be where the definition says so.
fn ignored(source: &SourceDefinition, sample: &Sample) -> Followed {
    let names = |word: &String| {
        let quoted = json!(word).to_string();
        String::from_utf8_lossy(&sample.body).contains(&quoted)
    };
    if source.event.acknowledged.iter().any(names) {
        return Followed::done("ignored");
    }
    Followed::failed("ignored", "its type is none that the definition names: see [event.types] and `acknowledged`")
}

fn refused(status: u16, name: &str) -> Followed {
    let advice = match status {
        401 => format!(
            "it is not proven: the log of webhook says which check failed. Is the key that signs the one in \
             sources/{name}, and the clock right?"
        ),
        403 => "this machine's address is none that `allowed_cidrs` allows".to_owned(),
        404 => format!(
            "there is no such source, or it is off: has sources/{name} a key? A definition that was pushed a moment \
             ago is in force within five minutes"
        ),
        413 => "the body is larger than `max_body_bytes`".to_owned(),
        _ => "it could not be stored: the log of webhook says why".to_owned(),
    };
    Followed::failed("refused", advice)
}

fn tell(
    options: &TestOptions,
    source: &SourceDefinition,
    key: Option<&EventKey>,
    way: &Way,
    followed: &Followed,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if options.json {
        let stages = way.stages.iter().map(|(after, stage, detail)| {
            json!({"after_ms": u64::try_from(after.as_millis()).unwrap_or(u64::MAX), "stage": stage, "detail": detail})
        });
        let object = json!({
            "source": source.name, "event_id": key.map(|key| &key.id), "outcome": followed.outcome,
            "ok": followed.as_it_should, "stages": stages.collect::<Vec<_>>(), "advice": followed.advice,
        });
        writeln!(out, "{object}")?;
    } else if let Some(advice) = &followed.advice {
        writeln!(out, "{}: {advice}", followed.outcome)?;
    }
    out.flush()
}
