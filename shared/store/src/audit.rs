//! The audit table as a whole: the ends of all chains, and all rows, page by page.

use crate::{
    DynamoStore,
    call::store_error,
    item::{Item, Reader, number, text, unreadable},
    schema::attribute::{AUDIT_HASH, AUDIT_SEQUENCE, PK, ROW, SK},
};
use certbridge_mapping::RecordKey;
use certbridge_sync::{
    AuditRow, StoreError,
    checkpoint::{Head, Heads},
    ports::Scanned,
    row::AuditHead,
};

impl Heads for DynamoStore {
    /// Reads no more of the records than the ends of their chains. A record that was claimed and never committed has none.
    async fn heads(&self, cursor: Option<&str>, limit: usize) -> Result<Scanned<Head>, StoreError> {
        let request = self
            .client
            .scan()
            .table_name(&self.tables.records)
            .consistent_read(true)
            .projection_expression("#pk, #sequence, #hash")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sequence", AUDIT_SEQUENCE)
            .expression_attribute_names("#hash", AUDIT_HASH)
            .set_exclusive_start_key(cursor.map(|pk| Item::from([(PK.to_owned(), text(pk))])))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let answer = request.send().await.map_err(|error| store_error("Scan", &error))?;
        let next = answer.last_evaluated_key().map(|key| Reader(key).text(PK).map(str::to_owned)).transpose()?;
        let heads: Result<Vec<_>, _> = answer.items().iter().map(head).collect();
        Ok(Scanned { items: heads?.into_iter().flatten().collect(), next })
    }
}

fn head(item: &Item) -> Result<Option<Head>, StoreError> {
    let read = Reader(item);
    let Some(sequence) = read.optional_number(AUDIT_SEQUENCE)? else { return Ok(None) };
    let record: RecordKey = read.parsed(PK)?;
    Ok(Head::of(&record, &AuditHead { sequence, hash: read.text(AUDIT_HASH)?.to_owned() }))
}

impl DynamoStore {
    /// A page of all audit rows, or of one record's. A chain's rows come one after the other, in their order, whether or
    /// not a page ends among them; chains come in no order that means anything.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn audit_page(
        &self,
        record: Option<&RecordKey>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Scanned<AuditRow>, StoreError> {
        let (table, start) = (&self.tables.audit, cursor.map(start_key).transpose()?);
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let (items, last) = match record {
            Some(record) => {
                let query = self.client.query().table_name(table).consistent_read(true).limit(limit);
                let query = query.key_condition_expression(format!("{PK} = :pk"));
                let query = query.expression_attribute_values(":pk", text(record)).set_exclusive_start_key(start);
                let answer = query.send().await.map_err(|error| store_error("Query", &error))?;
                (answer.items.unwrap_or_default(), answer.last_evaluated_key)
            }
            None => {
                let scan = self.client.scan().table_name(table).consistent_read(true).limit(limit);
                let answer = scan.set_exclusive_start_key(start).send().await;
                let answer = answer.map_err(|error| store_error("Scan", &error))?;
                (answer.items.unwrap_or_default(), answer.last_evaluated_key)
            }
        };
        let rows: Result<_, _> = items.iter().map(|item| Reader(item).json(ROW)).collect();
        Ok(Scanned { items: rows?, next: last.as_ref().map(next_cursor).transpose()? })
    }
}

/// Where a page begins: `{sequence} {record}`.
fn start_key(cursor: &str) -> Result<Item, StoreError> {
    let (sequence, record) = cursor.split_once(' ').ok_or_else(|| unreadable("a cursor"))?;
    Ok(Item::from([(PK.to_owned(), text(record)), (SK.to_owned(), number(sequence))]))
}

fn next_cursor(key: &Item) -> Result<String, StoreError> {
    let read = Reader(key);
    let sequence: u64 = read.number(SK)?;
    Ok(format!("{sequence} {}", read.text(PK)?))
}
