//! The log of what an operator asks about: what is invalid, what moved, which proxies there are.

use std::collections::{BTreeMap, BTreeSet};
use switchyard_core::{
    Change, Graph, Name, Status, Table, path,
    status::State,
    table::{Switch, SwitchKey},
};
use switchyard_xds::ads::Proxy;
use tracing::{debug, info, warn};

/// What was told last: only changes are told.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Of every switch, to tell a move from other changes.
    active: BTreeMap<SwitchKey, Active>,
    invalid: BTreeSet<Name>,
    /// Node and address of each proxy.
    proxies: BTreeSet<(String, String)>,
}

/// The branch that a switch has active.
#[derive(Debug)]
struct Active {
    now: Name,
    /// Before the last move; none if none was seen.
    before: Option<Name>,
}

// === impl Journal ===

impl Journal {
    /// Tells what a commit has changed.
    pub(super) fn committed(&mut self, graph: &Graph, change: &Change, generation: u64) {
        for name in &change.statuses {
            self.status(name, graph.status(name));
        }
        for key in &change.switches {
            match graph.table().switches.get(key) {
                Some(switch) => self.switch(key, switch, generation),
                None => drop(self.active.remove(key)),
            }
        }
    }

    fn status(&mut self, name: &Name, status: Option<&Status>) {
        let Some(status) = status else {
            self.invalid.remove(name);
            return debug!(ingressroute = %name, "Gone");
        };
        let description = status.description();
        if status.errors.is_empty() {
            if self.invalid.remove(name) {
                info!(ingressroute = %name, state = %status.state, "Invalid no more");
            } else {
                debug!(ingressroute = %name, state = %status.state, description);
            }
        } else {
            self.invalid.insert(name.clone());
            let orphaned = status.state == State::Orphaned;
            warn!(ingressroute = %name, orphaned, "Invalid: {description}");
        }
    }

    fn switch(&mut self, key: &SwitchKey, switch: &Switch, generation: u64) {
        let now = &switch.active;
        let active = self.active.entry(key.clone()).or_insert_with(|| Active {
            now: now.clone(),
            before: None,
        });
        if active.now != *now {
            let from = std::mem::replace(&mut active.now, now.clone());
            info!(switch = %key, %from, to = %now, generation, "Switched");
            active.before = Some(from);
        }
    }

    /// What was active before in the switches of a delegating route, as far as that was seen.
    pub(super) fn previous(&self, table: &Table, owner: &Name, prefix: &str) -> Option<Name> {
        let prefix = path::normalise(prefix)?;
        let is_meant = |switch: &Switch| switch.owner == *owner && *switch.prefix == *prefix;
        let switches = table.switches.iter().filter(|(_, switch)| is_meant(switch));
        let mut before = switches.filter_map(|(key, _)| self.active.get(key)?.before.clone());
        before.next()
    }

    /// Tells which proxies have come and gone.
    pub(super) fn connected(&mut self, proxies: &[Proxy]) {
        let now: BTreeSet<_> = proxies.iter().map(identity).collect();
        for (node, address) in now.difference(&self.proxies) {
            info!(node, address, "A proxy connected");
        }
        for (node, address) in self.proxies.difference(&now) {
            warn!(node, address, "A proxy disconnected");
        }
        self.proxies = now;
    }
}

fn identity(proxy: &Proxy) -> (String, String) {
    let address = proxy.address.map(|address| address.to_string());
    (proxy.node_id.clone(), address.unwrap_or_default())
}
