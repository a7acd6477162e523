//! Batches: started, listed, told and reported.

use crate::world::{Broken, World, event, finished};
use certbridge_archive::Archive;
use certbridge_sync::{
    StoreError,
    audit::Actor,
    batches::{BatchId, BatchRow, BatchStatus, BatchStep, Batches},
    memory::MemoryStore,
};
use futures::future::join_all;
use serde_json::{Value, json};

const MIB: usize = 1024 * 1024;

// POST /batch_sync

#[tokio::test]
async fn a_batch_is_put_on_record_and_started() {
    let world = World::new();
    let reply = world.run(&json!({"batch_id": "b-1", "dry_run": true})).await;
    let told = reply.told(202);
    assert_eq!(
        told,
        json!({
            "batch_id": "b-1", "status": "queued", "mode": "reconcile", "source": "accredible", "kind": "certificate", "dry_run": true,
            "force": false, "requested_by": "ops", "requested_at": "2026-03-01T12:00:00Z",
        })
    );
    assert_eq!(reply.header("location"), Some("/batches/b-1"));
    assert_eq!(world.app.executions.asked(), ["b-1"]);
    let row = world.row("b-1").await;
    assert_eq!(row.request.actor, Actor::Caller { owner: "ops".into() });
    assert_eq!((row.status, row.execution, row.request_digest.len()), (BatchStatus::Queued, None, 64));
    let counted = world.counted("BatchRequested");
    assert_eq!((&counted["Mode"], &counted["Outcome"]), (&json!("reconcile"), &json!("new")));
}

