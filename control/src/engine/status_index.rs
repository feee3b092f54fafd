//! The generation and version since which each IngressRoute and switch is in its current state.

use super::event_log::EventLog;
use crate::{
    refused::{self, Errors},
    status::{Judged, JudgedSwitch, Mark},
};
use std::collections::{BTreeMap, BTreeSet};
use switchyard_core::{
    Change, Graph, Name, ObjectId,
    object::{Kind, Object},
    table::{Switch, SwitchKey},
};

/// The generation and version of the last change of each switch and IngressRoute.
#[derive(Debug, Default)]
pub(super) struct StatusIndex {
    switches: BTreeMap<SwitchKey, Published>,
    /// The switches of each delegating IngressRoute.
    of_owner: BTreeMap<Name, BTreeSet<SwitchKey>>,
    ingress_routes: BTreeMap<Name, Mark>,
    /// IngressRoutes that were applied or deleted since the last commit.
    applied: BTreeSet<Name>,
    /// Errors that the translator found, after the graph.
    refused: Errors,
}

#[derive(Debug)]
struct Published {
    owner: Name,
    since: Mark,
}

// === impl StatusIndex ===

impl StatusIndex {
    /// Records an applied or deleted object.
    pub(super) fn touched(&mut self, id: &ObjectId) {
        if id.kind == Kind::IngressRoute {
            self.applied.insert(id.name.clone());
        }
    }

    /// Sets the errors of resources that are not sent because Envoy would reject them.
    pub(super) fn refused(&mut self, refused: Errors) {
        let names = self.refused.keys().chain(refused.keys());
        let differing = names.filter(|name| self.refused.get(*name) != refused.get(*name));
        self.applied.extend(differing.cloned().collect::<Vec<_>>());
        self.refused = refused;
    }

    /// Applies a commit, and returns the IngressRoutes whose status may have changed.
    pub(super) fn committed(
        &mut self,
        graph: &Graph,
        event_log: &EventLog,
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
                let judged = self.judge(graph, event_log, &name);
                (name, judged)
            })
            .collect()
    }

    /// Records a switch. Returns the IngressRoutes whose status contains it: its owner, and its previous one.
    fn switch(&mut self, key: &SwitchKey, switch: Option<&Switch>, since: Mark) -> BTreeSet<Name> {
        let mut owners = BTreeSet::new();
        let published = switch.map(|switch| Published {
            owner: switch.owner.clone(),
            since,
        });
        if let Some(Published { owner, since: _ }) = self.switches.remove(key) {
            self.disown(&owner, key);
            owners.insert(owner);
        }
        if let Some(published) = published {
            let owner = published.owner.clone();
            self.of_owner
                .entry(owner.clone())
                .or_default()
                .insert(key.clone());
            self.switches.insert(key.clone(), published);
            owners.insert(owner);
        }
        owners
    }

    fn disown(&mut self, owner: &Name, key: &SwitchKey) {
        let Some(keys) = self.of_owner.get_mut(owner) else {
            return;
        };
        keys.remove(key);
        if keys.is_empty() {
            self.of_owner.remove(owner);
        }
    }

    fn judge(&self, graph: &Graph, event_log: &EventLog, name: &Name) -> Option<Judged> {
        let mut status = graph.status(name)?.clone();
        if let Some(errors) = self.refused.get(name) {
            refused::add(&mut status, errors);
        }
        let id = ObjectId {
            kind: Kind::IngressRoute,
            name: name.clone(),
        };
        let observed = match graph.object(&id) {
            Some(Object::IngressRoute(ingress_route)) => ingress_route.generation,
            _ => 0,
        };
        let keys = self.of_owner.get(name).into_iter().flatten();
        let switches = keys.filter_map(|key| self.judge_switch(graph, event_log, key));
        Some(Judged {
            status,
            observed,
            since: self.ingress_routes.get(name).copied().unwrap_or_default(),
            switches: switches.collect(),
        })
    }

    fn judge_switch(&self, graph: &Graph, event_log: &EventLog, key: &SwitchKey) -> Option<JudgedSwitch> {
        // The HTTP port of a host with TLS has the same switch.
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
            previous: event_log.before(key).cloned(),
            since: self.switches.get(key)?.since,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use switchyard_core::object::{Created, IngressRoute, UnknownFields};

    fn ingress_route(name: &str, created: i64, spec: serde_json::Value) -> Object {
        Object::from(IngressRoute {
            name: Name::new("default", name),
            generation: 1,
            created: Created::At(created),
            spec: serde_json::from_value(spec).unwrap(),
            unknown: UnknownFields::default(),
        })
    }

    /// A root of `a.com`.
    fn root(name: &str, created: i64) -> Object {
        let routes = json!([{"match": "/", "delegate": {"name": "blue"}}]);
        ingress_route(
            name,
            created,
            json!({"virtualhost": {"fqdn": "a.com"}, "routes": routes}),
        )
    }

    #[test]
    fn switch_moved_to_another_root_leaves_the_first() {
        let mut graph = Graph::default();
        let mut status_index = StatusIndex::default();
        let mut commit = |change: &dyn Fn(&mut Graph) -> ObjectId| {
            let id = change(&mut graph);
            status_index.touched(&id);
            let change = graph.commit();
            let judged = status_index.committed(&graph, &EventLog::default(), &change, Mark::default());
            let owners = judged
                .into_iter()
                .filter(|(_, judged)| judged.as_ref().is_some_and(|judged| !judged.switches.is_empty()));
            owners.map(|(name, _)| name.name.to_string()).collect::<Vec<_>>()
        };
        let apply = |object: Object| {
            move |graph: &mut Graph| {
                let id = object.id();
                graph.apply(object.clone());
                id
            }
        };
        let first = ObjectId {
            kind: Kind::IngressRoute,
            name: Name::new("default", "first"),
        };
        let blue = json!({"routes": [{"match": "/", "services": [{"name": "blue", "port": 80}]}]});
        commit(&apply(ingress_route("blue", 0, blue)));
        assert_eq!(commit(&apply(root("first", 1))), ["first"]);
        assert_eq!(commit(&apply(root("second", 2))), [""; 0]);
        let delete = |graph: &mut Graph| {
            graph.delete(&first);
            first.clone()
        };
        assert_eq!(commit(&delete), ["second"]);
        assert_eq!(
            commit(&apply(root("first", 3))),
            [""; 0],
            "it has none of its own any more"
        );
        assert_eq!(status_index.of_owner.len(), 1);
    }
}
