//! Both sides listed page by page, and what is believed of a page.

use crate::{
    raw::Raw,
    support::{
        Keys, PATIENT, accredible, definitions_with, destination, http, options, plan, plan_from, snapshots,
        snapshots_definition, sources,
    },
};
use certbridge_mapping::{DestinationDefinition, Kind, ListedRecord, Plan, ShownRecord};
use certbridge_remote::{MAX_ANSWER_BYTES, Snapshots};
use certbridge_sandbox::{self as sandbox, Accredible, Credential, Fault};
use certbridge_sync::{
    error::RemoteClass,
    ports::{Destination, ListError, Page, Sources, Trail},
};
use jiff::civil::Date;
use serde_json::{Value, json};
use std::time::Duration;

const KIND: Kind = Kind::Certificate;

async fn source_page(url: &str, cursor: Option<&str>) -> Result<Page<ListedRecord>, ListError> {
    sources(url).source_page(&plan(), KIND, cursor, None, PATIENT).await
}

async fn destination_page(url: &str, cursor: Option<&str>) -> Result<Page<ShownRecord>, ListError> {
    snapshots(url).destination_page(KIND, cursor, PATIENT).await
}

/// Walks from page to page to the end, and does something before each. Gives the ids, and how many pages there were.
async fn walk(server: &Accredible, since: Option<Date>, mut before: impl FnMut(usize)) -> (Vec<String>, usize) {
    let (client, plan) = (sources(&server.url()), plan());
    let (mut ids, mut trail, mut cursor) = (Vec::new(), Trail::default(), None::<String>);
    for number in 0.. {
        before(number);
        let page = client.source_page(&plan, KIND, cursor.as_deref(), since, PATIENT).await.unwrap();
        ids.extend(page.items.into_iter().map(|item| item.id.to_string()));
        cursor = page.next;
        match &cursor {
            None => return (ids, number + 1),
            Some(cursor) => assert!(trail.step(cursor), "a circle"),
        }
    }
    unreachable!("the walk has an end")
}

/// An Accredible with so many credentials, whose ids begin at 1.
async fn with_credentials(count: u32) -> Accredible {
    let server = Accredible::start(options()).await.unwrap();
    for id in 1..=count {
        server.put(&id.to_string(), &Credential::new(&id.to_string()).at_location("loc_london"));
    }
    server
}

fn numbers(range: impl Iterator<Item = u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn the_source_is_walked_to_its_end() {
    let server = with_credentials(120).await;
    let (ids, pages) = walk(&server, None, |_| {}).await;
    assert_eq!((ids, pages), (numbers(1..=120), 4), "three pages, and one without items");
    let bodies: Vec<_> = server.server().requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies[0], json!({ "query": {}, "sort": { "id": "asc" }, "page": { "size": 50 } }));
    assert!(bodies[1..].iter().all(|body| body["page"]["cursor"].is_string() && body["page"].get("from").is_none()));
    assert_eq!(walk(&with_credentials(0).await, None, |_| {}).await, (vec![], 1));
}

#[tokio::test]
async fn a_listed_credential_is_the_fetched_one_as_far_as_it_goes() {
    let server = accredible().await;
    let page = source_page(&server.url(), None).await.unwrap();
    assert_eq!((page.items.len(), page.nameless, page.announced), (1, 0, Some(1)));
    let listed = page.items[0].fields.as_ref().unwrap();
    let fetched = sources(&server.url()).fetch(&plan(), &crate::support::record("1"), PATIENT).await.unwrap();
    let certbridge_sync::ports::Fetched::Found(document) = fetched else { panic!("it is there") };
    let record = plan().canonical(&crate::support::record("1"), &document, None).unwrap().to_fields();
    let lacks: Vec<_> = record.as_object().unwrap().keys().filter(|name| !listed.contains_key(*name)).collect();
    assert_eq!(lacks, ["status", "url"]);
    assert!(listed.iter().all(|(name, value)| record[name] == *value), "{listed:?} and {record}");
}

