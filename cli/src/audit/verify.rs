//! Proving an export, with nothing but the export, the checkpoints and the public keys.

use super::{Header, Line, checkpoints, export::hex};
use crate::CliError;
use certbridge_sync::checkpoint::{Examination, Hash, Head, ProofFault, Proven, PublicKey, Scope, Witness};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

/// How it came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every row up to the last checkpoint is as it was written, and none is gone.
    Proven,
    /// Nothing is wrong with what is here, but not everything could be proven.
    Partial,
    /// Something is not as it was.
    Broken,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it came out.
    pub verdict: Verdict,
    /// The first thing that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The record that the export is about, if it is about one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// How many records have rows in it.
    pub records: u64,
    /// How many rows there are.
    pub rows: u64,
    /// How many of them are newer than the last checkpoint: they rest on IAM.
    pub newer: u64,
    /// How many checkpoints there are.
    pub checkpoints: u64,
    /// How many of them are signed themselves.
    pub signed: u64,
    /// The last one's hash, to be noted elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_checkpoint: Option<String>,
    /// What could not be proven.
    pub unproven: Vec<String>,
}

impl Finding {
    fn broken(fault: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Broken,
            fault: Some(fault.into()),
            record: None,
            records: 0,
            rows: 0,
            newer: 0,
            checkpoints: 0,
            signed: 0,
            last_checkpoint: None,
            unproven: Vec::new(),
        }
    }
}

/// Why a proof ends early.
enum Stop {
    /// Something is wrong with what is proven.
    Fault(String),
    /// It cannot even be read.
    Error(CliError),
}

impl From<ProofFault> for Stop {
    fn from(fault: ProofFault) -> Self {
        Self::Fault(fault.to_string())
    }
}

impl From<CliError> for Stop {
    fn from(error: CliError) -> Self {
        Self::Error(error)
    }
}

/// Whoever made none yet has proof of nothing, and so has who is shown none.
const NO_CHECKPOINT: &str = "there is no checkpoint here, so nothing is proven: none was made yet, or they were taken away. \
                             `certbridge audit checkpoint` makes one";

/// Proves the export of a file by the checkpoints in a folder, and finds the first fault.
///
/// # Errors
/// Something of it cannot be read at all.
pub fn verify(export: &Path, folder: &Path, keys: &[PublicKey], known: Option<&Hash>) -> Result<Finding, CliError> {
    match proven(export, folder, keys, known) {
        Ok(finding) => Ok(finding),
        Err(Stop::Fault(fault)) => Ok(Finding::broken(fault)),
        Err(Stop::Error(error)) => Err(error),
    }
}

fn proven(export: &Path, folder: &Path, keys: &[PublicKey], known: Option<&Hash>) -> Result<Finding, Stop> {
    // First of all, so that what is not there is not taken for broken.
    let mut export = BufReader::new(File::open(export).map_err(CliError::file(export))?);
    let history = checkpoints::read(folder)?;
    let history = history.map_err(|path| Stop::Fault(format!("{}: this is no checkpoint", path.display())))?;
    if history.is_empty() {
        return Err(Stop::Fault(NO_CHECKPOINT.to_owned()));
    }
    let mut witness = Witness::new(&history, keys, known)?;
    let mut unshown = Vec::new();
    for checkpoint in witness.history().to_vec() {
        if !listen(&mut witness, folder, &checkpoint)? {
            unshown.push(checkpoint.number);
        }
    }
    let (header, proven) = rows(&mut export, &witness)?;
    let mut unproven = Vec::new();
    if witness.signed() == 0 {
        unproven.push("no checkpoint is signed: accidents would be found, intent would not".to_owned());
    }
    if !witness.is_ready() {
        unproven.push("the heads of the last checkpoint are not here: nothing is known of what came last".to_owned());
    } else if !unshown.is_empty() {
        unproven.push(format!("the heads of {} earlier checkpoints are not here", unshown.len()));
    }
    if header.filters.scope() == Scope::Part {
        unproven.push(
            "the export has some rows only: each is as it was written, but rows that it lacks are not looked for"
                .to_owned(),
        );
    }
    Ok(Finding {
        verdict: if unproven.is_empty() { Verdict::Proven } else { Verdict::Partial },
        fault: None,
        record: header.filters.record,
        records: proven.records,
        rows: proven.rows,
        newer: proven.newer,
        checkpoints: history.len() as u64,
        signed: witness.signed(),
        last_checkpoint: witness.history().last().map(|last| last.hash().to_string()),
        unproven,
    })
}

/// Takes the heads of a checkpoint. `false` if they are not here.
fn listen(
    witness: &mut Witness,
    folder: &Path,
    checkpoint: &certbridge_sync::checkpoint::Checkpoint,
) -> Result<bool, Stop> {
    let files = checkpoints::heads_in(folder, checkpoint)?;
    if files.is_empty() && checkpoint.size > 0 {
        return Ok(false);
    }
    let Some(mut listening) = witness.listen(checkpoint) else { return Ok(true) };
    for path in files {
        let reader = BufReader::new(File::open(&path).map_err(CliError::file(&path))?);
        for (place, line) in reader.split(b'\n').enumerate() {
            let line = line.map_err(CliError::file(&path))?;
            let head: Head = serde_json::from_slice(&line).map_err(|_| {
                Stop::Fault(format!(
                    "{}: line {} is no head of checkpoint {}",
                    path.display(),
                    place + 1,
                    checkpoint.number
                ))
            })?;
            listening.take(&head)?;
        }
    }
    listening.end()?;
    Ok(true)
}

/// Holds the rows of an export against the witness.
fn rows(export: &mut impl BufRead, witness: &Witness) -> Result<(Header, Proven), Stop> {
    let mut digest = Sha256::new();
    let mut line = Vec::new();
    let mut next = |line: &mut Vec<u8>| -> Result<bool, CliError> {
        line.clear();
        Ok(export.read_until(b'\n', line)? > 0)
    };
    next(&mut line)?;
    let header = match serde_json::from_slice(&line) {
        Ok(Line::Header(header)) if header.export == Header::VERSION => header,
        _ => return Err(Stop::Fault("line 1: this is no export that this version reads".to_owned())),
    };
    digest.update(&line);
    let mut examination = Examination::new(witness, header.filters.scope(), header.filters.record.clone());
    let mut count = 0;
    let mut at = 1;
    let end = loop {
        at += 1;
        if !next(&mut line)? {
            break None;
        }
        let after = || match examination.last() {
            Some((record, sequence)) => format!(", after row {sequence} of {record},"),
            None => String::new(),
        };
        match serde_json::from_slice(&line) {
            Ok(Line::Row(row)) => {
                count += 1;
                examination.take(&row)?;
            }
            Ok(Line::End(end)) => break Some(end),
            _ => return Err(Stop::Fault(format!("line {at}{} cannot be read", after()))),
        }
        digest.update(&line);
    };
    let proven = examination.end()?;
    let Some(end) = end else {
        return Err(Stop::Fault(format!("the export breaks off before line {at}")));
    };
    if end.rows != count || end.sha256 != hex(&digest.finalize()) {
        let fault = "the export is not as it was written, though every row in it is: its own digest is another";
        return Err(Stop::Fault(fault.to_owned()));
    }
    if next(&mut line)? {
        return Err(Stop::Fault(format!("line {}: something stands after the end", at + 1)));
    }
    Ok((header, proven))
}
