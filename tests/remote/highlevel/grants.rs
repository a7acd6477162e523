//! The grant whose refresh token is good once: on the embedded DynamoDB, over real HTTP.

use super::{Clock, Held, LONDON, World, api, certificate, push, server, with_client};
use crate::support::{PATIENT, failed};
use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials as AwsCredentials, Region},
};
use certbridge_mapping::{Kind, RecordKey};
use certbridge_sandbox::{Fault, dynamodb::EmbeddedDynamoDb, highlevel::Refreshes};
use certbridge_store::{DynamoStore, Tables, schema};
use certbridge_sync::{
    RemoteError, StoreError,
    error::{Effect, RemoteClass},
    grants::{Grant, GrantRow, Grants, Taken},
    ids::{DestinationIds, IdMap},
    row::Lease,
};
use futures::future::join_all;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

const URI: &str = "https://example.com/done";

/// How long the access tokens of the sandbox live.
const LIFE: i64 = 86_399;

fn name() -> String {
    format!("highlevel/{LONDON}")
}

async fn tables() -> (EmbeddedDynamoDb, DynamoStore) {
    let database = EmbeddedDynamoDb::start(None).unwrap();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(database.endpoint())
        .region(Region::from_static("local"))
        .credentials_provider(AwsCredentials::new("test", "test", None, None, "test"))
        .build();
    let (client, tables) = (Client::from_conf(config), Tables::with_prefix("test-"));
    schema::create(&client, &tables).await.unwrap();
    (database, DynamoStore::new(client, tables))
}

/// A world that a location has let us into.
async fn connected<S: IdMap + Grants + Clone>(store: S) -> World<S> {
    let world = World::bare(with_client(), store).await;
    world.prepare().await;
    world.api.connect(&world.server.authorize(Some(LONDON)), URI, PATIENT).await.unwrap();
    world
}

async fn tell<S: IdMap + Grants>(world: &World<S>, store: S, worker: usize) -> Result<(), RemoteError> {
    let owner = format!("worker-{worker}");
    let process = api(&world.server.url(), store, world.keys.clone(), &world.clock, &owner);
    push(&process, Kind::Certificate, &certificate(&worker.to_string())).await.map(drop)
}

