//! The queue of deliveries on SQS.

use crate::{call::store_error, schema::invalid};
use aws_sdk_sqs::{Client, types::SendMessageBatchRequestEntry};
use certbridge_sync::{
    StoreError,
    delivery::{Deliveries, Delivery},
};
use std::time::Duration;

/// As many messages as SQS takes in one call. A notice is a few KiB at most, so their size is none of its limits.
const BATCH: usize = 10;

/// The queue of deliveries on SQS.
#[derive(Debug, Clone)]
pub struct SqsDeliveries {
    client: Client,
    url: String,
}

impl SqsDeliveries {
    /// The queue at this address.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }
}

impl Deliveries for SqsDeliveries {
    async fn send(&self, deliveries: &[Delivery]) -> Result<(), StoreError> {
        for batch in deliveries.chunks(BATCH) {
            let entries = batch.iter().enumerate().map(entry).collect::<Result<_, _>>()?;
            let request = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
            let answer = request.send().await.map_err(|error| store_error("SendMessageBatch", &error))?;
            let unsent = answer.failed().len();
            if unsent > 0 {
                let message = format!("SendMessageBatch: {unsent} of {} were not taken", batch.len());
                return Err(StoreError::Unavailable(message));
            }
        }
        Ok(())
    }

    async fn postpone(&self, receipt: &str, wait: Duration) -> Result<(), StoreError> {
        let seconds = i32::try_from(wait.as_secs()).unwrap_or(i32::MAX);
        let request = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
        let answer = request.visibility_timeout(seconds).send().await;
        answer.map(drop).map_err(|error| store_error("ChangeMessageVisibility", &error))
    }
}

fn entry((place, delivery): (usize, &Delivery)) -> Result<SendMessageBatchRequestEntry, StoreError> {
    let body = serde_json::to_string(delivery);
    let body = body.map_err(|_| StoreError::Refused("a delivery cannot be written as JSON".to_owned()))?;
    SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body(body).build().map_err(invalid)
}
