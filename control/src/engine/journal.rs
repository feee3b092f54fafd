//! The log of what an operator asks about: what is invalid, what moved, which proxies there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use switchyard_core::{
    Change, Graph, Name, Status, Table, path,
    status::State,
    table::{Switch, SwitchKey},
};
use switchyard_k8s::status::writer::Notice;
use switchyard_xds::ads::Proxy;
use tracing::{debug, info, warn};

/// A proxy that owes an answer for so long is told of. A healthy one needs milliseconds; one that warms a cluster whose
/// endpoints do not come, 15 s.
const SILENCE: Duration = Duration::from_secs(20);

/// What was told last: only changes are told.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Of every switch, to tell a move from other changes.
    active: BTreeMap<SwitchKey, Active>,
    invalid: BTreeSet<Name>,
    /// Whether there was a commit.
    started: bool,
    /// How often a switch moved, since the start.
    switched: u64,
    /// Node and address of each proxy.
    proxies: BTreeSet<(String, String)>,
    /// Those that were told to be silent.
    silent: BTreeSet<(String, String)>,
}

/// The branch that a switch has active.
#[derive(Debug)]
struct Active {
    now: Name,
    /// Before the last move; none if none was seen.
    before: Option<Name>,
    /// The generation in which anything of the switch changed last.
    since: u64,
}

// === impl Journal ===

impl Journal {
    /// Tells what a commit has changed; with what is to be seen in the Events of which IngressRoute.
    pub(super) fn committed(
        &mut self,
        graph: &Graph,
        change: &Change,
        generation: u64,
    ) -> Vec<(Name, Notice)> {
        let mut notices = Vec::new();
        for name in &change.statuses {
            let notice = self.status(name, graph.status(name));
            notices.extend(notice.map(|notice| (name.clone(), notice)));
        }
        for key in &change.switches {
            match graph.table().switches.get(key) {
                Some(switch) => {
                    let notice = self.switch(key, switch, generation);
                    notices.extend(notice.map(|notice| (switch.owner.clone(), notice)));
                }
                None => drop(self.active.remove(key)),
            }
        }
        // What was so when control started is in the statuses.
        if !std::mem::replace(&mut self.started, true) {
            notices.clear();
        }
        notices
    }

    fn status(&mut self, name: &Name, status: Option<&Status>) -> Option<Notice> {
        let Some(status) = status else {
            self.invalid.remove(name);
            debug!(ingressroute = %name, "Gone");
            return None;
        };
        let description = status.description();
        if !status.errors.is_empty() {
            self.invalid.insert(name.clone());
            let orphaned = status.state == State::Orphaned;
            warn!(ingressroute = %name, orphaned, "Invalid: {description}");
            return Some(Notice {
                warning: true,
                reason: "Invalid",
                note: description,
            });
        }
        if self.invalid.remove(name) {
            info!(ingressroute = %name, state = %status.state, "Invalid no more");
            return Some(Notice {
                warning: false,
                reason: "Valid",
                note: description,
            });
        }
        debug!(ingressroute = %name, state = %status.state, description);
        None
    }

    fn switch(&mut self, key: &SwitchKey, switch: &Switch, generation: u64) -> Option<Notice> {
        let now = &switch.active;
        let active = self.active.entry(key.clone()).or_insert_with(|| Active {
            now: now.clone(),
            before: None,
            since: generation,
        });
        active.since = generation;
        if active.now == *now {
            return None;
        }
        let from = std::mem::replace(&mut active.now, now.clone());
        self.switched += 1;
        info!(switch = %key, %from, to = %now, generation, "Switched");
        let note = format!("{} {}: from {from} to {now}", key.host(), switch.prefix);
        active.before = Some(from);
        Some(Notice {
            warning: false,
            reason: "Switched",
            note,
        })
    }

    /// How often a switch moved from one branch to another, since the start.
    pub(super) fn switched(&self) -> u64 {
        self.switched
    }

    /// The generation that proxies are to have for a switch to be as it is.
    pub(super) fn since(&self, key: &SwitchKey) -> u64 {
        self.active
            .get(key)
            .map(|active| active.since)
            .unwrap_or_default()
    }

    /// What a switch had active before, as far as that was seen.
    pub(super) fn before(&self, key: &SwitchKey) -> Option<&Name> {
        self.active.get(key)?.before.as_ref()
    }

    /// What was active before in the switches of a delegating route, as far as that was seen.
    pub(super) fn previous(&self, table: &Table, owner: &Name, prefix: &str) -> Option<Name> {
        let prefix = path::normalise(prefix)?;
        let is_meant = |switch: &Switch| switch.owner == *owner && *switch.prefix == *prefix;
        let switches = table.switches.iter().filter(|(_, switch)| is_meant(switch));
        let mut before = switches.filter_map(|(key, _)| self.before(key).cloned());
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
        self.answering(proxies);
    }

    /// Tells which proxies have stopped to answer, and which do again.
    fn answering(&mut self, proxies: &[Proxy]) {
        let is_silent = |proxy: &&Proxy| proxy.silent_for.is_some_and(|silent| silent >= SILENCE);
        let now: BTreeSet<_> = proxies.iter().filter(is_silent).map(identity).collect();
        for (node, address) in now.difference(&self.silent) {
            warn!(
                node,
                address,
                "A proxy has not answered for {} s",
                SILENCE.as_secs()
            );
        }
        let again = self.silent.difference(&now);
        for (node, address) in again.filter(|proxy| self.proxies.contains(*proxy)) {
            info!(node, address, "A proxy answers again");
        }
        self.silent = now;
    }
}

fn identity(proxy: &Proxy) -> (String, String) {
    let address = proxy.address.map(|address| address.to_string());
    (proxy.node_id.clone(), address.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn proxy(silent: Option<u64>) -> Proxy {
        Proxy {
            node_id: "envoy".to_owned(),
            cluster: String::new(),
            address: None,
            connected: SystemTime::UNIX_EPOCH,
            acked: 0,
            nacks: Vec::new(),
            silent_for: silent.map(Duration::from_secs),
        }
    }

    #[test]
    fn a_proxy_is_silent_when_it_owes_an_answer_for_long_until_it_answers_or_leaves() {
        let mut journal = Journal::default();
        for (proxies, is_silent) in [
            (vec![proxy(None)], false),
            (vec![proxy(Some(19))], false),
            (vec![proxy(Some(20))], true),
            (vec![proxy(Some(90))], true),
            (vec![proxy(Some(0))], false),
            (vec![proxy(Some(30))], true),
            (vec![], false),
        ] {
            journal.connected(&proxies);
            assert_eq!(!journal.silent.is_empty(), is_silent, "{proxies:?}");
        }
    }
}
