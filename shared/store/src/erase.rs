//! What is left of a record once it is erased, and how long its deliveries are kept.

use crate::{
    DynamoStore,
    call::{is_conflict, patiently, store_error},
    change::Change,
    inbox::event_json,
    item::{Item, Reader, number, seconds_up, text},
    schema::{
        IDS,
        attribute::{BODY, EVENT, EXPIRES_AT, OPEN, PK, REASON, SK, STATE},
    },
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use certbridge_mapping::{EventKey, RecordKey};
use certbridge_sync::{StoreError, audit::Cause, erase::Remains, ports::Inbox, row::InboxState};
use jiff::Timestamp;

impl Remains for DynamoStore {
    async fn events_of(&self, record: &RecordKey) -> Result<Vec<EventKey>, StoreError> {
        let mut events = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.audit_page(Some(record), cursor.as_deref(), 1000).await?;
            let of = |cause| match cause {
                Cause::Event { id, .. } => id.split_once('#').map(|(source, id)| (source.to_owned(), id.to_owned())),
                _ => None,
            };
            let named = page.items.into_iter().filter_map(|row| of(row.cause));
            events.extend(named.map(|(source, id)| EventKey { source, id }));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(events);
            }
        }
    }

    async fn blank(&self, event: &EventKey, outcome: &str, expires_at: Timestamp) -> Result<bool, StoreError> {
        let Some(row) = self.get(event).await? else { return Ok(true) };
        if row.state == InboxState::Pending {
            return Ok(false);
        }
        let change = Change::only_if(format!("#{STATE} <> :pending"))
            .value("pending", text(InboxState::Pending.as_str()))
            .value("expires", seconds_up(expires_at))
            .compute(EXPIRES_AT, &format!("if_not_exists(#{EXPIRES_AT}, :expires)"))
            .set(BODY, AttributeValue::B(Blob::new(Vec::new())))
            .set(STATE, text(InboxState::Settled.as_str()))
            .set(REASON, text(outcome))
            .remove(OPEN);
        let change = match row.event {
            // On whose behalf it was sent may be the very person.
            Some(mut event) => {
                event.on_behalf_of = None;
                change.set(EVENT, event_json(&event)?)
            }
            None => change,
        };
        let changed = self.change(&self.tables.inbox, event.to_string(), change).await?;
        Ok(matches!(changed, crate::change::Changed::Yes(_)))
    }

    async fn expire(&self, event: &EventKey, at: Option<Timestamp>) -> Result<(), StoreError> {
        let change =
            Change::only_if(format!("#{STATE} = :settled")).value("settled", text(InboxState::Settled.as_str()));
        let change = match at {
            Some(at) => change.set(EXPIRES_AT, number(at.as_second())),
            None => change.remove(EXPIRES_AT),
        };
        self.change(&self.tables.inbox, event.to_string(), change).await.map(drop)
    }

    async fn forget_ids(&self, record: &RecordKey) -> Result<(), StoreError> {
        let pk = format!("{IDS}{record}");
        for item in self.partition(&self.tables.state, &pk).await? {
            let key = Item::from([(PK.to_owned(), text(&pk)), (SK.to_owned(), text(Reader(&item).text(SK)?))]);
            let delete = self.client.delete_item().table_name(&self.tables.state).set_key(Some(key));
            let answer = patiently(|| delete.clone().send(), is_conflict).await;
            answer.map(drop).map_err(|error| store_error("DeleteItem", &error))?;
        }
        Ok(())
    }
}
