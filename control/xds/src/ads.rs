//! The aggregated discovery service, in its incremental (delta) variant.
//!
//! ```text
//! Update -> Server -> Store <- Session <- Stream <-> Envoy
//!              ^                             |
//!              +--------- Registry <---------+
//! ```
//!
//! [`Server::publish`] changes the [`Store`], and never waits for an Envoy. Each stream has a [`Session`], which decides
//! what its Envoy may be sent next, and tells the registry how far it has come.
//!
//! The rules are those of the xDS protocol (`docs/root/api-docs/xds_protocol.rst` of Envoy).

mod answer;
mod node;
mod pending;
mod registry;
mod session;
mod store;
mod stream;
mod subscription;
mod traffic;

pub use self::{
    answer::Answer,
    session::{Excess, Limits, Session},
    store::Store,
    traffic::Traffic,
};

use self::{
    registry::{Registry, StreamId},
    traffic::TrafficCounters,
};
use crate::resource::{ResourceType, Update};
use bytes::Bytes;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    aggregated_discovery_service_server::{AggregatedDiscoveryService, AggregatedDiscoveryServiceServer},
};
use futures_util::Stream;
use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

/// The ADS server; a handle, cheap to clone.
#[derive(Clone, Debug)]
pub struct Server(Arc<Shared>);

#[derive(Clone, Debug)]
pub struct Config {
    pub wasm: WasmCode,
    /// How long a stream may owe its acceptance before [`Server::acked_generation`] no longer waits for it.
    pub silence: Duration,
    pub limits: Limits,
}

/// The filter's code.
#[derive(Clone, Debug)]
pub struct WasmCode {
    pub bytes: Bytes,
    /// In hexadecimal.
    pub sha256: String,
}

/// One connected Envoy.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub node_id: String,
    /// What the Envoy says is its `--service-cluster`.
    pub cluster: String,
    pub address: Option<SocketAddr>,
    pub connected: SystemTime,
    /// The generation through which it has accepted or refused everything.
    pub acked: u64,
    /// What it refuses now, 100 at most.
    pub nacks: Vec<Nack>,
    /// For how long it has accepted nothing of what it owes. `None` when it owes nothing.
    pub silent_for: Option<Duration>,
}

/// One resource that an Envoy refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    pub resource_type: ResourceType,
    pub name: Arc<str>,
    /// What was refused. `None` for a removal.
    pub version: Option<u64>,
    /// In Envoy's words, 1 KiB at most.
    pub reason: Arc<str>,
    pub at: SystemTime,
    /// The generation of the oldest change that the Envoy has not for it.
    pub since: u64,
    /// The newest generation when it was sent.
    pub generation: u64,
}

/// How one Envoy took a generation.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub node_id: String,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has it, so long after it was waited for.
    Acked(Duration),
    /// It has the rest of it.
    Nacked(Vec<Nack>),
    /// It has not said yet.
    Waiting,
    /// It left before it said.
    Disconnected,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    store: RwLock<Store>,
    /// The store's generation. Also marked changed when the store becomes ready.
    generation: watch::Sender<u64>,
    closing: watch::Sender<bool>,
    registry: Registry,
    traffic: TrafficCounters,
}

type ResponseStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Settings of the HTTP/2 server that suit ADS: a dead Envoy is noticed, though neither side has anything to say.
pub fn tonic_server_builder() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .tcp_nodelay(true)
}

// === impl Config ===

impl Config {
    pub fn new(wasm: WasmCode) -> Self {
        Self {
            wasm,
            silence: Duration::from_secs(60),
            limits: Limits::default(),
        }
    }
}

// === impl Server ===

impl Server {
    /// The longest request, in bytes: an Envoy that comes back lists what it has.
    const LONGEST_REQUEST: usize = 16 << 20;

    pub fn new(config: Config) -> Self {
        Self(Arc::new(Shared {
            config,
            store: RwLock::default(),
            generation: watch::Sender::default(),
            closing: watch::Sender::default(),
            registry: Registry::default(),
            traffic: TrafficCounters::default(),
        }))
    }

