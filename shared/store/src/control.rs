//! What all functions share: the definitions in force and the breakers.

use crate::{
    DynamoStore,
    call::{is_conflict, patiently, store_error},
    item::{Item, Reader, json, text},
    schema::{
        CONTROL,
        attribute::{PK, SK, TEXT},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use certbridge_sync::{
    StoreError,
    breaker::BreakerState,
    in_force::{Control, ControlRows},
    ports::Breakers,
};

const BREAKER: &str = "breaker#";
/// Before a definition's file, in its sort key.
pub(crate) const DEFINITION: &str = "definition#";

/// Takes in one row. Rows of other kinds are left to newer versions, and a breaker that cannot be read counts as closed:
/// neither may keep a function from starting.
fn take(rows: &mut ControlRows, item: &Item) -> Result<(), StoreError> {
    let row = Reader(item);
    let name = row.text(SK)?;
    if let Some(file) = name.strip_prefix(DEFINITION) {
        rows.definitions.push((file.to_owned(), row.text(TEXT)?.to_owned()));
    } else if let Some(provider) = name.strip_prefix(BREAKER) {
        match row.json(TEXT) {
            Ok(state) => rows.breakers.push((provider.to_owned(), state)),
            Err(error) => tracing::warn!(provider, %error, "a breaker is ignored"),
        }
    }
    Ok(())
}

impl Control for DynamoStore {
    /// The definitions in force and the open breakers, by one query.
    async fn control(&self) -> Result<ControlRows, StoreError> {
        let mut rows = ControlRows::default();
        for item in self.partition(&self.tables.state, CONTROL).await? {
            take(&mut rows, &item)?;
        }
        Ok(rows)
    }
}

impl DynamoStore {
    async fn set_control(&self, name: String, value: Option<AttributeValue>) -> Result<(), StoreError> {
        let (table, name) = (&self.tables.state, text(name));
        match value {
            Some(value) => {
                let put = self.client.put_item().table_name(table);
                let put = put.item(PK, text(CONTROL)).item(SK, name).item(TEXT, value);
                let answer = patiently(|| put.clone().send(), is_conflict).await;
                answer.map(drop).map_err(|error| store_error("PutItem", &error))
            }
            None => {
                let delete = self.client.delete_item().table_name(table).key(PK, text(CONTROL)).key(SK, name);
                let answer = patiently(|| delete.clone().send(), is_conflict).await;
                answer.map(drop).map_err(|error| store_error("DeleteItem", &error))
            }
        }
    }
}

impl Breakers for DynamoStore {
    async fn set_breaker(&self, provider: &str, state: Option<&BreakerState>) -> Result<(), StoreError> {
        self.set_control(format!("{BREAKER}{provider}"), state.map(json).transpose()?).await
    }
}
