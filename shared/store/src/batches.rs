//! The batches. A batch stands in a partition of its own, with its progress beside it, so that one query reads both; and
//! once more among all batches, in the order of when they were asked for, so that one query reads a page of them.

use crate::{
    DynamoStore,
    call::{cancelled, condition_failed, is_conflict, passes, patiently, store_error},
    change::{Change, Changed},
    item::{Item, Reader, json, milliseconds_down, milliseconds_up, number, text, unreadable},
    schema::{
        BATCHES,
        attribute::{COMPARED, DESTINATION, LEASE_OWNER, LEASE_UNTIL, OWN, PARTITIONS, PK, REPAIRED, SK, SOURCE, TEXT},
        invalid,
    },
};
use aws_sdk_dynamodb::{
    error::SdkError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem},
};
use certbridge_sync::{
    StoreError,
    batches::{BatchId, BatchProgress, BatchRow, BatchStep, Batches, Registered, Turn},
    ports::Scanned,
};
use jiff::Timestamp;

/// The batch itself, in its partition; and the one place of the batch that runs, in the partition of that.
const BATCH: &str = "batch";
/// How far it has come, in its partition.
const PROGRESS: &str = "progress";
/// The partition of the one place of the batch that runs.
const TURN: &str = "turn";

impl Batches for DynamoStore {
    /// A repetition whose answer was lost finds its own row at the latest, which has the very same digest.
    async fn register(&self, row: &BatchRow) -> Result<Registered, StoreError> {
        let Err(error) = self.write_batch(row, true).await else { return Ok(Registered::New) };
        let reasons = reasons(&error).ok_or_else(|| store_error("TransactWriteItems", &error))?;
        match condition_failed(reasons, 0).and_then(CancellationReason::item) {
            Some(item) => Ok(Registered::Exists(Box::new(batch_row(item)?))),
            None => Err(cancelled("register", reasons)),
        }
    }

    async fn update_batch(&self, row: &BatchRow) -> Result<(), StoreError> {
        let answer = self.write_batch(row, false).await;
        answer.map_err(|error| match reasons(&error) {
            Some(reasons) => cancelled("update_batch", reasons),
            None => store_error("TransactWriteItems", &error),
        })
    }

    async fn batch(&self, id: &BatchId) -> Result<Option<(BatchRow, BatchProgress)>, StoreError> {
        let items = self.partition(&self.tables.state, &partition_of(id)).await?;
        let stands_at = |item: &&Item, place: &str| item.get(SK) == Some(&text(place));
        let Some(row) = items.iter().find(|item| stands_at(item, BATCH)) else { return Ok(None) };
        let progress = items.iter().find(|item| stands_at(item, PROGRESS));
        Ok(Some((batch_row(row)?, progress.map(batch_progress).transpose()?.unwrap_or_default())))
    }

    /// One row more than is wanted is asked for: whether there is a next page is then known, and no last page is empty.
    async fn batches(&self, cursor: Option<&str>, limit: usize) -> Result<Scanned<BatchRow>, StoreError> {
        let request = self
            .client
            .query()
            .table_name(&self.tables.state)
            .consistent_read(true)
            .key_condition_expression(format!("{PK} = :pk"))
            .expression_attribute_values(":pk", text(BATCHES))
            .scan_index_forward(false)
            .set_exclusive_start_key(cursor.map(|place| key(BATCHES, place)))
            .limit(i32::try_from(limit.saturating_add(1)).unwrap_or(i32::MAX));
        let answer = request.send().await.map_err(|error| store_error("Query", &error))?;
        let items = answer.items();
        let last = if items.len() > limit { items[..limit].last() } else { answer.last_evaluated_key() };
        Ok(Scanned {
            next: last.map(|item| Reader(item).text(SK).map(str::to_owned)).transpose()?,
            items: items.iter().take(limit).map(batch_row).collect::<Result<_, _>>()?,
        })
    }

