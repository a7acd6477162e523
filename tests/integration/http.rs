//! A client that sends what it is told, byte for byte: no library may tidy up a hostile path or header.

use serde_json::Value;
use std::collections::BTreeMap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn post(target: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", target) }.header("content-type", "application/json")
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sends it to the server at `http://{address}`.
    pub(crate) async fn send(&self, url: &str) -> Reply {
        let address = url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut bytes = format!("{} {} HTTP/1.1\r\nhost: {address}\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(format!("content-length: {}\r\nconnection: close\r\n\r\n", self.body.len()).bytes());
        bytes.extend(&self.body);
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        Reply::read(&String::from_utf8(answer).expect("an answer is text"))
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Reply {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let (first, lines) = head.split_once("\r\n").unwrap();
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.split("\r\n").filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Self { status, headers, body: body.to_owned() }
    }

    /// Its body, which is JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The end of its problem's type, if it is a problem; and then it is a whole one.
    #[track_caller]
    pub(crate) fn problem(&self) -> Option<String> {
        assert_eq!(self.headers.get("certbridge-version").map(String::as_str), Some("1"), "{self:?}");
        if self.status < 400 {
            assert_eq!(self.headers["content-type"], "application/json", "{self:?}");
            return None;
        }
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], self.status, "{self:?}");
        assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{self:?}");
        let kind = body["type"].as_str().and_then(|kind| kind.strip_prefix("urn:problem-type:certbridge:"));
        Some(kind.unwrap_or_else(|| panic!("no type of ours: {self:?}")).to_owned())
    }

    /// The id that it gives an event.
    #[track_caller]
    pub(crate) fn event_id(&self) -> String {
        self.json()["event_id"].as_str().unwrap_or_else(|| panic!("no event: {self:?}")).to_owned()
    }

    /// The fields that its problem names.
    #[track_caller]
    pub(crate) fn fields(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }
}