#[tokio::test]
async fn a_batch_without_an_id_gets_one_of_its_own() {
    let world = World::new();
    let mut ids = Vec::new();
    for body in ["", " \n", "{}"] {
        let reply = world.post("/batch_sync", body).await;
        let id = reply.told(202)["batch_id"].as_str().unwrap().to_owned();
        assert!(id.starts_with("20260301T1200") && id.parse::<BatchId>().is_ok(), "{id}");
        assert_eq!(reply.header("location"), Some(format!("/batches/{id}").as_str()));
        ids.push(id);
    }
    assert_eq!(world.app.executions.asked(), ids);
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn records_are_kept_by_the_digest_of_their_request() {
    let world = World::new();
    let records = json!([{"certificate_id": 9_007_199_254_740_993_u64, "b": 1, "a": "Zoë"}, {"anything": [null]}]);
    let told = world.run(&json!({"batch_id": "b", "force": true, "records": records})).await.told(202);
    assert_eq!((&told["mode"], &told["force"]), (&json!("upsert"), &json!(true)));
    let path = format!("requests/{}.json", world.row("b").await.request_digest);
    assert_eq!(world.app.archive.get_json::<Value>(&path).await.unwrap(), Some(records));
    world.run(&json!({"batch_id": "c"})).await.told(202);
    assert_eq!(world.app.archive.list("requests").await.unwrap(), [path], "a reconciliation brings none");
}

#[tokio::test]
async fn the_same_request_again_says_where_the_batch_stands_and_starts_nothing() {
    let world = World::new();
    let body = json!({"batch_id": "b-1", "records": [{"a": 1}]});
    let first = world.run(&body).await.told(202);
    let mut row = world.row("b-1").await;
    for (status, shown) in [(BatchStatus::Running, "running"), (BatchStatus::Failed, "failed")] {
        row.status = status;
        row.execution = Some("arn:secret".to_owned());
        world.app.store.update_batch(&row).await.unwrap();
        world.metrics.take();
        let reply = world.run(&body).await;
        assert_eq!(reply.told(202)["status"], shown);
        assert_eq!(reply.json()["requested_at"], first["requested_at"]);
        assert_eq!(world.counted("BatchRequested")["Outcome"], "known");
    }
    // One that waits for another batch to end has its execution already.
    row.status = BatchStatus::Queued;
    world.app.store.update_batch(&row).await.unwrap();
    world.run(&body).await.told(202);
    finished(&mut row);
    world.app.store.update_batch(&row).await.unwrap();
    let told = world.run(&body).await.told(202);
    assert_eq!((&told["status"], &told["report"]), (&json!("finished"), &json!("/batches/b-1/report")));
    assert_eq!(world.app.executions.asked(), ["b-1"]);
}

#[tokio::test]
async fn what_was_cut_off_before_its_start_is_started_by_the_same_request() {
    let world = World::new();
    let body = json!({"batch_id": "b", "records": [{"a": 1}]});
    for (error, status, retry_after) in [
        (StoreError::Busy("StartExecution: ThrottlingException".into()), 503, Some("5")),
        (StoreError::Refused("StartExecution: AccessDeniedException".into()), 500, None),
    ] {
        world.app.executions.fail(Some(error));
        world.metrics.take();
        let reply = world.run(&body).await;
        let (_, detail) = reply.problem(status);
        assert!(detail.starts_with("Batch b is on record") && !detail.contains("Exception"), "{detail}");
        assert_eq!(reply.header("retry-after"), retry_after);
        assert_eq!(world.counted("Refused")["Reason"], "start");
        assert_eq!(world.row("b").await.status, BatchStatus::Queued);
    }
    world.app.executions.fail(None);
    world.run(&body).await.told(202);
    assert_eq!(world.app.executions.asked(), ["b"; 3]);
}

#[tokio::test]
async fn the_same_id_with_another_body_is_a_contradiction() {
    let world = World::new();
    let records = json!([{"a": 1}]);
    world.run(&json!({"batch_id": "b", "records": records})).await.told(202);
    let known = world.row("b").await;
    for other in [
        json!({"batch_id": "b"}),
        json!({"batch_id": "b", "records": [{"a": 2}]}),
        json!({"batch_id": "b", "records": [{"a": 1}, {"a": 1}]}),
        json!({"batch_id": "b", "records": [{"a": 1}], "dry_run": true}),
        json!({"batch_id": "b", "records": [{"a": 1}], "force": true}),
    ] {
        let (kind, detail) = world.run(&other).await.problem(409);
        assert!(kind == "conflict" && detail.contains("Batch b "), "{other}: {kind} {detail}");
        assert_eq!(world.counted("Refused")["Reason"], "other-body");
    }
    assert_eq!(world.row("b").await, known);
    assert_eq!(world.app.executions.asked(), ["b"]);
    let kept = world.app.archive.get_json::<Value>(&format!("requests/{}.json", known.request_digest)).await.unwrap();
    assert_eq!(kept, Some(records), "nothing was written over the first one's records");
}

#[tokio::test]
async fn of_many_posts_of_one_id_all_are_told_of_one_batch() {
    let world = World::new();
    let body = json!({"batch_id": "b", "records": [{"a": 1}]});
    let replies = join_all((0..8).map(|_| world.run(&body))).await;
    let told: Vec<_> = replies.iter().map(|reply| reply.told(202)).collect();
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    assert_eq!(world.list("").await.told(200)["batches"].as_array().unwrap().len(), 1);
    let new = world.metrics.take().iter().filter(|line| line.contains(r#""Outcome":"new""#)).count();
    assert_eq!(new, 1);
}

#[tokio::test]
async fn a_bad_body_is_refused_with_everything_that_is_wrong() {
    let world = World::new();
    let many: Vec<_> = (0..200).map(|_| json!(1)).collect();
    let unknown: serde_json::Map<_, _> = (0..200).map(|n| (format!("m{n:03}"), json!(n))).collect();
    let long = "x".repeat(500);
    let table: Vec<(String, &[&str])> = vec![
        ("{".to_owned(), &["body"]),
        ("\u{0}".to_owned(), &["body"]),
        ("[".repeat(200), &["body"]),
        ("null".to_owned(), &["body"]),
        ("[]".to_owned(), &["body"]),
        ("\"text\"".to_owned(), &["body"]),
        (r#"{"dryrun": true}"#.to_owned(), &["dryrun"]),
        (r#"{"dry_run": "true"}"#.to_owned(), &["dry_run"]),
        (r#"{"dry_run": null}"#.to_owned(), &["dry_run"]),
        (r#"{"force": 1}"#.to_owned(), &["force"]),
        (r#"{"mode": "delete"}"#.to_owned(), &["mode"]),
        (r#"{"mode": "Upsert", "records": [{}]}"#.to_owned(), &["mode"]),
        (r#"{"mode": 1}"#.to_owned(), &["mode"]),
        (r#"{"mode": "upsert"}"#.to_owned(), &["records"]),
        (r#"{"mode": "reconcile", "records": [{}]}"#.to_owned(), &["mode"]),
        (r#"{"records": []}"#.to_owned(), &["records"]),
        (r#"{"records": null}"#.to_owned(), &["records"]),
        (r#"{"records": {"0": {}}}"#.to_owned(), &["records"]),
        (
            r#"{"records": [{}, 1, {}, "x", null, []]}"#.to_owned(),
            &["records[1]", "records[3]", "records[4]", "records[5]"],
        ),
        (r#"{"batch_id": ""}"#.to_owned(), &["batch_id"]),
        (r#"{"batch_id": "a b"}"#.to_owned(), &["batch_id"]),
        (r#"{"batch_id": "../x"}"#.to_owned(), &["batch_id"]),
        (r#"{"batch_id": 7}"#.to_owned(), &["batch_id"]),
        (json!({"batch_id": "x".repeat(81)}).to_string(), &["batch_id"]),
        (
            r#"{"batch_id": 1, "mode": 2, "dry_run": 3, "force": 4, "records": 5, "a": 6, "b": 7}"#.to_owned(),
            &["batch_id", "mode", "dry_run", "force", "records", "a", "b"],
        ),
    ];
    for (body, fields) in table {
        let reply = world.post("/batch_sync", &body).await;
        assert_eq!(reply.fields(), fields, "{body}");
        assert_eq!(world.counted("Refused")["Reason"], "malformed");
    }
    // However much is wrong, the answer is small, and repeats no value.
    for body in [json!({ "records": many }), json!(unknown), json!({ (long.as_str()): "secret" })] {
        let reply = world.run(&body).await;
        let fields = reply.fields();
        assert!((1..=50).contains(&fields.len()) && fields.iter().all(|name| name.len() <= 64), "{fields:?}");
        assert!(!reply.0.body.contains("secret"));
    }
    assert!(world.app.executions.asked().is_empty());
    assert!(world.list("").await.told(200)["batches"].as_array().unwrap().is_empty());
    assert!(world.app.archive.list("").await.unwrap().is_empty(), "nothing was touched");
}

#[tokio::test]
async fn as_many_records_are_taken_as_are_said_to_be() {
    let world = World::new();
    let records = |count: usize| json!({"records": vec![json!({}); count]});
    assert_eq!(world.run(&records(10_001)).await.fields(), ["records"]);
    world.run(&records(10_000)).await.told(202);
    world.run(&records(1)).await.told(202);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_unread() {
    let world = World::new();
    let (kind, detail) = world.post("/batch_sync", &"{".repeat(5 * MIB + 1)).await.problem(413);
    assert_eq!((kind.as_str(), detail.as_str()), ("body-too-large", "At most 5242880 bytes are taken."));
    let body = json!({"records": [{"title": "x".repeat(5 * MIB - 26)}]}).to_string();
    assert_eq!(body.len(), 5 * MIB);
    world.post("/batch_sync", &body).await.told(202);
}

#[tokio::test]
async fn a_batch_is_about_a_source_that_there_is() {
    let world = World::new();
    for (query, source) in
        [("", "accredible"), ("?source=accredible", "accredible"), ("?source=certificates", "accredible")]
    {
        assert_eq!(world.post(&format!("/batch_sync{query}"), "{}").await.told(202)["source"], source);
    }
    for query in ["?source=none", "?source=", "?source=../x"] {
        let (kind, _) = world.post(&format!("/batch_sync{query}"), "{}").await.problem(404);
        assert_eq!(kind, "unknown-source", "{query}");
    }
}

#[tokio::test]
async fn only_whom_the_authorizer_let_in_is_answered() {
    let world = World::with("b-1", finished).await;
    let asked = [
        event("POST", "POST /batch_sync", "/batch_sync", None, Some("{}")),
        event("GET", "GET /batches", "/batches", None, None),
        event("GET", "GET /batches/{id}", "/batches/b-1", Some("b-1"), None),
        event("GET", "GET /batches/{id}/report", "/batches/b-1/report", Some("b-1"), None),
    ];
    for mut event in asked {
        event["requestContext"]["authorizer"] = Value::Null;
        assert_eq!(world.send(event).await.problem(401).0, "unauthorized");
    }
    assert_eq!(world.app.executions.asked(), ["b-1"]);
    for (key, path) in [("POST /webhooks/{source}", "/webhooks/x"), ("$default", "/batches/b-1/x")] {
        assert_eq!(world.send(event("GET", key, path, None, None)).await.problem(404).0, "not-found", "{key}");
    }
    // As `cargo lambda watch` asks.
    assert_eq!(world.send(event("GET", "$default", "/batches", None, None)).await.0.status_code, 200);
}

// GET /batches, /batches/{id}

#[tokio::test]
async fn batches_are_listed_newest_first_page_by_page() {
    let world = World::new();
    for id in ["b-1", "b-2", "b-3", "b-4", "b-5"] {
        world.run(&json!({ "batch_id": id })).await.told(202);
    }
    let ids = |page: &Value| -> Vec<String> {
        let batches = page["batches"].as_array().unwrap();
        batches.iter().map(|batch| batch["batch_id"].as_str().unwrap().to_owned()).collect()
    };
    for limit in [1, 2, 3, 5, 100] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = world.list(&format!("limit={limit}{cursor}")).await.told(200);
            assert!((1..=limit).contains(&ids(&page).len()));
            found.extend(ids(&page));
            let Some(next) = page["next_cursor"].as_str() else { break };
            assert!(next.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{next}");
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found, ["b-5", "b-4", "b-3", "b-2", "b-1"], "{limit}");
    }
    let page = world.list("").await.told(200);
    assert_eq!((ids(&page).len(), &page["next_cursor"]), (5, &Value::Null));
    assert_eq!(page["batches"][4], world.run(&json!({"batch_id": "b-1"})).await.told(202));
}

#[tokio::test]
async fn a_page_holds_25_unless_another_number_is_wanted() {
    let world = World::new();
    for _ in 0..27 {
        world.run(&json!({})).await.told(202);
    }
    let page = world.list("").await.told(200);
    assert_eq!(page["batches"].as_array().unwrap().len(), 25);
    let rest = world.list(&format!("cursor={}", page["next_cursor"].as_str().unwrap())).await.told(200);
    assert_eq!(rest["batches"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused() {
    let world = World::new();
    for limit in ["0", "101", "-1", "ten", "1.5", "99999999999999999999"] {
        assert_eq!(world.list(&format!("limit={limit}")).await.fields(), ["limit"], "{limit}");
    }
    for cursor in ["", "b", "%00", "2026-03-01T12:00:00.000Z%23b", "MjAyNi0wMy0wMVQxMjowMDowMC4wMDBaI2I"] {
        assert_eq!(world.list(&format!("cursor={cursor}")).await.fields(), ["cursor"], "{cursor}");
    }
    assert_eq!(world.list("limit=0&cursor=x").await.fields(), ["limit", "cursor"], "both at once");
}

#[tokio::test]
async fn a_batch_is_told_with_its_progress_and_without_what_is_ours() {
    let world = World::with("b-1", finished).await;
    let id = "b-1".parse().unwrap();
    for step in [BatchStep::Partitions(16), BatchStep::Source(5), BatchStep::Compared(1), BatchStep::Compared(1)] {
        world.app.store.note(&id, step).await.unwrap();
    }
    assert_eq!(
        world.show("b-1").await.told(200),
        json!({
            "batch_id": "b-1", "status": "finished", "mode": "reconcile", "source": "accredible", "kind": "certificate", "dry_run": false,
            "force": false, "requested_by": "ops", "requested_at": "2026-03-01T12:00:00Z",
            "finished_at": "2026-03-01T12:00:00Z",
            "summary": {"verdict": "repaired", "headline": "3 of 5 were repaired", "records": 5, "differing": 4, "repaired": 3},
            "report": "/batches/b-1/report",
            "progress": {
                "source": 5, "destination": 0, "own": 0, "partitions": 16, "compared": 1, "repaired": 0,
            },
        })
    );
    let scheduled = |row: &mut BatchRow| {
        row.status = BatchStatus::Failed;
        row.request.actor = Actor::Reconciliation;
        row.error = Some("the destination cannot be listed".to_owned());
    };
    let told = World::with("b-1", scheduled).await.show("b-1").await.told(200);
    assert_eq!(
        (&told["status"], &told["requested_by"], &told["error"]),
        (&json!("failed"), &json!("schedule"), &json!("the destination cannot be listed"))
    );
}

#[tokio::test]
async fn a_batch_that_there_is_not_is_not_found() {
    let world = World::new();
    let long = "x".repeat(81);
    for id in ["none", "a b", "../x", long.as_str(), "é"] {
        assert_eq!(world.show(id).await.problem(404).0, "not-found", "{id}");
        assert_eq!(world.report(id, "").await.problem(404).0, "not-found", "{id}");
    }
}

// GET /batches/{id}/report

#[tokio::test]
async fn a_report_comes_in_three_forms() {
    let forms =
        [("json", "{\"verdict\": \"repaired\"}"), ("csv", "id\r\n1\r\n"), ("html", "<!doctype html><p>Zoë</p>")];
    let world = World::reported(Archive::memory(), &forms).await;
    for (query, content, content_type) in [
        ("", forms[0].1, "application/json"),
        ("format=json", forms[0].1, "application/json"),
        ("format=csv", forms[1].1, "text/csv; charset=utf-8"),
        ("format=html", forms[2].1, "text/html; charset=utf-8"),
    ] {
        let reply = world.report("b-1", query).await;
        assert_eq!((reply.0.status_code, reply.0.body.as_str()), (200, content), "{query}");
        assert_eq!(reply.header("content-type"), Some(content_type));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let attachment = query.ends_with("csv").then_some("attachment; filename=\"b-1.csv\"");
        assert_eq!(reply.header("content-disposition"), attachment);
        let policy = reply.header("content-security-policy");
        assert_eq!(policy.is_some(), query.ends_with("html"));
        assert!(policy.is_none_or(|policy| policy.starts_with("default-src 'none';") && !policy.contains("script")));
    }
    for format in ["", "pdf", "CSV", "json,csv"] {
        assert_eq!(world.report("b-1", &format!("format={format}")).await.fields(), ["format"], "{format}");
    }
}

#[tokio::test]
async fn while_there_is_no_report_it_is_said_why() {
    let failed = |error: Option<&str>| {
        let error = error.map(str::to_owned);
        move |row: &mut BatchRow| {
            row.status = BatchStatus::Failed;
            row.error = error;
        }
    };
    let running = |row: &mut BatchRow| row.status = BatchStatus::Running;
    let detail = async |world: World| {
        let reply = world.report("b-1", "format=csv").await;
        let (kind, detail) = reply.problem(404);
        assert_eq!((kind.as_str(), &world.counted("Refused")["Reason"]), ("not-found", &json!("no-report")));
        (detail, reply.header("retry-after").map(str::to_owned))
    };
    let not_over = ("The batch is not over yet.".to_owned(), Some("30".to_owned()));
    assert_eq!(detail(World::with("b-1", |_| {}).await).await, not_over);
    assert_eq!(detail(World::with("b-1", running).await).await, not_over);
    let why = detail(World::with("b-1", failed(Some("no such source"))).await).await;
    assert_eq!(why, ("The batch failed: no such source".to_owned(), None));
    let why = detail(World::with("b-1", failed(None)).await).await;
    assert_eq!(why, ("The batch came to no report.".to_owned(), None));
    let gone = World::reported(Archive::memory(), &[("json", "{}")]).await;
    assert_eq!(detail(gone).await, ("The report is no longer kept.".to_owned(), None));
}

#[tokio::test]
async fn a_large_report_is_a_link_where_there_are_links() {
    let large = "x".repeat(4 * MIB + 1);
    let forms = [("json", "{}"), ("csv", large.as_str()), ("html", &large[1..])];
    let world = World::reported(Archive::memory_with_links().unwrap(), &forms).await;
    let reply = world.report("b-1", "format=csv").await;
    assert_eq!((reply.0.status_code, reply.0.body.as_str()), (303, ""));
    let link: url::Url = reply.header("location").unwrap().parse().unwrap();
    assert!(link.path().ends_with("/batches/b-1/report.csv"), "{link}");
    assert!(link.query_pairs().any(|(name, value)| name == "X-Amz-Expires" && value == "300"), "{link}");
    for form in ["json", "html"] {
        assert_eq!(world.report("b-1", &format!("format={form}")).await.0.status_code, 200, "{form}");
    }
    let folder = tempfile::tempdir().unwrap();
    let url = url::Url::from_directory_path(folder.path()).unwrap();
    let world = World::reported(Archive::open(url.as_str(), None).unwrap(), &forms).await;
    let reply = world.report("b-1", "format=csv").await;
    assert_eq!((reply.0.status_code, reply.0.body.len()), (200, large.len()), "a folder makes no links");
}

// What fails

#[tokio::test]
async fn what_fails_is_told_without_its_words() {
    for (error, status, retry_after) in [
        (StoreError::Busy("register: internal-word".into()), 503, Some("5")),
        (StoreError::Unavailable("Query: internal-word".into()), 503, Some("5")),
        (StoreError::Refused("Query: internal-word".into()), 500, None),
    ] {
        let world = World::on(Broken(error), Archive::memory());
        for reply in [
            world.run(&json!({"batch_id": "b"})).await,
            world.list("").await,
            world.show("b").await,
            world.report("b", "").await,
        ] {
            reply.problem(status);
            assert_eq!(reply.header("retry-after"), retry_after);
            assert!(!reply.0.body.contains("internal-word"), "{reply:?}");
        }
        assert!(world.app.executions.asked().is_empty());
    }
    let bytes = World::reported(Archive::memory(), &[]).await;
    bytes.app.archive.put("batches/b-1/report.json", vec![0xff]).await.unwrap();
    assert_eq!(bytes.report("b-1", "").await.problem(500).0, "internal");
}

#[tokio::test]
async fn records_that_cannot_be_kept_are_not_spoken_of() {
    // A file stands where the folder of requests should.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("requests"), "").unwrap();
    let url = url::Url::from_directory_path(folder.path()).unwrap();
    let world = World::on(MemoryStore::new(), Archive::open(url.as_str(), None).unwrap());
    let reply = world.run(&json!({"batch_id": "b", "records": [{"a": 1}]})).await;
    assert_eq!(reply.problem(503).0, "unavailable");
    assert_eq!(world.counted("Refused")["Reason"], "archive");
    assert_eq!(world.show("b").await.0.status_code, 404, "and the batch is not on record");
    assert!(world.app.executions.asked().is_empty());
}

#[tokio::test]
async fn metrics_hold_nothing_that_a_caller_wrote() {
    let world = World::new();
    world.run(&json!({"batch_id": "secret-id", "records": [{"recipient_name": "secret-name"}]})).await.told(202);
    world.run(&json!({"batch_id": "secret-id", "secret-member": 1})).await.fields();
    world.post("/batch_sync?source=secret-source", "{}").await.problem(404);
    world.show("secret-id").await.told(200);
    let lines = world.metrics.take();
    assert_eq!(lines.len(), 4, "one a decision");
    assert!(lines.iter().all(|line| !line.contains("secret")), "{lines:?}");
}
