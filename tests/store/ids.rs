//! The part of the contract that is about a destination's ids.

use crate::{
    backend::Subject,
    sample::{at, record_key},
};
use certbridge_mapping::{Kind, RecordKey};
use certbridge_sync::ids::{DestinationId, DestinationIds};
use futures::future::join_all;

fn known(id: &str) -> DestinationId {
    DestinationId::Known(id.to_owned())
}

pub(crate) async fn an_id_is_begun_and_then_known(store: impl Subject) {
    let key = record_key("10");
    assert_eq!(store.ids(&key).await, Ok(DestinationIds::new()));
    assert_eq!(store.begin_id(&key, "record", None, at(1)).await, Ok(None));
    let begun = |second| DestinationIds::from([("record".to_owned(), DestinationId::Begun { at: at(second) })]);
    assert_eq!(store.ids(&key).await, Ok(begun(1)));
    assert_eq!(store.begin_id(&key, "record", None, at(2)).await, Ok(None));
    assert_eq!(store.ids(&key).await, Ok(begun(2)), "the last beginning counts");
    for _ in 0..2 {
        assert_eq!(store.set_id(&key, "record", "r1", None).await, Ok("r1".to_owned()));
        assert_eq!(store.ids(&key).await.unwrap()["record"], known("r1"));
    }
}

pub(crate) async fn an_id_that_is_known_stays(store: impl Subject) {
    let key = record_key("10");
    store.set_id(&key, "record", "r1", None).await.unwrap();
    assert_eq!(store.set_id(&key, "record", "r2", None).await, Ok("r1".to_owned()));
    assert_eq!(store.set_id(&key, "record", "r2", Some("r0")).await, Ok("r1".to_owned()));
    assert_eq!(store.begin_id(&key, "record", None, at(1)).await, Ok(Some("r1".to_owned())));
    assert_eq!(store.begin_id(&key, "record", Some("r0"), at(1)).await, Ok(Some("r1".to_owned())));
    assert_eq!(store.ids(&key).await.unwrap()["record"], known("r1"));
}

pub(crate) async fn a_stale_id_is_replaced(store: impl Subject) {
    let key = record_key("10");
    store.set_id(&key, "record", "r1", None).await.unwrap();
    assert_eq!(store.begin_id(&key, "record", Some("r1"), at(1)).await, Ok(None));
    assert_eq!(store.ids(&key).await.unwrap()["record"], DestinationId::Begun { at: at(1) });
    assert_eq!(store.set_id(&key, "record", "r2", Some("r1")).await, Ok("r2".to_owned()));
    assert_eq!(store.set_id(&key, "record", "r3", Some("r2")).await, Ok("r3".to_owned()));
    assert_eq!(store.ids(&key).await.unwrap()["record"], known("r3"));
}

pub(crate) async fn of_many_ids_at_once_one_stays(store: impl Subject) {
    let sets = (0..32).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.set_id(&record_key("10"), "record", &format!("r{n}"), None).await.unwrap() })
    });
    let answers: Vec<_> = join_all(sets).await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(store.ids(&record_key("10")).await.unwrap()["record"], known(&answers[0]));
}

pub(crate) async fn ids_stand_apart_by_record_and_role(store: impl Subject) {
    let (one, other) = (record_key("10"), RecordKey { kind: Kind::Customer, ..record_key("10") });
    store.set_id(&one, "record", "r", None).await.unwrap();
    store.set_id(&one, "contact@a", "c", None).await.unwrap();
    store.set_id(&other, "record", "x", None).await.unwrap();
    let wanted = DestinationIds::from([("record".to_owned(), known("r")), ("contact@a".to_owned(), known("c"))]);
    assert_eq!(store.ids(&one).await, Ok(wanted));
    assert_eq!(store.ids(&other).await, Ok(DestinationIds::from([("record".to_owned(), known("x"))])));
}
