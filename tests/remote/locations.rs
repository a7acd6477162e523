//! The list of locations, and how long it is believed.

use crate::{
    raw::Raw,
    support::{Keys, PATIENT, destination, failed, http, snapshots, snapshots_definition},
};
use certbridge_mapping::DestinationDefinition;
use certbridge_remote::Snapshots;
use certbridge_sandbox::{self as sandbox, Fault};
use certbridge_sync::{
    error::RemoteClass,
    ports::{Destination, LocationCheck},
};
use futures::future::join_all;
use jiff::Timestamp;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// A clock that is set by hand, in seconds.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

fn timed(url: &str, clock: &Clock) -> Snapshots<Keys> {
    let clock = clock.clone();
    let http = http().with_clock(move || Timestamp::from_second(clock.0.load(Ordering::SeqCst)).unwrap());
    Snapshots::new(http, Keys::good(), url, snapshots_definition()).unwrap()
}

const UNKNOWN: LocationCheck = LocationCheck::Unknown { nearest: Vec::new() };

/// What a check says, but for the locations that come near.
async fn check(snapshots: &Snapshots<Keys>, location: &str) -> LocationCheck {
    match snapshots.check_location(location, None, PATIENT).await.unwrap() {
        LocationCheck::Unknown { .. } => UNKNOWN,
        check => check,
    }
}

#[tokio::test]
async fn an_unknown_location_comes_with_the_nearest_ones() {
    let server = destination().await;
    server.add_location("loc_leeds", "Leeds");
    let snapshots = snapshots(&server.url());
    let told = snapshots.check_location("loc_londn", None, PATIENT).await.unwrap();
    let LocationCheck::Unknown { nearest } = told else { panic!("{told:?}") };
    assert_eq!(nearest, ["loc_london (London)", "loc_leeds (Leeds)"]);
}

fn reads(server: &sandbox::Snapshots) -> usize {
    server.server().requests().len()
}

#[tokio::test]
async fn the_list_is_believed_for_ten_minutes() {
    let (server, clock) = (destination().await, Clock::default());
    let snapshots = timed(&server.url(), &clock);
    clock.set(1000);
    assert_eq!(check(&snapshots, "loc_london").await, LocationCheck::Known);
    server.remove_location("loc_london");
    server.add_location("loc_paris", "Paris");
    clock.set(1000 + 599);
    assert_eq!(check(&snapshots, "loc_london").await, LocationCheck::Known);
    assert_eq!(reads(&server), 1);
    clock.set(1000 + 600);
    assert_eq!(check(&snapshots, "loc_london").await, UNKNOWN);
    assert_eq!(reads(&server), 2);
}

#[tokio::test]
async fn a_miss_is_looked_up_again_at_most_once_a_minute() {
    let (server, clock) = (destination().await, Clock::default());
    let snapshots = timed(&server.url(), &clock);
    clock.set(1000);
    assert_eq!(check(&snapshots, "loc_paris").await, UNKNOWN);
    server.add_location("loc_paris", "Paris");
    clock.set(1000 + 59);
    assert_eq!(check(&snapshots, "loc_paris").await, UNKNOWN);
    assert_eq!(check(&snapshots, "loc_rome").await, UNKNOWN);
    assert_eq!(reads(&server), 1);
    clock.set(1000 + 60);
    assert_eq!(check(&snapshots, "loc_paris").await, LocationCheck::Known);
    assert_eq!(check(&snapshots, "loc_rome").await, UNKNOWN);
    assert_eq!(reads(&server), 2);
}

#[tokio::test]
async fn a_miss_is_looked_up_again_for_a_person_who_asked_since() {
    let (server, clock) = (destination().await, Clock::default());
    let snapshots = timed(&server.url(), &clock);
    let asked = async |second| {
        let asked_at = Some(Timestamp::from_second(second).unwrap());
        snapshots.check_location("loc_paris", asked_at, PATIENT).await.unwrap()
    };
    clock.set(1000);
    assert_eq!(check(&snapshots, "loc_paris").await, UNKNOWN);
    server.add_location("loc_paris", "Paris");
    clock.set(1002);
    assert!(matches!(asked(1000).await, LocationCheck::Unknown { .. }));
    assert_eq!(reads(&server), 1);
    assert_eq!(asked(1001).await, LocationCheck::Known);
    assert_eq!(reads(&server), 2);
    // What is known needs no second look.
    assert_eq!(asked(1002).await, LocationCheck::Known);
    assert_eq!(reads(&server), 2);
}

