use aws_lambda_events::sqs::SqsMessage;
use certbridge_sync::{delivery::Delivery, notice::Notice};
use serde::Deserialize;

/// A message of the queue.
#[derive(Debug)]
pub struct Message {
    /// How the batch's answer names it.
    pub id: String,
    /// What holds it back.
    pub receipt: String,
    /// Which attempt this is, from 1 on.
    pub attempt: u32,
    /// What it holds; `None` if that cannot be read.
    pub content: Option<Content>,
}

/// What a message holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A notice, as the bus's rule brings it.
    Notice(Box<Notice>),
    /// A notice for one endpoint, as this function sent it.
    Delivery(Box<Delivery>),
}

/// An event of a bus, as far as it is ours.
#[derive(Deserialize)]
struct BusEvent {
    detail: Notice,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Delivery(Delivery),
    Event(BusEvent),
}

impl From<SqsMessage> for Message {
    fn from(message: SqsMessage) -> Self {
        let attempt = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
        let content = match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
            Ok(Body::Delivery(delivery)) => Some(Content::Delivery(Box::new(delivery))),
            Ok(Body::Event(event)) => Some(Content::Notice(Box::new(event.detail))),
            Err(_) => None,
        };
        Self {
            id: message.message_id.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
            attempt: attempt.unwrap_or(1).max(1),
            content,
        }
    }
}
