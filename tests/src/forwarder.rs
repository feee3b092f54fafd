//! A TCP forwarder between clients and servers, like the network of a cluster.

use anyhow::Result;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// The maximum number of bytes sent at once.
const CHUNK: usize = 16 * 1024;

/// Forwards until it is dropped, which closes all connections.
#[derive(Debug)]
pub struct Forwarder {
    pub address: SocketAddr,
    way: watch::Sender<Way>,
    accepting: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug)]
struct Way {
    server: SocketAddr,
    /// The pause before each chunk to a client.
    pause: Duration,
}

// === impl Forwarder ===

impl Forwarder {
    /// Forwards to a server, on a port of the kernel's choice.
    pub async fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (way, told) = watch::channel(Way {
            server,
            pause: Duration::ZERO,
        });
        Ok(Self {
            address: listener.local_addr()?,
            way,
            accepting: tokio::spawn(accept(listener, told)),
        })
    }

    /// Directs new connections to this server; existing ones stay.
    pub fn lead_to(&self, server: SocketAddr) {
        self.way.send_modify(|way| way.server = server);
    }

    /// Slows down the servers' answers: each chunk of 16 KiB is delayed by `pause`.
    pub fn slow_down(&self, pause: Duration) {
        self.way.send_modify(|way| way.pause = pause);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, way: watch::Receiver<Way>) {
    // Dropping the set ends the connections.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(forward(client, way.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// Forwards until either side ends, and then closes both, like a reset connection.
async fn forward(client: TcpStream, way: watch::Receiver<Way>) -> Result<()> {
    let server = way.borrow().server;
    let server = TcpStream::connect(server).await?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        ended = copy(from_client, to_server, || Duration::ZERO) => ended,
        ended = copy(from_server, to_client, || way.borrow().pause) => ended,
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    pause: impl Fn() -> Duration,
) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        let pause = pause();
        if !pause.is_zero() {
            sleep(pause).await;
        }
        to.write_all(chunk.get(..read).unwrap_or_default()).await?;
    }
}
