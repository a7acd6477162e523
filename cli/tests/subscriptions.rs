//! `certbridge subscriptions` as it is typed, against the sandbox's providers, and what arrives at a running bundle.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![recursion_limit = "256"]

use certbridge::{Local, Options, local::POLL_EVERY};
use certbridge_platform::Env;
use certbridge_sandbox::{self as sandbox, Accredit, AccuLynx, accredit, acculynx};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    process::Command,
    time::{sleep, timeout},
};

const API_KEY: &str = "api-key-of-the-provider";
const TOKEN: &str = "t0ken-in-the-path";
const OLD_KEY: &str = "an-old-signature-key";
const URL: &str = "https://hooks.example.com/stage";

/// A data folder, with the secret of one source.
struct Folder(TempDir);

impl Folder {
    fn with(source: &str, secret: &Value) -> Self {
        let folder = TempDir::new().unwrap();
        let secrets = json!({format!("sources/{source}"): secret, "sources/other": {"signing": ["other"], "n": 1}});
        fs::write(folder.path().join("secrets.json"), secrets.to_string()).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn secret(&self, source: &str) -> Value {
        let secrets: Value = serde_json::from_slice(&fs::read(self.path().join("secrets.json")).unwrap()).unwrap();
        assert_eq!(secrets["sources/other"]["signing"], json!(["other"]));
        secrets[format!("sources/{source}")].clone()
    }
}

/// A provider's address, and whose.
struct Typed<'a> {
    folder: &'a Folder,
    source: &'static str,
    variable: &'static str,
    address: String,
}

impl Typed<'_> {
    async fn output(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_certbridge"));
        command.args(["subscriptions", self.source]).args(args).arg("--data").arg(self.folder.path());
        command.env_clear().env(self.variable, &self.address).stdin(Stdio::null());
        let output = command.output().await.unwrap();
        let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
        for secret in [API_KEY, TOKEN, OLD_KEY, "PUBLIC KEY"] {
            assert!(!told.contains(secret), "{told}");
        }
        for key in self.folder.secret(self.source)["signing"].as_array().unwrap() {
            // Not even a line of it.
            let lines = key.as_str().unwrap().lines().filter(|line| line.len() > 8);
            lines.for_each(|line| assert!(!told.contains(line), "{told}"));
        }
        output
    }

    /// What it prints, and what it says beside.
    async fn done(&self, args: &[&str]) -> (String, String) {
        let output = self.output(args).await;
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    }

    /// What it says when it fails; and it prints nothing.
    async fn failed(&self, args: &[&str]) -> String {
        let output = self.output(args).await;
        assert!(!output.status.success() && output.stdout.is_empty(), "{args:?}: {}", text(&output.stdout));
        text(&output.stderr)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn options() -> sandbox::Options {
    sandbox::Options { api_key: API_KEY.to_owned(), ..sandbox::Options::default() }
}

async fn acculynx() -> (AccuLynx, Folder) {
    let folder =
        Folder::with("acculynx", &json!({"signing": ["old token", TOKEN], "api_key": API_KEY, "note": "ours"}));
    (AccuLynx::start(options()).await.unwrap(), folder)
}

fn at_acculynx<'a>(acculynx: &AccuLynx, folder: &'a Folder) -> Typed<'a> {
    Typed { folder, source: "acculynx", variable: "ACCULYNX_URL", address: acculynx.url() }
}

async fn accredit() -> (Accredit, Folder) {
    let folder = Folder::with("accredit", &json!({"signing": [OLD_KEY], "api_key": API_KEY}));
    (Accredit::start(options()).await.unwrap(), folder)
}

fn at_accredit<'a>(accredit: &Accredit, folder: &'a Folder) -> Typed<'a> {
    Typed { folder, source: "accredit", variable: "ACCREDIT_URL", address: accredit.url() }
}

