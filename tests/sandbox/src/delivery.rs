//! Deliveries as the providers make them: signed, tried again by each one's own rule, and on request more than once and
//! out of order.
//!
//! ```text
//! let courier = Courier::new(url, Rule::Accredit, |body, _| accredit.sign(body)).duplicated(7).reordered(7);
//! let attempts = courier.deliver(&bodies).await;
//! ```

use reqwest::{Client, header::RETRY_AFTER, redirect::Policy};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// What a sender does about an answer, and which headers of its own it adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// 400 makes it try again, up to five times, under the same `X-JobId`; anything else is the end.
    Accredit,
    /// Anything but 2xx makes it try again. How often is not documented: four times here. It waits for ten seconds.
    AccuLynx,
    /// Anything but 2xx makes it try again. How often is not documented: four times here.
    Certifylize,
    /// Only 429 makes it try again: up to six times, every ten minutes.
    HighLevel,
    /// The schedule of its specification. 410 is the end of all; `Retry-After` is kept.
    StandardWebhooks,
    /// Once, whatever the answer, as a Zap does.
    Zapier,
}

/// The waits before the attempts after the first, as Standard Webhooks has them for an example.
const STANDARD_WAITS: &[u64] = &[5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// The waits where none are documented.
const SOME_WAITS: &[u64] = &[10, 60, 600, 3_600];

/// Accredit's: that there are five is documented.
const ACCREDIT_WAITS: &[u64] = &[10, 60, 300, 900, 3_600];

/// HighLevel's, without its jitter.
const HIGHLEVEL_WAITS: &[u64] = &[600; 6];

impl Rule {
    fn waits(self) -> &'static [u64] {
        match self {
            Self::Accredit => ACCREDIT_WAITS,
            Self::AccuLynx | Self::Certifylize => SOME_WAITS,
            Self::HighLevel => HIGHLEVEL_WAITS,
            Self::StandardWebhooks => STANDARD_WAITS,
            Self::Zapier => &[],
        }
    }

    /// What the first attempt is called.
    fn first(self) -> u32 {
        if self == Self::Accredit { 0 } else { 1 }
    }

    fn timeout(self) -> Duration {
        Duration::from_secs(if self == Self::AccuLynx { 10 } else { 30 })
    }

    fn tries_again(self, status: Option<u16>) -> bool {
        match self {
            Self::Accredit => status == Some(400),
            Self::HighLevel => status == Some(429),
            Self::Zapier => false,
            _ => !status.is_some_and(|status| (200..300).contains(&status)),
        }
    }

    /// How long until the next attempt after this one, if there is to be one.
    fn next_wait(self, tried: usize, answer: &Answer) -> Option<Duration> {
        let wait = Duration::from_secs(*self.waits().get(tried)?);
        let asked = answer.retry_after.filter(|_| self == Self::StandardWebhooks).unwrap_or_default();
        self.tries_again(answer.status).then_some(wait.max(asked))
    }

    fn headers(self, body: &[u8], job: &str, attempt: u32) -> Vec<(String, String)> {
        let own = |name: &str, value: String| (name.to_owned(), value);
        match self {
            Self::Accredit => vec![own("X-JobId", job.to_owned()), own("X-JobAttempt", attempt.to_string())],
            Self::Certifylize => {
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                vec![
                    own("User-Agent", "Certifylize-Webhooks/1.0".to_owned()),
                    own("x-certifylize-delivery-id", job.to_owned()),
                    own("x-certifylize-event-type", body["type"].as_str().unwrap_or_default().to_owned()),
                    own("x-certifylize-attempt", attempt.to_string()),
                ]
            }
            Self::Zapier => vec![own("User-Agent", "Zapier".to_owned())],
            Self::AccuLynx | Self::HighLevel | Self::StandardWebhooks => Vec::new(),
        }
    }
}

/// How long the waits between attempts really are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pace {
    /// There are none: attempts follow in the order that the waits would give them.
    #[default]
    Instant,
    /// As the rule says.
    Real,
}

/// An attempt to deliver something, and what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which of the bodies.
    pub body: usize,
    /// Whether the body was sent by a delivery of its own before.
    pub duplicate: bool,
    /// As the sender counts: from 0 or from 1.
    pub attempt: u32,
    /// When it was due, counted from the start.
    pub due: Duration,
    /// The answer's status; none, if there was no answer.
    pub status: Option<u16>,
}

/// The headers that prove a body, at an attempt.
type Sign<'a> = Box<dyn Fn(&[u8], u32) -> Vec<(String, String)> + Send + Sync + 'a>;

/// Delivers to one address, as one sender does.
pub struct Courier<'a> {
    target: String,
    rule: Rule,
    sign: Sign<'a>,
    duplicates: Option<u64>,
    order: Option<u64>,
    pace: Pace,
    jobs: AtomicU64,
}

/// A delivery under way.
struct Job {
    body: usize,
    duplicate: bool,
    id: String,
    tried: usize,
}

