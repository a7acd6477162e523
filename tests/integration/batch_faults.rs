//! What may go wrong while a batch runs: its process dies, its time is over, its providers list badly or want less of
//! it. Over real HTTP, and with a clock that moves only when somebody waits.

use crate::{
    batches::{Batches, found, outcomes, reconcile},
    support::record,
};
use certbridge::local::machine::Execution;
use certbridge_batch::{
    Begun, Compared, Decision, Ended, Input, Inventory, Repaired, Start, Task, TaskError, Walk, handle, prove,
};
use certbridge_mapping::Definitions;
use certbridge_sandbox::{Credential, Fault, Provider};
use certbridge_sync::{
    batches::{BatchId, BatchRequest, Mode},
    checkpoint::{Head, verify_inclusion},
    ports::{Records, Runtime},
    reconcile::{Drift, Outcome, Report, Verdict},
};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, future::poll_fn, pin::pin, task::Poll};

const ACCREDIBLE: &str = include_str!("../../config/sources/accredible.toml");
const SNAPSHOTS: &str = include_str!("../../config/destinations/snapshots.toml");
/// Longer than any task takes.
const LONG: SignedDuration = SignedDuration::from_mins(15);

/// The built-in definitions, with one line of each file written otherwise.
fn definitions(source: (&str, &str), destination: &[(&str, &str)]) -> Definitions {
    let mut definitions = Definitions::built_in();
    let mut text = SNAPSHOTS.to_owned();
    for (line, other) in destination {
        assert!(text.contains(line), "{line}");
        text = text.replace(line, other);
    }
    assert!(ACCREDIBLE.contains(source.0));
    definitions.add_source("accredible.toml", &ACCREDIBLE.replace(source.0, source.1));
    definitions.add_destination("snapshots.toml", &text);
    assert!(definitions.errors().is_empty(), "{:?}", definitions.errors());
    definitions
}

/// Does one task in an invocation that lasts so long.
async fn task<A: DeserializeOwned>(world: &Batches, task: Task, lasts: SignedDuration) -> Result<A, TaskError> {
    let answer = handle(&world.app, task, "an-invocation", world.clock.now() + lasts).await?;
    Ok(serde_json::from_value(answer).unwrap())
}

fn start(world: &Batches, id: &BatchId, execution: &str) -> Task {
    Task::Begin(Start {
        input: Input { batch_id: Some(id.clone()), ..Input::default() },
        execution: execution.to_owned(),
        started_at: world.clock.now(),
    })
}

async fn begun(world: &Batches, id: &str) -> Begun {
    let id = world.asked_for(id, reconcile()).await;
    task(world, start(world, &id, "an-execution"), LONG).await.unwrap()
}

/// Imported records, and then drift of several kinds: the same whenever it is made.
async fn drifted() -> Batches {
    let world = Batches::with(8).await;
    world.clock.set("2026-03-01T12:00:00Z".parse().unwrap());
    let long_ago: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
    let dated = |ids: &mut dyn Iterator<Item = u32>| {
        for id in ids {
            assert!(world.source.set_updated_at(&id.to_string(), long_ago));
        }
    };
    dated(&mut (1..=8));
    world.forced("import").await;
    world.destination.edit("1", &json!({"location_id": "loc_paris"}));
    world.destination.remove("2");
    world.source.update("3", &json!({"name": "Changed, and nobody was told"}));
    world.source.delete("4");
    world.source.put("9", &Credential::new("9").at_location("loc_london"));
    world.source.put("10", &Credential::new("10"));
    dated(&mut [3, 9, 10].into_iter());
    world
}

/// A report, as it can be compared with another run's.
fn comparable(report: &Report) -> Value {
    assert!(report.adds_up());
    serde_json::to_value(report).unwrap()
}

/// The executions that a new process finds written down.
async fn written_down(world: &Batches) -> Option<Execution> {
    let mut unfinished = Execution::unfinished(&world.app.archive).await.unwrap();
    assert!(unfinished.len() <= 1);
    unfinished.pop()
}

