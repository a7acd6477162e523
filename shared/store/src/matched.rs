//! Which keys proved what stands in the inbox.

use crate::{
    DynamoStore,
    call::store_error,
    item::{Item, Reader, text, unreadable},
    schema::attribute::{PK, PROVEN_BY, RECEIVED_AT},
};
use certbridge_sync::StoreError;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// When keys of a source last proved an event, as far as the inbox was looked through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matched {
    /// By the id of the key.
    pub last: BTreeMap<String, Timestamp>,
    /// Whether the whole inbox was looked through.
    pub whole: bool,
}

impl DynamoStore {
    /// When each key last proved an event of a source. It reads the inbox through, as far as so many pages of a megabyte:
    /// for a person who rotates a key, and for nobody who is in a hurry.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub async fn keys_matched(&self, source: &str, pages: usize) -> Result<Matched, StoreError> {
        let mut found = Matched::default();
        let mut cursor: Option<Item> = None;
        for _ in 0..pages {
            let request = self
                .client
                .scan()
                .table_name(&self.tables.inbox)
                .projection_expression("#pk, #proven_by, #received_at")
                .filter_expression("begins_with(#pk, :of)")
                .expression_attribute_names("#pk", PK)
                .expression_attribute_names("#proven_by", PROVEN_BY)
                .expression_attribute_names("#received_at", RECEIVED_AT)
                .expression_attribute_values(":of", text(format!("{source}#")))
                .set_exclusive_start_key(cursor);
            let answer = request.send().await.map_err(|error| store_error("Scan", &error))?;
            for item in answer.items() {
                let read = Reader(item);
                let at = read.text(RECEIVED_AT)?.parse().map_err(|_| unreadable(RECEIVED_AT))?;
                let last = found.last.entry(read.text(PROVEN_BY)?.to_owned()).or_insert(at);
                *last = (*last).max(at);
            }
            cursor = answer.last_evaluated_key;
            if cursor.is_none() {
                found.whole = true;
                break;
            }
        }
        Ok(found)
    }
}
