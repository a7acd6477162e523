use crate::{
    CliError,
    batch::{
        client::{Client, Shown},
        show::{self, Form},
    },
};
use certbridge_mapping::Kind;
use certbridge_sync::reconcile::Verdict;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// How often a batch is looked at that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the exit code tells, for `--help`.
const EXIT_CODES: &str = "Exit codes: 0 everything matches; 3 what differed was repaired (or would be, in a dry run); \
                          4 a person must decide something; 1 it failed, or could not be run; 2 a wrong command line";

/// Start batches, and see how they stand and how they came out
#[derive(Debug, Subcommand)]
pub enum BatchCommand {
    /// Compare both sides, repair what differs, and report; or tell the destination of given records
    #[command(after_help = EXIT_CODES)]
    Run {
        /// Where to
        #[command(flatten)]
        api: Api,
        /// The batch's id; the same one again starts nothing new
        #[arg(long)]
        id: Option<String>,
        /// The source whose records to reconcile
        #[arg(long, default_value = "accredible")]
        source: String,
        /// The kind of its records: certificate, location, customer or invoice
        #[arg(long, default_value_t)]
        kind: Kind,
        /// Write nothing but a report
        #[arg(long)]
        dry_run: bool,
        /// Repair however much differs
        #[arg(long)]
        force: bool,
        /// A file with a JSON array of records to tell the destination of, instead of comparing
        #[arg(long, value_name = "FILE")]
        records: Option<PathBuf>,
        /// Start it, and do not wait
        #[arg(long)]
        detach: bool,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// Show a batch: how it stands, or its report
    #[command(after_help = EXIT_CODES)]
    Show {
        /// Where to
        #[command(flatten)]
        api: Api,
        /// Its id; the last one, if none is named
        id: Option<String>,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
    /// Wait for a batch to end, and show its report
    #[command(after_help = EXIT_CODES)]
    Watch {
        /// Where to
        #[command(flatten)]
        api: Api,
        /// Its id; the last one, if none is named
        id: Option<String>,
        /// How to show it
        #[command(flatten)]
        output: Output,
    },
}

/// Where the API is, and the key to it.
#[derive(Debug, Args)]
pub struct Api {
    /// The API's address: of `certbridge up`, or a deployment's output `ApiUrl`
    #[arg(long, default_value = "http://127.0.0.1:3000")]
    url: String,
    /// The data folder of `certbridge up`, whose key is used
    #[arg(long, default_value = ".certbridge")]
    data: PathBuf,
    /// A file that holds another key, with the scopes batch:run and records:read
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// How a batch is shown.
#[derive(Debug, Args)]
pub struct Output {
    /// The form of the report
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
    /// The same as --format json; of a batch that is not over, how it stands
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Open the report in a browser
    #[arg(long)]
    open: bool,
}

impl Output {
    fn form(&self) -> Form {
        if self.json { Form::Json } else { self.format }
    }
}

impl Api {
    fn client(&self) -> Result<Client, CliError> {
        let file = self.key_file.clone().unwrap_or_else(|| self.data.join("api-key"));
        let key = std::fs::read_to_string(&file).map_err(CliError::file(&file))?;
        Ok(Client::new(&self.url, SecretString::from(key.trim()))?)
    }
}

/// Does what is asked. What a batch came to is the exit code.
///
/// # Errors
/// The API refuses, or is not there.
pub async fn run(command: BatchCommand) -> Result<ExitCode, CliError> {
    match command {
        BatchCommand::Run { api, id, source, kind, dry_run, force, records, detach, output } => {
            let client = api.client()?;
            let mut body = json!({ "dry_run": dry_run, "force": force });
            if let Some(id) = id {
                body["batch_id"] = id.into();
            }
            if let Some(file) = records {
                body["records"] = read_records(&file)?;
            }
            let batch = client.start(&source, kind, &body).await?;
            if detach {
                show::standing(&batch, output.form())?;
                return Ok(ExitCode::SUCCESS);
            }
            watch(&client, batch, &output).await
        }
        BatchCommand::Show { api, id, output } => {
            let client = api.client()?;
            let batch = wanted(&client, id).await?;
            over(&client, &batch, &output).await
        }
        BatchCommand::Watch { api, id, output } => {
            let client = api.client()?;
            let batch = wanted(&client, id).await?;
            watch(&client, batch, &output).await
        }
    }
}

fn read_records(file: &PathBuf) -> Result<Value, CliError> {
    let text = std::fs::read_to_string(file).map_err(CliError::file(file))?;
    let unreadable = |error: &serde_json::Error| CliError::Records {
        path: file.clone(),
        line: error.line(),
        column: error.column(),
    };
    let records: Vec<Value> = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    Ok(records.into())
}

async fn wanted(client: &Client, id: Option<String>) -> Result<Shown, CliError> {
    let id = match id {
        Some(id) => id,
        None => client.batches(1).await?.into_iter().next().ok_or(CliError::NoBatch)?.batch_id,
    };
    Ok(client.batch(&id).await?)
}

/// Waits for a batch with a bar, where there is a terminal to draw it on.
async fn watch(client: &Client, batch: Shown, output: &Output) -> Result<ExitCode, CliError> {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(120));
    let mut batch = batch;
    while !batch.is_over() {
        draw(&bar, &batch);
        tokio::time::sleep(LOOK_EVERY).await;
        batch = client.batch(&batch.batch_id).await?;
    }
    bar.finish_and_clear();
    over(client, &batch, output).await
}

fn draw(bar: &ProgressBar, batch: &Shown) {
    let of = &batch.progress;
    let listed = of.partitions == 0 || (of.compared == 0 && of.repaired == 0);
    if listed {
        bar.set_message(match batch.status.as_str() {
            "queued" => format!("{} waits for its turn", batch.batch_id),
            _ => format!(
                "listing: {} at the source, {} at the destination, {} of ours",
                of.source, of.destination, of.own
            ),
        });
        return;
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_length(2 * of.partitions);
    bar.set_position(of.compared + of.repaired);
    bar.set_message(if of.repaired == 0 { "partitions compared" } else { "partitions compared and repaired" });
}

/// Shows what there is of a batch, and tells how it came out.
async fn over(client: &Client, batch: &Shown, output: &Output) -> Result<ExitCode, CliError> {
    if batch.summary.is_none() {
        show::standing(batch, output.form())?;
    } else {
        let form = output.form();
        let report = client.report(&batch.batch_id, form.fetched()).await?;
        show::report(&batch.batch_id, form, &report)?;
        if output.open {
            let page = client.report(&batch.batch_id, "html").await?;
            show::open(&batch.batch_id, &page)?;
        }
    }
    Ok(ExitCode::from(match batch.verdict() {
        Some(Verdict::Failed) => 1,
        Some(Verdict::Repaired) => 3,
        Some(Verdict::NeedsPerson) => 4,
        Some(Verdict::Clean) | None => 0,
    }))
}
