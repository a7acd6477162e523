//! The real clock.

use certbridge_sync::ports::Runtime;
use jiff::Timestamp;
use std::time::Duration;

/// The machine's own time and randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRuntime;

impl Runtime for SystemRuntime {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// # Panics
    /// If the kernel gives no randomness: an id that might not be unique is worse than no answer.
    fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        if let Err(error) = getrandom::fill(&mut bytes) {
            panic!("the kernel gives no randomness: {error}");
        }
        u128::from_ne_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_differ() {
        assert_ne!(SystemRuntime.random(), SystemRuntime.random());
    }

    #[test]
    fn time_is_after_this_was_written() {
        assert!(SystemRuntime.now() > "2026-11-01T00:00:00Z".parse().unwrap());
    }
}
