//! The subcommands of `certbridge audit`.

use super::{AuditError, Filters, Finding, Verdict, checkpoints, export, key, record_key, verify};
use crate::{
    CliError,
    erase::EraseError,
    local::archive,
    place::{Bundle, Needs, Place},
};
use certbridge_archive::Archive;
use certbridge_batch::Notary;
use certbridge_mapping::RecordKey;
use certbridge_platform::{Env, SystemRuntime};
use certbridge_sync::{checkpoint::Hash, erase::hold, ports::Runtime};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::json;
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

/// What `certbridge audit` does.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Write the audit rows to a file, for a proof or for whoever must see them
    ///
    /// The file is lines of JSON: what it is, the rows chain by chain, and what they amount to. A row is written as it
    /// stands in the table; personal values in it are digests.
    Export(ExportOptions),
    /// Prove an export offline, or name the first row that is not as it was written
    ///
    /// Needs the export, the checkpoints with their heads, and the public key, and nothing else. Ends with 0 if everything
    /// up to the last checkpoint is proven, with 1 if something is not as it was, with 2 if it could not be tried, and with
    /// 3 if everything here holds, but not everything could be proven.
    Verify(VerifyOptions),
    /// Print the public key that proves checkpoints
    Key(KeyOptions),
    /// Make a checkpoint now, in a data folder; on AWS a schedule makes them
    Checkpoint(CheckpointOptions),
    /// Hold a record: it cannot be erased, and its deliveries are kept, until it is released
    Hold(HoldOptions),
}

/// Which rows, and where to.
#[derive(Debug, Args)]
pub struct ExportOptions {
    #[command(flatten)]
    place: Place,
    /// The file to write; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Only rows of this time or later, such as 2026-03-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Only rows before this time
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// Only rows by this actor: a source, a key's owner, an operator, `reconciliation` or `recovery`
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only the rows of one record, KIND/SOURCE/ID
    #[arg(long, value_name = "RECORD", value_parser = record_key)]
    record: Option<RecordKey>,
    /// Copy the checkpoints, their heads and the public key (`key.pub`) into this folder, too
    #[arg(long, value_name = "DIR")]
    checkpoints: Option<PathBuf>,
    /// Where the deployment's checkpoints are; `CHECKPOINTS_URL`, or else `REPORTS_URL`, if not given
    #[arg(long, value_name = "URL")]
    checkpoints_url: Option<String>,
    /// Say what was written as JSON
    #[arg(long)]
    json: bool,
}

/// What is to be proven, and by what.
#[derive(Debug, Args)]
pub struct VerifyOptions {
    /// The file that `audit export` wrote
    export: PathBuf,
    /// The folder with the checkpoints and their heads
    #[arg(long, value_name = "DIR")]
    checkpoints: PathBuf,
    /// A public key, or a file with one a line; where the key was changed, the old ones too. Without, nothing may be signed
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// The hash of a checkpoint that was noted elsewhere, and must be among them
    #[arg(long, value_name = "HASH")]
    known: Option<Hash>,
    /// Say what was found as JSON
    #[arg(long)]
    json: bool,
}

/// Whose key.
#[derive(Debug, Args)]
pub struct KeyOptions {
    #[command(flatten)]
    place: Place,
    /// Make one first, if the secret `audit` has none
    #[arg(long)]
    make: bool,
}

/// Where.
#[derive(Debug, Args)]
pub struct CheckpointOptions {
    #[command(flatten)]
    place: Place,
}

/// Which record.
#[derive(Debug, Args)]
pub struct HoldOptions {
    #[command(flatten)]
    place: Place,
    /// The record, KIND/SOURCE/ID
    #[arg(value_parser = record_key)]
    record: RecordKey,
    /// End the hold
    #[arg(long)]
    release: bool,
}

