//! Questions to the engine.

use crate::tree::GraphSnapshot;
use std::collections::BTreeSet;
use switchyard_core::{Blocker, HostSnapshot, Name, path, table::Switch};
use tokio::{sync::oneshot, time::Instant};

/// A question of the admin interface.
#[derive(Debug)]
pub enum Question {
    /// Waits until a switch has a branch active.
    Live(Await),
    /// The reasons why a branch would not serve if it were active; `None` if no such route delegates.
    DryRun {
        wanted: SwitchTarget,
        reply: oneshot::Sender<Option<BTreeSet<Blocker>>>,
    },
    /// The previously active branch of a delegating route.
    Previous {
        owner: Name,
        prefix: String,
        reply: oneshot::Sender<Option<Name>>,
    },
    /// A liveness check, which is answered while the engine runs.
    Alive(oneshot::Sender<()>),
    /// A copy of the graph, formatted elsewhere so that the engine is not held up.
    GraphSnapshot(oneshot::Sender<GraphSnapshot>),
    /// A copy of everything about a host, for the same reason.
    HostSnapshot {
        host: String,
        reply: oneshot::Sender<HostSnapshot>,
    },
    /// The root that serves a host.
    Root {
        host: String,
        reply: oneshot::Sender<Option<Name>>,
    },
}

/// A request to the engine for a reply once a switch has a branch active.
#[derive(Debug)]
pub struct Await {
    pub(crate) wanted: SwitchTarget,
    pub(crate) reply: Option<oneshot::Sender<Published>>,
}

/// The generation that proxies must have for a switch to be live.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    pub generation: u64,
    /// The time of its publication; `None` if that was before the request.
    pub at: Option<Instant>,
}

/// A switch, and the branch that it should have active.
#[derive(Clone, Debug)]
pub struct SwitchTarget {
    /// The IngressRoute with the delegating route.
    pub owner: Name,
    /// The `match` of the delegating route.
    pub prefix: String,
    pub branch: Name,
}

// === impl Await ===

impl Await {
    /// Replies if one of the switches has the wanted branch active; each comes with the generation since which it is in
    /// its current state. Returns true if the request is done.
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
        // A dropped receiver is not an error.
        self.reply.take().map(|reply| reply.send(published)).is_some()
    }
}

// === impl SwitchTarget ===

impl SwitchTarget {
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
        *owner == self.owner && wanted.as_deref() == Ok(prefix) && *active == self.branch
    }
}
