//! HighLevel as the sandbox plays it: tokens, versions, limits, and each resource.

use crate::support::{answer, client, text};
use certbridge_sandbox::{
    Fault, HighLevel, Options,
    highlevel::{CLIENT_ID, CLIENT_SECRET, COMPANY_ID, Refreshes, SCOPES, VERSION},
};
use jiff::SignedDuration;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

const KEY: &str = "pit-not-to-be-told";

/// One with two locations.
async fn highlevel() -> HighLevel {
    let server = HighLevel::start(Options { api_key: KEY.to_owned(), ..Options::default() }).await.unwrap();
    server.add_location("loc1", "London");
    server.add_location("loc2", "Paris");
    server
}

fn request(server: &HighLevel, method: &str, path: &str, token: &str) -> RequestBuilder {
    let url = format!("{}{path}", server.url());
    let request = client().request(Method::from_bytes(method.as_bytes()).unwrap(), url);
    request.bearer_auth(token).header("Version", VERSION)
}

async fn call_as(server: &HighLevel, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    answer(request(server, method, path, token).body(body.to_string())).await
}

async fn call(server: &HighLevel, method: &str, path: &str, body: &Value) -> (u16, Value) {
    call_as(server, KEY, method, path, body).await
}

async fn get(server: &HighLevel, path: &str) -> (u16, Value) {
    call(server, "GET", path, &Value::Null).await
}

/// `POST /oauth/token`, as the app, with this grant.
async fn token(server: &HighLevel, grant_type: &str, name: &str, grant: &str) -> (u16, Value) {
    let form = format!("client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&grant_type={grant_type}&{name}={grant}");
    answer(form_request(&format!("{}/oauth/token", server.url()), form)).await
}

fn form_request(url: &str, form: String) -> RequestBuilder {
    client().post(url).header("Content-Type", "application/x-www-form-urlencoded").body(form)
}

#[tokio::test]
async fn every_route_listed_is_served() {
    let server = highlevel().await;
    for (method, path) in HighLevel::routes() {
        let path = path.replace("{id}", "none").replace("{key}", "none").replace("{kind}", "none");
        let (status, body) = call(&server, method, &path, &Value::Null).await;
        assert_ne!(status, 405, "{method} {path}");
        assert_ne!(body, json!("no such route"), "{method} {path}");
    }
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let server = highlevel().await;
    let code = server.authorize(Some("loc1"));
    let (status, first) = token(&server, "authorization_code", "code", &code).await;
    assert_eq!((status, &first["locationId"], &first["userType"]), (200, &json!("loc1"), &json!("Location")));
    assert_eq!((&first["expires_in"], &first["companyId"]), (&json!(86_399), &json!(COMPANY_ID)));
    assert_eq!(token(&server, "authorization_code", "code", &code).await.0, 400);
    let (_, second) = token(&server, "refresh_token", "refresh_token", text(&first, "refresh_token")).await;
    assert_ne!(second["access_token"], first["access_token"]);
    let (status, refusal) = token(&server, "refresh_token", "refresh_token", text(&first, "refresh_token")).await;
    assert_eq!((status, &refusal["error"]), (400, &json!("invalid_grant")));
    assert_eq!(token(&server, "refresh_token", "refresh_token", text(&second, "refresh_token")).await.0, 200);
    assert_eq!(server.refreshes(), Refreshes { done: 2, refused: 1 });
    // Of two at once, one loses.
    let (_, third) = token(&server, "authorization_code", "code", &server.authorize(Some("loc1"))).await;
    let refresh = || token(&server, "refresh_token", "refresh_token", text(&third, "refresh_token"));
    let (one, other) = tokio::join!(refresh(), refresh());
    assert_eq!(one.0 + other.0, 200 + 400);
    let log = json!(server.server().requests()).to_string();
    assert!(!log.contains(CLIENT_SECRET) && !log.contains(text(&second, "refresh_token")) && !log.contains(&code));
}