#[tokio::test]
async fn only_what_changed_on_a_day_or_later_is_listed() {
    let server = with_credentials(3).await;
    for (id, day) in [("1", "2026-01-30T23:59:59.999Z"), ("2", "2026-01-31T00:00:00Z"), ("3", "2026-02-01T00:00:00Z")] {
        server.set_updated_at(id, day.parse().unwrap());
    }
    let since = |day: &str| Some(day.parse().unwrap());
    assert_eq!(walk(&server, since("2026-01-31"), |_| {}).await.0, ["2", "3"]);
    assert_eq!(server.server().requests()[0].body["query"], json!({ "updated_at[gte]": "2026-01-31" }));
    assert_eq!(walk(&server, since("2026-02-02"), |_| {}).await.0, [""; 0]);
}

#[tokio::test]
async fn what_comes_goes_and_changes_meanwhile_moves_nothing_else() {
    let server = with_credentials(150).await;
    let (ids, _) = walk(&server, None, |page| {
        if page == 1 {
            server.delete("1");
            server.delete("75");
            server.update("2", &json!({ "name": "Other" }));
            server.update("76", &json!({ "name": "Other" }));
            server.put("500", &Credential::new("500"));
        }
    })
    .await;
    let mut wanted = numbers((1..=150).filter(|number| *number != 75));
    wanted.push("500".to_owned());
    assert_eq!(ids, wanted);
    server.server().add_fault(Fault::Hide { id: "80".into() }.always());
    assert_eq!(walk(&server, None, |_| {}).await.0.len(), 148);
}

#[tokio::test]
async fn the_destination_is_walked_to_its_end() {
    let server = destination().await;
    for id in 1..=250 {
        server.edit(&id.to_string(), &json!({ "certificate_id": id.to_string(), "title": "T", "notes": "n" }));
    }
    let (mut items, mut cursor) = (Vec::new(), None::<String>);
    let pages = loop {
        let page = destination_page(&server.url(), cursor.as_deref()).await.unwrap();
        assert_eq!((page.nameless, page.announced), (0, Some(250)));
        items.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break server.server().requests().len();
        }
    };
    assert_eq!((items.len(), pages), (250, 3));
    assert!(items.is_sorted_by(|a, b| a.id.as_str() < b.id.as_str()));
    let fields = &items[0].fields;
    assert_eq!((&fields["title"], &fields["url"], fields.get("notes")), (&json!("T"), &Value::Null, None));
    server.server().add_fault(Fault::Hide { id: "1".into() }.once());
    assert_eq!(destination_page(&server.url(), None).await.unwrap().items[0].id.as_str(), "10");
}

#[tokio::test]
async fn a_page_that_is_its_own_next_one_is_not_believed() {
    let (source, server) = (with_credentials(60).await, destination().await);
    server.edit("1", &json!({ "certificate_id": "1" }));
    let itself = |error: ListError| {
        let ListError::Remote(error) = error else { panic!("{error}") };
        assert_eq!(
            (error.class, error.message.as_str()),
            (RemoteClass::Unusable, "a listing, but its next page is itself")
        );
        assert!(error.is_transient());
    };
    let next = source_page(&source.url(), None).await.unwrap().next;
    source.server().add_fault(Fault::Repeat.once());
    itself(source_page(&source.url(), next.as_deref()).await.unwrap_err());
    // The first page has no cursor of its own: it is told one page later.
    for server in [source.server(), server.server()] {
        server.add_fault(Fault::Repeat.always());
    }
    let again = source_page(&source.url(), None).await.unwrap();
    itself(source_page(&source.url(), again.next.as_deref()).await.unwrap_err());
    let again = destination_page(&server.url(), None).await.unwrap();
    itself(destination_page(&server.url(), again.next.as_deref()).await.unwrap_err());
}

