//! Which key signs a checkpoint: the one that the secret holds then.

use crate::batches::Batches;
use batch_sync::{App, AuditKeys};
use certbridge_platform::{
    Metrics, SystemRuntime,
    metrics::{Dropped, NAMESPACE},
    secrets::{AuditSecret, SecretError},
};
use certbridge_sync::{
    checkpoint::{Checkpoint, Signer, Stored, path},
    ports::Runtime as _,
};
use jiff::SignedDuration;
use serde_json::json;
use std::sync::{Arc, Mutex};

/// A signing key that is rotated under a running environment.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<Option<&'static str>>>);

impl AuditKeys for Held {
    async fn audit(&self) -> Result<Option<AuditSecret>, SecretError> {
        let signing_key = self.0.lock().unwrap().map(Into::into);
        Ok(Some(AuditSecret { signing_key, digest_key: None }))
    }
}

#[tokio::test]
async fn a_checkpoint_is_signed_with_the_key_of_now() {
    const ONE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const OTHER: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    let (world, keys) = (Batches::with(0).await, Held::default());
    let metrics = Metrics::new(NAMESPACE, "batch-sync", SystemRuntime).with_sink(Dropped);
    let clock = world.clock.clone();
    let app = App { batches: world.app, metrics, keys: keys.clone() };
    let mut number = 0;
    let mut night = async |key| {
        *keys.0.lock().unwrap() = key;
        clock.set(clock.now() + SignedDuration::from_hours(24));
        let ends_at = clock.now() + SignedDuration::from_mins(5);
        batch_sync::handle(&app, json!({"task": "checkpoint"}), "run", ends_at).await.map(drop)?;
        number += 1;
        let stored: Option<Stored> = app.batches.checkpoints.get_json(&path(number)).await.unwrap();
        let Checkpoint { key_id, .. } = stored.unwrap().unproven().clone();
        Ok::<_, batch_sync::Failed>(key_id)
    };
    let id = |key: &str| Some(Signer::new(&key.into()).unwrap().public_key().id());
    assert_eq!(night(None).await.unwrap(), None);
    assert_eq!(night(Some(ONE)).await.unwrap(), id(ONE));
    assert_eq!(night(Some(OTHER)).await.unwrap(), id(OTHER));
    // Whoever believes that they are signed is not left with one that is not.
    let error = night(Some("no key")).await.unwrap_err();
    assert!(error.to_string().starts_with("the audit's signing_key"), "{error}");
}
