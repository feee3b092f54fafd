//! What a switch came to, for people and for programs.

use super::Spot;
use crate::live::{ProxyReport, ProxyState, Report};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What was done, and what came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    /// The IngressRoute that the delegating route stands in, `namespace/name`.
    owner: String,
    /// Its `match`.
    #[serde(rename = "match")]
    prefix: String,
    /// The branch that was active before.
    from: String,
    /// The branch that is to be active.
    to: String,
    /// None: it stands on an API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// False where the branch was active already.
    pub(super) edited: bool,
    /// From the start of the command.
    pub(super) took_ms: u64,
    /// What control says. None where it was not to be asked.
    pub(super) live: Option<Report>,
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn before(spot: &Spot, branch: &str) -> Self {
        let (file, line) = spot.file().unzip();
        Self {
            owner: spot.owner().to_string(),
            prefix: spot.prefix().to_owned(),
            from: spot.active().to_owned(),
            to: branch.to_owned(),
            file: file.map(Path::to_owned),
            line,
            edited: spot.active() != branch,
            took_ms: 0,
            live: None,
        }
    }

    /// Where the delegate stands.
    fn place(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{}:{line}", file.display()),
            _ => format!("{} {}", self.owner, self.prefix),
        }
    }

    /// Why nothing is known of what is live.
    pub(super) fn unasked(&self, control: &str) -> String {
        let done = if self.edited {
            format!("{} is edited", self.place())
        } else {
            self.already()
        };
        format!(
            "{done}, but {control} cannot be asked whether that is live: \
             is `switchyard serve` running, and is that its --admin-address?"
        )
    }

    pub(super) fn to_text(&self) -> String {
        let Self {
            from,
            to,
            edited,
            took_ms,
            live,
            ..
        } = self;
        let live = live.as_ref().filter(|report| report.accepted);
        let live = live.map(|Report { live, of, .. }| format!("live on {live}/{of} proxies"));
        match (edited, live) {
            (true, Some(live)) => format!("{live} in {took_ms} ms"),
            (true, None) => format!("{}: {from} -> {to}", self.place()),
            (false, Some(live)) => format!("{}; {live}", self.already()),
            (false, None) => self.already(),
        }
    }

    fn already(&self) -> String {
        format!("{} is active already ({})", self.to, self.place())
    }

    /// What keeps the switch from being live; nothing where nobody asked.
    pub(super) fn faults(&self, timeout: Duration) -> Vec<String> {
        match &self.live {
            None => Vec::new(),
            Some(Report { accepted: false, .. }) => vec![format!(
                "control has not taken the switch in {timeout:?}: its log says why (`switchyard check` does, too)"
            )],
            Some(Report { proxies, told, .. }) => {
                let of_proxies = proxies.iter().filter_map(|proxy| fault(proxy, timeout));
                of_proxies.chain(told.clone()).collect()
            }
        }
    }
}

fn fault(ProxyReport { node, state }: &ProxyReport, timeout: Duration) -> Option<String> {
    match state {
        ProxyState::Live { .. } => None,
        ProxyState::Waiting => Some(format!("{node}: no answer in {timeout:?}")),
        ProxyState::Disconnected => Some(format!("{node}: disconnected")),
        ProxyState::Refused { reasons } => Some(format!("{node}: refused: {}", reasons.join("; "))),
    }
}
