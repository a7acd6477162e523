//! The indexes, the trail and the deliveries, as the API and the command read them; and what opens a row again.

use crate::{
    DynamoStore,
    call::store_error,
    change::{Change, Changed},
    inbox::{delivery, event_json, event_key, open},
    item::{Item, Reader, json, milliseconds_up, number, text, unreadable},
    schema::{
        LISTED_INDEX, PENDING_INDEX,
        attribute::{
            ATTEMPT, BODY_DIGEST, EVENT, EXPIRES_AT, LISTED, LISTED_AT, LOCATION_ID, MUST_PUSH, NEXT_AT, OPEN, PK,
            PROVEN_BY, REASON, RECEIVED_AT, REPLAY, ROW, SETTLED_BY, SK, STATE, STATUS, UNSEEN,
        },
        invalid,
    },
};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use certbridge_mapping::{EventKey, Kind, RecordKey};
use certbridge_sync::{
    AuditRow, StoreError,
    catalog::{Catalog, Listed, Open},
    history::{AuditLog, Delivery},
    replay::{Reopening, Replays},
    row::{InboxRow, InboxState},
};
use jiff::Timestamp;

/// How many items one `BatchGetItem` may ask for.
const MAX_GET: usize = 100;
/// How often what was left out of such an answer is asked for again.
const MAX_ASKED_AGAIN: usize = 5;
/// After every place, as a text.
const LAST: &str = "~";

impl Catalog for DynamoStore {
    async fn listed(
        &self,
        kind: Kind,
        shard: u8,
        before: Option<&str>,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let since = since.map_or_else(String::new, |since| format!("{since:.3}"));
        let before = before.unwrap_or(LAST);
        if before <= since.as_str() {
            return Ok(Vec::new());
        }
        let request = self
            .client
            .query()
            .table_name(&self.tables.records)
            .index_name(LISTED_INDEX)
            .key_condition_expression("#listed = :listed AND #listed_at BETWEEN :since AND :before")
            .expression_attribute_names("#listed", LISTED)
            .expression_attribute_names("#listed_at", LISTED_AT)
            .expression_attribute_values(":listed", text(listed(kind, shard)))
            // A text that is empty is no key, and BETWEEN has both of its ends.
            .expression_attribute_values(":since", text(if since.is_empty() { "!" } else { &since }))
            .expression_attribute_values(":before", text(before))
            .scan_index_forward(false)
            .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX));
        let items = request.into_paginator().items().send();
        let mut rows = Vec::new();
        let mut items = items;
        while let Some(item) = items.next().await {
            let row = listed_row(&item.map_err(|error| store_error("Query", &error))?)?;
            if row.place() != before {
                rows.push(row);
            }
            if rows.len() == limit {
                break;
            }
        }
        Ok(rows)
    }

    async fn open(
        &self,
        state: InboxState,
        shard: u8,
        after: Option<&Open>,
        limit: usize,
    ) -> Result<Vec<Open>, StoreError> {
        let of = open(state, shard);
        let start = after.map(|after| {
            Item::from([
                (OPEN.to_owned(), text(&of)),
                (NEXT_AT.to_owned(), number(after.next_at.as_millisecond())),
                (PK.to_owned(), text(&after.key)),
            ])
        });
        let request = self
            .client
            .query()
            .table_name(&self.tables.inbox)
            .index_name(PENDING_INDEX)
            .key_condition_expression("#open = :open")
            .expression_attribute_names("#open", OPEN)
            .expression_attribute_values(":open", text(&of))
            .set_exclusive_start_key(start)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let answer = request.send().await.map_err(|error| store_error("Query", &error))?;
        let row = |item: &Item| {
            let read = Reader(item);
            let next_at = read.optional_milliseconds(NEXT_AT)?.ok_or_else(|| unreadable(NEXT_AT))?;
            Ok(Open { next_at, key: event_key(read)? })
        };
        answer.items().iter().map(row).collect()
    }
}

impl AuditLog for DynamoStore {
    async fn rows(&self, record: &RecordKey, before: Option<u64>, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        let request = self
            .client
            .query()
            .table_name(&self.tables.audit)
            .consistent_read(true)
            .key_condition_expression("#pk = :pk AND #sk < :before")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", text(record))
            .expression_attribute_values(":before", number(before.unwrap_or(u64::MAX)))
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let mut items = request.into_paginator().items().send();
        let mut rows = Vec::new();
        while rows.len() < limit {
            let Some(item) = items.next().await else { break };
            rows.push(Reader(&item.map_err(|error| store_error("Query", &error))?).json(ROW)?);
        }
        Ok(rows)
    }

