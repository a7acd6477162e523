//! What every implementation of the ports does.

use crate::{
    backend::Subject,
    sample::{
        at, audit, audit_saying, commit, event, event_key, lease, poll_mark, precisely, record_key, reschedule, row,
        row_of, settle, state, version,
    },
};
pub(crate) use crate::{batches::*, catalog::*, grants::*, ids::*};
use certbridge_mapping::{Kind, Operation, RecordKey, digest::sha256_hex, event::Order, record::CertificateStatus};
use certbridge_sync::{
    StoreError,
    breaker::BreakerState,
    poll::{PollMark, PollWalk},
    ports::{ClaimError, CommitError, Inserted, Overdue, Scanned},
    row::{INDEX_SHARDS, InboxRow, InboxState, RecordRow, Release, Reschedule, Settle},
    verify_chain,
};
use futures::future::join_all;

// The inbox

pub(crate) async fn a_row_is_new_once(store: impl Subject) {
    let row = row("e");
    assert_eq!(store.insert(&row).await, Ok(Inserted::New));
    let exists = Inserted::Exists { body_digest: row.body_digest.clone() };
    assert_eq!(store.insert(&row).await, Ok(exists));
}

pub(crate) async fn the_same_id_with_other_bytes_leaves_the_row_alone(store: impl Subject) {
    let first = row_of(event_key("e"), b"one");
    store.insert(&first).await.unwrap();
    let answer = store.insert(&row_of(event_key("e"), b"two")).await;
    assert_eq!(answer, Ok(Inserted::Exists { body_digest: sha256_hex(b"one") }));
    assert_eq!(store.get(&first.key).await, Ok(Some(first)));
}

pub(crate) async fn of_many_inserts_at_once_one_is_new(store: impl Subject) {
    let inserts = (0..64).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.insert(&row("e")).await.unwrap() })
    });
    let answers: Vec<_> = join_all(inserts).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| **answer == Inserted::New).count(), 1);
}

pub(crate) async fn an_unknown_key_has_no_row(store: impl Subject) {
    assert_eq!(store.get(&event_key("e")).await, Ok(None));
    assert_eq!(store.read(&record_key("10")).await, Ok(None));
}

async fn comes_back(store: &impl Subject, row: InboxRow) {
    assert_eq!(store.insert(&row).await, Ok(Inserted::New));
    assert_eq!(store.get(&row.key).await, Ok(Some(row)));
}

pub(crate) async fn a_full_row_comes_back_as_it_was(store: impl Subject) {
    let body: Vec<u8> = (0..256 * 1024_u32).map(|byte| (byte % 251) as u8).collect();
    let full = InboxRow {
        state: InboxState::Settled,
        attempt: u32::MAX,
        reason: Some("synced \u{1f980}".into()),
        must_push: true,
        settled_by: Some(u64::MAX),
        expires_at: Some(at(86_400)),
        trace: "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1".parse().ok(),
        ..row_of(event_key(&"i".repeat(512)), &body)
    };
    comes_back(&store, full).await;
}

pub(crate) async fn a_bare_row_comes_back_as_it_was(store: impl Subject) {
    let bare = row_of(event_key("e"), b"");
    comes_back(&store, InboxRow { event: None, proven_by: String::new(), ..bare }).await;
    let hint = certbridge_mapping::Event { version: None, on_behalf_of: None, ..event(&event_key("h")) };
    comes_back(&store, InboxRow { event: Some(hint), reason: Some(String::new()), ..row("h") }).await;
}

pub(crate) async fn every_state_operation_and_order_comes_back(store: impl Subject) {
    for state in [InboxState::Pending, InboxState::Settled, InboxState::Quarantined, InboxState::Failed] {
        comes_back(&store, InboxRow { state, ..row(state.as_str()) }).await;
    }
    let operations = [Operation::Created, Operation::Updated, Operation::Revoked, Operation::Deleted, Operation::Audit];
    for operation in operations {
        let row = row(&operation.to_string());
        let event = certbridge_mapping::Event { operation, ..event(&row.key) };
        comes_back(&store, InboxRow { event: Some(event), ..row }).await;
    }
    for (id, order) in [("revision", Order::Revision(u64::MAX)), ("time", Order::Time(precisely(0)))] {
        let event = certbridge_mapping::Event { version: Some(version(order)), ..event(&event_key(id)) };
        comes_back(&store, InboxRow { event: Some(event), ..row(id) }).await;
    }
}

