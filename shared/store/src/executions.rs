//! Batches' executions on Step Functions.

use crate::call::store_error;
use aws_sdk_sfn::{Client, operation::start_execution::StartExecutionError};
use certbridge_sync::{
    StoreError,
    batches::{BatchId, Executions},
};
use serde_json::json;

/// The state machine that carries batches.
#[derive(Debug, Clone)]
pub struct SfnExecutions {
    client: Client,
    state_machine_arn: String,
}

impl SfnExecutions {
    /// The executions of this state machine.
    pub fn new(client: Client, state_machine_arn: impl Into<String>) -> Self {
        Self { client, state_machine_arn: state_machine_arn.into() }
    }
}

impl Executions for SfnExecutions {
    /// The execution has the batch's id as its name, and names are unique: while it runs, a second start with the same
    /// input is the first one's; once it is over, its name is taken for another 90 days.
    async fn start(&self, id: &BatchId) -> Result<(), StoreError> {
        let request = self
            .client
            .start_execution()
            .state_machine_arn(&self.state_machine_arn)
            .name(id.as_str())
            .input(json!({ "batch_id": id }).to_string());
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(StartExecutionError::ExecutionAlreadyExists(_)) => Ok(()),
                _ => Err(store_error("StartExecution", &error)),
            },
        }
    }
}