#[tokio::test]
async fn a_subscription_at_acculynx_is_made_changed_tried_and_ended() {
    let (provider, folder) = acculynx().await;
    let typed = at_acculynx(&provider, &folder);
    let (topics, _) = typed.done(&["events"]).await;
    assert_eq!(topics.lines().collect::<Vec<_>>(), acculynx::TOPICS);

    let (id, said) = typed.done(&["create", "--url", URL, "--contact", "ops@example.com"]).await;
    let id = id.trim();
    assert!(said.contains("https://hooks.example.com/stage/webhooks/acculynx/…"), "{said}");
    let made = provider.row("subscriptions", id).unwrap();
    assert_eq!(made["consumerUrl"], format!("{URL}/webhooks/acculynx/{TOKEN}"));
    assert_eq!((&made["technicalContact"], &made["integrationType"]), (&json!("ops@example.com"), &json!("Api")));
    let synced = [
        "contact_added",
        "contact_changed",
        "job.contacts.primary_changed",
        "job.invoice_updated",
        "job.invoice_voided",
        "job_created",
        "job_updated",
    ];
    assert_eq!(made["topicNames"], json!(synced));
    let secret = json!({"signing": ["old token", TOKEN], "api_key": API_KEY, "note": "ours", "subscriptions": [id]});
    assert_eq!(folder.secret("acculynx"), secret);

    let (second, _) = typed.done(&["create", "--url", URL, "--contact", "o", "--topic", "job_created"]).await;
    assert_eq!(folder.secret("acculynx")["subscriptions"], json!([id, second.trim()]));
    let (shown, _) = typed.done(&["list"]).await;
    assert!(shown.contains(id) && shown.contains("webhooks/acculynx/…") && shown.contains("yes"), "{shown}");

    typed.done(&["update", id, "--contact", "new@example.com", "--topic", "contact_added"]).await;
    let changed = provider.row("subscriptions", id).unwrap();
    assert_eq!(
        (&changed["technicalContact"], &changed["topicNames"]),
        (&json!("new@example.com"), &json!(["contact_added"]))
    );
    assert_eq!(changed["consumerUrl"], made["consumerUrl"]);
    let why = typed.failed(&["update", id, "--url", "https://elsewhere.example.com"]).await;
    assert!(why.contains("never changes the address") && why.contains("create") && why.contains("delete"), "{why}");

    typed.done(&["delete", id]).await;
    assert_eq!(provider.row("subscriptions", id).unwrap()["status"], "Disabled");
    assert_eq!(folder.secret("acculynx")["subscriptions"], json!([second.trim()]));
    typed.done(&["delete", second.trim()]).await;
    // An empty list takes nothing; none at all would take everything.
    assert_eq!(folder.secret("acculynx")["subscriptions"], json!([]));
}

#[tokio::test]
async fn all_pages_of_the_list_are_read() {
    let (provider, folder) = acculynx().await;
    let typed = at_acculynx(&provider, &folder);
    let client = reqwest::Client::new();
    for number in 0..60 {
        let url = format!("https://example.com/secret-path-{number}");
        let body =
            json!({"consumerUrl": url, "techContact": "x", "topicNames": ["job_created"], "integrationType": "Api"});
        let request = client.post(format!("{}/webhooks/v2/subscriptions", provider.url())).bearer_auth(API_KEY);
        let request = request.header("content-type", "application/json").body(body.to_string());
        assert_eq!(request.send().await.unwrap().status(), 201);
    }
    let (shown, _) = typed.done(&["list"]).await;
    assert_eq!(shown.matches("6541d9e1-12c1-45b8-b5bd").count(), 60);
    // An address of another receiver may hold a token of its own.
    assert!(shown.contains("https://example.com/…") && !shown.contains("secret-path"), "{shown}");
}

