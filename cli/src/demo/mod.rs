//! `certbridge demo`: signed events of every source and kind through the whole way, what became of each, and what arrived.

mod destination;
mod scenes;

use crate::{
    CliError, Local, Options,
    local::{POLL_EVERY, Sandbox},
    sign::sign,
    table::table,
};
use certbridge_mapping::{EventKey, RecordKey};
use certbridge_platform::Env;
use certbridge_sync::{
    AuditRow,
    audit::{Action, Cause},
    ports::{Inbox, Records},
    row::{InboxRow, InboxState},
    verify_chain,
};
use destination::Arrived;
use jiff::Timestamp;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

/// How long an event may take. The longest one waits for the retry queue once, about five seconds.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What is sent, and what must become of it.
struct Scene<'a> {
    source: &'static str,
    title: &'a str,
    body: Vec<u8>,
    /// The headers that this sender adds, besides those that prove it.
    headers: Vec<(String, String)>,
    /// Set where the sender is not who it says it is.
    forged: bool,
    /// The status that must be answered.
    answer: u16,
    /// What must become of it: the outcome of a settled event, or the state of another.
    ends: &'static str,
}

impl<'a> Scene<'a> {
    fn new(source: &'static str, title: &'a str, body: &Value, answer: u16, ends: &'static str) -> Self {
        let body = body.to_string().into_bytes();
        Self { source, title, body, headers: Vec::new(), forged: false, answer, ends }
    }
}

/// What became of a scene.
struct Seen {
    source: &'static str,
    title: String,
    answer: u16,
    ends: String,
    attempts: String,
    record: Option<RecordKey>,
    as_promised: bool,
}

/// Runs the demo in `data`, or in a fresh folder, to this destination of the sandbox's.
pub async fn run(data: Option<PathBuf>, destination: String, env: Env) -> Result<(), CliError> {
    let fresh = tempfile::tempdir()?;
    let data = data.unwrap_or_else(|| fresh.path().to_owned());
    let options = Options {
        data: data.clone(),
        port: 0,
        sandbox: true,
        destination: Some(destination.clone()),
        poll_every: POLL_EVERY,
        env,
    };
    let local = Local::start(options).await?;
    let http = reqwest::Client::new();
    let ids = Ids { started: Timestamp::now() };
    let mut demo = Demo { local: &local, data, destination, http, seen: Vec::new(), arrived: Vec::new(), ids };
    let told = demo.play().await;
    let shown = demo.show().await;
    local.shutdown().await?;
    told?;
    shown
}

struct Demo<'a> {
    local: &'a Local,
    data: PathBuf,
    destination: String,
    http: reqwest::Client,
    seen: Vec<Seen>,
    arrived: Vec<Arrived>,
    ids: Ids,
}

/// Ids of this demo's own, by the time of its start: one in a folder that was used before sends new events.
#[derive(Clone, Copy)]
struct Ids {
    started: Timestamp,
}

impl Ids {
    fn id(self, name: &str) -> String {
        format!("{name}-{}", self.started.as_millisecond())
    }

    /// An id for who wants a UUID.
    fn uuid(self, number: u8) -> String {
        format!("00000000-0000-4000-80{number:02x}-{:012x}", self.started.as_millisecond())
    }

    /// A time of this demo, so many seconds after its start.
    fn at(self, second: u32) -> Timestamp {
        self.started + Duration::from_secs(second.into())
    }
}

