//! What it lists: the certificates of all locations.

use super::{LONDON, PARIS, World, certificate, with, with_client, with_key};
use crate::support::{PATIENT, failed};
use certbridge_mapping::{Kind, ShownRecord};
use certbridge_sandbox::Fault;
use certbridge_sync::{
    error::RemoteClass,
    grants::Grants,
    ids::IdMap,
    memory::MemoryStore,
    ports::{Credentials, Destination, ListError},
};
use serde_json::json;

const URI: &str = "https://example.com/done";

async fn walk<S: IdMap + Grants + Clone>(world: &World<S>) -> (Vec<ShownRecord>, usize) {
    let (mut shown, mut cursor, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let page = world.api.destination_page(Kind::Certificate, cursor.as_deref(), PATIENT).await.unwrap();
        assert_eq!(page.nameless, 0);
        shown.extend(page.items);
        pages += 1;
        assert!(pages < 20);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return (shown, pages),
        }
    }
}

fn both() -> Credentials {
    let locations = [(PARIS.to_owned(), crate::support::KEY.into())].into();
    Credentials { locations, ..with_key() }
}

/// Puts certificates into London, as if they had been told: so many requests in so short a time would be too many.
fn fill<S>(world: &World<S>, count: usize) {
    for number in 0..count {
        let id = format!("l{number:03}");
        world.server.edit(
            "records",
            &id,
            &json!({
                "objectKey": "custom_objects.certificates", "locationId": LONDON, "createdAt": "2026-01-01T00:00:00Z",
                "properties": { "certificate_id": id },
            }),
        );
    }
}

#[tokio::test]
async fn certificates_are_listed_location_by_location() {
    let world = World::new().await;
    world.keys.set(Some(both()));
    fill(&world, 101);
    world.push(Kind::Certificate, &with(&certificate("p1"), json!({ "location_id": PARIS }))).await.unwrap();
    let (shown, pages) = walk(&world).await;
    assert_eq!((shown.len(), pages), (102, 3));
    let one = shown.iter().find(|record| record.id.as_str() == "p1").unwrap();
    assert_eq!((&one.fields["title"], &one.fields["location_id"]), (&json!("Rust"), &json!(PARIS)));
    let (_, request) = super::request(Kind::Certificate, &with(&certificate("p1"), json!({ "location_id": PARIS })));
    assert!(one.fields.iter().all(|(name, value)| request.body[name] == *value), "{one:?}");
}

#[tokio::test]
async fn a_whole_company_is_walked() {
    let world = World::bare(with_client(), MemoryStore::new()).await;
    world.prepare().await;
    // One that nobody has prepared, and that comes first.
    world.server.add_location("a-new-one", "New");
    world.api.connect(&world.server.authorize(None), URI, PATIENT).await.unwrap();
    for location in [LONDON, PARIS] {
        let fields = with(&certificate(location), json!({ "location_id": location }));
        world.push(Kind::Certificate, &fields).await.unwrap();
    }
    let (shown, pages) = walk(&world).await;
    assert_eq!((shown.len(), pages), (2, 3));
}

#[tokio::test]
async fn a_record_of_somebody_elses_is_counted() {
    let world = World::new().await;
    world.push(Kind::Certificate, &certificate("1")).await.unwrap();
    world.server.edit(
        "records",
        "foreign",
        &json!({
            "objectKey": "custom_objects.certificates", "locationId": LONDON, "properties": { "title": "by hand" },
        }),
    );
    let page = world.api.destination_page(Kind::Certificate, None, PATIENT).await.unwrap();
    assert_eq!((page.items.len(), page.nameless, page.next), (1, 1, None));
}

#[tokio::test]
async fn what_is_not_listed_is_told() {
    let world = World::new().await;
    for kind in [Kind::Customer, Kind::Location, Kind::Invoice] {
        let error = world.api.destination_page(kind, None, PATIENT).await.unwrap_err();
        assert_eq!(error, ListError::Unlisted("destinations/highlevel".to_owned()));
    }
    let refused = world.api.destination_page(Kind::Certificate, Some("?"), PATIENT).await.unwrap_err();
    assert!(matches!(refused, ListError::CursorRefused(_)));
    let bare = World::bare(with_key(), MemoryStore::new()).await;
    let Err(ListError::Remote(error)) = bare.api.destination_page(Kind::Certificate, None, PATIENT).await else {
        panic!("nothing is prepared there")
    };
    assert_eq!(error.class, RemoteClass::Misrouted);
    world.server.server().add_fault(Fault::status(503).once());
    let Err(ListError::Remote(error)) = world.api.destination_page(Kind::Certificate, None, PATIENT).await else {
        panic!("it failed")
    };
    failed::<()>(Err(error), RemoteClass::Failed);
}

#[tokio::test]
async fn a_page_that_repeats_itself_is_told() {
    let world = World::new().await;
    fill(&world, 100);
    let first = world.api.destination_page(Kind::Certificate, None, PATIENT).await.unwrap();
    world.server.server().add_fault(Fault::Repeat.once());
    let Err(ListError::Remote(error)) =
        world.api.destination_page(Kind::Certificate, first.next.as_deref(), PATIENT).await
    else {
        panic!("the same page again is no page")
    };
    assert_eq!(error.class, RemoteClass::Unusable);
    let last = world.api.destination_page(Kind::Certificate, first.next.as_deref(), PATIENT).await.unwrap();
    assert_eq!((last.items.len(), last.next), (0, None));
}
