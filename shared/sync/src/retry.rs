//! When a failed attempt is tried again.

use std::time::Duration;

const SECOND: u64 = 1;
const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// The pauses after the first failures; from then on twelve hours.
const FIRST_PAUSES: [u64; 7] = [5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR];
const LAST_PAUSE: u64 = 12 * HOUR;

/// Failed attempts after which an event is set aside as failed: seven quick ones, then every twelve hours to five days.
pub const MAX_ATTEMPTS: u32 = 17;

/// The longest delay that the retry queue can hold (SQS: 15 minutes). What is due later is left to the sweep.
pub const LONGEST_QUEUE_DELAY: Duration = Duration::from_secs(15 * MINUTE);

/// The pause after the `attempt`th failure (from 1 on), or `None` if that was the last.
///
/// What the provider asks for goes first, up to twelve hours. Otherwise up to a fifth is taken off or added by
/// `entropy`, so that what failed together does not come back together.
pub fn pause(attempt: u32, retry_after: Option<Duration>, entropy: u128) -> Option<Duration> {
    if attempt >= MAX_ATTEMPTS {
        return None;
    }
    if let Some(asked) = retry_after {
        return Some(asked.clamp(Duration::from_secs(1), Duration::from_secs(LAST_PAUSE)));
    }
    let seconds = FIRST_PAUSES.get(attempt.saturating_sub(1) as usize).copied().unwrap_or(LAST_PAUSE);
    Some(jittered(Duration::from_secs(seconds), entropy))
}

/// A duration, up to a fifth shorter or longer.
pub(crate) fn jittered(duration: Duration, entropy: u128) -> Duration {
    let share = (entropy % 1000) as f64 / 1000.0;
    duration.mul_f64(0.8 + 0.4 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_tried_for_about_five_days() {
        let total: Duration = (1..).map_while(|attempt| pause(attempt, None, 500)).sum();
        let days = total.as_secs_f64() / (24.0 * HOUR as f64);
        assert!((4.5..5.5).contains(&days), "{days}");
        assert_eq!(pause(MAX_ATTEMPTS, Some(Duration::from_secs(1)), 0), None);
    }

    #[test]
    fn pauses_grow_and_vary_by_a_fifth() {
        assert_eq!(pause(1, None, 0), Some(Duration::from_secs(4)));
        assert!(pause(1, None, 999).unwrap() < Duration::from_secs(6));
        assert_eq!(pause(8, None, 500), Some(Duration::from_secs(LAST_PAUSE)));
    }

    #[test]
    fn what_the_provider_asks_for_goes_first() {
        assert_eq!(pause(3, Some(Duration::from_secs(7)), 999), Some(Duration::from_secs(7)));
        assert_eq!(pause(3, Some(Duration::ZERO), 0), Some(Duration::from_secs(1)));
        assert_eq!(pause(3, Some(Duration::MAX), 0), Some(Duration::from_secs(LAST_PAUSE)));
    }
}
