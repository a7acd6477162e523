//! `certbridge batch`, as it is typed, against a bundle that runs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use certbridge::{Local, Options, local::POLL_EVERY};
use certbridge_platform::Env;
use certbridge_sandbox::Credential;
use serde_json::Value;
use std::process::Output;
use tempfile::TempDir;
use tokio::process::Command;

struct World {
    local: Local,
    folder: TempDir,
}

impl World {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let env = Env::from_iter::<[(&str, &str); 0]>([]);
        let options = Options {
            data: folder.path().to_owned(),
            port: 0,
            sandbox: true,
            destination: None,
            poll_every: POLL_EVERY,
            allow_local_endpoints: false,
            env,
        };
        let world = Self { local: Local::start(options).await.unwrap(), folder };
        // What changed a moment ago is in flight, and not judged.
        world.issue("100", true);
        world
    }

    /// Puts a certificate at the source that changed long ago.
    fn issue(&self, id: &str, has_location: bool) {
        let credential = Credential::new(id);
        let credential = if has_location { credential.at_location("loc_london") } else { credential };
        let source = &self.local.sandbox().unwrap().accredible;
        source.put(id, &credential);
        assert!(source.set_updated_at(id, "2026-03-01T00:00:00Z".parse().unwrap()));
    }

    /// What the command prints, and its exit code.
    async fn certbridge(&self, command: &str) -> (i32, String, String) {
        let mut words = command.split(' ');
        let output: Output = Command::new(env!("CARGO_BIN_EXE_certbridge"))
            .args(["batch", words.next().unwrap(), "--url", self.local.url(), "--data"])
            .arg(self.folder.path())
            .args(words)
            .output()
            .await
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_code_tells_how_a_batch_came_out() {
    let world = World::start().await;
    let (code, out, error) = world.certbridge("show").await;
    assert_eq!((code, out.as_str()), (1, ""), "{error}");
    assert!(error.contains("there is no batch yet"), "{error}");

    let (code, out, error) = world.certbridge("run --dry-run --id first").await;
    assert_eq!(code, 3, "{out}{error}");
    assert!(out.starts_with("To repair: 1 of 1 certificate differs."), "{out}");
    let (code, out, _) = world.certbridge("run --id second").await;
    assert_eq!(code, 3, "{out}");
    assert!(out.starts_with("Repaired: 1 of 1"), "{out}");

    // The same id again is the same batch.
    let (code, again, _) = world.certbridge("run --id second").await;
    assert_eq!((code, &again), (3, &out));
    let (code, _, error) = world.certbridge("run --id second --force").await;
    assert_eq!(code, 1);
    assert!(error.contains("409") && error.contains("another body"), "{error}");

    world.issue("101", false);
    let (code, out, _) = world.certbridge("run --json").await;
    assert_eq!(code, 4, "{out}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["totals"]["outcomes"]["invalid"], 1, "{report}");
    let (code, csv, _) = world.certbridge("show --format csv").await;
    assert_eq!(code, 4);
    assert!(csv.starts_with("id,outcome,") && csv.contains("101,invalid"), "{csv}");
    let (code, page, _) = world.certbridge("watch second --format html").await;
    assert_eq!(code, 3);
    assert!(page.contains("<html"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_a_file_are_told() {
    let world = World::start().await;
    let file = world.folder.path().join("records.json");
    let run = format!("run --records {}", file.display());
    std::fs::write(
        &file,
        r#"[{"certificate_id": "7", "user_id": "u", "issue_date": "2026-01-31", "location_id": "loc_lyon"}]"#,
    )
    .unwrap();
    let (code, out, error) = world.certbridge(&run).await;
    assert_eq!(code, 3, "{out}{error}");
    let told = world.local.sandbox().unwrap().snapshots.certificate("7").unwrap();
    assert_eq!(told["location_id"], "loc_lyon");

    std::fs::write(&file, r#"[{"certificate_id": "7","#).unwrap();
    let (code, _, error) = world.certbridge(&run).await;
    assert_eq!(code, 1);
    assert!(error.contains("not a JSON array of records: line 1"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_is_said() {
    let world = World::start().await;
    let (code, _, error) = world.certbridge("show none").await;
    assert_eq!(code, 1);
    assert!(error.contains("404"), "{error}");
    let (code, _, error) = world.certbridge("run --key-file none").await;
    assert_eq!(code, 1);
    assert!(error.contains("none: "), "{error}");
    let (code, _, error) = world.certbridge("run --format yaml").await;
    assert_eq!(code, 2, "{error}");
    let nobody = Command::new(env!("CARGO_BIN_EXE_certbridge"))
        .args(["batch", "run", "--url", "http://127.0.0.1:9", "--data"])
        .arg(world.folder.path())
        .output()
        .await
        .unwrap();
    let error = String::from_utf8(nobody.stderr).unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(error.contains("http://127.0.0.1:9/ does not answer") && error.contains("certbridge up"), "{error}");
}
