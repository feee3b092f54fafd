//! TLS connections, as a stream for tonic.
//!
//! Handshakes run concurrently, each with a timeout, and up to a maximum number, at which the oldest is aborted. So a
//! silent client does not hold up others.

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

/// The timeout of a handshake; those of Envoy take milliseconds.
const LONGEST: Duration = Duration::from_secs(5);
/// The maximum number of concurrent handshakes.
const MOST: usize = 1024;
/// The minimum interval between two log lines about failed handshakes.
const QUIET: Duration = Duration::from_secs(1);
/// The wait after a failure to accept, as when file descriptors run out.
const PAUSE: Duration = Duration::from_millis(100);

/// The stream of established TLS connections.
#[derive(Debug)]
pub(crate) struct Incoming(mpsc::Receiver<Secured>);

/// An established TLS connection.
#[derive(Debug)]
pub(crate) struct Secured(TlsStream<TcpStream>);

/// The task that accepts connections.
struct Acceptor {
    listener: TcpListener,
    config: watch::Receiver<Arc<ServerConfig>>,
    sender: mpsc::Sender<Secured>,
    under_way: UnderWay,
    failures: Arc<Mutex<Failures>>,
}

/// The handshakes in progress, oldest first.
#[derive(Debug, Default)]
struct UnderWay(VecDeque<AbortHandle>);

/// A rate limit for logged failures, since anybody can cause any number of them.
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
                    debug!(%error, "A connection was closed before it was accepted")
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
                // If the receiver is dropped, the connection is closed.
                Ok(secured) => drop(sender.send(secured).await),
                Err(error) => tell(&failures, address, &error),
            }
        });
        self.under_way.push(handshake.abort_handle());
    }
}

/// Returns true if an error is about a single connection, so that the next may succeed.
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
    // A client that disconnects without data only checks if the port is open.
    if error.kind() == io::ErrorKind::UnexpectedEof {
        debug!(%address, %error, "Rejected an xDS connection");
        return;
    }
    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(untold) = failures.tell(Instant::now()) {
        info!(%address, %error, untold, "Rejected an xDS connection");
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
    /// Returns the number of failures that were not logged since the last one, if this failure is to be logged.
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
    fn handshake_failures_are_logged_at_most_once_per_second() {
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
    async fn oldest_handshake_is_aborted_beyond_the_limit() {
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
        // Finished handshakes make room by themselves.
        drop(alive);
        tokio::task::yield_now().await;
        while under_way.0.iter().any(|handshake| !handshake.is_finished()) {
            tokio::task::yield_now().await;
        }
        under_way.push(tokio::spawn(async {}).abort_handle());
        assert_eq!(under_way.0.len(), 1);
    }
}