pub(crate) async fn keys_may_hold_separators(store: impl Subject) {
    // A conflicting delivery stands under a key of its own, and names the event's.
    let conflicting = event_key("a#b é").conflicting(&sha256_hex(b"x"));
    let mut row = row_of(conflicting, b"x");
    row.event = Some(event(&event_key("a#b é")));
    comes_back(&store, row).await;
}

pub(crate) async fn a_pending_row_is_rescheduled(store: impl Subject) {
    let row = row("e");
    store.insert(&row).await.unwrap();
    let to = reschedule(1, 90);
    assert_eq!(store.reschedule(&row.key, 0, &to).await, Ok(true));
    let reason = Some(to.reason);
    let moved = InboxRow { attempt: 1, unseen: 2, next_at: at(90), reason, must_push: true, ..row };
    assert_eq!(store.get(&moved.key).await, Ok(Some(moved)));
}

/// Whoever reschedules may have read the row before it was set.
pub(crate) async fn a_doubt_about_a_row_stays(store: impl Subject) {
    let (key, event) = (record_key("10"), InboxRow { must_push: true, ..row("e") });
    store.insert(&event).await.unwrap();
    let to = Reschedule { must_push: false, ..reschedule(0, 90) };
    assert_eq!(store.reschedule(&event.key, 0, &to).await, Ok(true));
    assert!(store.get(&event.key).await.unwrap().unwrap().must_push);
    let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    let (audit, knowing) = (audit(&claim), settle(&event.key, 0).map(|settle| Settle { must_push: true, ..settle }));
    assert_eq!(store.commit(&commit(&claim, None, &audit, knowing)).await, Ok(()));
}

pub(crate) async fn a_row_that_moved_is_not_rescheduled(store: impl Subject) {
    let pending = InboxRow { attempt: 2, ..row("e") };
    store.insert(&pending).await.unwrap();
    assert_eq!(store.reschedule(&pending.key, 1, &reschedule(2, 90)).await, Ok(false));
    assert_eq!(store.get(&pending.key).await, Ok(Some(pending)));
    for state in [InboxState::Settled, InboxState::Quarantined, InboxState::Failed] {
        let row = InboxRow { state, ..row(state.as_str()) };
        store.insert(&row).await.unwrap();
        assert_eq!(store.reschedule(&row.key, 0, &reschedule(1, 90)).await, Ok(false));
        assert_eq!(store.get(&row.key).await, Ok(Some(row)));
    }
    assert_eq!(store.reschedule(&event_key("none"), 0, &reschedule(1, 90)).await, Ok(false));
    assert_eq!(store.get(&event_key("none")).await, Ok(None), "nor made");
}

pub(crate) async fn a_pending_row_is_set_aside(store: impl Subject) {
    for state in [InboxState::Quarantined, InboxState::Failed] {
        let row = InboxRow { attempt: 3, ..row(state.as_str()) };
        store.insert(&row).await.unwrap();
        assert_eq!(store.set_aside(&row.key, 3, state, "no such location").await, Ok(true));
        let aside = InboxRow { state, reason: Some("no such location".into()), ..row };
        assert_eq!(store.get(&aside.key).await, Ok(Some(aside)));
    }
}

pub(crate) async fn a_row_that_moved_is_not_set_aside(store: impl Subject) {
    let pending = InboxRow { attempt: 2, ..row("e") };
    store.insert(&pending).await.unwrap();
    assert_eq!(store.set_aside(&pending.key, 1, InboxState::Failed, "x").await, Ok(false));
    assert_eq!(store.get(&pending.key).await, Ok(Some(pending)));
    let settled = InboxRow { state: InboxState::Settled, ..row("s") };
    store.insert(&settled).await.unwrap();
    assert_eq!(store.set_aside(&settled.key, 0, InboxState::Failed, "x").await, Ok(false));
    assert_eq!(store.get(&settled.key).await, Ok(Some(settled)));
    assert_eq!(store.set_aside(&event_key("none"), 0, InboxState::Failed, "x").await, Ok(false));
    assert_eq!(store.get(&event_key("none")).await, Ok(None), "nor made");
}

// The index of what is not settled