#[tokio::test]
async fn a_cursor_that_has_expired_starts_over() {
    let (source, server) = (with_credentials(60).await, destination().await);
    for id in 1..=101 {
        server.edit(&id.to_string(), &json!({ "certificate_id": id.to_string() }));
    }
    let next = source_page(&source.url(), None).await.unwrap().next;
    source.expire_cursors();
    let error = source_page(&source.url(), next.as_deref()).await.unwrap_err();
    assert!(matches!(&error, ListError::CursorRefused(error) if error.message == "400 Bad Request"), "{error}");
    assert!(source_page(&source.url(), None).await.is_ok());
    let next = destination_page(&server.url(), None).await.unwrap().next;
    server.expire_cursors();
    let error = destination_page(&server.url(), next.as_deref()).await.unwrap_err();
    assert!(matches!(error, ListError::CursorRefused(_)), "{error}");
}

/// What a failure of a page is: `unlisted`, `start over`, or the error's class.
fn word<T>(result: Result<Page<T>, ListError>) -> String {
    match result.map(drop).unwrap_err() {
        ListError::Unlisted(provider) => {
            assert!(["sources/accredible", "destinations/snapshots"].contains(&provider.as_str()));
            "unlisted".to_owned()
        }
        ListError::CursorRefused(_) => "start over".to_owned(),
        ListError::Remote(error) => error.class.to_string(),
    }
}