impl Demo<'_> {
    fn sandbox(&self) -> Result<&Sandbox, CliError> {
        self.local.sandbox().ok_or_else(|| CliError::Demo("the demo needs the sandbox".into()))
    }

    /// Sends one delivery and waits until it has come to an end.
    async fn play_one(&mut self, scene: Scene<'_>) -> Result<(), CliError> {
        writeln!(io::stderr(), "sending: {}: {}", scene.source, scene.title)?;
        let signed = sign(&self.data, scene.source, &scene.body, Timestamp::now())?;
        let mut headers = signed.headers;
        if scene.forged {
            headers.iter_mut().for_each(|(_, value)| *value = "0".repeat(64));
        }
        let url = format!("{}{}", self.local.url(), signed.path);
        let mut request = self.http.post(url).header("content-type", "application/json").body(scene.body);
        for (name, value) in headers.into_iter().chain(scene.headers) {
            request = request.header(name, value);
        }
        let response = request.send().await?;
        let answer = response.status().as_u16();
        let said: Value = response.json().await?;
        let key = said["event_id"].as_str().map(|id| EventKey { source: scene.source.into(), id: id.to_owned() });
        let (ends, row) = match (answer, key) {
            (202, Some(key)) => self.ended(&key).await?,
            (200, _) => (said["status"].as_str().unwrap_or_default().to_owned(), None),
            _ => ("refused".to_owned(), None),
        };
        let event = row.as_ref().and_then(|row| row.event.as_ref());
        self.seen.push(Seen {
            source: scene.source,
            title: scene.title.to_owned(),
            answer,
            attempts: row.as_ref().map(|row| (row.attempt + 1).to_string()).unwrap_or_default(),
            record: event.map(|event| event.record.clone()),
            as_promised: answer == scene.answer && ends == scene.ends,
            ends,
        });
        Ok(())
    }

    /// How an accepted event came out.
    async fn ended(&self, key: &EventKey) -> Result<(String, Option<InboxRow>), CliError> {
        let patience = tokio::time::Instant::now() + PATIENCE;
        loop {
            let row = self.local.store().get(key).await?;
            let state = row.as_ref().map(|row| row.state);
            if tokio::time::Instant::now() > patience {
                return Ok(("lost".to_owned(), row));
            }
            match (state, &row) {
                (Some(InboxState::Settled), Some(found)) => return Ok((found.reason.clone().unwrap_or_default(), row)),
                (Some(InboxState::Pending) | None, _) => tokio::time::sleep(LOOK_AGAIN).await,
                (Some(state), _) => return Ok((state.as_str().to_owned(), row)),
            }
        }
    }

    /// Prints what was seen, and fails if anything was not as promised.
    async fn show(&self) -> Result<(), CliError> {
        let mut events = table(&["source", "what was sent", "answer", "became", "attempts", "record", ""]);
        for seen in &self.seen {
            let mark = if seen.as_promised { "ok" } else { "WRONG" };
            let record = seen.record.as_ref().map(shown).unwrap_or_default();
            let answer = seen.answer.to_string();
            events.add_row([seen.source, &seen.title, &answer, &seen.ends, &seen.attempts, &record, mark]);
        }
        let mut trail = table(&["record", "row", "time", "event", "outcome", "told", "hash"]);
        let records: BTreeSet<_> = self.seen.iter().filter_map(|seen| seen.record.as_ref()).collect();
        let mut rows = 0;
        for key in records {
            for row in self.chain(key).await? {
                rows += 1;
                trail.add_row(audit_cells(key, &row));
            }
        }
        let mut arrived = table(&["record", "field", "holds", ""]);
        for Arrived { record, field, found, as_promised } in &self.arrived {
            arrived.add_row([record.as_str(), field, found, if *as_promised { "ok" } else { "WRONG" }]);
        }
        let wrong = self.seen.iter().filter(|seen| !seen.as_promised).count();
        let amiss = self.arrived.iter().filter(|arrived| !arrived.as_promised).count();
        let mut out = io::stdout().lock();
        writeln!(out, "What became of each delivery\n{events}\n")?;
        writeln!(out, "What {} holds of it\n{arrived}\n", self.destination)?;
        writeln!(out, "The audit trail: {rows} rows, every chain is whole\n{trail}\n")?;
        if wrong > 0 {
            return Err(CliError::Demo(format!("{wrong} of {} deliveries did not end as promised", self.seen.len())));
        }
        if amiss > 0 {
            return Err(CliError::Demo(format!("{amiss} records did not arrive at {} as promised", self.destination)));
        }
        writeln!(out, "{} deliveries, none lost", self.seen.len())?;
        Ok(())
    }

    /// A record's audit rows, once their chain is verified.
    async fn chain(&self, key: &RecordKey) -> Result<Vec<AuditRow>, CliError> {
        let rows = self.local.store().audit_rows(key).await?;
        let head = self.local.store().read(key).await?.map(|row| row.audit).unwrap_or_default();
        verify_chain(&rows, &head).map_err(|broken| CliError::Demo(format!("{key}: {broken}")))?;
        Ok(rows)
    }
}

/// A record in few words: its source stands beside it.
fn shown(key: &RecordKey) -> String {
    format!("{} {}", key.kind, key.id)
}

fn audit_cells(key: &RecordKey, row: &AuditRow) -> [String; 7] {
    let cause = match &row.cause {
        Cause::Event { event_type, .. } => event_type.clone(),
        Cause::Request { .. } => "a request".to_owned(),
        Cause::Recovery { .. } => "a recovery".to_owned(),
        Cause::Batch { .. } => "a batch".to_owned(),
        Cause::Command { .. } => "a command".to_owned(),
    };
    let told = if row.action == Action::Pushed { "yes" } else { "no" };
    [
        shown(key),
        row.sequence.to_string(),
        row.time.strftime("%H:%M:%S").to_string(),
        cause,
        row.outcome.as_str().to_owned(),
        told.to_owned(),
        row.hash[..12].to_owned(),
    ]
}
