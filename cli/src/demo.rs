//! `certbridge demo`: signed events of every kind through the whole way, and what became of each.

use crate::{CliError, Local, Options, local::POLL_EVERY, sign::sign, table::table};
use certbridge_mapping::{EventKey, RecordKey};
use certbridge_platform::Env;
use certbridge_sandbox::{Accredible, Credential, Fault, Snapshots};
use certbridge_sync::{
    AuditRow,
    audit::{Action, Cause},
    ports::{Inbox, Records},
    row::{InboxRow, InboxState},
    verify_chain,
};
use jiff::Timestamp;
use serde_json::{Value, json};
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
struct Scene {
    title: &'static str,
    body: Vec<u8>,
    /// Set where the sender is not who it says it is.
    forged: bool,
    /// The status that must be answered.
    answer: u16,
    /// What must become of it: the outcome of a settled event, or the state of another.
    ends: &'static str,
}

impl Scene {
    fn new(title: &'static str, body: Vec<u8>, answer: u16, ends: &'static str) -> Self {
        Self { title, body, forged: false, answer, ends }
    }
}

/// What became of a scene.
struct Seen {
    title: &'static str,
    answer: u16,
    ends: String,
    attempts: String,
    record: String,
    as_promised: bool,
}

/// Runs the demo in `data`, or in a fresh folder.
pub async fn run(data: Option<PathBuf>, env: Env) -> Result<(), CliError> {
    let fresh = tempfile::tempdir()?;
    let data = data.unwrap_or_else(|| fresh.path().to_owned());
    let local =
        Local::start(Options { data: data.clone(), port: 0, sandbox: true, poll_every: POLL_EVERY, env }).await?;
    let mut demo =
        Demo { local: &local, data, http: reqwest::Client::new(), seen: Vec::new(), started: Timestamp::now() };
    let told = demo.play().await;
    let shown = demo.show().await;
    local.shutdown().await?;
    told?;
    shown
}

struct Demo<'a> {
    local: &'a Local,
    data: PathBuf,
    http: reqwest::Client,
    seen: Vec<Seen>,
    /// Ids are made from it, so that a demo in a folder that was used before sends new events.
    started: Timestamp,
}