#[tokio::test]
async fn a_clock_that_goes_back_is_not_believed() {
    let (server, clock) = (destination().await, Clock::default());
    let snapshots = timed(&server.url(), &clock);
    clock.set(1000);
    check(&snapshots, "loc_london").await;
    clock.set(1);
    check(&snapshots, "loc_london").await;
    assert_eq!(reads(&server), 2);
}

#[tokio::test]
async fn many_at_once_read_it_once() {
    let server = destination().await;
    let snapshots = snapshots(&server.url());
    let checks = join_all((0..20).map(|_| check(&snapshots, "loc_london"))).await;
    assert!(checks.iter().all(|check| *check == LocationCheck::Known));
    assert_eq!(reads(&server), 1);
}

#[tokio::test]
async fn where_none_are_listed_none_are_checked() {
    for (status, body) in [
        ("404 Not Found", ""),
        ("405 Method Not Allowed", ""),
        ("501 Not Implemented", ""),
        ("200 OK", "[]"),
        ("200 OK", r#"{"locations": []}"#),
        ("200 OK", r#"{"places": ["a"]}"#),
        ("200 OK", "<html>"),
    ] {
        let (raw, clock) = (Raw::answering(status, body), Clock::default());
        let snapshots = timed(&raw.url, &clock);
        for second in [0, 599] {
            clock.set(second);
            assert_eq!(check(&snapshots, "a").await, LocationCheck::Unchecked, "{status} {body}");
        }
        assert_eq!(raw.requests.try_iter().count(), 1, "{status} {body}");
        clock.set(600);
        assert_eq!(check(&snapshots, "a").await, LocationCheck::Unchecked);
        assert_eq!(raw.requests.try_iter().count(), 1, "{status} {body}");
    }
}

#[tokio::test]
async fn one_page_of_several_proves_no_absence() {
    let raw = Raw::answering("200 OK", r#"{"locations": [{"id": "a"}], "next_cursor": "b"}"#);
    let snapshots = snapshots(&raw.url);
    assert_eq!(check(&snapshots, "a").await, LocationCheck::Known);
    assert_eq!(check(&snapshots, "c").await, LocationCheck::Unchecked);
}

#[tokio::test]
async fn a_destination_declared_without_a_list_is_not_asked() {
    let raw = Raw::answering("200 OK", "[]");
    let definition = DestinationDefinition { locations_path: None, ..snapshots_definition().clone() };
    let snapshots = Snapshots::new(http(), Keys::good(), &raw.url, &definition).unwrap();
    assert_eq!(check(&snapshots, "a").await, LocationCheck::Unchecked);
    assert!(raw.nothing_seen());
}

#[tokio::test]
async fn a_lacking_scope_is_named() {
    let server = destination().await;
    server.set_scopes(&[]);
    let keys = Keys::good();
    let snapshots = Snapshots::new(http(), keys.clone(), &server.url(), snapshots_definition()).unwrap();
    let error = failed(snapshots.check_location("loc_london", None, PATIENT).await, RemoteClass::Unauthorized);
    assert_eq!(error.message, "403: GET /locations needs the scope saas/location.read");
    assert_eq!(keys.refused(), ["destinations/snapshots"]);
    server.set_scopes(&[sandbox::snapshots::LOCATION_SCOPE]);
    assert_eq!(check(&snapshots, "loc_london").await, LocationCheck::Known);
}

#[tokio::test]
async fn a_failure_to_read_it_is_told_and_not_remembered() {
    let server = destination().await;
    let snapshots = snapshots(&server.url());
    server.server().add_fault(Fault::status(503).once());
    failed(snapshots.check_location("loc_london", None, PATIENT).await, RemoteClass::Failed);
    assert_eq!(check(&snapshots, "loc_london").await, LocationCheck::Known);
}
