//! What notices are made of, and the endpoints that nothing is sent to.

use crate::{
    DynamoStore,
    call::store_error,
    item::{Item, Reader, text, unreadable},
    schema::{
        ENDPOINTS,
        attribute::{PK, ROW, SK, TIME},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use certbridge_sync::{AuditRow, StoreError, delivery::DisabledEndpoints, ports::Scanned};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};

/// An audit row from its item, or from the new image in the table's stream.
///
/// # Errors
/// [`StoreError::Refused`], naming the attribute that cannot be read.
pub fn audit_row(item: &HashMap<String, AttributeValue>) -> Result<AuditRow, StoreError> {
    Reader(item).json(ROW)
}

impl DynamoStore {
    /// A page of all audit rows, in no order: where the next one begins stands in it, as `{record} {sequence}`.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn audit_page(&self, cursor: Option<&str>, limit: usize) -> Result<Scanned<AuditRow>, StoreError> {
        let request = self
            .client
            .scan()
            .table_name(&self.tables.audit)
            .consistent_read(true)
            .set_exclusive_start_key(cursor.map(place).transpose()?)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let answer = request.send().await.map_err(|error| store_error("Scan", &error))?;
        Ok(Scanned {
            items: answer.items().iter().map(audit_row).collect::<Result<_, _>>()?,
            next: answer.last_evaluated_key().map(cursor_of).transpose()?,
        })
    }
}

fn place(cursor: &str) -> Result<Item, StoreError> {
    let (record, sequence) = cursor.rsplit_once(' ').ok_or_else(|| unreadable("a cursor"))?;
    Ok(Item::from([(PK.to_owned(), text(record)), (SK.to_owned(), AttributeValue::N(sequence.to_owned()))]))
}

fn cursor_of(key: &Item) -> Result<String, StoreError> {
    let read = Reader(key);
    let sequence: u64 = read.number(SK)?;
    Ok(format!("{} {sequence}", read.text(PK)?))
}

impl DisabledEndpoints for DynamoStore {
    async fn disabled(&self) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        let items = self.partition(&self.tables.state, ENDPOINTS).await?;
        let one = |item: &Item| Ok((Reader(item).text(SK)?.to_owned(), Reader(item).parsed(TIME)?));
        items.iter().map(one).collect()
    }

    async fn disable(&self, endpoint: &str, at: Timestamp) -> Result<(), StoreError> {
        let put = self.client.put_item().table_name(&self.tables.state);
        let put = put.item(PK, text(ENDPOINTS)).item(SK, text(endpoint)).item(TIME, text(at));
        put.send().await.map(drop).map_err(|error| store_error("PutItem", &error))
    }

    async fn enable(&self, endpoint: &str) -> Result<(), StoreError> {
        let delete = self.client.delete_item().table_name(&self.tables.state);
        let delete = delete.key(PK, text(ENDPOINTS)).key(SK, text(endpoint));
        delete.send().await.map(drop).map_err(|error| store_error("DeleteItem", &error))
    }
}
