//! `certbridge audit`: an export is proven by nothing but itself, the checkpoints and the key, and whatever was done to
//! either is found and named.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![recursion_limit = "256"]

use certbridge::{
    audit::{End, Filters, Header, Line, Verdict, export, verify},
    local::LocalTables,
};
use certbridge_archive::Archive;
use certbridge_batch::Notary;
use certbridge_mapping::RecordKey;
use certbridge_platform::SystemRuntime;
use certbridge_sandbox::dynamodb::EmbeddedDynamoDb;
use certbridge_store::{Tables, schema};
use certbridge_sync::{
    AuditRow,
    checkpoint::{Hash, Heads, PublicKey, Signer, Stored},
    memory::MemoryStore,
    ports::{Records, Runtime},
    row::{Commit, Lease},
};
use futures::{StreamExt, stream};
use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{
    fs, iter,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};
use tempfile::TempDir;
use tokio::process::Command;

/// Base64 of 32 bytes, as the secret has it.
const SEED: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// A data folder as `up` leaves it, with tables and no rows.
async fn folder() -> TempDir {
    let data = TempDir::new().unwrap();
    let database = EmbeddedDynamoDb::start(Some(&data.path().join("dynamodb.sqlite"))).unwrap();
    schema::create(&client(&database), &Tables::with_prefix("certbridge-")).await.unwrap();
    database.shutdown().await.unwrap();
    let secrets = json!({"audit": {"signing_key": SEED, "digest_key": "digests"}});
    fs::write(data.path().join("secrets.json"), secrets.to_string()).unwrap();
    data
}

