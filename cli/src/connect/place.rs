//! Where the grant is kept: in the database of a data folder, or in a deployment's table.

use super::ConnectError;
use crate::{
    CliError,
    local::{DataFolder, SecretsFile},
};
use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use certbridge_platform::{SecretsManager, aws};
use certbridge_sandbox::dynamodb::EmbeddedDynamoDb;
use certbridge_store::{DynamoStore, Tables, schema};
use std::path::Path;

/// What the tables of a data folder begin with.
const PREFIX: &str = "certbridge-";

/// A data folder, and its database.
pub(super) struct Local {
    /// Held until the database is closed.
    _folder: DataFolder,
    secrets: SecretsFile,
    database: EmbeddedDynamoDb,
    store: DynamoStore,
}

impl Local {
    pub(super) async fn open(path: &Path) -> Result<Self, CliError> {
        let secrets = SecretsFile::in_folder(path);
        // First: a folder that is nobody's is left alone.
        if !secrets.read()?.contains_key("destinations/highlevel") {
            return Err(ConnectError::NoSecret(secrets.path().display().to_string()).into());
        }
        let folder = match DataFolder::open(path) {
            Err(CliError::Locked(path)) => return Err(ConnectError::Running(path).into()),
            folder => folder?,
        };
        let database = EmbeddedDynamoDb::start(Some(&folder.file("dynamodb.sqlite")))?;
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("local"))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .endpoint_url(database.endpoint())
            .build();
        let (client, tables) = (Client::from_conf(config), Tables::with_prefix(PREFIX));
        schema::create(&client, &tables).await?;
        let store = DynamoStore::new(client, tables);
        Ok(Self { _folder: folder, secrets, database, store })
    }

    pub(super) fn store(&self) -> DynamoStore {
        self.store.clone()
    }

    pub(super) fn secrets(&self) -> SecretsFile {
        self.secrets.clone()
    }

    pub(super) async fn close(self) -> Result<(), CliError> {
        Ok(self.database.shutdown().await?)
    }
}

/// A deployment in AWS.
pub(super) struct Deployment {
    pub(super) store: DynamoStore,
    pub(super) secrets: SecretsManager,
}

impl Deployment {
    pub(super) async fn open(state: String, prefix: &str) -> Self {
        let sdk = aws::sdk_config().await;
        let store = DynamoStore::new(Client::new(&sdk), Tables { state, ..Tables::default() });
        Self { store, secrets: SecretsManager::new(&sdk, prefix) }
    }
}
