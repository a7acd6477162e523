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

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    /// What stands in the tables, or that they cannot be read.
    struct Tables(Mutex<Result<ControlRows, StoreError>>, Mutex<u32>);

    impl Tables {
        fn holding(rows: Result<ControlRows, StoreError>) -> Self {
            Self(Mutex::new(rows), Mutex::new(0))
        }

        fn hold(&self, rows: Result<ControlRows, StoreError>) {
            *self.0.lock().unwrap() = rows;
        }

        fn reads(&self) -> u32 {
            *self.1.lock().unwrap()
        }
    }

    impl Control for Tables {
        async fn control(&self) -> Result<ControlRows, StoreError> {
            *self.1.lock().unwrap() += 1;
            self.0.lock().unwrap().clone()
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn rows(files: &[(&str, &str)]) -> ControlRows {
        let definitions = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        ControlRows { definitions, breakers: Vec::new() }
    }

    fn refreshed(in_force: &InForce, tables: &Tables, second: i64) -> Result<Option<bool>, StoreError> {
        let refreshed = block_on(in_force.refresh(tables, at(second)))?;
        Ok(refreshed.map(|refreshed| refreshed.definitions.is_some()))
    }

    #[test]
    fn what_is_put_into_force_holds_within_five_minutes_and_is_read_no_oftener() {
        let tables = Tables::holding(Ok(rows(&[])));
        let in_force = InForce::new(Vec::new(), at(0), REFRESH);
        let closed = include_str!("../../../config/sources/17hats.toml").replace("17hats", "mine");
        let closed = closed.replace("variable = \"SEVENTEENHATS\"\n", "");
        tables.hold(Ok(rows(&[("sources/mine.toml", &closed)])));
        assert_eq!(refreshed(&in_force, &tables, 239), Ok(None));
        assert!(in_force.current().source("mine").is_none());
        assert_eq!(refreshed(&in_force, &tables, 240), Ok(Some(true)));
        assert!(in_force.current().source("mine").is_some());
        assert_eq!(refreshed(&in_force, &tables, 241), Ok(None));
        assert_eq!(refreshed(&in_force, &tables, 480), Ok(Some(false)), "nothing is new");
        assert_eq!(tables.reads(), 2);
        assert!(REFRESH < SignedDuration::from_mins(5));
    }

    #[test]
    fn a_broken_definition_turns_off_its_source_alone() {
        let tables = Tables::holding(Ok(rows(&[("sources/accredible.toml", "name = 5")])));
        let in_force = InForce::new(Vec::new(), at(0), REFRESH);
        assert!(in_force.current().source("accredible").is_some());
        assert_eq!(refreshed(&in_force, &tables, 240), Ok(Some(true)));
        assert!(in_force.current().source("accredible").is_none() && in_force.current().source("17hats").is_some());
        assert_eq!(in_force.current().errors().len(), 1);
    }

    #[test]
    fn what_cannot_be_read_stays_as_it_was_and_is_tried_again_soon() {
        let broken = StoreError::Unavailable("no answer".to_owned());
        let tables = Tables::holding(Err(broken.clone()));
        let in_force = InForce::new(Vec::new(), at(0), REFRESH);
        assert_eq!(refreshed(&in_force, &tables, 240), Err(broken));
        assert!(in_force.current().source("accredible").is_some());
        assert_eq!(refreshed(&in_force, &tables, 269), Ok(None));
        tables.hold(Ok(rows(&[])));
        assert_eq!(refreshed(&in_force, &tables, 270), Ok(Some(false)));
    }

    #[test]
    fn fixed_definitions_are_never_read_again() {
        let tables = Tables::holding(Ok(rows(&[])));
        let in_force = InForce::from(Definitions::built_in());
        assert_eq!(refreshed(&in_force, &tables, 1_000_000), Ok(None));
        assert_eq!(tables.reads(), 0);
    }
}
