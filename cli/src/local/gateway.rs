//! API Gateway in process: a real HTTP request becomes the event of payload 2.0 that the functions get on AWS.

use super::Functions;
use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use certbridge_platform::{
    Answer, Problem, ProblemType,
    http::{
        GatewayResponse, handle,
        routes::{ROUTES, Route},
    },
    keys::{Caller, presented},
};
use certbridge_sync::ports::Runtime;
use jiff::SignedDuration;
use lambda_http::{Context, request::LambdaRequest};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

/// The gateway's own limit, in bytes.
const MAX_BODY: usize = 10 * 1024 * 1024;
/// How long a function may take to answer.
const TIMEOUT: SignedDuration = SignedDuration::from_secs(29);

/// A request's route, and what stands in its path.
struct Matched {
    route: &'static Route,
    parameters: BTreeMap<&'static str, String>,
}

fn matched(method: &Method, path: &str) -> Option<Matched> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    ROUTES.iter().find_map(|route| {
        let parameters = route.parameters(method.as_str(), path)?;
        let parameters = parameters.into_iter().map(|(name, text)| (name, decoded(text))).collect();
        Some(Matched { route, parameters })
    })
}

/// The gateway in front of the functions.
pub(super) fn router(functions: Arc<Functions>) -> Router {
    Router::new().fallback(answer).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(functions)
}

async fn answer(
    State(functions): State<Arc<Functions>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(matched) = matched(&method, uri.path()) else {
        return response(Answer::from(Problem::new(ProblemType::NotFound)).into());
    };
    let caller = match authorize(&functions, matched.route, &headers).await {
        Ok(caller) => caller,
        Err(problem) => return response(Answer::from(*problem).into()),
    };
    let request_id = format!("{:032x}", functions.runtime.random());
    let event = event(&matched, &method, &uri, &headers, &body, peer, caller.as_ref(), &request_id);
    let event: LambdaRequest = match serde_json::from_value(event) {
        Ok(event) => event,
        Err(error) => {
            tracing::error!(%error, "a request could not be passed on");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut context = Context::default();
    context.request_id = request_id;
    context.deadline = (functions.runtime.now() + TIMEOUT).as_millisecond().unsigned_abs();
    // In a task of its own: on AWS, too, a function goes on when its caller hangs up.
    let invoked = tokio::spawn(invoke(functions, matched.route.function, event, context)).await;
    invoked.map_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response(), response)
}

async fn invoke(
    functions: Arc<Functions>,
    function: &'static str,
    event: LambdaRequest,
    context: Context,
) -> GatewayResponse {
    match function {
        "webhook" => handle(event, context, &|request| webhook::handle(&functions.webhook, request)).await,
        "sync-certificate" => {
            handle(event, context, &|request| sync_certificate::handle(&functions.sync_certificate, request)).await
        }
        "api" => handle(event, context, &|request| api::handle(&functions.api, request)).await,
        _ => Answer::from(Problem::new(ProblemType::Internal)).into(),
    }
}

/// What the authorizer does on AWS: who holds the key, where the route needs one.
async fn authorize(functions: &Functions, route: &Route, headers: &HeaderMap) -> Result<Option<Caller>, Box<Problem>> {
    let Some(scope) = route.scope else { return Ok(None) };
    let key = presented(headers).ok_or_else(|| Box::new(Problem::new(ProblemType::Unauthorized)))?;
    match functions.secrets.authorize(key, scope).await {
        Ok(caller) => Ok(Some(caller)),
        Err(error) => {
            tracing::warn!(%error, scope, "not let in");
            Err(Box::new(Problem::from(&error)))
        }
    }
}

/// The event of payload 2.0. Doubled headers are joined with a comma, and what is not text comes in base64, as the
/// gateway does it.
#[expect(clippy::too_many_arguments, reason = "a request has that many parts")]
fn event(
    matched: &Matched,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
    peer: SocketAddr,
    caller: Option<&Caller>,
    request_id: &str,
) -> Value {
    let mut joined: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        joined
            .entry(name.as_str())
            .and_modify(|all| *all = format!("{all},{value}"))
            .or_insert_with(|| value.into_owned());
    }
    let is_text = headers.get("content-type").is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let (text, is_base64) = match std::str::from_utf8(body) {
        Ok(text) if is_text => (text.to_owned(), false),
        _ => (BASE64_STANDARD.encode(body), true),
    };
    let path = percent_decode_str(uri.path()).decode_utf8_lossy().into_owned();
    json!({
        "version": "2.0",
        "routeKey": matched.route.key,
        "rawPath": path,
        "rawQueryString": uri.query().unwrap_or_default(),
        "headers": joined,
        "pathParameters": matched.parameters,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "stage": "$default",
            "requestId": request_id,
            "routeKey": matched.route.key,
            "timeEpoch": 0,
            "authorizer": caller.map(|caller| json!({"lambda": {"owner": caller.owner, "keyId": caller.key_id}})),
            "http": {
                "method": method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": peer.ip().to_string(),
            },
        },
        "body": text,
        "isBase64Encoded": is_base64,
    })
}

fn response(answer: GatewayResponse) -> Response {
    let status = StatusCode::from_u16(answer.status_code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, answer.body).into_response();
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}
