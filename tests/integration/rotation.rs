//! Keys that are rotated by the documented order (docs/rotation.md) while events come.

use crate::{
    breaker::Clock,
    gateway::{Event, answer},
    http::Request,
    sources::ground::{Held, NOW, Sender, door},
    support::{World, created, secrets},
};
use certbridge::secrets::{
    Document, SecretStore, SecretsError, Stage,
    document::{API_KEY, CACHE_AGE, stage},
};
use certbridge_mapping::{Definitions, EventKey, verify::key_id};
use certbridge_remote::{Http, Snapshots};
use certbridge_sandbox as sandbox;
use certbridge_sync::{
    error::RemoteClass,
    memory::MemoryStore,
    ports::{Destination, Runtime},
};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How often the stream brings an event.
const EVERY: SignedDuration = SignedDuration::from_secs(20);

/// A source of the one scheme that no built-in source has.
const SIGNED: &str = r#"
name = "signed"

[verification]
scheme = "ed25519"
header = "X-Signature"

[event]
type = "$.type"
record_id = "$.id"
time = "$.time"

[event.types]
made = { kind = "certificate", operation = "created" }

[records.certificate]
content = "payload"

[records.certificate.fields]
certificate_id = { from = "$.id", type = "identifier", required = true }
user_id = { from = "$.user", required = true }
issue_date = { from = "$.issued", type = "date", required = true }
location_id = { from = "$.location", required = true }
status = { from = [], type = "enum", default = "issued" }

[samples]
made = '''{"type": "made", "id": "{id}", "time": "{now}", "user": "u", "issued": "2026-01-31", "location": "loc_london"}'''
"#;

/// A key of a source: of each scheme.
fn sender(definitions: &Definitions, name: &str, number: u8) -> Sender {
    let source = definitions.source(name).unwrap().clone();
    Sender { key: source.new_key(&[number; 32]).unwrap(), source }
}

/// The next event of the stream, as its sender sends it.
fn event(sender: &Sender, number: usize, now: Timestamp) -> Event {
    let sample = sender.source.sample(None, &format!("{number}"), now).unwrap();
    let event = sender.event(String::from_utf8(sample.body).unwrap(), now);
    let signed: Vec<_> = event.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
    let further = sample.headers.iter().filter(|(name, _)| !signed.contains(&name.to_lowercase()));
    further.fold(event.clone(), |event, (name, value)| event.header(name, value))
}

#[tokio::test]
async fn a_key_of_every_scheme_is_rotated_under_a_stream_of_events_and_none_is_refused() {
    let mut definitions = Definitions::built_in();
    definitions.add_source("signed.toml", SIGNED);
    assert_eq!(definitions.errors(), []);
    let names: Vec<_> = definitions.sources().map(|source| source.name.clone()).collect();
    assert!(names.len() >= 7, "{names:?}");
    for name in &names {
        let (clock, held) = (Clock::at(NOW), Held::default());
        let (mut app, counted) = door(MemoryStore::new(), &held, &clock);
        app.definitions = definitions.clone().into();
        let (old, new) = (sender(&definitions, name, 1), sender(&definitions, name, 2));
        let secret = format!("sources/{name}");
        let mut document = Document::new(&secret, json!({"signing": old.signing()})).unwrap();
        let mut number = 0;
        let mut matched = BTreeMap::new();
        // What comes until then is answered so.
        let mut stream = async |by: &Sender, until: SignedDuration, expected: &[u16]| {
            let end = clock.now() + until;
            let mut last = 0;
            while clock.now() < end {
                clock.set(clock.now() + EVERY);
                number += 1;
                last = answer(&app, event(by, number, clock.now()).v2()).await.status_code;
                assert!(expected.contains(&last), "{name}: {last} after {number} events");
            }
            last
        };
        held.set(name, document.clone().into_value());
        stream(&old, CACHE_AGE, &[202]).await;

        // 1. The new key stands beside the old one, for as long as some function may not know it.
        let id = document.add(&new.key.signing, clock.now()).unwrap();
        held.set(name, document.clone().into_value());
        let at = |matched: &BTreeMap<_, _>, now| stage(&document.signing(), matched, now);
        assert_eq!(at(&matched, clock.now()), Stage::Wait { new: id.clone(), until: clock.now() + CACHE_AGE });
        stream(&old, CACHE_AGE, &[202]).await;
        // 2. The sender is switched, and what it sent before may still come again.
        assert_eq!(at(&matched, clock.now()), Stage::Switch { new: id.clone() });
        for _ in 0..8 {
            stream(&new, EVERY, &[202]).await;
            stream(&old, EVERY, &[202]).await;
        }
        let lines = counted.take().concat();
        for key in [&old.key.signing, &new.key.signing] {
            assert!(lines.contains(&key_id(key)), "the metric says which key matched");
        }
        matched.insert(key_id(&old.key.signing), clock.now());
        stream(&new, CACHE_AGE, &[202]).await;
        matched.insert(id.clone(), clock.now());
        // 3. Nothing comes under the old one any more, so it is taken out.
        assert_eq!(at(&matched, clock.now()), Stage::Remove { old: key_id(&old.key.signing) });
        document.remove(&key_id(&old.key.signing)).unwrap();
        held.set(name, document.clone().into_value());
        stream(&new, EVERY, &[202]).await;
        // Nobody knows when it dies, but within five minutes it does, and stays dead.
        assert_eq!(stream(&old, CACHE_AGE - EVERY, &[202, 401]).await, 401, "{name}");
        stream(&old, CACHE_AGE, &[401]).await;
        stream(&new, CACHE_AGE, &[202]).await;
        assert_eq!(document.remove(&id), Err(SecretsError::Last(secret)));
    }
}

