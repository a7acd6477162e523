//! What the providers have in common: a server on a loopback port, a log of requests, and faults.

use crate::{
    fault::{self, Fault, FaultRule, Struck},
    highlevel::form_members,
};
use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    extract::{ConnectInfo, Request, State, connect_info::Connected},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
        request::Parts,
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post},
    serve::{IncomingStream, Listener},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    future::{Future, pending},
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr},
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

/// The largest request that is read, in bytes.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// How a provider is started.
#[derive(Clone, Default)]
pub struct Options {
    /// The loopback port. 0: any that is free.
    pub port: u16,
    /// The key that its API wants.
    pub api_key: String,
    /// Where it keeps what it holds. Without, it forgets when it stops.
    pub folder: Option<PathBuf>,
}

/// A request as a provider saw it.
#[derive(Debug, Clone, Serialize)]
pub struct LoggedRequest {
    /// Counts from 1.
    pub number: u64,
    /// The method.
    pub method: String,
    /// Path and query, as they were sent.
    pub path: String,
    /// The headers by their names in lower case. Of a secret one, only the scheme is told.
    pub headers: BTreeMap<String, String>,
    /// The body: JSON, or a text; null if empty. A form is an object, and of its secrets only the names are told.
    pub body: Value,
    /// What was answered; none yet, or never.
    pub status: Option<u16>,
    /// What was done wrong.
    pub fault: Option<Fault>,
}

/// A route of a provider: method, path, handler.
pub(crate) type Route<S> = (&'static str, &'static str, MethodRouter<S>);

/// A provider's server. It stops, and closes all its connections, when this is dropped.
pub struct Provider {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    faults: Mutex<Vec<FaultRule>>,
    requests: Mutex<Vec<LoggedRequest>>,
    late: Mutex<BTreeMap<u64, Late>>,
    connections: Mutex<Vec<Weak<std::net::TcpStream>>>,
    count: AtomicU64,
}

/// A request that was answered, and is yet to be handled.
type Late = Pin<Box<dyn Future<Output = Response> + Send>>;

impl Provider {
    /// Serves `routes` as the provider's API, with log and faults, and `control` beside them.
    pub(crate) async fn start<S: Clone + Send + Sync + 'static>(
        port: u16,
        state: S,
        routes: Vec<Route<S>>,
        control: Vec<Route<S>>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let api = router(routes).fallback(async || (StatusCode::NOT_FOUND, "no such route"));
        let app = api
            .layer(from_fn_with_state(shared.clone(), exchange))
            .merge(router(control))
            .with_state(state)
            .merge(router(common_control()).with_state(shared.clone()));
        let (stop, stopped) = oneshot::channel();
        let gate = Gate { listener, shared: shared.clone() };
        let task = tokio::spawn(async move {
            let serve = axum::serve(gate, app.into_make_service_with_connect_info::<Connection>());
            let served = serve.with_graceful_shutdown(async { drop(stopped.await) }).await;
            if let Err(error) = served {
                tracing::error!(%error, "a sandbox provider broke off");
            }
        });
        Ok(Self { shared, address, stop: Some(stop), task: Some(task) })
    }

    /// Its base address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Adds a fault, after those that are there.
    pub fn add_fault(&self, rule: FaultRule) {
        lock(&self.shared.faults).push(rule);
    }

    /// Does nothing wrong from now on.
    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Handles what was to be handled late, in the order it came. Says how many.
    pub async fn release_late(&self) -> usize {
        self.shared.release_late().await
    }

    /// The requests so far, without those under `/_sandbox/`.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        lock(&self.shared.requests).clone()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        lock(&self.shared.requests).clear();
    }

    /// Stops, and waits until the port is free.
    pub async fn shutdown(mut self) {
        self.halt();
        if let Some(task) = self.task.take() {
            drop(task.await);
        }
    }

    fn halt(&mut self) {
        drop(self.stop.take());
        for connection in lock(&self.shared.connections).drain(..).filter_map(|connection| connection.upgrade()) {
            drop(connection.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.halt();
    }
}

fn router<S: Clone + Send + Sync + 'static>(routes: Vec<Route<S>>) -> Router<S> {
    routes.into_iter().fold(Router::new(), |router, (_, path, handler)| router.route(path, handler))
}

/// A connection as a handler may close it.
#[derive(Debug, Clone)]
struct Connection(Arc<std::net::TcpStream>);

impl Connection {
    /// Closes it without an answer. The server then drops the handler, so this never returns.
    async fn cut(&self) -> Response {
        drop(self.0.shutdown(Shutdown::Both));
        pending().await
    }
}

impl Connected<IncomingStream<'_, Gate>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Gate>) -> Self {
        stream.remote_addr().clone()
    }
}

/// Accepts connections, and keeps a second hold on each.
struct Gate {
    listener: TcpListener,
    shared: Arc<Shared>,
}

impl Gate {
    async fn next(&self) -> io::Result<(TcpStream, Connection)> {
        let stream = self.listener.accept().await?.0.into_std()?;
        let connection = Arc::new(stream.try_clone()?);
        let mut connections = lock(&self.shared.connections);
        connections.retain(|connection| connection.strong_count() > 0);
        connections.push(Arc::downgrade(&connection));
        Ok((TcpStream::from_std(stream)?, Connection(connection)))
    }
}

impl Listener for Gate {
    type Io = TcpStream;
    type Addr = Connection;