#[tokio::test]
async fn what_cannot_be_made_at_acculynx_is_explained() {
    let (provider, folder) = acculynx().await;
    let typed = at_acculynx(&provider, &folder);
    for (args, part) in [
        (&["create", "--url", URL][..], "whom it may write to"),
        (&["create", "--url", URL, "--contact", "x", "--tenant", "t"], "company location"),
        (&["create", "--url", "http://hooks.example.com", "--contact", "x"], "give https://"),
        (&["create", "--url", "https://hooks.example.com/?a=b", "--contact", "x"], "without a query"),
        (&["create", "--url", "not an address", "--contact", "x"], "no address of our API"),
        (&["create", "--url", URL, "--contact", "x", "--topic", "job_eaten"], "400"),
        (&["update", "nobody", "--contact", "x"], "404"),
        (&["test", "--topic", "job_created"], "which subscription"),
        (&["delete", ".."], "no part of an address"),
        (&["delete", "../../contacts"], "404"),
        (&["delete", "nobody"], "404"),
    ] {
        let said = typed.failed(args).await;
        assert!(said.contains(part), "{args:?}: {said}");
    }
    assert_eq!(provider.subscriptions(), [Value::Null; 0]);
    let asked = provider.server().requests();
    assert!(asked.iter().all(|request| request.path.starts_with("/webhooks/v2/subscriptions")), "{asked:?}");
    assert_eq!(folder.secret("acculynx").get("subscriptions"), None);
    let tokenless = Folder::with("acculynx", &json!({"signing": ["not fit/for a path"], "api_key": API_KEY}));
    let said = at_acculynx(&provider, &tokenless).failed(&["create", "--url", URL, "--contact", "x"]).await;
    assert!(said.contains("no token"), "{said}");
}

#[tokio::test]
async fn accredits_signature_key_goes_into_the_secret_and_nowhere_else() {
    let (provider, folder) = accredit().await;
    let typed = at_accredit(&provider, &folder);
    let (events, _) = typed.done(&["events"]).await;
    assert_eq!(events.lines().collect::<Vec<_>>(), accredit::EVENTS);

    let (printed, said) = typed.done(&["create", "--url", URL, "--tenant", "tenant-1"]).await;
    assert!(said.contains("Signature Key stands in sources/accredit"), "{printed}{said}");
    let key = provider.signature_key().unwrap();
    assert_eq!(folder.secret("accredit"), json!({"signing": [OLD_KEY, key], "api_key": API_KEY}));
    let made = provider.subscriptions();
    assert_eq!(
        (made[0].url.as_str(), made[0].tenant_id.as_deref()),
        ("https://hooks.example.com/stage/webhooks/accredit", Some("tenant-1"))
    );
    assert_eq!(made[0].events.len(), 6, "all that are synced");

    // For the system; and the same key again is in the list once.
    typed.done(&["create", "--url", URL, "--topic", "BadgeExportZipFile.Created"]).await;
    assert!(provider.subscriptions().iter().any(|one| one.tenant_id.is_none()));
    assert_eq!(folder.secret("accredit")["signing"], json!([OLD_KEY, key]));
}

#[tokio::test]
async fn what_accredit_refuses_or_does_not_document_is_explained() {
    let (provider, folder) = accredit().await;
    let typed = at_accredit(&provider, &folder);
    for (args, call) in [
        (&["list"][..], "documents no call that lists subscriptions"),
        (&["update", "1"], "documents no call that changes a subscription"),
        (&["delete", "1"], "documents no call that ends a subscription"),
        (&["test", "--topic", "Certificate.Created"], "ACR_02.003.000: there is no subscription"),
        (&["create", "--url", URL, "--topic", "Certificate.Eaten"], "ACR_02.003.001: there is no such event"),
    ] {
        let said = typed.failed(args).await;
        assert!(said.contains(call), "{args:?}: {said}");
    }
    let asked = provider.server().requests().len();
    assert_eq!(asked, 2, "what is not documented is not asked");
    typed.done(&["create", "--url", URL]).await;
    let again = typed.failed(&["create", "--url", URL]).await;
    assert!(again.contains("ACR_02.003.002: there is such a subscription already"), "{again}");
    provider.take_key();
    let keyless = typed.failed(&["create", "--url", URL, "--tenant", "t"]).await;
    assert!(keyless.contains("ACR_02.003.003: this user has no signature key"), "{keyless}");
}

