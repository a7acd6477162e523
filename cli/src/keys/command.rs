//! The command: what is typed, and what is printed.

use super::{AwsKeys, KeyStore, KeysError, Listed, LocalKeys, NewKey, create, expiry, list, revoke};
use crate::{
    CliError,
    table::{plain, table},
};
use certbridge_platform::{Env, SystemRuntime, aws, config::DEFAULT_SECRET_PREFIX, keys::scopes};
use certbridge_sync::ports::Runtime;
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde_json::json;
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// What may be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key, and print it, this once
    ///
    /// The key goes to stdout, everything else to stderr. Only its SHA-256 is stored.
    Create {
        /// Who holds it: the actor in the audit
        #[arg(long)]
        owner: String,
        /// What it opens
        #[arg(long = "scope", value_name = "SCOPE", required = true, help = scope_help())]
        scopes: Vec<String>,
        /// When it ends: `90d`, a date (as that day begins, in UTC), or a time of RFC 3339; never, if not given
        #[arg(long)]
        expires: Option<String>,
        /// Its id; one is made from the owner if none is given
        #[arg(long)]
        id: Option<String>,
        /// Print an object with the key and what is stored of it
        #[arg(long)]
        json: bool,
        /// Where
        #[command(flatten)]
        place: Place,
    },
    /// Show all keys, and whether each is active, expired or unusable
    List {
        /// Print an object
        #[arg(long)]
        json: bool,
        /// Where
        #[command(flatten)]
        place: Place,
    },
    /// Remove a key: it is dead within five minutes
    Revoke {
        /// Its id
        id: String,
        /// Where
        #[command(flatten)]
        place: Place,
    },
}

/// Where the keys are.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The data folder whose keys are meant
    #[arg(long, default_value = ".certbridge")]
    pub(crate) data: PathBuf,
    /// Work on a deployment's keys, in AWS Secrets Manager
    ///
    /// Region, credentials and `AWS_ENDPOINT_URL` are found as the AWS CLI finds them. Who logs in by SSO exports the
    /// credentials first: eval "$(aws configure export-credentials --format env)".
    ///
    /// To list takes secretsmanager:GetSecretValue on that one secret; to create and to revoke also
    /// secretsmanager:PutSecretValue and secretsmanager:UpdateSecretVersionStage. If the secret has a KMS key of its
    /// own: kms:Decrypt, and kms:GenerateDataKey to change it.
    #[arg(long, conflicts_with = "data")]
    pub(crate) aws: bool,
    /// What the names of the deployment's secrets begin with; `SECRET_PREFIX`, or else `certbridge/`, if not given
    #[arg(long, requires = "aws")]
    pub(crate) prefix: Option<String>,
}

fn scope_help() -> String {
    format!("What it opens; several are given by several --scope: {}", Vec::from_iter(scopes()).join(", "))
}

/// Does it, where it is to be done.
pub async fn run(command: KeysCommand, env: &Env) -> Result<(), CliError> {
    let (KeysCommand::Create { place, .. } | KeysCommand::List { place, .. } | KeysCommand::Revoke { place, .. }) =
        &command;
    if !place.aws {
        let store = LocalKeys::in_folder(&place.data);
        return run_on(&store, command).await;
    }
    let mut vars = env.reader();
    let default = vars.parsed("SECRET_PREFIX", DEFAULT_SECRET_PREFIX.to_owned());
    vars.finish()?;
    let client = aws_sdk_secretsmanager::Client::new(&aws::sdk_config().await);
    let store = AwsKeys::new(client, place.prefix.as_ref().unwrap_or(&default));
    run_on(&store, command).await
}

async fn run_on(store: &impl KeyStore, command: KeysCommand) -> Result<(), CliError> {
    let now = SystemRuntime.now();
    match command {
        KeysCommand::Create { owner, scopes, expires, id, json, .. } => {
            let expires = expires.map(|text| expiry(&text, now)).transpose()?;
            let created = create(store, NewKey { owner, scopes, expires, id }, &SystemRuntime).await?;
            let (key, entry) = (created.key.expose_secret(), &created.entry);
            let shown = if json {
                let (id, owner, scopes) = (&entry.id, &entry.owner, &entry.scopes);
                json!({"key": key, "id": id, "owner": owner, "scopes": scopes, "expires": entry.expires}).to_string()
            } else {
                key.to_owned()
            };
            let unshown = |error: io::Error| KeysError::Unshown { id: entry.id.clone(), reason: error.to_string() };
            print(&shown).map_err(unshown)?;
            let until = entry.expires.map_or_else(String::new, |expires| format!(", until {expires}"));
            hint(&format!("key {} of {}: {}{until}", entry.id, entry.owner, entry.scopes.join(", ")));
            hint("It is shown this once, and opens within a minute. In requests: x-api-key, or Authorization: Bearer.");
        }
        KeysCommand::List { json, .. } => {
            let keys = list(store, now).await?;
            print(&if json { as_json(&keys) } else { as_table(&keys) })?;
        }
        KeysCommand::Revoke { id, .. } => {
            revoke(store, &id).await?;
            hint(&format!("key {id} is revoked, and dead within five minutes"));
        }
    }
    Ok(())
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Says something that no script waits for.
fn hint(text: &str) {
    // What was asked for is done, whether anybody reads this or not.
    let _ = writeln!(io::stderr(), "{text}");
}

fn as_json(keys: &[Listed]) -> String {
    let mut objects = Vec::new();
    for Listed { id, owner, scopes, expires, state } in keys {
        let state = state.as_str();
        objects.push(json!({"id": id, "owner": owner, "scopes": scopes, "expires": expires, "state": state}));
    }
    json!({"keys": objects}).to_string()
}

fn as_table(keys: &[Listed]) -> String {
    let mut shown = table(&["id", "owner", "scopes", "expires", "state"]);
    for key in keys {
        let cell = |text: &Option<String>, without: &str| plain(text.as_deref().unwrap_or(without));
        shown.add_row([
            cell(&key.id, "?"),
            cell(&key.owner, "?"),
            plain(&key.scopes.join(", ")),
            cell(&key.expires, "never"),
            key.state.as_str().to_owned(),
        ]);
    }
    shown.to_string()
}
