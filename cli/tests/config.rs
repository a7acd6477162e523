//! `certbridge config`: definitions are put into force under a running bundle, and on a folder that nobody holds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![recursion_limit = "256"]

use certbridge::{
    Local, Options,
    local::{LocalTables, POLL_EVERY},
};
use certbridge_platform::Env;
use certbridge_sandbox::dynamodb::EmbeddedDynamoDb;
use certbridge_store::{DynamoStore, Tables, schema};
use serde_json::Value;
use std::{
    path::Path,
    process::{Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::process::Command;

const LEDGER: &str = include_str!("../../tests/simulation/ledger.toml");

fn certbridge(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certbridge"));
    command.args(args).arg("--data").arg(folder).env_clear().env("USER", "olga").stdin(Stdio::null());
    command
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

async fn done(folder: &Path, args: &[&str]) -> (String, String) {
    let output = certbridge(folder, args).output().await.unwrap();
    let texts = texts(&output);
    assert!(output.status.success(), "{args:?}: {texts:?}");
    texts
}

async fn failed(folder: &Path, args: &[&str]) -> String {
    let output = certbridge(folder, args).output().await.unwrap();
    let (stdout, stderr) = texts(&output);
    assert!(!output.status.success() && stdout.is_empty(), "{args:?}: {stdout}");
    stderr
}

async fn start(folder: &Path) -> Local {
    let env = Env::from_iter([("UNUSED", "")]);
    let options = Options {
        data: folder.to_owned(),
        port: 0,
        sandbox: true,
        destination: None,
        poll_every: POLL_EVERY,
        allow_local_endpoints: false,
        env,
    };
    Local::start(options).await.unwrap()
}

/// A data folder with tables, and a folder for definitions.
async fn folders() -> (TempDir, TempDir) {
    let (data, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    start(data.path()).await.shutdown().await.unwrap();
    (data, files)
}

fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn history(data: &Path, file: &str) -> Vec<(u64, Option<String>)> {
    let tables = LocalTables::open(data).await.unwrap();
    let history = tables.store().definition_history(file).await.unwrap();
    tables.close().await.unwrap();
    history.into_iter().map(|entry| (entry.version, entry.text)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_bundle_takes_a_new_source_without_a_restart() {
    let (data, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let local = start(data.path()).await;
    let ledger = write(&files, "ledger.toml", LEDGER);
    let (shown, said) = done(data.path(), &["config", "push", &ledger, "--note", "the new ledger"]).await;
    assert!(shown.starts_with("sources/ledger.toml: new, "), "{shown}");
    assert!(said.contains("made sources/ledger in it") && said.contains("version 1 is in force, by olga"), "{said}");

    let body = serde_json::json!({
        "id": "e-1", "type": "changed", "at": "2026-02-01T10:00:00Z",
        "certificate": {"id": "1", "revision": 1, "holder": "person-1", "issued": "2026-01-31",
                        "location": "loc_london", "title": "One"},
    });
    let body = write(&files, "body.json", &body.to_string());
    let (headers, path) = done(data.path(), &["sign", "--source", "ledger", "--body", &body]).await;
    let path = path.trim().strip_prefix("POST ").unwrap().to_owned();
    let send = async || {
        let request = reqwest::Client::new().post(format!("{}{path}", local.url()));
        let headers = headers.lines().filter_map(|line| line.split_once(": "));
        let request = headers.fold(request, |request, (name, value)| request.header(name, value));
        request.body(std::fs::read(&body).unwrap()).send().await.unwrap().status().as_u16()
    };
    let began = Instant::now();
    while send().await == 404 {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let pushed = || local.sandbox().unwrap().snapshots.certificate("1");
    while pushed().is_none() {
        assert!(began.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(pushed().unwrap()["title"], "One");
    assert!(data.path().join("dynamodb").exists());
    local.shutdown().await.unwrap();
    assert!(!data.path().join("dynamodb").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_a_version() {
    let (data, files) = folders().await;
    let push = |text: String| {
        let path = write(&files, "ledger.toml", &text);
        let data = data.path();
        async move { done(data, &["config", "push", &path]).await }
    };
    let second = LEDGER.to_owned() + "\n# changed\n";
    push(LEDGER.to_owned()).await;
    let (diff, _) = push(second.clone()).await;
    assert!(diff.contains("+# changed") && diff.contains("@@"), "{diff}");
    let (diff, said) = push(second.clone()).await;
    assert!(diff.is_empty() && said.contains("is in force already"), "{diff} {said}");

    let (diff, _) = done(data.path(), &["config", "rollback", "ledger", "--dry-run"]).await;
    assert!(diff.contains("-# changed"), "{diff}");
    done(data.path(), &["config", "rollback", "ledger"]).await;
    let (shown, _) = done(data.path(), &["config", "show", "ledger"]).await;
    assert_eq!(shown, LEDGER);
    let refused = failed(data.path(), &["config", "withdraw", "ledger", "--if-version", "2"]).await;
    assert!(refused.contains("the newest version is 3, not 2"), "{refused}");
    done(data.path(), &["config", "withdraw", "sources/ledger.toml", "--if-version", "3", "--by", "Zoë"]).await;
    done(data.path(), &["config", "rollback", "ledger", "--to", "2"]).await;
    let refused = failed(data.path(), &["config", "rollback", "ledger", "--to", "9"]).await;
    assert!(refused.contains("there is no version 9; there are 1 to 5"), "{refused}");

    let versions = history(data.path(), "sources/ledger.toml").await;
    let first = || Some(LEDGER.to_owned());
    let texts = [first(), Some(second.clone()), first(), None, Some(second)];
    assert_eq!(versions, Vec::from_iter((1..).zip(texts)));
    let (table, said) = done(data.path(), &["config", "show", "ledger", "--history"]).await;
    assert!(table.contains("withdrawn") && table.contains("Zoë") && said.contains("the history is whole"), "{table}");
    let (object, _) = done(data.path(), &["config", "show", "ledger", "--history", "--json"]).await;
    let object: Value = serde_json::from_str(&object).unwrap();
    assert_eq!((&object["version"], &object["by"]), (&5.into(), &"olga".into()));
    assert_eq!(object["history"].as_array().unwrap().len(), 5);
    let (table, _) = done(data.path(), &["config", "show"]).await;
    assert!(table.contains("version 5") && table.contains("built in"), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_functions_would_not_take_is_refused_with_all_that_is_wrong() {
    let (data, files) = folders().await;
    let broken = LEDGER.replace("[event]", "[event]\nx = 1");
    let no_name = LEDGER.replace("name = \"ledger\"", "name = \"ledger\"\naliases = [\"certificates\", \"a b\"]");
    for (name, text, faults) in [
        ("ledger.toml", broken.as_str(), &["unknown field `x`"][..]),
        ("ledger.toml", &no_name, &["a b"]),
        ("other.toml", LEDGER, &["name: ledger, but the file is other's"]),
        (
            "ledger.toml",
            &LEDGER.replace("name = \"ledger\"", "name = \"ledger\"\naliases = [\"certificates\"]"),
            &["certificates is another source's"],
        ),
        ("ledger.toml", "= 1", &["sources/ledger.toml: TOML parse error"]),
    ] {
        let path = write(&files, name, text);
        let said = failed(data.path(), &["config", "push", &path]).await;
        assert!(
            said.contains("nothing was put into force") && faults.iter().all(|fault| said.contains(fault)),
            "{said}"
        );
    }
    let ledger = write(&files, "ledger.toml", LEDGER);
    let bad = write(&files, "bad.toml", "name = 1");
    let twice = failed(data.path(), &["config", "push", &ledger, &ledger]).await;
    assert!(twice.contains("sources/ledger.toml is given twice"), "{twice}");
    failed(data.path(), &["config", "push", &ledger, &bad]).await;
    assert_eq!(history(data.path(), "sources/ledger.toml").await, [], "one that is broken, and none is pushed");
    let unknown = failed(data.path(), &["config", "show", "ledger"]).await;
    assert!(
        unknown.contains(
            "there is no definition ledger; there are destinations/highlevel.toml, destinations/snapshots.toml"
        ),
        "{unknown}"
    );
    let never = failed(data.path(), &["config", "rollback", "accredible"]).await;
    assert!(never.contains("what is in force is built in"), "{never}");
}

#[tokio::test]
async fn a_folder_that_up_never_saw_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let said = failed(folder.path(), &["config", "show"]).await;
    assert!(said.contains("the first `certbridge up` makes them"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_is_pushed_as_one() {
    let (data, files) = folders().await;
    let snapshots =
        include_str!("../../config/destinations/snapshots.toml").replace("max_changes = 10000", "max_changes = 7");
    let path = write(&files, "snapshots.toml", &snapshots);
    let (diff, _) = done(data.path(), &["config", "push", &path]).await;
    assert!(diff.contains("destinations/snapshots.toml: 1 lines added, 1 removed"), "{diff}");
    done(data.path(), &["config", "rollback", "snapshots"]).await;
    let (shown, _) = done(data.path(), &["config", "show", "destinations/snapshots"]).await;
    assert!(shown.contains("max_changes = 10000"));
}

/// A deployment's tables, as CloudFormation names them.
async fn deployment(database: &EmbeddedDynamoDb) -> (DynamoStore, Tables) {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::from_static("eu-west-1"))
        .credentials_provider(aws_sdk_dynamodb::config::Credentials::new("id", "key", None, None, "test"))
        .endpoint_url(database.endpoint())
        .build();
    let client = aws_sdk_dynamodb::Client::from_conf(config);
    let name = |table: &str| format!("demo-{table}-1A2B3C");
    let tables = Tables {
        inbox: name("InboxTable"),
        records: name("RecordsTable"),
        audit: name("AuditTable"),
        state: name("StateTable"),
    };
    schema::create(&client, &tables).await.unwrap();
    (DynamoStore::new(client, tables.clone()), tables)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_is_found_by_its_stack_or_by_the_environment() {
    let files = TempDir::new().unwrap();
    let database = EmbeddedDynamoDb::start(None).unwrap();
    let (store, tables) = deployment(&database).await;
    let ledger = write(&files, "ledger.toml", LEDGER);
    let aws = async |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_certbridge"));
        command.args(args).env_clear().stdin(Stdio::null()).env("AWS_REGION", "eu-west-1");
        command.env("AWS_ENDPOINT_URL", database.endpoint()).env("STATE_TABLE", &tables.state);
        command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "key");
        let output = command.output().await.unwrap();
        (output.status.success(), texts(&output))
    };
    let (ok, (_, said)) = aws(&["config", "push", &ledger, "--stack", "demo", "--by", "olga"]).await;
    assert!(ok && said.contains("it is on once the secret certbridge/sources/ledger exists"), "{said}");
    assert!(said.contains("within five minutes"), "{said}");
    let newest = store.newest_definition("sources/ledger.toml").await.unwrap().unwrap();
    assert_eq!((newest.version, newest.by.as_str(), newest.text.as_deref()), (1, "olga", Some(LEDGER)));
    let (ok, (shown, _)) = aws(&["config", "show", "ledger", "--aws"]).await;
    assert!(ok && shown == LEDGER, "{shown}");
    // Who it is, only AWS can say.
    let (ok, (_, said)) = aws(&["config", "withdraw", "ledger", "--aws"]).await;
    assert!(!ok && said.contains("sts:GetCallerIdentity (or give --by)"), "{said}");
    let (ok, (_, said)) = aws(&["config", "show", "--stack", "dem"]).await;
    assert!(!ok && said.contains("0 tables have a name that begins with dem-InboxTable-"), "{said}");
    let (ok, (_, said)) = aws(&["test", "--source", "ledger", "--aws"]).await;
    assert!(!ok && said.contains("INBOX_TABLE: is not set"), "{said}");
    let (ok, (_, said)) = aws(&["test", "--source", "ledger", "--stack", "demo"]).await;
    assert!(!ok && said.contains("give the deployment's address by --url"), "{said}");
}
