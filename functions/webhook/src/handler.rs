use certbridge_mapping::{Delivery, Keys, Refusal, SourceDefinition, Verified};
use certbridge_platform::{
    Answer, Metrics, Problem, ProblemType, SecretError, SecretProvider, Secrets,
    http::{Request, headers, path_parameter, source_ip},
    trace,
};
use certbridge_sync::{
    InForce, StoreError,
    accept::{Acceptance, accept},
    ports::{Inbox, Runtime},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// What a sender is asked to wait before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Everything that the handler needs.
#[derive(Debug)]
pub struct Webhook<I, P, T> {
    /// The definitions in force.
    pub definitions: InForce,
    /// The sources' keys.
    pub secrets: Arc<Secrets<P, T>>,
    /// Where events are stored.
    pub inbox: I,
    /// The clock.
    pub runtime: T,
    /// The counters.
    pub metrics: Metrics,
}

/// Why a delivery is not taken. The text is for the log.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("there is no such source, or it is off")]
    UnknownSource,
    #[error("the address is not allowed")]
    AddressNotAllowed,
    #[error("the body has {bytes} bytes, {limit} are allowed")]
    BodyTooLarge { bytes: usize, limit: usize },
    #[error("not proven: {0}")]
    NotProven(#[from] Refusal),
    #[error("the secret cannot be read: {0}")]
    Secret(#[from] SecretError),
    #[error("could not be stored: {0}")]
    Store(#[from] StoreError),
}

impl Refused {
    /// A short stable word for metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::UnknownSource => "unknown-source",
            Self::AddressNotAllowed => "address",
            Self::BodyTooLarge { .. } => "size",
            Self::NotProven(refusal) => refusal.reason(),
            Self::Secret(_) => "secret",
            Self::Store(_) => "store",
        }
    }

    /// What the sender is told: as little as it takes.
    fn problem(&self, source: Option<&SourceDefinition>) -> Problem {
        match self {
            Self::UnknownSource => Problem::new(ProblemType::UnknownSource),
            Self::AddressNotAllowed => Problem::new(ProblemType::AddressNotAllowed),
            Self::BodyTooLarge { limit, .. } => {
                Problem::new(ProblemType::BodyTooLarge).detail(format!("At most {limit} bytes are taken."))
            }
            // Nothing could prove it: the source is off.
            Self::NotProven(Refusal::NoUsableKey { .. }) => Problem::new(ProblemType::UnknownSource),
            Self::NotProven(_) => Problem::new(ProblemType::NotProven),
            // Whatever keeps us from storing it, the sender must try again, in the way that this sender understands.
            Self::Secret(_) | Self::Store(_) => Problem::new(ProblemType::Unavailable)
                .status(source.map_or(503, |source| source.retry_status))
                .retry_after(RETRY_AFTER),
        }
    }
}

/// Answers one delivery.
pub async fn handle<I: Inbox, P: SecretProvider, T: Runtime>(app: &Webhook<I, P, T>, request: Request) -> Answer {
    let name = path_parameter(&request, "source").unwrap_or_default();
    let definitions = app.definitions.current();
    let source = definitions.source(name);
    match app.take(source.map(Arc::as_ref), &request).await {
        Ok(acceptance) => app.accepted(source.map_or("", |source| &source.name), &acceptance),
        Err(refused) => {
            // A made-up name must not become a dimension of a metric, nor a line of a log; nor is it an alarm.
            let (source_name, reason) = (source.map_or("unknown", |source| &source.name), refused.reason());
            tracing::warn!(source = source_name, reason, error = %refused, "refused");
            match source {
                Some(_) => app.metrics.count("Refused", &[("Source", source_name), ("Reason", reason)]),
                None => app.metrics.count("Misaddressed", &[]),
            }
            refused.problem(source.map(Arc::as_ref)).into()
        }
    }
}

impl<I: Inbox, P: SecretProvider, T: Runtime> Webhook<I, P, T> {
    /// Address, size, proof, and then the inbox: nothing is hashed before the size is known, and no table is touched
    /// before the sender is.
    async fn take(&self, source: Option<&SourceDefinition>, request: &Request) -> Result<Acceptance, Refused> {
        let source = source.ok_or(Refused::UnknownSource)?;
        if !source.allows(source_ip(request)) {
            return Err(Refused::AddressNotAllowed);
        }
        let body: &[u8] = request.body().as_ref();
        if body.len() > source.max_body_bytes {
            return Err(Refused::BodyTooLarge { bytes: body.len(), limit: source.max_body_bytes });
        }
        let secret = source.secret_name();
        let keys = self.secrets.keys(&secret).await?.ok_or(Refused::UnknownSource)?;
        let delivery = Delivery { headers: headers(request), body, path_token: path_parameter(request, "token") };
        let verified = self.prove(source, &delivery, &keys, &secret).await?;
        let acceptance = accept(&self.inbox, &verified, self.runtime.now(), trace::of_request(request)).await?;
        self.metrics.count("KeyMatched", &[("Source", &source.name), ("Key", verified.key_id())]);
        Ok(acceptance)
    }

    /// Proves a delivery, with a fresh look at the secret if no key of ours matches, or none of our subscriptions: it may
    /// have changed.
    async fn prove<'a>(
        &self,
        source: &'a SourceDefinition,
        delivery: &'a Delivery<'a>,
        keys: &Keys,
        secret: &str,
    ) -> Result<Verified<'a>, Refused> {
        let now = self.runtime.now();
        match source.verify(delivery, keys, now) {
            Err(refusal) if refusal.may_be_a_new_key() => match self.secrets.keys_other_than(keys, secret).await? {
                Some(keys) => Ok(source.verify(delivery, &keys, now)?),
                None => Err(refusal.into()),
            },
            Ok(verified) if verified.is_of_another_subscription() => {
                match self.secrets.keys_other_than(keys, secret).await? {
                    Some(keys) => Ok(source.verify(delivery, &keys, now)?),
                    None => Ok(verified),
                }
            }
            result => Ok(result?),
        }
    }

    fn accepted(&self, source: &str, acceptance: &Acceptance) -> Answer {
        let (status, word, metric) = match acceptance {
            Acceptance::Accepted { .. } => (202, "accepted", "Accepted"),
            Acceptance::Quarantined { .. } => (202, "quarantined", "Quarantined"),
            Acceptance::Duplicate { .. } => (200, "duplicate", "Duplicate"),
            Acceptance::Ignored { .. } => (200, "ignored", "Ignored"),
        };
        self.metrics.count(metric, &[("Source", source)]);
        match acceptance {
            Acceptance::Accepted { key } | Acceptance::Duplicate { key } => {
                tracing::info!(source, event_id = %key.id, "{word}");
                Answer::json(status, &json!({"status": word, "event_id": key.id}))
            }
            Acceptance::Quarantined { key, why } => {
                tracing::error!(source, event_id = %key.id, reason = %why, "quarantined");
                // To the sender it is accepted: no retry of theirs can mend it.
                Answer::json(status, &json!({"status": "accepted", "event_id": key.id}))
            }
            Acceptance::Ignored { event_type, known } => {
                tracing::info!(source, event_type, known, "ignored");
                Answer::json(status, &json!({"status": word}))
            }
        }
    }
}
