//! Where the contract is tested: both places that hold keys.

use crate::secrets_manager::SecretsManager;
use aws_sdk_secretsmanager::{
    Client,
    config::{BehaviorVersion, Config, Credentials, Region, retry::RetryConfig},
};
use certbridge::keys::{AwsKeys, Created, KeyStore, LocalKeys, NewKey, create};
use certbridge_platform::{ApiKeyring, SystemRuntime};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tempfile::TempDir;

/// A place that holds keys, and what stands there.
pub(crate) trait Ground {
    type Store: KeyStore;

    async fn with(secret: &Value) -> Self;
    fn store(&self) -> Self::Store;
    fn secret(&self) -> Value;

    fn ring(&self) -> ApiKeyring {
        serde_json::from_value(self.secret()).unwrap()
    }
}

/// A data folder.
pub(crate) struct Folder(pub(crate) TempDir);

impl Folder {
    pub(crate) fn secrets(&self) -> Value {
        read(&self.0.path().join("secrets.json"))
    }
}

pub(crate) fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// The other secrets of a folder, in an order and with numbers that are not to change.
pub(crate) fn others() -> Value {
    json!({"sources/accredible": {"signing": ["hush"], "api_key": "hush", "n": 1.10}, "audit": {"digest_key": "hush"}})
}

impl Ground for Folder {
    type Store = LocalKeys;

    async fn with(secret: &Value) -> Self {
        let folder = TempDir::new().unwrap();
        let mut secrets = others();
        secrets["api-keys"] = secret.clone();
        std::fs::write(folder.path().join("secrets.json"), secrets.to_string()).unwrap();
        Self(folder)
    }

    fn store(&self) -> LocalKeys {
        LocalKeys::in_folder(self.0.path())
    }

    fn secret(&self) -> Value {
        let mut secrets = self.secrets();
        let secret = secrets.as_object_mut().unwrap().remove("api-keys").unwrap();
        assert_eq!(secrets, others(), "the other secrets are left alone");
        secret
    }
}

impl Ground for SecretsManager {
    type Store = AwsKeys;

    async fn with(secret: &Value) -> Self {
        Self::start(Some(&secret.to_string())).await
    }

    /// With the SDK as it is, but for the pauses between its tries.
    fn store(&self) -> AwsKeys {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .credentials_provider(Credentials::new("id", "key", None, None, "test"))
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
            .endpoint_url(&self.url)
            .build();
        AwsKeys::new(Client::from_conf(config), "certbridge/")
    }

    fn secret(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }
}

/// A key of Olga's that syncs.
pub(crate) fn wanted() -> NewKey {
    NewKey { owner: "Olga".into(), scopes: vec!["sync:write".into()], expires: None, id: None }
}

pub(crate) async fn made(store: &impl KeyStore) -> Created {
    create(store, wanted(), &SystemRuntime).await.unwrap()
}

/// The ids that a secret holds.
pub(crate) fn ids(secret: &Value) -> Vec<&str> {
    secret["keys"].as_array().unwrap().iter().filter_map(|entry| entry["id"].as_str()).collect()
}
