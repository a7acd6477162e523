//! The part of the contract that is about OAuth grants.

use crate::{
    backend::Subject,
    sample::{at, lease, precisely},
};
use certbridge_sync::grants::{Grant, GrantRow, Taken};
use futures::future::join_all;
use secrecy::ExposeSecret;

const NAME: &str = "highlevel/company";

fn grant(number: u32) -> Grant {
    Grant {
        access_token: format!("access-{number}").into(),
        refresh_token: format!("refresh-{number}").into(),
        issued_at: precisely(1),
        expires_at: at(1000),
        company_id: Some("company".to_owned()),
        location_id: None,
    }
}

/// What can be compared of a row.
fn shown(row: &GrantRow) -> (String, String, u64, Option<String>) {
    let (access, refresh) = (row.grant.access_token.expose_secret(), row.grant.refresh_token.expose_secret());
    (access.to_owned(), refresh.to_owned(), row.fence, row.needs_person.clone())
}

fn tokens(number: u32, fence: u64) -> (String, String, u64, Option<String>) {
    (format!("access-{number}"), format!("refresh-{number}"), fence, None)
}

async fn read(store: &impl Subject) -> GrantRow {
    store.grant(NAME).await.unwrap().unwrap()
}

#[track_caller]
fn mine(taken: Taken) -> GrantRow {
    match taken {
        Taken::Mine(row) => row,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn others(taken: Taken) -> GrantRow {
    match taken {
        Taken::Others(row) => row,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn a_grant_comes_back_as_it_was(store: impl Subject) {
    assert!(store.grant(NAME).await.unwrap().is_none());
    assert!(matches!(store.take_grant(NAME, 0, &lease("a", 10), at(0)).await, Ok(Taken::Gone)));
    store.put_grant(NAME, &grant(1)).await.unwrap();
    let row = read(&store).await;
    assert_eq!(shown(&row), tokens(1, 1));
    assert_eq!((row.grant.issued_at, row.grant.expires_at, row.lease), (precisely(1), at(1000), None));
    assert_eq!((row.grant.company_id.as_deref(), row.grant.location_id), (Some("company"), None));
    let other = Grant { company_id: None, location_id: Some("l".to_owned()), ..grant(2) };
    store.put_grant("highlevel/l", &other).await.unwrap();
    let row = store.grant("highlevel/l").await.unwrap().unwrap();
    assert_eq!((row.grant.company_id, row.grant.location_id.as_deref()), (None, Some("l")));
    assert_eq!(shown(&read(&store).await), tokens(1, 1), "they stand apart");
}

pub(crate) async fn of_all_who_take_a_grant_one_has_it(store: impl Subject) {
    store.put_grant(NAME, &grant(1)).await.unwrap();
    let takes = (0..32).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.take_grant(NAME, 1, &lease(&format!("w{n}"), 10), at(0)).await.unwrap() })
    });
    let taken: Vec<_> = join_all(takes).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(taken.iter().filter(|taken| matches!(taken, Taken::Mine(_))).count(), 1);
    assert!(taken.iter().all(|taken| matches!(taken, Taken::Mine(row) | Taken::Others(row) if row.fence == 2)));
}

pub(crate) async fn a_grant_is_taken_by_whoever_saw_its_newest_state(store: impl Subject) {
    store.put_grant(NAME, &grant(1)).await.unwrap();
    let held = mine(store.take_grant(NAME, 1, &lease("a", 10), at(0)).await.unwrap());
    assert!(store.renew_grant(NAME, held.fence, &grant(2)).await.unwrap());
    // Whoever read it before must not spend the new refresh token as if it were the old one.
    let row = others(store.take_grant(NAME, 1, &lease("b", 10), at(0)).await.unwrap());
    assert_eq!((shown(&row), row.lease), (tokens(2, 2), None));
    assert_eq!(shown(&mine(store.take_grant(NAME, 2, &lease("b", 10), at(0)).await.unwrap())), tokens(2, 3));
}

