//! What every implementation does with batches.

use crate::{
    backend::Subject,
    contract::all,
    sample::{at, batch, batch_id, precisely},
};
use certbridge_sync::{
    audit::Actor,
    batches::{BatchProgress, BatchRow, BatchStatus, BatchStep, BatchSummary, Mode, Registered, Turn},
    reconcile::Verdict,
};
use futures::future::join_all;
use jiff::SignedDuration;

/// With every field, and every one of them other than in [`batch`].
fn full(id: &str) -> BatchRow {
    let mut row = batch(id);
    row.request.mode = Mode::Upsert;
    row.request.dry_run = true;
    row.request.force = true;
    row.request.actor = Actor::Caller { owner: "Zoë \u{1f980}".into() };
    BatchRow {
        requested_at: precisely(1),
        status: BatchStatus::Failed,
        execution: Some("arn:aws:states:us-east-1:0:execution:batches:b".into()),
        finished_at: Some(precisely(9)),
        summary: Some(BatchSummary {
            verdict: Verdict::NeedsPerson,
            headline: "So many \"records\"".into(),
            records: u64::MAX,
            differing: 4,
            repaired: 3,
            report: "batches/b/report".into(),
        }),
        error: Some("the destination cannot be listed".into()),
        ..row
    }
}

pub(crate) async fn a_batch_is_new_once(store: impl Subject) {
    let row = batch("b");
    assert_eq!(store.register(&row).await, Ok(Registered::New));
    assert_eq!(store.register(&row).await, Ok(Registered::Exists(Box::new(row.clone()))));
    let other = BatchRow { request_digest: "other".into(), requested_at: at(5), ..row.clone() };
    assert_eq!(store.register(&other).await, Ok(Registered::Exists(Box::new(row.clone()))));
    assert_eq!(store.batch(&row.id).await, Ok(Some((row.clone(), BatchProgress::default()))));
    assert_eq!(store.batches(None, 10).await.unwrap().items, [row], "what was refused stands nowhere");
}

pub(crate) async fn of_many_registrations_at_once_one_is_new(store: impl Subject) {
    let registrations = (0..12).map(|number| {
        let store = store.clone();
        let row = BatchRow { request_digest: number.to_string(), ..batch("b") };
        tokio::spawn(async move {
            let answer = store.register(&row).await.unwrap();
            (row, answer)
        })
    });
    let answers: Vec<_> = join_all(registrations).await.into_iter().map(Result::unwrap).collect();
    let new: Vec<_> = answers.iter().filter(|(_, answer)| *answer == Registered::New).collect();
    assert_eq!(new.len(), 1);
    let others = answers.iter().filter_map(|(_, answer)| match answer {
        Registered::Exists(known) => Some(known.as_ref()),
        Registered::New => None,
    });
    assert!(others.into_iter().all(|known| *known == new[0].0), "the others are told which one");
}

pub(crate) async fn an_unknown_batch_is_none(store: impl Subject) {
    assert_eq!(store.batch(&batch_id("b")).await, Ok(None));
    // A step that somebody told late makes no batch.
    store.note(&batch_id("b"), BatchStep::Source(1)).await.unwrap();
    assert_eq!(store.batch(&batch_id("b")).await, Ok(None));
    let none = store.batches(None, 10).await.unwrap();
    assert_eq!((none.items, none.next), (vec![], None));
}

pub(crate) async fn every_field_of_a_batch_comes_back(store: impl Subject) {
    for row in [batch("bare"), full("full")] {
        store.register(&row).await.unwrap();
        assert_eq!(store.batch(&row.id).await.unwrap().map(|(row, _)| row), Some(row));
    }
    assert_eq!(store.batches(None, 10).await.unwrap().items, [full("full"), batch("bare")]);
}

pub(crate) async fn an_updated_batch_is_shown_everywhere(store: impl Subject) {
    let row = BatchRow { requested_at: precisely(1), ..batch("b") };
    store.register(&row).await.unwrap();
    store.note(&row.id, BatchStep::Source(7)).await.unwrap();
    for updated in [BatchRow { status: BatchStatus::Running, ..row.clone() }, full("b")] {
        for _ in 0..2 {
            store.update_batch(&updated).await.unwrap();
        }
        let progress = BatchProgress { source: 7, ..BatchProgress::default() };
        assert_eq!(store.batch(&row.id).await, Ok(Some((updated.clone(), progress))));
        assert_eq!(store.batches(None, 10).await.unwrap().items, [updated]);
    }
}