#[tokio::test]
async fn a_run_that_is_killed_at_every_task_boundary_gives_the_same_report() {
    let undisturbed = drifted().await;
    let (_, expected) = undisturbed.run("night").await;
    assert_eq!((expected.totals.records, expected.totals.repaired), (10, 4), "{expected:?}");

    let killed = drifted().await;
    let id = killed.asked_for("night", reconcile()).await;
    let at = "executions/night.json";
    killed.app.archive.put_json(at, &killed.execution(&id)).await.unwrap();
    let (mut tasks, mut ended) = (0, None);
    while let Some(execution) = written_down(&killed).await {
        let next = execution.step(&killed.app).await.unwrap();
        ended = next.ended().cloned();
        killed.app.archive.put_json(at, &next).await.unwrap();
        tasks += 1;
    }
    let report = killed.report(&ended.unwrap()).await;
    assert!(tasks >= 7, "{tasks} tasks");
    assert_eq!(comparable(&report), comparable(&expected));
    assert_eq!(killed.pushes(), undisturbed.pushes());
}

/// Polls a future so many times, and then drops it.
async fn killed_after(polls: usize, future: impl Future<Output = Ended>) -> Option<Ended> {
    let mut future = pin!(future);
    let mut polled = 0;
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// What may differ: when it was over. What was under way is told again or recognised, once its leases have run out.
#[tokio::test]
async fn a_run_that_is_killed_within_its_tasks_gives_the_same_report_later() {
    let finished = |report: &Report| {
        let mut report = comparable(report);
        report["finished_at"] = Value::Null;
        report
    };
    let undisturbed = drifted().await;
    let (_, expected) = undisturbed.run("night").await;
    let (mut kills, mut polls) = (0, 1);
    loop {
        let world = drifted().await;
        let id = world.asked_for("night", reconcile()).await;
        let run = async || world.execution(&id).run(&world.app).await.unwrap();
        let mut ended = killed_after(polls, run()).await;
        let survived = ended.is_some();
        if !survived {
            kills += 1;
            world.clock.set(world.clock.now() + SignedDuration::from_mins(1));
            let execution = written_down(&world).await.unwrap_or_else(|| world.execution(&id));
            ended = Some(execution.run(&world.app).await.unwrap());
        }
        let report = world.report(&ended.unwrap()).await;
        let (mut report, mut expected) = (finished(&report), finished(&expected));
        for report in [&mut report, &mut expected] {
            // One that was killed before it was written down began anew.
            report["started_at"] = Value::Null;
        }
        assert_eq!(report, expected, "killed after {polls} polls");
        let (_, next) = world.run("next").await;
        assert_eq!((outcomes(&next)[&Outcome::Matched], next.totals.repaired), (8, 0), "{next:?}");
        if survived {
            break;
        }
        polls += 1;
    }
    assert!(kills > 3, "killed {kills} times only");
}

/// Reads a whole listing in invocations of one page each.
async fn page_by_page(world: &Batches, begun: &Begun, side: Inventory, between: impl Fn(u32)) -> (Walk, u32) {
    let (mut walk, mut calls) = (Walk::default(), 0);
    while !walk.done {
        assert!(calls < 50, "{walk:?}");
        let list = Task::List { batch: begun.batch.clone(), side, walk };
        // What is kept to write down what was read, and no time for a second page.
        walk = task(world, list, SignedDuration::from_millis(20_010)).await.unwrap();
        calls += 1;
        between(calls);
    }
    (walk, calls)
}

#[tokio::test]
async fn a_listing_goes_on_where_its_deadline_stopped_it() {
    let world = Batches::with(230).await;
    for id in 1..=230 {
        world.destination.edit(&id.to_string(), &json!({"certificate_id": id.to_string()}));
    }
    let begun = begun(&world, "night").await;
    for side in [Inventory::Source, Inventory::Destination] {
        let (walk, calls) = page_by_page(&world, &begun, side, |_| ()).await;
        assert!(calls >= 3 && walk.segments.len() == calls as usize, "{calls} calls: {walk:?}");
        assert_eq!((walk.side.rows, walk.side.complete, walk.restarts), (230, true, 0));
    }
}

#[tokio::test]
async fn a_listing_starts_over_when_its_cursors_expire_and_gives_up_when_they_do_always() {
    let world = Batches::with(230).await;
    for id in 1..=230 {
        world.destination.edit(&id.to_string(), &json!({"certificate_id": id.to_string()}));
    }
    let begun = begun(&world, "night").await;
    let expire = || {
        world.source.expire_cursors();
        world.destination.expire_cursors();
    };
    for side in [Inventory::Source, Inventory::Destination] {
        let once = |calls| {
            if calls == 2 {
                expire()
            }
        };
        let (walk, _) = page_by_page(&world, &begun, side, once).await;
        // What was read before is no part of it.
        assert_eq!((walk.side.rows, walk.side.complete, walk.restarts), (230, true, 1));
        let (walk, _) = page_by_page(&world, &begun, side, |_| expire()).await;
        assert!(!walk.side.complete && walk.remark.is_some(), "{walk:?}");
    }
}

#[tokio::test]
async fn a_repair_goes_on_where_its_deadline_stopped_it() {
    let world = Batches::with(60).await;
    let Begun { batch, .. } = begun(&world, "night").await;
    let mut walks = certbridge_batch::Walks::default();
    for (side, walk) in [
        (Inventory::Source, &mut walks.source),
        (Inventory::Destination, &mut walks.destination),
        (Inventory::Own, &mut walks.own),
    ] {
        let list = Task::List { batch: batch.clone(), side, walk: Walk::default() };
        *walk = task(&world, list, LONG).await.unwrap();
    }
    let compare = Task::Compare { batch: batch.clone(), walks: walks.clone(), partition: 0 };
    let compared: Compared = task(&world, compare, LONG).await.unwrap();
    let decide = Task::Decide { batch: batch.clone(), walks: walks.clone(), compared: vec![compared] };
    let decision: Decision = task(&world, decide, LONG).await.unwrap();
    assert!(decision.repair, "{decision:?}");

    let repair = |repaired| Task::Repair { batch: batch.clone(), partition: 0, repaired };
    let too_late = task::<Repaired>(&world, repair(Repaired::default()), SignedDuration::from_secs(30)).await;
    assert_eq!((too_late.unwrap_err().name(), world.pushes()), ("Transient", 0));
    let (mut repaired, mut calls) = (Repaired::default(), 0);
    while !repaired.done {
        // Time for one step.
        repaired = task(&world, repair(repaired), SignedDuration::from_millis(50_010)).await.unwrap();
        calls += 1;
        assert_eq!(world.pushes(), repaired.rows);
    }
    assert_eq!((calls, repaired.rows), (3, 60));
    let ended: Ended = task(&world, Task::Report { batch, walks, decision }, LONG).await.unwrap();
    let report = world.report(&ended).await;
    assert_eq!((ended.verdict, report.totals.repaired), (Verdict::Repaired, 60));
    assert_eq!(outcomes(&report), BTreeMap::from([(Outcome::MissingAtDestination, 60)]));
}

#[tokio::test]
async fn a_destination_that_wants_less_of_us_is_waited_for_and_told_all() {
    let world = Batches::with(30).await;
    let fault = Fault::Status { status: 429, retry_after: Some("90".to_owned()) };
    // The second chunk of 25.
    world.destination.server().add_fault(Fault::Delay { ms: 0 }.once().on("POST", "/batch_sync"));
    world.destination.server().add_fault(fault.once().on("POST", "/batch_sync"));
    let id = world.asked_for("night", reconcile()).await;
    let asked_at = world.clock.now();
    let (ended, report) = world.ended(&id).await;
    assert_eq!((ended.verdict, report.totals.repaired, world.pushes()), (Verdict::Repaired, 30, 30));
    assert_eq!(chunks(&world), 3, "one, one that was put off, and that again");
    assert!(world.clock.now().duration_since(asked_at) >= SignedDuration::from_secs(90), "the wait was not waited for");
}

fn chunks(world: &Batches) -> usize {
    world.destination.server().requests().iter().filter(|seen| seen.path == "/batch_sync").count()
}

#[tokio::test]
async fn half_a_chunk_that_was_applied_and_answered_500_is_mended_by_the_next_batch() {
    let world = Batches::with(10).await;
    world.destination.server().add_fault(Fault::Halfway.times(4).on("POST", "/batch_sync"));
    let (ended, report) = world.run("night").await;
    assert_eq!((ended.verdict, world.pushes()), (Verdict::NeedsPerson, 5));
    assert_eq!(outcomes(&report), BTreeMap::from([(Outcome::Failed, 10)]), "what is in doubt is not told as done");

    // Those that were applied match; they are told again all the same, which ends the doubt.
    let (ended, report) = world.run("next").await;
    assert_eq!((ended.verdict, report.totals.repaired), (Verdict::Repaired, 5), "{report:?}");
    assert_eq!(outcomes(&report), BTreeMap::from([(Outcome::Matched, 5), (Outcome::MissingAtDestination, 5)]));
    for id in 1..=10 {
        let key = record(&id.to_string());
        let row = world.store.read(&key).await.unwrap().unwrap();
        assert_eq!((row.fence, row.lease, world.store.audit_rows(&key).len()), (row.clean_fence, None, 1));
    }
    let pushes = world.pushes();
    let (ended, _) = world.run("last").await;
    assert_eq!((ended.verdict, world.pushes()), (Verdict::Clean, pushes));
}

#[tokio::test]
async fn one_id_that_is_listed_twice_counts_once_if_it_is_alike() {
    let world = Batches::with(5).await;
    world.run("import").await;
    let twice = |provider: &Provider, path: &str, method: &str, changed: Value| {
        let changed: Map<String, Value> = serde_json::from_value(changed).unwrap();
        provider.add_fault(Fault::Twice { id: "1".to_owned(), changed }.always().on(method, path));
    };
    let (source, destination) = (world.source.server(), world.destination.server());
    let search = "/v2/credentials/search";
    twice(source, search, "POST", json!({}));
    twice(destination, "/certificates", "GET", json!({}));
    let (ended, report) = world.run("alike").await;
    assert_eq!((ended.verdict, outcomes(&report)), (Verdict::Clean, BTreeMap::from([(Outcome::Matched, 5)])));
    assert_eq!(report.coverage.destination.unwrap().rows, 6);

    for (night, provider, path, method, changed) in [
        ("source", source, search, "POST", json!({"name": "Another"})),
        ("destination", destination, "/certificates", "GET", json!({"title": "Another"})),
    ] {
        source.clear_faults();
        destination.clear_faults();
        twice(provider, path, method, changed);
        let pushes = world.pushes();
        let (ended, report) = world.run(night).await;
        assert_eq!((ended.verdict, world.pushes()), (Verdict::NeedsPerson, pushes), "{night}");
        assert_eq!(found(&report, "1"), (Outcome::Duplicate, None, false), "{night}: {report:?}");
        assert_eq!(outcomes(&report)[&Outcome::Matched], 4, "{night}");
    }
}

#[tokio::test]
async fn nothing_but_a_remark_rests_on_a_total() {
    let world = Batches::with(5).await;
    world.run("import").await;
    for (night, count) in [("many", 9_000), ("none", 0)] {
        let lie = Fault::Announce { count };
        world.source.server().add_fault(lie.clone().always().on("POST", "/v2/credentials/search"));
        world.destination.server().add_fault(lie.always().on("GET", "/certificates"));
        let (ended, report) = world.run(night).await;
        world.source.server().clear_faults();
        world.destination.server().clear_faults();
        assert_eq!((ended.verdict, outcomes(&report)), (Verdict::Clean, BTreeMap::from([(Outcome::Matched, 5)])));
        let coverage = report.coverage;
        for side in [coverage.source.unwrap(), coverage.destination.unwrap()] {
            assert_eq!((side.announced, side.rows, side.complete), (Some(count as u64), 5, true));
        }
    }
}

#[tokio::test]
async fn without_its_canary_no_listing_is_believed() {
    let canary = ("changed_at = \"$.updated_at\"", "changed_at = \"$.updated_at\"\ncanary = \"1\"");
    let world = Batches::by(&definitions(canary, &[]), 5).await;
    let (ended, _) = world.run("before").await;
    assert_eq!((ended.verdict, world.pushes()), (Verdict::NeedsPerson, 0), "the destination has none yet");
    world.forced("import").await;
    world.destination.remove("2");
    assert_eq!(world.run("well").await.0.verdict, Verdict::Repaired);

    let pushes = world.pushes();
    world.destination.remove("2");
    let hide = || Fault::Hide { id: "1".to_owned() }.always();
    let rules = [
        (world.source.server(), hide().on("POST", "/v2/credentials/search")),
        (world.destination.server(), hide().on("GET", "/certificates")),
    ];
    for (night, (provider, rule)) in ["source", "destination"].into_iter().zip(rules) {
        provider.add_fault(rule);
        let (ended, report) = world.run(night).await;
        provider.clear_faults();
        assert_eq!((ended.verdict, world.pushes()), (Verdict::NeedsPerson, pushes), "{night}");
        assert!(report.remarks.iter().any(|remark| remark.contains("canary 1")), "{:?}", report.remarks);
        assert!(!found(&report, "2").2);
    }
}

#[tokio::test]
async fn more_changes_than_a_ceiling_allows_are_left_to_a_person() {
    let whole = ("name = \"accredible\"", "name = \"accredible\"");
    let by_number = [("max_changes = 10000", "max_changes = 3"), ("max_share = 0.2 ", "max_share = 1.0 ")];
    let by_share = [("few = 100", "few = 1")];
    for (rules, most) in [(&by_number[..], 3), (&by_share[..], 2)] {
        let world = Batches::by(&definitions(whole, rules), 10).await;
        world.forced("import").await;
        let lose = |count: u32| (1..=count).for_each(|id| assert!(world.destination.remove(&id.to_string())));
        lose(most + 1);
        let pushes = world.pushes();
        let (ended, report) = world.run("too-many").await;
        assert_eq!((ended.verdict, world.pushes(), report.totals.repaired), (Verdict::NeedsPerson, pushes, 0));
        assert!(report.remarks.iter().any(|remark| remark.contains("force")), "{:?}", report.remarks);
        world.forced("forced").await;
        lose(most);
        assert_eq!(world.run("as-many").await.0.verdict, Verdict::Repaired);
    }
}

#[tokio::test]
async fn what_is_missing_at_the_source_is_told_as_deleted_once_where_that_is_wanted() {
    let whole = ("name = \"accredible\"", "name = \"accredible\"");
    let delete = ("missing_at_source = \"report\"", "missing_at_source = \"delete\"");
    let world = Batches::by(&definitions(whole, &[delete]), 5).await;
    world.run("import").await;
    world.source.delete("1");
    // One that a listing does not show, and that is there all the same.
    world.source.server().add_fault(Fault::Hide { id: "2".into() }.always().on("POST", "/v2/credentials/search"));
    let (_, report) = world.run("night").await;
    assert_eq!(found(&report, "1"), (Outcome::MissingAtSource, Some(Drift::NeverArrived), true), "{report:?}");
    assert_eq!(found(&report, "2"), (Outcome::InFlight, None, false));
    assert_eq!((world.pushes(), &world.destination.certificate("1").unwrap()["status"]), (6, &json!("deleted")));

    world.source.server().clear_faults();
    let (ended, report) = world.run("next").await;
    assert_eq!((ended.verdict, world.pushes()), (Verdict::Clean, 6), "{report:?}");
    assert_eq!(outcomes(&report), BTreeMap::from([(Outcome::Matched, 5)]));
}

#[tokio::test]
async fn each_record_that_a_caller_gives_comes_out_by_itself() {
    let world = Batches::with(1).await;
    let given = |id: &str, title: &str| {
        json!({"certificate_id": id, "user_id": "person", "issue_date": "2026-01-31", "location_id": "loc_london",
            "title": title})
    };
    let upsert = async |id: &str, records: &[Value]| {
        let id = world.asked_for(id, BatchRequest { mode: Mode::Upsert, ..reconcile() }).await;
        world.app.archive.put_json(&format!("requests/digest-of-{id}.json"), &records).await.unwrap();
        world.ended(&id).await
    };
    let (_, report) = upsert("first", &[given("told", "A"), given("changed", "A")]).await;
    assert_eq!((report.totals.repaired, world.pushes()), (2, 2), "{report:?}");

    let mut unknown = given("unknown", "A");
    unknown["colour"] = json!("red");
    let mut nameless = given("", "A");
    nameless.as_object_mut().unwrap().remove("certificate_id");
    let records = [
        given("good", "A"),
        unknown,
        nameless,
        given("alike", "A"),
        given("alike", "A"),
        given("unlike", "A"),
        given("unlike", "B"),
        given("told", "A"),
        given("changed", "B"),
    ];
    let (ended, report) = upsert("second", &records).await;
    let expected = [
        ("good", Outcome::MissingAtDestination, Some(Drift::NeverArrived), true),
        ("unknown", Outcome::Invalid, None, false),
        ("records[2]", Outcome::Invalid, None, false),
        ("alike", Outcome::MissingAtDestination, Some(Drift::NeverArrived), true),
        ("unlike", Outcome::Duplicate, None, false),
        ("told", Outcome::Matched, None, false),
        ("changed", Outcome::Mismatched, Some(Drift::NeverArrived), true),
    ];
    for (id, outcome, drift, repaired) in expected {
        assert_eq!(found(&report, id), (outcome, drift, repaired), "{id}: {:?}", report.findings);
    }
    assert_eq!((ended.verdict, report.totals.records, report.totals.repaired), (Verdict::NeedsPerson, 7, 3));
    assert_eq!(outcomes(&report).values().sum::<u64>(), 7);
    // What was told before is told again: whoever gives a state wants it to be so.
    assert_eq!(world.pushes(), 2 + 4);
    assert_eq!(world.destination.certificate("changed").unwrap()["title"], "B");
    for id in ["unknown", "unlike", "1"] {
        assert_eq!(world.destination.certificate(id), None, "{id}");
    }
}

#[tokio::test]
async fn one_batch_runs_at_a_time_and_by_one_execution() {
    let world = Batches::with(3).await;
    let (first, second) = (world.asked_for("first", reconcile()).await, world.asked_for("second", reconcile()).await);
    let begun: Begun = task(&world, start(&world, &first, "one"), LONG).await.unwrap();
    let other = task::<Begun>(&world, start(&world, &first, "another"), LONG).await.unwrap_err();
    assert_eq!(other.name(), "Refused", "{other}");
    let waits = task::<Begun>(&world, start(&world, &second, "two"), LONG).await.unwrap_err();
    assert!(matches!(&waits, TaskError::Busy { by, .. } if by == "one"), "{waits}");

    // It stands still for longer than its turn lasts, and the other one goes first.
    world.clock.set(world.clock.now() + SignedDuration::from_mins(61));
    task::<Begun>(&world, start(&world, &second, "two"), LONG).await.unwrap();
    let list = Task::List { batch: begun.batch, side: Inventory::Source, walk: Walk::default() };
    let late = task::<Walk>(&world, list, LONG).await.unwrap_err();
    assert_eq!((late.name(), world.pushes()), ("Refused", 0));
    assert!(late.to_string().contains("two has its turn"), "{late}");
}

#[tokio::test]
async fn a_batch_that_waits_for_another_one_runs_once_that_is_over() {
    let world = Batches::with(3).await;
    let (first, second) = (world.asked_for("first", reconcile()).await, world.asked_for("second", reconcile()).await);
    let mut one = world.execution(&first).step(&world.app).await.unwrap();
    while one.ended().is_none() {
        let waits = task::<Begun>(&world, start(&world, &second, "local:second"), LONG).await.unwrap_err();
        assert_eq!(waits.name(), "Busy", "{waits}");
        one = one.step(&world.app).await.unwrap();
    }
    let (ended, _) = world.ended(&second).await;
    assert_eq!((ended.verdict, world.pushes()), (Verdict::Clean, 3), "the first one had repaired all");
}

/// Its own process waits for as long as another one has the turn, and no longer: one that stands still loses it.
#[tokio::test]
async fn a_batch_waits_no_longer_than_a_turn_lasts() {
    let world = Batches::with(3).await;
    let (first, second) = (world.asked_for("first", reconcile()).await, world.asked_for("second", reconcile()).await);
    let stands = world.execution(&first).step(&world.app).await.unwrap();
    let began_at = world.clock.now();
    let (ended, _) = world.ended(&second).await;
    assert_eq!((ended.verdict, world.pushes()), (Verdict::Repaired, 3));
    assert!(world.clock.now().duration_since(began_at) > SignedDuration::from_hours(1));
    // It may take its turn again now, since nobody has it; what it lists then is what there is.
    let ended = stands.run(&world.app).await.unwrap();
    assert_eq!((ended.verdict, world.pushes()), (Verdict::Clean, 3));
}

#[tokio::test]
async fn a_checkpoint_proves_a_record_and_not_one_that_was_changed_since() {
    let world = Batches::with(20).await;
    world.run("first").await;
    world.app.notary(None).make(&world.store, &world.clock).await.unwrap();
    let sealed = prove(&world.app.checkpoints, 1, &record("7")).await.unwrap().unwrap();
    let inclusion = sealed.inclusion.unwrap();
    assert_eq!((sealed.checkpoint.unproven().size, &inclusion.head.record), (20, &record("7")));
    verify_inclusion(&inclusion, sealed.checkpoint.unproven()).unwrap();
    let unknown = prove(&world.app.checkpoints, 1, &record("no-such-record")).await.unwrap().unwrap();
    assert_eq!(unknown.inclusion, None);

    let at = world.app.checkpoints.list("checkpoints/heads").await.unwrap().remove(0);
    let mut heads: Vec<Head> = world.app.checkpoints.get_lines(&at).await.unwrap();
    let changed = heads.iter_mut().find(|head| head.record != record("7")).unwrap();
    changed.hash = "0".repeat(64);
    world.app.checkpoints.put_lines(&at, &heads).await.unwrap();
    let sealed = prove(&world.app.checkpoints, 1, &record("7")).await.unwrap().unwrap();
    assert!(verify_inclusion(&sealed.inclusion.unwrap(), sealed.checkpoint.unproven()).is_err());
}
