//! The sandbox's faults, as our clients see them.

use crate::support::{BRIEF, PATIENT, accredible, destination, failed, plan, record, request, snapshots, sources};
use certbridge_sandbox::Fault;
use certbridge_sync::{
    error::RemoteClass,
    ports::{Destination, Fetched, Sources},
};
use std::time::Duration;

#[tokio::test]
async fn a_status_is_answered_and_nothing_applied() {
    let server = destination().await;
    let fault = Fault::Status { status: 429, retry_after: Some("9".into()) };
    server.server().add_fault(fault.times(2).on("POST", "/certificates/1"));
    let snapshots = snapshots(&server.url());
    for _ in 0..2 {
        let error = failed(snapshots.push(&record("1"), &request("1"), "k", PATIENT).await, RemoteClass::Throttled);
        assert_eq!(error.retry_after, Some(Duration::from_secs(9)));
    }
    assert!(server.applications().is_empty());
    snapshots.push(&record("1"), &request("1"), "k", PATIENT).await.unwrap();
    assert_eq!(server.applications().len(), 1);
}

#[tokio::test]
async fn a_cut_applies_nothing() {
    let server = destination().await;
    server.server().add_fault(Fault::Cut.once());
    let snapshots = snapshots(&server.url());
    failed(snapshots.push(&record("1"), &request("1"), "k", PATIENT).await, RemoteClass::Unanswered);
    assert!(server.applications().is_empty());
    snapshots.push(&record("1"), &request("1"), "k", PATIENT).await.unwrap();
    assert_eq!(server.applications().len(), 1);
    let log = server.server().requests();
    assert_eq!((log[0].status, log[1].status), (None, Some(200)));
    assert_eq!((&log[0].fault, &log[1].fault), (&Some(Fault::Cut), &None));
}

#[tokio::test]
async fn a_lost_answer_is_applied_once_whatever_is_repeated() {
    let server = destination().await;
    server.server().add_fault(Fault::AnswerLost.once());
    let snapshots = snapshots(&server.url());
    failed(snapshots.push(&record("1"), &request("1"), "k", PATIENT).await, RemoteClass::Unanswered);
    assert_eq!(server.applications().len(), 1);
    snapshots.push(&record("1"), &request("1"), "k", PATIENT).await.unwrap();
    assert_eq!(server.applications().len(), 1);
}

#[tokio::test]
async fn what_is_applied_late_regresses_what_came_after() {
    let server = destination().await;
    server.server().add_fault(Fault::AppliedLate { ms: None }.once());
    let snapshots = snapshots(&server.url());
    failed(snapshots.push(&record("1"), &request("1"), "old", PATIENT).await, RemoteClass::Unanswered);
    assert!(server.applications().is_empty());
    let mut newer = request("1");
    newer.body["title"] = "newer".into();
    snapshots.push(&record("1"), &newer, "new", PATIENT).await.unwrap();
    assert_eq!(server.certificate("1").unwrap(), newer.body);
    assert_eq!(server.server().release_late().await, 1);
    assert_eq!(server.certificate("1").unwrap(), request("1").body);
    assert_eq!(server.server().release_late().await, 0);
    assert_eq!(server.applications().len(), 2);
}

#[tokio::test]
async fn what_is_applied_late_is_not_applied_twice_under_one_key() {
    let server = destination().await;
    server.server().add_fault(Fault::AppliedLate { ms: None }.once());
    let snapshots = snapshots(&server.url());
    failed(snapshots.push(&record("1"), &request("1"), "k", PATIENT).await, RemoteClass::Unanswered);
    snapshots.push(&record("1"), &request("1"), "k", PATIENT).await.unwrap();
    server.server().release_late().await;
    assert_eq!(server.applications().len(), 1);
}

#[tokio::test]
async fn what_is_applied_late_comes_by_itself_too() {
    let server = destination().await;
    server.server().add_fault(Fault::AppliedLate { ms: Some(1) }.once());
    failed(snapshots(&server.url()).push(&record("1"), &request("1"), "k", PATIENT).await, RemoteClass::Unanswered);
    let applied = async {
        while server.applications().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENT, applied).await.unwrap();
}

#[tokio::test]
async fn a_hang_ends_with_the_clients_patience() {
    let server = accredible().await;
    server.server().add_fault(Fault::Hang.once());
    let sources = sources(&server.url());
    failed(sources.fetch(&plan(), &record("1"), BRIEF).await, RemoteClass::Unanswered);
    assert!(matches!(sources.fetch(&plan(), &record("1"), PATIENT).await, Ok(Fetched::Found(_))));
}

#[tokio::test]
async fn a_delay_is_only_a_delay() {
    let server = accredible().await;
    server.server().add_fault(Fault::Delay { ms: 1 }.always());
    assert!(matches!(sources(&server.url()).fetch(&plan(), &record("1"), PATIENT).await, Ok(Fetched::Found(_))));
}

#[tokio::test]
async fn a_wrong_body_is_unusable_for_a_fetch_and_no_matter_for_a_push() {
    let (source, server) = (accredible().await, destination().await);
    source.server().add_fault(Fault::WrongBody.once());
    failed(sources(&source.url()).fetch(&plan(), &record("1"), PATIENT).await, RemoteClass::Unusable);
    server.server().add_fault(Fault::WrongBody.once());
    let pushed = snapshots(&server.url()).push(&record("1"), &request("1"), "k", PATIENT).await.unwrap();
    assert_eq!((pushed.request_id, server.applications().len()), (None, 1));
}
