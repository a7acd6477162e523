//! A server on this machine that answers what it is told to, and remembers what it was asked.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::Response,
};
use std::{
    collections::VecDeque,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(own, _)| own == name);
        std::str::from_utf8(&found.unwrap_or_else(|| panic!("no {name}")).1).unwrap()
    }
}

/// A status, headers, and a body.
pub(crate) type Reply = (u16, Vec<(&'static str, String)>, String);

pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Gives these answers, one after the other, and the last one again and again.
    pub(crate) async fn answering(replies: Vec<Reply>) -> Self {
        let replies = Mutex::new(VecDeque::from(replies));
        Self::start(move |_| {
            let mut replies = replies.lock().unwrap();
            if replies.len() > 1 { replies.pop_front().unwrap() } else { replies[0].clone() }
        })
        .await
    }

    pub(crate) async fn start(respond: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, respond) = (Arc::clone(&asked), Arc::new(respond));
        let router = Router::new().fallback(move |request: Request| {
            let (seen, respond) = (Arc::clone(&seen), Arc::clone(&respond));
            async move {
                let (parts, body) = request.into_parts();
                let headers = parts.headers.iter();
                let headers = headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
                let asked = Asked { headers, body: to_bytes(body, usize::MAX).await.unwrap().to_vec() };
                let (status, headers, body) = respond(&asked);
                seen.lock().unwrap().push(asked);
                let response = Response::builder().status(status);
                let response =
                    headers.into_iter().fold(response, |response, (name, value)| response.header(name, value));
                response.body(Body::from(body)).unwrap()
            }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, task }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn status(status: u16) -> Reply {
    (status, Vec::new(), String::new())
}
