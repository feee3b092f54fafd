//! Since when the proxies are to have what an IngressRoute comes to.

use super::journal::Journal;
use crate::status::{Judged, JudgedSwitch, Mark};
use std::collections::{BTreeMap, BTreeSet};
use switchyard_core::{
    Change, Graph, Name, ObjectId,
    object::{Kind, Object},
    table::{Switch, SwitchKey},
};

/// Where everything was when something last changed.
#[derive(Debug, Default)]
pub(super) struct Register {
    switches: BTreeMap<SwitchKey, Published>,
    /// The switches of each IngressRoute that delegates.
    of_owner: BTreeMap<Name, BTreeSet<SwitchKey>>,
    ingress_routes: BTreeMap<Name, Mark>,
    /// IngressRoutes that came since the last commit.
    applied: BTreeSet<Name>,
}

#[derive(Debug)]
struct Published {
    owner: Name,
    since: Mark,
}

// === impl Register ===

impl Register {
    /// An object came, or went.
    pub(super) fn touched(&mut self, id: &ObjectId) {
        if id.kind == Kind::IngressRoute {
            self.applied.insert(id.name.clone());
        }
    }

    /// Takes a commit in; with the IngressRoutes whose status may be another one now.
    pub(super) fn committed(
        &mut self,
        graph: &Graph,
        journal: &Journal,
        change: &Change,
        since: Mark,
    ) -> Vec<(Name, Option<Judged>)> {
        let mut touched = std::mem::take(&mut self.applied);
        touched.extend(change.statuses.iter().cloned());
        for key in &change.switches {
            touched.extend(self.switch(key, graph.table().switches.get(key).map(AsRef::as_ref), since));
        }
        for name in &touched {
            if graph.status(name).is_some() {
                self.ingress_routes.insert(name.clone(), since);
            } else {
                self.ingress_routes.remove(name);
            }
        }
        touched
            .into_iter()
            .map(|name| {
                let judged = self.judge(graph, journal, &name);
                (name, judged)
            })
            .collect()
    }

    /// With its owner, or who was.
    fn switch(&mut self, key: &SwitchKey, switch: Option<&Switch>, since: Mark) -> Option<Name> {
        let owner = match switch {
            Some(switch) => {
                let owner = switch.owner.clone();
                let published = Published {
                    owner: owner.clone(),
                    since,
                };
                self.switches.insert(key.clone(), published);
                self.of_owner
                    .entry(owner.clone())
                    .or_default()
                    .insert(key.clone());
                owner
            }
            None => {
                let Published { owner, .. } = self.switches.remove(key)?;
                if let Some(keys) = self.of_owner.get_mut(&owner) {
                    keys.remove(key);
                }
                self.of_owner.retain(|_, keys| !keys.is_empty());
                owner
            }
        };
        Some(owner)
    }

    fn judge(&self, graph: &Graph, journal: &Journal, name: &Name) -> Option<Judged> {
        let status = graph.status(name)?.clone();
        let id = ObjectId {
            kind: Kind::IngressRoute,
            name: name.clone(),
        };
        let observed = match graph.object(&id) {
            Some(Object::IngressRoute(ingress_route)) => ingress_route.generation,
            _ => 0,
        };
        let keys = self.of_owner.get(name).into_iter().flatten();
        let switches = keys.filter_map(|key| self.judge_switch(graph, journal, key));
        Some(Judged {
            status,
            observed,
            since: self.ingress_routes.get(name).copied().unwrap_or_default(),
            switches: switches.collect(),
        })
    }

    fn judge_switch(&self, graph: &Graph, journal: &Journal, key: &SwitchKey) -> Option<JudgedSwitch> {
        // The plain port of a host with TLS says the same.
        if key
            .0
            .strip_prefix("http://")
            .is_some_and(|key| graph.table().switches.contains_key(&SwitchKey(key.into())))
        {
            return None;
        }
        let switch = graph.table().switches.get(key)?;
        Some(JudgedSwitch {
            host: key.host().to_owned(),
            prefix: switch.prefix.clone(),
            active: switch.active.clone(),
            standby: switch.standby.clone(),
            previous: journal.before(key).cloned(),
            since: self.switches.get(key)?.since,
        })
    }
}
