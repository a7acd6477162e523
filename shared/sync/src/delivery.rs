//! Which endpoint gets which notice, when a failed delivery is tried again, and when an endpoint is given up.

use crate::{error::StoreError, notice::Notice, retry::jittered};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, future::Future, time::Duration};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// The waits after the failed attempts, as Standard Webhooks proposes them, as far as a queue can hold a message.
const WAITS: [u64; 9] = [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 12 * HOUR, 12 * HOUR, 12 * HOUR];

/// How often one notice is sent to one endpoint, in some two days. After that it is left to a person.
pub const MAX_ATTEMPTS: u32 = WAITS.len() as u32 + 1;

/// The longest that a queue can hold a message back (SQS: twelve hours).
pub const LONGEST_WAIT: Duration = Duration::from_secs(12 * HOUR);

/// How long after the `attempt`th failure (from 1 on) the next attempt is, or `None` if that was the last.
///
/// What the endpoint asks for goes first. Otherwise up to a fifth is taken off or added by `entropy`.
pub fn wait(attempt: u32, retry_after: Option<Duration>, entropy: u128) -> Option<Duration> {
    let seconds = *WAITS.get(attempt.saturating_sub(1) as usize)?;
    let wait = retry_after.unwrap_or_else(|| jittered(Duration::from_secs(seconds), entropy));
    Some(wait.clamp(Duration::from_secs(1), LONGEST_WAIT))
}

/// Somebody who is told, by a signed post.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its name, for logs and commands.
    pub id: String,
    /// Where it is. The address may be all that keeps others from posting there, so it is as secret as a key.
    pub url: SecretString,
    /// The port, where it is not that of HTTPS: said once more, so that nobody reaches another one by mistake.
    pub port: Option<u16>,
    /// What its notices are signed with: each key gives a signature, so that a key can be replaced. Never empty.
    pub keys: Vec<SecretString>,
    /// The types that it wants: `certificate.synced`, `certificate.*`, `*`.
    pub events: Vec<String>,
}

impl Endpoint {
    /// Whether it wants notices of this type.
    pub fn wants(&self, notice_type: &str) -> bool {
        self.events.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some("") => true,
            Some(begin) => begin.ends_with('.') && notice_type.starts_with(begin),
            None => pattern == notice_type,
        })
    }
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken.
    Delivered,
    /// The endpoint wants nothing any more (410).
    Gone,
    /// It may be taken another time.
    Later,
}

impl Verdict {
    /// What a status says. All but success and 410 may pass: a receiver that is deployed anew answers 404 for a while.
    pub fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            410 => Self::Gone,
            _ => Self::Later,
        }
    }
}

/// One notice for one endpoint, as it waits in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The endpoint, by its id.
    pub endpoint: String,
    /// The notice.
    pub notice: Notice,
}

/// The queue in which deliveries wait.
pub trait Deliveries: Send + Sync {
    /// Sends deliveries, all of them or an error. Then some of them may have been sent.
    fn send(&self, deliveries: &[Delivery]) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Holds back a message that failed for so long.
    fn postpone(&self, receipt: &str, wait: Duration) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The endpoints that nothing is sent to, since they said so.
pub trait DisabledEndpoints: Send + Sync {
    /// All of them, each with when it was disabled.
    fn disabled(&self) -> impl Future<Output = Result<BTreeMap<String, Timestamp>, StoreError>> + Send;
    /// Disables one.
    fn disable(&self, endpoint: &str, at: Timestamp) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Lets one be told again.
    fn enable(&self, endpoint: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        assert_eq!(wait(1, None, 500), Some(Duration::from_secs(5)));
        assert_eq!(wait(2, None, 0), Some(Duration::from_secs(4 * MINUTE)));
        assert!((1..MAX_ATTEMPTS).all(|attempt| wait(attempt, None, 999).is_some_and(|wait| wait <= LONGEST_WAIT)));
        assert_eq!(wait(MAX_ATTEMPTS, None, 0), None);
        let total: u64 = WAITS.iter().sum();
        assert!((48 * HOUR..72 * HOUR).contains(&total), "{total}");
    }

    #[test]
    fn what_the_endpoint_asks_for_goes_first() {
        assert_eq!(wait(3, Some(Duration::from_secs(7)), 0), Some(Duration::from_secs(7)));
        assert_eq!(wait(3, Some(Duration::ZERO), 0), Some(Duration::from_secs(1)));
        assert_eq!(wait(3, Some(Duration::MAX), 0), Some(LONGEST_WAIT));
        assert_eq!(wait(MAX_ATTEMPTS, Some(Duration::from_secs(7)), 0), None, "the last is the last");
    }

    #[test]
    fn patterns_are_whole_words() {
        let wants = |pattern: &str, notice_type: &str| {
            let none = || SecretString::from("");
            let events = vec![pattern.to_owned()];
            Endpoint { id: "a".into(), url: none(), port: None, keys: vec![none()], events }.wants(notice_type)
        };
        for (pattern, wanted, unwanted) in [
            ("certificate.synced", "certificate.synced", "certificate.deleted"),
            ("certificate.*", "certificate.deleted", "customer.synced"),
            ("*", "batch.completed", ""),
        ] {
            assert!(wants(pattern, wanted), "{pattern} {wanted}");
            assert!(unwanted.is_empty() || !wants(pattern, unwanted), "{pattern} {unwanted}");
        }
        for (pattern, unwanted) in [("cert*", "certificate.synced"), ("", "a"), ("certificate", "certificate.synced")] {
            assert!(!wants(pattern, unwanted), "{pattern} {unwanted}");
        }
    }

    #[test]
    fn only_success_is_success_and_only_gone_is_the_end() {
        for (status, verdict) in [
            (200, Verdict::Delivered),
            (204, Verdict::Delivered),
            (299, Verdict::Delivered),
            (410, Verdict::Gone),
            (301, Verdict::Later),
            (304, Verdict::Later),
            (400, Verdict::Later),
            (404, Verdict::Later),
            (429, Verdict::Later),
            (500, Verdict::Later),
            (199, Verdict::Later),
        ] {
            assert_eq!(Verdict::of(status), verdict, "{status}");
        }
    }
}
