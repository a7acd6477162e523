//! The whole bundle in one process.

mod batches;
mod data;
mod executions;
mod gateway;
pub mod machine;
pub(crate) mod notices;
mod queue;
mod sandbox;
mod stream;
pub mod tables;

pub(crate) use data::add_source;
pub use data::{DataFolder, SecretsFile};
pub use executions::Starts;
pub use sandbox::{DEFAULT_DESTINATION, Sandbox};
pub use tables::LocalTables;

use crate::CliError;
use api::{Api, Cursors};
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use certbridge_archive::{Archive, ArchiveError};
use certbridge_batch::BatchSync;
use certbridge_mapping::Definitions;
use certbridge_platform::{
    Env, Metrics, Secrets, SystemRuntime, Tracer, definitions,
    metrics::{Logged, NAMESPACE},
};
use certbridge_remote::{HttpDestination, HttpSources, hooks::Reach};
use certbridge_sandbox::dynamodb::EmbeddedDynamoDb;
use certbridge_store::{DynamoStore, Tables, schema};
use certbridge_sync::{InForce, in_force::Control, ports::Runtime, row::Pointer};
use certbridge_wiring::{LiveEngine, SharedSecrets, engine, refresh};
use executions::LocalExecutions;
use futures::future::BoxFuture;
use jiff::SignedDuration;
use queue::{LocalQueue, Message, Messages};
use serde_json::{Value, json};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use stream::{StreamReader, Wanted};
use sync_certificate::SyncCertificate;
use sync_event::{SyncEvent, Trigger};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};
use webhook::Webhook;

/// How long one invocation may take here: a killed process must not hold its records for long.
const INVOCATION: SignedDuration = SignedDuration::from_secs(12);
/// How often overdue events are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3);
/// How often the definitions in force are read again: whoever writes one waits for it.
const REFRESH: SignedDuration = SignedDuration::from_secs(1);
/// How many messages of the queue are worked on at the same time.
const WORKERS: usize = 8;
/// When a message that failed is seen again.
const VISIBILITY: Duration = Duration::from_secs(5);

type Engine = LiveEngine<SecretsFile, LocalQueue>;
type Sources = HttpSources<SharedSecrets<SecretsFile>>;
type Destination = certbridge_wiring::LiveDestination<SecretsFile>;

/// How the bundle is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder.
    pub data: PathBuf,
    /// The port; 0 for any free one.
    pub port: u16,
    /// Whether the providers are the sandbox's. Otherwise `SNAPSHOTS_URL` and `{SOURCE}_URL` name them.
    pub sandbox: bool,
    /// Which of the sandbox's destinations is told: [`DEFAULT_DESTINATION`], or `highlevel`. Of other providers, the
    /// variable `DESTINATION` says which.
    pub destination: Option<String>,
    /// How often sources without webhooks are polled; the first time after so long.
    pub poll_every: Duration,
    /// Whether notices may be posted to this machine itself, and without TLS.
    pub allow_local_endpoints: bool,
    /// The environment.
    pub env: Env,
}

/// How often sources without webhooks are polled, unless something else is asked for: as often as on AWS.
pub const POLL_EVERY: Duration = Duration::from_secs(300);

/// The functions, as they are deployed.
struct Functions {
    webhook: Webhook<DynamoStore, SecretsFile, SystemRuntime>,
    sync_event: SyncEvent<Engine>,
    sync_certificate: SyncCertificate<Engine>,
    batch_sync:
        batch_sync::App<DynamoStore, Sources, Destination, LocalQueue, SystemRuntime, SharedSecrets<SecretsFile>>,
    api: Api<DynamoStore, LocalQueue, LocalExecutions, SystemRuntime>,
    secrets: SharedSecrets<SecretsFile>,
    runtime: SystemRuntime,
}

