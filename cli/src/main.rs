//! The `certbridge` command.
#![recursion_limit = "256"]

use certbridge::{
    CliError, Options,
    audit::{self, AuditCommand},
    batch::{self, BatchCommand},
    config::{self, ConfigCommand},
    connect::{self, ConnectCommand},
    demo,
    doctor::{self, DoctorArgs},
    endpoints::{self, EndpointsCommand},
    erase::{self, EraseOptions},
    init::{self, InitArgs},
    keys::{self, KeysCommand},
    local::{DEFAULT_DESTINATION, POLL_EVERY},
    logs,
    mapping::{self, MappingCommand},
    notifications::{self, NotificationsCommand},
    probe::{self, TestOptions},
    secrets::{self, SecretsCommand},
    sign::sign_in_force,
    source::{self, SourceCommand},
    subscriptions::{self, SubscriptionsCommand},
    up::up,
    why::{self, WhyOptions},
};
use certbridge_platform::Env;
use clap::{Parser, Subcommand};
use jiff::Timestamp;
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

/// What `--destination` may say.
const DESTINATIONS: [&str; 2] = [DEFAULT_DESTINATION, "highlevel"];

/// Keeps a destination true to the sources where certificates and business records are born.
#[derive(Debug, Parser)]
#[command(name = "certbridge", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole bundle in one process, without AWS
    Up {
        /// The port to serve on; 0 takes any free one
        #[arg(long, default_value_t = 3000)]
        port: u16,
        /// The folder that keeps tables, secrets and the sandbox's state
        #[arg(long, default_value = ".certbridge")]
        data: PathBuf,
        /// Use the providers that `SNAPSHOTS_URL` and `ACCREDIBLE_URL` name instead of the sandbox's
        #[arg(long)]
        no_sandbox: bool,
        /// Which of the sandbox's destinations to tell; without the sandbox, `DESTINATION` says which
        #[arg(long, value_parser = DESTINATIONS, conflicts_with = "no_sandbox")]
        destination: Option<String>,
        /// How often sources without webhooks are polled, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = POLL_EVERY.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
        poll_every: u64,
        /// Let notifications be posted to this machine itself, and without TLS
        #[arg(long)]
        allow_local_endpoints: bool,
    },
    /// Send signed events of every kind through the whole way, and show what became of each
    Demo {
        /// The folder to keep; a fresh one, removed afterwards, if none is named
        #[arg(long)]
        data: Option<PathBuf>,
        /// The destination to tell
        #[arg(long, value_parser = DESTINATIONS, default_value = DEFAULT_DESTINATION)]
        destination: String,
    },
    /// Print the headers that prove a body, one `Name: value` a line
    Sign {
        /// The data folder whose secrets to sign with
        #[arg(long, default_value = ".certbridge")]
        data: PathBuf,
        /// The source to sign as
        #[arg(long)]
        source: String,
        /// The file that holds the body, byte for byte
        #[arg(long)]
        body: PathBuf,
        /// Sign with the newest of the source's keys, as its sender does once a rotation has switched it over
        #[arg(long)]
        newest: bool,
    },
    /// Take the audit trail out, and prove it offline
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Reconcile both sides now, and see how batches came out
    #[command(subcommand)]
    Batch(BatchCommand),
    /// See and change which definitions are in force
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Set up a bundle: keys, a look at everything, and the first event
    Init(InitArgs),
    Erase(EraseOptions),
    /// Let us in at a destination, and make what has to be there
    #[command(subcommand)]
    Connect(ConnectCommand),
    /// Look at everything, and say how to mend what does not work
    Doctor(DoctorArgs),
    /// Tell a record's whole story
    Why(WhyOptions),
    /// See what definitions make of payloads
    #[command(subcommand)]
    Mapping(MappingCommand),
    /// Write definitions of sources
    #[command(subcommand)]
    Source(SourceCommand),
    /// Send a signed test event to a running or deployed bundle, and follow it to the destination
    Test(TestOptions),
    /// Make, list and revoke the keys to the API
    #[command(subcommand)]
    Keys(KeysCommand),
    /// See how old the keys are and which still match, and rotate them
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Subscribe to a source's webhooks, where it has an API for that: Accredit and AccuLynx
    Subscriptions(SubscriptionsCommand),
    /// See whom notifications are posted to, and send to an endpoint again that wanted none
    #[command(subcommand)]
    Endpoints(EndpointsCommand),
    /// Tell again what happened
    #[command(subcommand)]
    Notifications(NotificationsCommand),
}

#[tokio::main]
async fn main() -> ExitCode {
    let env = Env::process();
    let command = Cli::parse().command;
    let level = match command {
        // They say themselves what happened.
        Command::Demo { .. }
        | Command::Keys(_)
        | Command::Audit(_)
        | Command::Batch(_)
        | Command::Config(_)
        | Command::Connect(_)
        | Command::Doctor(_)
        | Command::Endpoints(_)
        | Command::Erase(_)
        | Command::Init(_)
        | Command::Mapping(_)
        | Command::Notifications(_)
        | Command::Secrets(_)
        | Command::Source(_)
        | Command::Subscriptions(_)
        | Command::Test(_)
        | Command::Why(_) => "off",
        Command::Up { .. } | Command::Sign { .. } => "info",
    };
    let _written = logs::init(&env, level);
    match run(command, env).await {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to tell if stderr is gone.
            let _ = writeln!(io::stderr(), "certbridge: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, env: Env) -> Result<ExitCode, CliError> {
    match command {
        Command::Up { port, data, no_sandbox, destination, poll_every, allow_local_endpoints } => {
            let poll_every = Duration::from_secs(poll_every);
            let sandbox = !no_sandbox;
            up(Options { data, port, sandbox, destination, poll_every, allow_local_endpoints, env }).await?;
        }
        Command::Demo { data, destination } => demo::run(data, destination, env).await?,
        Command::Sign { data, source, body, newest } => {
            let bytes = std::fs::read(&body).map_err(CliError::file(&body))?;
            let mut out = io::stdout().lock();
            let signed = sign_in_force(&data, &source, newest, &bytes, Timestamp::now()).await?;
            for (name, value) in signed.headers {
                writeln!(out, "{name}: {value}")?;
            }
            // Beside the headers, so that those can be read by a script.
            writeln!(io::stderr(), "POST {}", signed.path)?;
        }
        Command::Audit(command) => return audit::run(command, &env).await,
        Command::Batch(command) => return batch::run(command).await,
        Command::Config(command) => config::run(command, &env).await?,
        Command::Erase(options) => return erase::run(options, &env).await,
        Command::Connect(command) => connect::run(command, &env).await?,
        Command::Init(args) => return init::run(args, &env).await,
        Command::Doctor(args) => return doctor::run(args, &env).await,
        Command::Mapping(command) => return mapping::run(command).await,
        Command::Source(command) => source::run(command)?,
        Command::Test(options) => return probe::run(options, &env).await,
        Command::Keys(command) => keys::run(command, &env).await?,
        Command::Secrets(command) => secrets::run(command, &env).await?,
        Command::Why(options) => return why::run(options, &env).await,
        Command::Subscriptions(command) => subscriptions::run(command, &env).await?,
        Command::Endpoints(command) => endpoints::run(command, &env).await?,
        Command::Notifications(command) => return notifications::run(command, &env).await,
    }
    Ok(ExitCode::SUCCESS)
}
