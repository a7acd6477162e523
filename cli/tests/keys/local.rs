//! Keys in a data folder.

use crate::ground::{Folder, Ground, ids, made, read, wanted};
use certbridge::{
    CliError,
    keys::{KeysError, LocalKeys, create, revoke},
    local::DataFolder,
};
use certbridge_mapping::Definitions;
use certbridge_platform::SystemRuntime;
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_folder_that_up_never_saw_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let store = |path: &Path| LocalKeys::in_folder(path);
    let missing = folder.path().join("typo");
    for path in [folder.path(), &missing] {
        let Err(CliError::Keys(error)) = create(&store(path), wanted(), &SystemRuntime).await else { panic!() };
        assert!(matches!(error, KeysError::Missing { .. }) && error.to_string().contains("certbridge up"), "{error}");
    }
    assert!(names(folder.path()).is_empty());
    std::fs::write(folder.path().join("secrets.json"), "{\"audit\": hush}").unwrap();
    let Err(error) = revoke(&store(folder.path()), "a").await else { panic!() };
    assert!(error.to_string().contains("line 1") && !error.to_string().contains("hush"), "{error}");
    assert_eq!(names(folder.path()), ["secrets.json"]);
}

#[tokio::test]
async fn the_local_key_is_one_of_them() {
    let folder = TempDir::new().unwrap();
    let held = DataFolder::open(folder.path()).unwrap();
    held.secrets(&Definitions::built_in(), &SystemRuntime).unwrap();
    let key = std::fs::read_to_string(held.file("api-key")).unwrap();
    let ring = || {
        let secrets = read(&held.file("secrets.json"));
        serde_json::from_value::<certbridge_platform::ApiKeyring>(secrets["api-keys"].clone()).unwrap()
    };
    let now = jiff::Timestamp::now();
    for scope in certbridge_platform::keys::scopes() {
        assert_eq!(ring().authorize(&key, scope, now).unwrap().owner, "local");
    }
    // The folder is held all the while.
    revoke(&LocalKeys::in_folder(folder.path()), "local").await.unwrap();
    assert!(ring().authorize(&key, "sync:write", now).is_err());
    // Nor is it made again.
    held.secrets(&Definitions::built_in(), &SystemRuntime).unwrap();
    assert_eq!(read(&held.file("secrets.json"))["api-keys"], json!({"keys": []}));
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_what_was_written() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::with(&json!({"keys": []})).await;
    made(&folder.store()).await;
    let file = folder.0.path().join("secrets.json");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(folder.0.path()), ["secrets.json", "secrets.lock"]);
}

/// Threads stand for processes: the lock is the open file's.
#[tokio::test]
async fn nobody_loses_what_another_one_writes() {
    let folder = Folder::with(&json!({"keys": []})).await;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for _ in 0..4 {
                    runtime.block_on(made(&folder.store()));
                }
            });
        }
        // An `up` that starts makes the secrets that are missing.
        scope.spawn(|| {
            let held = DataFolder::open(folder.0.path()).unwrap();
            held.secrets(&Definitions::built_in(), &SystemRuntime).unwrap();
        });
    });
    let secrets = folder.secrets();
    assert_eq!(ids(&secrets["api-keys"]).len(), 32);
    assert!(secrets["destinations/snapshots"]["api_key"].is_string());
}
