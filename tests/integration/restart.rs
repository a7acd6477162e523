//! `certbridge up` as a process, killed at the worst moments and started again on the same folder.

use crate::{
    http::{Reply, Request},
    support::{
        Closed, OPS, World, assert_tells_nothing, causes, confidential, created, event, key, record, secrets, signed,
        trail, until, write_secrets,
    },
};
use certbridge_mapping::EventKey;
use certbridge_sandbox::{self as sandbox, Accredible, Credential, Fault, Provider, Snapshots};
use certbridge_sync::row::InboxState;
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::LazyLock,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command as AsyncCommand},
};

/// The command, built by the cargo that built this test, beside it. What is fresh is not built again.
static CERTBRIDGE: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let name = profile.file_name().unwrap().to_str().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "certbridge", "--bin", "certbridge"]);
    build.args(["--profile", if name == "debug" { "dev" } else { name }]);
    build.arg("--target-dir").arg(profile.parent().unwrap());
    assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    profile.join("certbridge")
});

/// The providers and the data folder, which outlive every process.
struct Ground {
    folder: TempDir,
    source: Accredible,
    destination: Snapshots,
}

impl Ground {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        write_secrets(folder.path(), &secrets());
        let options = |name: &str| sandbox::Options {
            api_key: secrets()[name]["api_key"].as_str().unwrap().to_owned(),
            ..sandbox::Options::default()
        };
        let source = Accredible::start(options("sources/accredible")).await.unwrap();
        let destination = Snapshots::start(options("destinations/snapshots")).await.unwrap();
        destination.add_location("loc_london", "London");
        Self { folder, source, destination }
    }

    fn issue(&self, id: &str, title: &str) {
        self.source.put(id, &Credential::new(id).at_location("loc_london").named(title));
    }

    fn command(&self) -> AsyncCommand {
        let mut command = AsyncCommand::new(&*CERTBRIDGE);
        command.args(["up", "--no-sandbox", "--port", "0", "--data"]).arg(self.folder.path());
        // Nothing of this process's environment: a proxy's address, say.
        command.env_clear().env("SNAPSHOTS_URL", self.destination.url()).env("ACCREDIBLE_URL", self.source.url());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn up(&self) -> Up {
        let mut child = self.command().spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stderr = child.stderr.take().unwrap();
        // It must not wait for somebody to read what it logs.
        let log = tokio::spawn(async move {
            let mut log = String::new();
            drop(stderr.read_to_string(&mut log).await);
            log
        });
        let mut said = String::new();
        let url = loop {
            let line =
                lines.next_line().await.unwrap().unwrap_or_else(|| panic!("it ended before it was ready: {said}"));
            match line.strip_prefix("ready ") {
                Some(url) => break url.to_owned(),
                None => said += &line,
            }
        };
        Up { child, url, said, log }
    }

    async fn deliver(&self, up: &Up, body: impl Into<Vec<u8>>) -> Reply {
        signed(self.folder.path(), body).send(&up.url).await
    }

    async fn accepted(&self, up: &Up, body: impl Into<Vec<u8>>) -> EventKey {
        let reply = self.deliver(up, body).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        key(&reply)
    }

    /// Waits until a record has so many audit rows, as a dry run tells.
    async fn audited(&self, up: &Up, id: &str, rows: u64) {
        let request = Request::post(format!("/certificates/{id}/sync?dry_run=true"), "{}").header("x-api-key", OPS);
        until(&format!("{id} has {rows} audit rows"), async || {
            let reply = request.send(&up.url).await;
            (reply.status == 200 && reply.json()["audit_sequence"].as_u64() >= Some(rows)).then_some(())
        })
        .await;
    }

    /// Each of these events is settled and on record exactly once, and the chains are whole.
    async fn check(&self, accepted: &BTreeMap<EventKey, String>) {
        let tables = Closed::open(self.folder.path());
        let inbox = tables.inbox().await;
        assert_eq!(inbox.len(), accepted.len(), "every row was acknowledged: the senders sent until they were told");
        for (key, id) in accepted {
            let row = &inbox[&key.to_string()];
            assert_eq!(row.state, InboxState::Settled, "{id}: {:?}", row.reason);
            let trail = trail(&tables.store, &record(id)).await;
            assert_eq!(causes(&trail).get(&key.to_string()), Some(&1), "{id}: {trail:?}");
            let shown = self.source.credential(id).map(|credential| credential.value()["name"].clone());
            assert_eq!(self.destination.certificate(id).map(|certificate| certificate["title"].clone()), shown, "{id}");
        }
        tables.close().await;
    }
}

