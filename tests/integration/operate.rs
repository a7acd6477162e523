//! `certbridge doctor` beside a bundle that runs: what it finds wrong, and how it says so.

use crate::support::{World, event, secrets};
use certbridge::{
    doctor::{self, Findings, State},
    place::Place,
};
use certbridge_platform::Env;
use serde_json::{Value, json};

async fn examined(world: &World, max_days: i64) -> Findings {
    let place = Place { data: world.folder.path().to_owned(), aws: false, stack: None, prefix: None };
    let env = Env::from_iter::<[(&str, &str); 0]>([]);
    let found = doctor::examine(&place, max_days, &env).await.unwrap();
    let schema: Value = serde_json::from_str(include_str!("../../docs/doctor.schema.json")).unwrap();
    jsonschema::validate(&schema, &found.as_json()).unwrap();
    found
}

#[track_caller]
fn assert_found(found: &Findings, id: &str, state: State, says: &str) {
    let finding = found.all().iter().find(|finding| finding.id == id);
    let finding = finding.unwrap_or_else(|| panic!("no {id} in {}", found.as_text()));
    let all = format!("{} {}", finding.what, finding.mend.clone().unwrap_or_default());
    assert!(finding.state == state && all.contains(says), "{id}: {finding:?}");
    assert_eq!(finding.mend.is_some(), matches!(state, State::Warning | State::Failed), "{id}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_that_works_is_found_to_work() {
    let world = World::start().await;
    let found = examined(&world, 365).await;
    for (id, says) in [
        ("configuration.destination", "snapshots"),
        ("providers.destinations/snapshots", "takes our key"),
        ("providers.sources/accredible", "takes our key"),
        ("providers.clock", "within"),
        ("tables.inbox", "inbox"),
        ("tables.state", "state"),
        ("wiring.up", "serves at"),
        ("events.pending", "0 pending"),
        ("events.breakers", "closed"),
    ] {
        assert_found(&found, id, State::Ok, says);
    }
    // These secrets have no key that signs checkpoints, and an expired caller.
    assert_found(&found, "secrets.audit", State::Warning, "secrets rotate audit switch");
    assert_found(&found, "secrets.api-keys", State::Warning, "keys revoke ops-0");
    assert_eq!(found.exit_code(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_work_is_named_with_how_to_mend_it() {
    let mut held = secrets();
    let id = certbridge_mapping::verify::key_id(&"signing-key-in-use".into());
    held["sources/accredible"]["added"] = json!({id.clone(): "2020-01-01"});
    held["sources/accredit"] = json!({"signing": ["no key of RSA's"]});
    let world = World::start_with(&held).await;
    world.destination().set_scopes(&[]);
    let odd = event("certificate_created", "1", "no time").to_string();
    let reply = world.send(&world.signed(odd)).await;
    assert_eq!(reply.status, 202);
    let found = examined(&world, 365).await;
    assert_found(&found, "providers.destinations/snapshots", State::Failed, "saas/location.read");
    assert_found(&found, "secrets.sources/accredit", State::Failed, "the source is off");
    assert_found(&found, "secrets.sources/accredible.age", State::Warning, &id);
    assert_found(&found, "events.quarantined", State::Warning, "1 quarantined");
    assert_eq!(found.exit_code(), 1);
    // It shows no key.
    let text = found.as_text() + &found.as_json().to_string();
    for secret in crate::support::confidential(&secrets()) {
        assert!(!text.contains(&secret), "{secret}");
    }

    world.destination().let_in(&["another"]);
    assert_found(&examined(&world, 99_999).await, "providers.destinations/snapshots", State::Failed, "rotate");
}
