//! DynamoDB embedded in the process, served over HTTP on a port of its own.

use dynoxide::{Database, server::serve_with_shutdown};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// A running DynamoDB. It stops when it is dropped; [`EmbeddedDynamoDb::shutdown`] also waits until it has.
pub struct EmbeddedDynamoDb {
    address: SocketAddr,
    database: Database,
    /// Dropping it is the signal to stop.
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), String>>,
}

impl EmbeddedDynamoDb {
    /// Serves the database in this file, or a fresh one in memory, on a free loopback port. Call it within a Tokio
    /// runtime, which is what it runs on.
    ///
    /// # Errors
    /// If the file cannot be opened, or no port be had.
    pub fn start(path: Option<&Path>) -> io::Result<Self> {
        let database = match path {
            Some(path) => {
                let path = path.to_str().ok_or_else(|| io::Error::other("the path is not UTF-8"))?;
                Database::new(path)
            }
            None => Database::memory(),
        };
        let database = database.map_err(io::Error::other)?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve_with_shutdown(listener, database.clone(), async move {
            // An error is the sender dropped, which is the signal too.
            let _ = stopped.await;
        }));
        Ok(Self { address, database, stop, server })
    }

    /// Where it is served, for `AWS_ENDPOINT_URL` or a client's own setting. Any credentials do.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Removes the items whose time to live is over, which it does not do by itself. Says how many those were.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn sweep_ttl(&self) -> io::Result<usize> {
        self.database.sweep_ttl().map_err(io::Error::other)
    }

    /// Stops, and waits until the requests under way are answered.
    ///
    /// # Errors
    /// If the server had failed.
    pub async fn shutdown(self) -> io::Result<()> {
        drop(self.stop);
        drop(self.database);
        self.server.await?.map_err(io::Error::other)
    }
}
