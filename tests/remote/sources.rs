//! Accredible as a source.

use crate::{
    raw::Raw,
    support::{
        KEY, Keys, PATIENT, accredible, definitions_with, failed, http, plan, plan_from, record, sources, sources_with,
    },
};
use certbridge_mapping::Record;
use certbridge_remote::HttpSources;
use certbridge_sandbox::Credential;
use certbridge_sync::{
    error::{RemoteClass, StoreError},
    ports::{Fetched, Sources},
};
use serde_json::json;
use std::collections::BTreeMap;

#[tokio::test]
async fn a_credential_is_fetched_and_mapped() {
    let accredible = accredible().await;
    let (plan, key) = (plan(), record("1"));
    let Fetched::Found(document) = sources(&accredible.url()).fetch(&plan, &key, PATIENT).await.unwrap() else {
        panic!("it is there")
    };
    let Record::Certificate(certificate) = plan.canonical(&key, &document, None).unwrap() else {
        panic!("no certificate")
    };
    assert_eq!((certificate.user_id.as_str(), certificate.location_id.as_str()), ("person-1", "loc_london"));
    let request = &accredible.server().requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/v1/credentials/1"));
    assert_eq!((request.headers["authorization"].as_str(), request.status), ("Token (hidden)", Some(200)));
}

