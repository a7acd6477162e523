//! How far the sources have been polled.

use crate::{
    DynamoStore,
    call::{is_conflict, patiently, store_error},
    item::{Reader, json, number, text},
    schema::{
        POLLS,
        attribute::{PK, REVISION, SK, TEXT},
    },
};
use aws_sdk_dynamodb::{operation::put_item::PutItemError, types::ReturnValuesOnConditionCheckFailure};
use certbridge_mapping::Kind;
use certbridge_sync::{
    StoreError,
    poll::{PollMark, PollMarks},
};

impl PollMarks for DynamoStore {
    async fn poll_mark(&self, source: &str, kind: Kind) -> Result<Option<PollMark>, StoreError> {
        let request = self.client.get_item().table_name(&self.tables.state).consistent_read(true);
        let request = request.key(PK, text(POLLS)).key(SK, text(place(source, kind)));
        let answer = request.send().await.map_err(|error| store_error("GetItem", &error))?;
        answer.item().map(|item| Reader(item).json(TEXT)).transpose()
    }

    /// A write whose answer was lost finds its own mark when the SDK tries again: no other one is the same.
    async fn set_poll_mark(&self, source: &str, kind: Kind, mark: &PollMark) -> Result<bool, StoreError> {
        let before = mark.revision.saturating_sub(1);
        let condition = if before == 0 { "attribute_not_exists(#revision)" } else { "#revision = :before" };
        let request = self
            .client
            .put_item()
            .table_name(&self.tables.state)
            .item(PK, text(POLLS))
            .item(SK, text(place(source, kind)))
            .item(REVISION, number(mark.revision))
            .item(TEXT, json(mark)?)
            .condition_expression(condition)
            .expression_attribute_names("#revision", REVISION)
            .set_expression_attribute_values((before > 0).then(|| [(":before".to_owned(), number(before))].into()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = patiently(|| request.clone().send(), is_conflict).await else { return Ok(true) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                let known = refusal.item().map(|item| Reader(item).json::<PollMark>(TEXT)).transpose()?;
                Ok(known.as_ref() == Some(mark))
            }
            _ => Err(store_error("PutItem", &error)),
        }
    }
}

/// The place of a mark among all.
fn place(source: &str, kind: Kind) -> String {
    format!("{kind}#{source}")
}
