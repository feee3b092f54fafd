//! A table, what became of it, and what the proxies hold.

mod buckets;
mod containment;
mod lifetime;
mod mirrors;
mod policies;
mod refused;
mod routing;
mod snapshot;
mod tls;
mod version;

use super::{Buckets, Settings, Shard, Translator};
use crate::resource::{Body, Resource, ResourceType, Update};
use prost::Message;
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use switchyard_core::{
    graph::Change,
    object::{Limits, Name, Protocol},
    table::{
        Branch, Certificate, Cluster, ClusterName, EdgeTls, Endpoint, Host, HostRoute, HostTls, Leaf, Policy,
        PolicyKey, Sample, ServiceRoute, Strategy, Switch, SwitchKey, Table, Target, Template, TlsVersion,
        Vhost, WeightedCluster,
    },
};

/// A translator, its table, and what a proxy holds that took every update.
struct World {
    translator: Translator,
    table: Table,
    generation: u64,
    held: BTreeMap<(ResourceType, Arc<str>), Resource>,
}

/// The names in an update.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    set: Vec<(ResourceType, String)>,
    removed: Vec<(ResourceType, String)>,
}

// === impl World ===

impl World {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let mut translator = Translator::new(settings);
        let start = translator.start();
        let mut world = Self {
            translator,
            table: Table::default(),
            generation: 0,
            held: BTreeMap::new(),
        };
        world.take(start);
        world
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Table)) -> Names {
        let before = self.table.clone();
        edit(&mut self.table);
        let change = difference(&before, &self.table);
        self.generation += 1;
        let update = self.translator.update(&self.table, &change, self.generation);
        self.take(update)
    }

    fn prune(&mut self, acked: u64) -> Names {
        let update = self.translator.prune(&self.table, acked);
        self.take(update)
    }

    fn take(&mut self, Update { set, removed }: Update) -> Names {
        let mut names = Names::default();
        for (kind, name, resource) in set {
            names.set.push((kind, name.to_string()));
            self.held.insert((kind, name), resource);
        }
        for (kind, name) in removed {
            names.removed.push((kind, name.to_string()));
            self.held
                .remove(&(kind, name))
                .expect("what is removed was there");
        }
        names
    }

    fn versions(&self) -> BTreeMap<(ResourceType, Arc<str>), u64> {
        self.held
            .iter()
            .map(|(key, resource)| (key.clone(), resource.version))
            .collect()
    }

    fn resource(&self, kind: ResourceType, name: &str) -> &Resource {
        self.held
            .get(&(kind, name.into()))
            .expect("the resource is there")
    }

    fn has(&self, kind: ResourceType, name: &str) -> bool {
        self.held.contains_key(&(kind, name.into()))
    }

    fn message<M: Message + Default>(&self, kind: ResourceType, name: &str) -> M {
        match &self.resource(kind, name).body {
            Body::Encoded(bytes) => M::decode(bytes.clone()).expect("a message"),
            Body::Sections(_) => panic!("sections are no message"),
        }
    }

    fn switches(&self) -> Vec<String> {
        self.sections("switches").into_keys().collect()
    }

    /// The sections of a kind, in people's JSON, of all filters.
    fn sections(&self, kind: &str) -> BTreeMap<String, Value> {
        Shard::all()
            .flat_map(|shard| self.sections_of(shard, kind))
            .collect()
    }

    fn sections_of(&self, shard: Shard, kind: &str) -> Map<String, Value> {
        let Body::Sections(sections) = &self.resource(ResourceType::Extension, &shard.to_string()).body
        else {
            panic!("not sections");
        };
        let json = sections.to_json().expect("sections are JSON");
        json[kind].as_object().cloned().unwrap_or_default()
    }
}

fn difference(before: &Table, after: &Table) -> Change {
    Change {
        hosts: differing(&before.hosts, &after.hosts),
        switches: differing(&before.switches, &after.switches),
        clusters: differing(&before.clusters, &after.clusters),
        endpoints: differing(&before.endpoints, &after.endpoints),
        certificates: differing(&before.certificates, &after.certificates),
        policies: differing(&before.policies, &after.policies),
        ..Change::default()
    }
}

fn differing<K: Ord + Clone, V: PartialEq>(before: &BTreeMap<K, V>, after: &BTreeMap<K, V>) -> BTreeSet<K> {
    let keys = before.keys().chain(after.keys());
    keys.filter(|key| before.get(key) != after.get(key))
        .cloned()
        .collect()
}

// === Tables ===

