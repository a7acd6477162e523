//! `certbridge notifications` and `certbridge endpoints`, as they are typed, on a folder that nobody holds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![recursion_limit = "256"]

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use certbridge::{
    Local, Options,
    local::{POLL_EVERY, SecretsFile},
};
use certbridge_platform::Env;
use certbridge_sandbox::Credential;
use serde_json::{Value, json};
use std::{
    net::Ipv4Addr,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command};

type Posts = Arc<Mutex<Vec<Value>>>;

/// Somebody who listens, wants nothing more after the first post, and later wants it again.
async fn listener() -> (String, Posts) {
    let posts = Posts::default();
    let seen = Arc::clone(&posts);
    let hook = post(async move |body: Bytes| {
        let mut posts = seen.lock().unwrap();
        posts.push(serde_json::from_slice(&body).unwrap());
        if posts.len() == 1 { StatusCode::GONE } else { StatusCode::NO_CONTENT }
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/secret-path", listener.local_addr().unwrap());
    let router = Router::new().route("/secret-path", hook);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, posts)
}

/// A folder with the audit row of one certificate that was synced, before there was any endpoint.
async fn synced(folder: &Path) {
    let options = Options {
        data: folder.to_owned(),
        port: 0,
        sandbox: true,
        destination: None,
        poll_every: POLL_EVERY,
        allow_local_endpoints: false,
        env: Env::from_iter::<[(&str, &str); 0]>([]),
    };
    let local = Local::start(options).await.unwrap();
    local.sandbox().unwrap().accredible.put("7", &Credential::new("7").at_location("loc_london"));
    let key = std::fs::read_to_string(folder.join("api-key")).unwrap();
    let sync = reqwest::Client::new().post(format!("{}/certificates/7/sync", local.url()));
    let answer = sync.header("x-api-key", key.trim()).body("{}").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    local.shutdown().await.unwrap();
}

/// The exit code, and what was printed.
async fn certbridge(folder: &Path, words: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certbridge"));
    command.args(words.split(' ')).arg("--data").arg(folder).env_clear().stdin(Stdio::null());
    let output = command.output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_is_told_again_once_the_endpoint_wants_it() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    synced(folder).await;
    let (url, posts) = listener().await;
    let endpoint = json!({"id": "a", "url": url, "signing": "whsec_bmV3LW5ldy1uZXctbmV3LW5ldy1uZXct", "events": ["certificate.*"]});
    let add = |secrets: &mut serde_json::Map<String, Value>| {
        secrets.insert("endpoints".to_owned(), json!({"endpoints": [endpoint]}));
        Ok(())
    };
    SecretsFile::in_folder(folder).update(add).unwrap();
    let replay = async |more: &str| {
        let words = format!("notifications replay --allow-local-endpoints --json --from 2026-01-01T00:00:00Z{more}");
        let (code, text) = certbridge(folder, &words).await;
        (code, serde_json::from_str::<Value>(&text).unwrap_or_else(|_| panic!("{text}")))
    };
    let told = json!({"read": 1, "sent": 1, "unsent": 0, "undelivered": 0});

    // It answers 410, and is told nothing from then on.
    assert_eq!(replay("").await, (0, told.clone()));
    assert_eq!(replay("").await, (0, told.clone()));
    assert_eq!(posts.lock().unwrap().len(), 1);
    let (_, list) = certbridge(folder, "endpoints list --json").await;
    assert!(!list.contains("secret-path") && !list.contains("whsec_"), "{list}");
    let list: Value = serde_json::from_str(&list).unwrap();
    assert!(list[0]["disabled_at"].is_string() && list[0]["id"] == "a", "{list}");

    assert_eq!(certbridge(folder, "endpoints enable a").await.0, 0);
    assert_eq!(certbridge(folder, "endpoints enable a").await.0, 1, "it is not disabled");
    assert_eq!(replay(" --record certificate/accredible/7").await, (0, told));
    let nothing = json!({"read": 1, "sent": 0, "unsent": 0, "undelivered": 0});
    assert_eq!(replay(" --to 2026-01-02T00:00:00Z").await, (0, nothing));
    let posts = posts.lock().unwrap();
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[0], posts[1], "under the same id");
    assert_eq!((&posts[0]["id"], &posts[0]["replay"]), (&json!("certificate#accredible#7#1"), &json!(true)));
}
