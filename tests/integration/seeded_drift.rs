//! Ten thousand records with drift of every outcome and cause, put in by their numbers: reported exactly, and repaired.

use crate::{
    batches::{Batches, found, outcomes, reconcile},
    breaker::accepted,
    support::record,
};
use certbridge_mapping::Definitions;
use certbridge_sandbox::{Credential, Fault};
use certbridge_sync::{
    Plans,
    batches::BatchRequest,
    ports::{Inbox, Records, Runtime},
    reconcile::{Drift, Outcome, Report, Verdict},
    row::{InboxState, Lease},
};
use jiff::SignedDuration;
use serde_json::json;
use std::collections::BTreeMap;

const RECORDS: u32 = 10_000;
/// How many records each kind of drift befalls.
const EACH: u32 = 20;

/// A kind of drift: what it is to be called, and whether a repair mends it.
type Kind = (Outcome, Option<Drift>, bool);

const EDITED: Kind = (Outcome::Mismatched, Some(Drift::EditedAtDestination), true);
const REMOVED: Kind = (Outcome::MissingAtDestination, Some(Drift::EditedAtDestination), true);
const CHANGED: Kind = (Outcome::Mismatched, Some(Drift::NeverArrived), true);
const NEW: Kind = (Outcome::MissingAtDestination, Some(Drift::NeverArrived), true);
const STUCK: Kind = (Outcome::Mismatched, Some(Drift::ArrivedAndFailed), true);
const GONE: Kind = (Outcome::MissingAtSource, Some(Drift::NeverArrived), false);
const UNREADABLE: Kind = (Outcome::Invalid, None, false);
const PENDING: Kind = (Outcome::InFlight, None, false);
const LEASED: Kind = (Outcome::InFlight, None, false);
const NOWHERE: Kind = (Outcome::Failed, Some(Drift::NeverArrived), false);

const KINDS: [Kind; 10] = [EDITED, REMOVED, CHANGED, NEW, STUCK, GONE, UNREADABLE, PENDING, LEASED, NOWHERE];

/// Which records a kind befalls: those that are there already, or new ones.
fn ids(place: usize) -> Vec<String> {
    let is_new = [NEW, UNREADABLE, NOWHERE].contains(&KINDS[place]);
    let first = if is_new { RECORDS + 1 } else { 1 };
    let ids = (0..EACH).map(|number| first + number * KINDS.len() as u32 + place as u32);
    ids.map(|id| id.to_string()).collect()
}

/// Puts a kind of drift in.
async fn befall(world: &Batches, place: usize) {
    let now = world.clock.now();
    for id in ids(place) {
        let named = || Credential::new(&id).at_location("loc_london").named("Example Group");
        match place {
            0 => world.destination.edit(&id, &json!({"location_id": "loc_paris"})),
            1 => assert!(world.destination.remove(&id)),
            2 => assert!(world.source.update(&id, &json!({"name": "Changed, and nobody was told"}))),
            3 => world.source.put(&id, &named()),
            4 => {
                assert!(world.source.update(&id, &json!({"name": "Its event was set aside"})));
                let row = accepted(&world.store, &id, now).await;
                let state = if id.ends_with('5') { InboxState::Quarantined } else { InboxState::Failed };
                assert!(world.store.set_aside(&row.key, 0, state, "a reason").await.unwrap());
            }
            5 => assert!(world.source.delete(&id)),
            6 => world.source.put(&id, &Credential::new(&id)),
            7 => drop(accepted(&world.store, &id, now).await),
            8 => {
                let lease = Lease { owner: "somebody".to_owned(), until: now + SignedDuration::from_hours(99) };
                world.store.claim(&record(&id), &lease, now).await.unwrap();
            }
            _ => world.source.put(&id, &named().at_location("loc_atlantis")),
        }
    }
}

/// How many came out so, by outcome and cause.
fn expected(repaired: bool) -> (BTreeMap<Outcome, u64>, BTreeMap<Drift, u64>) {
    let (mut outcomes, mut drift) = (BTreeMap::new(), BTreeMap::new());
    let mut drifted = 0;
    for (place, (outcome, cause, mends)) in KINDS.into_iter().enumerate() {
        drifted += u64::from(place != 3 && place != 6 && place != 9) * u64::from(EACH);
        // That its location is nowhere is found out only by the repair.
        let dry = if outcome == Outcome::Failed { Outcome::MissingAtDestination } else { outcome };
        let (outcome, cause) = if repaired && mends { (Outcome::Matched, None) } else { (dry, cause) };
        *outcomes.entry(outcome).or_default() += u64::from(EACH);
        if let Some(cause) = cause {
            *drift.entry(cause).or_default() += u64::from(EACH);
        }
    }
    *outcomes.entry(Outcome::Matched).or_default() += u64::from(RECORDS) - drifted;
    (outcomes, drift)
}

