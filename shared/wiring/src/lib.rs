//! The engine on its real ports, as every function that syncs starts it: definitions and breakers by one read that also
//! opens the connection to DynamoDB, the secrets at the same time.
#![warn(missing_docs)]

use certbridge_mapping::Definitions;
use certbridge_platform::{
    Env, Metrics, SystemRuntime,
    config::{ConfigError, DEFAULT_SECRET_PREFIX, Reader},
    definitions,
    secrets::{AUDIT, SecretError, SecretProvider, Secrets},
};
pub use certbridge_remote::trace::within;
use certbridge_remote::{BaseUrlError, Http, HttpDestination, HttpError, HttpSources};
use certbridge_store::{DynamoStore, Tables};
use certbridge_sync::{
    Engine, InForce, Plans, Settings, StoreError, audit::Redactor, breaker::BreakerBoard, in_force::Control,
    ports::Runtime,
};
use futures::future::join;
use jiff::SignedDuration;
use secrecy::ExposeSecret;
use std::sync::Arc;

/// The secrets of one process.
pub type SharedSecrets<P> = Arc<Secrets<P, SystemRuntime>>;

/// The destination over HTTP; `P` holds the secrets.
pub type LiveDestination<P> = HttpDestination<SharedSecrets<P>, DynamoStore>;

/// The engine on DynamoDB and HTTP; `P` holds the secrets, `Q` is the retry queue.
pub type LiveEngine<P, Q> = Engine<DynamoStore, HttpSources<SharedSecrets<P>>, LiveDestination<P>, Q, SystemRuntime>;

/// Why an engine cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The environment.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No definition has the destination's name.
    #[error("there is no definition of the destination {0}")]
    Destination(String),
    /// Neither its definition nor the environment says where it is.
    #[error("the destination {0} has no base_url")]
    NoAddress(String),
    /// The state table cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit's secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The audit's secret has no digest key. Without it, digests of personal values could be guessed.
    #[error("the secret {AUDIT} has no digest_key")]
    NoDigestKey,
    /// The HTTP client.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The destination's address.
    #[error(transparent)]
    Address(#[from] BaseUrlError),
}

/// What one deployment syncs to, from the environment.
#[derive(Debug, Clone)]
pub struct Destination {
    name: String,
    /// Where it is, if not where its definition says.
    url: Option<String>,
}

impl Destination {
    /// Reads `DESTINATION` and the address that goes with it.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let mut vars = env.reader();
        let destination = Self::of(&mut vars);
        vars.finish()?;
        Ok(destination)
    }

    fn of(vars: &mut Reader<'_>) -> Self {
        let name = vars.one_of("DESTINATION", &["snapshots", "highlevel"]).to_owned();
        let url = match name.as_str() {
            "highlevel" => vars.url("HIGHLEVEL_URL"),
            _ => Some(vars.url("SNAPSHOTS_URL").unwrap_or_else(|| vars.required("SNAPSHOTS_URL"))),
        };
        Self { name, url }
    }

    /// Its definition's name, which is also that of its secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The destination itself, by its definition.
    ///
    /// # Errors
    /// No definition, or no address that can be used.
    pub fn start<P: SecretProvider>(
        &self,
        definitions: &Definitions,
        http: Http,
        secrets: SharedSecrets<P>,
        store: DynamoStore,
    ) -> Result<LiveDestination<P>, WiringError> {
        let definition = definitions.destination(&self.name);
        let definition = definition.ok_or_else(|| WiringError::Destination(self.name.clone()))?;
        let url = self.url.as_ref().or(definition.base_url.as_ref());
        let url = url.ok_or_else(|| WiringError::NoAddress(self.name.clone()))?;
        let owner = format!("{:032x}", SystemRuntime.random());
        Ok(HttpDestination::new(http, secrets, store, url, definition, owner)?)
    }
}

/// The variables that every function with an engine reads.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// `INBOX_TABLE`, `RECORDS_TABLE`, `AUDIT_TABLE` and `STATE_TABLE`.
    pub tables: Tables,
    /// `RETRY_QUEUE_URL`.
    pub retry_queue_url: String,
    /// `SECRET_PREFIX`: what the names of secrets begin with.
    pub secret_prefix: String,
    /// `DESTINATION`, and the address that goes with it.
    pub destination: Destination,
}

impl EngineConfig {
    /// Reads them, and says everything that is wrong at once.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let mut vars = env.reader();
        let config = Self {
            tables: Tables {
                inbox: vars.required("INBOX_TABLE"),
                records: vars.required("RECORDS_TABLE"),
                audit: vars.required("AUDIT_TABLE"),
                state: vars.required("STATE_TABLE"),
            },
            retry_queue_url: vars.required("RETRY_QUEUE_URL"),
            secret_prefix: vars.parsed("SECRET_PREFIX", DEFAULT_SECRET_PREFIX.to_owned()),
            destination: Destination::of(&mut vars),
        };
        vars.finish()?;
        Ok(config)
    }
}

/// Starts an engine, whose definitions are read again every so often.
///
/// # Errors
/// [`WiringError`], which says what to mend. Broken definitions are left out alone, with a log line and the metric
/// `DefinitionBroken`.
pub async fn engine<P: SecretProvider, Q>(
    env: &Env,
    destination: Destination,
    store: DynamoStore,
    secrets: SharedSecrets<P>,
    queue: Q,
    metrics: &Metrics,
    every: SignedDuration,
) -> Result<LiveEngine<P, Q>, WiringError> {
    let destination_secret = format!("destinations/{}", destination.name);
    let built_in = Definitions::built_in();
    let sources: Vec<_> = built_in.sources().map(|source| source.secret_name()).collect();
    let names = [AUDIT, destination_secret.as_str()].into_iter().chain(sources.iter().map(String::as_str));
    let (control, ()) = join(store.control(), secrets.prefetch(names)).await;
    let control = control?;
    let in_force = InForce::new(control.definitions, SystemRuntime.now(), every);
    let current = in_force.current();
    definitions::report(&current, metrics);
    let plans = Plans::new(&current, &destination.name).ok_or(WiringError::Destination(destination.name.clone()))?;
    let audit = secrets.audit().await?.and_then(|audit| audit.digest_key).ok_or(WiringError::NoDigestKey)?;
    let http = Http::new()?;
    let sources = HttpSources::new(http.clone(), Arc::clone(&secrets), env.ending_with("_URL"));
    for error in current.sources().filter_map(|source| sources.fault(source)) {
        tracing::error!(%error, "a source's address is broken, and the source off");
        metrics.count("DefinitionBroken", &[]);
    }
    let destination = destination.start(&current, http, secrets, store.clone())?;
    Ok(Engine {
        store,
        sources,
        destination,
        queue,
        runtime: SystemRuntime,
        in_force,
        plans,
        redactor: Redactor::new(audit.expose_secret().as_bytes()),
        breakers: BreakerBoard::new(control.breakers),
        settings: Settings::default(),
    })
}

/// Reads the definitions in force again, if it is time to: at the start of each invocation.
pub async fn refresh<P: SecretProvider, Q>(engine: &LiveEngine<P, Q>, metrics: &Metrics) {
    if let Some(fresh) = engine.refresh().await {
        definitions::report(&fresh, metrics);
    }
}
