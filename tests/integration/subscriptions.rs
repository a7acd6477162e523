//! The hourly look at our subscriptions, over real HTTP.

use crate::breaker::{KEY, OneKey, SUBSCRIPTION, World};
use batch_sync::{App, AuditKeys};
use certbridge_archive::Archive;
use certbridge_batch::BatchSync;
use certbridge_mapping::Definitions;
use certbridge_platform::{
    Metrics, SystemRuntime,
    metrics::{Collected, NAMESPACE},
    secrets::{AuditSecret, SecretError},
};
use certbridge_remote::{
    Http,
    subscriptions::{Authorization, NewSubscription, Subscriptions},
};
use certbridge_sandbox::{AccuLynx, Fault, Options};
use certbridge_sync::ports::Runtime as _;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::BTreeMap;

struct NoKeys;

impl AuditKeys for NoKeys {
    async fn audit(&self) -> Result<Option<AuditSecret>, SecretError> {
        Ok(None)
    }
}

#[tokio::test]
async fn a_subscription_that_is_disabled_is_counted_for_its_alarm() {
    let acculynx = AccuLynx::start(Options { api_key: KEY.to_owned(), ..Options::default() }).await.unwrap();
    let definitions = Definitions::built_in();
    let addresses = BTreeMap::from([("ACCULYNX_URL".to_owned(), acculynx.url())]);
    let World { engine, clock, .. } = World::start_at(&definitions, addresses).await;
    let metrics = Collected::default();
    let app = App {
        batches: BatchSync { engine, archive: Archive::memory(), checkpoints: Archive::memory() },
        metrics: Metrics::new(NAMESPACE, "batch-sync", SystemRuntime).with_sink(metrics.clone()),
        keys: NoKeys,
    };
    let check = async || {
        let ends_at = clock.now() + SignedDuration::from_mins(5);
        let answer = batch_sync::handle(&app, json!({"task": "subscriptions"}), "run", ends_at).await.unwrap();
        let lines: Vec<Value> = metrics.take().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let counted = lines.iter().find(|line| line.get("SubscriptionsLapsed").is_some());
        (answer, counted.map(|line| (line["Source"].clone(), line["SubscriptionsLapsed"].as_f64().unwrap())))
    };

    let gone = format!("{SUBSCRIPTION} is gone");
    assert_eq!(check().await, (json!({"acculynx": {"lapsed": [gone]}}), Some((json!("acculynx"), 1.0))));

    let source = definitions.source("acculynx").unwrap();
    let url = acculynx.url();
    let api = Subscriptions::new(Http::new().unwrap(), OneKey, source, Some(&url), Authorization::default()).unwrap();
    let wanted = NewSubscription {
        url: "https://hooks.example.com/webhooks/acculynx".to_owned(),
        topics: api.topics().await.unwrap(),
        contact: Some("ops@example.com".to_owned()),
        tenant: None,
    };
    assert_eq!(api.create(&wanted).await.unwrap().id.as_deref(), Some(SUBSCRIPTION));
    assert_eq!(check().await, (json!({"acculynx": {"lapsed": []}}), Some((json!("acculynx"), 0.0))));

    // There, to delete is to disable.
    api.delete(SUBSCRIPTION).await.unwrap();
    let disabled = format!("{SUBSCRIPTION} is disabled");
    assert_eq!(check().await, (json!({"acculynx": {"lapsed": [disabled]}}), Some((json!("acculynx"), 1.0))));

    // Who cannot be asked has not lapsed.
    acculynx.server().add_fault(Fault::status(503).once());
    let (answer, counted) = check().await;
    assert!(answer["acculynx"]["error"].as_str().is_some_and(|error| error.contains("503")), "{answer}");
    assert_eq!(counted, None);
}