/// The first ids whose keys fall into shard 3.
fn ids_of_one_shard(count: usize) -> Vec<String> {
    (0..).map(|n: u32| n.to_string()).filter(|id| InboxRow::shard(&event_key(id)) == 3).take(count).collect()
}

/// All pages, of so many rows at most.
pub(crate) async fn all<T, F: Future<Output = Result<Scanned<T>, StoreError>>>(
    page: impl Fn(Option<String>) -> F,
) -> Vec<T> {
    let (mut items, mut cursor) = (Vec::new(), None);
    loop {
        let scanned = page(cursor).await.unwrap();
        items.extend(scanned.items);
        cursor = scanned.next;
        if cursor.is_none() {
            return items;
        }
    }
}

pub(crate) async fn records_are_listed_page_by_page(store: impl Subject) {
    let mut keys: Vec<_> = (0..7).map(|n| record_key(&n.to_string())).collect();
    for key in &keys {
        store.claim(key, &lease("a", 30), at(0)).await.unwrap();
    }
    // One of another source is listed, too; one of another kind is not.
    let other = RecordKey { source: "accredible2".into(), ..record_key("x") };
    let location = RecordKey { kind: Kind::Location, ..record_key("x") };
    for key in [&other, &location] {
        store.claim(key, &lease("a", 30), at(0)).await.unwrap();
    }
    keys.push(other);
    let store = &store;
    for limit in [1, 3, 100] {
        let listed =
            all(async |cursor: Option<String>| store.records(Kind::Certificate, cursor.as_deref(), limit).await).await;
        let mut found: Vec<_> = listed.iter().map(|row| row.key.clone()).collect();
        found.sort();
        keys.sort();
        assert_eq!(found, keys);
        assert!(listed.iter().all(|row| row.fence == 1 && row.lease.is_some()));
    }
}

pub(crate) async fn unsettled_events_are_listed_by_state(store: impl Subject) {
    let ids = ids_of_one_shard(9);
    for (place, id) in ids.iter().enumerate() {
        store.insert(&row(id)).await.unwrap();
        if place >= 5 {
            store.set_aside(&event_key(id), 0, InboxState::Quarantined, "x").await.unwrap();
        }
    }
    let store = &store;
    for (state, mut wanted) in [
        (InboxState::Pending, ids[..5].to_vec()),
        (InboxState::Quarantined, ids[5..].to_vec()),
        (InboxState::Failed, vec![]),
    ] {
        for limit in [2, 100] {
            let listed =
                all(async |cursor: Option<String>| store.unsettled(state, 3, cursor.as_deref(), limit).await).await;
            let mut found: Vec<_> = listed.into_iter().map(|key| key.id).collect();
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted, "{state:?}");
        }
    }
}

pub(crate) async fn overdue_rows_come_oldest_first_and_not_too_many(store: impl Subject) {
    let ids = ids_of_one_shard(4);
    for (id, due) in ids.iter().zip([40, 9, 100, 30]) {
        store.insert(&InboxRow { next_at: at(due), ..row(id) }).await.unwrap();
    }
    let order: [(usize, i64); 4] = [(1, 9), (3, 30), (0, 40), (2, 100)];
    let oldest: Vec<_> = order.map(|(place, due)| Overdue { key: event_key(&ids[place]), since: at(due) }).into();
    assert_eq!(store.overdue(3, at(1000), 10).await, Ok(oldest.clone()));
    assert_eq!(store.overdue(3, at(1000), 2).await, Ok(oldest[..2].to_vec()));
    assert_eq!(store.overdue(3, at(1000), 0).await, Ok(vec![]));
    assert_eq!(store.overdue(3, at(40), 10).await, Ok(oldest[..3].to_vec()));
}

pub(crate) async fn a_row_is_not_overdue_before_its_time(store: impl Subject) {
    let row = row("e");
    let shard = InboxRow::shard(&row.key);
    store.insert(&row).await.unwrap();
    assert_eq!(store.overdue(shard, at(59), 10).await, Ok(vec![]));
    assert_eq!(store.overdue(shard, at(60), 10).await, Ok(vec![Overdue { key: row.key.clone(), since: at(60) }]));
    store.reschedule(&row.key, 0, &reschedule(1, 90)).await.unwrap();
    assert_eq!(store.overdue(shard, at(89), 10).await, Ok(vec![]));
    assert_eq!(store.overdue(shard, at(90), 10).await, Ok(vec![Overdue { key: row.key, since: at(90) }]));
}

