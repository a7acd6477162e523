//! The command: what is typed, and what happens.

use super::{
    Ask, Plan, Terminal, apply,
    plan::{DESTINATIONS, GivenKey},
};
use crate::{
    CliError, Local, Options, doctor,
    local::{POLL_EVERY, tables},
    place::Place,
    probe::{self, TestOptions},
    secrets::SecretStore,
};
use certbridge_platform::{Env, SystemRuntime};
use clap::Args;
use secrecy::ExposeSecret;
use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

/// Set up a bundle: keys, a look at everything, and the first event
///
/// It asks for what the flags do not say. What is there already stays, so it can be run again.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// Ask nothing: what the flags do not say is made, or left as it is
    #[arg(long)]
    pub yes: bool,
    /// A source that sends events; several are given by several --source
    #[arg(long = "source", value_name = "NAME")]
    pub sources: Vec<String>,
    /// The key that proves a source's deliveries; one is made if none is given, where we may make it
    #[arg(long = "signing-key-file", value_name = "NAME=FILE")]
    pub signing_keys: Vec<GivenKey>,
    /// The key to a source's API
    #[arg(long = "api-key-file", value_name = "NAME=FILE")]
    pub api_keys: Vec<GivenKey>,
    /// The destination that is told
    #[arg(long, value_parser = DESTINATIONS)]
    pub destination: Option<String>,
    /// Its address; in a data folder, the sandbox plays it if none is given
    #[arg(long, value_name = "URL")]
    pub destination_url: Option<String>,
    /// The key to it; `-` reads it from stdin
    #[arg(long, value_name = "FILE")]
    pub destination_key_file: Option<PathBuf>,
    /// Send no test event
    #[arg(long)]
    pub no_test: bool,
    /// Where a deployment serves: its output `ApiUrl`
    #[arg(long)]
    pub url: Option<String>,
    /// Which bundle
    #[command(flatten)]
    pub place: Place,
}

/// Why nothing was set up.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// Nobody is there to be asked.
    #[error("this is no terminal, so nobody is asked. Give {}; or --yes, which takes what is usual", .0.join(", "))]
    NotATerminal(Vec<&'static str>),
    /// There would be nothing to do.
    #[error("no source was chosen")]
    NoSource,
    /// A key of a source that is not set up.
    #[error("a key of {0} is given, but no --source {0}")]
    NotMeant(String),
}

/// Does it. The exit code tells whether all came out well.
pub async fn run(args: InitArgs, env: &Env) -> Result<ExitCode, CliError> {
    if args.yes {
        return set_up(Plan::from_flags(&args)?, env).await;
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let missing = Plan::missing(&args);
        if !missing.is_empty() {
            return Err(InitError::NotATerminal(missing).into());
        }
        return set_up(Plan::from_flags(&args)?, env).await;
    }
    run_with(args, &mut Terminal::default(), env).await
}

/// As [`run`], with somebody who answers.
pub async fn run_with(args: InitArgs, ask: &mut impl Ask, env: &Env) -> Result<ExitCode, CliError> {
    set_up(Plan::asked(&args, ask)?, env).await
}

async fn set_up(plan: Plan, env: &Env) -> Result<ExitCode, CliError> {
    let store = SecretStore::open(&plan.place, env).await?;
    let made = apply::put(&plan, &store, &SystemRuntime).await?;
    say(&format!("keys        {}", store.place()))?;
    if plan.is_deployed() {
        for apply::Made { source, key } in &made {
            say(&format!("made        {source}, for its sender alone: {}", key.expose_secret()))?;
        }
    }
    let done = if plan.is_deployed() { look_and_send(&plan, env).await } else { on_this_machine(&plan, env).await };
    next(&plan)?;
    done
}

/// With a bundle that serves: the one that runs on the folder, or else one for as long as it takes.
async fn on_this_machine(plan: &Plan, env: &Env) -> Result<ExitCode, CliError> {
    if plan.destination_url.is_some() || tables::serves(&plan.place.data).await {
        return look_and_send(plan, env).await;
    }
    let options = Options {
        data: plan.place.data.clone(),
        port: 0,
        sandbox: true,
        destination: Some(plan.destination.clone()),
        poll_every: POLL_EVERY,
        allow_local_endpoints: false,
        env: env.clone(),
    };
    let local = Local::start(options).await?;
    let done = look_and_send(plan, env).await;
    local.shutdown().await?;
    done
}

async fn look_and_send(plan: &Plan, env: &Env) -> Result<ExitCode, CliError> {
    let found = doctor::examine(&plan.place, MAX_KEY_AGE, env).await?;
    say(&found.as_text())?;
    let serves = if plan.is_deployed() { plan.url.is_some() } else { tables::serves(&plan.place.data).await };
    if !plan.test || !serves {
        let failed = found.worst() == doctor::State::Failed;
        return Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let mut code = ExitCode::SUCCESS;
    for one in &plan.sources {
        say(&format!("\na test event of {}", one.source.name))?;
        let options = TestOptions::of(&one.source.name, plan.url.clone(), plan.place.clone());
        let sent = probe::run(options, env).await;
        match sent {
            Ok(sent) if sent == ExitCode::SUCCESS => {}
            Ok(failed) => code = failed,
            // Of a deployment only what proves is there, and not always what signs.
            Err(CliError::Test(error)) => say(&format!("not sent: {error}"))?,
            Err(error) => return Err(error),
        }
    }
    Ok(code)
}

/// How old a key may be before it is remarked on.
const MAX_KEY_AGE: i64 = 365;

fn next(plan: &Plan) -> io::Result<()> {
    let names: Vec<_> = plan.sources.iter().map(|one| one.source.name.as_str()).collect();
    let data = plan.place.data.display();
    let lines = match (plan.is_deployed(), &plan.destination_url) {
        (true, _) => {
            "certbridge keys create --aws --owner NAME --scope sync:write   a key for each caller of the API\n\
             certbridge doctor                                             whenever something seems wrong"
                .to_owned()
        }
        (false, Some(url)) => {
            let variable = if plan.destination == "highlevel" { "HIGHLEVEL_URL" } else { "SNAPSHOTS_URL" };
            let destination = &plan.destination;
            format!(
                "DESTINATION={destination} {variable}={url} certbridge up --no-sandbox --data {data}\ncertbridge test --data {data} --source {}",
                names.join(" or ")
            )
        }
        (false, None) => {
            format!(
                "certbridge up --data {data}    unless it runs already\ncertbridge test --data {data} --source {}",
                names.join(" or ")
            )
        }
    };
    say(&format!(
        "\nnext:\n{lines}\ndocs/sources.md says what each sender has to be told, docs/operations.md how to live with it."
    ))
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
