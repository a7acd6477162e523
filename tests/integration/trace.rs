//! One trace from the delivery to the destination, and how long that took.

use crate::breaker::World;
use certbridge_mapping::EventKey;
use certbridge_platform::{
    Env, Metrics, Tracer,
    metrics::{Collected, NAMESPACE},
};
use certbridge_sync::{
    ports::{Inbox, Runtime},
    row::{InboxRow, Pointer},
};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::{net::UdpSocket, time::Duration};
use sync_event::{Content, Item, SyncEvent, Trigger, handle};

const ID: &str = "1-5759e988-bd862e3fe1be46a994272793";
const HEADER: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

#[tokio::test]
async fn an_event_is_synced_in_the_trace_in_which_it_was_taken() {
    let world = World::start().await;
    let streamed = InboxRow { trace: HEADER.parse().ok(), ..world.accept("10").await };
    let pointed = world.accept("11").await;
    let key = EventKey { id: "pointed".to_owned(), ..pointed.key.clone() };
    let pointed = InboxRow { key, trace: HEADER.parse().ok(), ..pointed };
    world.store.insert(&pointed).await.unwrap();
    let untraced = world.accept("12").await;

    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let address = daemon.local_addr().unwrap().to_string();
    let env: Env = [("AWS_XRAY_DAEMON_ADDRESS", address.as_str())].into_iter().collect();
    let World { engine, clock, source, destination, .. } = world;
    let counted = Collected::default();
    let metrics = Metrics::new(NAMESPACE, "sync-event", clock.clone()).with_sink(counted.clone());
    let app = SyncEvent { engine, metrics, tracer: Tracer::new(&env, "sync-event") };
    clock.set(streamed.received_at + SignedDuration::from_secs(90));
    let heard = || {
        let mut buffer = [0; 4096];
        let length = daemon.recv(&mut buffer).unwrap();
        let document = std::str::from_utf8(&buffer[..length]).unwrap().split_once('\n').unwrap().1;
        serde_json::from_str::<Value>(document).unwrap()
    };
    let contents = [
        (Content::Row(Box::new(streamed.clone())), Some(&streamed)),
        (Content::Pointer(Pointer::Event(pointed.key.clone())), Some(&pointed)),
        (Content::Row(Box::new(untraced)), None),
    ];
    for (content, traced) in contents {
        let items = vec![Item { id: "1".to_owned(), content: Ok(content) }];
        let ends_at = clock.now() + SignedDuration::from_secs(60);
        let answer = handle(&app, Trigger::Batch(items), "request", ends_at).await.unwrap();
        assert_eq!(answer.batch_item_failures, []);

        let pushed = destination.server().requests().pop().unwrap();
        let fetched = source.server().requests().pop().unwrap();
        destination.server().clear_requests();
        source.server().clear_requests();
        let of = |name: &str| pushed.headers.get(name).cloned();
        assert_eq!(of("traceparent"), fetched.headers.get("traceparent").cloned());
        let lags: Vec<_> = counted
            .take()
            .into_iter()
            .map(|line| serde_json::from_str::<Value>(&line).unwrap())
            .filter(|line| line["Lag"].is_number())
            .collect();
        assert_eq!(lags.len(), 1);
        assert_eq!((&lags[0]["Lag"], &lags[0]["Source"]), (&json!(90_000), &json!("accredible")));

        let Some(row) = traced else {
            assert_eq!(of("traceparent"), None);
            continue;
        };
        let segment = heard();
        assert_eq!((&segment["trace_id"], &segment["parent_id"]), (&json!(ID), &json!("53995c3f42cd8ad8")));
        let own = segment["id"].as_str().unwrap();
        assert_eq!(of("traceparent").unwrap(), format!("00-5759e988bd862e3fe1be46a994272793-{own}-01"));
        assert_eq!(
            segment["annotations"],
            json!({"source": "accredible", "event_id": row.key.id, "outcome": "synced"})
        );
    }
}
