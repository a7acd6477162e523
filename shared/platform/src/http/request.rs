//! From the gateway's event to a request. `lambda_http` has a conversion of its own, but it panics on a body that is
//! flagged base64 and is not, and on a `Host` that is no host; and of payload 1.0's doubled headers it keeps one.

use super::routes::{self, ROUTES, Route};
use base64::{Engine, prelude::BASE64_STANDARD};
use certbridge_mapping::Headers;
use jiff::Timestamp;
use lambda_http::{
    Body, Context, Request, RequestExt,
    aws_lambda_events::{
        apigw::{ApiGatewayProxyRequest, ApiGatewayV2httpRequest},
        query_map::QueryMap,
    },
    http::{HeaderMap, Method},
    request::{LambdaRequest, RequestContext},
};
use std::{collections::HashMap, net::IpAddr};

/// Why an event is no request. The text is fit for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("The body is not the base64 that it is said to be.")]
    Body,
    #[error("The request did not come through an API that is known here.")]
    Origin,
}

/// What both formats say.
struct Parts {
    method: Method,
    path: Option<String>,
    query: QueryMap,
    path_parameters: HashMap<String, String>,
    headers: HeaderMap,
    context: RequestContext,
    body: Option<String>,
    is_base64: bool,
}

pub(super) fn convert(event: LambdaRequest, context: Context) -> Result<Request, Malformed> {
    let parts = match event {
        LambdaRequest::ApiGatewayV2(event) => of_v2(event),
        LambdaRequest::ApiGatewayV1(event) => of_v1(event),
        _ => return Err(Malformed::Origin),
    };
    let mut request = Request::new(body(parts.body, parts.is_base64)?);
    let path = parts.path.unwrap_or_default();
    // A path arrives decoded, so it need not be one that a URI takes. Nothing here depends on it.
    *request.uri_mut() = path.parse().unwrap_or_default();
    *request.method_mut() = parts.method;
    *request.headers_mut() = parts.headers;
    Ok(request
        .with_raw_http_path(path)
        .with_query_string_parameters(parts.query)
        .with_path_parameters(parts.path_parameters)
        .with_request_context(parts.context)
        .with_lambda_context(context))
}

fn body(text: Option<String>, is_base64: bool) -> Result<Body, Malformed> {
    match text {
        None => Ok(Body::Empty),
        Some(text) if is_base64 => BASE64_STANDARD.decode(text).map(Body::from).map_err(|_| Malformed::Body),
        Some(text) => Ok(Body::from(text)),
    }
}

fn of_v2(event: ApiGatewayV2httpRequest) -> Parts {
    Parts {
        method: event.request_context.http.method.clone(),
        path: event.raw_path,
        // The gateway joins doubled parameters with a comma in its own map, so the text is read instead.
        query: match event.raw_query_string {
            Some(query) => query.parse().unwrap_or_default(),
            None => event.query_string_parameters,
        },
        path_parameters: event.path_parameters,
        headers: event.headers,
        context: RequestContext::ApiGatewayV2(event.request_context),
        body: event.body,
        is_base64: event.is_base64_encoded,
    }
}

fn of_v1(event: ApiGatewayProxyRequest) -> Parts {
    let mut headers = event.multi_value_headers;
    for (name, value) in &event.headers {
        if !headers.contains_key(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    let doubled = event.multi_value_query_string_parameters;
    Parts {
        method: event.http_method,
        path: event.path,
        query: if doubled.is_empty() { event.query_string_parameters } else { doubled },
        path_parameters: event.path_parameters,
        headers,
        context: RequestContext::ApiGatewayV1(event.request_context),
        body: event.body,
        is_base64: event.is_base64_encoded,
    }
}

/// The address that the gateway saw. Never `X-Forwarded-For`, which anybody may write.
pub fn source_ip(request: &Request) -> Option<IpAddr> {
    match request.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => context.http.source_ip.as_deref(),
        RequestContext::ApiGatewayV1(context) => context.identity.source_ip.as_deref(),
        _ => None,
    }?
    .parse()
    .ok()
}

/// The gateway's id of the request, as its access log names it; Lambda's own, if it gave none.
pub fn request_id(request: &Request) -> &str {
    let gateway = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.request_id.as_deref(),
        Some(RequestContext::ApiGatewayV1(context)) => context.request_id.as_deref(),
        _ => None,
    };
    gateway.or_else(|| Some(request.lambda_context_ref()?.request_id.as_str())).unwrap_or_default()
}

/// The route that was asked for: the gateway's key says which, or else the path does, since `cargo lambda watch` has one
/// key for all.
pub fn route(request: &Request) -> Option<&'static Route> {
    let key = match request.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => context.route_key.clone(),
        RequestContext::ApiGatewayV1(context) => {
            context.resource_path.as_ref().map(|path| format!("{} {path}", request.method()))
        }
        _ => None,
    };
    let of_path = |route: &&Route| route.parameters(request.method().as_str(), request.raw_http_path()).is_some();
    key.and_then(|key| routes::route(&key)).or_else(|| ROUTES.iter().find(of_path))
}

/// What stands in the path for `{name}` in the route.
pub fn path_parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.path_parameters_ref()?.first(name)
}

/// The first value of a parameter after the `?`.
pub fn query_parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.query_string_parameters_ref()?.first(name)
}

/// When Lambda ends this invocation.
pub fn deadline(request: &Request) -> Option<Timestamp> {
    ends_at(request.lambda_context_ref()?)
}

/// The same of any event; `None` if it does not say. `cargo lambda watch` says a time of the year 1970.
pub fn ends_at(context: &Context) -> Option<Timestamp> {
    const A_YEAR: i64 = 365 * 86_400_000;
    let milliseconds = i64::try_from(context.deadline).ok().filter(|at| *at > A_YEAR)?;
    Timestamp::from_millisecond(milliseconds).ok()
}

/// Whose key the authorizer let in.
pub fn owner(request: &Request) -> Option<&str> {
    request.request_context_ref()?.authorizer()?.fields.get("owner")?.as_str()
}

/// Which of its owner's keys the authorizer let in.
pub fn key_id(request: &Request) -> Option<&str> {
    request.request_context_ref()?.authorizer()?.fields.get("keyId")?.as_str()
}

/// The headers, as verification reads them.
pub fn headers(request: &Request) -> Headers<'_> {
    request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}
