//! The edge between API Gateway and a handler: an event becomes a [`Request`], an [`Answer`] becomes what the gateway
//! sends on. Both of the gateway's formats are taken, payload 2.0 (HTTP APIs) and 1.0 (REST APIs).

mod answer;
mod problem;
mod request;
pub mod routes;

use crate::trace;
use certbridge_sync::trace::Trace;
use lambda_http::{
    Context, LambdaEvent, lambda_runtime,
    request::{LambdaRequest, RequestContext},
    service_fn,
};
use std::{convert::Infallible, future::Future};
use tracing::Instrument;

pub use answer::{Answer, GatewayResponse};
pub use lambda_http::Request;
pub use problem::{Problem, ProblemType};
pub use request::{
    deadline, ends_at, headers, key_id, owner, path_parameter, query_parameter, request_id, route, source_ip,
};

/// Serves a function's requests until Lambda ends it.
pub async fn serve<H, F>(handler: H) -> Result<(), lambda_http::Error>
where
    H: Fn(Request) -> F,
    F: Future<Output = Answer>,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<LambdaRequest>| async move {
        Ok::<_, Infallible>(handle(event.payload, event.context, handler).await)
    }))
    .await
}

/// The way of one event: what [`serve`] does for each, and the local mode too.
pub async fn handle<H, F>(event: LambdaRequest, context: Context, handler: &H) -> GatewayResponse
where
    H: Fn(Request) -> F,
    F: Future<Output = Answer>,
{
    let is_v2 = matches!(event, LambdaRequest::ApiGatewayV2(_));
    let request = match request::convert(event, context) {
        Ok(request) => request,
        Err(malformed) => {
            tracing::warn!(error = %malformed, "a request was not passed on");
            let problem = Problem::new(ProblemType::MalformedRequest).detail(malformed.to_string());
            return GatewayResponse::from(Answer::from(problem)).for_payload(is_v2);
        }
    };
    // The route's key, never the path: that may hold a token.
    let trace = trace::of_request(&request);
    let trace_id = trace.as_ref().map(Trace::id);
    let span = tracing::info_span!("request", request_id = request_id(&request), trace_id, route = route_key(&request));
    GatewayResponse::from(handler(request).instrument(span).await).for_payload(is_v2)
}

fn route_key(request: &Request) -> Option<&str> {
    match request.extensions().get::<RequestContext>()? {
        RequestContext::ApiGatewayV2(context) => context.route_key.as_deref(),
        RequestContext::ApiGatewayV1(context) => context.resource_path.as_deref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
