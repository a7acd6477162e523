//! Both providers in one process, which holds none of what it lists and counts what it is asked.

use crate::certificates::Certificates;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Query, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    error::Error,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

struct Inner {
    certificates: Certificates,
    searches: AtomicU64,
    listings: AtomicU64,
}

/// Serves until it is killed. Prints its address once it can be asked.
pub(crate) async fn run(certificates: Certificates) -> Result<(), Box<dyn Error>> {
    let inner = Arc::new(Inner { certificates, searches: AtomicU64::new(0), listings: AtomicU64::new(0) });
    let app = Router::new()
        .route("/v2/credentials/search", post(search))
        .route("/certificates", get(list))
        .route("/_bench/requests", get(requests))
        .with_state(inner);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    Ok(axum::serve(listener, app).await?)
}

#[derive(Deserialize)]
struct Search {
    page: SearchPage,
}

#[derive(Deserialize)]
struct SearchPage {
    size: usize,
    cursor: Option<String>,
}

async fn search(State(inner): State<Arc<Inner>>, body: Bytes) -> Response {
    inner.searches.fetch_add(1, Relaxed);
    let Ok(Search { page }) = serde_json::from_slice(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    answer(page.cursor.as_deref(), |from| inner.certificates.source_page(from, page.size.min(100)))
}

#[derive(Deserialize)]
struct ListPage {
    limit: usize,
    cursor: Option<String>,
}

async fn list(State(inner): State<Arc<Inner>>, Query(page): Query<ListPage>) -> Response {
    inner.listings.fetch_add(1, Relaxed);
    answer(page.cursor.as_deref(), |from| inner.certificates.destination_page(from, page.limit.min(100)))
}

fn answer(cursor: Option<&str>, page: impl FnOnce(u64) -> String) -> Response {
    match cursor.unwrap_or("0").parse() {
        Ok(from) => ([(CONTENT_TYPE, "application/json")], page(from)).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// How many pages each provider was asked for so far.
async fn requests(State(inner): State<Arc<Inner>>) -> Json<Value> {
    Json(json!({ "source": inner.searches.load(Relaxed), "destination": inner.listings.load(Relaxed) }))
}
