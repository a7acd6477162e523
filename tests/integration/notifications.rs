//! From a webhook to an endpoint that is told of it.

use crate::support::{World, created, secrets, until, write_secrets};
use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use certbridge_mapping::{Definitions, Delivery, Keys};
use certbridge_sync::notice::Notice;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

const KEY: &str = "whsec_bmV3LW5ldy1uZXctbmV3LW5ldy1uZXct";

type Posts = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// Somebody who listens, and what was posted there.
async fn listener() -> (String, Posts) {
    let posts = Posts::default();
    let router = Router::new().route(
        "/hook",
        post({
            let posts = Arc::clone(&posts);
            async move |headers: HeaderMap, body: Bytes| posts.lock().unwrap().push((headers, body))
        }),
    );
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, posts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_synced_arrives_at_an_endpoint_signed_and_once() {
    let (url, posts) = listener().await;
    let mut secrets = secrets();
    secrets["endpoints"] = json!({"endpoints": [
        {"id": "here", "url": url, "signing": [KEY], "events": ["certificate.*", "record.quarantined"]},
    ]});
    let folder = TempDir::new().unwrap();
    write_secrets(folder.path(), &secrets);
    let world = World::start_telling(folder).await;
    world.issue("7");
    world.settled(&world.deliver(created("7")).await).await;
    // Proven, and not readable: of no record.
    world.deliver(json!({"event_type": "certificate_created", "source": "accredible"}).to_string()).await;

    until("two notices", async || (posts.lock().unwrap().len() >= 2).then_some(())).await;
    let posts = std::mem::take(&mut *posts.lock().unwrap());
    let definitions = Definitions::built_in();
    let source = definitions.source("standard-webhooks").unwrap();
    let mut told: Vec<Notice> = Vec::new();
    for (headers, body) in &posts {
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let delivery = Delivery { headers, body, path_token: None };
        source.verify(&delivery, &Keys::new([SecretString::from(KEY)]).unwrap(), Timestamp::now()).unwrap();
        told.push(serde_json::from_slice(body).unwrap());
        world.tells_nothing(&serde_json::from_slice::<Value>(body).unwrap().to_string());
    }
    told.sort_by(|a, b| a.notice_type.cmp(&b.notice_type));
    let types: Vec<_> = told.iter().map(|notice| notice.notice_type.as_str()).collect();
    assert_eq!(types, ["certificate.synced", "record.quarantined"]);
    let [row] = world.trail("7").await.try_into().unwrap();
    assert_eq!(Notice::of_audit(&row).unwrap(), told[0]);
}
