//! The providers: reached, and opened by our keys. Nothing is changed there.

use super::{Area, Findings, secrets};
use crate::secrets::SecretStore;
use certbridge_mapping::{Definitions, Plan, RecordKey, SourceDefinition, definition::Content};
use certbridge_platform::{Env, SecretProvider, Secrets, SystemRuntime};
use certbridge_remote::{
    Http, HttpSources,
    subscriptions::{Authorization, SubscriptionError, Subscriptions, lapsed},
};
use certbridge_store::DynamoStore;
use certbridge_sync::{
    Plans,
    error::{RemoteClass, RemoteError},
    ports::{Destination as _, Fetched, LocationCheck, Sources},
};
use jiff::{Timestamp, fmt::rfc2822};
use std::{sync::Arc, time::Duration};

const AREA: Area = Area::Providers;
/// How long a provider may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// What no provider has.
const NOBODY: &str = "certbridge-doctor";
/// How far a provider's clock may be from ours: deliveries are refused from five minutes on.
const SKEW_SECONDS: i64 = 60;

/// What is asked, and with what.
pub(super) struct Ground<'a, P> {
    pub(super) env: &'a Env,
    pub(super) definitions: &'a Definitions,
    pub(super) store: &'a DynamoStore,
    pub(super) held: &'a SecretStore,
    pub(super) secrets: Arc<Secrets<P, SystemRuntime>>,
}

impl<P: SecretProvider + 'static> Ground<'_, P> {
    pub(super) async fn examine(&self, found: &mut Findings, destination: &certbridge_wiring::Destination) {
        let http = match Http::new() {
            Ok(http) => http,
            Err(error) => return found.failed(AREA, "providers", error.to_string(), "is this machine's TLS whole?"),
        };
        let name = destination.name();
        let id = format!("providers.destinations/{name}");
        let started = destination.start(self.definitions, http.clone(), Arc::clone(&self.secrets), self.store.clone());
        match started {
            Err(error) => found.failed(
                AREA,
                id,
                error.to_string(),
                "give the destination's address: SNAPSHOTS_URL, HIGHLEVEL_URL",
            ),
            Ok(api) => match api.check_location(NOBODY, None, PATIENCE).await {
                Ok(LocationCheck::Unchecked) => {
                    found.skipped(AREA, id, "it lists no locations, so only a push will tell whether it takes our key");
                }
                Ok(_) => found.ok(AREA, id, "it takes our key, and lists its locations"),
                Err(error) => self.refused(found, &id, &format!("destinations/{name}"), &error),
            },
        }
        let sources = HttpSources::new(http.clone(), Arc::clone(&self.secrets), self.env.ending_with("_URL"));
        let plans = Plans::new(self.definitions, name);
        for plan in plans.iter().flat_map(Plans::all) {
            self.source(found, &sources, &plan).await;
            if secrets::is_on(self.held, &plan.source().secret_name()).await {
                self.subscriptions(found, &http, plan.source()).await;
            }
        }
    }

    async fn source(&self, found: &mut Findings, sources: &HttpSources<Arc<Secrets<P, SystemRuntime>>>, plan: &Plan) {
        let source = plan.source();
        let secret = source.secret_name();
        let id = format!("providers.{secret}");
        let has_key = secrets::holds(self.held, &secret, "api_key").await;
        if !has_key && !secrets::is_on(self.held, &secret).await {
            return found.skipped(AREA, id, "the source is off");
        }
        let Some(key) = record_of(source) else {
            return found.skipped(AREA, id, "nothing is read from it: its events carry what they tell");
        };
        if let Some(error) = sources.fault(source) {
            return found.failed(AREA, id, error.to_string(), format!("mend {}", source.url_variable()));
        }
        match sources.fetch(plan, &key, PATIENCE).await {
            Ok(Fetched::Found(_) | Fetched::NotFound) => found.ok(AREA, id, "it is reached, and takes our key"),
            // It understood, and refuses an id that it never gave: the key was let in.
            Err(error) if error.class == RemoteClass::Rejected && has_key => {
                found.ok(AREA, id, "it is reached, and takes our key");
            }
            Err(error) => self.refused(found, &id, &secret, &error),
        }
    }

