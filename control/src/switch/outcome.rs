//! The outcome of a switch, for people and for programs.

use super::route::DelegatingRoute;
use crate::live::{ProxyReport, ProxyState, Report};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use switchyard_core::ingressroute::{Activation, CanaryEdit, Delegate};

/// The edit of a switch, and its result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    /// The IngressRoute with the delegating route, `namespace/name`.
    owner: String,
    /// The `match` of the delegating route.
    #[serde(rename = "match")]
    prefix: String,
    /// The previously active branch.
    from: String,
    /// The branch that should be active.
    to: String,
    /// The edited file; `None` on an API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// False if the branch was active already.
    pub(super) edited: bool,
    /// The canary that the switch ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    canary_ended: Option<CanaryEnded>,
    /// Other changes of the preview and the canary, for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// The time since the start of the command, in milliseconds.
    pub(super) took_ms: u64,
    /// The report of the proxies; `None` if they were not waited for.
    pub(super) live: Option<Report>,
}

/// A canary as it was before its percent became 0.
#[derive(Debug, Serialize)]
struct CanaryEnded {
    branch: String,
    percent: i64,
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn before(spot: &DelegatingRoute, activation: &Activation, undo: bool) -> Self {
        let Activation {
            branch,
            standby: _,
            preview: _,
            canary,
        } = activation;
        let (file, line) = spot.file().unzip();
        let canary_ended = match canary {
            Some(CanaryEdit::End { percent }) => Some(CanaryEnded {
                branch: branch.clone(),
                percent: *percent,
            }),
            Some(CanaryEdit::Name(_)) | None => None,
        };
        let active = &spot.delegate().name;
        Self {
            owner: spot.owner().to_string(),
            prefix: spot.prefix().to_owned(),
            from: active.clone(),
            to: branch.clone(),
            file: file.map(Path::to_owned),
            line,
            edited: active != branch,
            canary_ended,
            notes: notes(spot.delegate(), activation, undo),
            took_ms: 0,
            live: None,
        }
    }

    /// The place of the delegate.
    fn place(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{}:{line}", file.display()),
            _ => format!("{} {}", self.owner, self.prefix),
        }
    }

    /// The error if control cannot be asked for the state of the proxies.
    pub(super) fn unasked(&self, control: &str) -> String {
        let done = if self.edited {
            format!("{} was edited", self.place())
        } else {
            self.already()
        };
        format!(
            "{done}, but cannot ask {control} whether it is live: \
             is `switchyard serve` running with this --admin-address?"
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
        let done = match (edited, live) {
            (true, Some(live)) => format!("{live} in {took_ms} ms"),
            (true, None) => format!("{}: {from} -> {to}", self.place()),
            (false, Some(live)) => format!("{}; {live}", self.already()),
            (false, None) => self.already(),
        };
        let lines: Vec<_> = [done].into_iter().chain(self.notes.iter().cloned()).collect();
        lines.join("\n")
    }

    fn already(&self) -> String {
        format!("{} is already active ({})", self.to, self.place())
    }

    /// The reasons why the switch is not live; empty if the proxies were not waited for.
    pub(super) fn faults(&self, timeout: Duration) -> Vec<String> {
        match &self.live {
            None => Vec::new(),
            Some(Report { accepted: false, .. }) => vec![format!(
                "control did not apply the switch within {timeout:?}: see its log, or run `switchyard check`"
            )],
            Some(Report { proxies, told, .. }) => {
                let of_proxies = proxies.iter().filter_map(|proxy| fault(proxy, timeout));
                of_proxies.chain(told.clone()).collect()
            }
        }
    }
}

/// The changes of the preview and the canary.
fn notes(delegate: &Delegate, activation: &Activation, undo: bool) -> Vec<String> {
    let Activation {
        branch,
        standby: _,
        preview,
        canary,
    } = activation;
    if *branch == delegate.name {
        return Vec::new();
    }
    let preview = preview.as_ref();
    let preview = preview.map(|name| format!("the preview stays on {name}: preview.branch is now set to it"));
    let stays_ended = || {
        let percent = delegate.canary.as_ref()?.percent;
        (undo && percent == 0).then(|| "the canary is not restarted: canary.percent is 0".to_owned())
    };
    let canary = match canary {
        Some(CanaryEdit::End { percent }) => Some(format!(
            "the canary of {percent} % to {branch} has ended: canary.percent is now 0"
        )),
        Some(CanaryEdit::Name(name)) => Some(format!(
            "the canary stays on {name}: canary.branch is now set to it"
        )),
        None => stays_ended(),
    };
    preview.into_iter().chain(canary).collect()
}

fn fault(ProxyReport { node, state }: &ProxyReport, timeout: Duration) -> Option<String> {
    match state {
        ProxyState::Live { .. } => None,
        ProxyState::Waiting => Some(format!("{node}: no answer within {timeout:?}")),
        ProxyState::Disconnected => Some(format!("{node}: disconnected")),
        ProxyState::Refused { reasons } => Some(format!("{node}: rejected: {}", reasons.join("; "))),
    }
}