fn with_failures(mut outcomes: BTreeMap<Outcome, u64>) -> BTreeMap<Outcome, u64> {
    let nowhere = u64::from(EACH);
    *outcomes.get_mut(&Outcome::MissingAtDestination).unwrap() -= nowhere;
    outcomes.retain(|_, count| *count > 0);
    outcomes.insert(Outcome::Failed, nowhere);
    outcomes
}

/// How many audit rows there are.
fn trails(world: &Batches) -> u64 {
    world.store.record_rows().iter().map(|row| row.audit.sequence).sum()
}

#[track_caller]
fn assert_found(report: &Report) {
    for (place, (outcome, drift, repaired)) in KINDS.into_iter().enumerate() {
        for id in ids(place) {
            assert_eq!(found(report, &id), (outcome, drift, repaired), "{id}, of kind {place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_of_every_kind_over_ten_thousand_records_is_reported_exactly_and_repaired() {
    let mut world = Batches::with(RECORDS).await;
    for id in 1..=RECORDS {
        // What is mapped from either reads the same, until the plan changes for a few.
        let name = if id % 500 == 499 { "Another name" } else { "Example Group" };
        assert!(world.source.update(&id.to_string(), &json!({"name": name})));
    }
    let (import, report) = world.forced("import").await;
    assert_eq!((import.verdict, report.totals.repaired), (Verdict::Repaired, u64::from(RECORDS)));
    for place in 0..KINDS.len() {
        befall(&world, place).await;
    }
    let (pushes, writes) = (world.pushes(), trails(&world));

    let (_, dry) = world.ended(&world.asked_for("dry", BatchRequest { dry_run: true, ..reconcile() }).await).await;
    assert_eq!((outcomes(&dry), dry.totals.drift.clone()), expected(false));
    assert_eq!((world.pushes(), trails(&world), dry.totals.repaired), (pushes, writes, 0), "a dry run writes nothing");

    let (night, report) = world.run("night").await;
    assert_eq!(outcomes(&report), with_failures(expected(false).0));
    assert_eq!(report.totals.drift, expected(false).1);
    assert_found(&report);
    let mended = KINDS.iter().filter(|kind| kind.2).count() as u32 * EACH;
    assert_eq!((report.totals.repaired, world.pushes()), (u64::from(mended), pushes + mended as usize));
    assert_eq!(night.verdict, Verdict::NeedsPerson);

    let (_, next) = world.run("next").await;
    assert_eq!(outcomes(&next), with_failures(expected(true).0), "what was repaired matches");
    assert_eq!(world.pushes(), pushes + mended as usize, "and nothing is told again");

    // A changed plan means another request for the few whose two names differ, and for nobody else.
    let text = include_str!("../../config/destinations/snapshots.toml");
    let other = text.replace("title = { from = \"$.title\" }", "title = { from = \"$.group_name\" }");
    assert_ne!(other, text);
    let definitions = Definitions::in_force([("destinations/snapshots.toml", other.as_str())]);
    assert!(definitions.errors().is_empty(), "{:?}", definitions.errors());
    world.app.engine.plans = Plans::new(&definitions, "snapshots").unwrap();
    let few = (1..=RECORDS).filter(|id| id % 500 == 499).count() as u64;
    // Those that had changed their names, too. Those whose event is set aside differ for that, first of all.
    let renamed = u64::from(EACH);
    let (_, report) = world.run("another-plan").await;
    assert_eq!(report.totals.drift[&Drift::PlanChanged], few + renamed, "{:?}", report.totals);
    assert_eq!(report.totals.drift[&Drift::ArrivedAndFailed], u64::from(EACH), "{:?}", report.totals);
    let (_, report) = world.run("the-same-plan").await;
    assert_eq!(report.totals.drift.get(&Drift::PlanChanged), None);

    // And what a side lists twice is nobody's to decide but a person's.
    let twice = |id: &str, member: &str| {
        let changed = json!({ member: "Something else" }).as_object().unwrap().clone();
        Fault::Twice { id: id.to_owned(), changed }
    };
    world.destination.server().add_fault(twice("9001", "group_name").always().on("GET", "/certificates"));
    world.source.server().add_fault(twice("9002", "name").always().on("POST", "/v2/credentials/search"));
    let (_, report) = world.run("twice").await;
    assert_eq!(found(&report, "9001"), (Outcome::Duplicate, None, false));
    // Of the source's rows that say when they changed, the one that changed last would count: both changed at once.
    assert_eq!(found(&report, "9002"), (Outcome::Duplicate, None, false));
    assert_eq!(outcomes(&report)[&Outcome::Duplicate], 2);
}