pub(crate) async fn only_pending_rows_are_overdue(store: impl Subject) {
    let ids = ids_of_one_shard(6);
    for (id, state) in ids.iter().zip([InboxState::Settled, InboxState::Quarantined, InboxState::Failed]) {
        store.insert(&InboxRow { state, ..row(id) }).await.unwrap();
    }
    for (id, state) in ids[3..5].iter().zip([InboxState::Quarantined, InboxState::Failed]) {
        store.insert(&row(id)).await.unwrap();
        store.set_aside(&event_key(id), 0, state, "x").await.unwrap();
    }
    let settled = row(&ids[5]);
    store.insert(&settled).await.unwrap();
    let claim = store.claim(&record_key("10"), &lease("a", 30), at(0)).await.unwrap();
    store.commit(&commit(&claim, None, &audit(&claim), settle(&settled.key, 0))).await.unwrap();
    assert_eq!(store.overdue(3, at(1000), 10).await, Ok(vec![]));
}

pub(crate) async fn overdue_rows_are_found_in_the_shard_of_their_key(store: impl Subject) {
    let mut keys: Vec<_> = (0..40).map(|n| event_key(&n.to_string())).collect();
    for key in &keys {
        store.insert(&row_of(key.clone(), b"{}")).await.unwrap();
    }
    let mut found = Vec::new();
    for shard in 0..INDEX_SHARDS {
        let overdue = store.overdue(shard, at(1000), 100).await.unwrap();
        assert!(overdue.iter().all(|overdue| InboxRow::shard(&overdue.key) == shard));
        found.extend(overdue.into_iter().map(|overdue| overdue.key));
    }
    keys.sort();
    found.sort();
    assert_eq!(found, keys);
}

// Claims

pub(crate) async fn the_first_claim_makes_the_record(store: impl Subject) {
    let key = record_key("10");
    let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    assert_eq!(claim.row, RecordRow::new(key.clone()));
    assert_eq!((claim.fence, claim.must_push, &claim.lease), (1, false, &lease("a", 30)));
    let made = RecordRow { fence: 1, lease: Some(lease("a", 30)), ..RecordRow::new(key.clone()) };
    assert_eq!(store.read(&key).await, Ok(Some(made)));
}

pub(crate) async fn a_live_lease_keeps_others_out(store: impl Subject) {
    let key = record_key("10");
    store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    for now in [0, 29, 30] {
        let answer = store.claim(&key, &lease("b", 99), at(now)).await;
        assert_eq!(answer, Err(ClaimError::Leased { until: at(30) }));
    }
    let held = store.read(&key).await.unwrap().unwrap();
    assert_eq!((held.fence, held.lease), (1, Some(lease("a", 30))));
}

pub(crate) async fn a_lease_that_ran_out_is_replaced_and_must_push(store: impl Subject) {
    let key = record_key("10");
    store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    let claim = store.claim(&key, &lease("b", 60), at(31)).await.unwrap();
    assert_eq!((claim.fence, claim.must_push), (2, true));
    assert_eq!((claim.row.fence, claim.row.lease), (1, Some(lease("a", 30))));
}

pub(crate) async fn an_owner_may_repeat_a_claim(store: impl Subject) {
    let key = record_key("10");
    let first = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    let again = store.claim(&key, &lease("a", 30), at(1)).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(store.read(&key).await.unwrap().unwrap().fence, 1, "one step");
    store.commit(&commit(&again, None, &audit(&again), None)).await.unwrap();
}

pub(crate) async fn a_repeated_claim_still_must_push(store: impl Subject) {
    let key = record_key("10");
    store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    for _ in 0..2 {
        let claim = store.claim(&key, &lease("b", 60), at(31)).await.unwrap();
        assert_eq!((claim.fence, claim.must_push, claim.row.fence), (2, true, 1));
    }
}

pub(crate) async fn fences_grow(store: impl Subject) {
    let key = record_key("10");
    for fence in 1..=12 {
        let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
        assert_eq!(claim.fence, fence);
        store.release(&claim, Release::Clean).await.unwrap();
    }
}

pub(crate) async fn of_two_racing_claims_one_wins(store: impl Subject) {
    for round in 0..8 {
        let claims = ["a", "b"].map(|owner| {
            let (store, key) = (store.clone(), record_key(&round.to_string()));
            tokio::spawn(async move { store.claim(&key, &lease(owner, 30), at(0)).await })
        });
        let answers: Vec<_> = join_all(claims).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert!(answers.contains(&Err(ClaimError::Leased { until: at(30) })));
    }
}