#[tokio::test]
async fn every_refusal_is_told_by_what_it_asks_for() {
    for (status, first, later) in [
        ("400 Bad Request", "rejected", "start over"),
        ("401 Unauthorized", "not authorized", "not authorized"),
        ("403 Forbidden", "not authorized", "not authorized"),
        ("404 Not Found", "unlisted", "start over"),
        ("405 Method Not Allowed", "unlisted", "unlisted"),
        ("410 Gone", "misrouted", "start over"),
        ("422 Unprocessable Entity", "rejected", "start over"),
        ("429 Too Many Requests", "throttled", "throttled"),
        ("500 Internal Server Error", "failed", "failed"),
        ("501 Not Implemented", "unlisted", "unlisted"),
        ("504 Gateway Timeout", "no answer", "no answer"),
        ("302 Found", "misrouted", "misrouted"),
    ] {
        let raw = Raw::answering(status, r#"{"code":400,"message":"m","status":"invalid_search_query","errors":{}}"#);
        for (cursor, wanted) in [(None, first), (Some("c"), later)] {
            assert_eq!(word(source_page(&raw.url, cursor).await), wanted, "{status} {cursor:?}");
            assert_eq!(word(destination_page(&raw.url, cursor).await), wanted, "{status} {cursor:?}");
        }
    }
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_passed_on() {
    let server = accredible().await;
    server.server().add_fault(Fault::Status { status: 429, retry_after: Some("30".into()) }.once());
    let ListError::Remote(error) = source_page(&server.url(), None).await.unwrap_err() else { panic!("throttled") };
    assert_eq!((error.retry_after, error.is_transient()), (Some(Duration::from_secs(30)), true));
}

#[tokio::test]
async fn success_that_lists_nothing_is_unusable() {
    let long = format!(r#"{{"credentials": [{{"id": "{}"}}]}}"#, "1".repeat(MAX_ANSWER_BYTES));
    for body in [
        "",
        "<html>Welcome",
        "null",
        "[]",
        "{}",
        r#"{"credentials": {}, "certificates": null}"#,
        r#"{"success": false, "data": "person-1"}"#,
        r#"{"credentials": ["#,
        r#"{"credentials": [{"id": 1}], "meta": {"cursor": {}}, "certificates": [1], "next_cursor": [1]}"#,
        &long,
    ] {
        let raw = Raw::answering("200 OK", body);
        let named = body.get(..60).unwrap_or(body);
        assert_eq!(word(source_page(&raw.url, None).await), "unusable answer", "{named}");
        assert_eq!(word(destination_page(&raw.url, None).await), "unusable answer", "{named}");
    }
}

#[tokio::test]
async fn a_page_is_believed_no_further_than_it_can_be() {
    let items = json!([
        { "id": 1, "certificate_id": "1" },
        { "name": "no id" }, { "id": null }, { "id": "a/b", "certificate_id": "a/b" }, 7, null,
        { "id": "1", "certificate_id": "1" },
    ]);
    for (body, next, announced) in [
        (json!({ "meta": {} }), None, None),
        (json!({ "meta": { "cursor": "n", "count": 3 }, "next_cursor": "n", "total": 3 }), Some("n"), Some(3)),
        // A total that cannot be is repeated, and decides nothing.
        (json!({ "meta": { "cursor": "n", "count": 0 }, "next_cursor": "n", "total": 0 }), Some("n"), Some(0)),
        (json!({ "meta": { "cursor": "", "count": -1 }, "next_cursor": "", "total": "many" }), None, None),
    ] {
        let page = |items: &Value| {
            let mut page = body.clone();
            (page["credentials"], page["certificates"]) = (items.clone(), items.clone());
            Raw::answering("200 OK", &page.to_string())
        };
        let raw = page(&items);
        let source = source_page(&raw.url, Some("c")).await.unwrap();
        let destination = destination_page(&raw.url, Some("c")).await.unwrap();
        assert_eq!((source.items.len(), source.nameless), (2, 5), "twice the same is the caller's to judge");
        assert_eq!((destination.items.len(), destination.nameless), (2, 5));
        assert_eq!((source.next.as_deref(), source.announced), (next, announced), "{body}");
        assert_eq!((destination.next.as_deref(), destination.announced), (next, announced), "{body}");
        // No items are the end, whatever the cursor.
        let raw = page(&json!([]));
        assert_eq!(source_page(&raw.url, Some("c")).await.unwrap().next, None);
        assert_eq!(destination_page(&raw.url, Some("c")).await.unwrap().next, None);
    }
}

#[tokio::test]
async fn an_item_that_cannot_be_mapped_says_why_and_spoils_no_other() {
    let server = with_credentials(2).await;
    server.update("1", &json!({ "issued_on": "soon", "custom_attributes": null }));
    let page = source_page(&server.url(), None).await.unwrap();
    let problems = page.items[0].fields.as_ref().unwrap_err().to_string();
    assert_eq!(
        problems,
        "issue_date: wanted a day, YYYY-MM-DD, found a string of 4 characters; location_id: wanted a key of the table \
         location_by_group, found a number"
    );
    assert!(page.items[1].fields.is_ok());
}

#[tokio::test]
async fn where_no_definition_says_how_nothing_is_asked() {
    let raw = Raw::answering("200 OK", "{}");
    let listed = |text: &str| text.split("# What `POST").next().unwrap().to_owned() + "[tables.location_by_group]\n";
    let without: Plan = plan_from(&definitions_with(listed));
    assert_eq!(word(sources(&raw.url).source_page(&without, KIND, None, None, PATIENT).await), "unlisted");
    let mut definition: DestinationDefinition = snapshots_definition().clone();
    definition.listings.clear();
    let snapshots = Snapshots::new(http(), Keys::good(), &raw.url, &definition).unwrap();
    assert_eq!(word(snapshots.destination_page(KIND, None, PATIENT).await), "unlisted");
    assert!(raw.nothing_seen());
}

#[tokio::test]
async fn a_cursor_is_one_value_whatever_it_holds() {
    let raw = Raw::answering("200 OK", r#"{"certificates": [], "next_cursor": null}"#);
    destination_page(&raw.url, Some("a/../b?limit=9&x=é#%")).await.unwrap();
    let seen = raw.requests.recv().unwrap();
    let line = "GET /certificates?limit=100&cursor=a%2F..%2Fb%3Flimit%3D9%26x%3D%C3%A9%23%25 HTTP/1.1\r\n";
    assert!(seen.starts_with(line), "{seen}");
}

#[tokio::test]
async fn a_refused_key_is_noted_of_listings_too() {
    let server: sandbox::Snapshots = destination().await;
    let keys = Keys::answering(Ok(Some("wr0ng")));
    let client = Snapshots::new(http(), keys.clone(), &server.url(), snapshots_definition()).unwrap();
    assert_eq!(word(client.destination_page(KIND, None, PATIENT).await), "not authorized");
    assert_eq!(keys.refused(), ["destinations/snapshots"]);
}
