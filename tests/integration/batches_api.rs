//! The HTTP side of batches, over real HTTP: callers with keys, real tables, and a folder for the archive.

use crate::{
    http::{Reply, Request},
    support::{OPS, READER, RUNNER, World, until},
};
use certbridge_sync::{
    audit::{Actor, Cause},
    batches::Batches,
};
use futures::future::join_all;
use serde_json::{Value, json};

async fn run(world: &World, body: &Value) -> Reply {
    world.send(&Request::post("/batch_sync", body.to_string()).header("x-api-key", RUNNER)).await
}

fn get(target: &str) -> Request {
    Request::new("GET", target).header("authorization", format!("Bearer {READER}"))
}

/// Waits until a batch is over, and tells of it.
async fn over(world: &World, id: &str) -> Value {
    until(&format!("batch {id} is over"), async || {
        let told = world.send(&get(&format!("/batches/{id}"))).await.json();
        ["finished", "failed"].iter().any(|over| told["status"] == *over).then_some(told)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_are_given_are_told_and_reported() {
    let world = World::start().await;
    let good = |id: &str| json!({"certificate_id": id, "user_id": "u", "issue_date": "2026-01-31", "location_id": "loc_london"});
    let body = json!({"batch_id": "import-1", "records": [
        good("1"), good("2"), {"certificate_id": "3", "recipient_name": "Example Person"},
        {"certificate_id": "4", "planet": "Earth"}, {"user_id": "u"},
    ]});
    // At the same time, as impatient callers do.
    let replies = join_all((0..2).map(|_| run(&world, &body))).await;
    for reply in &replies {
        assert_eq!(reply.status, 202, "{reply:?}");
        assert_eq!(reply.headers["location"], "/batches/import-1");
        assert_eq!(reply.headers["cache-control"], "no-store");
    }
    assert_eq!(run(&world, &json!({"batch_id": "import-1"})).await.problem().as_deref(), Some("conflict"));

    let told = over(&world, "import-1").await;
    assert_eq!((&told["status"], &told["summary"]["verdict"]), (&json!("finished"), &json!("needs_person")), "{told}");
    let row = world.store().batch(&"import-1".parse().unwrap()).await.unwrap().unwrap().0;
    assert_eq!(row.request.actor, Actor::Caller { owner: "runner".into() });
    for id in ["1", "2"] {
        assert_eq!(world.applications(id).len(), 1, "told once, though asked for twice");
        let trail = world.trail(id).await;
        assert_eq!(trail[0].actor, Actor::Caller { owner: "runner".into() });
        assert_eq!(trail[0].cause, Cause::Batch { id: "import-1".into() });
    }
    let report = world.send(&get("/batches/import-1/report")).await.json();
    assert_eq!(report["totals"]["outcomes"], json!({"missing_at_destination": 2, "invalid": 3}));
    assert_eq!((&report["totals"]["repaired"], &report["remarks"]), (&json!(2), &json!([])));
    let csv = get("/batches/import-1/report?format=csv").send(world.local.url()).await;
    assert_eq!((csv.status, csv.headers["content-type"].as_str()), (200, "text/csv; charset=utf-8"));
    assert!(csv.body.contains("records[4],invalid"), "{}", csv.body);
    assert!(csv.body.contains("planet"), "what is unknown is an error that names it: {}", csv.body);
    let page = get("/batches/import-1/report?format=html").send(world.local.url()).await;
    assert!(page.headers["content-security-policy"].starts_with("default-src 'none'"), "{:?}", page.headers);
    assert!(world.local.data().file("reports").join("batches/import-1/report.csv").is_file());
    // What is over is told again, and not done again.
    assert_eq!(run(&world, &body).await.json()["status"], "finished");
    assert_eq!(world.applications("1").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_listed_and_outlast_a_restart() {
    let world = World::start().await;
    for id in ["b-1", "b-2", "b-3"] {
        assert_eq!(run(&world, &json!({ "batch_id": id })).await.status, 202);
    }
    // What a stopped process left goes on in the next one.
    let world = World::start_in(world.stop().await).await;
    for id in ["b-1", "b-2", "b-3"] {
        assert_eq!(run(&world, &json!({ "batch_id": id })).await.status, 202);
        assert_eq!(over(&world, id).await["status"], "finished");
    }
    let mut found = Vec::new();
    let mut target = "/batches?limit=2".to_owned();
    loop {
        let page = world.send(&get(&target)).await.json();
        found.extend(page["batches"].as_array().unwrap().iter().map(|batch| batch["batch_id"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        target = format!("/batches?limit=2&cursor={next}");
    }
    let mut sorted: Vec<_> = found.iter().map(|id| id.as_str().unwrap()).collect();
    sorted.sort_unstable();
    assert_eq!(sorted, ["b-1", "b-2", "b-3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_scope_opens_its_own_routes() {
    let world = World::start().await;
    for (method, target, opens) in [
        ("POST", "/batch_sync", RUNNER),
        ("GET", "/batches", READER),
        ("GET", "/batches/none", READER),
        ("GET", "/batches/none/report", READER),
    ] {
        assert_eq!(world.send(&Request::new(method, target)).await.problem().as_deref(), Some("unauthorized"));
        for key in [OPS, READER, RUNNER] {
            let reply = world.send(&Request::new(method, target).header("x-api-key", key)).await;
            assert_eq!(reply.status == 403, key != opens, "{method} {target} with {key}: {reply:?}");
        }
    }
}
