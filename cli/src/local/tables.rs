//! The tables of a data folder, for whoever does not run the bundle itself: those of an `up` that runs, or else the
//! folder's own, opened for as long as they are needed.

use super::{DataFolder, data::write_private, dynamodb_config};
use crate::CliError;
use aws_sdk_dynamodb::Client;
use certbridge_mapping::Definitions;
use certbridge_platform::Env;
use certbridge_sandbox::dynamodb::EmbeddedDynamoDb;
use certbridge_store::{DynamoStore, Tables, schema};
use certbridge_sync::in_force::Control;
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The database, in a data folder.
pub(super) const DATABASE: &str = "dynamodb.sqlite";
/// Where an `up` that runs serves it.
const ADDRESS: &str = "dynamodb";
/// Where it serves the bundle.
const URL: &str = "url";
/// The variables that name its providers.
const PROVIDERS: &str = "providers.json";
/// How the local tables' names begin.
pub(super) const PREFIX: &str = "certbridge-";
/// How long another process may hold the folder without serving its tables: an `up` that starts or stops, or another
/// command.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The tables of a data folder.
pub struct LocalTables {
    store: DynamoStore,
    /// Unless an `up` serves them.
    own: Option<(EmbeddedDynamoDb, DataFolder)>,
}

impl LocalTables {
    /// Opens the tables of a folder that `up` has made.
    ///
    /// # Errors
    /// [`CliError::NoTables`] if there are none, [`CliError::Locked`] if another process holds them and does not serve
    /// them.
    pub async fn open(folder: &Path) -> Result<Self, CliError> {
        if !has_tables(folder) {
            return Err(CliError::NoTables(folder.to_owned()));
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match DataFolder::open(folder) {
                Ok(data) => return Self::open_own(data).await,
                Err(CliError::Locked(_)) => {}
                Err(error) => return Err(error),
            }
            if let Some(store) = served(folder).await {
                return Ok(Self { store, own: None });
            }
            if Instant::now() > deadline {
                return Err(CliError::Locked(folder.to_owned()));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    async fn open_own(data: DataFolder) -> Result<Self, CliError> {
        let database = EmbeddedDynamoDb::start(Some(&data.file(DATABASE)))?;
        let client = Client::from_conf(dynamodb_config(&database.endpoint()));
        let tables = Tables::with_prefix(PREFIX);
        schema::create(&client, &tables).await?;
        Ok(Self { store: DynamoStore::new(client, tables), own: Some((database, data)) })
    }

    /// The tables.
    pub fn store(&self) -> &DynamoStore {
        &self.store
    }

    /// Whether an `up` that runs serves them.
    pub fn is_served(&self) -> bool {
        self.own.is_none()
    }

    /// Closes them, if they are not an `up`'s.
    pub async fn close(self) -> Result<(), CliError> {
        if let Some((database, _held)) = self.own {
            database.shutdown().await?;
        }
        Ok(())
    }
}

/// Whether `up` has ever made tables in a folder.
pub fn has_tables(folder: &Path) -> bool {
    folder.join(DATABASE).exists()
}

/// The definitions in force in a data folder: the built-in ones where there are no tables yet.
pub async fn definitions(folder: &Path) -> Result<Definitions, CliError> {
    if !has_tables(folder) {
        return Ok(Definitions::built_in());
    }
    let tables = LocalTables::open(folder).await?;
    let control = tables.store().control().await;
    tables.close().await?;
    let files = control?.definitions;
    Ok(Definitions::in_force(files.iter().map(|(file, text)| (file.as_str(), text.as_str()))))
}

/// The tables that an `up` serves. Its file may be left of one that was killed.
async fn served(folder: &Path) -> Option<DynamoStore> {
    let endpoint = fs::read_to_string(folder.join(ADDRESS)).ok()?;
    let (client, tables) = (Client::from_conf(dynamodb_config(endpoint.trim())), Tables::with_prefix(PREFIX));
    client.describe_table().table_name(&tables.state).send().await.ok()?;
    Some(DynamoStore::new(client, tables))
}

/// Whether an `up` runs on a folder.
pub async fn serves(folder: &Path) -> bool {
    served(folder).await.is_some()
}

/// Where an `up` that runs on a folder serves the bundle.
pub fn served_at(folder: &Path) -> Option<String> {
    Some(fs::read_to_string(folder.join(URL)).ok()?.trim().to_owned())
}

/// The variables by which an `up` that runs on a folder finds its providers: `DESTINATION`, and `.._URL`.
pub fn providers_of(folder: &Path) -> Option<BTreeMap<String, String>> {
    serde_json::from_slice(&fs::read(folder.join(PROVIDERS)).ok()?).ok()
}

/// The notes of where an `up` serves its tables and itself, and where its providers are. They are gone when this is
/// dropped.
pub(super) struct Announced([PathBuf; 3]);

impl Announced {
    pub(super) fn new(data: &DataFolder, endpoint: &str, url: &str, env: &Env) -> Result<Self, CliError> {
        let note = |name: &str, text: &str| {
            let path = data.file(name);
            write_private(&path, format!("{text}\n").as_bytes()).map(|()| path)
        };
        // The tables last: where they are found, the rest is.
        let mut providers = env.ending_with("_URL");
        providers.extend(env.get("DESTINATION").map(|name| ("DESTINATION".to_owned(), name)));
        let providers = note(PROVIDERS, &json!(providers).to_string())?;
        let url = note(URL, url)?;
        Ok(Self([note(ADDRESS, endpoint)?, url, providers]))
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        for path in &self.0 {
            if let Err(error) = fs::remove_file(path) {
                tracing::warn!(%error, "a note of what is served stays in the data folder");
            }
        }
    }
}
