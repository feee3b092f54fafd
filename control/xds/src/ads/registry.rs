//! The live streams, and the progress of each.

use super::{Nack, Outcome, Proxy, subscription::Refusal};
use crate::{resource::ResourceType, translate::PROBE};
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
    /// A counter of events of all streams, to wait for.
    progress: watch::Sender<u64>,
}

/// The ID of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamId(u64);

#[derive(Debug, Default)]
struct Streams {
    opened: u64,
    live: BTreeMap<StreamId, Live>,
    /// The filter configurations that each node rejected.
    refused: BTreeMap<String, BTreeMap<Arc<str>, Refusal>>,
}

#[derive(Debug)]
struct Live {
    node_id: String,
    cluster: String,
    address: Option<SocketAddr>,
    connected: SystemTime,
    progress: Progress,
    /// The time since which the stream is behind without progress; `None` if it is up to date.
    behind_since: Option<Instant>,
}

/// The progress of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) acked: u64,
    pub(super) nacks: Vec<Nack>,
}

// === impl Registry ===

impl Registry {
    /// The maximum number of nodes whose rejections are remembered.
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

    /// Marks the streams that have not yet acknowledged the `newest` generation as behind.
    pub(super) fn fall_behind(&self, newest: u64, now: Instant) {
        let mut streams = self.streams();
        for live in streams
            .live
            .values_mut()
            .filter(|live| live.progress.acked < newest)
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

    /// The lowest generation acknowledged by any stream that makes progress, or `newest` if there is none.
    pub(super) fn acked(&self, newest: u64, silence: Duration) -> u64 {
        let streams = self.streams();
        let heard = streams.live.values().filter(|live| live.silent_for() < silence);
        heard
            .map(|live| live.progress.acked)
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

    /// The outcome of `generation` on the stream, awaited since `started`.
    pub(super) fn outcome(&self, id: StreamId, generation: u64, started: Instant) -> Outcome {
        let streams = self.streams();
        let Some(Live {
            progress: Progress { acked, nacks },
            ..
        }) = streams.live.get(&id)
        else {
            return Outcome::Disconnected;
        };
        if *acked < generation {
            return Outcome::Waiting;
        }
        let nacks: Vec<_> = nacks
            .iter()
            .filter(|nack| nack.is_of(generation) && !nack.is_of_probe())
            .cloned()
            .collect();
        if nacks.is_empty() {
            Outcome::Acked(started.elapsed())
        } else {
            Outcome::Nacked(nacks)
        }
    }

    /// Remembers the filter configurations that a node rejected, beyond the end of the stream.
    ///
    /// Envoy accepts a configuration that it rejected the last time, without using it. The rejection would seem to be
    /// resolved.
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
        if progress.acked >= newest {
            self.behind_since = None;
        } else if progress.acked > self.progress.acked {
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
            acked: progress.acked,
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

    /// Returns true for the rejection of a probe, which is not a resource to serve.
    fn is_of_probe(&self) -> bool {
        self.resource_type == ResourceType::Route && &*self.name == PROBE
    }

    /// Returns true if a change of that generation was rejected, or sent together with the rejected one.
    pub fn is_of(&self, generation: u64) -> bool {
        (self.since..=self.generation).contains(&generation)
    }
}