#[tokio::test]
async fn a_grant_that_is_no_grant_is_refused() {
    let server = highlevel().await;
    let url = format!("{}/oauth/token", server.url());
    for (form, status, error) in [
        (String::new(), 422, "Unprocessable Entity"),
        (
            format!("client_id={CLIENT_ID}&client_secret=x&grant_type=refresh_token&refresh_token=r"),
            401,
            "invalid_client",
        ),
        (
            format!("client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&grant_type=client_credentials"),
            400,
            "unsupported_grant_type",
        ),
    ] {
        let (got, refusal) = answer(form_request(&url, form.clone())).await;
        assert_eq!((got, &refusal["error"]), (status, &json!(error)), "{form}");
    }
    let (status, refusal) = answer(client().post(url).body(json!({ "client_id": CLIENT_ID }).to_string())).await;
    assert_eq!((status, refusal["message"].as_array().unwrap().len()), (422, 4));
}

#[tokio::test]
async fn an_agency_token_gives_tokens_of_its_locations() {
    let server = highlevel().await;
    let (_, agency) = token(&server, "authorization_code", "code", &server.authorize(None)).await;
    let agency = text(&agency, "access_token");
    let of = async |token: &str, form: &str| {
        let request = request(&server, "POST", "/oauth/locationToken", token).body(form.to_owned());
        answer(request.header("Content-Type", "application/x-www-form-urlencoded")).await
    };
    let (status, told) = of(agency, &format!("companyId={COMPANY_ID}&locationId=loc1")).await;
    assert_eq!((status, &told["refresh_token"]), (200, &Value::Null));
    let location = text(&told, "access_token");
    assert_eq!(call_as(&server, location, "GET", "/locations/loc1", &Value::Null).await.0, 200);
    let (status, refusal) = call_as(&server, location, "GET", "/locations/loc2", &Value::Null).await;
    assert_eq!((status, &refusal["error"]), (403, &json!("Forbidden")));
    assert_eq!(of(location, &format!("companyId={COMPANY_ID}&locationId=loc1")).await.0, 401);
    assert_eq!(of(KEY, &format!("companyId={COMPANY_ID}&locationId=loc1")).await.0, 401);
    assert_eq!(of(agency, &format!("companyId={COMPANY_ID}&locationId=none")).await.0, 400);
    assert_eq!(of(agency, "companyId=").await.0, 422);
    // The agency's own token reads locations, and no contacts.
    assert_eq!(call_as(&server, agency, "GET", "/locations/loc2", &Value::Null).await.0, 200);
    assert_eq!(call_as(&server, agency, "POST", "/contacts/upsert", &json!({ "locationId": "loc1" })).await.0, 401);
}

