use super::*;
use crate::testing::ManualClock;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::sync::atomic::AtomicUsize;

const SOURCE: &str = "sources/accredible";

/// A provider that counts how often it is asked.
#[derive(Clone, Default)]
struct Fake(Arc<Inner>);

#[derive(Default)]
struct Inner {
    answer: Mutex<Option<Result<String, SecretError>>>,
    reads: AtomicUsize,
}

impl Fake {
    fn holds(&self, text: impl ToString) {
        *self.0.answer.lock().unwrap() = Some(Ok(text.to_string()));
    }

    fn is_empty(&self) {
        *self.0.answer.lock().unwrap() = None;
    }

    fn fails(&self) {
        let error = SecretError::Unavailable { name: SOURCE.into(), message: "timed out".into() };
        *self.0.answer.lock().unwrap() = Some(Err(error));
    }

    fn reads(&self) -> usize {
        self.0.reads.load(Ordering::Relaxed)
    }
}

impl SecretProvider for Fake {
    async fn read(&self, _: &str) -> Result<Option<SecretString>, SecretError> {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        // Lets others in, so that what should share a fetch has its chance not to.
        tokio::task::yield_now().await;
        self.0.answer.lock().unwrap().clone().transpose().map(|text| text.map(SecretString::from))
    }
}

fn setup(text: impl ToString) -> (Fake, ManualClock, Secrets<Fake, ManualClock>) {
    let (fake, clock) = (Fake::default(), ManualClock::new());
    fake.holds(text);
    (fake.clone(), clock.clone(), Secrets::new(fake, clock))
}

fn ids(keys: Option<Keys>) -> usize {
    keys.map_or(0, |keys| keys.ids().len())
}