    async fn accept(&mut self) -> (TcpStream, Connection) {
        loop {
            match self.next().await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(%error, "a sandbox provider could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Connection> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// One request through log and faults.
async fn exchange(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_REQUEST_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let fault = fault::take(&mut lock(&shared.faults), parts.method.as_str(), parts.uri.path());
    let number = shared.log(&parts, &body, fault.clone());
    parts.extensions.insert(Struck(fault.clone()));
    let handled = next.run(Request::from_parts(parts, Body::from(body)));
    let answer = match fault {
        None | Some(Fault::Repeat | Fault::Hide { .. } | Fault::Twice { .. } | Fault::Announce { .. }) => handled.await,
        Some(Fault::Delay { ms }) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            handled.await
        }
        Some(Fault::Status { status, retry_after }) => refuse(status, retry_after.as_deref()),
        Some(Fault::Hang) => pending().await,
        Some(Fault::Cut) => connection.cut().await,
        Some(Fault::WrongBody) => (handled.await.status(), "<html>It works!").into_response(),
        Some(Fault::Halfway) => {
            handled.await;
            refuse(500, None)
        }
        Some(Fault::AnswerLost) => {
            handled.await;
            connection.cut().await
        }
        Some(Fault::AppliedLate { ms }) => {
            lock(&shared.late).insert(number, Box::pin(handled));
            if let Some(ms) = ms {
                tokio::spawn(release_after(Arc::downgrade(&shared), number, Duration::from_millis(ms)));
            }
            refuse(504, None)
        }
    };
    shared.answered(number, answer.status());
    answer
}

fn refuse(status: u16, retry_after: Option<&str>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::new();
    headers.extend(retry_after.and_then(|text| text.parse().ok()).map(|value| (RETRY_AFTER, value)));
    (status, headers, Json(json!({ "message": "a fault of the sandbox" }))).into_response()
}

async fn release_after(shared: Weak<Shared>, number: u64, wait: Duration) {
    tokio::time::sleep(wait).await;
    let late = shared.upgrade().and_then(|shared| lock(&shared.late).remove(&number));
    if let Some(late) = late {
        late.await;
    }
}

impl Shared {
    fn log(&self, parts: &Parts, body: &Bytes, fault: Option<Fault>) -> u64 {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let body = match serde_json::from_slice(body) {
            Ok(json) => json,
            Err(_) if is_form(&parts.headers) => plain_form(body),
            Err(_) if body.is_empty() => Value::Null,
            Err(_) => String::from_utf8_lossy(body).into_owned().into(),
        };
        lock(&self.requests).push(LoggedRequest {
            number,
            method: parts.method.to_string(),
            path: parts.uri.to_string(),
            headers: plain_headers(&parts.headers),
            body,
            status: None,
            fault,
        });
        number
    }

    fn answered(&self, number: u64, status: StatusCode) {
        let mut requests = lock(&self.requests);
        let request = requests.iter_mut().find(|request| request.number == number);
        request.into_iter().for_each(|request| request.status = Some(status.as_u16()));
    }

    async fn release_late(&self) -> usize {
        let late = std::mem::take(&mut *lock(&self.late));
        let count = late.len();
        for late in late.into_values() {
            late.await;
        }
        count
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"))
}

fn plain_form(body: &[u8]) -> Value {
    let plain = |(name, value): (String, String)| match name.as_str() {
        "client_secret" | "code" | "refresh_token" => (name, "(hidden)".into()),
        _ => (name, Value::from(value)),
    };
    Value::Object(form_members(body).into_iter().map(plain).collect())
}

fn plain_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let plain = |name: &str, value: &str| match name {
        "authorization" | "proxy-authorization" | "cookie" | "x-api-key" => {
            format!("{} (hidden)", value.split_once(' ').map_or("", |(scheme, _)| scheme))
        }
        _ => value.to_owned(),
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), plain(name.as_str(), &text(value.as_bytes())))).collect()
}

/// The steering that every provider has.
pub(crate) fn common_routes() -> Vec<(&'static str, &'static str)> {
    common_control().into_iter().map(|(method, path, _)| (method, path)).collect()
}

fn common_control() -> Vec<Route<Arc<Shared>>> {
    vec![
        ("GET", "/_sandbox/requests", get(list_requests)),
        ("DELETE", "/_sandbox/requests", delete(clear_requests)),
        ("GET", "/_sandbox/faults", get(list_faults)),
        ("POST", "/_sandbox/faults", post(add_fault)),
        ("DELETE", "/_sandbox/faults", delete(clear_faults)),
        ("POST", "/_sandbox/late", post(release_late)),
    ]
}

async fn list_requests(State(shared): State<Arc<Shared>>) -> Json<Vec<LoggedRequest>> {
    Json(lock(&shared.requests).clone())
}

async fn clear_requests(State(shared): State<Arc<Shared>>) -> StatusCode {
    lock(&shared.requests).clear();
    StatusCode::NO_CONTENT
}

async fn list_faults(State(shared): State<Arc<Shared>>) -> Json<Vec<FaultRule>> {
    Json(lock(&shared.faults).clone())
}

async fn add_fault(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<(StatusCode, Json<FaultRule>), Unreadable> {
    let rule: FaultRule = json_body(&body)?;
    lock(&shared.faults).push(rule.clone());
    Ok((StatusCode::CREATED, Json(rule)))
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    lock(&shared.faults).clear();
    StatusCode::NO_CONTENT
}

async fn release_late(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "released": shared.release_late().await }))
}

/// A body of the steering, whatever its content type: `curl -d` says that it sends a form.
pub(crate) fn json_body<T: DeserializeOwned>(body: &Bytes) -> Result<T, Unreadable> {
    serde_json::from_slice(body).map_err(|error| Unreadable(error.to_string()))
}

/// Why a body cannot be read; an answer, too.
pub(crate) struct Unreadable(String);

impl IntoResponse for Unreadable {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, format!("{}\n", self.0)).into_response()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
