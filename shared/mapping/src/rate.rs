//! How often a provider may be asked.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How many requests in how many seconds listings, polls and repairs may send to a provider, all together. It is a share
/// of what the provider allows: the rest is for the events, which are not slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many requests.
    pub requests: u32,
    /// In how many seconds.
    pub seconds: u32,
}

impl Rate {
    /// The time between two requests, if they are spread evenly.
    pub fn interval(&self) -> Duration {
        // A definition with a zero is refused.
        Duration::from_secs(self.seconds.into()) / self.requests.max(1)
    }

    pub(crate) fn faults(self) -> Vec<String> {
        let zeros = [("requests", self.requests), ("seconds", self.seconds)].into_iter().filter(|(_, of)| *of == 0);
        zeros.map(|(name, _)| format!("{name}: at least 1")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spread_evenly() {
        for (requests, seconds, milliseconds) in [(1000, 300, 300), (10, 1, 100), (1, 60, 60_000), (3, 1, 333)] {
            assert_eq!(Rate { requests, seconds }.interval().as_millis(), milliseconds);
        }
    }

    #[test]
    fn a_rate_of_nothing_is_a_fault() {
        assert_eq!(Rate { requests: 0, seconds: 0 }.faults(), ["requests: at least 1", "seconds: at least 1"]);
        assert_eq!(Rate { requests: 0, seconds: 0 }.interval(), Duration::ZERO);
        assert!(Rate { requests: 1, seconds: 1 }.faults().is_empty());
    }
}
