//! What one change costs among many roots: `cargo bench -p switchyard-xds --bench translate [roots]`.

use std::{
    collections::{BTreeMap, BTreeSet},
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};
use switchyard_core::{
    graph::Change,
    object::{Limits, Name, Protocol},
    table::{
        Branch, Cluster, ClusterName, Endpoint, Host, HostRoute, Leaf, Strategy, Switch, SwitchKey, Table,
        Target, Template, Timeout, Vhost, WeightedCluster,
    },
};
use switchyard_xds::{
    resource::{Body, Update},
    sections::{Code, Sections},
    translate::{Settings, Translator},
};

const ROOTS: usize = 10_000;
const ROUNDS: usize = 200;

fn main() {
    let roots = std::env::args()
        .skip(1)
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(ROOTS);
    let mut table = Table::default();
    (0..roots).for_each(|root| add_root(&mut table, root));
    let mut translator = Translator::new(Settings::default());
    let mut generation = 1;
    let started = Instant::now();
    let update = translator.update(&table, &whole(&table), generation);
    println!("{roots} roots: whole table {:.1?}", started.elapsed());
    let mut sections = sections(&update);

    let mut edits = Samples::default();
    let mut encodings = Samples::default();
    let code = Code::File {
        path: "/etc/switchyard/switchyard.wasm".to_owned(),
    };
    for round in 0..ROUNDS {
        let change = toggle(&mut table, round * 7919 % roots);
        generation += 1;
        let update = edits.time(|| translator.update(&table, &change, generation));
        sections = self::sections(&update).or(sections);
        if let Some(sections) = &sections {
            black_box(encodings.time(|| sections.encode(&code)));
        }
    }
    edits.print("toggle: update");
    encodings.print("toggle: encode");
    if let Some(sections) = &sections {
        println!("configuration of {} bytes", sections.encode(&code).len());
    }

    let mut routes = Samples::default();
    let mut endpoints = Samples::default();
    for round in 0..ROUNDS / 10 {
        let change = retime(&mut table, round * 7919 % roots);
        generation += 1;
        routes.time(|| translator.update(&table, &change, generation));
        let change = scale(&mut table, round * 7919 % roots);
        generation += 1;
        endpoints.time(|| translator.update(&table, &change, generation));
    }
    routes.print("route of a host: update");
    endpoints.print("endpoint: update");
}

#[derive(Default)]
struct Samples(Vec<Duration>);

impl Samples {
    fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        self.0.push(started.elapsed());
        result
    }

    fn print(&mut self, name: &str) {
        self.0.sort_unstable();
        let at = |percent: usize| {
            self.0
                .get(self.0.len() * percent / 100)
                .copied()
                .unwrap_or_default()
        };
        println!("{name}: p50 {:.1?}, p99 {:.1?}", at(50), at(99));
    }
}

fn sections(update: &Update) -> Option<Arc<Sections>> {
    update
        .set
        .iter()
        .find_map(|(_, _, resource)| match &resource.body {
            Body::Sections(sections) => Some(sections.clone()),
            Body::Encoded(_) => None,
        })
}

/// Blue becomes green.
fn toggle(table: &mut Table, root: usize) -> Change {
    let key = key(root);
    if let Some(switch) = table.switches.get_mut(&key) {
        let switch = Arc::make_mut(switch);
        if let Some(standby) = switch.standby.first_mut() {
            std::mem::swap(&mut switch.active, standby);
        }
    }
    Change {
        switches: BTreeSet::from([key]),
        ..Change::default()
    }
}

fn retime(table: &mut Table, root: usize) -> Change {
    let fqdn = fqdn(root);
    if let Some(host) = table.hosts.get_mut(&fqdn) {
        let seconds = u64::try_from(root).unwrap_or_default() % 60 + 1;
        let template = Template {
            timeout: Some(Timeout::After(Duration::from_secs(seconds))),
            ..Template::default()
        };
        Arc::make_mut(host).http.templates.insert(template);
    }
    Change {
        hosts: BTreeSet::from([fqdn]),
        ..Change::default()
    }
}

fn scale(table: &mut Table, root: usize) -> Change {
    let name = cluster_name(root, "blue");
    if let Some(endpoints) = table.endpoints.get_mut(&name) {
        Arc::make_mut(endpoints).push(endpoint(9));
    }
    Change {
        endpoints: BTreeSet::from([name]),
        ..Change::default()
    }
}

fn whole(table: &Table) -> Change {
    Change {
        hosts: table.hosts.keys().cloned().collect(),
        switches: table.switches.keys().cloned().collect(),
        clusters: table.clusters.keys().cloned().collect(),
        endpoints: table.endpoints.keys().cloned().collect(),
        ..Change::default()
    }
}

/// A root that delegates `/` to blue, with green beside it; each has three routes to a Service of three endpoints.
fn add_root(table: &mut Table, root: usize) {
    for colour in ["blue", "green"] {
        let name = cluster_name(root, colour);
        table
            .clusters
            .insert(name.clone(), Arc::new(cluster(root, colour)));
        table
            .endpoints
            .insert(name, Arc::new((1..4).map(endpoint).collect()));
    }
    table.switches.insert(key(root), Arc::new(switch(root)));
    let vhost = Vhost {
        routes: BTreeMap::from([("/".into(), HostRoute::Switch(key(root)))]),
        templates: BTreeSet::from([Template::default()]),
        mirrors: 0,
    };
    let host = Host {
        fqdn: fqdn(root),
        root: name(root, "root"),
        http: vhost,
        tls: None,
    };
    table.hosts.insert(host.fqdn.clone(), Arc::new(host));
}

fn switch(root: usize) -> Switch {
    let branches = ["blue", "green"].map(|colour| (name(root, colour), branch(root, colour)));
    Switch {
        root: name(root, "root"),
        owner: name(root, "root"),
        prefix: "/".into(),
        mount: "/".into(),
        active: name(root, "blue"),
        standby: vec![name(root, "green")],
        preview: None,
        canary: None,
        sticky: None,
        policies: vec![],
        branches: branches.into(),
    }
}

fn branch(root: usize, colour: &str) -> Branch {
    let leaf = Leaf {
        template: Template::default(),
        clusters: vec![WeightedCluster {
            cluster: cluster_name(root, colour),
            weight: 1,
        }],
        rewrite: None,
        policy: None,
    };
    Branch {
        routes: ["/", "/api", "/static"]
            .map(|prefix| (prefix.into(), Target::Leaf(leaf.clone())))
            .into(),
    }
}

fn cluster(root: usize, colour: &str) -> Cluster {
    Cluster {
        name: cluster_name(root, colour),
        service: name(root, colour),
        port: 80,
        server_name: None,
        protocol: Protocol::Http1,
        strategy: Strategy::RoundRobin,
        health_check: None,
        validation: None,
        limits: Limits::default(),
    }
}

fn endpoint(last: u8) -> Endpoint {
    Endpoint {
        address: [10, 0, 0, last].into(),
        port: 8080,
    }
}

fn fqdn(root: usize) -> Arc<str> {
    format!("app-{root}.example.com").into()
}

fn key(root: usize) -> SwitchKey {
    SwitchKey(format!("{}/", fqdn(root)).into())
}

fn name(root: usize, name: &str) -> Name {
    Name {
        namespace: format!("team-{root}").into(),
        name: name.into(),
    }
}

fn cluster_name(root: usize, colour: &str) -> ClusterName {
    ClusterName(format!("team-{root}/{colour}/80/da39a3ee5e").into())
}