impl Demo<'_> {
    fn providers(&self) -> Result<(&Accredible, &Snapshots), CliError> {
        let sandbox = self.local.sandbox().ok_or_else(|| CliError::Demo("the demo needs the sandbox".into()))?;
        Ok((&sandbox.accredible, &sandbox.snapshots))
    }

    /// An id of this demo's own.
    fn id(&self, name: &str) -> String {
        format!("{name}-{}", self.started.as_millisecond())
    }

    /// An event as Accredible's forwarder would send it.
    fn event(&self, event_type: &str, id: &str, second: u32) -> Vec<u8> {
        let timestamp = self.started + Duration::from_secs(second.into());
        json!({"event_type": event_type, "certificate_id": id, "timestamp": timestamp, "source": "accredible"})
            .to_string()
            .into_bytes()
    }

    /// A certificate at the source, and its id.
    fn certificate(&self, name: &str, location: &str) -> Result<String, CliError> {
        let id = self.id(name);
        let certificate = Credential::new(&id).at_location(location).named("Food hygiene, level 1");
        self.providers()?.0.put(&id, &certificate);
        Ok(id)
    }

    async fn play(&mut self) -> Result<(), CliError> {
        self.everyday().await?;
        self.out_of_order().await?;
        self.faults().await?;
        self.unusual().await
    }

    async fn everyday(&mut self) -> Result<(), CliError> {
        let id = self.certificate("ann", "loc_london")?;
        let body = self.event("certificate_created", &id, 0);
        self.play_one(Scene::new("a new certificate", body.clone(), 202, "synced")).await?;
        self.play_one(Scene::new("the same delivery again", body.clone(), 200, "duplicate")).await?;
        let forged = Scene { forged: true, ..Scene::new("a forged delivery", body, 401, "refused") };
        self.play_one(forged).await?;
        let body = self.event("certificate_verified", &id, 1);
        self.play_one(Scene::new("somebody verified it", body, 202, "audited")).await?;
        let body = self.event("certificate_viewed", &id, 2);
        self.play_one(Scene::new("a type that is not synced", body, 200, "ignored")).await
    }

    /// Two changes, told in the wrong order.
    async fn out_of_order(&mut self) -> Result<(), CliError> {
        let id = self.certificate("ben", "loc_lyon")?;
        self.providers()?.0.update(&id, &json!({"name": "Food hygiene, level 2"}));
        let later = self.event("certificate_updated", &id, 9);
        let earlier = self.event("certificate_created", &id, 3);
        self.play_one(Scene::new("a change, told before ...", later, 202, "synced")).await?;
        self.play_one(Scene::new("... the certificate itself", earlier, 202, "unchanged")).await?;
        self.holds(&id, "title", "Food hygiene, level 2")
    }

    /// A destination that fails, loses its answer, and wants less of us.
    async fn faults(&mut self) -> Result<(), CliError> {
        let id = self.certificate("cleo", "loc_london")?;
        let path = format!("/certificates/{id}/sync");
        let fault = |fault: Fault, times: u32| fault.times(times).on("POST", &path);
        let server = self.providers()?.1.server();
        server.add_fault(fault(Fault::Status { status: 429, retry_after: Some("1".into()) }, 1));
        server.add_fault(fault(Fault::status(503), 4));
        server.add_fault(fault(Fault::AnswerLost, 1));
        let body = self.event("certificate_created", &id, 4);
        self.play_one(Scene::new("the destination fails six times", body, 202, "synced")).await?;
        self.holds(&id, "certificate_id", &id)
    }

    async fn unusual(&mut self) -> Result<(), CliError> {
        let id = self.certificate("dora", "loc_atlantis")?;
        let body = self.event("certificate_created", &id, 5);
        self.play_one(Scene::new("a location that nobody knows", body, 202, "quarantined")).await?;
        let body = self.id("this is not JSON").into_bytes();
        self.play_one(Scene::new("a proven delivery that is not JSON", body, 202, "quarantined")).await?;
        let id = self.certificate("ed", "loc_lyon")?;
        let body = self.event("certificate_created", &id, 6);
        self.play_one(Scene::new("a certificate, and then ...", body, 202, "synced")).await?;
        self.providers()?.0.delete(&id);
        let body = self.event("certificate_deleted", &id, 7);
        self.play_one(Scene::new("... its deletion", body, 202, "deleted")).await?;
        self.holds(&id, "status", "deleted")
    }

    /// Sends one delivery and waits until it has come to an end.
    async fn play_one(&mut self, scene: Scene) -> Result<(), CliError> {
        writeln!(io::stderr(), "sending: {}", scene.title)?;
        let mut headers = sign(&self.data, "accredible", &scene.body, Timestamp::now())?.headers;
        if scene.forged {
            headers.iter_mut().for_each(|(_, value)| *value = "0".repeat(64));
        }
        let url = format!("{}/webhooks/certificates", self.local.url());
        let mut request = self.http.post(url).header("content-type", "application/json").body(scene.body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = request.send().await?;
        let answer = response.status().as_u16();
        let said: Value = response.json().await?;
        let key = said["event_id"].as_str().map(|id| EventKey { source: "accredible".into(), id: id.to_owned() });
        let (ends, row) = match (answer, key) {
            (202, Some(key)) => self.ended(&key).await?,
            (200, _) => (said["status"].as_str().unwrap_or_default().to_owned(), None),
            _ => ("refused".to_owned(), None),
        };
        let event = row.as_ref().and_then(|row| row.event.as_ref());
        self.seen.push(Seen {
            title: scene.title,
            answer,
            attempts: row.as_ref().map(|row| (row.attempt + 1).to_string()).unwrap_or_default(),
            record: event.map(|event| event.record.id.to_string()).unwrap_or_default(),
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

    /// Whether the destination holds this of a certificate.
    fn holds(&self, id: &str, field: &str, wanted: &str) -> Result<(), CliError> {
        let held = self.providers()?.1.certificate(id);
        let found = held.as_ref().map(|held| &held[field]);
        if found.and_then(Value::as_str) == Some(wanted) {
            return Ok(());
        }
        Err(CliError::Demo(format!("the destination holds {found:?} as {field} of {id}, not {wanted:?}")))
    }

    /// Prints what was seen, and fails if anything was not as promised.
    async fn show(&self) -> Result<(), CliError> {
        let mut events = table(&["what was sent", "answer", "became", "attempts", "certificate", ""]);
        for seen in &self.seen {
            let mark = if seen.as_promised { "ok" } else { "WRONG" };
            events.add_row([seen.title, &seen.answer.to_string(), &seen.ends, &seen.attempts, &seen.record, mark]);
        }
        let mut trail = table(&["certificate", "row", "time", "event", "outcome", "told", "hash"]);
        let records: BTreeSet<_> = self.seen.iter().map(|seen| &seen.record).filter(|id| !id.is_empty()).collect();
        let mut rows = 0;
        for id in records {
            for row in self.chain(id).await? {
                rows += 1;
                trail.add_row(audit_cells(id, &row));
            }
        }
        let wrong = self.seen.iter().filter(|seen| !seen.as_promised).count();
        let mut out = io::stdout().lock();
        writeln!(out, "What became of each delivery\n{events}\n")?;
        writeln!(out, "The audit trail: {rows} rows, every chain is whole\n{trail}\n")?;
        if wrong > 0 {
            return Err(CliError::Demo(format!("{wrong} of {} deliveries did not end as promised", self.seen.len())));
        }
        writeln!(out, "{} deliveries, none lost", self.seen.len())?;
        Ok(())
    }

    /// A record's audit rows, once their chain is verified.
    async fn chain(&self, id: &str) -> Result<Vec<AuditRow>, CliError> {
        let key: RecordKey = format!("certificate#accredible#{id}")
            .parse()
            .map_err(|error| CliError::Demo(format!("{id} is no id: {error}")))?;
        let rows = self.local.store().audit_rows(&key).await?;
        let head = self.local.store().read(&key).await?.map(|row| row.audit).unwrap_or_default();
        verify_chain(&rows, &head).map_err(|broken| CliError::Demo(format!("{key}: {broken}")))?;
        Ok(rows)
    }
}

fn audit_cells(id: &str, row: &AuditRow) -> [String; 7] {
    let cause = match &row.cause {
        Cause::Event { event_type, .. } => event_type.clone(),
        Cause::Request { .. } => "a request".to_owned(),
        Cause::Recovery { .. } => "a recovery".to_owned(),
        Cause::Batch { .. } => "a batch".to_owned(),
    };
    let told = if row.action == Action::Pushed { "yes" } else { "no" };
    [
        id.to_owned(),
        row.sequence.to_string(),
        row.time.strftime("%H:%M:%S").to_string(),
        cause,
        row.outcome.as_str().to_owned(),
        told.to_owned(),
        row.hash[..12].to_owned(),
    ]
}
