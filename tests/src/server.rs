//! A TCP server that handles each connection the same way.

use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// The address 127.0.0.1, with a port of the kernel's choice.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// Accepts connections until it is dropped.
#[derive(Debug)]
pub struct Server {
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

// === impl Server ===

impl Server {
    /// Listens on an address, and calls `serve` for each connection. `serve` handles the errors of a connection.
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
