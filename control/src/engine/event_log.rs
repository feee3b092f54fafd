//! The log for operators: invalid IngressRoutes, switches, and proxies that come and go.

mod switches;

use self::switches::{Move, Switches};
use std::{collections::BTreeSet, time::Duration};
use switchyard_core::{
    Change, Graph, Name, ObjectId, Status,
    object::{Kind, Object},
    path,
    status::State,
    table::SwitchKey,
};
use switchyard_k8s::status::request::Notice;
use switchyard_xds::ads::Proxy;
use tracing::{debug, info, warn};

/// The time without an ACK or NACK after which a proxy is logged as silent. A healthy proxy needs milliseconds, and 15
/// s if it warms a cluster whose endpoints do not come.
const SILENCE: Duration = Duration::from_secs(20);

/// The state that was logged last, since only changes are logged.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    /// The active branches, to distinguish moves from other changes.
    switches: Switches,
    invalid: BTreeSet<Name>,
    /// True after the first commit.
    started: bool,
    /// The number of moves of a delegating route from one branch to another, since the start.
    switched: u64,
    /// Node and address of each proxy.
    proxies: BTreeSet<(String, String)>,
    /// The proxies that were logged as silent.
    silent: BTreeSet<(String, String)>,
}

// === impl EventLog ===

