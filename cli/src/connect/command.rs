//! The command: what is typed, and where it works.

use super::{
    ConnectError, Told, Wish, connect,
    place::{Deployment, Local},
};
use crate::CliError;
use certbridge_platform::{Env, Secrets, SystemRuntime, config::DEFAULT_SECRET_PREFIX, secrets::SecretProvider};
use certbridge_remote::{HighLevel, Http};
use certbridge_store::DynamoStore;
use certbridge_sync::{
    InForce,
    in_force::{Control, REFRESH},
    ports::{DestinationKeys, Runtime},
};
use certbridge_wiring::WiringError;
use clap::{Args, Subcommand};
use std::{
    io::{self, BufRead, Write},
    path::PathBuf,
    sync::Arc,
};

/// What may be connected.
#[derive(Debug, Subcommand)]
pub enum ConnectCommand {
    /// Let us in at HighLevel, and make the objects, fields and associations that are missing
    ///
    /// The secret destinations/highlevel has either a Private Integration Token ("`api_key`"), and then nobody need be let
    /// in, or an app's "`client_id`" and "`client_secret`". What is there is left as it is. To do it again is safe.
    Highlevel(HighLevelArgs),
}

/// How HighLevel is connected.
#[derive(Debug, Clone, Args)]
pub struct HighLevelArgs {
    /// The code, or the whole address that the page sent you to; it is asked for if it is not given
    #[arg(long)]
    code: Option<String>,
    /// Where the page sends you; it must be one of the app's own redirect addresses
    #[arg(long, value_name = "URI", default_value = "https://localhost/certbridge")]
    redirect_uri: String,
    /// The location to prepare; several are given by several --location. If none is: those that the secret names
    #[arg(long = "location", value_name = "ID")]
    locations: Vec<String>,
    /// Say what would be done, and do none of it
    #[arg(long)]
    dry_run: bool,
    /// The data folder whose deployment is meant, in which no `up` may run
    #[arg(long, default_value = ".certbridge")]
    data: PathBuf,
    /// Work on a deployment in AWS: `STATE_TABLE` names its state table
    ///
    /// Region, credentials and `AWS_ENDPOINT_URL` are found as the AWS CLI finds them. It takes dynamodb:Query,
    /// dynamodb:GetItem and dynamodb:UpdateItem on that table, and secretsmanager:GetSecretValue on the one secret.
    #[arg(long, conflicts_with = "data")]
    aws: bool,
    /// What the names of the deployment's secrets begin with; `SECRET_PREFIX`, or else `certbridge/`, if not given
    #[arg(long, requires = "aws")]
    prefix: Option<String>,
}

/// Does it, where it is to be done.
pub async fn run(command: ConnectCommand, env: &Env) -> Result<(), CliError> {
    let ConnectCommand::Highlevel(args) = command;
    if args.aws {
        let mut vars = env.reader();
        let default = vars.parsed("SECRET_PREFIX", DEFAULT_SECRET_PREFIX.to_owned());
        let table = vars.required("STATE_TABLE");
        vars.finish()?;
        let prefix = args.prefix.clone().unwrap_or(default);
        let Deployment { store, secrets } = Deployment::open(table, &prefix).await;
        return highlevel(&args, env, store, secrets, format!("Secrets Manager, under {prefix}")).await;
    }
    let local = Local::open(&args.data).await?;
    let place = local.secrets().path().display().to_string();
    let done = highlevel(&args, env, local.store(), local.secrets(), place).await;
    // What was written is in the file, whatever became of the rest.
    local.close().await?;
    done
}

async fn highlevel<P: SecretProvider>(
    args: &HighLevelArgs,
    env: &Env,
    store: DynamoStore,
    secrets: P,
    place: String,
) -> Result<(), CliError> {
    let files = store.control().await?.definitions;
    let definitions = InForce::new(files, SystemRuntime.now(), REFRESH).current();
    let definition = definitions.destination("highlevel").ok_or(ConnectError::NoDefinition)?;
    let rules = definition.highlevel.as_ref().ok_or(ConnectError::NoDefinition)?;
    let mut vars = env.reader();
    let url = vars.url("HIGHLEVEL_URL").or_else(|| definition.base_url.clone()).unwrap_or_default();
    vars.finish()?;
    let secrets = Arc::new(Secrets::new(secrets, SystemRuntime));
    let held = secrets.credentials("destinations/highlevel").await?.ok_or(ConnectError::NoSecret(place))?;
    let http = Http::new().map_err(WiringError::from)?;
    let owner = format!("connect-{:032x}", SystemRuntime.random());
    let api = HighLevel::new(http, secrets, store, &url, definition, rules, owner).map_err(WiringError::from)?;
    let HighLevelArgs { code, redirect_uri, locations, dry_run, .. } = args.clone();
    let wish = Wish { code, redirect_uri, locations, dry_run };
    connect(&api, &held, wish, ask, &mut print).await
}

/// Asks the person for a line.
fn ask(question: &str) -> Result<String, CliError> {
    let mut err = io::stderr();
    write!(err, "{question}: ")?;
    err.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}

/// What was done goes to stdout, what is to be done to stderr.
fn print(told: Told) -> Result<(), CliError> {
    match told {
        Told::Done(text) => writeln!(io::stdout(), "{text}")?,
        Told::Hint(text) => writeln!(io::stderr(), "{text}")?,
    }
    Ok(())
}