fn add_cluster(table: &mut Table, service: &str) {
    let cluster = cluster(service);
    let endpoint = Endpoint {
        address: [10, 0, 0, 1].into(),
        port: 8080,
    };
    table
        .endpoints
        .insert(cluster.name.clone(), Arc::new(vec![endpoint]));
    table.clusters.insert(cluster.name.clone(), Arc::new(cluster));
}

fn add_host(table: &mut Table, host: Host) {
    table.hosts.insert(host.fqdn.clone(), Arc::new(host));
}

/// `a.example.com`, whose `/` is blue or green.
fn add_switch(table: &mut Table) {
    let key = SwitchKey("a.example.com/".into());
    table
        .switches
        .insert(key.clone(), Arc::new(switch("blue", "green")));
    let vhost = Vhost {
        templates: BTreeSet::from([Template::default()]),
        ..vhost([("/", HostRoute::Switch(key))])
    };
    add_host(table, host("a.example.com", vhost, None));
}

fn name(name: &str) -> Name {
    Name {
        namespace: "default".into(),
        name: name.into(),
    }
}

fn cluster_name(service: &str) -> ClusterName {
    ClusterName(format!("default/{service}/80/da39a3ee5e").into())
}

fn cluster(service: &str) -> Cluster {
    Cluster {
        name: cluster_name(service),
        service: name(service),
        port: 80,
        server_name: None,
        protocol: Protocol::Http1,
        strategy: Strategy::RoundRobin,
        health_check: None,
        validation: None,
        limits: Limits::default(),
    }
}

fn host(fqdn: &str, http: Vhost, tls: Option<HostTls>) -> Host {
    Host {
        fqdn: fqdn.into(),
        root: name("root"),
        http,
        tls,
    }
}

fn vhost<const N: usize>(routes: [(&str, HostRoute); N]) -> Vhost {
    Vhost {
        routes: routes
            .into_iter()
            .map(|(prefix, route)| (prefix.into(), route))
            .collect(),
        templates: BTreeSet::new(),
        mirrors: 0,
    }
}

fn share(service: &str, weight: u32) -> WeightedCluster {
    WeightedCluster {
        cluster: cluster_name(service),
        weight,
    }
}

fn plain(service: &str) -> HostRoute {
    HostRoute::Plain(Box::new(ServiceRoute {
        template: Template::default(),
        clusters: vec![share(service, 1)],
        rewrite: None,
        policies: vec![],
        sample: Sample::ALL,
    }))
}

/// Of one level of `a.example.com`.
fn policy_key(level: &str) -> PolicyKey {
    PolicyKey(format!("a.example.com default/{level}").into())
}

fn add_policy(table: &mut Table, level: &str, policy: Policy) {
    let policy = Policy {
        source: format!("default/{level}"),
        ..policy
    };
    table.policies.insert(policy_key(level), Arc::new(policy));
}

/// One whose requests meet policies.
fn guarded(service: &str, levels: &[&str]) -> HostRoute {
    HostRoute::Plain(Box::new(ServiceRoute {
        template: Template::default(),
        clusters: vec![share(service, 1)],
        rewrite: None,
        policies: levels.iter().map(|level| policy_key(level)).collect(),
        sample: Sample::ALL,
    }))
}

fn terminate(certificate: &str, minimum: TlsVersion, vhost: Vhost) -> HostTls {
    HostTls::Terminate {
        tls: edge_tls(certificate, minimum),
        vhost,
    }
}

fn edge_tls(certificate: &str, minimum: TlsVersion) -> EdgeTls {
    EdgeTls {
        certificate: name(certificate),
        minimum,
    }
}

fn certificate(chain: &str) -> Arc<Certificate> {
    Arc::new(Certificate {
        chain: chain.into(),
        key: "the private key".into(),
    })
}

fn switch(active: &str, standby: &str) -> Switch {
    Switch {
        root: name("root"),
        owner: name("root"),
        prefix: "/".into(),
        mount: "/".into(),
        active: name(active),
        standby: vec![name(standby)],
        preview: None,
        canary: None,
        sticky: None,
        policies: vec![],
        branches: [active, standby]
            .map(|service| (name(service), branch(service)))
            .into(),
    }
}

fn branch(service: &str) -> Branch {
    let leaf = Leaf {
        template: Template::default(),
        clusters: vec![share(service, 1)],
        rewrite: None,
        policy: None,
    };
    Branch {
        routes: BTreeMap::from([("/".into(), Target::Leaf(leaf))]),
    }
}