/// Runs one of them.
pub async fn run(command: AuditCommand, env: &Env) -> Result<ExitCode, CliError> {
    match command {
        AuditCommand::Export(options) => export_to(options, env).await,
        AuditCommand::Verify(options) => Ok(prove(&options)?),
        AuditCommand::Key(options) => {
            let bundle = options.place.open(env, Needs::State).await?;
            if options.make {
                key::make(&bundle).await?;
            }
            let signer = key::signer(&bundle).await;
            bundle.close().await?;
            let key = signer?.ok_or(AuditError::NoKey)?.public_key();
            writeln!(io::stdout(), "{key}")?;
            // Beside the key, so that a script reads nothing else.
            writeln!(io::stderr(), "id {}", key.id())?;
            Ok(ExitCode::SUCCESS)
        }
        AuditCommand::Hold(options) => {
            let bundle = options.place.open(env, Needs::All).await?;
            let done = held(&bundle, &options, env).await;
            bundle.close().await?;
            let (said, sequence) = (if options.release { "released" } else { "held" }, done?);
            writeln!(io::stdout(), "{} is {said}: audit row {sequence}", options.record)?;
            Ok(ExitCode::SUCCESS)
        }
        AuditCommand::Checkpoint(options) => {
            let bundle = options.place.open(env, Needs::All).await?;
            let made = checkpoint(&bundle).await;
            bundle.close().await?;
            writeln!(io::stdout(), "{}", made?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn held(bundle: &Bundle, options: &HoldOptions, env: &Env) -> Result<u64, CliError> {
    let by = bundle.caller(env).await?;
    let done = hold(bundle.store(), &SystemRuntime, &options.record, &by, !options.release).await;
    Ok(done.map_err(EraseError::from)?)
}

async fn checkpoint(bundle: &Bundle) -> Result<String, CliError> {
    let Bundle::Local { data, .. } = bundle else { return Err(AuditError::OnAws.into()) };
    let (archive, signer) = (archive(&data.join("reports"))?, key::signer(bundle).await?);
    let notary = Notary { work: &archive, checkpoints: &archive, signer: signer.as_ref() };
    let made = notary.make(bundle.store(), &SystemRuntime).await;
    let stored = made.map_err(|error| AuditError::Checkpoint(error.to_string()))?;
    let made = stored.unproven();
    let signed = if signer.is_some() { "signed" } else { "not signed" };
    Ok(format!(
        "checkpoint {}: {} rows of {} records, {signed}, hash {}",
        made.number,
        made.rows,
        made.size,
        made.hash()
    ))
}

/// Where a bundle's checkpoints are kept.
fn kept(bundle: &Bundle, url: Option<&str>, env: &Env) -> Result<Archive, CliError> {
    match (bundle, url) {
        (Bundle::Local { data, .. }, None) => archive(&data.join("reports")),
        (_, url) => {
            let named = || env.get("CHECKPOINTS_URL").or_else(|| env.get("REPORTS_URL"));
            let url = url.map(str::to_owned).or_else(named).ok_or(AuditError::NoCheckpoints)?;
            Ok(Archive::open(&url, env.get("AWS_ENDPOINT_URL").as_deref())?)
        }
    }
}

async fn export_to(options: ExportOptions, env: &Env) -> Result<ExitCode, CliError> {
    let bundle = options.place.open(env, Needs::All).await?;
    let written = exported(&options, &bundle, env).await;
    bundle.close().await?;
    written?;
    Ok(ExitCode::SUCCESS)
}

async fn exported(options: &ExportOptions, bundle: &Bundle, env: &Env) -> Result<(), CliError> {
    let filters = Filters {
        record: options.record.as_ref().map(ToString::to_string),
        from: options.from,
        to: options.to,
        actor: options.actor.clone(),
    };
    let bar = ProgressBar::new_spinner().with_style(style());
    bar.enable_steady_tick(Duration::from_millis(200));
    let told = |read: u64| bar.set_position(read);
    // First the checkpoints: what they cover is in the tables, and so in the export that is read after them.
    let checkpoints = match &options.checkpoints {
        None => None,
        Some(folder) => {
            let count = checkpoints::copy(&kept(bundle, options.checkpoints_url.as_deref(), env)?, folder).await?;
            if let Some(signer) = key::signer(bundle).await? {
                let path = folder.join("key.pub");
                std::fs::write(&path, format!("{}\n", signer.public_key())).map_err(CliError::file(&path))?;
            }
            Some(count)
        }
    };
    let now = SystemRuntime.now();
    let written = if options.out.as_os_str() == "-" {
        export(bundle.store(), &filters, now, BufWriter::new(io::stdout()), told).await
    } else {
        let file = File::create(&options.out).map_err(CliError::file(&options.out))?;
        export(bundle.store(), &filters, now, BufWriter::new(file), told).await
    };
    bar.finish_and_clear();
    let written = written?;
    // Beside the export, which may be the standard output.
    let mut err = io::stderr();
    if options.json {
        let said =
            json!({"rows": written.rows, "records": written.records, "read": written.read, "checkpoints": checkpoints});
        writeln!(err, "{said}")?;
    } else {
        writeln!(err, "{} rows of {} records", written.rows, written.records)?;
        if let Some(count) = checkpoints {
            writeln!(err, "{count} checkpoints")?;
        }
    }
    Ok(())
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {pos} rows read, {per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn prove(options: &VerifyOptions) -> io::Result<ExitCode> {
    let keys = key::given(&options.keys);
    let found = keys.and_then(|keys| verify(&options.export, &options.checkpoints, &keys, options.known.as_ref()));
    let finding = match found {
        Ok(finding) => finding,
        Err(error) => {
            writeln!(io::stderr(), "certbridge: {error}")?;
            return Ok(ExitCode::from(2));
        }
    };
    let mut out = io::stdout().lock();
    if options.json {
        writeln!(out, "{}", json!(finding))?;
    } else {
        tell(&mut out, &finding)?;
    }
    Ok(match finding.verdict {
        Verdict::Proven => ExitCode::SUCCESS,
        Verdict::Broken => ExitCode::FAILURE,
        Verdict::Partial => ExitCode::from(3),
    })
}

fn tell(out: &mut impl Write, finding: &Finding) -> io::Result<()> {
    if let Some(fault) = &finding.fault {
        return writeln!(out, "broken: {fault}");
    }
    let of = match &finding.record {
        Some(record) => format!("of {record} only"),
        None => format!("of {} records", finding.records),
    };
    let Finding { rows, newer, checkpoints, signed, .. } = finding;
    writeln!(out, "{rows} rows {of} are as they were written; {checkpoints} checkpoints, {signed} of them signed")?;
    if let Some(hash) = &finding.last_checkpoint {
        writeln!(out, "last checkpoint: {hash}")?;
    }
    writeln!(out, "newer than the last checkpoint: {newer} rows, resting on IAM")?;
    for reason in &finding.unproven {
        writeln!(out, "not proven: {reason}")?;
    }
    writeln!(
        out,
        "{}",
        if finding.verdict == Verdict::Proven { "proven" } else { "holds, but not everything is proven" }
    )
}
