//! `certbridge endpoints`: who is told of what happened, and whom nothing is sent to any more.

use crate::{
    CliError,
    local::SecretsFile,
    place::{Bundle, Needs, Place},
    table::{plain, table},
};
use certbridge_platform::{Env, Secrets, SystemRuntime};
use certbridge_sync::delivery::{DisabledEndpoints, Endpoint};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// The endpoints of the secret `endpoints`.
#[derive(Debug, Subcommand)]
pub enum EndpointsCommand {
    /// Show them, without their addresses and keys
    List(List),
    /// Send to one again that answered 410
    Enable(Enable),
}

/// Which endpoints to show, and how.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which endpoint to send to again.
#[derive(Debug, Args)]
pub struct Enable {
    #[command(flatten)]
    place: Place,
    /// Its id
    id: String,
}

/// Why an endpoint is not enabled.
#[derive(Debug, thiserror::Error)]
pub enum EndpointsError {
    /// It is not disabled.
    #[error("the endpoint {0} is not disabled")]
    NotDisabled(String),
}

/// Runs one of the commands.
pub async fn run(command: EndpointsCommand, env: &Env) -> Result<(), CliError> {
    let place = match &command {
        EndpointsCommand::List(list) => &list.place,
        EndpointsCommand::Enable(enable) => &enable.place,
    };
    let bundle = place.open(env, Needs::State).await?;
    let done = match &command {
        EndpointsCommand::List(list) => show(&bundle, list.json).await,
        EndpointsCommand::Enable(Enable { id, .. }) => enable(&bundle, id).await,
    };
    bundle.close().await?;
    done
}

async fn enable(bundle: &Bundle, id: &str) -> Result<(), CliError> {
    if !bundle.store().disabled().await?.contains_key(id) {
        return Err(EndpointsError::NotDisabled(id.to_owned()).into());
    }
    bundle.store().enable(id).await?;
    writeln!(io::stdout(), "{id} is told again. What it missed: certbridge notifications replay")?;
    Ok(())
}

async fn show(bundle: &Bundle, as_json: bool) -> Result<(), CliError> {
    let endpoints = match bundle {
        Bundle::Local { data, .. } => Secrets::new(SecretsFile::in_folder(data), SystemRuntime).endpoints().await?,
        Bundle::Deployed { secrets, .. } => Secrets::new(secrets.clone(), SystemRuntime).endpoints().await?,
    };
    let disabled = bundle.store().disabled().await?;
    let mut out = io::stdout().lock();
    if as_json {
        writeln!(out, "{:#}", Value::Array(endpoints.iter().map(|one| shown(one, &disabled)).collect()))?;
        return Ok(());
    }
    let mut table = table(&["endpoint", "events", "keys", "state"]);
    for endpoint in &endpoints {
        let since = disabled.get(&endpoint.id).map(|at| format!("disabled since {at}"));
        table.add_row([
            endpoint.id.clone(),
            plain(&endpoint.events.join(", ")),
            endpoint.keys.len().to_string(),
            since.unwrap_or_else(|| "told".to_owned()),
        ]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}

fn shown(endpoint: &Endpoint, disabled: &BTreeMap<String, Timestamp>) -> Value {
    json!({
        "id": endpoint.id,
        "events": endpoint.events,
        "keys": endpoint.keys.len(),
        "disabled_at": disabled.get(&endpoint.id),
    })
}
