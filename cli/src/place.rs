//! Which bundle a command is about: the one of a data folder, or a deployment.

use crate::{CliError, local::LocalTables};
use aws_sdk_dynamodb::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
};
use certbridge_platform::{Env, aws, config::DEFAULT_SECRET_PREFIX};
use certbridge_store::{DynamoStore, Tables};
use clap::Args;
use std::path::PathBuf;

/// Which bundle is meant.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The data folder of `certbridge up`, which may run
    #[arg(long, default_value = ".certbridge")]
    pub data: PathBuf,
    /// Work on the deployment whose tables the environment names, as it does for the functions: `STATE_TABLE`, ..
    ///
    /// Region, credentials and `AWS_ENDPOINT_URL` are found as the AWS CLI finds them. Who logs in by SSO exports the
    /// credentials first: eval "$(aws configure export-credentials --format env)".
    #[arg(long, conflicts_with = "data")]
    pub aws: bool,
    /// Work on the deployment of this stack, whose tables are found by its name (dynamodb:ListTables)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["data", "aws"])]
    pub stack: Option<String>,
    /// What the names of the deployment's secrets begin with; `SECRET_PREFIX`, or else `certbridge/`, if not given
    #[arg(long)]
    pub prefix: Option<String>,
}

/// Which tables a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Only the one of what is in force.
    State,
    /// All of them.
    All,
}

/// A bundle's tables, and where its secrets are.
pub enum Bundle {
    /// Of a data folder.
    Local {
        /// Its tables.
        tables: LocalTables,
        /// The folder.
        data: PathBuf,
    },
    /// On AWS.
    Deployed {
        /// Its tables.
        store: DynamoStore,
        /// What its clients share.
        config: Box<aws_config::SdkConfig>,
        /// What the names of its secrets begin with.
        prefix: String,
    },
}

/// Why a deployment is not found.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No table of it, or several.
    #[error("{found} tables have a name that begins with {begin}: is it another stack, or another region?")]
    Tables {
        /// How the name begins.
        begin: String,
        /// How many there are.
        found: usize,
    },
    /// AWS did not do it.
    #[error("{action}: {message}")]
    Aws {
        /// What was asked.
        action: &'static str,
        /// What was answered, if anything was.
        message: String,
    },
}

impl Place {
    /// Opens it.
    pub async fn open(&self, env: &Env, needs: Needs) -> Result<Bundle, CliError> {
        if !self.aws && self.stack.is_none() {
            let tables = LocalTables::open(&self.data).await?;
            return Ok(Bundle::Local { tables, data: self.data.clone() });
        }
        let mut vars = env.reader();
        let default = vars.parsed("SECRET_PREFIX", DEFAULT_SECRET_PREFIX.to_owned());
        let named = self.stack.is_none().then(|| named(&mut vars, needs));
        vars.finish()?;
        let config = aws::sdk_config().await;
        let client = Client::new(&config);
        let tables = match (named, &self.stack) {
            (None, Some(stack)) => tables_of(&client, stack).await?,
            (named, _) => named.unwrap_or_default(),
        };
        let prefix = self.prefix.clone().unwrap_or(default);
        Ok(Bundle::Deployed { store: DynamoStore::new(client, tables), config: Box::new(config), prefix })
    }
}

impl Bundle {
    /// Its tables.
    pub fn store(&self) -> &DynamoStore {
        match self {
            Self::Local { tables, .. } => tables.store(),
            Self::Deployed { store, .. } => store,
        }
    }

    /// Who works on it: the system's user, or whom AWS takes the caller for.
    pub async fn caller(&self, env: &Env) -> Result<String, CliError> {
        match self {
            Self::Local { .. } => {
                let user = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| env.get(name));
                Ok(user.unwrap_or_else(|| "unknown".to_owned()))
            }
            Self::Deployed { config, .. } => {
                let answer = aws_sdk_sts::Client::new(config).get_caller_identity().send().await;
                let arn = answer.map_err(|error| failed("sts:GetCallerIdentity (or give --by)", &error))?.arn;
                Ok(arn.unwrap_or_else(|| "unknown".to_owned()))
            }
        }
    }

    /// Lets go of it.
    pub async fn close(self) -> Result<(), CliError> {
        match self {
            Self::Local { tables, .. } => tables.close().await,
            Self::Deployed { .. } => Ok(()),
        }
    }
}

fn named(vars: &mut certbridge_platform::config::Reader<'_>, needs: Needs) -> Tables {
    let mut table = |name: &str, needed: bool| {
        if needed { vars.required(name) } else { vars.optional(name).unwrap_or_default() }
    };
    let all = needs == Needs::All;
    Tables {
        inbox: table("INBOX_TABLE", all),
        records: table("RECORDS_TABLE", all),
        audit: table("AUDIT_TABLE", all),
        state: table("STATE_TABLE", true),
    }
}

/// The tables of a stack: CloudFormation names them after it and what the template calls them.
async fn tables_of(client: &Client, stack: &str) -> Result<Tables, CliError> {
    let names = client.list_tables().into_paginator().items().send().try_collect().await;
    let names = names.map_err(|error| failed("dynamodb:ListTables", &error))?;
    let only = |table: &str| {
        let begin = format!("{stack}-{table}-");
        let found: Vec<&String> = names.iter().filter(|name| name.starts_with(&begin)).collect();
        match found[..] {
            [name] => Ok(name.clone()),
            _ => Err(PlaceError::Tables { begin, found: found.len() }),
        }
    };
    Ok(Tables {
        inbox: only("InboxTable")?,
        records: only("RecordsTable")?,
        audit: only("AuditTable")?,
        state: only("StateTable")?,
    })
}

/// What AWS answered, in a word; without an answer, what stood in the way.
fn failed<E>(action: &'static str, error: &SdkError<E>) -> PlaceError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let message = match error.code() {
        Some(code) => code.to_owned(),
        None => format!("{}", DisplayErrorContext(error)),
    };
    PlaceError::Aws { action, message }
}
