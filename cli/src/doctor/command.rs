//! The command: what is typed, and what is looked at.

use super::{Area, Findings, providers, providers::Ground, secrets, tables, wiring};
use crate::{
    CliError,
    local::{SecretsFile, tables as local_tables},
    place::{Bundle, Needs, Place},
    secrets::SecretStore,
};
use certbridge_mapping::Definitions;
use certbridge_platform::{Env, SecretProvider, Secrets, SystemRuntime};
use certbridge_sync::{in_force::Control, ports::Runtime};
use clap::Args;
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

/// Look at everything, and say how to mend what does not work
///
/// The exit code is 0 if all is well, 1 if something does not work, and 3 if something should be looked at. Nothing is
/// changed anywhere.
///
/// On AWS, what the caller may not see is said to be skipped. All of it takes, on the deployment's own: dynamodb:DescribeTable,
/// dynamodb:DescribeTimeToLive, dynamodb:DescribeContinuousBackups, dynamodb:Query and dynamodb:GetItem;
/// secretsmanager:GetSecretValue; lambda:ListEventSourceMappings and lambda:GetFunctionConfiguration;
/// sqs:GetQueueAttributes and sqs:GetQueueUrl; scheduler:ListSchedules.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Print an object: see docs/doctor.schema.json
    #[arg(long)]
    pub json: bool,
    /// How old a key may be
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    pub max_key_age_days: i64,
    /// Which bundle
    #[command(flatten)]
    pub place: Place,
}

/// Does it.
pub async fn run(args: DoctorArgs, env: &Env) -> Result<ExitCode, CliError> {
    let found = examine(&args.place, args.max_key_age_days, env).await?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", if args.json { found.as_json().to_string() } else { found.as_text() })?;
    out.flush()?;
    Ok(ExitCode::from(found.exit_code()))
}

/// Looks at a bundle.
pub async fn examine(place: &Place, max_days: i64, env: &Env) -> Result<Findings, CliError> {
    let mut found = Findings::default();
    let held = SecretStore::open(place, env).await?;
    match place.open(env, Needs::All).await {
        Ok(bundle) => {
            let done = of_bundle(&mut found, &bundle, &held, max_days, env).await;
            bundle.close().await?;
            done?;
        }
        Err(error) => {
            found.failed(
                Area::Tables,
                "tables",
                error.to_string(),
                "`certbridge up` makes those of a folder, `sam deploy` those on AWS",
            );
            let definitions = Definitions::built_in();
            secrets::examine(&mut found, &held, &definitions, None, max_days, SystemRuntime.now()).await?;
        }
    }
    Ok(found)
}

async fn of_bundle(
    found: &mut Findings,
    bundle: &Bundle,
    held: &SecretStore,
    max_days: i64,
    env: &Env,
) -> Result<(), CliError> {
    let now = SystemRuntime.now();
    let store = bundle.store();
    let is_deployed = matches!(bundle, Bundle::Deployed { .. });
    let tables = tables::examine(found, store, is_deployed).await;
    let theirs = match bundle {
        Bundle::Deployed { .. } => wiring::examine(found, &tables).await,
        Bundle::Local { tables, data } => {
            let served = local_tables::served_at(data).filter(|_| tables.is_served());
            match &served {
                Some(url) => found.ok(Area::Wiring, "wiring.up", format!("`certbridge up` serves at {url}")),
                None => found.skipped(Area::Wiring, "wiring.up", "`certbridge up` does not run on this folder"),
            }
            let variables = served.and_then(|_| local_tables::providers_of(data));
            variables.map(|all| all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
        }
    };
    let control = match store.control().await {
        Ok(control) => control,
        Err(error) => {
            found.failed(Area::Configuration, "configuration", error.to_string(), "mend the state table first");
            return Ok(());
        }
    };
    let files = control.definitions.iter().map(|(file, text)| (file.as_str(), text.as_str()));
    let definitions = Definitions::in_force(files);
    for error in definitions.errors() {
        let mend = format!("certbridge config rollback {}, or push it mended", error.file);
        found.failed(Area::Configuration, format!("configuration.{}", error.file), error.faults.join("; "), mend);
    }
    if definitions.errors().is_empty() {
        let what = format!("{} sources, {} files pushed", definitions.sources().count(), control.definitions.len());
        found.ok(Area::Configuration, "configuration.definitions", what);
    }
    let env = theirs.as_ref().unwrap_or(env);
    let destination = certbridge_wiring::Destination::read(env);
    let name = destination.as_ref().ok().map(|destination| destination.name().to_owned());
    match &destination {
        Ok(destination) => found.ok(Area::Configuration, "configuration.destination", destination.name()),
        Err(error) if is_deployed && theirs.is_some() => {
            let mend = "the stack's parameters Destination and SnapshotsUrl say where it is";
            found.failed(Area::Configuration, "configuration.destination", error.to_string(), mend);
        }
        Err(_) => {
            let why = "not known from here: start `up`, or set DESTINATION and SNAPSHOTS_URL or HIGHLEVEL_URL";
            found.skipped(Area::Configuration, "configuration.destination", why);
        }
    }
    secrets::examine(found, held, &definitions, name.as_deref(), max_days, now).await?;
    if let Ok(destination) = &destination {
        match bundle {
            Bundle::Local { data, .. } => {
                let secrets = SecretsFile::in_folder(data);
                of_providers(found, bundle, held, &definitions, destination, env, secrets).await;
            }
            Bundle::Deployed { secrets, .. } => {
                of_providers(found, bundle, held, &definitions, destination, env, secrets.clone()).await;
            }
        }
    } else {
        found.skipped(Area::Providers, "providers", "not asked: where they are is not known from here");
    }
    tables::events(found, store, &control, now).await?;
    tables::batches(found, store, &definitions, name.as_deref(), is_deployed, now).await
}

async fn of_providers<P: SecretProvider + 'static>(
    found: &mut Findings,
    bundle: &Bundle,
    held: &SecretStore,
    definitions: &Definitions,
    destination: &certbridge_wiring::Destination,
    env: &Env,
    secrets: P,
) {
    let secrets = Arc::new(Secrets::new(secrets, SystemRuntime));
    let ground = Ground { env, definitions, store: bundle.store(), held, secrets };
    ground.examine(found, destination).await;
    let variable = if destination.name() == "highlevel" { "HIGHLEVEL_URL" } else { "SNAPSHOTS_URL" };
    let base = definitions.destination(destination.name()).and_then(|definition| definition.base_url.clone());
    if let Some(url) = env.get(variable).or(base) {
        providers::clock(found, &url).await;
    }
}