/// A delivery by a key that may be another one than the folder's first.
fn delivery(key: &SecretString, id: &str) -> Request {
    let source = Definitions::built_in().source("accredible").unwrap().clone();
    let body = created(id).into_bytes();
    let headers = source.sign(&body, key, Timestamp::now()).unwrap();
    let request = Request::post("/webhooks/accredible", body);
    headers.into_iter().fold(request, |request, (name, value)| request.header(&name, value))
}

async fn taken(world: &World, key: &SecretString, id: &str) -> EventKey {
    world.issue(id);
    let reply = world.send(&delivery(key, id)).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    EventKey { source: "accredible".to_owned(), id: reply.event_id() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_s_key_is_rotated_on_a_bundle_that_runs() {
    let (old, new) = (SecretString::from("old-signing-key"), SecretString::from("new-signing-key"));
    let mut held = secrets();
    held["sources/accredible"]["signing"] = json!("old-signing-key");
    let mut world = World::start_with(&held).await;
    let store = SecretStore::in_folder(world.folder.path());
    let mut keys = vec![taken(&world, &old, "1").await];
    store.update("sources/accredible", |secret| secret.add(&new, Timestamp::now()).map(drop)).await.unwrap();
    // Here nobody need wait: a key that is not known makes it look again.
    for (key, id) in [(&old, "2"), (&new, "3"), (&old, "4"), (&new, "5")] {
        keys.push(taken(&world, key, id).await);
    }
    for key in &keys {
        world.settled(key).await;
    }
    let matched = world.store().keys_matched("accredible", 8).await.unwrap();
    assert!(matched.whole);
    assert_eq!(Vec::from_iter(matched.last.keys().cloned()), {
        let mut ids = [key_id(&old), key_id(&new)];
        ids.sort();
        ids
    });
    // A start reads the secrets again, as five minutes would.
    store.update("sources/accredible", |secret| secret.remove(&key_id(&old))).await.unwrap();
    world = World::start_in(world.stop().await).await;
    assert_eq!(world.send(&delivery(&old, "6")).await.status, 401);
    let last = taken(&world, &new, "7").await;
    world.settled(&last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_s_key_is_rotated_while_events_come() {
    let world = World::start().await;
    let signing = SecretString::from(crate::support::SIGNING[0]);
    let old = secrets()["destinations/snapshots"]["api_key"].as_str().unwrap().to_owned();
    let mut keys = vec![taken(&world, &signing, "1").await];
    world.settled(&keys[0]).await;
    // 1. The destination lets both in. 2. Ours is replaced.
    world.destination().let_in(&[&old, "new-key"]);
    let store = SecretStore::in_folder(world.folder.path());
    let new = SecretString::from("new-key");
    let replaced = store.update("destinations/snapshots", |secret| {
        secret.replace(API_KEY, &new, Timestamp::now());
        Ok(())
    });
    replaced.await.unwrap();
    for id in ["2", "3"] {
        keys.push(taken(&world, &signing, id).await);
    }
    for key in &keys {
        assert_eq!(world.settled(key).await.attempt, 0, "nothing was refused");
    }
    // Revoked before five minutes are over: what is refused waits for half a minute, and is lost by no means.
    world.destination().let_in(&["new-key"]);
    let early = taken(&world, &signing, "4").await;
    world.settled(&early).await;
    assert_eq!(world.applications("4").len(), 1);
}

#[tokio::test]
async fn the_first_refusal_fetches_the_destination_s_new_key() {
    let options = sandbox::Options { port: 0, api_key: "new".into(), folder: None };
    let destination = sandbox::Snapshots::start(options).await.unwrap();
    destination.add_location("loc_london", "London");
    let (clock, held) = (Clock::at(NOW), Held::default());
    held.set_whole("destinations/snapshots", json!({"api_key": "old"}));
    let secrets = Arc::new(certbridge_platform::Secrets::new(held.clone(), clock.clone()));
    let definitions = Definitions::built_in();
    let definition = definitions.destination("snapshots").unwrap();
    let api = Snapshots::new(Http::new().unwrap(), secrets, &destination.url(), definition).unwrap();
    let check = async || api.check_location("loc_london", None, Duration::from_secs(10)).await;
    assert_eq!(check().await.unwrap_err().class, RemoteClass::Unauthorized);
    held.set_whole("destinations/snapshots", json!({"api_key": "new"}));
    // No time has passed.
    assert!(check().await.is_ok());
    destination.shutdown().await;
}

/// What a script finds in a rotated secret is what it was, and when each key came.
#[test]
fn a_rotated_secret_stays_one_that_older_versions_read() {
    let mut document = Document::new("sources/x", json!({"signing": "a", "api_key": "k"})).unwrap();
    let new = SecretString::from("b");
    document.add(&new, NOW.parse().unwrap()).unwrap();
    let held: Value = document.into_value();
    assert_eq!((&held["signing"], &held["api_key"]), (&json!(["a", new.expose_secret()]), &json!("k")));
}
