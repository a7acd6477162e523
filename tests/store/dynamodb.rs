//! What only DynamoDB can get wrong: attributes, indexes, units, pages.

use crate::{
    backend::{Embedded, client},
    definitions::change,
    sample::{at, audit, audit_saying, commit, lease, precisely, record_key, reschedule, row, row_of, settle, state},
};
use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{AttributeValue, StreamViewType, TimeToLiveStatus},
};
use certbridge_mapping::EventKey;
use certbridge_sandbox::dynamodb::EmbeddedDynamoDb;
use certbridge_store::{DynamoStore, Tables, inbox_row, schema};
use certbridge_sync::{
    StoreError,
    breaker::BreakerState,
    in_force::Control,
    poll::PollMarks,
    ports::{Breakers, Inbox, Overdue, Records},
    row::{InboxRow, InboxState},
};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

#[tokio::test]
async fn tables_may_be_made_twice() {
    let world = Embedded::start().await;
    world.store.insert(&row("e")).await.unwrap();
    schema::create(&world.client, &world.tables).await.unwrap();
    assert!(world.store.get(&row("e").key).await.unwrap().is_some());
}

#[tokio::test]
async fn the_inbox_streams_new_images() {
    let world = Embedded::start().await;
    let table = world.client.describe_table().table_name(&world.tables.inbox).send().await.unwrap().table.unwrap();
    let stream = table.stream_specification.unwrap();
    assert!(stream.stream_enabled);
    assert_eq!(stream.stream_view_type, Some(StreamViewType::NewImage));
}

#[tokio::test]
async fn only_settled_rows_expire_and_in_seconds() {
    let world = Embedded::start().await;
    let store = &world.store;
    let ttl = world.client.describe_time_to_live().table_name(&world.tables.inbox).send().await.unwrap();
    let ttl = ttl.time_to_live_description.unwrap();
    assert_eq!(ttl.time_to_live_status, Some(TimeToLiveStatus::Enabled));
    let name = ttl.attribute_name.unwrap();
    assert_eq!(name, schema::attribute::EXPIRES_AT);

    for id in ["settled", "later", "aside"] {
        store.insert(&row(id)).await.unwrap();
        assert!(!world.raw_row(id).await.contains_key(&name));
    }
    store.reschedule(&row("later").key, 0, &reschedule(1, 90)).await.unwrap();
    store.set_aside(&row("aside").key, 0, InboxState::Failed, "x").await.unwrap();
    let claim = store.claim(&record_key("10"), &lease("a", 30), at(0)).await.unwrap();
    store.commit(&commit(&claim, None, &audit(&claim), settle(&row("settled").key, 0))).await.unwrap();
    for id in ["later", "aside"] {
        assert!(!world.raw_row(id).await.contains_key(&name));
    }
    let expires_at = AttributeValue::N(at(86_400).as_second().to_string());
    assert_eq!(world.raw_row("settled").await.get(&name), Some(&expires_at));
}

#[tokio::test]
async fn what_has_expired_is_swept_and_nothing_else() {
    let world = Embedded::start().await;
    let long_ago = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    let settled = InboxRow { state: InboxState::Settled, expires_at: Some(long_ago), ..row("settled") };
    world.store.insert(&settled).await.unwrap();
    world.store.insert(&row("pending")).await.unwrap();
    assert_eq!(world.database.sweep_ttl().unwrap(), 1);
    assert_eq!(world.store.get(&settled.key).await, Ok(None));
    assert!(world.store.get(&row("pending").key).await.unwrap().is_some());
}

/// The events in the index, and the attributes that it holds of them.
async fn index(world: &Embedded) -> (HashSet<String>, HashSet<String>) {
    let scan = world.client.scan().table_name(&world.tables.inbox).index_name(schema::PENDING_INDEX);
    let items = scan.send().await.unwrap().items.unwrap();
    let ids = items.iter().map(|item| item["pk"].as_s().unwrap().rsplit('#').next().unwrap().to_owned()).collect();
    (ids, items.into_iter().flat_map(HashMap::into_keys).collect())
}

