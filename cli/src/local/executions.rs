//! The state machine in process, as far as it is asked to start: whoever drives batches takes their ids from here.

use certbridge_sync::{
    StoreError,
    batches::{BatchId, Executions},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The sending end.
#[derive(Debug, Clone)]
pub(super) struct LocalExecutions {
    sender: UnboundedSender<BatchId>,
    started: Arc<Mutex<HashSet<BatchId>>>,
}

/// The batches that are to be started, each once. What it holds is lost with the process: the row says that the batch
/// has no execution yet, and the same request sent again starts it.
pub type Starts = UnboundedReceiver<BatchId>;

impl LocalExecutions {
    /// The two ends.
    pub(super) fn new() -> (Self, Starts) {
        let (sender, starts) = unbounded_channel();
        (Self { sender, started: Arc::default() }, starts)
    }
}

impl Executions for LocalExecutions {
    async fn start(&self, id: &BatchId) -> Result<(), StoreError> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if !started.contains(id) {
            let sent = self.sender.send(id.clone());
            sent.map_err(|_| StoreError::Unavailable("nobody drives batches".into()))?;
            started.insert(id.clone());
        }
        Ok(())
    }
}
