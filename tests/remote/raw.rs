//! Sockets that answer with given bytes, for what no decent server does.

use crate::support::{BRIEF, KEY, PATIENT, failed, plan, record, request, snapshots, sources};
use certbridge_remote::{MAX_ANSWER_BYTES, MAX_RETRY_AFTER};
use certbridge_sync::{
    error::{RemoteClass, RemoteError},
    ports::{Destination, Fetched, Pushed, Sources},
};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// A server of one answer, again and again.
pub(crate) struct Raw {
    pub(crate) url: String,
    /// The requests, head and body.
    pub(crate) requests: Receiver<String>,
}

/// What it does once it has answered.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Then {
    Close,
    Hold,
}

impl Raw {
    pub(crate) fn new(answer: impl Into<Vec<u8>>, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, requests) = channel();
        let answer = answer.into();
        thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                if seen.send(read_request(&mut stream)).is_err() {
                    return;
                }
                // A client that has had enough is none of our business.
                drop(stream.write_all(&answer));
                if then == Then::Hold {
                    held.push(stream);
                }
            }
        });
        Self { url, requests }
    }

    /// An answer with its length, after which the connection is not used again.
    pub(crate) fn answering(head: &str, body: &str) -> Self {
        let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        Self::new(head + body, Then::Close)
    }

    pub(crate) fn nothing_seen(&self) -> bool {
        self.requests.try_recv().is_err()
    }
}

fn read_request(stream: &mut TcpStream) -> String {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        // The start of a TLS handshake, which has no blank line to wait for.
        if bytes.first() == Some(&0x16) {
            return String::new();
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return text,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

async fn fetch(url: &str, timeout: Duration) -> Result<Fetched, RemoteError> {
    sources(url).fetch(&plan(), &record("1"), timeout).await
}

async fn push(url: &str, timeout: Duration) -> Result<Pushed, RemoteError> {
    snapshots(url).push(&record("1"), &request("1"), "key-1", timeout).await
}

#[tokio::test]
async fn refused_connections_are_not_reached() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}");
    let error = failed(fetch(&url, PATIENT).await, RemoteClass::Unreachable);
    assert_eq!(error.provider, "sources/accredible");
    assert!(error.message.contains("refused"), "{error}");
    assert_eq!(failed(push(&url, PATIENT).await, RemoteClass::Unreachable).provider, "destinations/snapshots");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_not_reached() {
    // Too long for a label, so that no resolver is asked.
    let url = format!("https://{}.example", "a".repeat(64));
    failed(fetch(&url, PATIENT).await, RemoteClass::Unreachable);
}

#[tokio::test]
async fn a_server_without_tls_is_not_reached() {
    let raw = Raw::answering("200 OK", "{}");
    let error = failed(fetch(&raw.url.replace("http:", "https:"), PATIENT).await, RemoteClass::Unreachable);
    assert!(error.retry_after.is_none());
}

#[tokio::test]
async fn no_time_is_not_reached() {
    let raw = Raw::answering("200 OK", "{}");
    failed(push(&raw.url, Duration::ZERO).await, RemoteClass::Unreachable);
    assert!(raw.nothing_seen());
}

#[tokio::test]
async fn no_answer_no_head_or_half_a_body_is_no_answer() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"credential\": {";
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-", half, "\0\0\0 no HTTP \0\r\n\r\n"] {
        let raw = Raw::new(answer, Then::Close);
        failed(push(&raw.url, PATIENT).await, RemoteClass::Unanswered);
        failed(fetch(&raw.url, PATIENT).await, RemoteClass::Unanswered);
    }
    for answer in ["", "HTTP/1.1 200 OK\r\n", half] {
        let raw = Raw::new(answer, Then::Hold);
        failed(push(&raw.url, BRIEF).await, RemoteClass::Unanswered);
        failed(fetch(&raw.url, BRIEF).await, RemoteClass::Unanswered);
    }
}