pub(crate) async fn a_clean_release_ends_the_lease_without_doubt(store: impl Subject) {
    let key = record_key("10");
    let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    assert_eq!(store.release(&claim, Release::Clean).await, Ok(()));
    let claim = store.claim(&key, &lease("b", 30), at(1)).await.unwrap();
    assert_eq!((claim.fence, claim.must_push, claim.row.lease), (2, false, None));
}

pub(crate) async fn a_release_in_doubt_must_push(store: impl Subject) {
    let key = record_key("10");
    let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    assert_eq!(store.release(&claim, Release::InDoubt).await, Ok(()));
    let claim = store.claim(&key, &lease("b", 30), at(1)).await.unwrap();
    assert_eq!((claim.fence, claim.must_push, claim.row.lease), (2, true, None));
}

pub(crate) async fn a_clean_release_clears_an_older_doubt(store: impl Subject) {
    let key = record_key("10");
    store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    let claim = store.claim(&key, &lease("b", 60), at(31)).await.unwrap();
    store.release(&claim, Release::Clean).await.unwrap();
    assert!(!store.claim(&key, &lease("c", 90), at(32)).await.unwrap().must_push);
}

pub(crate) async fn a_replaced_claimant_releases_nothing(store: impl Subject) {
    let key = record_key("10");
    let replaced = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    store.claim(&key, &lease("b", 60), at(31)).await.unwrap();
    for release in [Release::Clean, Release::InDoubt] {
        assert_eq!(store.release(&replaced, release).await, Ok(()));
    }
    let row = store.read(&key).await.unwrap().unwrap();
    assert_eq!((row.fence, row.clean_fence, row.lease), (2, 0, Some(lease("b", 60))));
}

// Commits

pub(crate) async fn a_commit_writes_record_trail_and_event(store: impl Subject) {
    let (key, event) = (record_key("10"), InboxRow { attempt: 2, ..row("e") });
    store.insert(&event).await.unwrap();
    let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    let (state, audit) = (state("Rust"), audit(&claim));
    assert_eq!(store.commit(&commit(&claim, Some(&state), &audit, settle(&event.key, 2))).await, Ok(()));

    let committed = RecordRow {
        fetched_at: Some(precisely(1)),
        key: key.clone(),
        fence: 1,
        clean_fence: 1,
        lease: None,
        audit: audit.head(),
        salt: Some("salt".into()),
        state: Some(state),
        husk: None,
        hold: false,
    };
    assert_eq!(store.read(&key).await, Ok(Some(committed)));
    assert_eq!(store.trail(&key).await, [audit]);
    let settled = InboxRow {
        state: InboxState::Settled,
        reason: Some("synced".into()),
        settled_by: Some(1),
        expires_at: Some(at(86_400)),
        ..event
    };
    assert_eq!(store.get(&settled.key).await, Ok(Some(settled)));
}

pub(crate) async fn a_commit_may_settle_nothing(store: impl Subject) {
    let (key, event) = (record_key("10"), row("e"));
    store.insert(&event).await.unwrap();
    let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    assert_eq!(store.commit(&commit(&claim, Some(&state("Rust")), &audit(&claim), None)).await, Ok(()));
    assert_eq!(store.trail(&key).await.len(), 1);
    assert_eq!(store.get(&event.key).await, Ok(Some(event)));
}

pub(crate) async fn a_commit_without_a_state_keeps_the_old_one(store: impl Subject) {
    let (key, state) = (record_key("10"), state("Rust"));
    for given in [Some(&state), None] {
        let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
        store.commit(&commit(&claim, given, &audit(&claim), None)).await.unwrap();
        assert_eq!(store.read(&key).await.unwrap().unwrap().state.as_ref(), Some(&state));
    }
    assert_eq!(store.trail(&key).await.len(), 2);
}

