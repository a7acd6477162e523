//! Batches and reports, on the terminal.

use crate::{CliError, batch::client::Shown};
use certbridge_report::mail;
use certbridge_sync::reconcile::Report;
use clap::ValueEnum;
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A few lines for a person
    Text,
    /// The whole report, as docs/report.schema.json describes it
    Json,
    /// One row for each record that does not match
    Csv,
    /// One page with charts
    Html,
}

impl Form {
    /// The form in which it is asked for.
    pub(super) fn fetched(self) -> &'static str {
        match self {
            Self::Text | Self::Json => "json",
            Self::Csv => "csv",
            Self::Html => "html",
        }
    }
}

/// How a batch stands that has no report.
pub(super) fn standing(batch: &Shown, form: Form) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    if form == Form::Json {
        serde_json::to_writer_pretty(&mut out, batch).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        let why = batch.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        writeln!(out, "{} {}{why}", batch.batch_id, batch.status)?;
    }
    Ok(())
}

/// A report, in its form.
pub(super) fn report(id: &str, form: Form, text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match form {
        Form::Text => {
            let report: Report = serde_json::from_str(text).map_err(io::Error::from)?;
            write!(out, "{}", mail(&report, &format!("certbridge batch show {id} --open")))?;
        }
        Form::Json | Form::Csv | Form::Html => {
            write!(out, "{}{}", text, if text.ends_with('\n') { "" } else { "\n" })?;
        }
    }
    Ok(())
}

/// Opens a page in a browser. It stays where it is: a browser may read it later.
pub(super) fn open(id: &str, page: &str) -> Result<(), CliError> {
    let path: PathBuf = std::env::temp_dir().join(format!("certbridge-{id}.html"));
    std::fs::write(&path, page).map_err(CliError::file(&path))?;
    if let Err(error) = opener::open(&path) {
        writeln!(io::stderr(), "certbridge: no browser could be opened ({error}): see {}", path.display())?;
    }
    Ok(())
}
