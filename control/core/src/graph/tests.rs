//! What the graph makes of manifests.

// Cases read best with `json!` in their place.
#![allow(clippy::needless_pass_by_value)]

mod claims;
mod derive;
mod dry_run;
mod endpoints;
mod guards;
mod host_snapshot;
mod incremental;
mod limits;
mod names;
mod oracle;
mod policies;
mod properties;
mod services;
mod status;
mod switches;
mod tls;
mod tree;
mod unknown;
mod world;

use super::{Change, Graph, Settings};
use crate::{
    ingressroute::Spec,
    object::{
        Address, CertificateDelegation, Created, EndpointSlice, EndpointSubset, Endpoints, IngressRoute,
        Kind, Limits, Name, Object, ObjectId, PemFault, Protocol, Secret, Service, ServicePort,
        SliceEndpoint, TlsCertificateDelegation,
    },
    table::{Cluster, Host, Leaf, Switch, SwitchKey, Target, WeightedCluster},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

fn name(text: &str) -> Name {
    let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
    Name::new(namespace, name)
}

fn id(kind: Kind, text: &str) -> ObjectId {
    ObjectId {
        kind,
        name: name(text),
    }
}

/// `spec` is as in a manifest.
fn ingress_route(text: &str, spec: Value) -> Object {
    let spec: Spec = serde_json::from_value(spec).unwrap();
    Object::from(IngressRoute {
        name: name(text),
        generation: 1,
        created: Created::Unknown,
        spec,
        unknown: crate::object::UnknownFields::default(),
    })
}

/// A root without TLS.
fn root(text: &str, fqdn: &str, routes: Value) -> Object {
    ingress_route(text, json!({"virtualhost": {"fqdn": fqdn}, "routes": routes}))
}

/// A root with TLS from the Secret `cert`.
fn tls_root(text: &str, fqdn: &str, routes: Value) -> Object {
    let virtualhost = json!({"fqdn": fqdn, "tls": {"secretName": "cert"}});
    ingress_route(text, json!({"virtualhost": virtualhost, "routes": routes}))
}

fn delegate(text: &str, routes: Value) -> Object {
    ingress_route(text, json!({"routes": routes}))
}

/// A route to the Service `home`, port 8080.
fn leaf(match_: &str) -> Value {
    json!({"match": match_, "services": [{"name": "home", "port": 8080}]})
}

/// A route to the delegate `to`.
fn to(match_: &str, to: &str) -> Value {
    let Name { namespace, name } = name(to);
    json!({"match": match_, "delegate": {"name": &*name, "namespace": &*namespace}})
}

/// A Service with the port 8080, named `http`.
fn service(text: &str) -> Object {
    Object::Service(service_with(text, Protocol::Http1))
}

fn service_with(text: &str, protocol: Protocol) -> Service {
    Service {
        name: name(text),
        ports: vec![ServicePort {
            name: "http".to_owned(),
            port: 8080,
            protocol,
        }],
        external_name: None,
        limits: Limits::default(),
    }
}

fn slice(text: &str, service: &str, addresses: &[&str]) -> Object {
    let address = |text: &&str| match text.parse() {
        Ok(ip) => Address::Ip(ip),
        Err(_) => Address::Fqdn((*text).to_owned()),
    };
    let endpoint = |text| SliceEndpoint {
        addresses: vec![address(text)],
        ready: true,
    };
    Object::EndpointSlice(EndpointSlice {
        name: name(text),
        service: service.into(),
        ports: BTreeMap::from([("http".to_owned(), 80)]),
        endpoints: addresses.iter().map(endpoint).collect(),
    })
}

fn endpoints(text: &str, addresses: &[&str]) -> Object {
    Object::Endpoints(Endpoints {
        name: name(text),
        subsets: vec![EndpointSubset {
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            ports: BTreeMap::from([("http".to_owned(), 80)]),
        }],
    })
}

fn secret(text: &str, type_: &str, data: &[(&str, &str)]) -> Object {
    let data = data
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
    Object::Secret(Secret {
        name: name(text),
        type_: type_.to_owned(),
        data: data.collect(),
        faults: BTreeSet::new(),
    })
}

/// One whose certificates and keys are not as they should be.
fn faulty(secret: Object, fault: PemFault) -> Object {
    match secret {
        Object::Secret(secret) => Object::Secret(Secret {
            faults: [fault].into(),
            ..secret
        }),
        other => panic!("no Secret: {other:?}"),
    }
}

fn tls_secret(text: &str) -> Object {
    secret(
        text,
        "kubernetes.io/tls",
        &[("tls.crt", "chain"), ("tls.key", "key")],
    )
}

fn ca_secret(text: &str) -> Object {
    secret(text, "Opaque", &[("ca.crt", "ca")])
}

fn certificate_delegation(text: &str, secret: &str, namespaces: &[&str]) -> Object {
    Object::TlsCertificateDelegation(TlsCertificateDelegation {
        name: name(text),
        delegations: vec![CertificateDelegation {
            secret_name: secret.to_owned(),
            target_namespaces: namespaces.iter().map(|n| (*n).to_owned()).collect(),
        }],
    })
}

/// A graph of these objects, committed.
fn graph(objects: impl IntoIterator<Item = Object>) -> Graph {
    let settings = Settings {
        allow_external_names: true,
        ..Settings::default()
    };
    graph_with(settings, objects)
}

fn graph_with(settings: Settings, objects: impl IntoIterator<Item = Object>) -> Graph {
    let mut graph = Graph::new(settings);
    apply(&mut graph, objects);
    graph
}

/// Applies and commits.
fn apply(graph: &mut Graph, objects: impl IntoIterator<Item = Object>) -> Change {
    for object in objects {
        graph.apply(object);
    }
    graph.commit()
}

fn host<'a>(graph: &'a Graph, fqdn: &str) -> &'a Host {
    graph.table().hosts.get(fqdn).unwrap()
}

fn switch<'a>(graph: &'a Graph, key: &str) -> &'a Switch {
    let switch = graph.table().switches.get(&SwitchKey(key.into()));
    switch.unwrap_or_else(|| panic!("no switch {key:?}: {:?}", graph.table().switches.keys()))
}

/// What the branch `branch` of a switch does with a prefix.
fn target<'a>(graph: &'a Graph, key: &str, branch: &str, prefix: &str) -> Option<&'a Target> {
    switch(graph, key)
        .branches
        .get(&name(branch))
        .unwrap()
        .routes
        .get(prefix)
}

fn leaf_of(target: Option<&Target>) -> &Leaf {
    match target {
        Some(Target::Leaf(leaf)) => leaf,
        other => panic!("no leaf: {other:?}"),
    }
}

/// The clusters' Services and shares.
fn shares(clusters: &[WeightedCluster]) -> Vec<(String, u32)> {
    let share = |WeightedCluster { cluster, weight }: &WeightedCluster| {
        let service = cluster.0.split('/').nth(1).unwrap();
        (service.to_owned(), *weight)
    };
    clusters.iter().map(share).collect()
}

/// The one cluster of a Service.
fn cluster_of<'a>(graph: &'a Graph, service: &str) -> &'a Arc<Cluster> {
    let mut clusters = graph
        .table()
        .clusters
        .values()
        .filter(|cluster| cluster.service == name(service));
    let cluster = clusters.next().unwrap();
    assert!(clusters.next().is_none(), "{service} has several clusters");
    cluster
}