pub(crate) async fn every_field_of_a_state_comes_back(store: impl Subject) {
    let key = record_key("10");
    let mut bare = state("Rust");
    bare.version = None;
    let timed = certbridge_sync::row::RecordState {
        version: Some(version(Order::Time(precisely(7)))),
        record: bare.record.clone().after(Operation::Deleted),
        ..state("Rust")
    };
    let mut states = vec![state("Rust"), bare, timed];
    for status in [CertificateStatus::Expired, CertificateStatus::Revoked] {
        let mut state = state("Rust");
        let certbridge_mapping::Record::Certificate(certificate) = &mut state.record else { panic!("no certificate") };
        certificate.status = status;
        states.push(state);
    }
    for state in states {
        let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
        store.commit(&commit(&claim, Some(&state), &audit(&claim), None)).await.unwrap();
        assert_eq!(store.read(&key).await.unwrap().unwrap().state, Some(state), "nothing is left of the one before");
    }
}

pub(crate) async fn a_commit_clears_an_older_doubt(store: impl Subject) {
    let key = record_key("10");
    store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    let claim = store.claim(&key, &lease("b", 60), at(31)).await.unwrap();
    assert!(claim.must_push);
    store.commit(&commit(&claim, None, &audit(&claim), None)).await.unwrap();
    assert!(!store.claim(&key, &lease("c", 90), at(32)).await.unwrap().must_push);
}

pub(crate) async fn a_lost_fence_commits_nothing(store: impl Subject) {
    let (key, event) = (record_key("10"), row("e"));
    store.insert(&event).await.unwrap();
    let lost = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    store.claim(&key, &lease("b", 60), at(31)).await.unwrap();
    let before = store.read(&key).await;
    let (state, audit) = (state("Rust"), audit(&lost));
    for settle in [settle(&event.key, 0), settle(&event.key, 1), None] {
        let answer = store.commit(&commit(&lost, Some(&state), &audit, settle)).await;
        assert_eq!(answer, Err(CommitError::FenceLost));
    }
    assert_eq!(store.read(&key).await, before);
    assert_eq!(store.trail(&key).await, []);
    assert_eq!(store.get(&event.key).await, Ok(Some(event)));
}

pub(crate) async fn a_released_claim_commits_nothing(store: impl Subject) {
    let key = record_key("10");
    let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    store.release(&claim, Release::InDoubt).await.unwrap();
    let answer = store.commit(&commit(&claim, None, &audit(&claim), None)).await;
    assert_eq!(answer, Err(CommitError::FenceLost));
    assert_eq!(store.trail(&key).await, []);
}

pub(crate) async fn an_owners_older_claim_is_not_its_newer_one(store: impl Subject) {
    let key = record_key("10");
    let older = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    let newer = store.claim(&key, &lease("a", 60), at(31)).await.unwrap();
    assert_eq!((newer.fence, newer.must_push), (2, true));
    store.release(&older, Release::Clean).await.unwrap();
    let answer = store.commit(&commit(&older, None, &audit(&older), None)).await;
    assert_eq!(answer, Err(CommitError::FenceLost));
    assert_eq!(store.commit(&commit(&newer, None, &audit(&newer), None)).await, Ok(()));
}

pub(crate) async fn an_event_that_moved_commits_nothing(store: impl Subject) {
    let key = record_key("10");
    let moved = [
        InboxRow { attempt: 1, ..row("later") },
        InboxRow { state: InboxState::Settled, settled_by: Some(7), ..row("settled") },
        InboxRow { state: InboxState::Quarantined, ..row("aside") },
        InboxRow { must_push: true, ..row("doubted") },
    ];
    let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    let before = store.read(&key).await;
    let (state, audit) = (state("Rust"), audit(&claim));
    for event in moved {
        store.insert(&event).await.unwrap();
        let answer = store.commit(&commit(&claim, Some(&state), &audit, settle(&event.key, 0))).await;
        assert_eq!(answer, Err(CommitError::EventMoved));
        assert_eq!(store.get(&event.key).await, Ok(Some(event)));
    }
    assert_eq!(store.read(&key).await, before);
    assert_eq!(store.trail(&key).await, []);
}

pub(crate) async fn a_claim_outlives_a_commit_whose_event_moved(store: impl Subject) {
    let (key, event) = (record_key("10"), InboxRow { attempt: 1, ..row("e") });
    store.insert(&event).await.unwrap();
    let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    let audit = audit(&claim);
    let answer = store.commit(&commit(&claim, None, &audit, settle(&event.key, 0))).await;
    assert_eq!(answer, Err(CommitError::EventMoved));
    assert_eq!(store.commit(&commit(&claim, None, &audit_saying(&claim, "Go"), None)).await, Ok(()));
    assert_eq!(store.trail(&key).await.len(), 1);
}

