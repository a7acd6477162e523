//! The command as it is typed.

use crate::{
    ground::{Folder, Ground, ids},
    secrets_manager::SecretsManager,
};
use certbridge_platform::ApiKeyring;
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Output, Stdio},
};
use tokio::process::Command;

fn certbridge(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certbridge"));
    // Nothing of this process's environment: credentials, say.
    command.arg("keys").args(args).env_clear().stdin(Stdio::null());
    command
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// What it prints; and hints go elsewhere.
async fn done(command: &mut Command) -> String {
    let output = command.output().await.unwrap();
    let (stdout, stderr) = texts(&output);
    assert!(output.status.success(), "{stderr}");
    stdout
}

/// What it says when it fails; and it prints nothing.
async fn failed(command: &mut Command) -> String {
    let output = command.output().await.unwrap();
    let (stdout, stderr) = texts(&output);
    assert!(!output.status.success() && stdout.is_empty(), "{stdout}");
    stderr
}

fn opens(ring: &ApiKeyring, key: &str) -> bool {
    ring.authorize(key, "sync:write", jiff::Timestamp::now()).is_ok()
}

async fn folder() -> (Folder, String) {
    let folder = Folder::with(&json!({"keys": []})).await;
    let path = folder.0.path().to_str().unwrap().to_owned();
    (folder, path)
}

const OLGA: [&str; 5] = ["create", "--owner", "Olga", "--scope", "sync:write"];

#[tokio::test]
async fn the_key_alone_is_printed_and_the_rest_is_a_hint() {
    let (folder, path) = folder().await;
    let mut create = certbridge(&OLGA);
    let output = create.args(["--expires", "90d", "--id", "olga-1", "--data", &path]).output().await.unwrap();
    let (stdout, stderr) = texts(&output);
    let key = stdout.strip_suffix('\n').unwrap();
    assert!(opens(&folder.ring(), key) && !key.contains(char::is_whitespace), "{stdout}");
    assert!(stderr.contains("key olga-1 of Olga: sync:write, until 20") && !stderr.contains(key), "{stderr}");

    let table = done(&mut certbridge(&["list", "--data", &path])).await;
    for cell in ["id", "owner", "scopes", "expires", "state", "olga-1", "Olga", "sync:write", "active"] {
        assert!(table.contains(cell), "{cell} in {table}");
    }
    let output = certbridge(&["revoke", "olga-1", "--data", &path]).output().await.unwrap();
    let said = texts(&output);
    assert_eq!(said, (String::new(), "key olga-1 is revoked, and dead within five minutes\n".into()));
    assert!(!opens(&folder.ring(), key));
    let error = failed(&mut certbridge(&["revoke", "olga-1", "--data", &path])).await;
    assert!(error.starts_with("certbridge: there is no key olga-1;"), "{error}");
}

#[tokio::test]
async fn scripts_are_given_objects() {
    let (folder, path) = folder().await;
    let text = done(certbridge(&OLGA).args(["--json", "--data", &path])).await;
    let created: Value = serde_json::from_str(&text).unwrap();
    assert!(opens(&folder.ring(), created["key"].as_str().unwrap()));
    let text = done(&mut certbridge(&["list", "--json", "--data", &path])).await;
    let listed: Value = serde_json::from_str(&text).unwrap();
    let key =
        json!({"id": created["id"], "owner": "Olga", "scopes": ["sync:write"], "expires": null, "state": "active"});
    assert_eq!(listed, json!({"keys": [key]}));
}

#[tokio::test]
async fn a_deployments_keys_are_reached_through_the_environment() {
    let manager = SecretsManager::with(&json!({"keys": []})).await;
    let aws = |args: &[&str]| {
        let mut command = certbridge(args);
        command.arg("--aws").env("AWS_ENDPOINT_URL", &manager.url).env("AWS_REGION", "eu-west-1");
        command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "key");
        command
    };
    let key = done(&mut aws(&OLGA)).await;
    assert!(opens(&manager.ring(), key.trim()));
    let table = done(&mut aws(&["list", "--prefix", "certbridge/"])).await;
    let secret = manager.secret();
    assert!(table.contains(ids(&secret)[0]), "{table}");
    let elsewhere = failed(aws(&["list"]).env("SECRET_PREFIX", "staging/")).await;
    assert!(elsewhere.contains("there is no secret staging/api-keys"), "{elsewhere}");
    done(aws(&["revoke", ids(&secret)[0], "--prefix", "certbridge/"]).env("SECRET_PREFIX", "staging/")).await;
    assert!(!opens(&manager.ring(), key.trim()));
}

#[tokio::test]
async fn what_is_not_understood_is_told_and_nothing_is_made() {
    let (folder, path) = folder().await;
    let error = failed(certbridge(&OLGA).args(["--scope", "sync:wrte", "--data", &path])).await;
    assert!(error.contains("there is no scope sync:wrte; there are audit:read, batch:run, records:read, sync:write"));
    let error = failed(certbridge(&OLGA).args(["--expires", "soon", "--data", &path])).await;
    assert!(error.contains("\"soon\" is no expiry"), "{error}");
    let error = failed(certbridge(&OLGA).args(["--expires", "2020-01-01", "--data", &path])).await;
    assert!(error.contains("the expiry has passed already"), "{error}");
    let error = failed(certbridge(&["list", "--aws", "--data", &path]).env("AWS_REGION", "eu-west-1")).await;
    assert!(error.contains("cannot be used with"), "{error}");
    failed(&mut certbridge(&["list", "--prefix", "x/"])).await;
    assert_eq!(folder.secret(), json!({"keys": []}));
}

#[tokio::test]
async fn what_an_operator_needs_to_know_is_in_the_help() {
    let help = done(&mut certbridge(&["create", "--help"])).await;
    for word in ["GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage", "audit:read, batch:run"] {
        assert!(help.contains(word), "{word} in {help}");
    }
}

/// A terminal is not steered by what somebody wrote into the secret.
#[tokio::test]
async fn a_table_shows_text_only() {
    let folder = Folder::with(&json!({"keys": [{"id": "a\u{1b}[2Jb", "owner": "x\ny"}]})).await;
    let table = done(&mut certbridge(&["list", "--data", folder.0.path().to_str().unwrap()])).await;
    assert!(!table.contains('\u{1b}') && table.contains("x\u{fffd}y"), "{table:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_key_that_could_not_be_shown_is_told_of() {
    let (folder, path) = folder().await;
    let full = std::fs::OpenOptions::new().write(true).open(Path::new("/dev/full")).unwrap();
    let mut create = certbridge(&OLGA);
    create.args(["--id", "unseen", "--data", &path]).stdout(full).stderr(Stdio::piped());
    let output = create.spawn().unwrap().wait_with_output().await.unwrap();
    let (_, stderr) = texts(&output);
    assert!(!output.status.success() && stderr.contains("key unseen was stored, but could not be shown"), "{stderr}");
    assert_eq!(ids(&folder.secret()), ["unseen"]);
}
