//! `certbridge notifications`: tells again what the audit trail says.

use crate::{
    CliError,
    local::SecretsFile,
    local::notices::{self, LocalNotices},
    place::{Bundle, Needs, Place},
};
use certbridge_mapping::RecordKey;
use certbridge_platform::{Env, Secrets, SystemRuntime, aws};
use certbridge_remote::hooks::Reach;
use certbridge_store::{DynamoStore, EventBridgeBus};
use certbridge_sync::{
    AuditRow,
    notice::{Bus, Notice},
};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget};
use jiff::Timestamp;
use serde_json::json;
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

/// How many audit rows are read at once.
const PAGE: usize = 500;

/// Notifications of what happened.
#[derive(Debug, Subcommand)]
pub enum NotificationsCommand {
    /// Put the notifications of audit rows onto the bus again, under the same ids
    ///
    /// They are marked `replay: true`. Whoever had one already drops it by its id. The whole audit table is read unless
    /// one record is asked for.
    Replay(Replay),
}

/// Which notifications are told again, and where.
#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    place: Place,
    /// From when on, as in 2026-03-01T00:00:00Z
    #[arg(long)]
    from: Timestamp,
    /// Until when; now, if not given
    #[arg(long)]
    to: Option<Timestamp>,
    /// Only of one record: KIND/SOURCE/ID
    #[arg(long, value_parser = record)]
    record: Option<RecordKey>,
    /// The bus of a deployment; `EVENT_BUS`, if not given
    #[arg(long)]
    bus: Option<String>,
    /// Of a data folder: endpoints may be on this machine
    #[arg(long)]
    allow_local_endpoints: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Why nothing is told.
#[derive(Debug, thiserror::Error)]
pub enum NotificationsError {
    /// Nobody says where to.
    #[error("which bus? give --bus, or set EVENT_BUS: the stack's output EventBusName has its name")]
    NoBus,
}

/// What was told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Told {
    read: u64,
    sent: u64,
    unsent: u64,
}

fn record(text: &str) -> Result<RecordKey, String> {
    text.replacen('/', "#", 2)
        .parse()
        .map_err(|_| "a record is KIND/SOURCE/ID, as in certificate/accredible/100".into())
}

/// Runs one of the commands. The exit code is 1 if something was not taken.
pub async fn run(command: NotificationsCommand, env: &Env) -> Result<ExitCode, CliError> {
    let NotificationsCommand::Replay(replay) = command;
    let bundle = replay.place.open(env, Needs::All).await?;
    let told = replay.tell(&bundle, env).await;
    bundle.close().await?;
    let (told, undelivered) = told?;
    let mut out = io::stdout().lock();
    if replay.json {
        let Told { read, sent, unsent } = told;
        writeln!(out, "{}", json!({"read": read, "sent": sent, "unsent": unsent, "undelivered": undelivered}))?;
    } else {
        writeln!(out, "{} audit rows read, {} notifications put again", told.read, told.sent)?;
        if told.unsent > 0 {
            writeln!(out, "{} were not taken: run it again, nobody is told twice under another id", told.unsent)?;
        }
        if undelivered > 0 {
            writeln!(
                out,
                "{undelivered} deliveries failed, and are not tried again by this command: the log on stderr says why{}",
                if replay.allow_local_endpoints { "" } else { ". On this machine it takes --allow-local-endpoints" }
            )?;
        }
    }
    Ok(if told.unsent + undelivered == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Replay {
    /// What was told, and how many deliveries failed: on AWS the queue sees to those.
    async fn tell(&self, bundle: &Bundle, env: &Env) -> Result<(Told, u64), CliError> {
        match bundle {
            Bundle::Deployed { store, .. } => {
                let bus = self.bus.clone().or_else(|| env.get("EVENT_BUS")).ok_or(NotificationsError::NoBus)?;
                let bus = EventBridgeBus::new(aws_sdk_eventbridge::Client::new(&aws::sdk_config().await), bus);
                Ok((self.put(store, &bus).await?, 0))
            }
            Bundle::Local { tables, data } => {
                let (bus, mut messages) = LocalNotices::new();
                let secrets = Arc::new(Secrets::new(SecretsFile::in_folder(data), SystemRuntime));
                let reach = if self.allow_local_endpoints { Reach::ThisMachineToo } else { Reach::Public };
                let deliver = notices::deliver(&bus, tables.store(), &secrets, reach);
                let deliver = deliver.map_err(certbridge_wiring::WiringError::from)?;
                let told = self.put(tables.store(), &bus).await?;
                Ok((told, notices::deliver_once(&deliver, &mut messages).await as u64))
            }
        }
    }

    async fn put(&self, store: &DynamoStore, bus: &impl Bus) -> Result<Told, CliError> {
        let mut told = Told::default();
        let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let mut cursor = None;
        loop {
            let page = store.audit_page(self.record.as_ref(), cursor.as_deref(), PAGE).await?;
            self.put_rows(&page.items, bus, &mut told).await;
            progress.set_message(format!("{} rows read, {} notifications", told.read, told.sent));
            progress.tick();
            cursor = page.next;
            if cursor.is_none() {
                progress.finish_and_clear();
                return Ok(told);
            }
        }
    }

    async fn put_rows(&self, rows: &[AuditRow], bus: &impl Bus, told: &mut Told) {
        let within = |at: Timestamp| at >= self.from && self.to.is_none_or(|to| at <= to);
        let wanted = rows.iter().filter(|row| within(row.time));
        let notices: Vec<_> = wanted.filter_map(Notice::of_audit).map(Notice::again).collect();
        let unsent = if notices.is_empty() { 0 } else { bus.put(&notices).await.len() };
        told.read += rows.len() as u64;
        told.sent += (notices.len() - unsent) as u64;
        told.unsent += unsent as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_named_by_a_path() {
        let key = record("certificate/accredible/a.b-7").unwrap();
        assert_eq!(key.to_string(), "certificate#accredible#a.b-7");
        for wrong in
            ["certificate/accredible", "nothing/accredible/1", "", "certificate//1", "certificate/accredible/1/2"]
        {
            assert!(record(wrong).is_err(), "{wrong}");
        }
    }
}
