//! What is live: waiting until a switch has a branch active on every connected proxy.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use switchyard_core::{Name, path, table::Switch};
use switchyard_xds::ads::{Nack, Outcome, Server, Verdict};
use tokio::sync::{mpsc, oneshot};

/// Asks the engine to say when a switch has a branch active.
#[derive(Debug)]
pub struct Await {
    wanted: Wanted,
    reply: Option<oneshot::Sender<u64>>,
}

/// Which switch, and which branch it is to have.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The IngressRoute that the delegating route stands in.
    pub owner: Name,
    /// The `match` of the delegating route.
    pub prefix: String,
    pub branch: Name,
}

/// How a switch has come to the proxies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether the routing table has the branch active. If not, nothing was waited for.
    pub accepted: bool,
    /// How many proxies have it.
    pub live: usize,
    /// Of how many that are connected.
    pub of: usize,
    pub proxies: Vec<ProxyReport>,
}

/// How one proxy took it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyReport {
    pub node: String,
    #[serde(flatten)]
    pub state: ProxyState,
}

/// What a proxy did with an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum ProxyState {
    /// It has acknowledged everything.
    Live,
    /// It has refused something.
    Refused { reasons: Vec<String> },
    /// It has not answered yet.
    Waiting,
    /// It left before it answered.
    Disconnected,
}

/// Waits until the switch is on every proxy that is connected, or for as long as `timeout`.
pub async fn report(
    wanted: Wanted,
    engine: &mpsc::Sender<Await>,
    server: &Server,
    timeout: Duration,
) -> Report {
    let deadline = tokio::time::Instant::now() + timeout;
    let (reply, published) = oneshot::channel();
    let request = Await {
        wanted,
        reply: Some(reply),
    };
    if engine.send(request).await.is_err() {
        return Report::not_accepted(server.proxies().len());
    }
    let Ok(Ok(generation)) = tokio::time::timeout_at(deadline, published).await else {
        return Report::not_accepted(server.proxies().len());
    };
    let left = deadline.saturating_duration_since(tokio::time::Instant::now());
    Report::accepted(server.wait_acked(generation, left).await)
}

// === impl Await ===

impl Await {
    /// Answers if one of the switches is as it is wanted. Says whether the request is done with.
    pub(crate) fn answer<'t>(
        &mut self,
        mut switches: impl Iterator<Item = &'t Switch>,
        generation: u64,
    ) -> bool {
        let abandoned = self.reply.as_ref().is_none_or(oneshot::Sender::is_closed);
        if abandoned || !switches.any(|switch| self.wanted.is_met(switch)) {
            return abandoned;
        }
        // If nobody waits any longer there is nobody to tell.
        self.reply.take().map(|reply| reply.send(generation)).is_some()
    }
}

// === impl Wanted ===

impl Wanted {
    fn is_met(
        &self,
        Switch {
            owner,
            prefix,
            active,
            ..
        }: &Switch,
    ) -> bool {
        let wanted = path::normalise(&self.prefix);
        *owner == self.owner && wanted.as_deref() == Some(prefix) && *active == self.branch
    }
}

// === impl Report ===

impl Report {
    fn not_accepted(of: usize) -> Self {
        Self {
            accepted: false,
            live: 0,
            of,
            proxies: Vec::new(),
        }
    }

    fn accepted(verdicts: Vec<Verdict>) -> Self {
        let proxies: Vec<_> = verdicts.into_iter().map(ProxyReport::from).collect();
        let live = proxies
            .iter()
            .filter(|proxy| proxy.state == ProxyState::Live)
            .count();
        Self {
            accepted: true,
            live,
            of: proxies.len(),
            proxies,
        }
    }
}

// === impl ProxyReport ===

impl From<Verdict> for ProxyReport {
    fn from(Verdict { node_id, outcome }: Verdict) -> Self {
        let state = match outcome {
            Outcome::Acked(_) => ProxyState::Live,
            Outcome::Nacked(nacks) => ProxyState::Refused {
                reasons: nacks.iter().map(reason).collect(),
            },
            Outcome::Waiting => ProxyState::Waiting,
            Outcome::Disconnected => ProxyState::Disconnected,
        };
        Self { node: node_id, state }
    }
}

fn reason(
    Nack {
        resource_type,
        name,
        reason,
        ..
    }: &Nack,
) -> String {
    format!("{resource_type:?} {name}: {reason}")
}
