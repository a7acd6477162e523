//! What notices are made of, and the endpoints that nothing is sent to.

use crate::{
    DynamoStore,
    call::store_error,
    item::{Item, Reader, text},
    schema::{
        ENDPOINTS,
        attribute::{PK, ROW, SK, TIME},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use certbridge_sync::{AuditRow, StoreError, delivery::DisabledEndpoints};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};

/// An audit row from its item, or from the new image in the table's stream.
///
/// # Errors
/// [`StoreError::Refused`], naming the attribute that cannot be read.
pub fn audit_row(item: &HashMap<String, AttributeValue>) -> Result<AuditRow, StoreError> {
    Reader(item).json(ROW)
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
