//! Whose token a request carries.

use super::{Clock, Held, LONDON, PARIS, World, api, certificate, push, server, with, with_client, with_key};
use crate::support::{KEY, PATIENT, failed};
use certbridge_mapping::Kind;
use certbridge_remote::HighLevel;
use certbridge_sandbox::{
    Fault,
    highlevel::{CLIENT_SECRET, COMPANY_ID, Refreshes, SCOPES},
};
use certbridge_sync::{
    error::{Effect, RemoteClass},
    grants::Grants,
    ids::IdMap,
    memory::MemoryStore,
    ports::{Credentials, Destination, LocationCheck},
};
use serde_json::json;

const URI: &str = "https://example.com/done";

async fn told<S: IdMap + Grants>(api: &HighLevel<Held, S>, location: &str) -> Result<(), certbridge_sync::RemoteError> {
    push(api, Kind::Certificate, &with(&certificate("1"), json!({ "location_id": location }))).await.map(drop)
}

#[tokio::test]
async fn a_location_may_have_a_key_of_its_own() {
    let world = World::new().await;
    world.server.revoke(KEY);
    for (key, location) in [("key-of-london", LONDON), ("key-of-paris", PARIS)] {
        world.server.add_key(key, Some(location), SCOPES);
    }
    let locations = [(LONDON.to_owned(), "key-of-london".into()), (PARIS.to_owned(), "key-of-paris".into())];
    world.keys.set(Some(Credentials { locations: locations.into(), ..Credentials::default() }));
    for location in [LONDON, PARIS] {
        told(&world.api, location).await.unwrap();
        assert_eq!(world.api.check_location(location, None, PATIENT).await, Ok(LocationCheck::Known));
    }
    assert!(matches!(world.api.check_location("loc-rome", None, PATIENT).await, Ok(LocationCheck::Unknown { .. })));
    let error = failed(told(&world.api, "loc-rome").await, RemoteClass::Unauthorized);
    assert!(error.message.starts_with("the secret has neither an api_key, nor a key of this location"), "{error}");
}