impl EventLog {
    /// Logs the changes of a commit. Returns the Events, each with its IngressRoute.
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
        for (moved, hosts) in self.switches.committed(graph, change, generation) {
            notices.push(self.moved(graph, moved, hosts, generation));
        }
        // The state at the start of control is in the statuses.
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
                by: None,
            });
        }
        if self.invalid.remove(name) {
            info!(ingressroute = %name, state = %status.state, "Valid again");
            return Some(Notice {
                warning: false,
                reason: "Valid",
                note: description,
                by: None,
            });
        }
        if !status.warnings.is_empty() {
            warn!(ingressroute = %name, "{description}");
        }
        debug!(ingressroute = %name, state = %status.state, description);
        None
    }

    /// Logs a move, and returns one Event for the delegating route, however many hosts lead to it.
    fn moved(
        &mut self,
        graph: &Graph,
        moved: Move,
        hosts: BTreeSet<String>,
        generation: u64,
    ) -> (Name, Notice) {
        let Move {
            owner,
            prefix,
            from,
            to,
        } = moved;
        self.switched += 1;
        let hosts = hosts.into_iter().collect::<Vec<_>>().join(", ");
        info!(ingressroute = %owner, hosts, route = %prefix, %from, %to, generation, "Switched");
        let id = ObjectId {
            kind: Kind::IngressRoute,
            name: owner.clone(),
        };
        let by = match graph.object(&id) {
            Some(Object::IngressRoute(ingress_route)) => Some(ingress_route.generation),
            _ => None,
        };
        let notice = Notice {
            warning: false,
            reason: "Switched",
            note: format!("{hosts} {prefix}: from {from} to {to}"),
            by,
        };
        (owner, notice)
    }

    /// The number of moves of a delegating route from one branch to another, since the start.
    pub(super) fn switched(&self) -> u64 {
        self.switched
    }

    /// The generation since which a switch is in its current state.
    pub(super) fn since(&self, key: &SwitchKey) -> u64 {
        self.switches.since(key)
    }

    /// The previously active branch of a switch, if its move was seen.
    pub(super) fn before(&self, key: &SwitchKey) -> Option<&Name> {
        self.switches.before(key)
    }

    /// The branch before the one that a delegating route names, if it was seen.
    pub(super) fn previous(&self, graph: &Graph, owner: &Name, prefix: &str) -> Option<Name> {
        self.switches
            .previous(graph, owner, &path::normalise(prefix).ok()?)
    }

    /// Logs the proxies that have connected and disconnected.
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

    /// Logs the proxies that have stopped answering, and those that answer again.
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
    use serde_json::{Value, json};
    use std::time::SystemTime;
    use switchyard_core::object::{Created, IngressRoute, UnknownFields};

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

    /// An IngressRoute in `default`.
    fn route(name: &str, generation: i64, spec: Value) -> Object {
        Object::from(IngressRoute {
            name: Name::new("default", name),
            generation,
            created: Created::Unknown,
            spec: serde_json::from_value(spec).unwrap(),
            unknown: UnknownFields::default(),
        })
    }

    struct Told {
        graph: Graph,
        event_log: EventLog,
    }

    impl Told {
        /// Two hosts that delegate to `team`, which delegates `/a` and `/b`; and branches.
        fn start() -> Self {
            let mut told = Self {
                graph: Graph::default(),
                event_log: EventLog::default(),
            };
            for (name, fqdn) in [("one", "one.com"), ("two", "two.com")] {
                let delegate = json!({"match": "/", "delegate": {"name": "team"}});
                let spec = json!({"virtualhost": {"fqdn": fqdn}, "routes": [delegate]});
                told.graph.apply(route(name, 1, spec));
            }
            for name in ["blue", "green"] {
                let leaf = |match_| json!({"match": match_, "services": [{"name": name, "port": 80}]});
                told.graph
                    .apply(route(name, 1, json!({"routes": [leaf("/a"), leaf("/b")]})));
            }
            assert_eq!(
                told.team(1, &json!({"name": "blue"}), &json!({"name": "blue"})),
                [""; 0]
            );
            told
        }

        /// Sets the delegates of `team`, and returns the Events about switches.
        fn team(&mut self, generation: i64, a: &Value, b: &Value) -> Vec<String> {
            let routes = json!([{"match": "/a", "delegate": a}, {"match": "/b", "delegate": b}]);
            self.graph
                .apply(route("team", generation, json!({"routes": routes})));
            let change = self.graph.commit();
            let notices = self.event_log.committed(&self.graph, &change, 1);
            let switched = notices
                .into_iter()
                .filter(|(_, notice)| notice.reason == "Switched");
            switched
                .map(|(name, notice)| {
                    assert_eq!((&*name.name, notice.by), ("team", Some(generation)));
                    notice.note
                })
                .collect()
        }
    }

    #[test]
    fn each_switch_is_logged_once_and_other_edits_are_not() {
        let told = &mut Told::start();
        let (blue, green) = (json!({"name": "blue"}), json!({"name": "green"}));
        let to_green = "one.com, two.com /a: from default/blue to default/green";
        let to_blue = "one.com, two.com /a: from default/green to default/blue";
        assert_eq!(told.team(2, &green, &blue), [to_green]);
        assert_eq!(told.team(3, &blue, &blue), [to_blue]);
        let both = [
            to_green,
            "one.com, two.com /b: from default/blue to default/green",
        ];
        assert_eq!(told.team(4, &green, &green), both);
        assert_eq!(told.event_log.switched(), 4);
        for (generation, edit) in [
            json!({"name": "green", "standby": ["blue", "green"]}),
            json!({"name": "green", "standby": ["green", "blue"]}),
            json!({"name": "green", "standby": ["green", "blue"], "canary": {"percent": 5, "branch": "blue"}}),
            json!({"name": "green", "standby": ["green", "blue"], "canary": {"percent": 0, "branch": "blue"}}),
        ]
        .into_iter()
        .enumerate()
        {
            let generation = i64::try_from(generation).unwrap() + 5;
            assert_eq!(told.team(generation, &edit, &green), [""; 0], "{edit}");
        }
        assert_eq!(told.event_log.switched(), 4);
    }

    #[test]
    fn missing_branch_is_not_a_switch_but_its_successor_is() {
        let told = &mut Told::start();
        let blue = json!({"name": "blue"});
        let team = Name::new("default", "team");
        assert_eq!(told.team(2, &json!({"name": "gone"}), &blue), [""; 0]);
        let previous = told.event_log.previous(&told.graph, &team, "/a");
        assert_eq!(previous, Some(Name::new("default", "blue")));
        let switched = told.team(3, &json!({"name": "green"}), &blue);
        assert_eq!(
            switched,
            ["one.com, two.com /a: from default/blue to default/green"]
        );
        // A route that is removed and comes back is a new one.
        told.team(4, &json!({"name": "gone"}), &blue);
        told.graph.apply(route("team", 5, json!({"routes": []})));
        let change = told.graph.commit();
        told.event_log.committed(&told.graph, &change, 1);
        assert_eq!(told.team(6, &blue, &blue), [""; 0]);
    }

    #[test]
    fn proxy_is_silent_until_it_answers_or_disconnects() {
        let mut event_log = EventLog::default();
        for (proxies, is_silent) in [
            (vec![proxy(None)], false),
            (vec![proxy(Some(19))], false),
            (vec![proxy(Some(20))], true),
            (vec![proxy(Some(90))], true),
            (vec![proxy(Some(0))], false),
            (vec![proxy(Some(30))], true),
            (vec![], false),
        ] {
            event_log.connected(&proxies);
            assert_eq!(!event_log.silent.is_empty(), is_silent, "{proxies:?}");
        }
    }
}
