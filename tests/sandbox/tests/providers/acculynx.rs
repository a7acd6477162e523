//! AccuLynx as the sandbox plays it.

use crate::support::{Receiver, call, text};
use certbridge_sandbox::{
    AccuLynx, Options,
    acculynx::{TOPICS, contact_event, event, pascal},
};
use serde_json::{Value, json};

const KEY: &str = "key";

async fn acculynx() -> AccuLynx {
    AccuLynx::start(Options { api_key: KEY.to_owned(), ..Options::default() }).await.unwrap()
}

async fn get(server: &AccuLynx, path: &str) -> (u16, Value) {
    call(&server.url(), KEY, "GET", path, &Value::Null).await
}

fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| text(item, "id")).collect()
}

#[tokio::test]
async fn every_route_listed_is_served() {
    let server = acculynx().await;
    for (method, path) in AccuLynx::routes() {
        let path = path.replace("{id}", "none").replace("{kind}", "none");
        let (status, body) = call(&server.url(), KEY, method, &path, &Value::Null).await;
        assert_ne!(status, 405, "{method} {path}");
        assert_ne!(body, json!("no such route"), "{method} {path}");
    }
}

#[tokio::test]
async fn one_is_read_by_its_id() {
    let server = acculynx().await;
    server.put_contact("c1", &json!({ "firstName": "Ann" }));
    server.put_job("j1", &json!({ "contacts": [{ "isPrimary": true, "contact": { "id": "c1", "_link": "l" } }] }));
    server.put_job("j2", &json!({ "assignment": "unassigned" }));
    server.put_invoice("i1", &json!({ "jobId": "j1", "totalPrice": 9 }));
    let (status, contact) = get(&server, "/api/v2/contacts/c1").await;
    assert_eq!(
        (status, &contact["firstName"], &contact["emailAddresses"][0]["address"]),
        (200, &json!("Ann"), &Value::Null)
    );
    assert!(text(&contact, "_link").starts_with("https://api.acculynx.com/"));
    let (_, full) = get(&server, "/api/v2/contacts/c1?includes=emailAddress,phoneNumber").await;
    assert_eq!(full["emailAddresses"][0]["address"], "john@example.com");
    assert_eq!(full["phoneNumbers"][0]["number"], "3095551234");
    let (_, emails) = get(&server, "/api/v2/contacts/c1/email-addresses").await;
    assert_eq!(emails["items"], full["emailAddresses"]);
    let (_, job) = get(&server, "/api/v2/jobs/j1").await;
    assert_eq!((&job["assignment"], &job["contacts"][0]["contact"]["firstName"]), (&Value::Null, &Value::Null));
    let (_, full) = get(&server, "/api/v2/jobs/j1?includes=contact").await;
    assert_eq!(full["contacts"][0]["contact"]["firstName"], "Ann");
    assert_eq!(get(&server, "/api/v2/invoices/i1").await.1["totalPrice"], 9);
    assert_eq!(ids(&get(&server, "/api/v2/jobs/j1/invoices").await.1), ["i1"]);
    // The contract gives a job's 404 no body, and the others' the shape of every error.
    assert_eq!(get(&server, "/api/v2/jobs/j2").await, (404, json!("")));
    let (status, error) = get(&server, "/api/v2/contacts/c2").await;
    assert_eq!((status, &error["status"], &error["title"]), (404, &json!(404), &json!("Not Found")));
    assert!(error["type"].is_string() && error["traceId"].is_string());
    assert_eq!(call(&server.url(), "wrong", "GET", "/api/v2/jobs/j1", &Value::Null).await.0, 401);
}

