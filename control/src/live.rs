//! What is live: waiting until a switch has a branch active on every connected proxy.

use crate::engine::Question;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use switchyard_core::{Name, path, table::Switch};
use switchyard_xds::ads::{Nack, Outcome, Server, Verdict};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// Asks the engine to say when a switch has a branch active.
#[derive(Debug)]
pub struct Await {
    wanted: Wanted,
    reply: Option<oneshot::Sender<Published>>,
}

/// What the proxies are to have for a switch to be live.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    pub generation: u64,
    /// When that was published; none if it was before it was asked for.
    pub at: Option<Instant>,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Whether the routing table has the branch active. If not, nothing was waited for.
    pub accepted: bool,
    /// How many proxies have it.
    pub live: usize,
    /// Of how many that are connected.
    pub of: usize,
    /// Each of them, where control was asked.
    pub proxies: Vec<ProxyReport>,
    /// What the status says of them, where that was asked and it is not live on all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
}

/// How one proxy took it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProxyReport {
    pub node: String,
    #[serde(flatten)]
    pub state: ProxyState,
}

/// What a proxy did with an update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "state")]
pub enum ProxyState {
    /// It has acknowledged everything.
    Live {
        /// How long after control published it, in milliseconds. None if it was published before it was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_ms: Option<f64>,
    },
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
    engine: &mpsc::Sender<Question>,
    server: &Server,
    timeout: Duration,
) -> Report {
    let deadline = Instant::now() + timeout;
    let (reply, published) = oneshot::channel();
    let request = Await {
        wanted,
        reply: Some(reply),
    };
    if engine.send(Question::Live(request)).await.is_err() {
        return Report::not_accepted(server.proxies().len());
    }
    let Ok(Ok(Published { generation, at })) = tokio::time::timeout_at(deadline, published).await else {
        return Report::not_accepted(server.proxies().len());
    };
    let now = Instant::now();
    let verdicts = server
        .wait_acked(generation, deadline.saturating_duration_since(now))
        .await;
    Report::accepted(verdicts, at.map(|at| now.saturating_duration_since(at)))
}

// === impl Await ===

impl Await {
    /// Answers if one of the switches is as it is wanted; each comes with the generation since which it is as it is. Says
    /// whether the request is done with.
    pub(crate) fn answer<'t>(
        &mut self,
        switches: impl Iterator<Item = (&'t Switch, u64)>,
        at: Option<Instant>,
    ) -> bool {
        if self.reply.as_ref().is_none_or(oneshot::Sender::is_closed) {
            return true;
        }
        let met = switches.filter(|(switch, _)| self.wanted.is_met(switch));
        let Some(generation) = met.map(|(_, since)| since).max() else {
            return false;
        };
        let published = Published { generation, at };
        // If nobody waits any longer there is nobody to tell.
        self.reply.take().map(|reply| reply.send(published)).is_some()
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
            told: None,
        }
    }

    /// `lag` is for how long the proxies had had it when they began to be waited for.
    fn accepted(verdicts: Vec<Verdict>, lag: Option<Duration>) -> Self {
        let proxies: Vec<_> = verdicts
            .into_iter()
            .map(|verdict| ProxyReport::new(verdict, lag))
            .collect();
        let is_live = |proxy: &&ProxyReport| matches!(proxy.state, ProxyState::Live { .. });
        let live = proxies.iter().filter(is_live).count();
        Self {
            accepted: true,
            live,
            of: proxies.len(),
            proxies,
            told: None,
        }
    }
}

// === impl ProxyReport ===

impl ProxyReport {
    fn new(Verdict { node_id, outcome }: Verdict, lag: Option<Duration>) -> Self {
        let state = match outcome {
            Outcome::Acked(waited) => ProxyState::Live {
                after_ms: lag.map(|lag| milliseconds(lag + waited)),
            },
            Outcome::Nacked(nacks) => ProxyState::Refused {
                reasons: nacks.iter().map(reason).collect(),
            },
            Outcome::Waiting => ProxyState::Waiting,
            Outcome::Disconnected => ProxyState::Disconnected,
        };
        Self { node: node_id, state }
    }
}

/// To the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
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

#[cfg(test)]
mod tests;
