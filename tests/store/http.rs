//! As much of HTTP/1.1 as it takes to stand between the SDK and a service: one request a connection.

use std::{future::Future, io, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    async fn read(stream: &mut TcpStream) -> io::Result<Self> {
        let (mut bytes, mut length) = (Vec::new(), None);
        loop {
            if let Some((head, total)) = &length
                && bytes.len() >= *total
            {
                let body = bytes.split_off(*head);
                return Ok(Self { head: String::from_utf8_lossy(&bytes).into_owned(), body });
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if length.is_none()
                && let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n")
            {
                let body = header(&String::from_utf8_lossy(&bytes[..end]), "content-length")
                    .map_or(0, |digits| digits.parse().unwrap());
                length = Some((end + 4, end + 4 + body));
            }
        }
    }

    /// The operation that is asked for.
    pub(crate) fn operation(&self) -> String {
        let target = header(&self.head, "x-amz-target").unwrap_or_default();
        target.rsplit('.').next().unwrap_or_default().to_owned()
    }

    /// Sends it on, and reads the whole answer.
    pub(crate) async fn forward(&self, address: &str) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(address).await?;
        let lines = self.head.trim_end().lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        let head = lines.chain(["connection: close", "", ""]).collect::<Vec<_>>().join("\r\n");
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&self.body).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned()))
}

/// A whole answer.
pub(crate) fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Any\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Answers each request as `respond` says; `None` closes the connection without a word. Says where it listens.
pub(crate) async fn serve<F, A>(respond: F) -> String
where
    F: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = Option<Vec<u8>>> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let respond = Arc::new(respond);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let respond = Arc::clone(&respond);
            tokio::spawn(async move {
                if let Ok(request) = Request::read(&mut stream).await
                    && let Some(answer) = respond(request).await
                {
                    let _ = stream.write_all(&answer).await;
                }
            });
        }
    });
    endpoint
}