pub(crate) async fn a_lease_on_a_grant_runs_out(store: impl Subject) {
    store.put_grant(NAME, &grant(1)).await.unwrap();
    mine(store.take_grant(NAME, 1, &lease("a", 10), at(0)).await.unwrap());
    let row = others(store.take_grant(NAME, 2, &lease("b", 20), at(10)).await.unwrap());
    assert_eq!(row.lease, Some(lease("a", 10)));
    assert_eq!(mine(store.take_grant(NAME, 2, &lease("b", 20), at(11)).await.unwrap()).fence, 3);
    assert!(!store.renew_grant(NAME, 2, &grant(2)).await.unwrap(), "it was too slow");
    store.give_up_grant(NAME, 2, Some("late")).await.unwrap();
    let row = read(&store).await;
    assert_eq!((shown(&row), row.lease), (tokens(1, 3), Some(lease("b", 20))));
}

pub(crate) async fn a_grant_may_be_taken_again_by_its_owner(store: impl Subject) {
    store.put_grant(NAME, &grant(1)).await.unwrap();
    for _ in 0..2 {
        let row = mine(store.take_grant(NAME, 1, &lease("a", 10), at(0)).await.unwrap());
        assert_eq!((shown(&row), row.lease), (tokens(1, 2), Some(lease("a", 10))));
    }
}

pub(crate) async fn only_the_holder_renews_a_grant(store: impl Subject) {
    store.put_grant(NAME, &grant(1)).await.unwrap();
    let held = mine(store.take_grant(NAME, 1, &lease("a", 10), at(0)).await.unwrap());
    assert!(!store.renew_grant(NAME, 1, &grant(2)).await.unwrap());
    for _ in 0..2 {
        assert!(store.renew_grant(NAME, held.fence, &grant(2)).await.unwrap(), "and may repeat it");
    }
    let row = read(&store).await;
    assert_eq!((shown(&row), row.lease), (tokens(2, 2), None));
    assert!(!store.renew_grant("highlevel/nobody", 1, &grant(2)).await.unwrap());
    assert!(store.grant("highlevel/nobody").await.unwrap().is_none(), "nor is one made");
}

pub(crate) async fn a_grant_that_needs_a_person_is_taken_by_nobody(store: impl Subject) {
    store.put_grant(NAME, &grant(1)).await.unwrap();
    mine(store.take_grant(NAME, 1, &lease("a", 10), at(0)).await.unwrap());
    store.give_up_grant(NAME, 2, None).await.unwrap();
    mine(store.take_grant(NAME, 2, &lease("b", 10), at(0)).await.unwrap());
    store.give_up_grant(NAME, 3, Some("refused")).await.unwrap();
    let row = others(store.take_grant(NAME, 3, &lease("c", 10), at(0)).await.unwrap());
    assert_eq!((row.needs_person.as_deref(), row.lease, row.fence), (Some("refused"), None, 3));
}

pub(crate) async fn a_persons_grant_goes_over_everything(store: impl Subject) {
    store.put_grant(NAME, &grant(1)).await.unwrap();
    mine(store.take_grant(NAME, 1, &lease("a", 10), at(0)).await.unwrap());
    store.give_up_grant(NAME, 2, Some("refused")).await.unwrap();
    store.put_grant(NAME, &Grant { company_id: None, location_id: Some("l".to_owned()), ..grant(2) }).await.unwrap();
    let row = read(&store).await;
    assert_eq!((shown(&row), row.grant.company_id), (tokens(2, 3), None));
    let held = mine(store.take_grant(NAME, 3, &lease("b", 10), at(0)).await.unwrap());
    store.put_grant(NAME, &grant(3)).await.unwrap();
    assert!(!store.renew_grant(NAME, held.fence, &grant(4)).await.unwrap());
    let row = read(&store).await;
    assert_eq!((shown(&row), row.lease), (tokens(3, 5), None));
}