#[tokio::test]
async fn without_a_secret_nothing_is_sent() {
    let world = World::new().await;
    world.keys.set(None);
    let error = failed(told(&world.api, LONDON).await, RemoteClass::Unauthorized);
    assert_eq!(error.message, "there is no secret destinations/highlevel");
    world.keys.set(Some(with_client()));
    let error = failed(told(&world.api, LONDON).await, RemoteClass::Unauthorized);
    assert_eq!(error.message, "nobody has let us in: run `certbridge connect highlevel`");
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn a_key_that_was_rotated_is_found_at_once() {
    let world = World::new().await;
    world.server.add_key("new-key", None, SCOPES);
    world.server.revoke(KEY);
    let error = failed(told(&world.api, LONDON).await, RemoteClass::Unauthorized);
    assert_eq!((error.effect(), world.keys.refusals()), (Effect::None, 1));
    world.keys.set(Some(Credentials { api_key: Some("new-key".into()), ..with_key() }));
    told(&world.api, LONDON).await.unwrap();
}

#[tokio::test]
async fn a_location_lets_us_in_by_a_code() {
    let world = World::bare(with_client(), MemoryStore::new()).await;
    world.prepare().await;
    let url = world.api.authorize_url(URI, PATIENT).await.unwrap();
    assert!(
        url.starts_with(
            "https://marketplace.gohighlevel.com/v2/oauth/chooselocation?response_type=code\
             &redirect_uri=https%3A%2F%2Fexample%2Ecom%2Fdone&client_id=6578278e879ad2646715ba9c%2Dsandbox&scope=contacts"
        ),
        "{url}"
    );
    let code = world.server.authorize(Some(LONDON));
    let connected = world.api.connect(&code, URI, PATIENT).await.unwrap();
    assert_eq!((connected.company_id.as_deref(), connected.location_id.as_deref()), (Some(COMPANY_ID), Some(LONDON)));
    told(&world.api, LONDON).await.unwrap();
    let error = failed(told(&world.api, PARIS).await, RemoteClass::Unauthorized);
    assert!(error.message.starts_with("nobody has let us in"), "{error}");
    // The other location's grant is one of its own.
    let code = world.server.authorize(Some(PARIS));
    world.api.connect(&code, URI, PATIENT).await.unwrap();
    world.clock.advance(61);
    for location in [LONDON, PARIS] {
        told(&world.api, location).await.unwrap();
    }
    let error = failed(world.api.connect(&code, URI, PATIENT).await, RemoteClass::Unauthorized);
    assert!(error.message.starts_with("the code is refused (400"), "{error}");
    assert!(!format!("{error:?}").contains(&code));
}

#[tokio::test]
async fn an_agencys_token_gives_those_of_its_locations() {
    let world = World::bare(with_client(), MemoryStore::new()).await;
    world.prepare().await;
    let connected = world.api.connect(&world.server.authorize(None), URI, PATIENT).await.unwrap();
    assert_eq!((connected.company_id.as_deref(), connected.location_id), (Some(COMPANY_ID), None));
    let exchanges = || world.requests().iter().filter(|request| request.ends_with("/oauth/locationToken")).count();
    for location in [LONDON, PARIS, LONDON] {
        told(&world.api, location).await.unwrap();
    }
    assert_eq!(exchanges(), 2);
    assert_eq!(world.api.check_location(PARIS, None, PATIENT).await, Ok(LocationCheck::Known));
    assert!(matches!(world.api.check_location("loc-rome", None, PATIENT).await, Ok(LocationCheck::Unknown { .. })));
    // It cannot be refreshed, and is asked for again before its end.
    world.clock.advance(86_399 - 300);
    told(&world.api, LONDON).await.unwrap();
    assert_eq!((exchanges(), world.server.refreshes()), (3, Refreshes { done: 1, refused: 0 }));
}

#[tokio::test]
async fn a_token_that_is_refused_early_is_replaced() {
    let world = World::bare(with_client(), MemoryStore::new()).await;
    world.prepare().await;
    world.api.connect(&world.server.authorize(None), URI, PATIENT).await.unwrap();
    told(&world.api, LONDON).await.unwrap();
    world.server.expire_tokens();
    let error = failed(told(&world.api, LONDON).await, RemoteClass::Unauthorized);
    assert_eq!((error.effect(), world.server.refreshes().done), (Effect::None, 0), "a young one is not renewed");
    world.clock.advance(61);
    told(&world.api, LONDON).await.unwrap();
    assert_eq!(world.server.refreshes(), Refreshes { done: 1, refused: 0 });
}

#[tokio::test]
async fn a_lacking_scope_is_named_where_locations_are_listed() {
    let world = World::new().await;
    world.server.add_key(KEY, None, &super::scopes_without("locations.readonly"));
    let error = failed(world.api.check_location(LONDON, None, PATIENT).await, RemoteClass::Unauthorized);
    assert!(error.message.starts_with("401: GET /locations needs the scope locations.readonly"), "{error}");
    world.server.add_key(KEY, None, SCOPES);
    assert_eq!(world.api.check_location(LONDON, None, PATIENT).await, Ok(LocationCheck::Known));
    // The list is believed for ten minutes, that one is not on it for one.
    assert!(matches!(world.api.check_location("loc-rome", None, PATIENT).await, Ok(LocationCheck::Unknown { .. })));
    world.server.add_location("loc-rome", "Rome");
    assert!(matches!(world.api.check_location("loc-rome", None, PATIENT).await, Ok(LocationCheck::Unknown { .. })));
    world.clock.advance(60);
    assert_eq!(world.api.check_location("loc-rome", None, PATIENT).await, Ok(LocationCheck::Known));
}

#[tokio::test]
async fn a_client_that_is_refused_is_no_lost_grant() {
    let world = World::bare(with_client(), MemoryStore::new()).await;
    world.prepare().await;
    world.api.connect(&world.server.authorize(Some(LONDON)), URI, PATIENT).await.unwrap();
    world.clock.advance(86_400);
    let (id, _) = with_client().client.unwrap();
    world.keys.set(Some(Credentials { client: Some((id, "wrong".into())), ..with_client() }));
    let error = failed(told(&world.api, LONDON).await, RemoteClass::Unauthorized);
    assert_eq!(error.message, "no token: 401: client_id or client_secret is refused");
    world.keys.set(Some(with_client()));
    told(&world.api, LONDON).await.unwrap();
}

#[tokio::test]
async fn no_token_is_told_anywhere() {
    let (server, clock) = (server().await, Clock::new());
    let store = MemoryStore::new();
    let api = api(&server.url(), store.clone(), Held::new(with_client()), &clock, "test");
    api.connect(&server.authorize(Some(LONDON)), URI, PATIENT).await.unwrap();
    let row = store.grant(&format!("highlevel/{LONDON}")).await.unwrap().unwrap();
    assert!(!format!("{row:?}").contains("access0") && !format!("{row:?}").contains("refresh0"), "{row:?}");
    for fault in [Fault::status(500), Fault::status(401), Fault::WrongBody, Fault::Cut] {
        clock.advance(86_400);
        server.server().add_fault(fault.once().on("POST", "/oauth/token"));
        let error = told(&api, LONDON).await.unwrap_err();
        let text = format!("{error} {error:?}");
        for secret in [CLIENT_SECRET, "access0", "refresh0"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