#[tokio::test]
async fn a_status_that_is_no_success_stands_without_its_body() {
    let raw = Raw::new("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 9\r\n\r\n{", Then::Close);
    let error = failed(push(&raw.url, PATIENT).await, RemoteClass::Throttled);
    assert_eq!(error.retry_after, Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn oversize_answers_are_not_read() {
    let body = format!("{{\"credential\": {{\"id\": \"{}\"}}}}", "1".repeat(MAX_ANSWER_BYTES));
    failed(fetch(&Raw::answering("200 OK", &body).url, PATIENT).await, RemoteClass::Unusable);
    // Without a length, and without an end.
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
    failed(fetch(&Raw::new(endless, Then::Hold).url, PATIENT).await, RemoteClass::Unusable);
    // One that just fits.
    let start = "{\"credential\": {\"id\": \"";
    let fits = format!("{start}{}\"}}}}", "1".repeat(MAX_ANSWER_BYTES - start.len() - 3));
    assert_eq!(fits.len(), MAX_ANSWER_BYTES);
    assert!(matches!(fetch(&Raw::answering("200 OK", &fits).url, PATIENT).await, Ok(Fetched::Found(_))));
    // A push has succeeded if its status says so, but nothing that big is an answer.
    failed(push(&Raw::answering("200 OK", &body).url, PATIENT).await, RemoteClass::Unusable);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Raw::answering("200 OK", "{\"credential\": {}}");
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let raw = Raw::answering(&format!("{status}\r\nLocation: {}/v1/credentials/1?{KEY}", other.url), "");
        failed(fetch(&raw.url, PATIENT).await, RemoteClass::Misrouted);
        failed(push(&raw.url, PATIENT).await, RemoteClass::Misrouted);
    }
    assert!(other.nothing_seen());
}

#[tokio::test]
async fn waits_are_read_from_the_answer() {
    for (headers, wait) in [
        ("Retry-After: 7", Some(Duration::from_secs(7))),
        (
            "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\nDate: Sun, 06 Nov 1994 08:49:00 GMT",
            Some(Duration::from_secs(37)),
        ),
        ("Retry-After: 86400", Some(MAX_RETRY_AFTER)),
        ("Retry-After: next week", None),
        ("X-Nothing: 1", None),
    ] {
        for (status, class) in
            [("503 Service Unavailable", RemoteClass::Failed), ("429 Too Many Requests", RemoteClass::Throttled)]
        {
            let raw = Raw::answering(&format!("{status}\r\n{headers}"), "");
            assert_eq!(failed(push(&raw.url, PATIENT).await, class).retry_after, wait, "{headers}");
        }
    }
}

#[tokio::test]
async fn a_request_says_who_asks_and_no_more() {
    let raw = Raw::answering("200 OK", "{\"credential\": {}}");
    fetch(&raw.url, PATIENT).await.unwrap();
    let head = raw.requests.recv().unwrap();
    assert!(head.starts_with("GET /v1/credentials/1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("user-agent: certbridge/"), "{head}");
    assert!(!head.contains("cookie"), "{head}");
}

#[tokio::test]
async fn every_refusal_is_told_by_its_class() {
    for (status, class) in [
        ("400 Bad Request", RemoteClass::Rejected),
        ("401 Unauthorized", RemoteClass::Unauthorized),
        ("403 Forbidden", RemoteClass::Unauthorized),
        ("404 Not Found", RemoteClass::Misrouted),
        ("405 Method Not Allowed", RemoteClass::Misrouted),
        ("408 Request Timeout", RemoteClass::Failed),
        ("409 Conflict", RemoteClass::Failed),
        ("410 Gone", RemoteClass::Misrouted),
        ("422 Unprocessable Entity", RemoteClass::Rejected),
        ("425 Too Early", RemoteClass::Throttled),
        ("500 Internal Server Error", RemoteClass::Failed),
        ("501 Not Implemented", RemoteClass::Misrouted),
        ("504 Gateway Timeout", RemoteClass::Unanswered),
    ] {
        let body = format!(r#"{{"error":"Not found","message":"{KEY} and person-1","data":"person-1"}}"#);
        let error = failed(push(&Raw::answering(status, &body).url, PATIENT).await, class);
        assert_eq!(error.message, status);
    }
}
