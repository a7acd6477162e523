//! The sandbox itself: its contract, its steering by hand, its memory.

use crate::support::{KEY, accredible, destination, options, request};
use certbridge_sandbox::{Accredible, Credential, Fault, Options, Snapshots};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

type Route = (String, String);
type Listed = (&'static str, &'static str);

/// The operations in the contract that carry one of these tags.
fn documented(tags: &[&str]) -> BTreeSet<Route> {
    let contract: Value = serde_json::from_str(include_str!("../sandbox/openapi.json")).unwrap();
    let mut routes = BTreeSet::new();
    for (path, item) in contract["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if tags.contains(&operation["tags"][0].as_str().unwrap()) {
                routes.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    routes
}

fn served(routes: Vec<Listed>) -> BTreeSet<Route> {
    routes.into_iter().map(|(method, path)| (method.to_owned(), path.to_owned())).collect()
}

#[test]
fn the_contract_has_every_route_and_no_other() {
    assert_eq!(served(Snapshots::routes()), documented(&["snapshots", "sandbox"]));
    assert_eq!(served(Accredible::routes()), documented(&["accredible", "sandbox"]));
    let all = documented(&["snapshots", "accredible", "sandbox"]);
    assert_eq!(all.len(), Snapshots::routes().len() + Accredible::routes().len() - documented(&["sandbox"]).len());
}

#[tokio::test]
async fn every_route_listed_is_served() {
    let (source, server) = (accredible().await, destination().await);
    let of = |url: String, routes: Vec<Listed>| routes.into_iter().map(move |route| (url.clone(), route));
    for (url, (method, path)) in of(server.url(), Snapshots::routes()).chain(of(source.url(), Accredible::routes())) {
        let (status, body) = call(method, &format!("{url}{}", path.replace("{id}", "none")), json!(null)).await;
        assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert_ne!(body, json!("no such route"), "{method} {path}");
    }
}

/// Calls a route with the destination's key.
async fn call(method: &str, url: &str, body: Value) -> (StatusCode, Value) {
    let request = Client::new().request(Method::from_bytes(method.as_bytes()).unwrap(), url).bearer_auth(KEY);
    let answer = request.body(body.to_string()).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test]
async fn credentials_are_made_changed_and_deleted_by_hand() {
    let server = accredible().await;
    let url = format!("{}/_sandbox/credentials/é", server.url());
    let (status, body) = call("PUT", &url, json!({ "custom_attributes": { "location_id": "l" } })).await;
    assert_eq!((status, &body["credential"]["id"]), (StatusCode::OK, &json!("é")));
    call("PUT", &url, json!({ "name": "Other" })).await;
    let credential = server.credential("é").unwrap();
    assert_eq!(credential, Credential::new("é").at_location("l").named("Other"));
    assert_eq!(call("PUT", &url, json!([])).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(call("DELETE", &url, json!(null)).await.0, StatusCode::NO_CONTENT);
    assert_eq!(call("DELETE", &url, json!(null)).await.0, StatusCode::NOT_FOUND);
    let (_, list) = call("GET", &format!("{}/_sandbox/credentials", server.url()), json!(null)).await;
    assert_eq!(list["credentials"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_credential_is_as_documented() {
    let credential = Credential::new("1")
        .issued_to("dw373", "Jordan Smith", "jor@dan.org")
        .dated("2014-08-14", Some("2015-08-14"))
        .with(&json!({ "group_id": 1 }));
    let value = credential.value();
    assert_eq!((&value["id"], &value["recipient"]["id"]), (&json!("1"), &json!("dw373")));
    assert_eq!((&value["expired_on"], &value["group_id"]), (&json!("2015-08-14"), &json!(1)));
    assert_eq!(value["recipient"]["phone_number"], Value::Null);
    let server = accredible().await;
    assert!(server.update("1", &json!({ "grade": 80 })) && !server.update("2", &json!({})));
    assert_eq!(server.credential("1").unwrap().value()["grade"], 80);
}

#[tokio::test]
async fn faults_and_requests_are_steered_by_hand() {
    let server = destination().await;
    let at = |path: &str| format!("{}{path}", server.url());
    let rule = json!({ "fault": "status", "status": 418, "path": "/certificates", "times": 1 });
    assert_eq!(call("POST", &at("/_sandbox/faults"), rule.clone()).await, (StatusCode::CREATED, rule.clone()));
    assert_eq!(call("POST", &at("/_sandbox/faults"), json!({ "fault": "x" })).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(call("GET", &at("/_sandbox/faults"), json!(null)).await.1, json!([rule]));
    assert_eq!(call("GET", &at("/certificates"), json!(null)).await.0, StatusCode::IM_A_TEAPOT);
    assert_eq!(call("GET", &at("/certificates"), json!(null)).await.0, StatusCode::OK);
    let (_, log) = call("GET", &at("/_sandbox/requests"), json!(null)).await;
    assert_eq!((&log[0]["status"], &log[1]["status"], log.as_array().unwrap().len()), (&json!(418), &json!(200), 2));
    assert_eq!(log[0]["headers"]["authorization"], "Bearer (hidden)");
    assert!(!log.to_string().contains(KEY));
    call("DELETE", &at("/_sandbox/requests"), json!(null)).await;
    server.server().add_fault(Fault::AppliedLate { ms: None }.always());
    let sync = at("/certificates/1/sync");
    assert_eq!(call("POST", &sync, request("1").body).await.0, StatusCode::GATEWAY_TIMEOUT);
    call("DELETE", &at("/_sandbox/faults"), json!(null)).await;
    assert_eq!(call("POST", &at("/_sandbox/late"), json!(null)).await.1, json!({ "released": 1 }));
    let (_, applied) = call("GET", &at("/_sandbox/applications"), json!(null)).await;
    assert_eq!((&applied[0]["certificate_id"], &applied[0]["idempotency_key"]), (&json!("1"), &Value::Null));
    server.server().clear_faults();
    server.server().clear_requests();
    assert!(server.server().requests().is_empty());
}

#[tokio::test]
async fn the_destination_is_read_page_by_page() {
    let server = destination().await;
    for id in ["a", "b", "c"] {
        server.edit(id, &json!({ "certificate_id": id }));
    }
    let at = |path: &str| format!("{}{path}", server.url());
    let (_, first) = call("GET", &at("/certificates?limit=2"), json!(null)).await;
    assert_eq!((&first["certificates"][1]["certificate_id"], &first["total"]), (&json!("b"), &json!(3)));
    let second = at(&format!("/certificates?limit=2&cursor={}", first["next_cursor"].as_str().unwrap()));
    let (_, last) = call("GET", &second, json!(null)).await;
    assert_eq!((&last["certificates"][0]["certificate_id"], &last["next_cursor"]), (&json!("c"), &Value::Null));
    assert_eq!(call("DELETE", &at("/_sandbox/cursors"), json!(null)).await.0, StatusCode::NO_CONTENT);
    assert_eq!(call("GET", &second, json!(null)).await.0, StatusCode::BAD_REQUEST);
    let (_, exact) = call("GET", &at("/certificates?limit=3"), json!(null)).await;
    assert_eq!(exact["next_cursor"], Value::Null);
    assert!(server.remove("a") && !server.remove("a"));
    assert_eq!(call("GET", &at("/certificates/a"), json!(null)).await.0, StatusCode::NOT_FOUND);
    assert!(call("GET", &at("/certificates/b"), json!(null)).await.1["certificate"]["updated_at"].is_string());
    assert_eq!(server.certificate_ids(), ["b", "c"]);
    assert_eq!(Client::new().get(at("/certificates")).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

/// Searches for credentials, by id unless it says otherwise.
async fn search(server: &Accredible, body: Value) -> (StatusCode, Value) {
    let request = Client::new().post(format!("{}/v2/credentials/search", server.url()));
    let answer = request.header("Authorization", format!("Token token={KEY}")).body(body.to_string()).send().await;
    let answer = answer.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

fn ids(page: &Value) -> Vec<Value> {
    page["credentials"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect()
}

#[tokio::test]
async fn credentials_are_searched_as_documented() {
    let server = Accredible::start(options()).await.unwrap();
    for (id, name, day) in [("9", "B", "2026-01-01"), ("10", "A", "2026-02-01"), ("x", "C", "2026-03-01")] {
        let credential = Credential::new(id).dated(day, None).issued_to(name, name, "p@example.com");
        server.put(id, &credential.with(&json!({ "group_id": day.len(), "custom_attributes": { "k": name } })));
        assert!(server.set_updated_at(id, format!("{day}T23:59:59.9Z").parse().unwrap()));
    }
    assert!(!server.set_updated_at("8", jiff::Timestamp::UNIX_EPOCH));
    for (query, sort, wanted) in [
        (json!({}), json!({}), json!([9, 10, "x"])),
        (json!({}), json!({ "id": "desc" }), json!(["x", 10, 9])),
        (json!({}), json!({ "recipient_name": "asc" }), json!([10, 9, "x"])),
        (json!({ "updated_at[gte]": "2026-02-01" }), json!({}), json!([10, "x"])),
        (json!({ "updated_at[gt]": "2026-02-01" }), json!({}), json!(["x"])),
        (json!({ "updated_at": "2026-02-01" }), json!({}), json!([10])),
        (json!({ "updated_at[in]": ["2026-02-01", "2026-03-01"] }), json!({}), json!([10, "x"])),
        (json!({ "issued_on[gte]": "2026-01-01", "issued_on[lt]": "2026-02-01" }), json!({}), json!([9])),
        (json!({ "issued_on[lte]": "2026-01-01" }), json!({}), json!([9])),
        (json!({ "expired_on[lt]": "2027-01-01" }), json!({}), json!([])),
        (json!({ "recipient_id[in]": ["A", "B"], "group.id": "10", "approve": true }), json!({}), json!([9, 10])),
        (json!({ "custom_attributes": { "k": "C" } }), json!({}), json!(["x"])),
    ] {
        let (status, page) = search(&server, json!({ "query": query, "sort": sort })).await;
        assert_eq!((status, json!(ids(&page))), (StatusCode::OK, wanted), "{query} {sort}: {page}");
    }
    for body in [
        json!([]),
        json!({}),
        json!({ "query": { "updated_at[gte]": "2026-02-01T00:00:00Z" } }),
        json!({ "query": { "updated_at[near]": "2026-02-01" } }),
        json!({ "query": { "recipient_name[gt]": "A" } }),
        json!({ "query": { "meta_data[eq]": {} } }),
        json!({ "query": { "colour": "red" } }),
        json!({ "query": {}, "sort": { "updated_at": "asc" } }),
        json!({ "query": {}, "sort": { "id": "up" } }),
        json!({ "query": {}, "page": { "size": 0 } }),
        json!({ "query": {}, "page": { "size": 101 } }),
        json!({ "query": {}, "page": { "from": 9_991, "size": 10 } }),
        json!({ "query": {}, "page": { "from": 0, "cursor": "c" } }),
        json!({ "query": {}, "page": { "cursor": "c" } }),
        json!({ "query": {}, "pages": {} }),
    ] {
        let (status, refusal) = search(&server, body.clone()).await;
        assert_eq!((status, &refusal["status"]), (StatusCode::BAD_REQUEST, &json!("invalid_search_query")), "{body}");
    }
    let (_, page) = search(&server, json!({ "query": {}, "page": { "from": 1, "size": 1 } })).await;
    assert_eq!((ids(&page), &page["meta"]["count"], &page["meta"]["from"]), (vec![json!(10)], &json!(3), &json!(1)));
    assert_eq!(call("POST", &format!("{}/v2/credentials/search", server.url()), json!({})).await.0, 401);
}

#[tokio::test]
async fn a_change_of_a_credential_is_dated() {
    let server = accredible().await;
    let updated_at = async || search(&server, json!({ "query": {} })).await.1["credentials"][0]["updated_at"].clone();
    let long_ago = "2020-01-01T00:00:00Z";
    server.set_updated_at("1", long_ago.parse().unwrap());
    assert_eq!(updated_at().await, json!("2020-01-01T00:00:00.000Z"));
    server.put("1", &server.credential("1").unwrap());
    assert_eq!(updated_at().await, json!("2020-01-01T00:00:00.000Z"));
    server.update("1", &json!({ "grade": 80 }));
    assert_ne!(updated_at().await, json!("2020-01-01T00:00:00.000Z"));
}

#[tokio::test]
async fn an_invalid_certificate_is_refused_whole() {
    let server = destination().await;
    let url = format!("{}/certificates/2/sync", server.url());
    let (status, body) = call("POST", &url, json!({ "certificate_id": "1", "issue_date": "31.1.2026" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        body["errors"],
        json!([
            { "field": "certificate_id", "code": "mismatch" },
            { "field": "user_id", "code": "required" },
            { "field": "issue_date", "code": "invalid" },
            { "field": "location_id", "code": "required" },
        ])
    );
    assert_eq!(call("POST", &url, json!([])).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn one_key_is_for_one_request() {
    let server = destination().await;
    let send = async |body: Value| {
        let url = format!("{}/certificates/1/sync", server.url());
        let request = Client::new().post(url).bearer_auth(KEY).header("Idempotency-Key", "k");
        request.body(body.to_string()).send().await.unwrap().status()
    };
    assert_eq!(send(request("1").body).await, StatusCode::OK);
    let mut other = request("1").body;
    other["title"] = json!("other");
    assert_eq!(send(other).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(server.applications().len(), 1);
}

#[tokio::test]
async fn what_is_kept_in_a_folder_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let start = |port| Options { port, folder: Some(folder.path().to_owned()), ..options() };
    let (source, server) = (Accredible::start(start(0)).await.unwrap(), Snapshots::start(start(0)).await.unwrap());
    let (source_port, port) = (source.server().port(), server.server().port());
    source.put("1", &Credential::new("1"));
    source.put("2", &Credential::new("2"));
    source.delete("1");
    server.add_location("loc_london", "London");
    call("POST", &format!("{}/certificates/1/sync", server.url()), request("1").body).await;
    // Somebody who never gets an answer does not keep it from stopping.
    server.server().add_fault(Fault::Hang.always());
    let hanging = tokio::spawn(Client::new().get(format!("{}/locations", server.url())).send());
    while server.server().requests().len() < 2 {
        tokio::task::yield_now().await;
    }
    source.shutdown().await;
    server.shutdown().await;
    assert!(hanging.await.unwrap().is_err());
    // A line that a crash cut off.
    let file = folder.path().join("accredible-credentials.jsonl");
    let torn = format!("{}[\"3\",{{\"id", std::fs::read_to_string(&file).unwrap());
    std::fs::write(&file, torn).unwrap();
    for _ in 0..2 {
        let source = Accredible::start(start(source_port)).await.unwrap();
        let server = Snapshots::start(start(port)).await.unwrap();
        assert!(source.credential("1").is_none() && source.credential("2").is_some());
        assert_eq!(server.certificate("1").unwrap(), request("1").body);
        assert!(server.remove_location("loc_london"));
        server.add_location("loc_london", "London");
        source.shutdown().await;
        server.shutdown().await;
    }
}
