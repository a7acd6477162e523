//! What stands in the tables, page by page.

use crate::{
    DynamoStore,
    call::store_error,
    inbox::{event_key, open},
    item::{Item, Reader, text, unreadable},
    records::record_row,
    schema::{
        PENDING_INDEX,
        attribute::{NEXT_AT, OPEN, PK},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use certbridge_mapping::{EventKey, Kind};
use certbridge_sync::{
    StoreError,
    ports::{Scan, Scanned},
    row::{InboxState, RecordRow},
};

impl Scan for DynamoStore {
    async fn records(&self, kind: Kind, cursor: Option<&str>, limit: usize) -> Result<Scanned<RecordRow>, StoreError> {
        let request = self
            .client
            .scan()
            .table_name(&self.tables.records)
            .consistent_read(true)
            .filter_expression("begins_with(#pk, :of)")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":of", text(format!("{kind}#")))
            .set_exclusive_start_key(cursor.map(|pk| Item::from([(PK.to_owned(), text(pk))])))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let answer = request.send().await.map_err(|error| store_error("Scan", &error))?;
        let row = |item: &Item| {
            let key = Reader(item).text(PK)?.parse().map_err(|_| unreadable(PK))?;
            record_row(&key, item)
        };
        let next = answer.last_evaluated_key().map(|key| Reader(key).text(PK).map(str::to_owned)).transpose()?;
        Ok(Scanned { items: answer.items().iter().map(row).collect::<Result<_, _>>()?, next })
    }

    async fn unsettled(
        &self,
        state: InboxState,
        shard: u8,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Scanned<EventKey>, StoreError> {
        let of = open(state, shard);
        let start = cursor.map(|cursor| start_key(&of, cursor)).transpose()?;
        let request = self
            .client
            .query()
            .table_name(&self.tables.inbox)
            .index_name(PENDING_INDEX)
            .key_condition_expression("#open = :open")
            .expression_attribute_names("#open", OPEN)
            .expression_attribute_values(":open", text(of))
            .set_exclusive_start_key(start)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let answer = request.send().await.map_err(|error| store_error("Query", &error))?;
        let next = answer.last_evaluated_key().map(next_cursor).transpose()?;
        Ok(Scanned {
            items: answer.items().iter().map(|item| event_key(Reader(item))).collect::<Result<_, _>>()?,
            next,
        })
    }
}

/// Where a page of the index begins: `{next_at} {pk}`.
fn start_key(open: &str, cursor: &str) -> Result<Item, StoreError> {
    let (next_at, pk) = cursor.split_once(' ').ok_or_else(|| unreadable("a cursor"))?;
    Ok(Item::from([
        (OPEN.to_owned(), text(open)),
        (NEXT_AT.to_owned(), AttributeValue::N(next_at.to_owned())),
        (PK.to_owned(), text(pk)),
    ]))
}

fn next_cursor(key: &Item) -> Result<String, StoreError> {
    let read = Reader(key);
    let next_at: i64 = read.number(NEXT_AT)?;
    Ok(format!("{next_at} {}", read.text(PK)?))
}