#[tokio::test]
async fn reads_one_key_or_several() {
    for (text, count) in [
        (r#"{"signing": "a", "api_key": "b"}"#, 1),
        (r#"{"signing": ["a", "b", " "]}"#, 2),
        (r#"{"signing": ""}"#, 0),
        (r#"{"signing": null}"#, 0),
        ("{}", 0),
        ("", 0),
    ] {
        let (_, _, secrets) = setup(text);
        assert_eq!(ids(secrets.keys(SOURCE).await.unwrap()), count, "{text}");
    }
}

#[tokio::test]
async fn reads_what_a_destination_of_several_locations_wants() {
    let whole = r#"{"api_key": " ", "client_id": " id ", "client_secret": "s-secret", "company_id": "c",
        "default_location": "", "locations": {"a": "a-secret", "b": " "}}"#;
    let (_, _, secrets) = setup(whole);
    let credentials = secrets.credentials("destinations/x").await.unwrap().unwrap();
    assert!(credentials.api_key.is_none() && credentials.default_location.is_none());
    let (id, client_secret) = credentials.client.as_ref().unwrap();
    assert_eq!((id.as_str(), client_secret.expose_secret()), ("id", "s-secret"));
    assert_eq!(credentials.company_id.as_deref(), Some("c"));
    assert_eq!(credentials.locations.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(credentials.locations["a"].expose_secret(), "a-secret");
    assert!(!format!("{credentials:?}").contains("-secret"));

    let (_, _, secrets) = setup(r#"{"client_id": "id", "api_key": "k"}"#);
    let credentials = secrets.credentials("destinations/x").await.unwrap().unwrap();
    assert!(credentials.client.is_none() && credentials.api_key.is_some() && credentials.locations.is_empty());
    let (_, _, secrets) = setup(r#"{"locations": {"a": 5}}"#);
    assert!(secrets.credentials("destinations/x").await.is_err());
}

#[tokio::test]
async fn a_secret_is_fetched_once_and_again_after_four_minutes() {
    let (fake, clock, secrets) = setup(r#"{"signing": "a"}"#);
    for _ in 0..3 {
        secrets.keys(SOURCE).await.unwrap();
    }
    clock.advance(239);
    secrets.keys(SOURCE).await.unwrap();
    assert_eq!(fake.reads(), 1);

    fake.holds(r#"{"signing": ["a", "b"]}"#);
    clock.advance(1);
    assert_eq!(ids(secrets.keys(SOURCE).await.unwrap()), 2);
    assert_eq!(fake.reads(), 2);
}

#[tokio::test]
async fn concurrent_readers_share_one_fetch() {
    let (fake, _, secrets) = setup(r#"{"signing": "a", "api_key": "b"}"#);
    let (one, two, three) = futures::join!(secrets.keys(SOURCE), secrets.keys(SOURCE), secrets.api_key(SOURCE));
    assert_eq!((ids(one.unwrap()), ids(two.unwrap()), three.unwrap().is_some()), (1, 1, true));
    assert_eq!(fake.reads(), 1);
}

#[tokio::test]
async fn an_outage_is_bridged_for_the_last_minute_and_then_fails_closed() {
    let (fake, clock, secrets) = setup(r#"{"signing": "a"}"#);
    secrets.keys(SOURCE).await.unwrap();
    fake.fails();
    clock.advance(240);
    for _ in 0..5 {
        assert_eq!(ids(secrets.keys(SOURCE).await.unwrap()), 1);
    }
    assert_eq!(fake.reads(), 2, "a failed refresh is left alone for a while");
    clock.advance(59);
    assert_eq!(ids(secrets.keys(SOURCE).await.unwrap()), 1);
    clock.advance(1);
    assert!(secrets.keys(SOURCE).await.unwrap_err().is_transient());

    fake.holds(r#"{"signing": "b"}"#);
    assert_eq!(ids(secrets.keys(SOURCE).await.unwrap()), 1);
}

#[tokio::test]
async fn a_removed_secret_is_dead_within_five_minutes() {
    let (fake, clock, secrets) = setup(r#"{"signing": "a"}"#);
    secrets.keys(SOURCE).await.unwrap();
    fake.is_empty();
    clock.advance(300);
    assert!(secrets.keys(SOURCE).await.unwrap().is_none());
}

#[tokio::test]
async fn a_missing_secret_is_looked_for_once_a_minute() {
    let (fake, clock, secrets) = setup("");
    fake.is_empty();
    for _ in 0..3 {
        assert!(secrets.keys(SOURCE).await.unwrap().is_none());
    }
    clock.advance(59);
    assert!(secrets.keys(SOURCE).await.unwrap().is_none());
    assert_eq!(fake.reads(), 1);

    fake.holds(r#"{"signing": "a"}"#);
    clock.advance(1);
    assert_eq!(ids(secrets.keys(SOURCE).await.unwrap()), 1);
}

#[tokio::test]
async fn a_failed_proof_fetches_again_at_most_once_a_minute() {
    let (fake, clock, secrets) = setup(r#"{"signing": "a"}"#);
    let old = secrets.keys(SOURCE).await.unwrap().unwrap();
    assert!(secrets.keys_other_than(&old, SOURCE).await.unwrap().is_none());
    assert_eq!(fake.reads(), 2);

    fake.holds(r#"{"signing": ["a", "b"]}"#);
    clock.advance(59);
    assert!(secrets.keys_other_than(&old, SOURCE).await.unwrap().is_none());
    assert_eq!(fake.reads(), 2);
    clock.advance(1);
    let (one, two) = futures::join!(secrets.keys_other_than(&old, SOURCE), secrets.keys_other_than(&old, SOURCE));
    assert_eq!((ids(one.unwrap()), ids(two.unwrap())), (2, 2), "who waited sees the new keys too");
    assert_eq!(fake.reads(), 3);
}

#[tokio::test]
async fn a_refused_api_key_is_fetched_again() {
    let (fake, _, secrets) = setup(r#"{"api_key": "old"}"#);
    let key = async || secrets.api_key(SOURCE).await.unwrap().unwrap().expose_secret().to_owned();
    assert_eq!(key().await, "old");
    fake.holds(r#"{"api_key": "new"}"#);
    assert_eq!(key().await, "old");
    ApiKeys::refused(&secrets, SOURCE);
    assert_eq!(key().await, "new");
}

#[tokio::test]
async fn a_broken_secret_says_where_but_not_what_and_mends_soon() {
    let (fake, clock, secrets) = setup(r#"{"signing": {"hush": 1}}"#);
    let error = secrets.keys(SOURCE).await.unwrap_err();
    assert!(!error.is_transient());
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("sources/accredible") && shown.contains("line 1"), "{shown}");
    assert!(!shown.contains("hush"), "{shown}");
    assert!(matches!(StoreError::from(error), StoreError::Refused(_)));

    for _ in 0..3 {
        secrets.keys(SOURCE).await.unwrap_err();
    }
    assert_eq!(fake.reads(), 2);
    fake.holds(r#"{"signing": "a"}"#);
    clock.advance(60);
    assert_eq!(ids(secrets.keys(SOURCE).await.unwrap()), 1);
}

#[tokio::test]
async fn a_new_key_to_our_api_opens_at_once() {
    let sha256 = |key: &str| hex::encode(Sha256::digest(key));
    let entry = |key: &str| json!({"id": key, "sha256": sha256(key), "owner": "ops", "scopes": ["sync:write"]});
    let (fake, _, secrets) = setup(json!({"keys": [entry("one")]}));
    assert_eq!(secrets.authorize("one", "sync:write").await.unwrap().owner, "ops");
    assert!(matches!(secrets.authorize("one", "audit:read").await, Err(AuthorizeError::Denied(Denied::Scope { .. }))));
    assert_eq!(fake.reads(), 1);

    fake.holds(json!({"keys": [entry("one"), entry("two")]}));
    assert_eq!(secrets.authorize("two", "sync:write").await.unwrap().key_id, "two");
    for _ in 0..3 {
        assert!(secrets.authorize("three", "sync:write").await.is_err());
    }
    assert_eq!(fake.reads(), 2);
}

#[tokio::test]
async fn prefetching_reads_each_and_fails_none() {
    let (fake, _, secrets) = setup("{}");
    secrets.prefetch([SOURCE, AUDIT, API_KEYS]).await;
    assert_eq!(fake.reads(), 3);
    fake.fails();
    secrets.prefetch(["sources/other"]).await;
    assert!(secrets.keyring().await.unwrap().authorize("any", "sync:write", ManualClock::new().now()).is_err());
    assert_eq!(fake.reads(), 4);
}

#[tokio::test]
async fn prefetching_leaves_alone_what_is_fresh_and_shares_its_fetch() {
    let (fake, clock, secrets) = setup(r#"{"signing": "a"}"#);
    secrets.keys(SOURCE).await.unwrap();
    secrets.prefetch([SOURCE, AUDIT]).await;
    assert_eq!(fake.reads(), 2);
    clock.advance(300);
    futures::join!(secrets.prefetch([SOURCE, AUDIT]), secrets.prefetch([AUDIT, SOURCE]), secrets.keys(SOURCE))
        .2
        .unwrap();
    assert_eq!(fake.reads(), 4);
}

#[tokio::test]
async fn each_fetch_tells_how_old_the_oldest_key_is() {
    let id = |key: &str| Keys::new([key.into()]).unwrap().ids().remove(0);
    let secret = |added: serde_json::Value| json!({"signing": ["a", "b"], "added": added});
    let (fake, clock, secrets) = setup(secret(json!({id("a"): "2026-11-12", id("b"): "2026-11-20T10:00:00Z"})));
    let lines = crate::metrics::Collected::default();
    let metrics = Metrics::new(crate::metrics::NAMESPACE, "webhook", clock.clone()).with_sink(lines.clone());
    let secrets = secrets.telling(metrics);
    let seconds = || {
        let told = lines.take().into_iter().map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
        let of = |line: &serde_json::Value| (line["KeyAge"].as_f64().unwrap() * 86_400.0).round();
        told.map(|line| (line["Secret"].clone(), of(&line))).collect::<Vec<_>>()
    };
    for _ in 0..3 {
        secrets.keys(SOURCE).await.unwrap();
    }
    // From the start of the twelfth to ten o'clock of the twenty-second.
    assert_eq!(seconds(), [(json!(SOURCE), 900_000.0)]);
    fake.holds(secret(json!({id("b"): "2026-11-20T10:00:00Z"})));
    clock.advance(300);
    secrets.prefetch([SOURCE]).await;
    assert_eq!(seconds(), [(json!(SOURCE), 173_100.0)]);
    fake.holds(r#"{"signing": "a"}"#);
    clock.advance(300);
    secrets.keys(SOURCE).await.unwrap();
    assert_eq!(seconds(), [], "nobody knows");
}

#[tokio::test]
async fn nothing_shows_a_secret() {
    let (_, _, secrets) = setup(r#"{"signing": "hush", "signing_key": "hush", "digest_key": "", "api_key": "hush"}"#);
    let (keys, audit) = (secrets.keys(SOURCE).await.unwrap(), secrets.audit().await.unwrap().unwrap());
    assert!(audit.signing_key.is_some() && audit.digest_key.is_none());
    let shown = format!("{secrets:?} {keys:?} {audit:?} {:?}", secrets.api_key(SOURCE).await);
    assert!(shown.contains(SOURCE) && !shown.contains("hush"), "{shown}");
}

#[tokio::test]
async fn a_clock_set_back_keeps_no_secret_alive() {
    let (fake, clock, secrets) = setup(r#"{"signing": "a"}"#);
    secrets.keys(SOURCE).await.unwrap();
    clock.advance(-3600);
    fake.is_empty();
    assert!(secrets.keys(SOURCE).await.unwrap().is_none());
}

#[tokio::test]
async fn what_reads_secrets_may_move_between_threads() {
    fn moves<T: Send>(future: T) -> T {
        future
    }
    let (_, _, secrets) = setup(r#"{"signing": "a"}"#);
    moves(secrets.prefetch([SOURCE])).await;
    assert_eq!(ids(moves(secrets.keys(SOURCE)).await.unwrap()), 1);
    assert!(moves(secrets.authorize("any", "sync:write")).await.is_err());
}