async fn row(store: &impl Grants) -> GrantRow {
    store.grant(&name()).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_workers_with_an_expired_token_refresh_it_once() {
    let (_database, store) = tables().await;
    let world = connected(store.clone()).await;
    world.server.expire_tokens();
    world.clock.advance(LIFE + 1);
    let told = join_all((0..50).map(|worker| tell(&world, store.clone(), worker))).await;
    for told in told {
        told.unwrap();
    }
    assert_eq!(world.server.refreshes(), Refreshes { done: 1, refused: 0 });
    assert_eq!(world.server.records("custom_objects.certificates").len(), 50);
    let row = row(&store).await;
    assert_eq!((row.fence, row.lease, row.needs_person), (2, None, None));
    // Half a life later, again.
    world.clock.advance(LIFE / 2 + 1);
    for told in join_all((0..50).map(|worker| tell(&world, store.clone(), worker))).await {
        told.unwrap();
    }
    assert_eq!(world.server.refreshes(), Refreshes { done: 2, refused: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_of_many_tasks_refreshes_once() {
    let (_database, store) = tables().await;
    let world = connected(store.clone()).await;
    world.clock.advance(LIFE + 1);
    let tasks = (0..20).map(|id| {
        let fields = certificate(&id.to_string());
        let world = &world;
        async move { push(&world.api, Kind::Certificate, &fields).await.unwrap() }
    });
    join_all(tasks).await;
    assert_eq!(world.server.refreshes(), Refreshes { done: 1, refused: 0 });
}

#[tokio::test]
async fn at_half_its_life_the_old_token_serves_while_one_renews_it() {
    let (_database, store) = tables().await;
    let world = connected(store.clone()).await;
    world.clock.advance(LIFE / 2 - 1);
    tell(&world, store.clone(), 0).await.unwrap();
    assert_eq!(world.server.refreshes().done, 0);
    world.clock.advance(2);
    // Somebody is at it, and takes long.
    let lease = Lease { owner: "slow".into(), until: world.clock.now() + jiff::SignedDuration::from_secs(20) };
    assert!(matches!(store.take_grant(&name(), 1, &lease, world.clock.now()).await, Ok(Taken::Mine(_))));
    tell(&world, store.clone(), 1).await.unwrap();
    assert_eq!(world.server.refreshes().done, 0);
    world.clock.advance(21);
    tell(&world, store.clone(), 2).await.unwrap();
    assert_eq!((world.server.refreshes().done, row(&store).await.fence), (1, 3));
    // An outage of the provider's token endpoint is not felt until the token's end.
    world.clock.advance(LIFE / 2 + 1);
    world.server.server().add_fault(Fault::status(503).always().on("POST", "/oauth/token"));
    tell(&world, store.clone(), 3).await.unwrap();
    world.clock.advance(LIFE / 2);
    let error = failed(tell(&world, store.clone(), 4).await, RemoteClass::Unreachable);
    assert_eq!((error.effect(), error.message.as_str()), (Effect::None, "no token: 503 Service Unavailable"));
    world.server.server().clear_faults();
    tell(&world, store.clone(), 5).await.unwrap();
    assert_eq!(row(&store).await.needs_person, None);
}

#[tokio::test]
async fn a_worker_who_dies_with_the_new_tokens_costs_one_try() {
    let (_database, store) = tables().await;
    let world = connected(store.clone()).await;
    world.clock.advance(LIFE / 2 + 1);
    // The provider answers, and nobody hears it: as if the worker had died before it could store the answer.
    world.server.server().add_fault(Fault::AnswerLost.once().on("POST", "/oauth/token"));
    tell(&world, store.clone(), 0).await.unwrap();
    assert_eq!(world.server.refreshes(), Refreshes { done: 1, refused: 0 });
    // Until its lease has run out, nobody tries.
    tell(&world, store.clone(), 1).await.unwrap();
    assert_eq!((world.server.refreshes().refused, row(&store).await.fence), (0, 2));
    world.clock.advance(21);
    for worker in 2..5 {
        tell(&world, store.clone(), worker).await.unwrap();
    }
    assert_eq!(world.server.refreshes(), Refreshes { done: 1, refused: 1 }, "the old one is tried once");
    assert!(row(&store).await.needs_person.is_some());
    // The token that is left serves to its end.
    world.clock.advance(LIFE / 2);
    for worker in 5..8 {
        let error = failed(tell(&world, store.clone(), worker).await, RemoteClass::Unauthorized);
        assert!(error.message.starts_with("the grant can be renewed no more (400 Bad Request"), "{error}");
        assert!(error.message.ends_with("run `certbridge connect highlevel`"), "{error}");
        assert_eq!(error.effect(), Effect::None);
    }
    assert_eq!(world.server.refreshes(), Refreshes { done: 1, refused: 1 });
    // A person helps.
    world.api.connect(&world.server.authorize(Some(LONDON)), URI, PATIENT).await.unwrap();
    tell(&world, store.clone(), 8).await.unwrap();
}

#[tokio::test]
async fn a_worker_who_dies_before_the_provider_hears_of_it_costs_nothing() {
    let (_database, store) = tables().await;
    let world = connected(store.clone()).await;
    world.clock.advance(LIFE / 2 + 1);
    world.server.server().add_fault(Fault::Cut.once().on("POST", "/oauth/token"));
    tell(&world, store.clone(), 0).await.unwrap();
    world.clock.advance(21);
    tell(&world, store.clone(), 1).await.unwrap();
    let row = row(&store).await;
    assert_eq!((world.server.refreshes(), row.fence, row.needs_person), (Refreshes { done: 1, refused: 0 }, 3, None));
}

/// A store that does not take a renewed grant while it is told not to.
#[derive(Clone)]
struct Deaf {
    inner: DynamoStore,
    deaf: Arc<AtomicBool>,
}

impl Grants for Deaf {
    async fn grant(&self, name: &str) -> Result<Option<GrantRow>, StoreError> {
        self.inner.grant(name).await
    }

    async fn take_grant(&self, name: &str, seen: u64, lease: &Lease, now: Timestamp) -> Result<Taken, StoreError> {
        self.inner.take_grant(name, seen, lease, now).await
    }

    async fn renew_grant(&self, name: &str, fence: u64, grant: &Grant) -> Result<bool, StoreError> {
        if self.deaf.swap(false, Ordering::SeqCst) {
            return Err(StoreError::Unavailable("deaf".to_owned()));
        }
        self.inner.renew_grant(name, fence, grant).await
    }

    async fn give_up_grant(&self, name: &str, fence: u64, needs_person: Option<&str>) -> Result<(), StoreError> {
        self.inner.give_up_grant(name, fence, needs_person).await
    }

    async fn put_grant(&self, name: &str, grant: &Grant) -> Result<(), StoreError> {
        self.inner.put_grant(name, grant).await
    }
}

impl IdMap for Deaf {
    async fn ids(&self, key: &RecordKey) -> Result<DestinationIds, StoreError> {
        self.inner.ids(key).await
    }

    async fn begin_id(
        &self,
        key: &RecordKey,
        role: &str,
        stale: Option<&str>,
        at: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        self.inner.begin_id(key, role, stale, at).await
    }

    async fn set_id(&self, key: &RecordKey, role: &str, id: &str, stale: Option<&str>) -> Result<String, StoreError> {
        self.inner.set_id(key, role, id, stale).await
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_stored_again_before_it_is_used() {
    let (_database, inner) = tables().await;
    let store = Deaf { inner: inner.clone(), deaf: Arc::new(AtomicBool::new(false)) };
    let world = connected(store.clone()).await;
    world.clock.advance(LIFE + 1);
    let before = row(&inner).await.grant.refresh_token;
    store.deaf.store(true, Ordering::SeqCst);
    tell(&world, store.clone(), 0).await.unwrap();
    let after = row(&inner).await;
    assert_ne!(after.grant.refresh_token.expose_secret(), before.expose_secret());
    assert_eq!((world.server.refreshes(), after.lease), (Refreshes { done: 1, refused: 0 }, None));
}

#[tokio::test]
async fn a_short_wait_begins_no_renewal() {
    let (_database, store) = tables().await;
    let (server, clock) = (server().await, Clock::new());
    let keys = Held::new(with_client());
    let api = api(&server.url(), store.clone(), keys, &clock, "test");
    api.connect(&server.authorize(Some(LONDON)), URI, PATIENT).await.unwrap();
    clock.advance(LIFE + 1);
    use certbridge_sync::ports::Destination;
    let error = api.check_location(LONDON, None, std::time::Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(
        (error.class, error.message.as_str()),
        (RemoteClass::Unreachable, "no time was left to renew the token")
    );
    assert_eq!((server.refreshes().done, row(&store).await.fence), (0, 1));
}