#[tokio::test]
async fn the_key_stands_in_the_documented_form() {
    let raw = Raw::answering("200 OK", r#"{"credential": {}}"#);
    sources(&raw.url).fetch(&plan(), &record("1"), PATIENT).await.unwrap();
    let head = raw.requests.recv().unwrap();
    assert!(head.contains(&format!("\r\nauthorization: Token token={KEY}\r\n")), "{head}");
}

#[tokio::test]
async fn ids_that_are_numbers_are_read() {
    let accredible = accredible().await;
    let credential = Credential::new("7").at_location("l").with(&json!({ "id": 7, "recipient": { "id": 12 } }));
    accredible.put("7", &credential);
    let (plan, key) = (plan(), record("7"));
    let Fetched::Found(document) = sources(&accredible.url()).fetch(&plan, &key, PATIENT).await.unwrap() else {
        panic!("it is there")
    };
    let Record::Certificate(certificate) = plan.canonical(&key, &document, None).unwrap() else {
        panic!("no certificate")
    };
    assert_eq!((certificate.certificate_id.as_str(), certificate.user_id.as_str()), ("7", "12"));
}

#[tokio::test]
async fn one_that_is_gone_is_not_found() {
    let accredible = accredible().await;
    let sources_here = sources(&accredible.url());
    assert!(matches!(sources_here.fetch(&plan(), &record("2"), PATIENT).await, Ok(Fetched::NotFound)));
    assert!(accredible.delete("1") && !accredible.delete("1"));
    assert!(matches!(sources_here.fetch(&plan(), &record("1"), PATIENT).await, Ok(Fetched::NotFound)));
    let gone = Raw::answering("410 Gone", "");
    assert!(matches!(sources(&gone.url).fetch(&plan(), &record("1"), PATIENT).await, Ok(Fetched::NotFound)));
}

#[tokio::test]
async fn a_page_that_is_not_found_proves_nothing() {
    let raw = Raw::answering("404 Not Found\r\nContent-Type: text/html; charset=utf-8", "<html>404");
    failed(sources(&raw.url).fetch(&plan(), &record("1"), PATIENT).await, RemoteClass::Misrouted);
}

#[tokio::test]
async fn success_that_says_nothing_is_unusable() {
    for (status, body) in [
        ("200 OK", "<html>Welcome"),
        ("200 OK", ""),
        ("200 OK", r#"{"credential": {"id": "1""#),
        ("200 OK", "[]"),
        ("200 OK", r#"{"credential": null}"#),
        ("200 OK", r#"{"success": false, "data": "Group does not exist"}"#),
        ("200 OK", r#"{"error": "Not found"}"#),
        ("200 OK", r#"{"errors": {"id": ["jor@dan.org"]}}"#),
        ("204 No Content", ""),
    ] {
        let raw = Raw::answering(status, body);
        let error = failed(sources(&raw.url).fetch(&plan(), &record("1"), PATIENT).await, RemoteClass::Unusable);
        assert!(!error.message.contains("jor") && !error.message.contains("Group"), "{error}");
    }
}

#[tokio::test]
async fn every_shape_of_error_is_read() {
    for (status, body, class, message) in [
        ("401 Unauthorized", "HTTP Token: Access denied.\n", RemoteClass::Unauthorized, "401 Unauthorized"),
        (
            "422 Unprocessable Entity",
            r#"{"errors":"Invalid Group"}"#,
            RemoteClass::Rejected,
            "422 Unprocessable Entity",
        ),
        (
            "422 Unprocessable Entity",
            r#"{"errors":{"course_name":["can't be blank"]}}"#,
            RemoteClass::Rejected,
            "422 Unprocessable Entity, names course_name",
        ),
        ("400 Bad Request", r#"{"success":false,"data":"x"}"#, RemoteClass::Rejected, "400 Bad Request"),
        (
            "400 Bad Request",
            r#"{"code":400,"message":"m","status":"invalid_search_query","errors":{}}"#,
            RemoteClass::Rejected,
            "400 Bad Request",
        ),
        (
            "500 Internal Server Error",
            r#"{"error":"oops"}"#,
            RemoteClass::Failed,
            "500 Internal Server Error, names oops",
        ),
    ] {
        let raw = Raw::answering(status, body);
        let error = failed(sources(&raw.url).fetch(&plan(), &record("1"), PATIENT).await, class);
        assert_eq!(error.message, message);
    }
}

#[tokio::test]
async fn a_refused_key_is_noted() {
    let accredible = accredible().await;
    let keys = Keys::answering(Ok(Some("wr0ng")));
    let result = sources_with(&accredible.url(), keys.clone()).fetch(&plan(), &record("1"), PATIENT).await;
    let error = failed(result, RemoteClass::Unauthorized);
    assert!(!format!("{error:?}").contains("wr0ng"));
    assert_eq!(keys.refused(), ["sources/accredible"]);
    let good = Keys::good();
    sources_with(&accredible.url(), good.clone()).fetch(&plan(), &record("1"), PATIENT).await.unwrap();
    assert!(good.refused().is_empty());
}

#[tokio::test]
async fn without_a_key_the_provider_decides() {
    let open = Raw::answering("200 OK", r#"{"credential": {"id": "1"}}"#);
    let fetched = sources_with(&open.url, Keys::answering(Ok(None))).fetch(&plan(), &record("1"), PATIENT).await;
    assert!(matches!(fetched, Ok(Fetched::Found(_))));
    let accredible = accredible().await;
    let keys = Keys::answering(Ok(None));
    let result = sources_with(&accredible.url(), keys.clone()).fetch(&plan(), &record("1"), PATIENT).await;
    assert_eq!(failed(result, RemoteClass::Unauthorized).message, "no api_key in the secret sources/accredible");
    assert_eq!(keys.refused(), ["sources/accredible"]);
}

#[tokio::test]
async fn with_an_unusable_key_nothing_is_sent() {
    let raw = Raw::answering("200 OK", "{}");
    for (answer, class, message) in [
        (Ok(Some("two\nlines")), RemoteClass::Unauthorized, "the api_key holds what no header can"),
        (
            Err(StoreError::Refused(KEY.into())),
            RemoteClass::Unauthorized,
            "the secret sources/accredible may not be read",
        ),
        (
            Err(StoreError::Unavailable(KEY.into())),
            RemoteClass::Unreachable,
            "the secret sources/accredible could not be read",
        ),
    ] {
        let keys = Keys::answering(answer);
        let error = failed(sources_with(&raw.url, keys.clone()).fetch(&plan(), &record("1"), PATIENT).await, class);
        assert_eq!(error.message, message);
        assert!(keys.refused().is_empty());
    }
    assert!(raw.nothing_seen());
}

#[tokio::test]
async fn ids_are_one_segment_whatever_they_hold() {
    let accredible = accredible().await;
    let sources = sources(&format!("{}/", accredible.url()));
    for id in ["é€", "a+b&c=d", "...", "a;b:c@d", "<'\">", "{id}", "~x_-.y"] {
        accredible.put(id, &Credential::new(id).at_location("l"));
        let found = sources.fetch(&plan(), &record(id), PATIENT).await;
        assert!(matches!(found, Ok(Fetched::Found(_))), "{id}");
    }
    for id in [".", "..", "a/b", "a?b", "a%2fb", "a#b"] {
        assert!(format!("certificate#accredible#{id}").parse::<certbridge_mapping::RecordKey>().is_err(), "{id}");
    }
}

#[tokio::test]
async fn an_unsafe_address_turns_off_its_source_alone() {
    let urls = BTreeMap::from([
        ("ACCREDIBLE_URL".to_owned(), format!("http://{KEY}@api.example.com")),
        ("OTHER_URL".to_owned(), "https://api.example.com".to_owned()),
    ]);
    let sources = HttpSources::new(http(), Keys::good(), urls);
    let fault = sources.fault(plan().source()).unwrap().to_string();
    assert_eq!(fault, "the address of sources/accredible holds credentials: they belong into its secret");
    failed(sources.fetch(&plan(), &record("1"), PATIENT).await, RemoteClass::Misrouted);
    let plain = sources_with("http://api.example.com", Keys::good());
    let error = failed(plain.fetch(&plan(), &record("1"), PATIENT).await, RemoteClass::Misrouted);
    assert_eq!(error.message, "the address of sources/accredible is not HTTPS, and not on this machine");
}

#[tokio::test]
async fn the_definitions_own_address_is_used_unless_another_is_given() {
    let accredible = accredible().await;
    let own = definitions_with(|text| text.replace("https://api.accredible.com\"", &format!("{}\"", accredible.url())));
    let bare = HttpSources::new(http(), Keys::good(), BTreeMap::new());
    assert!(matches!(bare.fetch(&plan_from(&own), &record("1"), PATIENT).await, Ok(Fetched::Found(_))));
    let plain = definitions_with(|text| text.replace("https://api.accredible.com\"", "http://api.example.com\""));
    failed(bare.fetch(&plan_from(&plain), &record("1"), PATIENT).await, RemoteClass::Misrouted);
    let none = definitions_with(|text| text.replace("base_url = ", "# "));
    let error = failed(bare.fetch(&plan_from(&none), &record("1"), PATIENT).await, RemoteClass::Misrouted);
    assert_eq!(error.message, "no base_url, and no ACCREDIBLE_URL");
}

#[tokio::test]
async fn a_path_cannot_leave_its_host() {
    let raw = Raw::answering("200 OK", r#"{"credential": {}}"#);
    // A path that does not begin with a slash is refused with its definition.
    for path in ["/../{id}", "/a b/{id}"] {
        let definitions = definitions_with(|text| text.replace("/v1/credentials/{id}", path));
        let result = sources(&raw.url).fetch(&plan_from(&definitions), &record("1"), PATIENT).await;
        assert_eq!(failed(result, RemoteClass::Misrouted).message, "a fetch_path that is no plain path", "{path}");
    }
    assert!(raw.nothing_seen());
}
