//! The part of the contract that is about indexes, trails and rows that are opened again.

use crate::{
    backend::Subject,
    sample::{at, audit, commit, event, event_key, lease, record_key, row, state},
};
use certbridge_mapping::{Kind, RecordKey};
use certbridge_sync::{
    AuditRow,
    catalog::{self, Filter, Listed, Open},
    history::{Delivery, history, trail},
    replay::{Reopening, Replay},
    row::{AuditHead, InboxRow, InboxState, RecordState},
};

/// Commits a state of a record at a second, and ends the claim.
async fn synced(store: &impl Subject, key: &RecordKey, second: i64) {
    let claim = store.claim(key, &lease("w", second + 30), at(second)).await.unwrap();
    let state = RecordState { synced_at: at(second), ..state("Rust") };
    let audit = audit(&claim);
    store.commit(&commit(&claim, Some(&state), &audit, None)).await.unwrap();
}

async fn all_listed(store: &impl Subject, limit: usize) -> Vec<String> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let slice = catalog::records(store, Kind::Certificate, &Filter::default(), before, limit).await.unwrap();
        found.extend(slice.items.iter().map(|row| row.key.id.to_string()));
        before = slice.next;
        if before.is_none() {
            return found;
        }
    }
}

pub(crate) async fn records_are_indexed_by_when_they_were_synced(store: impl Subject) {
    for n in 0..20 {
        synced(&store, &record_key(&n.to_string()), n * 10).await;
    }
    // One that is only claimed has nothing to list; one that is synced anew moves to the front.
    store.claim(&record_key("claimed"), &lease("a", 30), at(0)).await.unwrap();
    synced(&store, &record_key("3"), 500).await;
    let mut wanted: Vec<_> = (0..20).filter(|n| *n != 3).rev().map(|n| n.to_string()).collect();
    wanted.insert(0, "3".to_owned());
    for limit in [1, 4, 19, 20, 100] {
        assert_eq!(all_listed(&store, limit).await, wanted, "{limit}");
    }
    let since = Filter { since: Some(at(185)), ..Filter::default() };
    let slice = catalog::records(&store, Kind::Certificate, &since, None, 100).await.unwrap();
    let ids: Vec<_> = slice.items.iter().map(|row| row.key.id.as_str()).collect();
    assert_eq!(ids, ["3", "19"]);
    let whole = Listed::of(&store.read(&record_key("19")).await.unwrap().unwrap()).unwrap();
    assert_eq!(slice.items[1], whole, "status and location are the record's");
    assert!(whole.status.is_some() && whole.location_id.is_some());
    let none = catalog::records(&store, Kind::Invoice, &Filter::default(), None, 100).await.unwrap();
    assert!(none.items.is_empty() && none.next.is_none());
}

pub(crate) async fn what_is_open_is_indexed_by_how_long_it_waits(store: impl Subject) {
    for n in 0..20 {
        let state = if n % 2 == 0 { InboxState::Quarantined } else { InboxState::Pending };
        let next_at = at(1000 - n);
        store.insert(&InboxRow { state, next_at, ..row(&format!("e{n:02}")) }).await.unwrap();
    }
    store.insert(&InboxRow { state: InboxState::Settled, ..row("settled") }).await.unwrap();
    for limit in [1, 3, 10, 11] {
        let (mut found, mut after): (Vec<Open>, _) = (Vec::new(), None);
        loop {
            let (page, more) = catalog::open(&store, InboxState::Quarantined, after.as_ref(), limit).await.unwrap();
            assert!(page.len() <= limit);
            found.extend(page);
            if !more {
                break;
            }
            after = found.last().cloned();
        }
        let ids: Vec<_> = found.iter().map(|open| open.key.id.clone()).collect();
        let wanted: Vec<_> = (0..20).step_by(2).rev().map(|n| format!("e{n:02}")).collect();
        assert_eq!(ids, wanted, "{limit}");
        assert_eq!(found[0].next_at, at(982));
    }
    let summary = catalog::summary(&store, at(990)).await.unwrap().events;
    assert_eq!((summary.pending, summary.quarantined, summary.failed), (10, 10, 0));
    assert_eq!((summary.oldest_pending_at, summary.complete), (Some(at(981)), true));
}

