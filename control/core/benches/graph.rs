//! What a change costs among many roots: `cargo bench -p switchyard-core [roots]`.
//!
//! Builds that many roots, each delegating to an IngressRoute `blue` of its own namespace beside a warm orphan `green`,
//! then edits them one at a time.

use serde_json::{Value, json};
use std::{
    error::Error,
    net::IpAddr,
    time::{Duration, Instant},
};
use switchyard_core::{
    Change, Graph, Settings,
    ingressroute::Spec,
    object::{
        Address, Created, EndpointSlice, IngressRoute, Limits, Name, Object, Protocol, Service, ServicePort,
        SliceEndpoint, UnknownFields,
    },
};

const EDITS: usize = 2_000;

fn ingress_route(namespace: &str, name: &str, spec: Value) -> Result<Object, Box<dyn Error>> {
    let spec: Spec = serde_json::from_value(spec)?;
    Ok(Object::from(IngressRoute {
        name: Name::new(namespace, name),
        generation: 1,
        created: Created::Unknown,
        spec,
        unknown: UnknownFields::default(),
    }))
}

fn root(namespace: &str, active: &str) -> Result<Object, Box<dyn Error>> {
    let virtualhost = json!({"fqdn": format!("{namespace}.example.com")});
    let routes = json!([{"match": "/", "delegate": {"name": active}}]);
    ingress_route(
        namespace,
        "root",
        json!({"virtualhost": virtualhost, "routes": routes}),
    )
}

fn delegate(namespace: &str, name: &str, extra: usize) -> Result<Object, Box<dyn Error>> {
    let route = |match_: &str| json!({"match": match_, "services": [{"name": name, "port": 80}]});
    let mut routes = vec![route("/")];
    routes.extend((0..extra).map(|i| route(&format!("/extra/{i}"))));
    ingress_route(namespace, name, json!({"routes": routes}))
}

fn service(namespace: &str, name: &str) -> Object {
    Object::Service(Service {
        name: Name::new(namespace, name),
        ports: vec![ServicePort {
            name: "http".to_owned(),
            port: 80,
            protocol: Protocol::Http1,
        }],
        external_name: None,
        limits: Limits::default(),
    })
}

fn slice(namespace: &str, name: &str, last: u8) -> Object {
    Object::EndpointSlice(EndpointSlice {
        name: Name::new(namespace, format!("{name}-1")),
        service: name.into(),
        ports: [("http".to_owned(), 8080)].into(),
        endpoints: vec![SliceEndpoint {
            addresses: vec![Address::Ip(IpAddr::from([10, 0, 0, last]))],
            ready: true,
        }],
    })
}

fn build(roots: usize) -> Result<Graph, Box<dyn Error>> {
    let mut graph = Graph::new(Settings::default());
    for namespace in (0..roots).map(|i| format!("team-{i}")) {
        graph.apply(root(&namespace, "blue")?);
        for name in ["blue", "green"] {
            graph.apply(delegate(&namespace, name, 0)?);
            graph.apply(service(&namespace, name));
            graph.apply(slice(&namespace, name, 1));
        }
    }
    graph.commit();
    Ok(graph)
}

/// Times `apply` and `commit` of one object after another, and prints what they took.
fn edit(
    graph: &mut Graph,
    label: &str,
    object: impl Fn(usize) -> Result<Object, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::with_capacity(EDITS);
    for i in 0..EDITS {
        let object = object(i)?;
        let start = Instant::now();
        graph.apply(object);
        let change = graph.commit();
        times.push(start.elapsed());
        assert_ne!(change, Change::default());
    }
    times.sort_unstable();
    let at = |share: usize| {
        times
            .get(times.len() * share / 100)
            .copied()
            .unwrap_or(Duration::ZERO)
    };
    println!(
        "{label:<28} p50 {:>9.1?}  p99 {:>9.1?}  max {:>9.1?}",
        at(50),
        at(99),
        times.last().copied().unwrap_or_default()
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let roots = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(10_000usize);
    let start = Instant::now();
    let mut graph = build(roots)?;
    println!("{:<28} {:.0?}", format!("build {roots} roots"), start.elapsed());

    let namespace = |i: usize| format!("team-{}", i * 7919 % roots);
    let turn = |i: usize| i / roots + 1;
    edit(&mut graph, "switch blue -> green", |i| {
        root(&namespace(i), if turn(i) % 2 == 1 { "green" } else { "blue" })
    })?;
    edit(&mut graph, "a route more in a delegate", |i| {
        delegate(&namespace(i), "green", turn(i))
    })?;
    edit(&mut graph, "another endpoint", |i| {
        Ok(slice(&namespace(i), "green", u8::try_from(turn(i) % 250 + 2)?))
    })?;
    Ok(())
}