pub(crate) async fn an_unknown_event_commits_nothing(store: impl Subject) {
    let key = record_key("10");
    let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    let answer = store.commit(&commit(&claim, None, &audit(&claim), settle(&event_key("none"), 0))).await;
    assert_eq!(answer, Err(CommitError::EventMoved));
    assert_eq!(store.get(&event_key("none")).await, Ok(None));
    assert_eq!(store.trail(&key).await, []);
}

pub(crate) async fn a_commit_may_be_repeated(store: impl Subject) {
    let (key, event) = (record_key("10"), row("e"));
    store.insert(&event).await.unwrap();
    let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    let (state, audit) = (state("Rust"), audit(&claim));
    for _ in 0..3 {
        assert_eq!(store.commit(&commit(&claim, Some(&state), &audit, settle(&event.key, 0))).await, Ok(()));
    }
    assert_eq!(store.trail(&key).await, [audit]);
}

pub(crate) async fn a_commit_may_be_repeated_after_another(store: impl Subject) {
    let key = record_key("10");
    let first = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    let (old, first_audit) = (state("Rust"), audit(&first));
    store.commit(&commit(&first, Some(&old), &first_audit, None)).await.unwrap();
    let second = store.claim(&key, &lease("b", 30), at(1)).await.unwrap();
    let (new, second_audit) = (state("Go"), audit(&second));
    store.commit(&commit(&second, Some(&new), &second_audit, None)).await.unwrap();
    assert_eq!(store.commit(&commit(&first, Some(&old), &first_audit, None)).await, Ok(()));
    assert_eq!(store.read(&key).await.unwrap().unwrap().state, Some(new), "and takes nothing back");
    assert_eq!(store.trail(&key).await, [first_audit, second_audit]);
}

pub(crate) async fn a_settled_event_moves_no_more(store: impl Subject) {
    let event = row("e");
    store.insert(&event).await.unwrap();
    let claim = store.claim(&record_key("10"), &lease("a", 30), at(0)).await.unwrap();
    store.commit(&commit(&claim, None, &audit(&claim), settle(&event.key, 0))).await.unwrap();
    assert_eq!(store.reschedule(&event.key, 0, &reschedule(1, 90)).await, Ok(false));
    assert_eq!(store.set_aside(&event.key, 0, InboxState::Failed, "x").await, Ok(false));
    let exists = Inserted::Exists { body_digest: event.body_digest.clone() };
    assert_eq!(store.insert(&event).await, Ok(exists));
    assert_eq!(store.get(&event.key).await.unwrap().unwrap().state, InboxState::Settled);
}

pub(crate) async fn of_two_commits_of_one_event_one_settles_it(store: impl Subject) {
    let event = row("e");
    store.insert(&event).await.unwrap();
    let mut answers = Vec::new();
    for id in ["10", "11"] {
        // A fence that differs from the other's, so that the settled row does not look like one's own.
        let claim = store.claim(&record_key(id), &lease("a", 30), at(0)).await.unwrap();
        let claim = if id == "11" {
            store.release(&claim, Release::Clean).await.unwrap();
            store.claim(&record_key(id), &lease("b", 30), at(0)).await.unwrap()
        } else {
            claim
        };
        answers.push(store.commit(&commit(&claim, None, &audit(&claim), settle(&event.key, 0))).await);
    }
    assert_eq!(answers, [Ok(()), Err(CommitError::EventMoved)]);
    assert_eq!(store.trail(&record_key("11")).await, []);
}

// Trails and breakers

