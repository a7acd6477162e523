//! Keys that are made and revoked on the folder of a bundle that runs.

use crate::{
    http::Request,
    support::{OPS, World, secrets, write_secrets},
};
use certbridge::keys::{Created, LocalKeys, NewKey, create, revoke};
use certbridge_platform::SystemRuntime;
use secrecy::ExposeSecret;
use std::path::Path;
use tempfile::TempDir;

async fn made(folder: &Path) -> Created {
    let wanted = NewKey { owner: "Olga".into(), scopes: vec!["sync:write".into()], expires: None, id: None };
    create(&LocalKeys::in_folder(folder), wanted, &SystemRuntime).await.unwrap()
}

/// The status of a sync with this key.
async fn sync(world: &World, key: &str) -> u16 {
    world.send(&Request::post("/certificates/1/sync", "{}").header("x-api-key", key)).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_opens_at_once() {
    let world = World::start().await;
    world.issue("1");
    // What the folder held until now is known.
    assert_eq!(sync(&world, OPS).await, 200);
    let created = made(world.folder.path()).await;
    assert_eq!(sync(&world, created.key.expose_secret()).await, 200);
    assert_eq!(world.trail("1").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_dead_when_the_keys_are_read_again() {
    let folder = TempDir::new().unwrap();
    write_secrets(folder.path(), &secrets());
    let created = made(folder.path()).await;
    let world = World::start_in(folder).await;
    world.issue("1");
    assert_eq!(sync(&world, created.key.expose_secret()).await, 200);
    revoke(&LocalKeys::in_folder(world.folder.path()), &created.entry.id).await.unwrap();
    // Nobody waits five minutes here: a key that is not known makes it look again.
    assert_eq!(sync(&world, "guess").await, 401);
    assert_eq!(sync(&world, created.key.expose_secret()).await, 401);
}
