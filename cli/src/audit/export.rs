//! Taking the trail out of the tables.

use super::lines::{End, Header, Line};
use crate::CliError;
use certbridge_mapping::RecordKey;
use certbridge_store::DynamoStore;
use certbridge_sync::{AuditRow, audit::Actor, checkpoint::Scope};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{self, Write};

/// How many rows are read at once.
const PAGE: usize = 1000;

/// Which rows are wanted; all of them, if nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filters {
    /// Of this record, as `kind#source#id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// By this actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

impl Filters {
    /// Which rows that makes, as far as a proof is concerned.
    pub fn scope(&self) -> Scope {
        match self {
            Self { from: None, to: None, actor: None, record: None } => Scope::Whole,
            Self { from: None, to: None, actor: None, record: Some(_) } => Scope::Record,
            _ => Scope::Part,
        }
    }

    fn take(&self, row: &AuditRow) -> bool {
        self.from.is_none_or(|from| row.time >= from)
            && self.to.is_none_or(|to| row.time < to)
            && self.actor.as_deref().is_none_or(|actor| name_of(&row.actor) == actor)
    }
}

/// What an actor is called.
fn name_of(actor: &Actor) -> &str {
    match actor {
        Actor::Source { name, .. } => name,
        Actor::Caller { owner } => owner,
        Actor::Operator { name } => name,
        Actor::Recovery => "recovery",
        Actor::Reconciliation => "reconciliation",
    }
}

/// What was taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// How many rows.
    pub rows: u64,
    /// Of how many records.
    pub records: u64,
    /// How many rows were read.
    pub read: u64,
}

/// Writes the rows as they come, and holds no more than a page of them. Tells how many were read, now and then.
///
/// # Errors
/// The tables cannot be read, or the export cannot be written.
pub async fn export(
    store: &DynamoStore,
    filters: &Filters,
    now: Timestamp,
    out: impl Write,
    told: impl Fn(u64),
) -> Result<Exported, CliError> {
    let mut out = Digesting { out, digest: Sha256::new() };
    let header = Header { export: Header::VERSION, time: now, filters: filters.clone() };
    out.line(&Line::Header(header))?;
    let record = filters.record.as_deref().map(str::parse::<RecordKey>).transpose();
    let record = record.map_err(io::Error::other)?;
    let mut exported = Exported { rows: 0, records: 0, read: 0 };
    let (mut cursor, mut last) = (None::<String>, None::<String>);
    loop {
        let page = store.audit_page(record.as_ref(), cursor.as_deref(), PAGE).await?;
        exported.read += page.items.len() as u64;
        for row in page.items.into_iter().filter(|row| filters.take(row)) {
            if last.as_ref() != Some(&row.record) {
                exported.records += 1;
                last = Some(row.record.clone());
            }
            exported.rows += 1;
            out.line(&Line::Row(Box::new(row)))?;
        }
        told(exported.read);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let sha256 = hex(&out.digest.clone().finalize());
    out.line(&Line::End(End { rows: exported.rows, sha256 }))?;
    out.out.flush()?;
    Ok(exported)
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Digesting<W> {
    out: W,
    digest: Sha256,
}

impl<W: Write> Digesting<W> {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.digest.update(&text);
        self.out.write_all(&text)
    }
}