pub(crate) async fn trails_are_whole_and_in_order(store: impl Subject) {
    let key = record_key("10");
    for _ in 0..12 {
        let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
        store.commit(&commit(&claim, None, &audit(&claim), None)).await.unwrap();
    }
    let (trail, row) = (store.trail(&key).await, store.read(&key).await.unwrap().unwrap());
    assert_eq!(trail.iter().map(|row| row.sequence).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    assert_eq!(verify_chain(&trail, &row.audit), Ok(()));
}

pub(crate) async fn records_do_not_share_a_trail(store: impl Subject) {
    for id in ["1", "10"] {
        let claim = store.claim(&record_key(id), &lease("a", 30), at(0)).await.unwrap();
        store.commit(&commit(&claim, None, &audit(&claim), None)).await.unwrap();
    }
    assert_eq!(store.trail(&record_key("1")).await.len(), 1);
    assert_eq!(store.trail(&record_key("2")).await, []);
}

pub(crate) async fn breakers_open_change_and_close(store: impl Subject) {
    let open = |refusals| BreakerState { open_until: precisely(30), refusals };
    let (source, destination) = ("sources/accredible", "destinations/snapshots");
    store.set_breaker(source, Some(&open(1))).await.unwrap();
    store.set_breaker(source, Some(&open(2))).await.unwrap();
    store.set_breaker(destination, Some(&open(1))).await.unwrap();
    let both = [(source.to_owned(), open(2)), (destination.to_owned(), open(1))].into();
    assert_eq!(store.open_breakers().await, both);
    store.set_breaker(source, None).await.unwrap();
    store.set_breaker(source, None).await.unwrap();
    assert_eq!(store.open_breakers().await, [(destination.to_owned(), open(1))].into());
}

// The marks of polls

const KIND: Kind = Kind::Certificate;

pub(crate) async fn a_poll_mark_comes_back_as_it_was(store: impl Subject) {
    assert_eq!(store.poll_mark("accredible", KIND).await, Ok(None));
    let full = poll_mark(1, "a");
    let fresh = PollWalk { cursor: None, latest: None, ..full.walk.clone().unwrap() };
    let fresh = PollMark { revision: 2, walk: Some(fresh), ..full.clone() };
    let bare = PollMark { revision: 3, walked_at: None, walk: None, ..full.clone() };
    for mark in [full, fresh, bare] {
        assert_eq!(store.set_poll_mark("accredible", KIND, &mark).await, Ok(true));
        assert_eq!(store.poll_mark("accredible", KIND).await, Ok(Some(mark)));
    }
}

pub(crate) async fn a_poll_mark_follows_the_one_before(store: impl Subject) {
    let set = async |revision, poll| store.set_poll_mark("accredible", KIND, &poll_mark(revision, poll)).await;
    assert_eq!(set(2, "a").await, Ok(false), "the first is the first");
    assert_eq!(store.poll_mark("accredible", KIND).await, Ok(None));
    assert_eq!((set(1, "a").await, set(2, "a").await), (Ok(true), Ok(true)));
    for revision in [1, 2, 4] {
        assert_eq!(set(revision, "b").await, Ok(false), "{revision}");
    }
    assert_eq!(store.poll_mark("accredible", KIND).await, Ok(Some(poll_mark(2, "a"))));
    assert_eq!(set(3, "b").await, Ok(true));
}

pub(crate) async fn a_poll_mark_may_be_written_again(store: impl Subject) {
    let set = async |revision| store.set_poll_mark("accredible", KIND, &poll_mark(revision, "a")).await;
    for revision in [1, 1, 2, 2] {
        assert_eq!(set(revision).await, Ok(true), "an earlier try, whose answer was lost");
    }
    assert_eq!(set(1).await, Ok(false), "and takes nothing back");
    assert_eq!(store.poll_mark("accredible", KIND).await, Ok(Some(poll_mark(2, "a"))));
}

pub(crate) async fn of_polls_at_once_one_writes(store: impl Subject) {
    let mut won = Vec::new();
    for revision in 1..=3 {
        let writes = (0..16).map(|poll| {
            let (store, mark) = (store.clone(), poll_mark(revision, &format!("poll {poll}")));
            tokio::spawn(async move { store.set_poll_mark("accredible", KIND, &mark).await.unwrap().then_some(mark) })
        });
        let written: Vec<_> = join_all(writes).await.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(written.len(), 1);
        won.extend(written);
    }
    assert_eq!(store.poll_mark("accredible", KIND).await.unwrap().as_ref(), won.last());
}

pub(crate) async fn poll_marks_stand_apart(store: impl Subject) {
    let sources = ["accredible", "accredible#2", "certificate#accredible"];
    for source in sources {
        assert_eq!(store.set_poll_mark(source, KIND, &poll_mark(1, source)).await, Ok(true));
    }
    for source in sources {
        assert_eq!(store.poll_mark(source, KIND).await, Ok(Some(poll_mark(1, source))));
    }
    assert_eq!(store.open_breakers().await, Default::default(), "and what init reads is not among them");
}