    async fn note(&self, id: &BatchId, step: BatchStep) -> Result<(), StoreError> {
        // A member that is added to a set twice stands in it once.
        let (verb, attribute, value) = match step {
            BatchStep::Partitions(count) => ("SET", PARTITIONS, number(count)),
            BatchStep::Source(rows) => ("SET", SOURCE, number(rows)),
            BatchStep::Destination(rows) => ("SET", DESTINATION, number(rows)),
            BatchStep::Own(rows) => ("SET", OWN, number(rows)),
            BatchStep::Compared(partition) => ("ADD", COMPARED, set_of(partition)),
            BatchStep::Repaired(partition) => ("ADD", REPAIRED, set_of(partition)),
        };
        let sign = if verb == "SET" { "= " } else { "" };
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.state)
            .set_key(Some(key(partition_of(id), PROGRESS)))
            .update_expression(format!("{verb} #step {sign}:step"))
            .expression_attribute_names("#step", attribute)
            .expression_attribute_values(":step", value);
        let answer = patiently(|| request.clone().send(), is_conflict).await;
        answer.map(drop).map_err(|error| store_error("UpdateItem", &error))
    }

    async fn take_turn(&self, holder: &str, now: Timestamp, until: Timestamp) -> Result<Turn, StoreError> {
        let mine =
            format!("attribute_not_exists(#{LEASE_OWNER}) OR #{LEASE_OWNER} = :{LEASE_OWNER} OR #{LEASE_UNTIL} < :now");
        let change = Change::only_if(mine)
            .value("now", milliseconds_down(now))
            .set(LEASE_OWNER, text(holder))
            .set(LEASE_UNTIL, milliseconds_up(until));
        match self.change_item(&self.tables.state, key(TURN, BATCH), change).await? {
            Changed::Yes(_) => Ok(Turn::Mine),
            Changed::No(item) => {
                let read = Reader(&item);
                let until = Timestamp::from_millisecond(read.number(LEASE_UNTIL)?);
                let until = until.map_err(|_| unreadable(LEASE_UNTIL))?;
                Ok(Turn::Taken { by: read.text(LEASE_OWNER)?.to_owned(), until })
            }
        }
    }

    async fn end_turn(&self, holder: &str) -> Result<(), StoreError> {
        let change = Change::only_if(format!("#{LEASE_OWNER} = :me"))
            .value("me", text(holder))
            .remove(LEASE_OWNER)
            .remove(LEASE_UNTIL);
        self.change_item(&self.tables.state, key(TURN, BATCH), change).await.map(drop)
    }
}

impl DynamoStore {
    /// Writes a batch to both of its places, or to neither.
    async fn write_batch(&self, row: &BatchRow, only_if_new: bool) -> Result<(), SdkError<TransactWriteItemsError>> {
        let put = |key: Item, condition: Option<String>| {
            let put = Put::builder()
                .table_name(&self.tables.state)
                .set_item(Some(key))
                .item(TEXT, json(row)?)
                .set_condition_expression(condition)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .build();
            Ok(TransactWriteItem::builder().put(put.map_err(invalid)?).build())
        };
        let is_new = only_if_new.then(|| format!("attribute_not_exists({PK})"));
        let parts = [put(key(partition_of(&row.id), BATCH), is_new), put(key(BATCHES, row.place()), None)];
        let parts =
            parts.into_iter().collect::<Result<Vec<_>, StoreError>>().map_err(SdkError::construction_failure)?;
        let request = self.client.transact_write_items().set_transact_items(Some(parts));
        patiently(|| request.clone().send(), passes).await.map(drop)
    }
}

/// Why a transaction was cancelled, if it was.
fn reasons(error: &SdkError<TransactWriteItemsError>) -> Option<&[CancellationReason]> {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(refusal)) => Some(refusal.cancellation_reasons()),
        _ => None,
    }
}

fn partition_of(id: &BatchId) -> String {
    format!("batch#{id}")
}

fn key(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    Item::from([(PK.to_owned(), AttributeValue::S(pk.into())), (SK.to_owned(), AttributeValue::S(sk.into()))])
}

fn set_of(partition: u16) -> AttributeValue {
    AttributeValue::Ns(vec![partition.to_string()])
}

fn batch_row(item: &Item) -> Result<BatchRow, StoreError> {
    Reader(item).json(TEXT)
}

fn batch_progress(item: &Item) -> Result<BatchProgress, StoreError> {
    let read = Reader(item);
    let size = |of| Ok::<_, StoreError>(u16::try_from(read.optional_set_size(of)?).unwrap_or(u16::MAX));
    Ok(BatchProgress {
        source: read.optional_number(SOURCE)?.unwrap_or_default(),
        destination: read.optional_number(DESTINATION)?.unwrap_or_default(),
        own: read.optional_number(OWN)?.unwrap_or_default(),
        partitions: read.optional_number(PARTITIONS)?.unwrap_or_default(),
        compared: size(COMPARED)?,
        repaired: size(REPAIRED)?,
    })
}
