//! The inbox.

use crate::{
    DynamoStore,
    call::{is_conflict, patiently, store_error},
    change::{Change, Changed},
    item::{Item, Reader, json, milliseconds_down, milliseconds_up, number, seconds_up, text, unreadable},
    schema::{
        PENDING_INDEX,
        attribute::{
            ATTEMPT, BODY, BODY_DIGEST, EVENT, EXPIRES_AT, MUST_PUSH, NEXT_AT, OPEN, PK, PROVEN_BY, REASON,
            RECEIVED_AT, REPLAY, SETTLED_BY, STATE, TRACE, UNSEEN,
        },
    },
};
use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    primitives::Blob,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use certbridge_mapping::{Event, EventKey, Operation, RecordKey, Version};
use certbridge_sync::{
    StoreError,
    history::Delivery,
    ports::{Inbox, Inserted, Overdue},
    row::{InboxRow, InboxState, Reschedule, Settle},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

impl Inbox for DynamoStore {
    /// An insert whose answer was lost finds its own row when the SDK tries again, and answers [`Inserted::Exists`]
    /// with the digest of the very same bytes: to the caller a duplicate, which is as good an answer to the sender.
    async fn insert(&self, row: &InboxRow) -> Result<Inserted, StoreError> {
        let request = self
            .client
            .put_item()
            .table_name(&self.tables.inbox)
            .set_item(Some(item_of(row)?))
            .condition_expression(format!("attribute_not_exists({PK})"))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = patiently(|| request.clone().send(), is_conflict).await else { return Ok(Inserted::New) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                let old = refusal.item().ok_or_else(|| unreadable(BODY_DIGEST))?;
                Ok(Inserted::Exists { body_digest: Reader(old).text(BODY_DIGEST)?.to_owned() })
            }
            _ => Err(store_error("PutItem", &error)),
        }
    }

    async fn get(&self, key: &EventKey) -> Result<Option<InboxRow>, StoreError> {
        self.item(&self.tables.inbox, key.to_string()).await?.as_ref().map(inbox_row).transpose()
    }

    async fn reschedule(&self, key: &EventKey, attempt: u32, to: &Reschedule) -> Result<bool, StoreError> {
        let mut wanted = vec![
            (ATTEMPT, number(to.attempt)),
            (UNSEEN, number(to.unseen)),
            (NEXT_AT, milliseconds_up(to.next_at)),
            (REASON, text(&to.reason)),
        ];
        if to.must_push {
            // Never set to false: whoever reschedules may have read the row before it was set.
            wanted.push((MUST_PUSH, AttributeValue::Bool(true)));
        }
        self.change_pending(key, attempt, InboxState::Pending, &wanted).await
    }

    async fn set_aside(
        &self,
        key: &EventKey,
        attempt: u32,
        state: InboxState,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let wanted =
            [(ATTEMPT, number(attempt)), (REASON, text(reason)), (OPEN, text(open(state, InboxRow::shard(key))))];
        self.change_pending(key, attempt, state, &wanted).await
    }

    /// One page of the index at most: the rest is still overdue when the next sweep comes.
    async fn overdue(&self, shard: u8, now: Timestamp, limit: usize) -> Result<Vec<Overdue>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let request = self
            .client
            .query()
            .table_name(&self.tables.inbox)
            .index_name(PENDING_INDEX)
            .key_condition_expression("#open = :open AND #next_at <= :now")
            .expression_attribute_names("#open", OPEN)
            .expression_attribute_names("#next_at", NEXT_AT)
            .expression_attribute_values(":open", text(open(InboxState::Pending, shard)))
            .expression_attribute_values(":now", milliseconds_down(now))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let answer = request.send().await.map_err(|error| store_error("Query", &error))?;
        let overdue = |item| {
            let read = Reader(item);
            let since = read.optional_milliseconds(NEXT_AT)?.ok_or_else(|| unreadable(NEXT_AT))?;
            Ok(Overdue { key: event_key(read)?, since })
        };
        answer.items().iter().map(overdue).collect()
    }
}

impl DynamoStore {
    /// Writes attributes to a row that is pending at `attempt`. A row that holds all of them already is an earlier try
    /// of this very change, whose answer was lost.
    async fn change_pending(
        &self,
        key: &EventKey,
        attempt: u32,
        state: InboxState,
        wanted: &[(&str, AttributeValue)],
    ) -> Result<bool, StoreError> {
        let state = (STATE, text(state.as_str()));
        let wanted = || wanted.iter().chain([&state]);
        let change = wanted().fold(if_pending(attempt, ""), |change, (name, value)| change.set(name, value.clone()));
        Ok(match self.change(&self.tables.inbox, key.to_string(), change).await? {
            Changed::Yes(_) => true,
            Changed::No(item) => wanted().all(|(name, value)| item.get(*name) == Some(value)),
        })
    }
}

/// A change of a row that is pending at `attempt`, and on what else.
fn if_pending(attempt: u32, and: &str) -> Change {
    Change::only_if(format!("#{STATE} = :was_state AND #{ATTEMPT} = :was_attempt{and}"))
        .value("was_state", text(InboxState::Pending.as_str()))
        .value("was_attempt", number(attempt))
}

