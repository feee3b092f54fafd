//! Waits until a switch has a branch active on every connected proxy.

use crate::question::{Await, Published, Question, SwitchTarget};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use switchyard_xds::ads::{Nack, Outcome, Server, Verdict};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// The state of a switch on the proxies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// True if the routing table has the branch active. If false, proxies were not waited for.
    pub accepted: bool,
    /// The number of proxies that have it.
    pub live: usize,
    /// The number of connected proxies.
    pub of: usize,
    /// The report of each proxy, if control was asked.
    pub proxies: Vec<ProxyReport>,
    /// The message of the status, if the status was read and the switch is not live on all proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
}

/// The state of the switch on one proxy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProxyReport {
    pub node: String,
    #[serde(flatten)]
    pub state: ProxyState,
}

/// The response of a proxy to an update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "state")]
pub enum ProxyState {
    /// The proxy has acknowledged everything.
    Live {
        /// The time since control published it, in milliseconds; `None` if that was before the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_ms: Option<f64>,
    },
    /// The proxy has rejected a resource.
    Refused { reasons: Vec<String> },
    /// The proxy has not answered yet.
    Waiting,
    /// The proxy disconnected before it answered.
    Disconnected,
}

/// Waits until the switch is live on every connected proxy, for as long as `timeout`.
pub async fn report(
    wanted: SwitchTarget,
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

    /// Reports the verdicts of the proxies. `lag` is the time between publication and the start of the wait.
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

/// Converts to milliseconds, rounded to a microsecond.
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
