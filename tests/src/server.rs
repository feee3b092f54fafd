//! A server that does the same with each connection.

use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Where `localhost` is, on a port of the kernel's choice.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// It takes connections until it is dropped.
#[derive(Debug)]
pub struct Server {
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

// === impl Server ===

impl Server {
    /// What comes of a connection is the affair of whoever is on it: one that breaks off has a reason.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start<F>(
        address: SocketAddr,
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Result<Self>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on {address}"))?;
        Ok(Self {
            address: listener.local_addr()?,
            accepting: tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream));
                }
            }),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
