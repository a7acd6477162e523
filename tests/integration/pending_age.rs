//! What an alarm on `PendingAge` watches.

use crate::breaker::World;
use certbridge_platform::{
    Metrics, Tracer,
    metrics::{Collected, NAMESPACE},
};
use certbridge_sandbox::Fault;
use certbridge_sync::{ports::Runtime, row::Pointer};
use jiff::SignedDuration;
use serde_json::Value;
use sync_event::{Content, Item, SyncEvent, Trigger, handle};

fn numbers(counted: &Collected, metric: &str) -> Vec<f64> {
    let lines = counted.take().into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    lines.filter_map(|line| line[metric].as_f64()).collect()
}

#[tokio::test]
async fn the_age_of_what_does_not_get_through_is_measured() {
    let world = World::start().await;
    let row = world.accept("10").await;
    world.destination.server().add_fault(Fault::status(503).always());
    let World { engine, clock, .. } = world;
    let counted = Collected::default();
    let metrics = Metrics::new(NAMESPACE, "sync-event", clock.clone()).with_sink(counted.clone());
    let app = SyncEvent { engine, metrics, tracer: Tracer::default() };
    let run = async |trigger| {
        let ends_at = clock.now() + SignedDuration::from_secs(60);
        handle(&app, trigger, "request", ends_at).await.unwrap()
    };

    run(Trigger::Sweep).await;
    assert_eq!(numbers(&counted, "PendingAge"), [0.0], "its time has not come");

    clock.set(row.next_at + SignedDuration::from_hours(2));
    run(Trigger::Sweep).await;
    assert_eq!(numbers(&counted, "PendingAge"), [7200.0], "nobody has tried it");

    let content = Ok(Content::Pointer(Pointer::Event(row.key.clone())));
    run(Trigger::Batch(vec![Item { id: "1".to_owned(), content }])).await;
    let age = clock.now().duration_since(row.received_at).as_secs_f64();
    assert!(age >= 7200.0);
    assert_eq!(numbers(&counted, "PendingAge"), [age], "it was tried in vain");
}