#[tokio::test]
async fn the_index_holds_what_is_not_settled_and_only_its_keys() {
    let world = Embedded::start().await;
    let store = &world.store;
    for id in ["pending", "settled", "aside"] {
        store.insert(&row(id)).await.unwrap();
    }
    store.insert(&InboxRow { state: InboxState::Quarantined, event: None, ..row("unreadable") }).await.unwrap();
    store.insert(&InboxRow { state: InboxState::Settled, ..row("ignored") }).await.unwrap();
    store.set_aside(&row("aside").key, 0, InboxState::Failed, "x").await.unwrap();
    let claim = store.claim(&record_key("10"), &lease("a", 30), at(0)).await.unwrap();
    store.commit(&commit(&claim, None, &audit(&claim), settle(&row("settled").key, 0))).await.unwrap();

    let (ids, attributes) = index(&world).await;
    assert_eq!(ids, ["pending", "aside", "unreadable"].map(str::to_owned).into());
    assert_eq!(attributes, ["pk", "open", "next_at"].map(str::to_owned).into());
    let shard = InboxRow::shard(&row("aside").key);
    assert_eq!(world.raw_row("aside").await["open"], AttributeValue::S(format!("failed#{shard:02}")));
    assert_eq!(world.raw_row("pending").await["next_at"], AttributeValue::N(at(60).as_millisecond().to_string()));
}

#[tokio::test]
async fn times_that_dynamodb_compares_are_rounded_to_the_safe_side() {
    let world = Embedded::start().await;
    let store = &world.store;
    let row = InboxRow { next_at: precisely(60), ..row("e") };
    store.insert(&row).await.unwrap();
    let shard = InboxRow::shard(&row.key);
    assert_eq!(store.overdue(shard, precisely(60), 10).await, Ok(vec![]), "not a moment too early");
    let rounded = store.get(&row.key).await.unwrap().unwrap().next_at;
    assert_eq!(rounded.as_nanosecond(), at(60).as_nanosecond() + 124_000_000);
    assert_eq!(store.overdue(shard, rounded, 10).await, Ok(vec![Overdue { key: row.key, since: rounded }]));

    let key = record_key("10");
    let held = certbridge_sync::row::Lease { owner: "a".into(), until: precisely(30) };
    store.claim(&key, &held, at(0)).await.unwrap();
    let just_after = precisely(30) + jiff::SignedDuration::from_nanos(1);
    assert!(store.claim(&key, &lease("b", 60), just_after).await.is_err(), "not a moment too early");
    assert!(store.claim(&key, &lease("b", 60), precisely(31)).await.is_ok());
}

