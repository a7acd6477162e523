//! `docs/adding-a-source.md`, followed to the letter.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(unix)]

use certbridge_mapping::SourceDefinition;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

const PAGE: &str = include_str!("../../docs/adding-a-source.md");

/// The fenced blocks of a language, in their order.
fn blocks(language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            if line == format!("```{language}") {
                found.push(block.join("\n"));
            }
        }
    }
    found
}

/// A shell in the folder that finds the command, as a reader's does.
fn shell(folder: &Path, script: &str) -> Command {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_certbridge"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(folder).env_clear().env("PATH", path).env("USER", "reader");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A bundle on ports of its own, and where its destination is.
async fn up(folder: &Path, block: &str) -> (Child, String) {
    let mut child = shell(folder, &format!("exec {block} --port 0")).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut snapshots = None;
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some(rest) = line.strip_prefix("snapshots ") {
            snapshots = rest.split_whitespace().next().map(str::to_owned);
        }
        if line.starts_with("ready ") {
            return (child, snapshots.unwrap());
        }
    }
}

#[tokio::test]
async fn the_page_leads_from_nothing_to_a_record_at_the_destination() {
    let folder = TempDir::new().unwrap();
    let scripts = blocks("sh");
    assert_eq!(scripts[0], "certbridge up");
    let (mut running, snapshots) = up(folder.path(), &scripts[0]).await;
    let pid = running.id();
    let mut said = Vec::new();
    for script in &scripts[1..] {
        let output = tokio::time::timeout(Duration::from_secs(120), shell(folder.path(), script).output());
        let output = output.await.unwrap().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}\n{text}");
        said.push(text);
    }
    let told = |word: &str| assert!(said.iter().any(|text| text.contains(word)), "{word} in {said:#?}");
    for word in
        ["academy.toml: version 1 is in force", "synced", "X-Signature", "0 of 1 records", "the history is whole"]
    {
        told(word);
    }
    // Nothing was started anew.
    assert_eq!((running.id(), running.try_wait().unwrap()), (pid, None));

    let secrets = std::fs::read(folder.path().join(".certbridge/secrets.json")).unwrap();
    let secrets: Value = serde_json::from_slice(&secrets).unwrap();
    let key = secrets["destinations/snapshots"]["api_key"].as_str().unwrap();
    let listed = reqwest::Client::new().get(format!("{snapshots}/certificates")).bearer_auth(key).send().await.unwrap();
    let listed: Value = listed.json().await.unwrap();
    let of = |id: &str| {
        let certificates = listed["certificates"].as_array().unwrap();
        certificates.iter().find(|one| one["certificate_id"] == id).unwrap_or_else(|| panic!("{id} in {listed}"))
    };
    let sent = of("A-1");
    assert_eq!((&sent["title"], &sent["location_id"]), (&"Bookkeeping".into(), &"loc_lyon".into()));
    assert_eq!(of("certbridge-test-academy")["recipient_email"], "ada@example.com");
    running.kill().await.unwrap();
}

#[test]
fn the_pages_definitions_are_sound() {
    let toml = blocks("toml");
    let whole: Vec<_> = toml.iter().filter(|text| text.contains("name = \"academy\"")).collect();
    assert_eq!(whole.len(), 1);
    assert_eq!(SourceDefinition::parse("sources/academy.toml", whole[0]).err(), None);
    for text in &toml {
        toml::from_str::<toml::Table>(text).unwrap();
    }
    // A record that is fetched can be listed as the page says.
    let fetched = whole[0].replacen("content = \"payload\"", "content = \"fetched\"\nfetch_path = \"/c/{id}\"", 1);
    let listed = format!("{fetched}\n{}", toml[1]);
    assert_eq!(SourceDefinition::parse("sources/academy.toml", &listed).err(), None);
}

/// What a kind has is listed in the page as the code has it.
#[test]
fn the_page_names_every_field_of_every_kind() {
    for kind in certbridge_mapping::Kind::ALL {
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| `{kind}` | **"))).unwrap();
        let named: Vec<_> = row.split('`').skip(3).step_by(2).collect();
        let fields: Vec<_> = kind.fields().iter().map(|field| field.name).collect();
        assert_eq!(named, fields, "{kind}");
        for field in kind.fields() {
            assert_eq!(row.contains(&format!("**`{}`**", field.name)), field.required, "{}", field.name);
        }
    }
}
