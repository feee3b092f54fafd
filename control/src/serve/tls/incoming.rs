//! Connections that have been secured, as tonic takes them.
//!
//! Handshakes run side by side, each with a time limit, and there is a limit to how many: the oldest makes room. A client
//! that says nothing costs the others nothing.

use super::Credentials;
use futures_util::Stream;
use rustls::ServerConfig;
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::AbortHandle,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::{Connected, TcpConnectInfo};
use tracing::{debug, info, warn};

/// How long a handshake may take: an Envoy's takes milliseconds.
const LONGEST: Duration = Duration::from_secs(5);
/// How many may be under way.
const MOST: usize = 1024;
/// Between two lines about handshakes that failed.
const QUIET: Duration = Duration::from_secs(1);
/// How long to wait when no connection can be accepted, as when all file descriptors are taken.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections that have been secured.
#[derive(Debug)]
pub(crate) struct Incoming(mpsc::Receiver<Secured>);

/// A connection that has been secured.
#[derive(Debug)]
pub(crate) struct Secured(TlsStream<TcpStream>);

/// Who accepts.
struct Acceptor {
    listener: TcpListener,
    config: watch::Receiver<Arc<ServerConfig>>,
    sender: mpsc::Sender<Secured>,
    under_way: UnderWay,
    failures: Arc<Mutex<Failures>>,
}

/// Handshakes that have not ended, the oldest first.
#[derive(Debug, Default)]
struct UnderWay(VecDeque<AbortHandle>);

/// When to tell of a failure: anybody can cause as many as they like.
#[derive(Debug, Default)]
struct Failures {
    told: Option<Instant>,
    untold: u64,
}

// === impl Incoming ===

impl Incoming {
    /// Accepts connections until it is dropped.
    pub(crate) fn new(listener: TcpListener, credentials: Credentials) -> Self {
        let (sender, receiver) = mpsc::channel(64);
        let acceptor = Acceptor {
            listener,
            config: credentials.follow(),
            sender,
            under_way: UnderWay::default(),
            failures: Arc::default(),
        };
        tokio::spawn(acceptor.run());
        Self(receiver)
    }
}

impl Stream for Incoming {
    type Item = io::Result<Secured>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().0.poll_recv(context).map(|secured| secured.map(Ok))
    }
}

// === impl Acceptor ===

impl Acceptor {
    async fn run(mut self) {
        loop {
            let accepted = tokio::select! {
                () = self.sender.closed() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.start(stream, address),
                Err(error) if is_of_one(&error) => {
                    debug!(%error, "A connection was lost before it was accepted")
                }
                Err(error) => {
                    warn!(%error, "Cannot accept xDS connections");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn start(&mut self, stream: TcpStream, address: SocketAddr) {
        let config = Arc::clone(&self.config.borrow());
        let sender = self.sender.clone();
        let failures = Arc::clone(&self.failures);
        let handshake = tokio::spawn(async move {
            match handshake(stream, config).await {
                // Where nobody takes it any more, it is closed.
                Ok(secured) => drop(sender.send(secured).await),
                Err(error) => tell(&failures, address, &error),
            }
        });
        self.under_way.push(handshake.abort_handle());
    }
}

/// Whether it is about one connection, and the next may be well.
fn is_of_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

async fn handshake(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Secured> {
    stream.set_nodelay(true)?;
    match timeout(LONGEST, TlsAcceptor::from(config).accept(stream)).await {
        Ok(accepted) => accepted.map(Secured),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no TLS handshake within {LONGEST:?}"),
        )),
    }
}

fn tell(failures: &Mutex<Failures>, address: SocketAddr, error: &io::Error) {
    // Who hangs up without a word looks whether the port is open.
    if error.kind() == io::ErrorKind::UnexpectedEof {
        debug!(%address, %error, "An xDS connection was refused");
        return;
    }
    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(untold) = failures.tell(Instant::now()) {
        info!(%address, %error, untold, "An xDS connection was refused");
    }
}

// === impl UnderWay ===

impl UnderWay {
    fn push(&mut self, handshake: AbortHandle) {
        if self.0.len() >= MOST {
            self.0.retain(|other| !other.is_finished());
        }
        if self.0.len() >= MOST
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(handshake);
    }
}

// === impl Failures ===

impl Failures {
    /// How many were not told of since the last that was, if this one is to be told of.
    fn tell(&mut self, now: Instant) -> Option<u64> {
        if self.told.is_some_and(|told| now.duration_since(told) < QUIET) {
            self.untold += 1;
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

// === impl Secured ===

impl Connected for Secured {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.0.get_ref().0.connect_info()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_once_a_second_with_how_many_were_not() {
        let mut failures = Failures::default();
        let start = Instant::now();
        for (millis, want) in [
            (0, Some(0)),
            (1, None),
            (999, None),
            (1000, Some(2)),
            (1001, None),
            (5000, Some(1)),
            (6000, Some(0)),
        ] {
            let now = start + Duration::from_millis(millis);
            assert_eq!(failures.tell(now), want, "{millis}");
        }
    }

    #[tokio::test]
    async fn beyond_the_limit_the_oldest_handshake_makes_room() {
        let mut under_way = UnderWay::default();
        let mut alive = Vec::new();
        for _ in 0..MOST + 2 {
            let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
            alive.push(sender);
            let handshake = tokio::spawn(async move { receiver.await.unwrap_or_default() });
            under_way.push(handshake.abort_handle());
        }
        for (number, sender) in alive.iter_mut().enumerate().take(2) {
            let closed = timeout(Duration::from_secs(10), sender.closed()).await;
            assert!(closed.is_ok(), "{number}");
        }
        assert!(alive.iter().skip(2).all(|sender| !sender.is_closed()));
        // What has ended makes room by itself.
        drop(alive);
        tokio::task::yield_now().await;
        while under_way.0.iter().any(|handshake| !handshake.is_finished()) {
            tokio::task::yield_now().await;
        }
        under_way.push(tokio::spawn(async {}).abort_handle());
        assert_eq!(under_way.0.len(), 1);
    }
}
