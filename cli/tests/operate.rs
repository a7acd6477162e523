//! `init`, `doctor` and `secrets`, as they are typed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(unix)]

use certbridge::{
    CliError,
    init::{Ask, InitArgs, run_with},
};
use certbridge_platform::Env;
use clap::Parser;
use secrecy::SecretString;
use serde_json::Value;
use std::{
    collections::VecDeque,
    path::Path,
    process::{ExitCode, Stdio},
};
use tempfile::TempDir;
use tokio::process::Command;

/// What a command came to: its exit code, and what it printed.
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn certbridge(folder: &Path, line: &str) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certbridge"));
    command.args(line.split_whitespace()).current_dir(folder).env_clear().env("USER", "reader");
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn secrets(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(".certbridge/secrets.json")).unwrap()).unwrap()
}

fn finding<'a>(found: &'a Value, id: &str) -> &'a Value {
    found["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == id).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn from_nothing_to_the_first_event_and_on_to_a_new_key() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let done = certbridge(folder, "init --yes --source accredible --source certifylize").await;
    assert_eq!(done.code, Some(0), "{} {}", done.out, done.err);
    assert_eq!(done.out.matches("the destination was told").count(), 2, "{}", done.out);
    assert!(done.out.contains("providers.destinations/snapshots") && done.out.contains("next:"), "{}", done.out);
    let made = secrets(folder);

    // Again: what is there stays.
    assert_eq!(certbridge(folder, "init --yes --source accredible --no-test").await.code, Some(0));
    assert_eq!(secrets(folder), made);

    let done = certbridge(folder, "doctor --json").await;
    let found: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(done.code, Some(0), "{found}");
    let states = [
        ("secrets.sources/accredible", "ok"),
        ("tables.inbox", "ok"),
        ("events.pending", "ok"),
        ("wiring.up", "skipped"),
        ("providers", "skipped"),
    ];
    for (id, state) in states {
        assert_eq!(finding(&found, id)["state"], state, "{id} in {found}");
    }

    let old = made["sources/accredible"]["signing"][0].as_str().unwrap().to_owned();
    let rotate = async |step: &str| certbridge(folder, &format!("secrets rotate sources/accredible {step}")).await;
    let done = rotate("").await;
    assert!(done.code == Some(0) && done.err.contains("rotate sources/accredible add"), "{}", done.err);
    assert!(rotate("switch").await.err.contains("only one key"));
    let done = rotate("add").await;
    assert_eq!(done.code, Some(0), "{}", done.err);
    let new = done.out.trim().to_owned();
    assert_eq!(secrets(folder)["sources/accredible"]["signing"], serde_json::json!([old, new]));
    assert!(!done.err.contains(&new));
    assert!(rotate("switch").await.err.contains("known everywhere only from"));
    assert_eq!(rotate("switch --force --reveal").await.out.trim(), new);

    let shown = certbridge(folder, "secrets status sources/accredible --json").await;
    let keys: Value = serde_json::from_str(&shown.out).unwrap();
    let signing: Vec<_> = keys["keys"].as_array().unwrap().iter().filter(|key| key["member"] == "signing").collect();
    assert!(signing[0]["last_matched"].is_string() && signing[1]["last_matched"].is_null(), "{keys}");
    let (old_id, new_id) = (signing[0]["id"].as_str().unwrap(), signing[1]["id"].as_str().unwrap());
    assert!(rotate(&format!("remove --id {old_id}")).await.err.contains("no other key has since"));
    assert_eq!(rotate(&format!("remove --id {old_id} --force")).await.code, Some(0));
    assert!(rotate(&format!("remove --id {new_id}")).await.err.contains("no other key"));
    assert_eq!(secrets(folder)["sources/accredible"]["signing"], serde_json::json!([new]));

    // What only shows, shows no key.
    for line in ["list", "list --json", "show sources/accredible", "status sources/accredible", "show audit"] {
        let done = certbridge(folder, &format!("secrets {line}")).await;
        assert_eq!(done.code, Some(0), "{line}: {}", done.err);
        for key in [&old, &new, secrets(folder)["audit"]["signing_key"].as_str().unwrap()] {
            assert!(!done.out.contains(key) && !done.err.contains(key), "{line}");
        }
    }
    assert!(certbridge(folder, "secrets rotate api-keys").await.err.contains("certbridge keys create"));
    assert!(
        certbridge(folder, "secrets rotate sources/accredit add").await.err.contains("subscriptions accredit create")
    );
    assert!(certbridge(folder, "secrets show other").await.err.contains("no secret of ours"));
}

#[tokio::test]
async fn without_a_terminal_it_says_what_is_missing_and_makes_nothing() {
    let folder = TempDir::new().unwrap();
    let done = certbridge(folder.path(), "init").await;
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("--source NAME") && done.err.contains("--yes"), "{}", done.err);
    assert!(!folder.path().join(".certbridge").exists());
    let done = certbridge(folder.path(), "init --yes --source none").await;
    assert!(done.err.contains("there is no source none"), "{}", done.err);
    let done = certbridge(folder.path(), "doctor").await;
    assert!(done.code == Some(1) && done.out.contains("there are no tables"), "{} {}", done.out, done.err);
}

/// Somebody who has made up their mind.
struct Scripted(VecDeque<(&'static str, &'static str)>);

impl Scripted {
    /// The answer to the next question, which has to be the expected one.
    fn next(&mut self, question: &str) -> &'static str {
        let (about, answer) = self.0.pop_front().unwrap();
        assert!(question.contains(about), "{question} is not about {about}");
        answer
    }
}

impl Ask for Scripted {
    fn choose(&mut self, question: &str, options: &[String]) -> Result<usize, CliError> {
        let wanted = self.next(question);
        Ok(options.iter().position(|option| option.contains(wanted)).unwrap())
    }

    fn choose_any(&mut self, question: &str, options: &[String]) -> Result<Vec<usize>, CliError> {
        Ok(vec![self.choose(question, options)?])
    }

    fn line(&mut self, question: &str, _: &str) -> Result<String, CliError> {
        Ok(self.next(question).to_owned())
    }

    fn hidden(&mut self, question: &str) -> Result<Option<SecretString>, CliError> {
        let text = self.next(question);
        Ok((!text.is_empty()).then(|| text.into()))
    }

    fn confirm(&mut self, question: &str) -> Result<bool, CliError> {
        Ok(self.next(question) == "yes")
    }
}

#[derive(Debug, Parser)]
struct Typed {
    #[command(flatten)]
    args: InitArgs,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_asked_and_what_they_answer_is_done() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let args = Typed::parse_from(["init", "--data", data.to_str().unwrap()]).args;
    let answers = [
        ("Where", "this machine"),
        ("Which sources", "certifylize"),
        ("Which destination", "snapshots"),
        ("certifylize: the key that proves", "given-by-a-person"),
        ("certifylize: the key to its API", ""),
        ("snapshots: its address", ""),
        ("test event", "yes"),
    ];
    let mut person = Scripted(answers.into());
    let env = Env::from_iter::<[(&str, &str); 0]>([]);
    let code = run_with(args, &mut person, &env).await.unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    assert!(person.0.is_empty());
    let secrets: Value = serde_json::from_slice(&std::fs::read(data.join("secrets.json")).unwrap()).unwrap();
    assert_eq!(secrets["sources/certifylize"]["signing"], serde_json::json!(["given-by-a-person"]));
}