pub(crate) async fn deliveries_come_without_their_bodies_and_only_those_that_are_kept(store: impl Subject) {
    let keys: Vec<_> = (0..230).map(|n| event_key(&format!("e{n}"))).collect();
    for key in keys.iter().step_by(2) {
        store.insert(&row(&key.id)).await.unwrap();
    }
    let mut found = store.deliveries(&keys).await.unwrap();
    found.sort_by(|one, other| one.key.cmp(&other.key));
    let mut wanted: Vec<_> = keys.iter().step_by(2).map(|key| Delivery::from(row(&key.id))).collect();
    wanted.sort_by(|one, other| one.key.cmp(&other.key));
    assert_eq!(found, wanted);
    assert_eq!(store.deliveries(&[]).await, Ok(Vec::new()));
}

pub(crate) async fn a_trail_is_read_backwards_page_by_page(store: impl Subject) {
    let key = record_key("10");
    for second in 0..7 {
        synced(&store, &key, second * 100).await;
    }
    let sequences = |rows: &[AuditRow]| rows.iter().map(|row| row.sequence).collect::<Vec<_>>();
    assert_eq!(sequences(&store.rows(&key, None, 3).await.unwrap()), [7, 6, 5]);
    assert_eq!(sequences(&store.rows(&key, Some(5), 3).await.unwrap()), [4, 3, 2]);
    assert_eq!(sequences(&store.rows(&key, Some(2), 100).await.unwrap()), [1]);
    assert_eq!(store.rows(&key, Some(1), 100).await, Ok(Vec::new()));
    let head = store.read(&key).await.unwrap().unwrap().audit;
    let page = trail(&store, &key, Some(&head), None, 7).await.unwrap();
    assert_eq!((page.fault, page.next, sequences(&page.rows).len()), (None, None, 7));
    let wrong = AuditHead { sequence: 7, hash: "0".repeat(64) };
    assert!(trail(&store, &key, Some(&wrong), None, 3).await.unwrap().fault.is_some());
    assert_eq!(history(&store, &record_key("no"), None, 3).await.unwrap().entries, []);
}

pub(crate) async fn a_row_is_opened_again_once(store: impl Subject) {
    let states = [InboxState::Quarantined, InboxState::Failed, InboxState::Settled, InboxState::Pending];
    for state in states {
        let settled = state == InboxState::Settled;
        let seen = InboxRow {
            state,
            attempt: 3,
            reason: Some("why".into()),
            settled_by: settled.then_some(9),
            expires_at: settled.then(|| at(86_400)),
            event: None,
            ..row(state.as_str())
        };
        store.insert(&seen).await.unwrap();
        let replay = Replay { by: "Zoë".into(), at: at(100), attempt: 4 };
        let to = Reopening { event: event(&event_key("other")), replay };
        assert_eq!(store.reopen(&seen, &to).await, Ok(true));
        let open = store.get(&seen.key).await.unwrap().unwrap();
        let wanted = InboxRow {
            state: InboxState::Pending,
            attempt: 4,
            unseen: 0,
            next_at: at(100),
            must_push: true,
            reason: None,
            settled_by: None,
            expires_at: None,
            event: Some(to.event.clone()),
            replay: Some(to.replay.clone()),
            ..seen.clone()
        };
        assert_eq!(open, wanted);
        let due = store.overdue(InboxRow::shard(&seen.key), at(100), 100).await.unwrap();
        assert!(due.iter().any(|due| due.key == seen.key), "the sweep finds it");
        // Whoever saw it before finds that it has moved on.
        let late = Reopening { replay: Replay { by: "Max".into(), ..to.replay.clone() }, ..to.clone() };
        assert_eq!(store.reopen(&seen, &late).await, Ok(false));
        let again = Reopening { replay: Replay { by: "Max".into(), at: at(200), attempt: 5 }, ..to };
        assert_eq!(store.reopen(&open, &again).await, Ok(true));
    }
    let unknown = row("unknown");
    let replay = Replay { by: "Zoë".into(), at: at(1), attempt: 1 };
    assert_eq!(store.reopen(&unknown, &Reopening { event: event(&unknown.key), replay }).await, Ok(false));
    assert_eq!(store.get(&event_key("unknown")).await, Ok(None));
}
