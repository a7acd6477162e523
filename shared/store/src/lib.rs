//! The ports on DynamoDB, the retry queue on SQS, and batches' executions on Step Functions.
//!
//! Every operation that a budget counts is one call. What DynamoDB returns of the row that stood in the way (`ALL_OLD`)
//! says why a condition failed, and whether it was an earlier try of the same write, whose answer was lost.
#![warn(missing_docs)]

mod audit;
mod batches;
mod call;
mod catalog;
mod change;
mod control;
mod definitions;
mod erase;
#[cfg(feature = "sfn")]
mod executions;
mod grants;
mod ids;
mod inbox;
mod inspect;
mod item;
mod matched;
mod poll;
#[cfg(feature = "sqs")]
mod queue;
mod records;
mod scan;
pub mod schema;

pub use definitions::{BrokenHistory, ChangeError, DefinitionChange, DefinitionEntry, verify_history};
#[cfg(feature = "sfn")]
pub use executions::SfnExecutions;
pub use inbox::inbox_row;
pub use inspect::TableFacts;
pub use matched::Matched;
#[cfg(feature = "sqs")]
pub use queue::SqsRetryQueue;
pub use schema::Tables;

use aws_sdk_dynamodb::Client;

/// The inbox, the records with their audit rows, and the shared state, on DynamoDB.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    client: Client,
    tables: Tables,
}

impl DynamoStore {
    /// The store in these tables.
    pub fn new(client: Client, tables: Tables) -> Self {
        Self { client, tables }
    }
}
