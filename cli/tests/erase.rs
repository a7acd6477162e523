//! `certbridge erase` and `certbridge audit hold`: what a person was is gone from every attribute of every table, the trail
//! is as provable as before, and the way of an event goes on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![recursion_limit = "256"]

use certbridge::{
    Local, Options,
    local::{LocalTables, POLL_EVERY},
    sign::sign,
};
use certbridge_platform::Env;
use certbridge_sandbox::{Credential, dynamodb::EmbeddedDynamoDb};
use certbridge_sync::{
    audit::{Actor, Outcome},
    ports::Records,
    verify_chain,
};
use jiff::Timestamp;
use serde_json::json;
use std::{path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::process::Command;

const NAME: &str = "Marked Person";
const EMAIL: &str = "marked.person@example.com";
const IN_BODY: &str = "marked-in-the-body";

async fn start(folder: &Path) -> Local {
    let env = Env::from_iter([("UNUSED", "")]);
    let options =
        Options { data: folder.to_owned(), port: 0, sandbox: true, destination: None, poll_every: POLL_EVERY, env };
    Local::start(options).await.unwrap()
}

async fn certbridge(folder: &Path, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certbridge"));
    let command = command.args(args).arg("--data").arg(folder).env_clear().env("USER", "olga").stdin(Stdio::null());
    let output = command.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

/// Sends a signed event about a certificate, and waits until its record has so many audit rows.
async fn told(local: &Local, folder: &Path, id: &str, rows: u64) {
    let now = Timestamp::now();
    let body = json!({
        "event_type": "certificate_updated", "certificate_id": id, "timestamp": now, "source": "accredible", "note": IN_BODY
    });
    let body = body.to_string();
    let signed = sign(folder, "accredible", body.as_bytes(), now).unwrap();
    let mut request = reqwest::Client::new().post(format!("{}{}", local.url(), signed.path));
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    settled(local, id, rows).await;
}

async fn settled(local: &Local, id: &str, rows: u64) {
    let key = format!("certificate#accredible#{id}").parse().unwrap();
    let there = async || local.store().read(&key).await.unwrap().is_some_and(|row| row.audit.sequence >= rows);
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while !there().await {
        assert!(tokio::time::Instant::now() < until, "the event is not settled");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Everything that stands in all tables, as text.
async fn everything(folder: &Path) -> String {
    let database = EmbeddedDynamoDb::start(Some(&folder.join("dynamodb.sqlite"))).unwrap();
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::from_static("local"))
        .credentials_provider(aws_sdk_dynamodb::config::Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(database.endpoint());
    let client = aws_sdk_dynamodb::Client::from_conf(config.build());
    let mut all = String::new();
    for table in ["inbox", "records", "audit", "state"] {
        let scan = client.scan().table_name(format!("certbridge-{table}")).into_paginator().items().send();
        for item in scan.try_collect().await.unwrap() {
            for (name, value) in item {
                // What is binary is a delivery's body, byte for byte.
                let value = match value.as_b() {
                    Ok(bytes) => String::from_utf8_lossy(bytes.as_ref()).into_owned(),
                    Err(_) => format!("{value:?}"),
                };
                all += &format!("{table} {name} {value}\n");
            }
        }
    }
    database.shutdown().await.unwrap();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_erased_and_the_trail_stays_provable() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let key = "certificate#accredible#7".parse().unwrap();
    let local = start(data).await;
    let accredible = &local.sandbox().unwrap().accredible;
    let marked = Credential::new("7").at_location("loc_london").issued_to("7", NAME, EMAIL);
    accredible.put("7", &marked);
    accredible.put("8", &Credential::new("8").at_location("loc_london").issued_to("8", NAME, EMAIL));
    told(&local, data, "7", 1).await;
    told(&local, data, "8", 1).await;
    local.shutdown().await.unwrap();
    let before = everything(data).await;
    for mark in [NAME, EMAIL, IN_BODY] {
        assert!(before.contains(mark), "{mark}");
    }

    // Only if somebody says so, only what there is, and not while it is held.
    let record = "certificate/accredible/7";
    let (done, said) = certbridge(data, &["erase", record]).await;
    assert!(!done && said.contains("--yes"), "{said}");
    let (done, said) = certbridge(data, &["erase", "certificate/accredible/none", "--yes"]).await;
    assert!(!done && said.contains("nothing is known"), "{said}");
    let (done, said) = certbridge(data, &["audit", "hold", record]).await;
    assert!(done, "{said}");
    let (done, said) = certbridge(data, &["erase", record, "--yes"]).await;
    assert!(!done && said.contains("held"), "{said}");
    assert!(everything(data).await.contains(EMAIL));
    let held = LocalTables::open(data).await.unwrap();
    let events = certbridge_sync::erase::Remains::events_of(held.store(), &key).await.unwrap();
    let row = certbridge_sync::ports::Inbox::get(held.store(), &events[0]).await.unwrap().unwrap();
    assert_eq!(row.expires_at, None, "what is held does not expire");
    held.close().await.unwrap();
    let (done, said) = certbridge(data, &["audit", "hold", record, "--release"]).await;
    assert!(done, "{said}");

    // By the record, and by what both have in a field.
    let (done, said) = certbridge(data, &["erase", record, "--yes"]).await;
    assert!(done && said.contains("1 deliveries blanked") && said.contains("Not reached"), "{said}");
    let (done, said) = certbridge(data, &["erase", "--person", &EMAIL.to_uppercase(), "--yes"]).await;
    assert!(done && said.contains("certificate#accredible#8 is erased") && !said.contains("#7"), "{said}");
    let after = everything(data).await;
    for mark in [NAME, EMAIL, IN_BODY] {
        assert!(!after.contains(mark), "{mark}: {after}");
    }
    let tables = LocalTables::open(data).await.unwrap();
    let (row, rows) =
        (tables.store().read(&key).await.unwrap().unwrap(), tables.store().audit_rows(&key).await.unwrap());
    assert_eq!((row.salt, row.state.is_none(), row.husk.is_some()), (None, true, true));
    let outcomes: Vec<_> = rows.iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes[1..], [Outcome::Held, Outcome::Released, Outcome::Erased]);
    assert_eq!(rows[3].actor, Actor::Operator { name: "olga".to_owned() });
    verify_chain(&rows, &row.audit).unwrap();
    let row = certbridge_sync::ports::Inbox::get(tables.store(), &events[0]).await.unwrap().unwrap();
    assert!(row.body.is_empty() && row.expires_at.is_some());
    tables.close().await.unwrap();

    // The trail can be taken out and proven.
    let (export, proof) = (data.join("all.jsonl"), data.join("proof"));
    let (export, proof) = (export.to_str().unwrap(), proof.to_str().unwrap());
    assert!(certbridge(data, &["audit", "checkpoint"]).await.0);
    assert!(certbridge(data, &["audit", "export", "--out", export, "--checkpoints", proof]).await.0);
    let key_file = format!("{proof}/key.pub");
    let mut verify = Command::new(env!("CARGO_BIN_EXE_certbridge"));
    let verify = verify.args(["audit", "verify", export, "--checkpoints", proof, "--key", &key_file]);
    assert!(verify.output().await.unwrap().status.success());

    // A later event is a new state from the source, and is on record as such.
    let local = start(data).await;
    local.sandbox().unwrap().accredible.put("7", &Credential::new("7").at_location("loc_lyon"));
    told(&local, data, "7", 5).await;
    let (row, rows) = (local.store().read(&key).await.unwrap().unwrap(), local.store().audit_rows(&key).await.unwrap());
    assert_eq!(rows[4].outcome, Outcome::Synced);
    assert!(row.state.is_some() && row.salt.is_some() && row.husk.is_none());
    verify_chain(&rows, &row.audit).unwrap();
    local.shutdown().await.unwrap();
}