struct Answer {
    status: Option<u16>,
    retry_after: Option<Duration>,
}

impl<'a> Courier<'a> {
    /// To this address, by this rule, with the headers that `sign` makes for a body and an attempt.
    pub fn new(
        target: impl Into<String>,
        rule: Rule,
        sign: impl Fn(&[u8], u32) -> Vec<(String, String)> + Send + Sync + 'a,
    ) -> Self {
        Self {
            target: target.into(),
            rule,
            sign: Box::new(sign),
            duplicates: None,
            order: None,
            pace: Pace::Instant,
            jobs: AtomicU64::new(0),
        }
    }

    /// Sends some bodies twice, under the same job: the seed says which.
    #[must_use]
    pub fn duplicated(self, seed: u64) -> Self {
        Self { duplicates: Some(seed), ..self }
    }

    /// Sends the bodies in another order: the seed says in which.
    #[must_use]
    pub fn reordered(self, seed: u64) -> Self {
        Self { order: Some(seed), ..self }
    }

    /// Waits so between attempts.
    #[must_use]
    pub fn paced(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// Delivers the bodies one after the other, and what has to be tried again when it is due. Says what was answered to
    /// each attempt, in their order.
    pub async fn deliver(&self, bodies: &[impl AsRef<[u8]>]) -> Vec<Attempt> {
        // By the time that an attempt is due, then by the order in which it came to be.
        let mut queue: BTreeMap<(Duration, usize), Job> = BTreeMap::new();
        for (place, job) in self.jobs(bodies.len()).into_iter().enumerate() {
            queue.insert((Duration::ZERO, place), job);
        }
        let (mut attempts, mut place, mut now) = (Vec::new(), queue.len(), Duration::ZERO);
        while let Some(((due, _), mut job)) = queue.pop_first() {
            if self.pace == Pace::Real {
                tokio::time::sleep(due.saturating_sub(now)).await;
            }
            now = due;
            let attempt = self.rule.first() + u32::try_from(job.tried).unwrap_or(u32::MAX);
            let answer = self.send(bodies[job.body].as_ref(), &job.id, attempt).await;
            let Job { body, duplicate, tried, .. } = job;
            attempts.push(Attempt { body, duplicate, attempt, due, status: answer.status });
            if self.rule == Rule::StandardWebhooks && answer.status == Some(410) {
                break;
            }
            if let Some(wait) = self.rule.next_wait(tried, &answer) {
                job.tried += 1;
                queue.insert((due + wait, place), job);
                place += 1;
            }
        }
        attempts
    }

    /// The deliveries of so many bodies, in the order of their first attempts.
    fn jobs(&self, bodies: usize) -> Vec<Job> {
        let mut twice = self.duplicates.map(fastrand::Rng::with_seed);
        let mut jobs = Vec::new();
        for body in 0..bodies {
            let id = self.job_id();
            jobs.push(Job { body, duplicate: false, id: id.clone(), tried: 0 });
            if twice.as_mut().is_some_and(fastrand::Rng::bool) {
                jobs.push(Job { body, duplicate: true, id, tried: 0 });
            }
        }
        if let Some(seed) = self.order {
            fastrand::Rng::with_seed(seed).shuffle(&mut jobs);
        }
        jobs
    }

    /// An id in the form of a UUID, of a delivery of this courier's.
    fn job_id(&self) -> String {
        let number = self.jobs.fetch_add(1, Ordering::Relaxed) + 1;
        format!("00000000-0000-4000-8000-{number:012x}")
    }

    async fn send(&self, body: &[u8], job: &str, attempt: u32) -> Answer {
        let mut headers = self.rule.headers(body, job, attempt);
        headers.extend((self.sign)(body, attempt));
        send(&self.target, body.to_vec(), headers, self.rule.timeout()).await
    }
}

/// Sends a body once, and gives the answer's status, if there is one.
pub(crate) async fn send_once(target: &str, rule: Rule, body: &Value, headers: Vec<(String, String)>) -> Option<u16> {
    let courier = Courier::new(target, rule, move |_, _| headers.clone());
    courier.send(body.to_string().as_bytes(), &courier.job_id(), rule.first()).await.status
}

async fn send(target: &str, body: Vec<u8>, headers: Vec<(String, String)>, timeout: Duration) -> Answer {
    let request = client().post(target).timeout(timeout).header("Content-Type", "application/json").body(body);
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let Ok(answer) = request.send().await else { return Answer { status: None, retry_after: None } };
    let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Answer { status: Some(answer.status().as_u16()), retry_after: seconds.map(Duration::from_secs) }
}

/// One for all: to make one takes long. It keeps no connection, since those belong to the runtime that made them.
fn client() -> &'static Client {
    static CLIENT: LazyLock<Client> = LazyLock::new(|| {
        let client = Client::builder().pool_max_idle_per_host(0).redirect(Policy::none());
        client.build().unwrap_or_default()
    });
    &CLIENT
}
