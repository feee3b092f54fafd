//! Mirroring starts before the request ends.

use super::{HOSTS, MAX_BODY, world};
use anyhow::{Result, ensure};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use switchyard_tests::{
    echo::{Echo, any_port},
    server::Server,
    wait::{PATIENCE, until},
    world::Source,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// A server that records each byte as it arrives, and answers nothing.
struct Listener {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
    /// The number of closed connections.
    ended: Arc<AtomicUsize>,
    _server: Server,
}

// === impl Listener ===

impl Listener {
    async fn start() -> Result<Self> {
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        let ended = Arc::<AtomicUsize>::default();
        let of_all = (Arc::clone(&heard), Arc::clone(&ended));
        let server = Server::start(any_port(), move |mut stream| {
            let (notes, count) = of_all.clone();
            async move {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    if let Ok(mut notes) = notes.lock() {
                        notes.extend_from_slice(bytes.get(..count).unwrap_or_default());
                    }
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let server = server.await?;
        Ok(Self {
            address: server.address,
            heard,
            ended,
            _server: server,
        })
    }

    fn heard(&self) -> String {
        let heard = self.heard.lock().map(|heard| heard.clone());
        String::from_utf8_lossy(&heard.unwrap_or_default()).into_owned()
    }

    async fn hears(&self, words: &str) -> Result<()> {
        until(&format!("the mirror hears {words:?}"), async || {
            let heard = self.heard();
            ensure!(heard.contains(words), "{heard}");
            Ok(())
        })
        .await
    }
}

/// A POST request with a chunked body, whose length is unknown until its end.
struct Posting(TcpStream);

// === impl Posting ===

impl Posting {
    async fn begin(server: SocketAddr, host: &str) -> Result<Self> {
        let mut client = TcpStream::connect(server).await?;
        let head = format!("POST /streamed HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.write_all(head.as_bytes()).await?;
        Ok(Self(client))
    }

    async fn go_on(&mut self, text: &str) -> Result<()> {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        Ok(self.0.write_all(chunk.as_bytes()).await?)
    }

    /// Ends the body, and checks that the upstream got this many bytes.
    async fn end(mut self, length: usize) -> Result<()> {
        self.0.write_all(b"0\r\n\r\n").await?;
        let mut answer = Vec::new();
        let whole = async {
            while !String::from_utf8_lossy(&answer).contains("}\n") {
                ensure!(self.0.read_buf(&mut answer).await? > 0, "it breaks off");
            }
            Ok(())
        };
        timeout(PATIENCE, whole).await??;
        let answer = String::from_utf8_lossy(&answer);
        let bytes = format!("\"body_bytes\":{length}");
        ensure!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains(&bytes),
            "{answer}"
        );
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirroring_starts_before_the_request_ends() -> Result<()> {
    let web = Echo::start("web").await?;
    let mirror = Listener::start().await?;
    let world = world(Source::Directory, &web, &[("mirror", mirror.address)]).await?;
    for host in HOSTS {
        let [first, second] = ["first", "second"].map(|half| format!("{half} half of {host}"));
        let mut posting = Posting::begin(world.http(), host).await?;
        posting.go_on(&first).await?;
        mirror.hears(&first).await?;
        posting.go_on(&second).await?;
        mirror.hears(&second).await?;
        posting.end(first.len() + second.len()).await?;
    }
    Ok(())
}

/// Mirroring has started by then, and is aborted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_large_streamed_body_aborts_only_the_mirror() -> Result<()> {
    let web = Echo::start("web").await?;
    let mirror = Listener::start().await?;
    let world = world(Source::Directory, &web, &[("mirror", mirror.address)]).await?;
    for host in HOSTS {
        let (before, ended) = (mirror.heard().len(), mirror.ended.load(Ordering::Relaxed));
        let mut posting = Posting::begin(world.http(), host).await?;
        let first = format!("beginning for {host}");
        posting.go_on(&first).await?;
        mirror.hears(&first).await?;
        let chunk = "x".repeat(MAX_BODY / 16);
        for _ in 0..32 {
            posting.go_on(&chunk).await?;
        }
        until("the copy is broken off", async || {
            ensure!(mirror.ended.load(Ordering::Relaxed) > ended);
            Ok(())
        })
        .await?;
        let copied = mirror.heard().len() - before;
        // The count includes the head.
        ensure!(copied < MAX_BODY + 4096, "{copied}");
        posting.end(first.len() + 2 * MAX_BODY).await?;
    }
    Ok(())
}