#[tokio::test]
async fn tokens_expire_when_they_are_told_to() {
    let server = highlevel().await;
    let fresh = async || {
        let (_, told) = token(&server, "authorization_code", "code", &server.authorize(Some("loc1"))).await;
        text(&told, "access_token").to_owned()
    };
    let status = async |token: &str| call_as(&server, token, "GET", "/locations/loc1", &Value::Null).await.0;
    let first = fresh().await;
    assert_eq!(status(&first).await, 200);
    server.advance(SignedDuration::from_hours(24));
    assert_eq!(status(&first).await, 401);
    server.set_token_life(5);
    let second = fresh().await;
    server.advance(SignedDuration::from_secs(6));
    assert_eq!(status(&second).await, 401);
    server.set_token_life(500);
    let third = fresh().await;
    assert_eq!(status(&third).await, 200);
    server.expire_tokens();
    assert_eq!(status(&third).await, 401);
    assert_eq!(status(KEY).await, 200);
    assert!(server.revoke(KEY));
    assert_eq!(status(KEY).await, 401);
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_in_the_documented_shapes() {
    let server = highlevel().await;
    server.add_key("narrow", Some("loc1"), &["locations.readonly"]);
    let plain = |version: Option<&str>, token: &str| {
        let url = format!("{}/locations/loc1", server.url());
        let request = client().get(url).bearer_auth(token);
        version.into_iter().fold(request, |request, version| request.header("Version", version))
    };
    for (request, status, message) in [
        (plain(Some(VERSION), "wrong"), 401, json!("Invalid token: access token is invalid")),
        (plain(None, KEY), 401, json!("version header was not found.")),
        (plain(Some("2021-04-15"), KEY), 400, json!("version header is invalid.")),
        (
            request(&server, "GET", "/objects/?locationId=loc1", "narrow"),
            401,
            json!("The token is not authorized for this scope."),
        ),
        (
            request(&server, "GET", "/locations/loc2", "narrow"),
            403,
            json!("The token does not have access to this location."),
        ),
        (request(&server, "GET", "/locations/none", KEY), 400, json!("Location not found")),
        (request(&server, "POST", "/contacts/upsert", KEY).body("{"), 400, json!("Unexpected token in JSON")),
        (request(&server, "POST", "/contacts/upsert", KEY).body("{}"), 422, json!(["locationId should not be empty"])),
    ] {
        let (got, refusal) = answer(request).await;
        assert_eq!((got, &refusal["message"]), (status, &message));
        assert_eq!(refusal["statusCode"], status);
        assert!(refusal["traceId"].is_string());
    }
    // A token of one location sees no other in a list.
    let (_, list) = call_as(&server, "narrow", "GET", "/locations/search", &Value::Null).await;
    assert_eq!(list["locations"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn limits_are_told_and_held_when_asked() {
    let server = highlevel().await;
    let status = async || {
        let answer = request(&server, "GET", "/locations/loc1", KEY).send().await.unwrap();
        let told = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        (answer.status().as_u16(), told("X-RateLimit-Max"), told("X-RateLimit-Remaining"))
    };
    // Two intervals that nothing else counts in, whatever the time is.
    assert_eq!(status().await.1, "100");
    server.limit(Some(0));
    assert_eq!(status().await.0, 429);
    server.limit(Some(2));
    server.advance(SignedDuration::from_secs(10));
    assert_eq!(status().await.0, 200);
    server.limit(None);
    assert_eq!(status().await.0, 200);
}

#[tokio::test]
async fn locations_are_listed_in_pages() {
    let server = highlevel().await;
    let ids = async |path: &str| {
        let (_, list) = get(&server, path).await;
        let all = list["locations"].as_array().unwrap().iter().map(|location| location["id"].clone());
        all.collect::<Vec<_>>()
    };
    assert_eq!(ids(&format!("/locations/search?companyId={COMPANY_ID}&limit=1")).await, ["loc1"]);
    assert_eq!(ids("/locations/search?limit=1&skip=1").await, ["loc2"]);
    assert_eq!(ids("/locations/search?order=desc").await, ["loc2", "loc1"]);
    assert_eq!(get(&server, "/locations/search?limit=x").await.0, 422);
    server.server().add_fault(Fault::Hide { id: "loc1".into() }.once());
    assert_eq!(ids("/locations/search").await, ["loc2"]);
}

#[tokio::test]
async fn contacts_are_matched_by_email_and_then_by_phone() {
    let server = highlevel().await;
    let upsert = async |body: Value| call(&server, "POST", "/contacts/upsert", &body).await.1;
    let at = |email: &str, phone: &str| json!({ "locationId": "loc1", "email": email, "phone": phone });
    let first = upsert(at("A@x.org", "+1 888-888")).await;
    assert_eq!((&first["new"], &first["contact"]["phone"]), (&json!(true), &json!("+1888888")));
    let id = &first["contact"]["id"];
    for (body, new) in [
        (at("a@X.org", "+2"), false),
        (json!({ "locationId": "loc1", "phone": "+2" }), false),
        (json!({ "locationId": "loc2", "email": "a@x.org" }), true),
        (at("b@x.org", "+3"), true),
        (json!({ "locationId": "loc1", "firstName": "No", "lastName": "Key" }), true),
    ] {
        let told = upsert(body.clone()).await;
        assert_eq!((&told["new"], &told["contact"]["id"] == id), (&json!(new), !new), "{body}");
    }
    // The phone is another's: it stays there.
    let told = upsert(at("a@x.org", "+3")).await;
    assert_eq!((&told["contact"]["id"], &told["contact"]["phone"]), (id, &json!("+2")));
    let (status, seen) = get(&server, &format!("/contacts/{}", id.as_str().unwrap())).await;
    assert_eq!((status, &seen["contact"]), (200, &told["contact"]));
    assert_eq!(server.contacts().len(), 4);
    let (_, list) = get(&server, "/contacts/?locationId=loc1&limit=2").await;
    let next = format!("/contacts/?locationId=loc1&limit=2&startAfterId={}", text(&list["meta"], "startAfterId"));
    assert_eq!(
        (&list["count"], get(&server, &next).await.1["contacts"][0]["name"].clone()),
        (&json!(3), json!("No Key"))
    );
    for (body, message) in [
        (json!({ "locationId": "loc1", "email": "x" }), "email must be an email"),
        (json!({ "locationId": "loc1", "phone": 1 }), "phone must be a string"),
        (json!({ "locationId": "loc1", "colour": "red" }), "property colour should not exist"),
        (json!({ "locationId": "loc1", "tags": "a" }), "tags must be an array"),
    ] {
        let (status, refusal) = call(&server, "POST", "/contacts/upsert", &body).await;
        assert_eq!((status, &refusal["message"]), (422, &json!([message])));
    }
    assert_eq!(call(&server, "DELETE", &format!("/contacts/{}", id.as_str().unwrap()), &Value::Null).await.0, 200);
    assert_eq!(get(&server, &format!("/contacts/{}", id.as_str().unwrap())).await.0, 400);
}

#[tokio::test]
async fn contacts_have_fields_of_the_locations_own() {
    let server = highlevel().await;
    let field = json!({ "name": "Member Id", "dataType": "TEXT" });
    let (status, made) = call(&server, "POST", "/locations/loc1/customFields", &field).await;
    assert_eq!((status, &made["customField"]["fieldKey"]), (201, &json!("contact.member_id")));
    let id = &made["customField"]["id"];
    let body = json!({ "locationId": "loc1", "email": "a@x.org", "customFields": [
        { "id": id, "field_value": "7" }, { "id": "none", "field_value": "8" },
    ] });
    let (_, told) = call(&server, "POST", "/contacts/upsert", &body).await;
    assert_eq!(told["contact"]["customFields"], json!([{ "id": id, "value": "7" }]));
    assert_eq!(get(&server, "/locations/loc1/customFields").await.1["customFields"].as_array().unwrap().len(), 1);
}

/// A schema `custom_objects.certificates` with two fields in `loc1`.
async fn with_schema(server: &HighLevel) {
    let schema = json!({
        "locationId": "loc1", "key": "custom_objects.certificates",
        "labels": { "singular": "Certificate", "plural": "Certificates" },
        "primaryDisplayPropertyDetails":
            { "key": "custom_objects.certificates.title", "name": "Title", "dataType": "TEXT" },
    });
    let (status, made) = call(server, "POST", "/objects/", &schema).await;
    assert_eq!((status, &made["object"]["key"]), (201, &json!("custom_objects.certificates")));
    assert_eq!(call(server, "POST", "/objects/", &schema).await.0, 400);
    let (_, fields) = get(server, "/custom-fields/object-key/custom_objects.certificates?locationId=loc1").await;
    let field = json!({
        "locationId": "loc1", "objectKey": "custom_objects.certificates", "name": "Number", "dataType": "NUMERICAL",
        "fieldKey": "custom_objects.certificates.number", "parentId": fields["folders"][0]["id"], "showInForms": true,
    });
    assert_eq!(call(server, "POST", "/custom-fields/", &field).await.0, 201);
    assert_eq!(call(server, "POST", "/custom-fields/", &field).await.0, 400);
}

const RECORDS: &str = "/objects/custom_objects.certificates/records";

async fn add_record(server: &HighLevel, title: &str, number: i64) -> String {
    let body = json!({ "locationId": "loc1", "properties": { "title": title, "number": number } });
    let (status, made) = call(server, "POST", RECORDS, &body).await;
    assert_eq!(status, 201, "{made}");
    text(&made["record"], "id").to_owned()
}

#[tokio::test]
async fn records_are_made_changed_and_deleted() {
    let server = highlevel().await;
    with_schema(&server).await;
    let (_, schema) = get(&server, "/objects/custom_objects.certificates?locationId=loc1&fetchProperties=true").await;
    assert_eq!(schema["fields"].as_array().unwrap().len(), 2);
    assert_eq!(get(&server, "/objects/?locationId=loc2").await.1["objects"], json!([]));
    let id = add_record(&server, "A", 1).await;
    let at = format!("{RECORDS}/{id}?locationId=loc1");
    let (status, changed) = call(&server, "PUT", &at, &json!({ "properties": { "number": 2 } })).await;
    assert_eq!((status, &changed["record"]["properties"]), (200, &json!({ "title": "A", "number": 2 })));
    assert_eq!(get(&server, &at).await.1["record"], changed["record"]);
    for (method, path, body, status) in [
        ("PUT", format!("{RECORDS}/{id}"), json!({ "properties": {} }), 400),
        ("PUT", format!("{RECORDS}/{id}?locationId=loc2"), json!({ "properties": {} }), 404),
        ("PUT", at.clone(), json!({ "properties": { "colour": "red" } }), 400),
        ("PUT", at.clone(), json!({ "properties": { "number": "2" } }), 400),
        ("PUT", at.clone(), json!({ "number": 2 }), 400),
        ("POST", RECORDS.to_owned(), json!({ "properties": {} }), 400),
        ("POST", RECORDS.to_owned(), json!({ "locationId": "loc2", "properties": {} }), 404),
        ("DELETE", at.clone(), Value::Null, 200),
        ("DELETE", at.clone(), Value::Null, 404),
        ("GET", at, Value::Null, 404),
    ] {
        assert_eq!(call(&server, method, &path, &body).await.0, status, "{method} {path} {body}");
    }
    assert_eq!(server.records("custom_objects.certificates"), Vec::<Value>::new());
}

#[tokio::test]
async fn records_are_searched_in_pages() {
    let server = highlevel().await;
    with_schema(&server).await;
    for (title, number) in [("Ab", 1), ("B", 2), ("Cb", 3)] {
        add_record(&server, title, number).await;
    }
    let search = async |patch: Value| {
        let mut body = json!({ "locationId": "loc1", "page": 1, "pageLimit": 2, "query": "", "searchAfter": [] });
        patch.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        call(&server, "POST", &format!("{RECORDS}/search"), &body).await
    };
    let titles = |page: &Value| {
        let all = page["records"].as_array().unwrap().iter().map(|record| record["properties"]["title"].clone());
        all.collect::<Vec<_>>()
    };
    let (_, first) = search(json!({})).await;
    assert_eq!((titles(&first), &first["total"]), (vec![json!("Ab"), json!("B")], &json!(3)));
    let after = first["records"][1]["searchAfter"].clone();
    assert_eq!(titles(&search(json!({ "searchAfter": after })).await.1), ["Cb"]);
    let by = |operator: &str, value: Value| {
        json!({ "filters": [
        { "field": "properties.number", "operator": operator, "value": value }] })
    };
    for (patch, wanted) in [
        (json!({ "page": 2 }), json!(["Cb"])),
        (json!({ "query": "b" }), json!(["Ab", "B"])),
        (by("eq", json!(2)), json!(["B"])),
        (by("eq", json!([2, 3])), json!(["B", "Cb"])),
        (by("not_eq", json!(1)), json!(["B", "Cb"])),
        (by("not_exists", Value::Null), json!([])),
        (
            json!({ "filters": [{ "group": "OR", "filters": [by("eq", json!(1))["filters"][0], by("eq", json!(3))["filters"][0]] }] }),
            json!(["Ab", "Cb"]),
        ),
    ] {
        let (status, page) = search(patch.clone()).await;
        assert_eq!((status, json!(titles(&page))), (200, wanted), "{patch}");
    }
    for patch in [json!({ "page": 0 }), json!({ "pageLimit": 501 }), json!({ "page": "1" }), by("near", json!(1))] {
        assert_eq!(search(patch.clone()).await.0, 400, "{patch}");
    }
}

#[tokio::test]
async fn records_are_related_once() {
    let server = highlevel().await;
    with_schema(&server).await;
    let record = add_record(&server, "A", 1).await;
    let (_, told) =
        call(&server, "POST", "/contacts/upsert", &json!({ "locationId": "loc1", "email": "a@x.org" })).await;
    let contact = text(&told["contact"], "id");
    let association = json!({
        "locationId": "loc1", "key": "holder", "firstObjectLabel": "Holder", "firstObjectKey": "contact",
        "secondObjectLabel": "Certificate", "secondObjectKey": "custom_objects.certificates",
    });
    let (status, made) = call(&server, "POST", "/associations/", &association).await;
    assert_eq!((status, &made["associationType"]), (201, &json!("USER_DEFINED")));
    assert_eq!(call(&server, "POST", "/associations/", &association).await.0, 400);
    let (_, list) = get(&server, "/associations/?locationId=loc1&skip=0&limit=10").await;
    assert_eq!(list["associations"][0]["id"], made["id"]);
    assert_eq!(get(&server, "/associations/key/holder?locationId=loc1").await.1["id"], made["id"]);
    let relate = async |first: &str, second: &str| {
        let body = json!({ "locationId": "loc1", "associationId": made["id"], "firstRecordId": first, "secondRecordId": second });
        call(&server, "POST", "/associations/relations", &body).await.0
    };
    assert_eq!(relate(contact, &record).await, 201);
    assert_eq!(relate(contact, &record).await, 400);
    assert_eq!(relate(&record, contact).await, 400);
    assert_eq!(server.relations().len(), 1);
    let of = format!("/associations/relations/{record}?locationId=loc1&skip=0&limit=10");
    assert_eq!(get(&server, &of).await.1["relations"][0]["firstRecordId"], contact);
}

/// An invoice of this contact.
fn invoice(contact: &str) -> Value {
    json!({
        "altId": "loc1", "altType": "location", "name": "New Invoice", "businessDetails": { "name": "Us" },
        "currency": "USD", "items": [{ "name": "A", "currency": "USD", "amount": 60.25, "qty": 2 }],
        "discount": { "type": "fixed", "value": 0.5 }, "issueDate": "2026-01-01", "liveMode": false,
        "contactDetails": { "id": contact, "name": "A", "phoneNo": "+1", "email": "a@x.org" },
        "sentTo": { "email": ["a@x.org"] },
    })
}

#[tokio::test]
async fn an_invoice_goes_from_draft_to_paid() {
    let server = highlevel().await;
    let (_, told) =
        call(&server, "POST", "/contacts/upsert", &json!({ "locationId": "loc1", "email": "a@x.org" })).await;
    let body = invoice(text(&told["contact"], "id"));
    let (status, made) = call(&server, "POST", "/invoices/", &body).await;
    assert_eq!((status, &made["status"], &made["total"]), (200, &json!("draft"), &json!(120)));
    assert_eq!(made["totalSummary"], json!({ "subTotal": 120.5, "discount": 0.5, "tax": 0 }));
    let at = format!("/invoices/{}", text(&made, "_id"));
    let of_location = json!({ "altId": "loc1", "altType": "location" });
    let with = |members: Value| {
        let mut body = of_location.clone();
        members.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        body
    };
    let pay = |amount: f64| with(json!({ "mode": "other", "notes": "n", "amount": amount }));
    let update = with(json!({
        "name": "N", "currency": "USD", "issueDate": "2026-01-01", "dueDate": "2026-02-01",
        "invoiceItems": [{ "name": "A", "currency": "USD", "amount": 100.5, "qty": 1 }],
    }));
    for (method, path, body, status, state) in [
        ("PUT", "", update.clone(), 200, json!("draft")),
        ("POST", "/send", with(json!({ "userId": "u", "action": "email", "liveMode": false })), 200, json!("sent")),
        ("POST", "/record-payment", pay(40.0), 200, json!("partially_paid")),
        ("POST", "/record-payment", pay(100.0), 400, json!("partially_paid")),
        ("POST", "/record-payment", pay(60.0), 200, json!("paid")),
        ("PUT", "", update.clone(), 400, json!("paid")),
        ("POST", "/void", of_location.clone(), 200, json!("void")),
        ("POST", "/void", of_location.clone(), 400, json!("void")),
        ("PUT", "", with(json!({ "status": "paid" })), 422, json!("void")),
        ("POST", "/send", json!({}), 422, json!("void")),
    ] {
        assert_eq!(call(&server, method, &format!("{at}{path}"), &body).await.0, status, "{method} {path}");
        let (_, seen) = get(&server, &format!("{at}?altId=loc1&altType=location")).await;
        assert_eq!(seen["status"], state, "{method} {path}");
    }
    let (_, list) = get(&server, "/invoices/?altId=loc1&altType=location&limit=10&offset=0&status=void").await;
    assert_eq!((&list["total"], &list["invoices"][0]["amountPaid"]), (&json!(1), &json!(100)));
    assert_eq!(get(&server, "/invoices/?altId=loc1&altType=location").await.0, 422);
    let mut bad = body.clone();
    bad["items"][0]["amount"] = json!("60");
    bad["issueDate"] = json!("1.1.2026");
    let (status, refusal) = call(&server, "POST", "/invoices/", &bad).await;
    assert_eq!((status, refusal["message"].as_array().unwrap().len()), (422, 2));
    assert_eq!(call(&server, "POST", "/invoices/", &invoice("none")).await.0, 400);
}

#[tokio::test]
async fn it_remembers_and_is_steered_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let start = async || {
        let options = Options { api_key: KEY.to_owned(), folder: Some(folder.path().to_owned()), port: 0 };
        HighLevel::start(options).await.unwrap()
    };
    let server = start().await;
    call(&server, "PUT", "/_sandbox/rows/locations/loc1", &json!({ "name": "London" })).await;
    call(&server, "POST", "/contacts/upsert", &json!({ "locationId": "loc1", "email": "a@x.org" })).await;
    let (_, made) = call(&server, "POST", "/_sandbox/codes", &json!({ "location_id": "loc1" })).await;
    let (_, first) = token(&server, "authorization_code", "code", text(&made, "code")).await;
    server.shutdown().await;
    let server = start().await;
    assert_eq!((server.locations().len(), server.contacts().len()), (1, 1));
    assert_eq!(call_as(&server, text(&first, "access_token"), "GET", "/locations/loc1", &Value::Null).await.0, 200);
    assert_eq!(token(&server, "authorization_code", "code", text(&made, "code")).await.0, 400);
    assert_eq!(token(&server, "refresh_token", "refresh_token", text(&first, "refresh_token")).await.0, 200);
    assert_eq!(get(&server, "/_sandbox/refreshes").await.1, json!({ "done": 1, "refused": 0 }));
    assert_eq!(get(&server, "/_sandbox/rows/contacts").await.1.as_array().unwrap().len(), 1);
    assert_eq!(get(&server, "/_sandbox/rows/cats").await.0, 404);
    assert_eq!(call(&server, "PUT", "/_sandbox/scopes", &json!(SCOPES)).await.0, 204);
    assert_eq!(call(&server, "PUT", "/_sandbox/limit", &json!(0)).await.0, 204);
    assert_eq!(get(&server, "/locations/loc1").await.0, 429);
    assert_eq!(call(&server, "DELETE", "/_sandbox/rows/locations/loc1", &Value::Null).await.0, 204);
    assert_eq!(call(&server, "DELETE", "/_sandbox/tokens", &Value::Null).await.0, 204);
}
