//! What the tests share: a client, how answers are read, and a receiver of deliveries.

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER},
    routing::post,
};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock, Mutex},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// One for all: to make one takes long. It keeps no connection, since those belong to a test's own runtime.
pub(crate) fn client() -> &'static Client {
    static CLIENT: LazyLock<Client> = LazyLock::new(|| Client::builder().pool_max_idle_per_host(0).build().unwrap());
    &CLIENT
}

/// The status and the body: JSON, or a text.
pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Calls a route with this bearer key.
pub(crate) async fn call(url: &str, key: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = client().request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{url}{path}"));
    answer(request.bearer_auth(key).body(body.to_string())).await
}

/// A member that has to be a text.
#[track_caller]
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// A request as a receiver saw it: its headers, and its body as it came.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    /// A header as a text; empty, if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What receives deliveries, and answers with these statuses in their order, and then with 200.
pub(crate) struct Receiver {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    statuses: VecDeque<u16>,
    retry_after: Option<&'static str>,
    received: Vec<Received>,
}

impl Receiver {
    pub(crate) async fn start(statuses: &[u16], retry_after: Option<&'static str>) -> Self {
        let statuses = statuses.iter().copied().collect();
        let state = Arc::new(Mutex::new(State { statuses, retry_after, received: Vec::new() }));
        let shared = state.clone();
        let receive = async move |headers: HeaderMap, body: Bytes| {
            let mut state = shared.lock().unwrap();
            state.received.push(Received { headers, body });
            let status = StatusCode::from_u16(state.statuses.pop_front().unwrap_or(200)).unwrap();
            let retry_after = state.retry_after.map(|text| (RETRY_AFTER, HeaderValue::from_static(text)));
            (status, retry_after.into_iter().collect::<HeaderMap>())
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(receive));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, state, task }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}
