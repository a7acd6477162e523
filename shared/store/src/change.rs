//! A conditional update of one item, alone or in a transaction.

use crate::{
    DynamoStore,
    call::{is_conflict, patiently, store_error},
    item::{Item, text},
    schema::{attribute::PK, invalid},
};
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update},
};
use certbridge_sync::StoreError;
use std::collections::HashMap;

/// What to set and remove in one item, and on what condition. Attributes are named `#name` throughout, since DynamoDB
/// reserves half the dictionary.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    condition: String,
    set: Vec<String>,
    remove: Vec<String>,
    values: Item,
}

/// What became of a change.
pub(crate) enum Changed {
    /// It was made. This is the item from before; if there was none, it is empty, or its mere key.
    Yes(Item),
    /// The condition failed on this item; empty if there is none.
    No(Item),
}

impl Change {
    /// A change that is made only if the condition holds.
    pub(crate) fn only_if(condition: String) -> Self {
        Self { condition, set: Vec::new(), remove: Vec::new(), values: Item::new() }
    }

    /// Gives the value that the expressions call `:name`.
    pub(crate) fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(format!(":{name}"), value);
        self
    }

    /// Sets an attribute.
    pub(crate) fn set(mut self, attribute: &str, value: AttributeValue) -> Self {
        self.set.push(format!("#{attribute} = :{attribute}"));
        self.value(attribute, value)
    }

    /// Sets an attribute to what an expression says.
    pub(crate) fn compute(mut self, attribute: &str, expression: &str) -> Self {
        self.set.push(format!("#{attribute} = {expression}"));
        self
    }

    /// Removes an attribute.
    pub(crate) fn remove(mut self, attribute: &str) -> Self {
        self.remove.push(format!("#{attribute}"));
        self
    }

    fn update(&self) -> String {
        let clause = |verb: &str, parts: &[String]| match parts {
            [] => String::new(),
            parts => format!("{verb} {} ", parts.join(", ")),
        };
        clause("SET", &self.set) + &clause("REMOVE", &self.remove)
    }

    fn names(&self) -> HashMap<String, String> {
        let text = format!("{} {}", self.update(), self.condition);
        let words = text.split(|c: char| c != '#' && c != '_' && !c.is_ascii_alphanumeric());
        words.filter_map(|word| Some((word.to_owned(), word.strip_prefix('#')?.to_owned()))).collect()
    }

    /// The change as a part of a transaction.
    pub(crate) fn in_transaction(self, table: &str, pk: String) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(table)
            .key(PK, text(pk))
            .update_expression(self.update())
            .condition_expression(&self.condition)
            .set_expression_attribute_names(Some(self.names()))
            .set_expression_attribute_values(Some(self.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build();
        Ok(TransactWriteItem::builder().update(update.map_err(invalid)?).build())
    }
}

impl DynamoStore {
    /// Makes a change to one item of a table without a sort key. Tried again while a transaction holds the item.
    pub(crate) async fn change(&self, table: &str, pk: String, change: Change) -> Result<Changed, StoreError> {
        self.change_item(table, Item::from([(PK.to_owned(), text(pk))]), change).await
    }

    /// Makes a change to the item of a key.
    pub(crate) async fn change_item(&self, table: &str, key: Item, change: Change) -> Result<Changed, StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(table)
            .set_key(Some(key))
            .update_expression(change.update())
            .condition_expression(&change.condition)
            .set_expression_attribute_names(Some(change.names()))
            .set_expression_attribute_values(Some(change.values))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match patiently(|| request.clone().send(), is_conflict).await {
            Ok(answer) => Ok(Changed::Yes(answer.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                    Ok(Changed::No(refusal.item().cloned().unwrap_or_default()))
                }
                _ => Err(store_error("UpdateItem", &error)),
            },
        }
    }
}