#[tokio::test]
async fn without_an_address_a_secret_or_an_api_nothing_is_asked() {
    let (provider, folder) = accredit().await;
    let nowhere = Typed { variable: "NOTHING", ..at_accredit(&provider, &folder) };
    let said = nowhere.failed(&["events"]).await;
    assert!(said.contains("ACCREDIT_URL names it"), "{said}");
    let unsafe_address = Typed { address: "http://api.example.com".into(), ..at_accredit(&provider, &folder) };
    assert!(unsafe_address.failed(&["events"]).await.contains("is not HTTPS"));
    let wrong_form = at_accredit(&provider, &folder).failed(&["events", "--authorization", "token"]).await;
    assert!(wrong_form.contains("401"), "{wrong_form}");
    let other = Folder::with("certifylize", &json!({"signing": [], "api_key": API_KEY}));
    let without = Typed { folder: &other, source: "certifylize", variable: "CERTIFYLIZE_URL", address: provider.url() };
    assert!(without.failed(&["events"]).await.contains("certifylize documents no calls about subscriptions"));
    assert!(provider.server().requests().iter().all(|request| request.status == Some(401)));
}

/// A bundle on this folder.
async fn bundle(folder: &Folder) -> Local {
    let env = Env::from_iter::<[(&str, &str); 0]>([]);
    let data = folder.path().to_owned();
    let options = Options {
        data,
        port: 0,
        sandbox: true,
        destination: None,
        poll_every: POLL_EVERY,
        allow_local_endpoints: false,
        env,
    };
    Local::start(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_that_accredit_is_asked_for_arrives_at_a_running_bundle() {
    let (provider, folder) = accredit().await;
    let local = bundle(&folder).await;
    let typed = at_accredit(&provider, &folder);
    typed.done(&["create", "--url", local.url(), "--topic", "BadgeExportZipFile.Created"]).await;
    // The key that came with the subscription proves it: the bundle looks at the secret again.
    let request = reqwest::Client::new()
        .post(format!("{}/api/webhookSubscription/triggerSampleEventNotification", provider.url()))
        .bearer_auth(API_KEY)
        .body(json!({"Event": "BadgeExportZipFile.Created"}).to_string());
    let answer: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    let delivered = json!([{"Url": format!("{}/webhooks/accredit", local.url()), "Status": 200}]);
    assert_eq!(answer["Deliveries"], delivered);
    typed.done(&["test", "--topic", "BadgeExportZipFile.Created"]).await;
    let samples = provider.server().requests().into_iter().filter(|request| request.path.ends_with("Notification"));
    assert_eq!(samples.count(), 2);
    local.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_that_acculynx_is_asked_for_arrives_at_a_running_bundle() {
    // It is of the first contact that there is.
    const CONTACT: &str = "100";
    let (_, folder) = acculynx().await;
    let local = bundle(&folder).await;
    let providers = local.sandbox().unwrap();
    let typed = at_acculynx(&providers.acculynx, &folder);
    let (id, _) = typed.done(&["create", "--url", local.url(), "--contact", "ops@example.com"]).await;
    let (other, _) = typed.done(&["create", "--url", local.url(), "--contact", "ops@example.com"]).await;
    typed.done(&["test", id.trim(), "--topic", "contact_added"]).await;
    let told = timeout(Duration::from_secs(90), async {
        while providers.snapshots.record("customer", CONTACT).is_none() {
            sleep(Duration::from_millis(20)).await;
        }
        providers.snapshots.record("customer", CONTACT).unwrap()
    });
    assert_eq!(told.await.unwrap()["last_name"], "Smith");
    typed.done(&["delete", other.trim()]).await;
    let said = typed.failed(&["test", other.trim(), "--topic", "contact_added"]).await;
    assert!(said.contains("400"), "{said}");
    local.shutdown().await.unwrap();
}
