//! What is explained of manifests.

// Cases read best with `json!` in their place.
#![allow(clippy::needless_pass_by_value)]

mod choices;
mod outcomes;
mod policies;

use super::*;
use crate::translate;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::LazyLock};
use switchyard_core::{
    Graph, Object,
    graph::Settings,
    object::{
        Address, Created, EndpointSlice, FetchedKeys, IngressRoute, Jwks, Limits, Protocol, Secret, Service,
        ServicePort, SliceEndpoint, UnknownFields,
    },
};

/// Every field stands in line 1 of a file that is named as its IngressRoute, and lines are as long as fields are.
struct Here;

impl Surroundings for Here {
    fn now(&self) -> Duration {
        Duration::from_secs(1_800_000_000)
    }

    fn verifies(&self, _: Algorithm, _: &[u8], _: &[u8], _: &[u8]) -> bool {
        false
    }

    fn proxies(&self) -> &translate::Settings {
        static PROXIES: LazyLock<translate::Settings> = LazyLock::new(translate::Settings::default);
        &PROXIES
    }

    fn find(&self, ingress_route: &Name, field: &str) -> Option<(String, usize)> {
        Some((format!("{}.yaml", ingress_route.name), field.len()))
    }
}

/// A graph of some IngressRoutes. There are Services `web` and `api`, and `idle`, which has no endpoint; and a Secret.
fn graph(ingress_routes: &[(&str, Value)]) -> Graph {
    let mut graph = Graph::new(Settings::default());
    for service in ["web", "api", "idle"] {
        graph.apply(Object::Service(Service {
            name: name(service),
            ports: vec![ServicePort {
                name: String::new(),
                port: 80,
                protocol: Protocol::Http1,
            }],
            external_name: None,
            limits: Limits::default(),
        }));
    }
    for service in ["web", "api"] {
        graph.apply(Object::EndpointSlice(EndpointSlice {
            name: name(&format!("{service}-0")),
            service: service.into(),
            ports: BTreeMap::from([(String::new(), 8080)]),
            endpoints: vec![SliceEndpoint {
                addresses: vec![Address::Ip([10, 0, 0, 1].into())],
                ready: true,
            }],
        }));
    }
    graph.apply(Object::Secret(Secret {
        name: name("clients"),
        data: BTreeMap::from([("alice".into(), b"0123456789abcdef0123456789abcdef".to_vec())]),
        type_: String::new(),
        faults: Default::default(),
    }));
    for (text, spec) in ingress_routes {
        graph.apply(Object::from(IngressRoute {
            name: name(text),
            generation: 1,
            created: Created::Unknown,
            spec: serde_json::from_value(spec.clone()).unwrap(),
            unknown: UnknownFields::default(),
        }));
    }
    graph.commit();
    graph
}

fn name(name: &str) -> Name {
    Name::new("default", name)
}

fn told(graph: &Graph, request: Request) -> Explanation {
    explain(&graph.host_snapshot(&request.host()), &request, &Here)
}

fn ask(graph: &Graph, url: &str) -> Explanation {
    told(graph, Request::get(url).unwrap())
}

fn with(url: &str, headers: &[&str]) -> Request {
    let request = Request::get(url).unwrap();
    headers
        .iter()
        .fold(request, |request, line| request.header(line).unwrap())
}

/// A root of `bar.com`.
fn root(routes: Value) -> Value {
    json!({"virtualhost": {"fqdn": "bar.com"}, "routes": routes})
}

fn services(service: &str) -> Value {
    json!([{"name": service, "port": 80}])
}

/// The outcome in one line.
fn line(explanation: &Explanation) -> String {
    match &explanation.outcome {
        Outcome::Forward {
            upstreams,
            path,
            headers: _,
        } => {
            let upstreams: Vec<_> = upstreams
                .iter()
                .map(|upstream| upstream.service.clone())
                .collect();
            format!("{} {path}", upstreams.join(" or "))
        }
        Outcome::Respond { status, why, faults } => {
            let faults: Vec<_> = faults
                .iter()
                .map(|fault| format!(" [{}]", fault.place.field))
                .collect();
            format!("{status} {why}{}", faults.join(""))
        }
        Outcome::Refuse {
            status,
            why,
            level,
            part,
            ..
        } => format!("{status} {level} {part}: {why}"),
        Outcome::Preflight { status } => format!("{status} preflight"),
        Outcome::Redirect { status, location } => format!("{status} {location}"),
        Outcome::Proxy { upstreams, decrypts } => format!("bytes to {}, {decrypts}", upstreams.len()),
        Outcome::Close { why, .. } => format!("closed: {why}"),
    }
}

/// The chain in one line.
fn chain(explanation: &Explanation) -> String {
    let link = |link: &Link| {
        let chosen = link.chosen.as_ref().map(|chosen| format!("{:?} ", chosen.by));
        let route = link.route.as_ref().map(|route| format!("{} ", route.prefix));
        format!(
            "{}{} {}",
            chosen.unwrap_or_default(),
            link.ingress_route,
            route.unwrap_or_default()
        )
    };
    let links: Vec<_> = explanation
        .chain
        .iter()
        .map(|each| link(each).trim().to_owned())
        .collect();
    links.join(" > ")
}
