use aws_lambda_events::{dynamodb, sqs};
use certbridge_store::inbox_row;
use certbridge_sync::row::{InboxRow, Pointer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What invoked the function.
#[derive(Debug)]
pub enum Trigger {
    /// Records of the inbox's stream, or messages of the retry queue.
    Batch(Vec<Item>),
    /// The sweep's schedule.
    Sweep,
}

/// One part of a batch, which succeeds or fails by itself.
#[derive(Debug)]
pub struct Item {
    /// How the batch's answer names it.
    pub id: String,
    /// What it holds, or why that cannot be read.
    pub content: Result<Content, String>,
}

/// What one part of a batch holds.
#[derive(Debug)]
pub enum Content {
    /// The image of an inserted inbox row.
    Row(Box<InboxRow>),
    /// A pointer.
    Pointer(Pointer),
    /// A change of the inbox that is nothing to sync: the stream's filter lets only inserts through.
    Nothing,
}

/// The answer to a batch: what is to be delivered again.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// The failed parts.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// One failed part of a batch.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// The stream's sequence number, or the message's id.
    pub item_identifier: String,
}

/// Why an event is none of ours. The whole invocation fails: nothing of it can be named.
#[derive(Debug, thiserror::Error)]
pub enum UnknownTrigger {
    /// It does not have the shape of its kind.
    #[error("the event cannot be read: {0}")]
    Shape(#[from] serde_json::Error),
    /// It comes from somewhere else.
    #[error("an event of {0:?} is not for this function")]
    Origin(String),
}

#[derive(Deserialize)]
struct SweepEvent {
    task: String,
}

impl TryFrom<Value> for Trigger {
    type Error = UnknownTrigger;

    fn try_from(event: Value) -> Result<Self, UnknownTrigger> {
        let Some(first) = event.get("Records").and_then(|records| records.get(0)) else {
            let SweepEvent { task } = serde_json::from_value(event)?;
            return if task == "sweep" { Ok(Self::Sweep) } else { Err(UnknownTrigger::Origin(task)) };
        };
        match first.get("eventSource").and_then(Value::as_str) {
            Some("aws:dynamodb") => {
                let event: dynamodb::Event = serde_json::from_value(event)?;
                Ok(Self::Batch(event.records.into_iter().map(of_stream).collect()))
            }
            Some("aws:sqs") => {
                let event: sqs::SqsEvent = serde_json::from_value(event)?;
                Ok(Self::Batch(event.records.into_iter().map(of_queue).collect()))
            }
            other => Err(UnknownTrigger::Origin(other.unwrap_or_default().to_owned())),
        }
    }
}

fn of_stream(record: dynamodb::EventRecord) -> Item {
    let content = if record.event_name == "INSERT" {
        let image = record.change.new_image.into();
        inbox_row(&image).map(|row| Content::Row(Box::new(row))).map_err(|error| error.to_string())
    } else {
        Ok(Content::Nothing)
    };
    Item { id: record.change.sequence_number.unwrap_or_default(), content }
}

fn of_queue(message: sqs::SqsMessage) -> Item {
    // The text of the parser's error could repeat the message, which is not ours to trust.
    let content = serde_json::from_str(message.body.as_deref().unwrap_or_default())
        .map(Content::Pointer)
        .map_err(|_| "the message is no pointer".to_owned());
    Item { id: message.message_id.unwrap_or_default(), content }
}
