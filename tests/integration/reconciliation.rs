//! A batch from its beginning to its report: over real HTTP, with drift of every kind put in on purpose.

use crate::{
    batches::{Batches, found, outcomes, reconcile},
    breaker::accepted,
    support::record,
};
use certbridge_batch::{checkpoint, prove};
use certbridge_sandbox::{Credential, Fault};
use certbridge_sync::{
    AuditRow,
    batches::BatchRequest,
    checkpoint::{verify_history, verify_inclusion},
    memory::MemoryStore,
    ports::{Inbox, Records, Runtime},
    reconcile::{Drift, Outcome, Verdict},
    row::{Commit, InboxState, Lease},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_import_is_a_batch_and_the_second_finds_nothing() {
    let world = Batches::with(230).await;
    let (summary, report) = world.forced("first").await;
    assert_eq!((summary.verdict, report.totals.records, report.totals.repaired), (Verdict::Repaired, 230, 230));
    assert_eq!(outcomes(&report), BTreeMap::from([(Outcome::MissingAtDestination, 230)]));
    assert_eq!(report.totals.drift, BTreeMap::from([(Drift::NeverArrived, 230)]));
    assert_eq!(world.pushes(), 230);
    let batches = world.destination.server().requests().into_iter().filter(|seen| seen.path == "/batch_sync");
    assert!(batches.count() <= 230_usize.div_ceil(25) + 1, "as many at once as the destination takes");

    let (summary, report) = world.run("second").await;
    assert_eq!((summary.verdict, world.pushes()), (Verdict::Clean, 230), "{report:?}");
    assert_eq!(outcomes(&report), BTreeMap::from([(Outcome::Matched, 230)]));
    assert!(summary.mail.subject.contains("230"), "{}", summary.mail.subject);
    for form in ["csv", "html"] {
        assert!(world.app.archive.get(&format!("batches/second/report.{form}")).await.unwrap().is_some());
    }
    // A report names the newest checkpoint that there was.
    assert_eq!(report.checkpoint, None);
    let sealed = world.app.notary(None).make(&world.store, &world.clock).await.unwrap();
    let (_, report) = world.run("third").await;
    assert_eq!(report.checkpoint, Some(sealed.unproven().hash().to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_of_every_kind_is_found_explained_and_repaired() {
    let world = Batches::with(120).await;
    world.forced("import").await;
    let pushes = world.pushes();
    let now = world.clock.now();

    world.destination.edit("1", &json!({"location_id": "loc_paris"}));
    world.destination.remove("2");
    world.source.update("3", &json!({"name": "Changed, and nobody was told"}));
    world.source.put("121", &Credential::new("121").at_location("loc_london"));
    world.source.delete("4");
    world.source.put("122", &Credential::new("122"));
    world.source.put("123", &Credential::new("123").at_location("loc_atlantis"));
    world.source.update("5", &json!({"name": "Its event was quarantined"}));
    let row = accepted(&world.store, "5", now).await;
    world.store.set_aside(&row.key, 0, InboxState::Quarantined, "a reason").await.unwrap();
    world.source.update("6", &json!({"name": "Its event is on its way"}));
    accepted(&world.store, "6", now).await;
    let lease = Lease { owner: "somebody".to_owned(), until: now + SignedDuration::from_hours(9) };
    world.store.claim(&record("7"), &lease, now).await.unwrap();

    let (_, dry) = world.ended(&world.asked_for("dry", BatchRequest { dry_run: true, ..reconcile() }).await).await;
    assert_eq!(world.pushes(), pushes, "a dry run writes nothing");
    assert_eq!(dry.totals.repaired, 0);

    let (summary, report) = world.run("night").await;
    let expected = [
        ("1", Outcome::Mismatched, Some(Drift::EditedAtDestination), true),
        ("2", Outcome::MissingAtDestination, Some(Drift::EditedAtDestination), true),
        ("3", Outcome::Mismatched, Some(Drift::NeverArrived), true),
        ("121", Outcome::MissingAtDestination, Some(Drift::NeverArrived), true),
        ("5", Outcome::Mismatched, Some(Drift::ArrivedAndFailed), true),
        ("6", Outcome::InFlight, None, false),
        ("7", Outcome::InFlight, None, false),
        ("122", Outcome::Invalid, None, false),
        ("123", Outcome::Failed, Some(Drift::NeverArrived), false),
    ];
    for (id, outcome, drift, repaired) in expected {
        assert_eq!(found(&report, id), (outcome, drift, repaired), "{id}: {:?}", report.findings);
    }
    assert_eq!((found(&report, "4").0, found(&report, "4").2), (Outcome::MissingAtSource, false));
    let counts = outcomes(&report);
    assert_eq!((counts[&Outcome::Matched], report.totals.records), (123 - 10, 123));
    assert_eq!(world.pushes(), pushes + 5);
    assert_eq!(summary.verdict, Verdict::NeedsPerson);
    // What a dry run had found is what there was.
    assert_eq!(outcomes(&dry).get(&Outcome::Mismatched), counts.get(&Outcome::Mismatched));
    assert_eq!(world.destination.certificate("1").unwrap()["location_id"], "loc_london");

    let (_, next) = world.run("next").await;
    assert_eq!(world.pushes(), pushes + 5, "nothing is pushed twice: {:?}", next.findings);
    for id in ["1", "2", "3", "121", "5"] {
        assert_eq!(found(&next, id).0, Outcome::Matched, "{id}");
    }
}

#[tokio::test]
async fn one_checkpoint_covers_all_kinds_and_sources() {
    let world = Batches::with(0).await;
    let keys = ["customer#acculynx#1", "invoice#acculynx#1", "location#acculynx#2", "certificate#accredit#1"];
    let notary = world.app.notary(None);
    let mut made = Vec::new();
    for (round, key) in keys.iter().enumerate() {
        audited(&world.store, key, world.clock.now()).await;
        // Only claimed: there is nothing to remember of it.
        let lease = Lease { owner: "somebody".to_owned(), until: world.clock.now() };
        world.store.claim(&format!("location#x#{round}").parse().unwrap(), &lease, world.clock.now()).await.unwrap();
        made.push(notary.make(&world.store, &world.clock).await.unwrap());
    }
    let sizes: Vec<_> = made.iter().map(|made| (made.unproven().number, made.unproven().size)).collect();
    assert_eq!(sizes, [(1, 1), (2, 2), (3, 3), (4, 4)]);
    assert_eq!(verify_history(&made, &[], None).unwrap().length, 4);
    for key in keys {
        let sealed = prove(&world.app.checkpoints, 4, &key.parse().unwrap()).await.unwrap().unwrap();
        verify_inclusion(&sealed.inclusion.unwrap(), sealed.checkpoint.unproven()).unwrap();
    }
}

#[tokio::test]
async fn a_checkpoint_is_refused_if_the_trail_shrank_and_never_written_over_another() {
    let world = Batches::with(0).await;
    audited(&world.store, "customer#acculynx#1", world.clock.now()).await;
    let first = world.app.notary(None).make(&world.store, &world.clock).await.unwrap();
    // The same history, and tables that hold nothing.
    let error = world.app.notary(None).make(&MemoryStore::new(), &world.clock).await.unwrap_err();
    assert!(error.to_string().starts_with("audit checkpoint:") && error.name() == "Refused", "{error}");
    let archive = &world.app.checkpoints;
    assert_eq!(checkpoint::latest(archive).await.unwrap().as_ref(), Some(&first));
    // A note that was lost, or never written, makes no second beginning.
    for note in ["", "{}"] {
        archive.put("checkpoints/latest.json", note).await.unwrap();
        assert!(
            world.app.notary(None).make(&world.store, &world.clock).await.is_err(),
            "what is no note is no beginning"
        );
    }
    archive.put_json("checkpoints/latest.json", &first).await.unwrap();
    let second = world.app.notary(None).make(&world.store, &world.clock).await.unwrap();
    archive.put_json("checkpoints/latest.json", &first).await.unwrap();
    assert_eq!(checkpoint::latest(archive).await.unwrap(), Some(second));
}

/// Puts one audit row on a record.
async fn audited(store: &MemoryStore, key: &str, now: Timestamp) {
    let lease = Lease { owner: "somebody".to_owned(), until: now + SignedDuration::from_hours(1) };
    let claim = store.claim(&key.parse().unwrap(), &lease, now).await.unwrap();
    let mut audit: AuditRow = serde_json::from_value(json!({
        "record": key, "sequence": 1, "fence": claim.fence, "time": now, "actor": {"type": "reconciliation"},
        "cause": {"type": "batch", "id": "b"}, "action": "none", "outcome": "unchanged", "changes": [], "plan": "p",
        "destination_request_id": null, "previous_hash": claim.row.audit.hash, "hash": ""
    }))
    .unwrap();
    audit.hash = audit.expected_hash();
    let commit = Commit {
        claim: &claim,
        state: None,
        husk: None,
        hold: false,
        fetched_at: None,
        salt: "salt",
        audit: &audit,
        settle: None,
    };
    store.commit(&commit).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_drift_is_left_to_a_person() {
    let world = Batches::with(150).await;
    let (summary, report) = world.run("much").await;
    assert_eq!((summary.verdict, world.pushes()), (Verdict::NeedsPerson, 0));
    assert!(report.remarks.iter().any(|remark| remark.contains("force")), "{:?}", report.remarks);
    assert_eq!(world.forced("forced").await.0.verdict, Verdict::Repaired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_is_not_whole_proves_nothing_missing() {
    let world = Batches::with(120).await;
    world.forced("import").await;
    world.source.server().add_fault(Fault::Repeat.always().on("POST", "/v2/credentials/search"));
    world.destination.remove("120");
    let (summary, report) = world.run("cut").await;
    assert_eq!(summary.verdict, Verdict::NeedsPerson, "{report:?}");
    assert!(!report.coverage.source.as_ref().unwrap().complete);
    assert_eq!(outcomes(&report).get(&Outcome::MissingAtSource), None);
    assert!(report.remarks.iter().any(|remark| remark.starts_with("source:")), "{:?}", report.remarks);
}
