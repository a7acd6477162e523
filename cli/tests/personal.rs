//! What a person is called is in the tables and at the destination, and nowhere that is looked at: no log line, metric,
//! notification, audit row, report or answer of the API holds it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::{Router, body::Bytes, routing::post};
use certbridge::sign::sign;
use certbridge_mapping::Definitions;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    fs::File,
    net::Ipv4Addr,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

/// What stands for a person in the samples, and what is put in its place.
const MARKS: [(&str, &str); 5] = [
    ("Ada Lovelace", "Markedname Markedfamily"),
    ("ada@example.com", "marked.mail@example.org"),
    ("+44 20 7946 0000", "+44 20 7946 0999"),
    ("1 Example Street", "999 Marked Street"),
    ("Ada", "Markedname"),
];
/// The parts of those that nothing may hold.
const TOLD: [&str; 5] = ["Markedname", "Markedfamily", "marked.mail", "7946 0999", "Marked Street"];
/// Our own lines at their fullest. What a library writes at this level is not ours.
const LOG: &str = "info,certbridge=debug,webhook=debug,sync_event=debug,sync_certificate=debug,batch_sync=debug,\
                   api=debug,notify=debug,deliver=debug,authorizer=debug";

fn marked(text: &str) -> String {
    MARKS.iter().fold(text.to_owned(), |text, (person, mark)| text.replace(person, mark))
}

type Posts = Arc<Mutex<Vec<Bytes>>>;

/// Somebody who is told of everything.
async fn listener() -> (String, Posts) {
    let posts = Posts::default();
    let seen = Arc::clone(&posts);
    let router = Router::new().route("/", post(async move |body: Bytes| seen.lock().unwrap().push(body)));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, posts)
}

/// Starts the command on a folder, and gives its address.
async fn up(folder: &Path) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_certbridge"))
        .args(["up", "--port", "0", "--allow-local-endpoints", "--data"])
        .arg(folder)
        .env("RUST_LOG", LOG)
        .stdout(Stdio::piped())
        .stderr(File::create(folder.join("log")).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(url) = line.strip_prefix("ready ") {
            let url = url.to_owned();
            tokio::spawn(async move { while lines.next_line().await.unwrap_or_default().is_some() {} });
            return (child, url);
        }
    }
    panic!("it did not start: {}", std::fs::read_to_string(folder.join("log")).unwrap());
}

/// Asks until there is an answer.
async fn until<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..1200 {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain for {what}");
}

struct World {
    url: String,
    key: String,
    client: reqwest::Client,
}

impl World {
    async fn get(&self, path: &str) -> String {
        let request = self.client.get(format!("{}{path}", self.url)).header("x-api-key", &self.key);
        request.send().await.unwrap().text().await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path).await).unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> String {
        let request = self.client.post(format!("{}{path}", self.url)).header("x-api-key", &self.key);
        request.json(body).send().await.unwrap().text().await.unwrap()
    }
}

