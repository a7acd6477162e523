//! The retry queue in process. What it holds is lost with the process, as messages may be: the sweep finds the events.

use certbridge_sync::{StoreError, ports::RetryQueue, row::Pointer};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

/// The sending end.
#[derive(Debug, Clone)]
pub(super) struct LocalQueue(UnboundedSender<Message>);

/// The receiving end.
pub(super) type Messages = UnboundedReceiver<Message>;

/// A pointer, and when it may be seen.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) pointer: Pointer,
    pub(super) due: Instant,
}

impl LocalQueue {
    /// A queue and its receiving end.
    pub(super) fn new() -> (Self, Messages) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), receiver)
    }
}

impl RetryQueue for LocalQueue {
    async fn send(&self, pointers: &[(Pointer, Duration)]) -> Result<(), StoreError> {
        let now = Instant::now();
        for (pointer, delay) in pointers {
            let message = Message { pointer: pointer.clone(), due: now + *delay };
            self.0.send(message).map_err(|_| StoreError::Unavailable("the queue is closed".into()))?;
        }
        Ok(())
    }
}
