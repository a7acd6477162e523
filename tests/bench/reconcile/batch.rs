//! A reconciliation from its beginning to its report, as a process of its own: the real tasks in the order of the state
//! machine, over the real clients, with the archive in a folder. It is a dry run, so that the same records can be
//! reconciled again.
//!
//! Nothing is waited for. A pause moves the clock instead, so tasks are cut off after a quarter of an hour of it, as on
//! AWS, and the clock says how long the batch would have taken at the providers' pace.

use crate::{certificates::Certificates, store::Store};
use certbridge_archive::Archive;
use certbridge_batch::{BatchSync, Begun, Compared, Decision, Ended, Input, Inventory, Start, Task, Walk, handle};
use certbridge_mapping::Definitions;
use certbridge_remote::{Http, HttpSources, Snapshots};
use certbridge_sync::{
    Engine, Plans, Settings, StoreError,
    audit::Redactor,
    breaker::BreakerBoard,
    memory::MemoryStore,
    ports::{ApiKeys, RetryQueue, Runtime},
    row::Pointer,
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    error::Error,
    io::Write as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// How long one task may take, as a function's invocation on AWS.
const INVOCATION: SignedDuration = SignedDuration::from_mins(15);

/// A clock that a pause moves, by so many nanoseconds so far.
#[derive(Default)]
struct Unpaced {
    ahead: AtomicU64,
    drawn: AtomicU64,
}

impl Runtime for Unpaced {
    fn now(&self) -> Timestamp {
        Timestamp::now() + Duration::from_nanos(self.ahead.load(Relaxed))
    }

    async fn sleep(&self, duration: Duration) {
        self.ahead.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or_default(), Relaxed);
    }

    fn random(&self) -> u128 {
        // Names of segments: no two alike are all that is needed here.
        self.drawn.fetch_add(1, Relaxed).into()
    }
}

struct OneKey;

impl ApiKeys for OneKey {
    async fn api_key(&self, _: &str) -> Result<Option<SecretString>, StoreError> {
        Ok(Some("bench".into()))
    }

    fn refused(&self, _: &str) {}
}

/// A dry run sends nothing.
struct NoQueue;

impl RetryQueue for NoQueue {
    async fn send(&self, _: &[(Pointer, Duration)]) -> Result<(), StoreError> {
        Ok(())
    }
}

type App = BatchSync<Store, HttpSources<OneKey>, Snapshots<OneKey>, NoQueue, Unpaced>;

/// Reconciles, and prints how long each stage took and how much memory was in use at most by its end.
pub(crate) async fn run(certificates: Certificates, url: &str, folder: &str) -> Result<(), Box<dyn Error>> {
    let app = app(certificates, url, folder)?;
    let mut stages = Stages { began: Instant::now(), told: Vec::new() };
    let start_time = app.engine.runtime.now();
    let input = Input { source: Some("accredible".to_owned()), dry_run: true, ..Input::default() };
    let start = Start { input, execution: "bench".to_owned(), started_at: start_time };

    let Begun { batch, each, mut walks } = task(&app, Task::Begin(start)).await?;
    let list = async |side, walk: &mut Walk| {
        while !walk.done {
            *walk = task(&app, Task::List { batch: batch.clone(), side, walk: walk.clone() }).await?;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    futures::try_join!(
        list(Inventory::Source, &mut walks.source),
        list(Inventory::Destination, &mut walks.destination)
    )?;
    stages.end("list both sides")?;
    list(Inventory::Own, &mut walks.own).await?;
    stages.end("list our own")?;
    let mut compared = Vec::<Compared>::new();
    for partition in each {
        let task_of_it = Task::Compare { batch: batch.clone(), walks: walks.clone(), partition };
        compared.push(task(&app, task_of_it).await?);
    }
    stages.end("compare")?;
    let decide = Task::Decide { batch: batch.clone(), walks: walks.clone(), compared };
    let decision: Decision = task(&app, decide).await?;
    let ended: Ended = task(&app, Task::Report { batch, walks: walks.clone(), decision }).await?;
    stages.end("report")?;

    let side = |walk: &Walk| json!({ "rows": walk.side.rows, "pages": walk.side.pages, "calls": walk.segments.len() });
    let result = json!({
        "stages": stages.told,
        "paced_seconds": app.engine.runtime.now().duration_since(start_time).as_secs_f64(),
        "source": side(&walks.source),
        "destination": side(&walks.destination),
        "report": ended.report,
    });
    writeln!(std::io::stdout(), "{result}")?;
    Ok(())
}

fn app(certificates: Certificates, url: &str, folder: &str) -> Result<App, Box<dyn Error>> {
    let definitions = Definitions::built_in();
    let destination = definitions.destination("snapshots").ok_or("no destination")?;
    let plans = Plans::new(&definitions, "snapshots").ok_or("no plans")?;
    let plan = plans.of("accredible").ok_or("no plan")?.version().clone();
    let http = Http::new()?;
    let engine = Engine {
        store: Store { certificates, plan, rest: MemoryStore::new() },
        sources: HttpSources::new(
            http.clone(),
            OneKey,
            BTreeMap::from([("ACCREDIBLE_URL".to_owned(), url.to_owned())]),
        ),
        destination: Snapshots::new(http, OneKey, url, destination)?,
        queue: NoQueue,
        runtime: Unpaced::default(),
        in_force: definitions.into(),
        plans,
        redactor: Redactor::new("bench"),
        breakers: BreakerBoard::default(),
        settings: Settings::default(),
    };
    let archive = Archive::open(&format!("file://{folder}"), None)?;
    Ok(BatchSync { engine, checkpoints: archive.clone(), archive })
}

/// One task, its answer read as the state machine would hand it on.
async fn task<A: DeserializeOwned>(app: &App, task: Task) -> Result<A, Box<dyn Error>> {
    let ends_at = app.engine.runtime.now() + INVOCATION;
    Ok(serde_json::from_value(handle(app, task, "bench", ends_at).await?)?)
}

struct Stages {
    began: Instant,
    told: Vec<Value>,
}

impl Stages {
    fn end(&mut self, stage: &str) -> Result<(), Box<dyn Error>> {
        let seconds = self.began.elapsed().as_secs_f64();
        self.told.push(json!({ "stage": stage, "seconds": seconds, "peak_kib": peak_kib()? }));
        self.began = Instant::now();
        Ok(())
    }
}

/// The most memory that this process ever had, by the kernel's word.
fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
    Ok(peak.ok_or("no VmHWM")?.parse()?)
}