/// Sends every sample of every source that carries its record, marked, and one of each that cannot be mapped.
async fn send_all(world: &World, folder: &Path) -> usize {
    let mut sent = 0;
    let definitions = Definitions::built_in();
    for source in definitions.sources() {
        for (name, template) in &source.samples {
            let broken = marked(template).replace("\"120.50\"", "\"Markedname\"").replace("2026-01-31", "Markedname");
            for (id, text) in [("p-1", marked(template)), ("p-2", broken)] {
                let now = Timestamp::now();
                let body = text.replace("{id}", id).replace("{now}", &now.to_string());
                let Ok(signed) = sign(folder, &source.name, body.as_bytes(), now) else { continue };
                let mut request = world.client.post(format!("{}{}", world.url, signed.path));
                // What the proof covers goes over what a sender would say of itself.
                let proof = |name: &str| signed.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
                let own = source.sample_headers(name, id, now).into_iter().filter(|(name, _)| !proof(name));
                for (name, value) in own.chain(signed.headers.clone()) {
                    request = request.header(name, value);
                }
                let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
                assert!(answer.status().is_success(), "{} {name}: {}", source.name, answer.status());
                sent += 1;
            }
        }
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_looked_at_tells_who_somebody_is() {
    let folder = TempDir::new().unwrap();
    let (endpoint, posts) = listener().await;
    let endpoints = json!({"endpoints": {"endpoints": [
        {"id": "all", "url": endpoint, "signing": ["whsec_bmV3LW5ldy1uZXctbmV3LW5ldy1uZXct"], "events": ["*"]},
    ]}});
    std::fs::write(folder.path().join("secrets.json"), endpoints.to_string()).unwrap();
    let (mut child, url) = up(folder.path()).await;
    let key = std::fs::read_to_string(folder.path().join("api-key")).unwrap().trim().to_owned();
    let world = World { url, key, client: reqwest::Client::new() };
    let sent = send_all(&world, folder.path()).await;
    assert!(sent >= 10, "{sent}");

    let mut told: Vec<(String, String)> = Vec::new();
    // A caller's own records, too: some that are told, one that cannot be.
    let records = json!([
        {"certificate_id": "p-3", "user_id": "u", "issue_date": "2026-01-31", "location_id": "loc_london",
         "recipient_name": "Markedname Markedfamily", "recipient_email": "marked.mail@example.org"},
        {"certificate_id": "p-4", "recipient_name": "Markedname", "issue_date": "Markedname"},
    ]);
    told.push((
        "POST /batch_sync".into(),
        world.post("/batch_sync", &json!({"batch_id": "b-1", "records": records})).await,
    ));
    let reconcile = json!({"batch_id": "b-2"});
    told.push(("POST".into(), world.post("/batch_sync?source=17hats&kind=customer", &reconcile).await));
    let synced = json!({
        "user_id": "u", "issue_date": "2026-01-31", "location_id": "loc_london", "recipient_name": "Markedname Markedfamily",
    });
    told.push(("a sync".into(), world.post("/certificates/p-5/sync", &synced).await));
    told.push(("a refusal".into(), world.post("/certificates/p-6/sync", &json!({"issue_date": "Markedname"})).await));
    for batch in ["b-1", "b-2"] {
        until("a batch", async || {
            let status = world.json(&format!("/batches/{batch}")).await["status"].clone();
            (status == "finished" || status == "failed").then_some(())
        })
        .await;
        for form in ["json", "csv", "html"] {
            let path = format!("/batches/{batch}/report?format={form}");
            told.push((path.clone(), world.get(&path).await));
        }
    }
    until("what was sent", async || {
        let pending = world.json("/events?state=pending&limit=100").await;
        // What a source is to be asked for, and has not, waits for long.
        let mine =
            |event: &&Value| event["record"].as_str().is_some_and(|record| record.starts_with("customer#17hats"));
        (!pending["events"].as_array().unwrap().iter().any(|event| mine(&event))).then_some(())
    })
    .await;
    let mut records = 0;
    for kind in ["certificate", "location", "customer", "invoice"] {
        let page = world.json(&format!("/records/{kind}?limit=100")).await;
        for record in page["records"].as_array().unwrap() {
            records += 1;
            let at =
                format!("/records/{kind}/{}/{}", record["source"].as_str().unwrap(), record["id"].as_str().unwrap());
            for end in ["", "/audit", "/history"] {
                told.push((format!("{at}{end}"), world.get(&format!("{at}{end}")).await));
            }
        }
        told.push((kind.to_owned(), page.to_string()));
    }
    assert!(records >= 4, "{records} records");
    for path in
        ["/events?state=quarantined", "/events?state=pending", "/batches", "/mappings", "/summary", "/locations"]
    {
        told.push((path.to_owned(), world.get(path).await));
    }
    until("notifications", async || (posts.lock().unwrap().len() >= records).then_some(())).await;
    let export = folder.path().join("export.jsonl");
    let exported = Command::new(env!("CARGO_BIN_EXE_certbridge"))
        .args(["audit", "export", "--out"])
        .arg(&export)
        .arg("--data")
        .arg(folder.path())
        .output()
        .await
        .unwrap();
    assert!(exported.status.success(), "{exported:?}");
    let why = Command::new(env!("CARGO_BIN_EXE_certbridge"))
        .args(["why", "customer/17hats/p-1", "--data"])
        .arg(folder.path())
        .output()
        .await
        .unwrap();
    assert!(why.status.success(), "{why:?}");
    told.push(("why".into(), String::from_utf8(why.stdout).unwrap()));
    told.push(("the export".into(), std::fs::read_to_string(&export).unwrap()));
    child.kill().await.unwrap();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("settled") && log.contains("set aside"), "nothing was logged: {log}");
    assert!(log.contains("\"Settled\"") || log.contains("Settled"), "no metric was logged");
    told.push(("the log".into(), log));
    for (place, body) in posts.lock().unwrap().iter().enumerate() {
        told.push((format!("notification {place}"), String::from_utf8(body.to_vec()).unwrap()));
    }
    for (what, text) in &told {
        for person in TOLD {
            assert!(!text.contains(person), "{what} tells {person:?}: {text}");
        }
    }
}
