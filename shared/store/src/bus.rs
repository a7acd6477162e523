//! The bus of notices on EventBridge.

use crate::call::store_error;
use aws_sdk_eventbridge::{
    Client,
    types::{PutEventsRequestEntry, PutEventsResultEntry},
};
use certbridge_sync::notice::{Bus, Notice, SOURCE};
use std::time::Duration;

/// As many entries as EventBridge takes in one call.
const ENTRIES: usize = 10;
/// As many bytes as it takes in one call: of each entry its source, its type and its detail.
const BYTES: usize = 256 * 1024;
/// The pauses before what was not taken is put again.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// The bus of notices on EventBridge.
#[derive(Debug, Clone)]
pub struct EventBridgeBus {
    client: Client,
    name: String,
}

/// A notice on its way, with its place among all that were given.
struct Part {
    place: usize,
    detail: String,
    detail_type: String,
}

impl Part {
    fn bytes(&self) -> usize {
        SOURCE.len() + self.detail_type.len() + self.detail.len()
    }
}

impl EventBridgeBus {
    /// The bus of this name or ARN.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    /// Puts one chunk, and returns what of it was not taken.
    async fn put_chunk(&self, chunk: Vec<Part>) -> Vec<Part> {
        let entries = chunk.iter().map(|part| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(SOURCE)
                .detail_type(&part.detail_type)
                .detail(&part.detail)
                .build()
        });
        let answer = self.client.put_events().set_entries(Some(entries.collect())).send().await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(error = %store_error("PutEvents", &error), notices = chunk.len(), "notices were not taken");
                return chunk;
            }
        };
        if answer.failed_entry_count() == 0 {
            return Vec::new();
        }
        let results = answer.entries();
        let code = results.iter().find_map(PutEventsResultEntry::error_code).unwrap_or("an error without a name");
        tracing::warn!(code, failed = answer.failed_entry_count(), "some notices were not taken");
        // One without a result of its own has none that says that it was taken.
        let failed = |place: usize| results.get(place).is_none_or(|result| result.event_id().is_none());
        chunk.into_iter().enumerate().filter(|(place, _)| failed(*place)).map(|(_, part)| part).collect()
    }
}

impl Bus for EventBridgeBus {
    async fn put(&self, notices: &[Notice]) -> Vec<usize> {
        let mut left: Vec<Part> = Vec::new();
        let mut unsent = Vec::new();
        for (place, notice) in notices.iter().enumerate() {
            match serde_json::to_string(notice) {
                Ok(detail) => left.push(Part { place, detail, detail_type: notice.notice_type.clone() }),
                Err(_) => unsent.push(place),
            }
        }
        let mut pauses = PAUSES.into_iter();
        loop {
            let mut failed = Vec::new();
            for chunk in chunks(left) {
                failed.extend(self.put_chunk(chunk).await);
            }
            left = failed;
            let Some(pause) = pauses.next().filter(|_| !left.is_empty()) else { break };
            tokio::time::sleep(pause).await;
        }
        unsent.extend(left.iter().map(|part| part.place));
        unsent.sort_unstable();
        unsent
    }
}

/// The parts in their order, as many in each chunk as one call takes.
fn chunks(parts: Vec<Part>) -> Vec<Vec<Part>> {
    let mut chunks: Vec<(usize, Vec<Part>)> = Vec::new();
    for part in parts {
        let bytes = part.bytes();
        match chunks.last_mut() {
            Some((sum, chunk)) if chunk.len() < ENTRIES && *sum + bytes <= BYTES => {
                *sum += bytes;
                chunk.push(part);
            }
            _ => chunks.push((bytes, vec![part])),
        }
    }
    chunks.into_iter().map(|(_, chunk)| chunk).collect()
}
