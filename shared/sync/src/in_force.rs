//! The definitions in force. They are read when a function starts and again every few minutes, so that what `certbridge
//! config push` puts into force needs neither a build nor a deployment.

use crate::{breaker::BreakerState, error::StoreError};
use certbridge_mapping::Definitions;
use jiff::{SignedDuration, Timestamp};
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

/// When the definitions are read again. What is put into force holds everywhere within five minutes.
pub const REFRESH: SignedDuration = SignedDuration::from_mins(4);
/// When they are, after they could not be.
const AFTER_FAILURE: SignedDuration = SignedDuration::from_secs(30);

/// What all functions share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlRows {
    /// The definitions in force, as (`sources/{name}.toml` or `destinations/{name}.toml`, TOML).
    pub definitions: Vec<(String, String)>,
    /// The open breakers, by provider.
    pub breakers: Vec<(String, BreakerState)>,
}

/// Where it stands.
pub trait Control: Send + Sync {
    /// All of it, by one read.
    fn control(&self) -> impl Future<Output = Result<ControlRows, StoreError>> + Send;
}

/// The definitions in force.
#[derive(Debug)]
pub struct InForce {
    current: RwLock<Arc<Definitions>>,
    /// `None`: they are not read again.
    reading: Option<Mutex<Reading>>,
    every: SignedDuration,
}

#[derive(Debug)]
struct Reading {
    files: Vec<(String, String)>,
    due: Timestamp,
}

/// What was read.
#[derive(Debug)]
pub struct Refreshed {
    /// The open breakers.
    pub breakers: Vec<(String, BreakerState)>,
    /// The definitions, if they are others than before.
    pub definitions: Option<Arc<Definitions>>,
}

impl InForce {
    /// The definitions of these files, which were read at `now`, to be read again every so often.
    pub fn new(files: Vec<(String, String)>, now: Timestamp, every: SignedDuration) -> Self {
        let definitions = parsed(&files);
        Self {
            current: RwLock::new(Arc::new(definitions)),
            reading: Some(Mutex::new(Reading { files, due: now + every })),
            every,
        }
    }

    /// The definitions as they stand now.
    pub fn current(&self) -> Arc<Definitions> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads again what is in force, if it is time to; `None` if it is not, or somebody else does. Where it cannot be
    /// read, what was in force stays so.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read. It is tried again half a minute later.
    pub async fn refresh<C: Control>(&self, store: &C, now: Timestamp) -> Result<Option<Refreshed>, StoreError> {
        let Some(reading) = self.reading.as_ref().filter(|reading| self.is_mine_to_read(reading, now)) else {
            return Ok(None);
        };
        let lock = || reading.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = match store.control().await {
            Ok(rows) => rows,
            Err(error) => {
                lock().due = now + AFTER_FAILURE.min(self.every);
                return Err(error);
            }
        };
        let mut reading = lock();
        if reading.files == rows.definitions {
            return Ok(Some(Refreshed { breakers: rows.breakers, definitions: None }));
        }
        let definitions = Arc::new(parsed(&rows.definitions));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&definitions);
        reading.files = rows.definitions;
        Ok(Some(Refreshed { breakers: rows.breakers, definitions: Some(definitions) }))
    }

    /// One reads at a time; the others go on with what they have.
    fn is_mine_to_read(&self, reading: &Mutex<Reading>, now: Timestamp) -> bool {
        let mut reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
        let due = now >= reading.due;
        if due {
            reading.due = now + self.every;
        }
        due
    }
}

/// Definitions that are never read again.
impl From<Definitions> for InForce {
    fn from(definitions: Definitions) -> Self {
        Self { current: RwLock::new(Arc::new(definitions)), reading: None, every: REFRESH }
    }
}

fn parsed(files: &[(String, String)]) -> Definitions {
    Definitions::in_force(files.iter().map(|(file, text)| (file.as_str(), text.as_str())))
}