/// A running bundle.
pub struct Local {
    url: String,
    store: DynamoStore,
    sandbox: Option<Sandbox>,
    data: DataFolder,
    archive: Archive,
    _announced: tables::Announced,
    database: EmbeddedDynamoDb,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Local {
    /// Starts everything. When this returns, requests are served.
    pub async fn start(options: Options) -> Result<Self, CliError> {
        let runtime = SystemRuntime;
        let data = DataFolder::open(&options.data)?;
        let file = data.secrets(&Definitions::built_in(), &runtime)?;
        let sandbox = if options.sandbox { Some(Sandbox::start(&data, &file).await?) } else { None };
        let destination = options.destination.as_deref().unwrap_or(DEFAULT_DESTINATION);
        let env = sandbox.as_ref().map_or(options.env, |sandbox| sandbox.env(destination));

        let database = EmbeddedDynamoDb::start(Some(&data.file(tables::DATABASE)))?;
        let client = aws_sdk_dynamodb::Client::from_conf(dynamodb_config(&database.endpoint()));
        let tables = Tables::with_prefix(tables::PREFIX);
        schema::create(&client, &tables).await?;
        let inbox_arn = stream::arn_of(&client, &tables.inbox).await?;
        let audit_arn = stream::arn_of(&client, &tables.audit).await?;
        let store = DynamoStore::new(client, tables);

        let (queue, messages) = LocalQueue::new();
        let secrets = Arc::new(Secrets::new(file, runtime));
        let (executions, starts) = LocalExecutions::new();
        let archive = archive(&data.file("reports"))?;
        let functions = functions(&env, &store, &secrets, &queue, executions, archive.clone()).await?;
        if let (Some(sandbox), HttpDestination::HighLevel(api)) = (&sandbox, &functions.sync_event.engine.destination) {
            sandbox.prepare(api).await?;
        }
        let (bus, deliveries) = notices::LocalNotices::new();
        let reach = if options.allow_local_endpoints { Reach::ThisMachineToo } else { Reach::Public };
        let deliver = notices::deliver(&bus, &store, &secrets, reach).map_err(certbridge_wiring::WiringError::from)?;
        let functions = Arc::new(functions);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let announced = tables::Announced::new(&data, &database.endpoint(), &url, &env)?;
        let streams = aws_sdk_dynamodbstreams::Client::from_conf(streams_config(&database));
        let reader = |arn, checkpoint, wanted| StreamReader::new(streams.clone(), arn, data.file(checkpoint), wanted);
        let synced = reader(inbox_arn.clone(), "stream.json", Wanted::Inserted);
        let set_aside = reader(inbox_arn, "stream-set-aside.json", Wanted::SetAside);
        let audited = reader(audit_arn, "stream-audit.json", Wanted::All);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(until(&stopped, stream_driver(Arc::clone(&functions), synced)));
        tasks.spawn(until(&stopped, queue_driver(Arc::clone(&functions), messages, queue)));
        tasks.spawn(until(&stopped, sweep_driver(Arc::clone(&functions))));
        tasks.spawn(until(&stopped, refresh_driver(Arc::clone(&functions))));
        let notify = Arc::new(notices::notify(&bus));
        tasks.spawn(until(&stopped, notices::notify_driver(Arc::clone(&notify), set_aside)));
        tasks.spawn(until(&stopped, notices::notify_driver(notify, audited)));
        tasks.spawn(until(&stopped, notices::deliver_driver(Arc::new(deliver), deliveries)));
        tasks.spawn(until(&stopped, batches::batch_driver(Arc::clone(&functions), starts, bus)));
        for (task, every) in [
            ("poll", options.poll_every),
            ("subscriptions", batches::SUBSCRIPTIONS_EVERY),
            ("checkpoint", batches::CHECKPOINT_EVERY),
        ] {
            tasks.spawn(until(&stopped, batches::task_driver(Arc::clone(&functions), task, every)));
        }
        tasks.spawn(serve(listener, functions, stopped));
        Ok(Self { url, store, sandbox, data, archive, _announced: announced, database, stop, tasks })
    }

    /// Where it serves.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its tables.
    pub fn store(&self) -> &DynamoStore {
        &self.store
    }

    /// Its providers, if they are the sandbox's.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandbox.as_ref()
    }

    /// Its data folder.
    pub fn data(&self) -> &DataFolder {
        &self.data
    }

    /// Where its reports are kept.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Stops: takes no more requests, lets go of what is under way, closes the database. What was not finished goes on
    /// at the next start.
    pub async fn shutdown(mut self) -> Result<(), CliError> {
        // Nobody listens any more if every task has ended by itself.
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
        self.database.shutdown().await?;
        if let Some(sandbox) = self.sandbox {
            sandbox.shutdown().await;
        }
        Ok(())
    }
}

async fn functions(
    env: &Env,
    store: &DynamoStore,
    secrets: &SharedSecrets<SecretsFile>,
    queue: &LocalQueue,
    executions: LocalExecutions,
    archive: Archive,
) -> Result<Functions, CliError> {
    let metrics = |name| Metrics::new(NAMESPACE, name, SystemRuntime).with_sink(Logged);
    let files = store.control().await?.definitions;
    let in_force = || InForce::new(files.clone(), SystemRuntime.now(), REFRESH);
    let start = async |name| {
        let destination = certbridge_wiring::Destination::read(env)?;
        let secrets = Arc::clone(secrets);
        Ok::<_, CliError>(
            engine(env, destination, store.clone(), secrets, queue.clone(), &metrics(name), REFRESH).await?,
        )
    };
    definitions::report(&in_force().current(), &metrics("webhook"));
    let batches =
        BatchSync { engine: start("batch-sync").await?, archive: archive.clone(), checkpoints: archive.clone() };
    Ok(Functions {
        batch_sync: batch_sync::App { batches, metrics: metrics("batch-sync"), keys: Arc::clone(secrets) },
        api: Api {
            definitions: in_force(),
            destination: certbridge_wiring::Destination::read(env)?.name().to_owned(),
            store: store.clone(),
            queue: queue.clone(),
            executions,
            checkpoints: archive.clone(),
            archive,
            runtime: SystemRuntime,
            metrics: metrics("api"),
            cursors: Cursors::new(secrets.cursor_key().await?),
            summary: Mutex::default(),
        },
        webhook: Webhook {
            definitions: in_force(),
            secrets: Arc::clone(secrets),
            inbox: store.clone(),
            runtime: SystemRuntime,
            metrics: metrics("webhook"),
        },
        sync_event: SyncEvent {
            engine: start("sync-event").await?,
            metrics: metrics("sync-event"),
            tracer: Tracer::default(),
        },
        sync_certificate: SyncCertificate {
            engine: start("sync-certificate").await?,
            metrics: metrics("sync-certificate"),
        },
        secrets: Arc::clone(secrets),
        runtime: SystemRuntime,
    })
}

