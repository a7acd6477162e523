//! `certbridge connect highlevel`, as it is typed, against the sandbox.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use certbridge::local::DataFolder;
use certbridge_sandbox::{
    HighLevel, Options,
    highlevel::{CLIENT_ID, CLIENT_SECRET},
};
use serde_json::{Value, json};
use std::{path::Path, process::Output};
use tempfile::TempDir;
use tokio::process::Command;

const LONDON: &str = "loc-london";

async fn highlevel() -> HighLevel {
    let server = HighLevel::start(Options { api_key: "pit-key".to_owned(), ..Options::default() }).await.unwrap();
    server.add_location(LONDON, "London");
    server
}

fn folder(secret: &Value) -> TempDir {
    let folder = TempDir::new().unwrap();
    let secrets = json!({ "destinations/highlevel": secret });
    std::fs::write(folder.path().join("secrets.json"), secrets.to_string()).unwrap();
    folder
}

async fn connect(server: &HighLevel, folder: &Path, args: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certbridge"));
    command.env_clear().env("HIGHLEVEL_URL", server.url()).args(["connect", "highlevel", "--data"]).arg(folder);
    let Output { status, stdout, stderr } = command.args(args).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.success(), text(stdout), text(stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_lets_us_in_once_and_what_is_missing_is_made_once() {
    let server = highlevel().await;
    let folder = folder(&json!({ "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET }));
    let folder = folder.path();
    let (done, out, err) = connect(&server, folder, &["--dry-run", "--location", LONDON]).await;
    assert!(done && err.contains("v2/oauth/chooselocation") && out.is_empty(), "{out}{err}");
    assert!(err.contains("What is missing in loc-london cannot be seen yet: nobody has let us in"), "{err}");

    let code = server.authorize(Some(LONDON));
    let address = format!("https://localhost/certbridge?code={code}&state=x");
    let (done, out, err) = connect(&server, folder, &["--code", &address]).await;
    assert!(done, "{err}");
    assert!(out.starts_with("let in: location loc-london of company "), "{out}");
    assert!(out.contains("loc-london: made: object custom_objects.certificates\n"), "{out}");
    assert!(out.contains("loc-london: made: association certificate_recipient\n"), "{out}");
    assert_eq!((server.schemas().len(), server.associations().len()), (3, 1));
    for secret in [CLIENT_SECRET, "access0", "refresh0", code.as_str()] {
        assert!(!out.contains(secret) && !err.contains(secret), "{out}{err}");
    }

    // The grant was kept: now a dry run sees that all is there, and needs no code.
    let (done, out, err) = connect(&server, folder, &["--dry-run", "--location", LONDON]).await;
    assert!(done, "{err}");
    assert_eq!(out, "loc-london: 35 there already, 0 would be made\n");
    assert_eq!(server.schemas().len(), 3);

    let (done, _, err) = connect(&server, folder, &["--code", &code]).await;
    assert!(!done && err.contains("the code is refused (400"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_nobody_need_let_us_in() {
    let server = highlevel().await;
    let folder = folder(&json!({ "api_key": "pit-key", "default_location": LONDON }));
    let (done, out, err) = connect(&server, folder.path(), &["--dry-run"]).await;
    assert!(done && server.schemas().is_empty(), "{err}");
    assert!(out.contains("loc-london: would be made: object custom_objects.sites\n"), "{out}");
    let (done, out, err) = connect(&server, folder.path(), &[]).await;
    assert!(done && !out.contains("pit-key") && !err.contains("pit-key"), "{out}{err}");
    assert_eq!(server.schemas().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_it_from_connecting_is_said() {
    let server = highlevel().await;
    let empty = TempDir::new().unwrap();
    let (done, _, err) = connect(&server, empty.path(), &[]).await;
    assert!(!done && err.contains("there is no secret destinations/highlevel in "), "{err}");
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "a folder that is nobody's is left alone");

    let folder = folder(&json!({ "api_key": "pit-key" }));
    let (done, _, err) = connect(&server, folder.path(), &[]).await;
    assert!(!done && err.contains("in which location?"), "{err}");
    let _up = DataFolder::open(folder.path()).unwrap();
    let (done, _, err) = connect(&server, folder.path(), &["--location", LONDON]).await;
    assert!(!done && err.contains("a running `certbridge up` has the database of this folder: stop it"), "{err}");
}