#[tokio::test]
async fn a_stored_row_is_decoded_as_a_stream_would_give_it() {
    let world = Embedded::start().await;
    let row = InboxRow { reason: Some("x".into()), ..row_of(row("e").key, &[0, 255, 128]) };
    world.store.insert(&row).await.unwrap();
    assert_eq!(inbox_row(&world.raw_row("e").await), Ok(row));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_refused_by_attribute_and_not_by_content() {
    let world = Embedded::start().await;
    world.store.insert(&row("e")).await.unwrap();
    let item = world.raw_row("e").await;
    let secret = || AttributeValue::S("secret".into());
    let spoilt = ["pk", "body", "event", "received_at", "state", "attempt", "next_at", "must_push", "expires_at"];
    for name in spoilt {
        let mut item = item.clone();
        item.insert(name.to_owned(), secret());
        assert_eq!(inbox_row(&item), Err(StoreError::Refused(format!("a row's {name} cannot be read"))));
    }
    for name in ["pk", "body", "body_digest", "proven_by", "state", "attempt", "next_at", "must_push"] {
        let mut item = item.clone();
        item.remove(name);
        assert!(inbox_row(&item).is_err(), "{name}");
    }
    let blob = AttributeValue::B(Blob::new("secret"));
    assert!(inbox_row(&[("pk".to_owned(), blob)].into()).is_err());
}

#[tokio::test]
async fn a_long_trail_comes_in_pages() {
    let world = Embedded::start().await;
    let key = record_key("10");
    for _ in 0..5 {
        let claim = world.store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
        let row = audit_saying(&claim, &"x".repeat(300_000));
        world.store.commit(&commit(&claim, None, &row, None)).await.unwrap();
    }
    let query = world.client.query().table_name(&world.tables.audit).key_condition_expression("pk = :pk");
    let page = query.expression_attribute_values(":pk", AttributeValue::S(key.to_string())).send().await.unwrap();
    assert!(page.last_evaluated_key.is_some(), "more than one page");
    let rows = world.store.audit_rows(&key).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn control_is_definitions_and_breakers() {
    let world = Embedded::start().await;
    let store = &world.store;
    assert_eq!(store.control().await, Ok(certbridge_sync::in_force::ControlRows::default()));
    for file in ["sources/17hats.toml", "sources/accredible.toml", "destinations/snapshots.toml"] {
        change(store, file, Some("name = 1")).await;
    }
    change(store, "sources/17hats.toml", None).await;
    change(store, "sources/accredible.toml", Some("name = 2")).await;
    let breaker = BreakerState { open_until: precisely(30), refusals: 3 };
    store.set_breaker("sources/accredible", Some(&breaker)).await.unwrap();
    for (sort, text) in [("breaker#broken", "{"), ("something#new", "?")] {
        let put = world.client.put_item().table_name(&world.tables.state);
        let put = put.item("pk", AttributeValue::S("control".into())).item("sk", AttributeValue::S(sort.into()));
        put.item("text", AttributeValue::S(text.into())).send().await.unwrap();
    }
    let control = store.control().await.unwrap();
    let definition = |file: &str, text: &str| (file.to_owned(), text.to_owned());
    let definitions =
        [definition("destinations/snapshots.toml", "name = 1"), definition("sources/accredible.toml", "name = 2")];
    assert_eq!(control.definitions, definitions);
    assert_eq!(control.breakers, [("sources/accredible".to_owned(), breaker)], "what cannot be read is left out");
}

#[tokio::test]
async fn a_polls_mark_that_cannot_be_read_is_refused_and_left_alone() {
    let world = Embedded::start().await;
    let put = world.client.put_item().table_name(&world.tables.state);
    let put = put.item("pk", AttributeValue::S(schema::POLLS.into()));
    let put = put.item("sk", AttributeValue::S("certificate#accredible".into()));
    put.item("revision", AttributeValue::N("1".into()))
        .item("text", AttributeValue::S("{}".into()))
        .send()
        .await
        .unwrap();
    let unreadable = || StoreError::Refused("a row's text cannot be read".into());
    let kind = certbridge_mapping::Kind::Certificate;
    assert_eq!(world.store.poll_mark("accredible", kind).await, Err(unreadable()));
    // A walk from the current day would pass over what changed before it.
    let answer = world.store.set_poll_mark("accredible", kind, &crate::sample::poll_mark(1, "a")).await;
    assert_eq!(answer, Err(unreadable()));
}

#[tokio::test]
async fn a_missing_table_is_refused_for_good() {
    let world = Embedded::start().await;
    let store = DynamoStore::new(world.client.clone(), Tables::with_prefix("other-"));
    let error = store.insert(&row("e")).await.unwrap_err();
    assert_eq!(error, StoreError::Refused("PutItem: ResourceNotFoundException".into()));
    assert!(matches!(store.control().await, Err(StoreError::Refused(_))));
    assert!(matches!(store.read(&record_key("10")).await, Err(StoreError::Refused(_))));
    let claim = world.store.claim(&record_key("10"), &lease("a", 30), at(0)).await.unwrap();
    let answer = store.commit(&commit(&claim, None, &audit(&claim), None)).await;
    assert!(matches!(answer, Err(certbridge_sync::ports::CommitError::Store(StoreError::Refused(_)))), "{answer:?}");
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused_without_repeating_it() {
    let world = Embedded::start().await;
    let key = EventKey { source: "accredible".into(), id: "secret".repeat(500) };
    let error = world.store.insert(&row_of(key, b"{}")).await.unwrap_err();
    assert_eq!(error, StoreError::Refused("PutItem: ValidationException".into()));
}

pub(crate) async fn open(path: &Path) -> (EmbeddedDynamoDb, DynamoStore) {
    let database = EmbeddedDynamoDb::start(Some(path)).unwrap();
    let (client, tables) = (client(&database.endpoint()), Tables::with_prefix("test-"));
    schema::create(&client, &tables).await.unwrap();
    (database, DynamoStore::new(client, tables))
}

/// A restart also forgets the transactions' tokens, so that the conditions must tell what was written.
#[tokio::test]
async fn a_commit_may_be_repeated_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dynamodb.sqlite");
    let (database, store) = open(&path).await;
    let (key, event) = (record_key("10"), row("e"));
    store.insert(&event).await.unwrap();
    let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    let (state, row) = (state("Rust"), audit(&claim));
    store.commit(&commit(&claim, Some(&state), &row, settle(&event.key, 0))).await.unwrap();
    let committed = store.read(&key).await;
    database.shutdown().await.unwrap();

    let (_database, store) = open(&path).await;
    assert_eq!(store.commit(&commit(&claim, Some(&state), &row, settle(&event.key, 0))).await, Ok(()));
    assert_eq!(store.read(&key).await, committed);
    assert_eq!(store.audit_rows(&key).await, Ok(vec![row.clone()]));

    let next = store.claim(&key, &lease("b", 30), at(1)).await.unwrap();
    store.commit(&commit(&next, None, &audit(&next), None)).await.unwrap();
    assert_eq!(store.commit(&commit(&claim, Some(&state), &row, None)).await, Ok(()), "even after another's");
    assert_eq!(store.audit_rows(&key).await.unwrap().len(), 2);
}