pub(crate) async fn steps_told_twice_count_once(store: impl Subject) {
    let row = batch("b");
    store.register(&row).await.unwrap();
    let steps = [
        BatchStep::Partitions(256),
        BatchStep::Source(900),
        BatchStep::Source(1_000),
        BatchStep::Destination(u64::MAX),
        BatchStep::Own(12),
        BatchStep::Compared(0),
        BatchStep::Compared(255),
        BatchStep::Compared(7),
        BatchStep::Repaired(7),
    ];
    for step in steps.iter().chain(&steps) {
        store.note(&row.id, *step).await.unwrap();
    }
    let progress =
        BatchProgress { source: 1_000, destination: u64::MAX, own: 12, partitions: 256, compared: 3, repaired: 1 };
    assert_eq!(store.batch(&row.id).await, Ok(Some((row.clone(), progress))));
    // A listing may start over.
    store.note(&row.id, BatchStep::Source(0)).await.unwrap();
    assert_eq!(store.batch(&row.id).await.unwrap().unwrap().1.source, 0);
    // And partitions are compared at the same time.
    let noted = (0..20).map(|partition| {
        let (store, id) = (store.clone(), row.id.clone());
        tokio::spawn(async move { store.note(&id, BatchStep::Compared(partition)).await })
    });
    join_all(noted).await.into_iter().for_each(|noted| noted.unwrap().unwrap());
    assert_eq!(store.batch(&row.id).await.unwrap().unwrap().1.compared, 21);
}

pub(crate) async fn batches_do_not_share_their_progress(store: impl Subject) {
    for id in ["b", "b-1"] {
        store.register(&batch(id)).await.unwrap();
    }
    store.note(&batch_id("b"), BatchStep::Compared(1)).await.unwrap();
    store.note(&batch_id("b-1"), BatchStep::Source(2)).await.unwrap();
    let progress = async |id: &str| store.batch(&batch_id(id)).await.unwrap().unwrap().1;
    assert_eq!(progress("b").await, BatchProgress { compared: 1, ..BatchProgress::default() });
    assert_eq!(progress("b-1").await, BatchProgress { source: 2, ..BatchProgress::default() });
}

pub(crate) async fn batches_come_newest_first_page_by_page(store: impl Subject) {
    // Two of the same moment, two of the same second, one of a round second between others: as text, a place must be in
    // the order of time.
    let moments = [("c", 0), ("a", 1_000), ("b", 1_000), ("e", 1_010), ("d", 1_100), ("f", 86_400_000)];
    for (id, milliseconds) in moments {
        let requested_at = at(0) + SignedDuration::from_millis(milliseconds);
        store.register(&BatchRow { requested_at, ..batch(id) }).await.unwrap();
    }
    let store = &store;
    for limit in [1, 2, 3, 4, 6, 100] {
        let page = async |cursor: Option<String>| {
            let page = store.batches(cursor.as_deref(), limit).await;
            let items = page.as_ref().map(|page| page.items.len()).unwrap();
            assert!((1..=limit).contains(&items), "no page is empty, and none too long");
            page
        };
        let found: Vec<_> = all(page).await.into_iter().map(|row| row.id.to_string()).collect();
        assert_eq!(found, ["f", "d", "e", "b", "a", "c"], "{limit}");
    }
    // A cursor may name a place where nothing stands.
    let place = BatchRow { requested_at: at(1), ..batch("aa") }.place();
    let found = store.batches(Some(&place), 10).await.unwrap();
    assert_eq!(found.items.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(found.next, None);
}

pub(crate) async fn of_all_who_want_the_turn_one_has_it(store: impl Subject) {
    let wanted = (0..12).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let holder = format!("b-{number}");
            let turn = store.take_turn(&holder, at(0), at(30)).await.unwrap();
            (holder, turn)
        })
    });
    let turns: Vec<_> = join_all(wanted).await.into_iter().map(Result::unwrap).collect();
    let (mine, taken): (Vec<_>, Vec<_>) = turns.into_iter().partition(|(_, turn)| *turn == Turn::Mine);
    assert_eq!(mine.len(), 1);
    let by = &mine[0].0;
    assert!(taken.iter().all(|(_, turn)| *turn == Turn::Taken { by: by.clone(), until: at(30) }), "{taken:?}");
}

pub(crate) async fn a_turn_that_ran_out_is_taken(store: impl Subject) {
    assert_eq!(store.take_turn("a", at(0), at(30)).await, Ok(Turn::Mine));
    for now in [0, 29, 30] {
        let taken = Turn::Taken { by: "a".into(), until: at(30) };
        assert_eq!(store.take_turn("b", at(now), at(99)).await, Ok(taken));
    }
    assert_eq!(store.take_turn("b", at(31), at(60)).await, Ok(Turn::Mine));
    assert_eq!(store.take_turn("a", at(31), at(60)).await, Ok(Turn::Taken { by: "b".into(), until: at(60) }));
}

pub(crate) async fn a_turn_is_kept_and_given_up_by_its_holder(store: impl Subject) {
    assert_eq!(store.end_turn("a").await, Ok(()), "nobody has it");
    assert_eq!(store.take_turn("a", at(0), at(30)).await, Ok(Turn::Mine));
    assert_eq!(store.take_turn("a", at(20), at(90)).await, Ok(Turn::Mine), "kept");
    let taken = Turn::Taken { by: "a".into(), until: at(90) };
    assert_eq!(store.take_turn("b", at(31), at(60)).await, Ok(taken.clone()));
    assert_eq!(store.end_turn("b").await, Ok(()));
    assert_eq!(store.take_turn("b", at(31), at(60)).await, Ok(taken), "not b's to give up");
    assert_eq!(store.end_turn("a").await, Ok(()));
    assert_eq!(store.end_turn("a").await, Ok(()));
    assert_eq!(store.take_turn("b", at(31), at(60)).await, Ok(Turn::Mine));
}