/// A running `certbridge up`.
struct Up {
    child: Child,
    url: String,
    /// What it said before it was ready.
    said: String,
    log: tokio::task::JoinHandle<String>,
}

impl Up {
    /// Kills it as nothing can be caught, and gives its log.
    async fn kill(mut self) -> String {
        self.child.kill().await.unwrap();
        self.log.await.unwrap()
    }

    /// Asks it to end, and gives its log.
    async fn stop(mut self, signal: &str) -> (ExitStatus, String) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        (self.child.wait().await.unwrap(), self.log.await.unwrap())
    }

    async fn end(self) -> String {
        let (status, log) = self.stop("TERM").await;
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }
}

fn seen(provider: &Provider, method: &str, path: &str) -> usize {
    let requests = provider.requests();
    requests.iter().filter(|request| request.method == method && request.path == path).count()
}

async fn wait_until_seen(provider: &Provider, method: &str, path: &str, times: usize) {
    until(&format!("{method} {path}"), async || (seen(provider, method, path) >= times).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_when_it_is_ready_and_ends_when_it_is_told() {
    let ground = Ground::new().await;
    for signal in ["TERM", "INT"] {
        let up = ground.up().await;
        let port = up.url.strip_prefix("http://127.0.0.1:").expect("the loopback address");
        assert!(port.parse::<u16>().is_ok_and(|port| port > 0));
        assert!(up.said.contains("certbridge sign --data") && !up.said.contains("sandbox"), "{}", up.said);
        let health = Request::new("GET", "/health").send(&up.url).await;
        assert_eq!((health.status, health.problem()), (200, None));
        let (status, log) = up.stop(signal).await;
        assert_eq!(status.code(), Some(0), "{signal}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_while_a_provider_hangs() {
    let ground = Ground::new().await;
    let up = ground.up().await;
    ground.issue("1", "One");
    ground.source.server().add_fault(Fault::Hang.always());
    ground.accepted(&up, created("1")).await;
    wait_until_seen(ground.source.server(), "GET", "/v1/credentials/1", 1).await;
    up.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sign_prints_proves_a_body() {
    let ground = Ground::new().await;
    let up = ground.up().await;
    let body = ground.folder.path().join("body.json");
    std::fs::write(&body, created("1")).unwrap();
    for source in ["accredible", "certificates"] {
        let mut sign = AsyncCommand::new(&*CERTBRIDGE);
        sign.args(["sign", "--source", source, "--data"]).arg(ground.folder.path()).arg("--body").arg(&body);
        let output = sign.env_clear().output().await.unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let headers = text.lines().map(|line| line.split_once(": ").unwrap());
        let request = Request::post(format!("/webhooks/{source}"), created("1"));
        let reply = headers.fold(request, |request, (name, value)| request.header(name, value)).send(&up.url).await;
        assert!([202, 200].contains(&reply.status), "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_has_one_process_at_a_time() {
    let ground = Ground::new().await;
    let up = ground.up().await;
    let second = ground.command().output().await.unwrap();
    let told = String::from_utf8(second.stderr).unwrap();
    assert_eq!((second.status.code(), second.stdout.as_slice()), (Some(1), &b""[..]));
    assert!(told.contains("another certbridge works in this folder"), "{told}");
    // The first one goes on.
    ground.issue("1", "One");
    let event = ground.accepted(&up, created("1")).await;
    ground.audited(&up, "1", 1).await;
    // A lock does not outlive its process, however that ended.
    up.kill().await;
    ground.up().await.end().await;
    ground.check(&BTreeMap::from([(event, "1".to_owned())])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_told_at_the_start() {
    let ground = Ground::new().await;
    let run = async |change: fn(&mut AsyncCommand)| {
        let mut command = ground.command();
        change(&mut command);
        let output = command.output().await.unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let told = run(|command| _ = command.env_remove("SNAPSHOTS_URL")).await;
    assert!(told.contains("SNAPSHOTS_URL"), "{told}");
    let told = run(|command| _ = command.env("SNAPSHOTS_URL", "ftp://example.com")).await;
    assert!(told.contains("SNAPSHOTS_URL"), "{told}");
    std::fs::write(ground.folder.path().join("secrets.json"), "{\"sources/accredible\": hush}").unwrap();
    let told = run(|_| {}).await;
    assert!(told.contains("secrets.json") && told.contains("line 1") && !told.contains("hush"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_a_kill_right_after() {
    let ground = Ground::new().await;
    let mut accepted = BTreeMap::new();
    let mut up = ground.up().await;
    for round in 0..3 {
        for number in 0..3 {
            let id = format!("c{round}{number}");
            ground.issue(&id, "First");
            accepted.insert(ground.accepted(&up, created(&id)).await, id);
        }
        // The answer to the last one is hardly read.
        up.kill().await;
        up = ground.up().await;
    }
    for id in accepted.values() {
        ground.audited(&up, id, 1).await;
    }
    // A sender that was cut off delivers again, and is told that it is known.
    let again = ground.deliver(&up, created("c00")).await;
    assert_eq!((again.status, accepted.contains_key(&key(&again))), (200, true));
    up.end().await;
    ground.check(&accepted).await;
}

/// One process that dies while one push hangs, another one was applied but not answered, a fetch hangs, an event waits
/// for its retry, and one was just accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_under_way_outlives_a_kill() {
    let ground = Ground::new().await;
    let (source, destination) = (ground.source.server(), ground.destination.server());
    let up = ground.up().await;
    let mut accepted = BTreeMap::new();
    // The list of locations is read once.
    ground.issue("first", "First");
    accepted.insert(ground.accepted(&up, created("first")).await, "first".to_owned());
    ground.audited(&up, "first", 1).await;

    let push = |id: &str| format!("/certificates/{id}/sync");
    let fetch = |id: &str| format!("/v1/credentials/{id}");
    destination.add_fault(Fault::Hang.always().on("POST", &push("hung")));
    destination.add_fault(Fault::AnswerLost.once().on("POST", &push("unanswered")));
    destination.add_fault(Fault::Hang.always().on("POST", &push("unanswered")));
    destination.add_fault(Fault::status(404).always().on("POST", &push("waiting")));
    source.add_fault(Fault::Hang.always().on("GET", &fetch("unfetched")));
    for id in ["hung", "unanswered", "waiting", "unfetched"] {
        ground.issue(id, "Before");
        accepted.insert(ground.accepted(&up, created(id)).await, id.to_owned());
    }
    wait_until_seen(destination, "POST", &push("hung"), 1).await;
    wait_until_seen(destination, "POST", &push("unanswered"), 2).await;
    wait_until_seen(destination, "POST", &push("waiting"), 1).await;
    wait_until_seen(source, "GET", &fetch("unfetched"), 1).await;
    ground.issue("last", "Before");
    accepted.insert(ground.accepted(&up, created("last")).await, "last".to_owned());
    let log = up.kill().await;
    assert_tells_nothing(&log, &confidential(&secrets()));
    let applied = |id: &str| {
        let applications = ground.destination.applications();
        applications.into_iter().filter(|application| application.certificate_id == id).collect::<Vec<_>>()
    };
    assert_eq!((applied("unanswered").len(), applied("hung").len()), (1, 0));

    // Meanwhile everything changes at the source, and the providers recover.
    for id in accepted.values() {
        ground.source.update(id, &json!({"name": "After"}));
    }
    source.clear_faults();
    destination.clear_faults();
    let up = ground.up().await;
    for id in accepted.values() {
        ground.audited(&up, id, 1).await;
    }
    // What was committed before the kill is told of its change by an event of its own.
    for id in ["first", "last"] {
        let updated = event("certificate_updated", id, "2026-02-02T10:00:00Z").to_string();
        accepted.insert(ground.accepted(&up, updated).await, id.to_owned());
        ground.audited(&up, id, 2).await;
    }
    assert_tells_nothing(&up.end().await, &confidential(&secrets()));
    ground.check(&accepted).await;
    // The push that nobody answered is made certain under a claim of its own.
    let keys: Vec<_> =
        applied("unanswered").into_iter().filter_map(|application| application.idempotency_key).collect();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bundle_in_process_finds_what_it_had() {
    let world = World::start().await;
    world.issue("1");
    let key = world.deliver(created("1")).await;
    world.settled(&world.deliver(event("certificate_verified", "2", "2026-02-01T10:00:00Z").to_string()).await).await;
    let world = World::start_in(world.stop().await).await;
    world.settled(&key).await;
    assert_eq!(world.send(&world.signed(created("1"))).await.status, 200);
    assert_eq!(world.trail("1").await.len(), 1);
}