/// The inbox's part of a commit.
pub(crate) fn settling(settle: &Settle<'_>, fence: u64) -> Change {
    let change = if_pending(settle.attempt, &format!(" AND #{MUST_PUSH} = :seen_must_push"))
        .value("seen_must_push", AttributeValue::Bool(settle.must_push))
        .set(STATE, text(InboxState::Settled.as_str()))
        .set(REASON, text(settle.outcome))
        .set(SETTLED_BY, number(fence))
        .remove(OPEN);
    match settle.expires_at {
        Some(at) => change.set(EXPIRES_AT, seconds_up(at)),
        None => change,
    }
}

/// What an event says, as it is stored.
pub(crate) fn event_json(event: &Event) -> Result<AttributeValue, StoreError> {
    json(&EventRef { event })
}

/// The partition of the index that a row stands in.
pub(crate) fn open(state: InboxState, shard: u8) -> String {
    format!("{}#{shard:02}", state.as_str())
}

fn item_of(row: &InboxRow) -> Result<Item, StoreError> {
    let is_open = row.state != InboxState::Settled;
    let attributes = [
        (PK, Some(text(&row.key))),
        (BODY, Some(AttributeValue::B(Blob::new(row.body.as_slice())))),
        (BODY_DIGEST, Some(text(&row.body_digest))),
        (RECEIVED_AT, Some(text(row.received_at))),
        (PROVEN_BY, Some(text(&row.proven_by))),
        (EVENT, row.event.as_ref().map(event_json).transpose()?),
        (STATE, Some(text(row.state.as_str()))),
        (ATTEMPT, Some(number(row.attempt))),
        (UNSEEN, Some(number(row.unseen))),
        (NEXT_AT, Some(milliseconds_up(row.next_at))),
        (REASON, row.reason.as_ref().map(text)),
        (MUST_PUSH, Some(AttributeValue::Bool(row.must_push))),
        (SETTLED_BY, row.settled_by.map(number)),
        (EXPIRES_AT, row.expires_at.map(seconds_up)),
        (REPLAY, row.replay.as_ref().map(json).transpose()?),
        (TRACE, row.trace.as_ref().map(text)),
        (OPEN, is_open.then(|| text(open(row.state, InboxRow::shard(&row.key))))),
    ];
    Ok(attributes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

/// An inbox row from its item, or from the new image in the table's stream.
///
/// # Errors
/// [`StoreError::Refused`], naming the attribute that cannot be read.
pub fn inbox_row(item: &HashMap<String, AttributeValue>) -> Result<InboxRow, StoreError> {
    let read = Reader(item);
    Ok(InboxRow {
        key: event_key(read)?,
        body: read.bytes(BODY)?.to_owned(),
        body_digest: read.text(BODY_DIGEST)?.to_owned(),
        received_at: read.parsed(RECEIVED_AT)?,
        proven_by: read.text(PROVEN_BY)?.to_owned(),
        event: read.optional_json(EVENT)?.map(|OwnedEvent { event }| event),
        state: state_named(read.text(STATE)?)?,
        attempt: read.number(ATTEMPT)?,
        unseen: read.number(UNSEEN)?,
        next_at: read.optional_milliseconds(NEXT_AT)?.ok_or_else(|| unreadable(NEXT_AT))?,
        reason: read.optional_text(REASON)?.map(str::to_owned),
        must_push: read.flag(MUST_PUSH)?,
        settled_by: read.optional_number(SETTLED_BY)?,
        expires_at: read.optional_seconds(EXPIRES_AT)?,
        replay: read.optional_json(REPLAY)?,
        // What nothing is decided by holds up nothing.
        trace: read.optional_text(TRACE)?.and_then(|trace| trace.parse().ok()),
    })
}

/// A row without what only its syncing needs.
pub(crate) fn delivery(item: &Item) -> Result<Delivery, StoreError> {
    let read = Reader(item);
    Ok(Delivery {
        key: event_key(read)?,
        received_at: read.parsed(RECEIVED_AT)?,
        proven_by: read.text(PROVEN_BY)?.to_owned(),
        event: read.optional_json(EVENT)?.map(|OwnedEvent { event }| event),
        state: state_named(read.text(STATE)?)?,
        attempt: read.number(ATTEMPT)?,
        next_at: read.optional_milliseconds(NEXT_AT)?.ok_or_else(|| unreadable(NEXT_AT))?,
        reason: read.optional_text(REASON)?.map(str::to_owned),
        replay: read.optional_json(REPLAY)?,
    })
}

pub(crate) fn event_key(read: Reader<'_>) -> Result<EventKey, StoreError> {
    let (source, id) = read.text(PK)?.split_once('#').ok_or_else(|| unreadable(PK))?;
    Ok(EventKey { source: source.to_owned(), id: id.to_owned() })
}

fn state_named(word: &str) -> Result<InboxState, StoreError> {
    [InboxState::Pending, InboxState::Settled, InboxState::Quarantined, InboxState::Failed]
        .into_iter()
        .find(|state| state.as_str() == word)
        .ok_or_else(|| unreadable(STATE))
}

/// How an event is stored.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Event")]
struct EventJson {
    key: EventKey,
    event_type: String,
    record: RecordKey,
    operation: Operation,
    time: Timestamp,
    version: Option<Version>,
    on_behalf_of: Option<String>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct EventRef<'a> {
    #[serde(with = "EventJson")]
    event: &'a Event,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct OwnedEvent {
    #[serde(with = "EventJson")]
    event: Event,
}