#[tokio::test]
async fn contacts_are_paged_by_pages_and_jobs_by_records() {
    let server = acculynx().await;
    for id in ["a", "b", "c"] {
        server.put_contact(id, &json!({}));
        server.put_job(id, &json!({ "createdDate": format!("2026-01-0{}T10:00:00Z", id.len()) }));
    }
    for (path, status, wanted) in [
        ("/api/v2/contacts?pageSize=2", 200, vec!["a", "b"]),
        ("/api/v2/contacts?pageSize=2&pageStartIndex=1", 200, vec!["c"]),
        ("/api/v2/contacts?pageSize=2&pageStartIndex=2", 416, vec![]),
        ("/api/v2/contacts?pageSize=2&recordStartIndex=2", 200, vec!["a", "b"]),
        ("/api/v2/jobs?pageSize=2", 200, vec!["a", "b"]),
        ("/api/v2/jobs?pageSize=2&recordStartIndex=1", 200, vec!["b", "c"]),
        ("/api/v2/jobs?pageSize=2&recordStartIndex=3", 416, vec![]),
        ("/api/v2/jobs?pageSize=51", 416, vec![]),
        ("/api/v2/jobs?pageSize=0", 416, vec![]),
        ("/api/v2/jobs?recordStartIndex=-1", 416, vec![]),
        ("/api/v2/jobs?recordStartIndex=x", 400, vec![]),
    ] {
        let (got, list) = get(&server, path).await;
        assert_eq!(got, status, "{path}");
        if status == 200 {
            assert_eq!((ids(&list), &list["count"]), (wanted, &json!(3)), "{path}");
        } else {
            assert_eq!(list["status"], status, "{path}");
        }
    }
    assert_eq!(get(&acculynx().await, "/api/v2/jobs").await.1["items"], json!([]));
}

#[tokio::test]
async fn jobs_are_filtered_by_days_and_milestones() {
    let server = acculynx().await;
    let dated = |created: &str, modified: &str| json!({ "createdDate": format!("{created}T23:00:00Z"), "modifiedDate": format!("{modified}T01:00:00Z") });
    server.put_job("a", &dated("2026-01-01", "2026-03-03"));
    server.put_job("b", &dated("2026-01-02", "2026-03-02"));
    server.put_job("c", &dated("2026-01-03", "2026-03-01"));
    server.put_job("c", &json!({ "currentMilestone": "Lead", "modifiedDate": "2026-03-01T01:00:00Z" }));
    server.put_job("d", &json!({ "currentMilestone": "Dead", "assignment": "unassigned" }));
    for (query, wanted) in [
        ("", vec!["a", "b", "c"]),
        ("startDate=2026-01-02", vec!["b", "c"]),
        ("startDate=2026-01-02&endDate=2026-01-02", vec!["b"]),
        ("startDate=2026-03-02&dateFilterType=ModifiedDate", vec!["a", "b"]),
        ("sortBy=ModifiedDate", vec!["c", "b", "a"]),
        ("sortBy=ModifiedDate&sortOrder=Descending", vec!["a", "b", "c"]),
        ("milestones=lead,approved", vec!["c"]),
        ("milestones=dead", vec![]),
        ("assignment=unassigned&milestones=dead", vec!["d"]),
        ("assignment=unassigned", vec![]),
    ] {
        let (status, list) = get(&server, &format!("/api/v2/jobs?{query}")).await;
        assert_eq!((status, ids(&list)), (200, wanted), "{query}");
    }
    for query in ["startDate=1.1.2026", "dateFilterType=Modified", "sortOrder=up", "assignment=none"] {
        assert_eq!(get(&server, &format!("/api/v2/jobs?{query}")).await.0, 400, "{query}");
    }
    server.put_job("b", &json!({ "priority": "High" }));
    assert!(text(&server.row("jobs", "b").unwrap(), "modifiedDate") > "2026-03-03");
}

const SUBSCRIPTIONS: &str = "/webhooks/v2/subscriptions";

