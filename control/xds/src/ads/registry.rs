//! The live streams, and how far each has come.

use super::{Nack, Outcome, Proxy, subscription::Refusal};
use crate::resource::ResourceType;
use envoy_types::pb::envoy::config::core::v3::Node;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::watch;

/// The live streams.
#[derive(Debug, Default)]
pub(super) struct Registry {
    streams: Mutex<Streams>,
    /// Counts what happened to any stream.
    progress: watch::Sender<u64>,
}

/// Names one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamId(u64);

#[derive(Debug, Default)]
struct Streams {
    opened: u64,
    live: BTreeMap<StreamId, Live>,
    /// What each node refused of the filter's configuration.
    refused: BTreeMap<String, BTreeMap<Arc<str>, Refusal>>,
}

#[derive(Debug)]
struct Live {
    node_id: String,
    cluster: String,
    address: Option<SocketAddr>,
    connected: SystemTime,
    progress: Progress,
    /// Since when the stream has accepted nothing of what it owes; `None` when it owes nothing.
    behind_since: Option<Instant>,
}

/// How far a stream has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) settled: u64,
    pub(super) nacks: Vec<Nack>,
}

// === impl Registry ===

impl Registry {
    /// The most nodes whose refusals are remembered.
    const NODES: usize = 1024;

    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.progress.subscribe()
    }

    pub(super) fn open(&self, node: &Node, address: Option<SocketAddr>) -> StreamId {
        let mut streams = self.streams();
        streams.opened += 1;
        let id = StreamId(streams.opened);
        let live = Live {
            node_id: node.id.clone(),
            cluster: node.cluster.clone(),
            address,
            connected: SystemTime::now(),
            progress: Progress::default(),
            behind_since: Some(Instant::now()),
        };
        streams.live.insert(id, live);
        drop(streams);
        self.notify();
        id
    }

    pub(super) fn close(&self, id: StreamId) {
        self.streams().live.remove(&id);
        self.notify();
    }

    /// Notes that there is something new. A stream may have been faster, and have it already.
    pub(super) fn fall_behind(&self, newest: u64, now: Instant) {
        let mut streams = self.streams();
        for live in streams
            .live
            .values_mut()
            .filter(|live| live.progress.settled < newest)
        {
            live.behind_since.get_or_insert(now);
        }
    }

    pub(super) fn report(&self, id: StreamId, progress: Progress, newest: u64) {
        if let Some(live) = self.streams().live.get_mut(&id) {
            live.advance(progress, newest);
        }
        self.notify();
    }

    pub(super) fn count(&self) -> usize {
        self.streams().live.len()
    }

    pub(super) fn proxies(&self) -> Vec<Proxy> {
        self.streams().live.values().map(Live::to_proxy).collect()
    }

    /// The least generation of the streams that accept what they get, or `newest` if there are none.
    pub(super) fn settled(&self, newest: u64, silence: Duration) -> u64 {
        let streams = self.streams();
        let heard = streams.live.values().filter(|live| live.silent_for() < silence);
        heard
            .map(|live| live.progress.settled)
            .min()
            .unwrap_or(newest)
            .min(newest)
    }

    pub(super) fn ids(&self) -> Vec<(StreamId, String)> {
        self.streams()
            .live
            .iter()
            .map(|(id, live)| (*id, live.node_id.clone()))
            .collect()
    }

    /// How the stream has taken `generation`, which was awaited since `started`.
    pub(super) fn outcome(&self, id: StreamId, generation: u64, started: Instant) -> Outcome {
        let streams = self.streams();
        let Some(Live {
            progress: Progress { settled, nacks },
            ..
        }) = streams.live.get(&id)
        else {
            return Outcome::Disconnected;
        };
        if *settled < generation {
            return Outcome::Waiting;
        }
        let nacks: Vec<_> = nacks
            .iter()
            .filter(|nack| nack.is_of(generation))
            .cloned()
            .collect();
        if nacks.is_empty() {
            Outcome::Acked(started.elapsed())
        } else {
            Outcome::Nacked(nacks)
        }
    }

    /// Keeps what a node refused of the filter's configuration beyond the stream.
    ///
    /// Envoy accepts, without using it, what it refused the last time. It would look as if it had been mended.
    pub(super) fn remember(&self, node_id: &str, refused: BTreeMap<Arc<str>, Refusal>) {
        let mut streams = self.streams();
        if refused.is_empty() {
            streams.refused.remove(node_id);
        } else if streams.refused.len() < Self::NODES || streams.refused.contains_key(node_id) {
            streams.refused.insert(node_id.to_owned(), refused);
        }
    }

    pub(super) fn remembered(&self, node_id: &str) -> BTreeMap<Arc<str>, Refusal> {
        self.streams().refused.get(node_id).cloned().unwrap_or_default()
    }

    fn notify(&self) {
        self.progress.send_modify(|events| *events += 1);
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Live ===

impl Live {
    fn advance(&mut self, progress: Progress, newest: u64) {
        if progress.settled >= newest {
            self.behind_since = None;
        } else if progress.settled > self.progress.settled {
            self.behind_since = Some(Instant::now());
        }
        self.progress = progress;
    }

    fn silent_for(&self) -> Duration {
        self.behind_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn to_proxy(&self) -> Proxy {
        let Self {
            node_id,
            cluster,
            address,
            connected,
            progress,
            behind_since,
        } = self;
        Proxy {
            node_id: node_id.clone(),
            cluster: cluster.clone(),
            address: *address,
            connected: *connected,
            acked: progress.settled,
            nacks: progress.nacks.clone(),
            silent_for: behind_since.map(|since| since.elapsed()),
        }
    }
}

// === impl Nack ===

impl Nack {
    pub(super) fn new(kind: ResourceType, name: &Arc<str>, refusal: &Refusal) -> Self {
        let Refusal {
            version,
            reason,
            at,
            since,
            generation,
            stands: _,
            caught_up: _,
        } = refusal;
        Self {
            resource_type: kind,
            name: Arc::clone(name),
            version: *version,
            reason: Arc::clone(reason),
            at: *at,
            since: *since,
            generation: *generation,
        }
    }

    /// Whether a change of that generation is what is refused, or was sent together with it.
    pub fn is_of(&self, generation: u64) -> bool {
        (self.since..=self.generation).contains(&generation)
    }
}
