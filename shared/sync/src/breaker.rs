//! Breakers: once a provider refuses our key, its events are parked instead of being tried and failed.

use crate::retry::jittered;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// An open breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerState {
    /// Until when nothing is sent. After that, one request probes.
    pub open_until: Timestamp,
    /// How often in a row the provider has refused us.
    pub refusals: u32,
}

/// The breakers of one process. Opening and closing is also written to the state table, where others find it.
#[derive(Debug, Default)]
pub struct BreakerBoard(Mutex<BTreeMap<String, BreakerState>>);

impl BreakerBoard {
    /// A board with what others have found.
    pub fn new(known: impl IntoIterator<Item = (String, BreakerState)>) -> Self {
        Self(Mutex::new(known.into_iter().collect()))
    }

    /// Takes over how the breakers stand in the state table: others have opened and closed some.
    pub fn learn(&self, known: impl IntoIterator<Item = (String, BreakerState)>) {
        *self.lock() = known.into_iter().collect();
    }

    /// `Some(until)` while nothing may be sent to the provider.
    pub fn open_until(&self, provider: &str, now: Timestamp) -> Option<Timestamp> {
        self.lock().get(provider).map(|state| state.open_until).filter(|until| now < *until)
    }

    /// As [`Self::open_until`], for whoever is about to ask the provider: where a pause is over, the one who asks is
    /// let through as a probe, and the others wait for another pause.
    pub fn enter(&self, provider: &str, now: Timestamp) -> Option<Timestamp> {
        let mut board = self.lock();
        let state = board.get_mut(provider)?;
        if now < state.open_until {
            return Some(state.open_until);
        }
        state.open_until = now + FIRST_PAUSE;
        None
    }

    /// Notes a refusal, and says how the breaker stands now.
    pub fn refused(&self, provider: &str, now: Timestamp, entropy: u128) -> BreakerState {
        let mut board = self.lock();
        let refusals = board.get(provider).map_or(0, |state| state.refusals) + 1;
        let pause = FIRST_PAUSE.saturating_mul(1 << refusals.min(6).saturating_sub(1)).min(LONGEST_PAUSE);
        let state = BreakerState { open_until: now + jittered(pause, entropy), refusals };
        board.insert(provider.to_owned(), state.clone());
        state
    }

    /// Notes that the provider took our key. `true` if its breaker was open until now.
    pub fn passed(&self, provider: &str) -> bool {
        self.lock().remove(provider).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BreakerState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn one_probe_is_let_through_after_the_pause() {
        let board = BreakerBoard::default();
        assert_eq!(board.enter("p", at(0)), None);
        let state = board.refused("p", at(0), 500);
        assert_eq!(state.open_until, at(30));
        assert_eq!(board.enter("p", at(29)), Some(at(30)));
        assert_eq!(board.open_until("p", at(30)), None, "a look takes no probe away");
        assert_eq!(board.enter("p", at(30)), None, "the probe");
        assert_eq!(board.enter("p", at(30)), Some(at(60)), "nobody beside it");
        assert!(board.passed("p"));
        assert!(!board.passed("p"));
        assert_eq!(board.enter("p", at(31)), None);
    }

    #[test]
    fn pauses_grow_to_five_minutes() {
        let board = BreakerBoard::default();
        let pauses: Vec<_> = (0..8).map(|_| board.refused("p", at(0), 500).open_until.as_second()).collect();
        assert_eq!(pauses, [30, 60, 120, 240, 300, 300, 300, 300]);
    }
}