    /// Whether our subscriptions are still in force, where the provider tells.
    async fn subscriptions(&self, found: &mut Findings, http: &Http, source: &SourceDefinition) {
        let (secret, url) = (source.secret_name(), self.env.get(&source.url_variable()));
        let keys = Arc::clone(&self.secrets);
        let api = Subscriptions::new(http.clone(), keys, source, url.as_deref(), Authorization::default());
        let listed = match api {
            Err(SubscriptionError::NoSubscriptions(_)) => return,
            Err(error) => Err(error),
            Ok(api) => api.list().await,
        };
        let id = format!("providers.{secret}.subscriptions");
        let ours = secrets::subscriptions(self.held, &secret).await;
        match listed {
            Err(error @ (SubscriptionError::Undocumented { .. } | SubscriptionError::Address(_))) => {
                found.skipped(AREA, id, error.to_string());
            }
            Err(error) => {
                let mend = format!("certbridge subscriptions {} list", source.name);
                found.warning(AREA, id, error.to_string(), mend);
            }
            Ok(_) if ours.is_empty() => found.skipped(AREA, id, "the secret does not say which are ours"),
            Ok(listed) => match lapsed(&ours, &listed) {
                lapsed if lapsed.is_empty() => found.ok(AREA, id, "ours are in force"),
                lapsed => {
                    let mend = format!("certbridge subscriptions {} create --url ..", source.name);
                    found.failed(AREA, id, lapsed.join(", "), mend);
                }
            },
        }
    }

    fn refused(&self, found: &mut Findings, id: &str, secret: &str, error: &RemoteError) {
        let mend = match error.class {
            RemoteClass::Unauthorized => {
                format!("certbridge secrets rotate {secret} switch, with a key that has the scope")
            }
            RemoteClass::Unreachable | RemoteClass::Unanswered => {
                "is its address right, and is it reached from here?".to_owned()
            }
            RemoteClass::Misrouted => "its address is not the API's".to_owned(),
            RemoteClass::Throttled => "ask again in a minute".to_owned(),
            _ => "it is the provider's fault, or the address is another service's: events wait, and are tried again"
                .to_owned(),
        };
        found.failed(AREA, id, format!("{}: {}", error.class, error.message), mend);
    }
}

/// A record that no source has, of a kind that is read from it.
fn record_of(source: &SourceDefinition) -> Option<RecordKey> {
    let read = |content| matches!(content, Content::Fetched | Content::Either);
    let (kind, _) = source.records.iter().find(|(_, rules)| read(rules.content) && rules.fetch_path.is_some())?;
    format!("{kind}#{}#{NOBODY}", source.name).parse().ok()
}

/// Whether our clock is a provider's, by the date of an answer.
pub(super) async fn clock(found: &mut Findings, url: &str) {
    let id = "providers.clock";
    let Ok(client) = reqwest::Client::builder().timeout(PATIENCE).build() else { return };
    let Ok(answer) = client.get(url).send().await else {
        return found.skipped(AREA, id, "no provider answered, so our clock was compared with none");
    };
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
    let Some(theirs) = date.and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok()) else {
        return found.skipped(AREA, id, "the answer bears no date");
    };
    let seconds = Timestamp::now().duration_since(theirs).as_secs();
    if seconds.abs() > SKEW_SECONDS {
        let what = format!("this machine's clock is {seconds} s from the destination's");
        found.warning(AREA, id, what, "set the clock: signed timestamps are refused from five minutes on");
    } else {
        found.ok(AREA, id, format!("within {} s of the destination's", seconds.abs().max(1)));
    }
}