#[tokio::test]
async fn subscriptions_are_made_changed_and_disabled() {
    let server = acculynx().await;
    let make = |patch: Value| {
        let mut body = json!({
            "consumerUrl": "https://example.com/hook/token", "techContact": "a@x.org", "topicNames": ["contact_added"],
            "integrationType": "Api",
        });
        patch.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        body
    };
    let post = async |body: Value| call(&server.url(), KEY, "POST", SUBSCRIPTIONS, &body).await;
    assert_eq!(get(&server, "/webhooks/v2/topics").await.1["items"].as_array().unwrap().len(), TOPICS.len());
    let (status, made) = post(make(json!({}))).await;
    assert_eq!(status, 201);
    let at = format!("{SUBSCRIPTIONS}/{}", text(&made, "subscriptionId"));
    for patch in [
        json!({ "consumerUrl": "http://example.com/hook" }),
        json!({ "consumerUrl": null }),
        json!({ "techContact": null, "technicalContact": "a@x.org" }),
        json!({ "topicNames": [] }),
        json!({ "topicNames": ["job_deleted"] }),
        json!({ "integrationType": null }),
    ] {
        assert_eq!(post(make(patch.clone())).await.0, 400, "{patch}");
    }
    for (body, status) in [
        (json!({ "technicalContact": "b@x.org", "topicNames": ["job_created"] }), 204),
        (json!({ "techContact": "b@x.org", "topicNames": ["job_created"] }), 400),
        (json!({ "technicalContact": "b@x.org", "topicNames": ["job_created"], "consumerUrl": "https://x.org" }), 400),
    ] {
        assert_eq!(call(&server.url(), KEY, "PUT", &at, &body).await.0, status, "{body}");
    }
    let (_, list) = get(&server, SUBSCRIPTIONS).await;
    assert_eq!(
        (&list["items"][0]["technicalContact"], &list["items"][0]["status"]),
        (&json!("b@x.org"), &json!("Enabled"))
    );
    assert_eq!(call(&server.url(), KEY, "DELETE", &at, &Value::Null).await.0, 204);
    assert_eq!(server.subscriptions()[0]["status"], "Disabled");
    assert_eq!(call(&server.url(), KEY, "DELETE", &format!("{SUBSCRIPTIONS}/none"), &Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_test_event_really_comes() {
    let (server, receiver) = (acculynx().await, Receiver::start(&[], None).await);
    server.put_contact("c1", &json!({}));
    let body = json!({
        "consumerUrl": receiver.url, "techContact": "a@x.org", "topicNames": ["job_created"], "integrationType": "Api",
    });
    let (_, made) = call(&server.url(), KEY, "POST", SUBSCRIPTIONS, &body).await;
    let at = format!("{SUBSCRIPTIONS}/{}/test-event", text(&made, "subscriptionId"));
    for topic in ["contact_added", "job_updated", "job.invoice_voided"] {
        assert_eq!(call(&server.url(), KEY, "POST", &at, &json!({ "topicName": topic })).await.0, 204);
    }
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    let body = received[0].json();
    assert_eq!((&body["topicName"], &body["event"]["contact"]["id"]), (&json!("contact_added"), &json!("c1")));
    assert_eq!(body["subscriptionId"], made["subscriptionId"]);
    assert!(received[1].json()["event"]["job"]["jobName"].is_string());
    assert!(received[2].json()["event"]["job"]["invoice"]["id"].is_string());
    assert_eq!(call(&server.url(), KEY, "POST", &at, &json!({ "topicName": "x" })).await.0, 400);
}

#[test]
fn a_body_is_as_it_was_seen_to_arrive() {
    let at = "2026-05-26T14:23:55.4999782Z".parse().unwrap();
    let body = event("contact_added", "e1", "s1", at, &contact_event("c1", "2026-05-26T14:23:55.29Z".parse().unwrap()));
    assert_eq!(
        body,
        json!({
            "topicName": "contact_added", "eventDateTime": "2026-05-26T14:23:55.4999782Z", "eventId": "e1",
            "subscriptionId": "s1",
            "event": { "contact": {
                "id": "c1", "date": "2026-05-26T14:23:55.2900000Z",
                "_link": "https://api.acculynx.com/api/v2/contacts/c1",
            } },
        })
    );
    let capital = pascal(&body);
    assert_eq!((&capital["EventId"], &capital["Event"]["Contact"]["Id"]), (&json!("e1"), &json!("c1")));
}

#[tokio::test]
async fn it_remembers_and_is_steered_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { api_key: KEY.to_owned(), folder: Some(folder.path().to_owned()), port: 0 };
    let server = AccuLynx::start(options()).await.unwrap();
    let at = "/_sandbox/rows/contacts/c1";
    assert_eq!(call(&server.url(), KEY, "PUT", at, &json!({ "firstName": "Ann" })).await.0, 204);
    server.shutdown().await;
    let server = AccuLynx::start(options()).await.unwrap();
    assert_eq!(get(&server, "/_sandbox/rows/contacts").await.1[0]["firstName"], "Ann");
    assert!(server.remove("contacts", "c1") && !server.remove("contacts", "c1"));
    assert_eq!(call(&server.url(), KEY, "DELETE", at, &Value::Null).await.0, 404);
}