/// The archive in a folder.
pub(crate) fn archive(folder: &Path) -> Result<Archive, CliError> {
    let absolute = std::path::absolute(folder).map_err(CliError::file(folder))?;
    let url = reqwest::Url::from_directory_path(&absolute);
    let url = url.map_err(|()| ArchiveError::Address(format!("{} is no folder", folder.display())))?;
    Ok(Archive::open(url.as_str(), None)?)
}

async fn serve(listener: TcpListener, functions: Arc<Functions>, stopped: watch::Receiver<bool>) {
    let service = gateway::router(functions).into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(signalled(stopped));
    if let Err(error) = server.await {
        tracing::error!(%error, "the gateway failed");
    }
}

async fn signalled(mut stopped: watch::Receiver<bool>) {
    // An error is the sender gone, which is the signal too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// A driver that ends with the signal. What it was at is like the work of a killed function: the tables know.
fn until(stopped: &watch::Receiver<bool>, driver: impl Future<Output = ()> + Send + 'static) -> BoxFuture<'static, ()> {
    let stopped = stopped.clone();
    Box::pin(async move {
        tokio::select! {
            () = signalled(stopped) => {}
            () = driver => {}
        }
    })
}

/// Invokes `sync-event`, and returns the parts of the batch that failed.
async fn invoke(functions: &Functions, event: Value) -> Vec<String> {
    let request_id = format!("{:032x}", functions.runtime.random());
    let ends_at = functions.runtime.now() + INVOCATION;
    let trigger = match Trigger::try_from(event) {
        Ok(trigger) => trigger,
        Err(error) => {
            tracing::error!(%error, "an event could not be passed on");
            return Vec::new();
        }
    };
    match sync_event::handle(&functions.sync_event, trigger, &request_id, ends_at).await {
        Ok(answer) => answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect(),
        Err(error) => {
            tracing::warn!(%error, "an invocation failed");
            Vec::new()
        }
    }
}

async fn stream_driver(functions: Arc<Functions>, reader: StreamReader) {
    reader.run(|event| invoke(&functions, event)).await;
}

async fn sweep_driver(functions: Arc<Functions>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        invoke(&functions, json!({"task": "sweep"})).await;
    }
}

/// Reads the definitions again. On AWS each function does at the start of an invocation.
async fn refresh_driver(functions: Arc<Functions>) {
    let mut interval = tokio::time::interval(REFRESH.unsigned_abs());
    loop {
        interval.tick().await;
        let (webhook, api) = (&functions.webhook, &functions.api);
        definitions::refresh(&webhook.definitions, &webhook.inbox, webhook.runtime.now(), &webhook.metrics).await;
        definitions::refresh(&api.definitions, &api.store, api.runtime.now(), &api.metrics).await;
        refresh(&functions.sync_event.engine, &functions.sync_event.metrics).await;
        refresh(&functions.sync_certificate.engine, &functions.sync_certificate.metrics).await;
        refresh(&functions.batch_sync.batches.engine, &functions.batch_sync.metrics).await;
    }
}

async fn queue_driver(functions: Arc<Functions>, mut messages: Messages, queue: LocalQueue) {
    let workers = Arc::new(Semaphore::new(WORKERS));
    let mut running = JoinSet::new();
    while let Some(message) = messages.recv().await {
        let (functions, workers, queue) = (Arc::clone(&functions), Arc::clone(&workers), queue.clone());
        running.spawn(async move {
            tokio::time::sleep_until(message.due).await;
            // The semaphore is never closed.
            let _permit = workers.acquire().await;
            deliver(&functions, message, &queue).await;
        });
        while running.try_join_next().is_some() {}
    }
}

async fn deliver(functions: &Functions, message: Message, queue: &LocalQueue) {
    let record =
        |pointer: &Pointer| json!({"messageId": "1", "eventSource": "aws:sqs", "body": json!(pointer).to_string()});
    let failed = invoke(functions, json!({"Records": [record(&message.pointer)]})).await;
    if !failed.is_empty() {
        use certbridge_sync::ports::RetryQueue;
        if let Err(error) = queue.send(&[(message.pointer, VISIBILITY)]).await {
            tracing::warn!(%error, "a message is lost");
        }
    }
}

fn dynamodb_config(endpoint: &str) -> aws_sdk_dynamodb::Config {
    aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("local"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(endpoint)
        .build()
}

fn streams_config(database: &EmbeddedDynamoDb) -> aws_sdk_dynamodbstreams::Config {
    aws_sdk_dynamodbstreams::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("local"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(database.endpoint())
        .build()
}