fn client(database: &EmbeddedDynamoDb) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::from_static("local"))
        .credentials_provider(aws_sdk_dynamodb::config::Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(database.endpoint());
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

fn signer(seed: &str) -> Signer {
    Signer::new(&SecretString::from(seed)).unwrap()
}

/// The record of this number: of several kinds and sources.
fn key(number: usize) -> RecordKey {
    let of = ["certificate#accredible", "customer#acculynx", "location#acculynx", "invoice#17hats"][number % 4];
    format!("{of}#{number}").parse().unwrap()
}

/// Appends rows to a record by claim and commit, as a worker does.
async fn append(store: &impl Records, key: &RecordKey, rows: usize) {
    for _ in 0..rows {
        let now = SystemRuntime.now();
        let lease = Lease { owner: "worker".to_owned(), until: now + SignedDuration::from_mins(5) };
        let claim = store.claim(key, &lease, now).await.unwrap();
        let head = &claim.row.audit;
        let row = json!({
            "record": key.to_string(), "sequence": head.sequence + 1, "fence": claim.fence, "time": now,
            "actor": {"type": "caller", "owner": if head.sequence % 2 == 0 { "Olga" } else { "Otto" }},
            "cause": {"type": "request", "id": "r"}, "action": "pushed", "outcome": "synced", "plan": "p",
            "changes": [{"field": "title", "before": head.sequence, "after": "new"}],
            "destination_request_id": null, "previous_hash": head.hash, "hash": ""
        });
        let mut audit: AuditRow = serde_json::from_value(row).unwrap();
        audit.hash = audit.expected_hash();
        let commit = Commit {
            claim: &claim,
            state: None,
            husk: None,
            hold: false,
            fetched_at: None,
            salt: "salt",
            audit: &audit,
            settle: None,
        };
        store.commit(&commit).await.unwrap();
    }
}

async fn night(store: &impl Heads, archive: &Archive, seed: &str) -> Stored {
    let signer = signer(seed);
    let notary = Notary { work: archive, checkpoints: archive, signer: Some(&signer) };
    notary.make(store, &SystemRuntime).await.unwrap()
}

fn archive(data: &Path) -> Archive {
    let url = reqwest::Url::from_directory_path(data.join("reports")).unwrap();
    Archive::open(url.as_str(), None).unwrap()
}

/// Rows of some hundred records over three nights, exported.
struct Ground {
    data: TempDir,
    export: Vec<String>,
}

impl Ground {
    async fn with(records: usize, rows_a_night: usize) -> Self {
        let data = folder().await;
        let tables = LocalTables::open(data.path()).await.unwrap();
        let (store, archive) = (tables.store(), archive(data.path()));
        for _ in 0..3 {
            let grown = (0..records).map(|number| async move { append(store, &key(number), rows_a_night).await });
            stream::iter(grown).buffer_unordered(16).collect::<Vec<_>>().await;
            night(store, &archive, SEED).await;
        }
        append(store, &key(0), 2).await;
        append(store, &key(records), 1).await;
        let mut out = Vec::new();
        export(store, &Filters::default(), SystemRuntime.now(), &mut out, |_| {}).await.unwrap();
        tables.close().await.unwrap();
        let export = String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
        Self { data, export }
    }

    /// The same in memory, where there may be more of them, and written down as an export has them.
    async fn in_memory(records: usize, rows_a_night: usize) -> Self {
        let (data, store) = (TempDir::new().unwrap(), MemoryStore::new());
        for _ in 0..3 {
            for number in 0..records {
                append(&store, &key(number), rows_a_night).await;
            }
            night(&store, &archive(data.path()), SEED).await;
        }
        let rows = (0..records).flat_map(|number| store.audit_rows(&key(number)));
        let header = Header { export: Header::VERSION, time: SystemRuntime.now(), filters: Filters::default() };
        let lines = iter::once(Line::Header(header)).chain(rows.map(|row| Line::Row(Box::new(row))));
        let mut export: Vec<_> = lines.map(|line| json!(line).to_string()).collect();
        let text: String = export.iter().map(|line| format!("{line}\n")).collect();
        let sha256 = Hash::of(text.as_bytes()).to_string();
        export.push(json!(Line::End(End { rows: export.len() as u64 - 1, sha256 })).to_string());
        Self { data, export }
    }

    fn checkpoints(&self) -> PathBuf {
        self.data.path().join("reports/checkpoints")
    }

    /// What is found in these lines, beside these checkpoints.
    fn found(&self, lines: &[String], checkpoints: &Path) -> (Verdict, String) {
        let file = self.data.path().join("export.jsonl");
        fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        let finding = verify(&file, checkpoints, &[public(SEED)], None).unwrap();
        (finding.verdict, finding.fault.unwrap_or_default())
    }

    /// Where a row stands among the lines.
    fn at(&self, record: &RecordKey, sequence: u64) -> usize {
        let is_it =
            |line: &&String| row(line).is_some_and(|row| row.record == record.to_string() && row.sequence == sequence);
        self.export.iter().position(|line| is_it(&line)).unwrap()
    }
}

fn public(seed: &str) -> PublicKey {
    signer(seed).public_key()
}

fn row(line: &str) -> Option<AuditRow> {
    let line: Value = serde_json::from_str(line).ok()?;
    serde_json::from_value(line.get("row")?.clone()).ok()
}

fn line(row: &AuditRow) -> String {
    json!({"row": row}).to_string()
}

/// A copy of the checkpoints, to do something to.
fn copied(from: &Path) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let to = to.join(path.file_name().unwrap());
            if path.is_dir() { copy(&path, &to) } else { fs::write(to, fs::read(&path).unwrap()).unwrap() }
        }
    }
    let folder = TempDir::new().unwrap();
    copy(from, folder.path());
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_rows_are_proven_and_what_is_done_to_one_of_them_is_named() {
    let ground = Ground::in_memory(400, 9).await;
    let checkpoints = ground.checkpoints();
    assert!(ground.export.len() > 10_000);
    assert_eq!(ground.found(&ground.export, &checkpoints), (Verdict::Proven, String::new()));
    let one = key(17);
    let (seventh, eighth, last) = (ground.at(&one, 7), ground.at(&one, 8), ground.at(&one, 27));
    let broken = |edit: &dyn Fn(&mut Vec<String>), fault: &str| {
        let mut lines = ground.export.clone();
        edit(&mut lines);
        assert_eq!(ground.found(&lines, &checkpoints), (Verdict::Broken, format!("{one}, row {fault}")));
    };
    let byte = |lines: &mut Vec<String>| lines[seventh] = lines[seventh].replace("\"pushed\"", "\"none\"");
    broken(&byte, "7: its hash is not that of its content");
    broken(&|lines| drop(lines.remove(seventh)), "7: it is missing: the next one here is row 8");
    broken(&|lines| lines.swap(seventh, eighth), "7: it is missing: the next one here is row 8");
    broken(&|lines| drop(lines.drain(eighth..=last)), "8: it was cut off: checkpoint 3 saw 27 rows");
    broken(&|lines| drop(lines.drain(seventh - 6..=last)), "1: the whole chain is gone: checkpoint 3 saw 27 rows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_to_an_export_is_named() {
    let (records, rows) = (40, 3);
    let ground = Ground::with(records, rows).await;
    let checkpoints = ground.checkpoints();
    assert_eq!(ground.found(&ground.export, &checkpoints), (Verdict::Proven, String::new()));

    let (one, other) = (key(17), key(18));
    let broken = |edit: &dyn Fn(&mut Vec<String>)| {
        let mut lines = ground.export.clone();
        edit(&mut lines);
        let (verdict, fault) = ground.found(&lines, &checkpoints);
        assert_eq!(verdict, Verdict::Broken, "{fault}");
        fault
    };
    let at = |sequence| ground.at(&one, sequence);
    let edited = |sequence: u64, edit: &dyn Fn(&mut AuditRow)| {
        broken(&|lines| {
            let mut row = row(&lines[at(sequence)]).unwrap();
            edit(&mut row);
            lines[at(sequence)] = line(&row);
        })
    };
    let says = |sequence: u64, what: &str| format!("{one}, row {sequence}: {what}");
    let last = 3 * rows as u64;

    // One thing of a row, its hash left or made anew.
    assert_eq!(edited(5, &|row| row.fence += 1), says(5, "its hash is not that of its content"));
    assert_eq!(edited(5, &|row| row.changes.clear()), says(5, "its hash is not that of its content"));
    assert_eq!(edited(5, &|row| row.hash = "0".repeat(64)), says(5, "its hash is not that of its content"));
    let sealed = |row: &mut AuditRow| {
        row.changes.clear();
        row.hash = row.expected_hash();
    };
    assert_eq!(edited(5, &sealed), says(6, "it does not name the hash of the row before"));
    let rewritten = "it is not the row that checkpoint 3 saw: the chain was rewritten here or before";
    assert_eq!(edited(last, &sealed), says(last, rewritten));
    // One byte, of a row or of any other line.
    for place in [0, 1, ground.export.len() - 1, at(5)] {
        for byte in [2, ground.export[place].len() / 2, ground.export[place].len() - 3] {
            let fault = broken(&|lines| {
                let mut bytes = lines[place].clone().into_bytes();
                bytes[byte] ^= 1;
                lines[place] = String::from_utf8(bytes).unwrap();
            });
            assert!(!fault.is_empty());
        }
    }
    // Rows removed, put in, swapped, told twice.
    assert_eq!(broken(&|lines| drop(lines.remove(at(7)))), says(7, "it is missing: the next one here is row 8"));
    assert_eq!(broken(&|lines| drop(lines.remove(at(1)))), says(1, "it is missing: the next one here is row 2"));
    let (seventh, eighth) = (at(7), at(8));
    assert_eq!(broken(&|lines| lines.swap(seventh, eighth)), says(7, "it is missing: the next one here is row 8"));
    assert_eq!(broken(&|lines| lines.insert(eighth, lines[seventh].clone())), says(8, "row 7 stands in its place"));
    let far = ground.at(&other, 3);
    // Whichever of the two records comes first ends where the other's row stands.
    let fault = broken(&|lines| lines.swap(seventh, far));
    let ends = [says(7, "it was cut off"), format!("{other}, row 3: it was cut off")];
    assert!(ends.iter().any(|end| fault.starts_with(end)), "{fault}");
    // The tail cut off, by one row and by all that the last nights saw.
    let cut = |from: u64| broken(&|lines| drop(lines.drain(at(from)..=at(last))));
    assert_eq!(cut(last), says(last, &format!("it was cut off: checkpoint 3 saw {last} rows")));
    assert_eq!(cut(4), says(4, &format!("it was cut off: checkpoint 3 saw {last} rows")));
    assert_eq!(cut(1), says(1, &format!("the whole chain is gone: checkpoint 3 saw {last} rows")));
    // Everything cut off.
    let fault = broken(&|lines| lines.truncate(1));
    assert!(fault.contains("the whole chain is gone"), "{fault}");
    let all_but_the_end = broken(&|lines| drop(lines.pop()));
    assert!(all_but_the_end.contains("breaks off"), "{all_but_the_end}");
    // A whole chain rewritten from its beginning, every hash of it anew.
    let fault = broken(&|lines| {
        let mut head = "0".repeat(64);
        for sequence in 1..=last {
            let mut row = row(&lines[at(sequence)]).unwrap();
            row.changes.clear();
            row.previous_hash = head;
            row.hash = row.expected_hash();
            head = row.hash.clone();
            lines[at(sequence)] = line(&row);
        }
    });
    let first = "it is not the row that checkpoint 1 saw: the chain was rewritten here or before";
    assert_eq!(fault, says(rows as u64, first));
    // A chain of a record that no checkpoint saw, dated before the last one.
    let fault = broken(&|lines| {
        let mut row = row(&lines[at(1)]).unwrap();
        row.record = "certificate#accredible#invented".to_owned();
        row.time -= SignedDuration::from_hours(48);
        row.hash = row.expected_hash();
        let end = lines.len() - 1;
        lines.insert(end, line(&row));
    });
    assert!(fault.starts_with("certificate#accredible#invented, row 1: it is dated"), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_that_were_touched_are_named() {
    let ground = Ground::with(12, 2).await;
    let touched = |touch: &dyn Fn(&Path)| {
        let folder = copied(&ground.checkpoints());
        touch(folder.path());
        ground.found(&ground.export, folder.path())
    };
    let file = |folder: &Path, number: u64| folder.join(format!("{number:08}.json"));
    let edit = |path: &Path, edit: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        edit(&mut value);
        fs::write(path, value.to_string()).unwrap();
    };
    let heads = |folder: &Path, number: u64| {
        let stored: Stored = serde_json::from_slice(&fs::read(file(folder, number)).unwrap()).unwrap();
        folder.join("heads").join(stored.unproven().root.to_string())
    };
    let at = |place: u64, what: &str| (Verdict::Broken, format!("the history breaks at checkpoint {place}: {what}"));
    assert_eq!(touched(&|_| {}).0, Verdict::Proven);

    let forged = "its signature does not prove what it says";
    assert_eq!(touched(&|folder| edit(&file(folder, 2), &|it| it["checkpoint"]["rows"] = json!(7))), at(2, forged));
    assert_eq!(
        touched(&|folder| edit(&file(folder, 3), &|it| it["checkpoint"]["time"] = json!("2026-01-01T00:00:00Z"))),
        at(3, forged)
    );
    let stripped = |it: &mut Value| {
        it["type"] = json!("unsigned");
        it.as_object_mut().unwrap().remove("signature");
    };
    assert_eq!(touched(&|folder| edit(&file(folder, 2), &stripped)), at(2, "its signature was taken away"));
    let unsigned = |it: &mut Value| {
        stripped(it);
        it["checkpoint"]["key_id"] = Value::Null;
    };
    assert_eq!(touched(&|folder| edit(&file(folder, 3), &unsigned)), at(3, "it is not signed"));
    let resigned = |folder: &Path| {
        let stored: Stored = serde_json::from_slice(&fs::read(file(folder, 3)).unwrap()).unwrap();
        let again = stored.unproven().clone().seal(Some(&signer(OTHER)));
        fs::write(file(folder, 3), serde_json::to_vec(&again).unwrap()).unwrap();
    };
    let stranger = format!("it is signed by a key that is not trusted: {:?}", public(OTHER).id());
    assert_eq!(touched(&resigned), at(3, &stranger));
    let missing = "there is no checkpoint here, and there should be";
    assert_eq!(touched(&|folder| fs::remove_file(file(folder, 2)).unwrap()), at(2, missing));
    assert_eq!(touched(&|folder| fs::remove_file(file(folder, 1)).unwrap()), at(1, missing));
    let all = touched(&|folder| (1..=3).for_each(|number| fs::remove_file(file(folder, number)).unwrap()));
    assert!(all.0 == Verdict::Broken && all.1.contains("none was made yet, or they were taken away"), "{all:?}");
    let swapped = |folder: &Path| {
        let (two, three) = (fs::read(file(folder, 2)).unwrap(), fs::read(file(folder, 3)).unwrap());
        fs::write(file(folder, 2), three).unwrap();
        fs::write(file(folder, 3), two).unwrap();
    };
    assert_eq!(touched(&swapped), at(2, missing));
    let replayed = |folder: &Path| assert!(fs::copy(file(folder, 2), file(folder, 4)).is_ok());
    assert_eq!(touched(&replayed), at(4, "it does not follow the checkpoint before"));

    // The heads beside them.
    let of_two = |edit: &dyn Fn(&mut Vec<Value>)| {
        touched(&|folder| {
            let path = heads(folder, 2).join("00000.jsonl");
            let text = fs::read_to_string(&path).unwrap();
            let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            edit(&mut lines);
            fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        })
    };
    let others = (Verdict::Broken, "the heads beside checkpoint 2 are not those that it was made of".to_owned());
    assert_eq!(of_two(&|heads| heads[3]["sequence"] = json!(3)), others);
    assert_eq!(of_two(&|heads| drop(heads.pop())), others);
    let (verdict, fault) = of_two(&|heads| heads.swap(0, 1));
    assert!(verdict == Verdict::Broken && fault.contains("out of order"), "{fault}");
    let (verdict, fault) = of_two(&|heads| heads[3]["sequence"] = json!(1));
    assert!(verdict == Verdict::Broken && fault.contains("had 2 rows and has 1"), "{fault}");
    // Without them, less is known, and that is said.
    for number in [2, 3] {
        let (verdict, _) = touched(&|folder| fs::remove_dir_all(heads(folder, number)).unwrap());
        assert_eq!(verdict, Verdict::Partial, "{number}");
    }
    // The last checkpoint taken away leaves a whole history; its hash, noted elsewhere, finds it.
    let folder = copied(&ground.checkpoints());
    let stored: Stored = serde_json::from_slice(&fs::read(file(folder.path(), 3)).unwrap()).unwrap();
    let known = stored.unproven().hash();
    fs::remove_file(file(folder.path(), 3)).unwrap();
    let export = ground.data.path().join("export.jsonl");
    let finding = verify(&export, folder.path(), &[public(SEED)], Some(&known)).unwrap();
    assert_eq!(finding.fault.unwrap(), at(3, missing).1);
}

async fn run(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certbridge"));
    let Output { status, stdout, stderr } = command
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("USER", "olga")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_take_the_trail_out_and_prove_it() {
    let data = folder().await;
    let (at, here) = (data.path(), ["--data", "."]);
    let tables = LocalTables::open(at).await.unwrap();
    append(tables.store(), &key(0), 3).await;
    append(tables.store(), &key(1), 2).await;
    tables.close().await.unwrap();
    let with = |args: &[&'static str]| [args, &here[..]].concat();

    let (code, said, err) = run(at, &with(&["audit", "checkpoint"])).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(said.starts_with("checkpoint 1: 5 rows of 2 records, signed"), "{said}");
    let (_, key, _) = run(at, &with(&["audit", "key"])).await;
    assert_eq!(key.trim(), public(SEED).to_string());
    let (code, _, said) =
        run(at, &with(&["audit", "export", "--out", "all.jsonl", "--checkpoints", "proof", "--json"])).await;
    assert_eq!(code, Some(0), "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said, json!({"rows": 5, "records": 2, "read": 5, "checkpoints": 1}));

    let proof = ["--checkpoints", "proof", "--key", "proof/key.pub"];
    let verify = async |export: &'static str| run(at, &[&["audit", "verify", export][..], &proof[..]].concat()).await;
    let (code, said, _) = verify("all.jsonl").await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("5 rows of 2 records") && said.contains("newer than the last checkpoint: 0 rows"), "{said}");
    // The key itself does as well as its file; another one does not, and without one nothing may be signed.
    let typed = ["audit", "verify", "all.jsonl", "--checkpoints", "proof", "--key", key.trim()];
    assert_eq!(run(at, &typed).await.0, Some(0));
    let other = public(OTHER).to_string();
    let (code, said, _) = run(at, &["audit", "verify", "all.jsonl", "--checkpoints", "proof", "--key", &other]).await;
    assert!(code == Some(1) && said.contains("not trusted"), "{said}");
    assert_eq!(run(at, &typed[..5]).await.0, Some(1));

    // By record everything of it is proven; by time and actor what is there.
    for (filter, code, says) in [
        (["--record", "certificate/accredible/0"], 0, "3 rows of certificate#accredible#0 only"),
        (["--actor", "Otto"], 3, "the export has some rows only"),
        (["--from", "2026-01-01T00:00:00Z"], 3, "the export has some rows only"),
    ] {
        let args = [&["audit", "export", "--out", "some.jsonl"][..], &filter[..]].concat();
        assert_eq!(run(at, &with(&args)).await.0, Some(0));
        let (found, said, _) = verify("some.jsonl").await;
        assert!(found == Some(code) && said.contains(says), "{filter:?}: {said}");
    }
    // What cannot be tried is told apart from what is broken.
    for args in [
        vec!["audit", "verify", "none.jsonl", "--checkpoints", "proof"],
        vec!["audit", "verify", "all.jsonl", "--checkpoints", "none"],
        vec!["audit", "verify", "all.jsonl", "--checkpoints", "proof", "--key", "none"],
        vec!["audit", "verify", "all.jsonl"],
    ] {
        assert_eq!(run(at, &args).await.0, Some(2), "{args:?}");
    }
    // A key that is there is not made anew; one that is not is.
    let (_, same, _) = run(at, &with(&["audit", "key", "--make"])).await;
    assert_eq!(same, key);
    fs::write(at.join("secrets.json"), json!({"audit": {"signing_key": "", "digest_key": "d"}}).to_string()).unwrap();
    assert_eq!(run(at, &with(&["audit", "key"])).await.0, Some(1));
    let (code, fresh, _) = run(at, &with(&["audit", "key", "--make"])).await;
    assert!(code == Some(0) && fresh.trim().parse::<PublicKey>().is_ok() && fresh != key);
    let kept: Value = serde_json::from_slice(&fs::read(at.join("secrets.json")).unwrap()).unwrap();
    assert_eq!(kept["audit"]["digest_key"], "d");
}
