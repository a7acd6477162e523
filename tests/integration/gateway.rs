//! The gateway's own events, in both formats, and what the function `webhook` answers to them.

use crate::breaker::Clock;
use certbridge_platform::{
    SecretProvider,
    http::{GatewayResponse, handle},
};
use certbridge_sync::ports::Inbox;
use serde_json::{Map, Value, json};
use webhook::Webhook;

/// A request as the gateway tells of it.
#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) source: String,
    pub(crate) token: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) address: Value,
    pub(crate) body: String,
    pub(crate) is_base64: bool,
}

/// As one of the gateway's formats has it.
pub(crate) type Format = fn(&Event) -> Value;

impl Event {
    pub(crate) fn new(source: impl Into<String>, body: impl Into<String>) -> Self {
        let (source, body) = (source.into(), body.into());
        Self { source, token: None, headers: Vec::new(), address: json!("203.0.113.7"), body, is_base64: false }
    }

    /// With this header, or without it if the value is empty.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// The values of each header, by its name in lower case.
    fn values(&self) -> Map<String, Value> {
        let mut values = Map::new();
        for (name, value) in &self.headers {
            let all = values.entry(name.to_lowercase()).or_insert_with(|| json!([]));
            all.as_array_mut().unwrap().push(json!(value));
        }
        values
    }

    /// One text a header: those of several values by `join`.
    fn joined(&self, join: impl Fn(&[&str]) -> String) -> Value {
        let text = |values: &Value| {
            let values: Vec<_> = values.as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
            json!(join(&values))
        };
        self.values().iter().map(|(name, values)| (name.clone(), text(values))).collect::<Map<_, _>>().into()
    }

    fn path_parameters(&self) -> Value {
        match &self.token {
            Some(token) => json!({"source": self.source, "token": token}),
            None => json!({"source": self.source}),
        }
    }

    /// As payload 2.0, of HTTP APIs, which joins doubled headers with a comma.
    pub(crate) fn v2(&self) -> Value {
        let http = json!({"method": "POST", "path": "/webhooks/x", "sourceIp": self.address});
        json!({
            "version": "2.0",
            "routeKey": "POST /webhooks/{source}",
            "rawPath": "/webhooks/x",
            "rawQueryString": "",
            "headers": self.joined(|values| values.join(",")),
            "pathParameters": self.path_parameters(),
            "requestContext": {"routeKey": "POST /webhooks/{source}", "requestId": "r-2", "stage": "$default", "http": http},
            "body": self.body,
            "isBase64Encoded": self.is_base64,
        })
    }

    /// As payload 1.0, of REST APIs, which has one of doubled headers, and all of them beside it.
    pub(crate) fn v1(&self) -> Value {
        json!({
            "version": "1.0",
            "resource": "/webhooks/{source}",
            "path": "/webhooks/x",
            "httpMethod": "POST",
            "headers": self.joined(|values| values.last().unwrap().to_string()),
            "multiValueHeaders": self.values(),
            "queryStringParameters": {},
            "multiValueQueryStringParameters": {},
            "pathParameters": self.path_parameters(),
            "requestContext": {
                "httpMethod": "POST", "resourcePath": "/webhooks/{source}", "requestId": "r-1", "stage": "prod",
                "identity": {"sourceIp": self.address},
            },
            "body": self.body,
            "isBase64Encoded": self.is_base64,
        })
    }
}

/// Sends an event through the HTTP edge to the function.
pub(crate) async fn answer<I: Inbox, P: SecretProvider>(app: &Webhook<I, P, Clock>, event: Value) -> GatewayResponse {
    let event = serde_json::from_value(event).unwrap();
    let response = handle(event, Default::default(), &|request| webhook::handle(app, request)).await;
    assert_eq!(response.headers["certbridge-version"], "1");
    assert!(!response.is_base64_encoded);
    response
}

/// The status, and the end of the problem's type, if it is a problem.
pub(crate) fn told(response: &GatewayResponse) -> (u16, String) {
    let body: Value = serde_json::from_str(&response.body).unwrap();
    let is_problem = response.headers["content-type"] == "application/problem+json";
    assert_eq!(is_problem, response.status_code >= 400, "{response:?}");
    let kind = body["type"].as_str().unwrap_or_default().rsplit(':').next().unwrap_or_default();
    (response.status_code, kind.to_owned())
}

/// Base64, by hand: one line of the test is not worth a dependency.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * digit) & 63) as usize];
            encoded.push(if digit <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    encoded
}