    async fn deliveries(&self, keys: &[EventKey]) -> Result<Vec<Delivery>, StoreError> {
        let mut deliveries = Vec::new();
        for keys in keys.chunks(MAX_GET) {
            let wanted = keys.iter().map(|key| Item::from([(PK.to_owned(), text(key))]));
            let mut wanted: Vec<Item> = wanted.collect();
            for _ in 0..=MAX_ASKED_AGAIN {
                if wanted.is_empty() {
                    break;
                }
                let (found, left) = self.some_deliveries(std::mem::take(&mut wanted)).await?;
                deliveries.extend(found);
                wanted = left;
            }
            if !wanted.is_empty() {
                return Err(StoreError::Unavailable("BatchGetItem left keys out, again and again".to_owned()));
            }
        }
        Ok(deliveries)
    }
}

impl DynamoStore {
    /// The deliveries of some keys without their bodies, and the keys that the answer left out.
    async fn some_deliveries(&self, keys: Vec<Item>) -> Result<(Vec<Delivery>, Vec<Item>), StoreError> {
        let names = [
            ("#pk", PK),
            ("#event", EVENT),
            ("#state", STATE),
            ("#reason", REASON),
            ("#attempt", ATTEMPT),
            ("#next_at", NEXT_AT),
            ("#received_at", RECEIVED_AT),
            ("#proven_by", PROVEN_BY),
            ("#replay", REPLAY),
        ];
        let names = names.map(|(name, attribute)| (name.to_owned(), attribute.to_owned()));
        let asked = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(true)
            .projection_expression(names.each_ref().map(|(name, _)| name.as_str()).join(", "))
            .set_expression_attribute_names(Some(names.into()))
            .build()
            .map_err(invalid)?;
        let answer = self.client.batch_get_item().request_items(&self.tables.inbox, asked).send().await;
        let answer = answer.map_err(|error| store_error("BatchGetItem", &error))?;
        let items = answer.responses.and_then(|mut tables| tables.remove(&self.tables.inbox)).unwrap_or_default();
        let left = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.tables.inbox));
        let deliveries = items.iter().map(delivery).collect::<Result<_, _>>()?;
        Ok((deliveries, left.map(|left| left.keys).unwrap_or_default()))
    }
}

impl Replays for DynamoStore {
    /// A reopening whose answer was lost finds its own row, and says that it was made.
    async fn reopen(&self, seen: &InboxRow, to: &Reopening) -> Result<bool, StoreError> {
        let replay = json(&to.replay)?;
        let change = Change::only_if(format!(
            "#{STATE} = :seen_state AND #{ATTEMPT} = :seen_attempt AND #{BODY_DIGEST} = :seen_digest"
        ))
        .value("seen_state", text(seen.state.as_str()))
        .value("seen_attempt", number(seen.attempt))
        .value("seen_digest", text(&seen.body_digest))
        .set(STATE, text(InboxState::Pending.as_str()))
        .set(OPEN, text(open(InboxState::Pending, InboxRow::shard(&seen.key))))
        .set(EVENT, event_json(&to.event)?)
        .set(ATTEMPT, number(to.replay.attempt))
        .set(UNSEEN, number(0))
        .set(NEXT_AT, milliseconds_up(to.replay.at))
        .set(MUST_PUSH, AttributeValue::Bool(true))
        .set(REPLAY, replay.clone())
        .remove(REASON)
        .remove(SETTLED_BY)
        .remove(EXPIRES_AT);
        Ok(match self.change(&self.tables.inbox, seen.key.to_string(), change).await? {
            Changed::Yes(_) => true,
            Changed::No(item) => item.get(REPLAY) == Some(&replay),
        })
    }
}

/// The partition of the index that a record stands in.
pub(crate) fn listed(kind: Kind, shard: u8) -> String {
    format!("{kind}#{shard:02}")
}

/// A row of the index: its place says when and which.
fn listed_row(item: &Item) -> Result<Listed, StoreError> {
    let read = Reader(item);
    let (synced_at, key) = read.text(LISTED_AT)?.split_once('#').ok_or_else(|| unreadable(LISTED_AT))?;
    Ok(Listed {
        key: key.parse().map_err(|_| unreadable(LISTED_AT))?,
        synced_at: synced_at.parse().map_err(|_| unreadable(LISTED_AT))?,
        status: read.optional_text(STATUS)?.map(str::to_owned),
        location_id: read.optional_text(LOCATION_ID)?.map(str::to_owned),
    })
}
