//! The retry queue on SQS.

use crate::{call::store_error, schema::invalid};
use aws_sdk_sqs::{Client, types::SendMessageBatchRequestEntry};
use certbridge_sync::{StoreError, ports::RetryQueue, retry::LONGEST_QUEUE_DELAY, row::Pointer};
use std::time::Duration;

/// As many messages as SQS takes in one call.
const BATCH: usize = 10;

/// The retry queue on SQS.
#[derive(Debug, Clone)]
pub struct SqsRetryQueue {
    client: Client,
    url: String,
}

impl SqsRetryQueue {
    /// The queue at this address.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }
}

impl RetryQueue for SqsRetryQueue {
    /// What is due later than the queue can hold comes at the longest delay, and is then dropped or sent again.
    async fn send(&self, pointers: &[(Pointer, Duration)]) -> Result<(), StoreError> {
        for batch in pointers.chunks(BATCH) {
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
}

fn entry((place, (pointer, delay)): (usize, &(Pointer, Duration))) -> Result<SendMessageBatchRequestEntry, StoreError> {
    let body = serde_json::to_string(pointer);
    let body = body.map_err(|_| StoreError::Refused("a pointer cannot be written as JSON".to_owned()))?;
    SendMessageBatchRequestEntry::builder()
        .id(place.to_string())
        .message_body(body)
        .delay_seconds(seconds_up((*delay).min(LONGEST_QUEUE_DELAY)))
        .build()
        .map_err(invalid)
}

fn seconds_up(delay: Duration) -> i32 {
    let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}