    /// Makes `update` what is served, and says which generation that is.
    ///
    /// Costs as much as the update is long, and waits for no stream.
    pub fn publish(&self, update: Update) -> u64 {
        let generation = self
            .0
            .store
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(update);
        let newer = self.0.generation.send_if_modified(|newest| {
            let newer = generation > *newest;
            *newest = generation.max(*newest);
            newer
        });
        if newer {
            self.0.registry.fall_behind(generation, Instant::now());
        }
        generation
    }

    /// Says that all sources have been read once. Until then no request is answered: an Envoy would take what is not
    /// known yet for gone.
    pub fn ready(&self) {
        self.0
            .store
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .set_ready();
        self.0.generation.send_modify(|_| {});
    }

    /// Ends every stream, so that the gRPC server can shut down gracefully.
    pub fn close(&self) {
        self.0.closing.send_replace(true);
    }

    /// The connected Envoys.
    pub fn proxies(&self) -> Vec<Proxy> {
        self.0.registry.proxies()
    }

    /// How many Envoys are connected.
    pub fn connections(&self) -> usize {
        self.0.registry.count()
    }

    /// Changes whenever [`Server::proxies`] does.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.registry.changed()
    }

    /// What went over the streams since the start, by type.
    pub fn traffic(&self) -> Vec<Traffic> {
        self.0.traffic.traffic()
    }

    /// The generation through which every connected Envoy has accepted or refused everything.
    ///
    /// What has been unused since before it may be removed. An Envoy that owes its acceptance for longer than
    /// [`Config::silence`] does not hold the others up.
    pub fn acked_generation(&self) -> u64 {
        self.0.registry.acked(self.0.newest(), self.0.config.silence)
    }

    /// Waits until every Envoy that is connected now has taken `generation` one way or the other, but no longer than
    /// `timeout`.
    pub async fn wait_acked(&self, generation: u64, timeout: Duration) -> Vec<Verdict> {
        let started = Instant::now();
        let mut changed = self.changed();
        let mut awaited: Vec<_> = self
            .0
            .registry
            .ids()
            .into_iter()
            .map(|id| (id, Outcome::Waiting))
            .collect();
        loop {
            for ((id, _), outcome) in awaited
                .iter_mut()
                .filter(|(_, outcome)| *outcome == Outcome::Waiting)
            {
                *outcome = self.0.registry.outcome(*id, generation, started);
            }
            let left = timeout.saturating_sub(started.elapsed());
            let all_said = awaited.iter().all(|(_, outcome)| *outcome != Outcome::Waiting);
            if all_said || !matches!(tokio::time::timeout(left, changed.changed()).await, Ok(Ok(()))) {
                return awaited.into_iter().map(to_verdict).collect();
            }
        }
    }

    /// The service to mount.
    pub fn service(&self) -> AggregatedDiscoveryServiceServer<Self> {
        AggregatedDiscoveryServiceServer::new(self.clone())
            .max_decoding_message_size(Self::LONGEST_REQUEST)
            .max_encoding_message_size(usize::MAX)
    }
}

fn to_verdict(((_, node_id), outcome): ((StreamId, String), Outcome)) -> Verdict {
    Verdict { node_id, outcome }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Server {
    type DeltaAggregatedResourcesStream = ResponseStream<DeltaDiscoveryResponse>;
    type StreamAggregatedResourcesStream = ResponseStream<DiscoveryResponse>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        if *self.0.closing.borrow() {
            return Err(Status::unavailable("closing"));
        }
        let address = request.remote_addr();
        let responses = stream::serve(Arc::clone(&self.0), request.into_inner(), address);
        Ok(Response::new(Box::pin(responses)))
    }

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented(
            "only incremental xDS is supported: set `api_type: DELTA_GRPC` in `ads_config`",
        ))
    }
}

// === impl Shared ===

impl Shared {
    fn store(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn newest(&self) -> u64 {
        *self.generation.borrow()
    }
}

#[cfg(test)]
mod tests;
