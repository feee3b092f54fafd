//! One gRPC stream: requests and changes in, responses out.

use super::{
    Nack, Shared,
    node::{code_for, readiness_cluster},
    registry::{Progress, StreamId},
    session::{Excess, Session},
};
use crate::sections::Code;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use futures_util::Stream;
use std::{future::pending, net::SocketAddr, sync::Arc, time::Instant};
use tonic::{Status, Streaming};

/// A stream's session, with the state that it shares with the server.
#[derive(Debug)]
struct Connection {
    shared: Arc<Shared>,
    session: Session,
    address: Option<SocketAddr>,
    /// The identity of the client, known from its first request on.
    node: Option<Identity>,
    reported: Progress,
}

#[derive(Debug)]
struct Identity {
    id: String,
    stream: StreamId,
    code: Code,
}

/// Answers `requests` until the client leaves or the server closes.
///
/// The store is read when the client is ready for a response: a slow client skips the states in between, and nothing is
/// queued for it.
pub(super) fn serve(
    shared: Arc<Shared>,
    mut requests: Streaming<DeltaDiscoveryRequest>,
    address: Option<SocketAddr>,
) -> impl Stream<Item = Result<DeltaDiscoveryResponse, Status>> {
    async_stream::try_stream! {
        let mut generation = shared.generation.subscribe();
        let mut closing = shared.closing.subscribe();
        let mut connection = Connection::new(shared, address);
        while !*closing.borrow() {
            generation.mark_unchanged();
            while let Some(response) = connection.poll() {
                yield response;
            }
            let request = tokio::select! {
                request = requests.message() => Some(request),
                _ = generation.changed() => None,
                _ = closing.changed() => None,
                () = until(connection.session.deadline(Instant::now())) => None,
            };
            match request {
                None => {}
                Some(Ok(Some(request))) => connection.on_request(&request)?,
                Some(Ok(None) | Err(_)) => break,
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => pending().await,
    }
}

// === impl Connection ===

impl Connection {
    /// The maximum number of reported rejections of one client.
    const NACKS: usize = 100;

    fn new(shared: Arc<Shared>, address: Option<SocketAddr>) -> Self {
        let session = Session::new(shared.config.limits);
        Self {
            shared,
            session,
            address,
            node: None,
            reported: Progress::default(),
        }
    }

    fn on_request(&mut self, request: &DeltaDiscoveryRequest) -> Result<(), Status> {
        self.identify(request);
        self.shared.traffic.received(request);
        self.session
            .on_request(request, Instant::now())
            .map_err(|excess: Excess| {
                tracing::warn!(%excess, address = ?self.address, "Closing a stream");
                Status::invalid_argument(excess.to_string())
            })?;
        Ok(())
    }

    /// Reads the node of the first request of a stream; later requests need not contain it.
    fn identify(&mut self, request: &DeltaDiscoveryRequest) {
        if self.node.is_some() {
            return;
        }
        let node = request.node.clone().unwrap_or_default();
        let registry = &self.shared.registry;
        self.session.remember(registry.remembered(&node.id));
        if let Some(cluster) = readiness_cluster(&node) {
            self.session.announce_readiness(cluster);
        }
        self.node = Some(Identity {
            stream: registry.open(&node, self.address),
            code: code_for(&node, &self.shared.config.wasm),
            id: node.id,
        });
    }

    fn poll(&mut self) -> Option<DeltaDiscoveryResponse> {
        let answer = self.session.poll(&self.shared.store(), Instant::now());
        self.report();
        let (code, answer) = (&self.node.as_ref()?.code, answer?);
        self.shared.traffic.sent(answer.kind, &answer.batch);
        Some(answer.encode(code))
    }

    /// Reports the client's progress, if it has changed.
    fn report(&mut self) {
        let Some(Identity { id, stream, .. }) = &self.node else {
            return;
        };
        let nacks = self
            .session
            .refused()
            .map(|(kind, name, refusal)| Nack::new(kind, name, refusal));
        let progress = Progress {
            acked: self.session.acked(Instant::now()),
            nacks: nacks.take(Self::NACKS).collect(),
        };
        if progress == self.reported {
            return;
        }
        log_news(id, &self.reported.nacks, &progress.nacks);
        let registry = &self.shared.registry;
        registry.remember(id, self.session.refused_filters());
        registry.report(*stream, progress.clone(), self.shared.newest());
        self.reported = progress;
    }
}

/// Logs the rejections since the last report, and the end of the last rejection.
fn log_news(node: &str, before: &[Nack], now: &[Nack]) {
    for nack in now.iter().filter(|nack| !before.contains(nack)) {
        let Nack {
            resource_type,
            name,
            reason,
            ..
        } = nack;
        tracing::warn!(node, r#type = %resource_type, resource = %name, reason = %reason, "Proxy rejected a resource");
    }
    if now.is_empty() && !before.is_empty() {
        tracing::info!(node, "Proxy rejects no resource any more");
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(Identity { stream, .. }) = &self.node {
            self.shared.registry.close(*stream);
        }
    }
}
