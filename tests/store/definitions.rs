//! Definitions that are put into force, and their history.

use crate::{
    backend::Embedded,
    faults::{Fault, Faulty, conflict},
    sample::at,
};
use aws_sdk_dynamodb::types::AttributeValue;
use certbridge_store::{ChangeError, DefinitionChange, DefinitionEntry, DynamoStore, verify_history};
use certbridge_sync::in_force::Control;

const FILE: &str = "sources/ledger.toml";

fn to<'a>(file: &'a str, text: Option<&'a str>) -> DefinitionChange<'a> {
    DefinitionChange { file, text, by: "Olga", note: Some("Zoë asked for it"), time: at(1) }
}

/// Changes a definition, whatever its newest version is.
pub(crate) async fn change(store: &DynamoStore, file: &str, text: Option<&str>) -> DefinitionEntry {
    let newest = store.newest_definition(file).await.unwrap();
    store.change_definition(newest.as_ref(), &to(file, text)).await.unwrap()
}

async fn in_force(store: &DynamoStore) -> Vec<(String, String)> {
    store.control().await.unwrap().definitions
}

#[tokio::test]
async fn what_is_in_force_has_a_history() {
    let world = Embedded::start().await;
    let store = &world.store;
    assert_eq!(store.newest_definition(FILE).await, Ok(None));
    let mut entries = Vec::new();
    for text in [Some("name = 1"), Some("name = 2"), None, Some("name = 1")] {
        entries.push(change(store, FILE, text).await);
        let now: Vec<_> = text.map(|text| (FILE.to_owned(), text.to_owned())).into_iter().collect();
        assert_eq!(in_force(store).await, now);
    }
    change(store, "sources/ledger.toml.bak", Some("another's")).await;
    assert_eq!(store.definition_history(FILE).await.unwrap(), entries);
    assert_eq!(store.newest_definition(FILE).await.unwrap().as_ref(), entries.last());
    assert_eq!(entries.iter().map(|entry| entry.version).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(entries[0].sha256, entries[3].sha256);
    assert_eq!((entries[2].sha256.as_ref(), entries[2].text.as_ref()), (None, None));
    assert_eq!((entries[0].by.as_str(), entries[0].note.as_deref()), ("Olga", Some("Zoë asked for it")));
    assert_eq!(verify_history(&entries), Ok(()));
}

#[tokio::test]
async fn the_tenth_version_comes_after_the_ninth() {
    let world = Embedded::start().await;
    for version in 1..=11 {
        assert_eq!(change(&world.store, FILE, Some(&format!("name = {version}"))).await.version, version);
    }
    let history = world.store.definition_history(FILE).await.unwrap();
    assert!(history.iter().map(|entry| entry.version).eq(1..=11));
}

#[tokio::test]
async fn of_two_who_saw_the_same_version_one_is_refused() {
    let world = Embedded::start().await;
    let store = &world.store;
    let seen = change(store, FILE, Some("name = 1")).await;
    let (one, other) = (to(FILE, Some("name = 2")), to(FILE, None));
    let (first, second) =
        tokio::join!(store.change_definition(Some(&seen), &one), store.change_definition(Some(&seen), &other));
    let (won, lost) = if first.is_ok() { (first, second) } else { (second, first) };
    let won = won.unwrap();
    assert_eq!(lost, Err(ChangeError::Conflict { file: FILE.into(), version: 2 }));
    let now: Vec<_> = won.text.iter().map(|text| (FILE.to_owned(), text.clone())).collect();
    assert_eq!(in_force(store).await, now);
    assert_eq!(store.definition_history(FILE).await.unwrap(), [seen, won]);
    // Nor does one win who saw none.
    let late = store.change_definition(None, &to(FILE, Some("name = 3"))).await;
    assert_eq!(late, Err(ChangeError::Conflict { file: FILE.into(), version: 1 }));
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_made_once() {
    let world = Faulty::start().await;
    for fault in [Fault::LoseAnswer, Fault::Lose, conflict()] {
        world.fail("TransactWriteItems", &fault, 1);
        change(&world.store, FILE, Some(&format!("{fault:?}"))).await;
    }
    let history = world.store.definition_history(FILE).await.unwrap();
    assert_eq!(history.len(), 3);
    assert_eq!(verify_history(&history), Ok(()));
    world.calls();
}

/// After a restart, the transactions' tokens are forgotten.
#[tokio::test]
async fn a_change_may_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dynamodb.sqlite");
    let (database, store) = crate::dynamodb::open(&path).await;
    let made = store.change_definition(None, &to(FILE, Some("name = 1"))).await.unwrap();
    database.shutdown().await.unwrap();
    let (_database, store) = crate::dynamodb::open(&path).await;
    assert_eq!(store.change_definition(None, &to(FILE, Some("name = 1"))).await, Ok(made));
}

#[tokio::test]
async fn a_history_that_was_tampered_with_says_where() {
    let world = Embedded::start().await;
    let store = &world.store;
    for text in ["name = 1", "name = 2", "name = 3"] {
        change(store, FILE, Some(text)).await;
    }
    let history = store.definition_history(FILE).await.unwrap();
    let broken = |edit: &dyn Fn(&mut Vec<DefinitionEntry>)| {
        let mut entries = history.clone();
        edit(&mut entries);
        verify_history(&entries).unwrap_err().version
    };
    assert_eq!(broken(&|entries| entries[1].by = "nobody".into()), 2);
    assert_eq!(broken(&|entries| drop(entries.remove(0))), 1);
    assert_eq!(broken(&|entries| drop(entries.remove(1))), 2);
    assert_eq!(broken(&|entries| entries.swap(1, 2)), 2);
    let rewritten = |entries: &mut Vec<DefinitionEntry>| {
        entries[1].text = Some("name = 9".into());
        entries[1].hash = entries[1].expected_hash();
    };
    assert_eq!(broken(&rewritten), 2, "the text is not the one that was hashed");
}

#[tokio::test]
async fn a_version_that_cannot_be_read_is_refused() {
    let world = Embedded::start().await;
    let put = world.client.put_item().table_name(&world.tables.state);
    let put = put.item("pk", AttributeValue::S(format!("definitions#{FILE}")));
    let put = put.item("sk", AttributeValue::S("0000000001".into())).item("row", AttributeValue::S("{}".into()));
    put.send().await.unwrap();
    assert!(world.store.newest_definition(FILE).await.is_err());
    let answer = world.store.change_definition(None, &to(FILE, Some("name = 1"))).await;
    assert_eq!(answer, Err(ChangeError::Conflict { file: FILE.into(), version: 1 }));
}
