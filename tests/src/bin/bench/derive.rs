//! The cost of an edit for control: deriving the graph and Envoy's resources anew.

use anyhow::{Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;
use switchyard_core::{
    Graph, Name, Object, Settings,
    graph::Change,
    ingressroute::{Delegate, Route, Service, Spec, VirtualHost},
    object::{
        self, Created, EndpointSubset, Endpoints, IngressRoute, Limits, Protocol, ServicePort, UnknownFields,
    },
};
use switchyard_tests::report::{Figure, median, quantile};
use switchyard_xds::translate::{self, Translator};

const ROOTS: usize = 10_000;
const EDITS: usize = 200;

/// Control's state without subscribers.
struct Derivation {
    graph: Graph,
    translator: Translator,
    generation: u64,
}

pub(crate) fn measure() -> Result<Figure> {
    let mut derivation = Derivation::with_roots();
    let switches = edits(&mut derivation, |number| root(0, ["green", "blue"][number % 2]))?;
    let leaves = edits(&mut derivation, |number| {
        branch("blue", 0, ["v2", "v1"][number % 2])
    })?;
    let method = format!(
        "In this process, thread CPU time from applying the object until the resources to send are there; {EDITS} edits of each of two \
         kinds, the median of the slower kind. `delegate.name` of a root edited: median {:.3} ms, 99 % {:.3} ms; the IngressRoute that it names edited: \
         median {:.3} ms, 99 % {:.3} ms.",
        median(&switches),
        quantile(&switches, 0.99),
        median(&leaves),
        quantile(&leaves, 0.99),
    );
    let value = median(&switches).max(median(&leaves));
    Ok(Figure::new(
        "Control's CPU for one edited delegate, 10,000 roots",
        value,
        1.0,
        "ms",
        method,
    ))
}

// === impl Derivation ===

impl Derivation {
    /// A graph in which every root has two branches, and every branch its own Service and two routes.
    fn with_roots() -> Self {
        let mut graph = Graph::new(Settings::default());
        for number in 0..ROOTS {
            graph.apply(root(number, "blue"));
            for name in ["blue", "green"] {
                graph.apply(branch(name, number, "v1"));
                graph.apply(service(name, number));
                graph.apply(endpoints(name, number));
            }
        }
        let mut this = Self {
            graph,
            translator: Translator::new(translate::Settings::default()),
            generation: 1,
        };
        this.translator.start();
        this.derive();
        this
    }

    /// Commits the graph; returns the change and the number of resources in the update.
    fn derive(&mut self) -> (Change, usize) {
        let change = self.graph.commit();
        self.generation += 1;
        let update = self
            .translator
            .update(self.graph.table(), &change, self.generation);
        (change, update.set.len())
    }
}

/// Milliseconds for each edit.
fn edits(derivation: &mut Derivation, object: impl Fn(usize) -> Object) -> Result<Vec<f64>> {
    let mut costs = Vec::new();
    for number in 0..EDITS {
        let object = object(number);
        let before = thread_cpu()?;
        ensure!(derivation.graph.apply(object), "an edit that changes nothing");
        let (change, resources) = derivation.derive();
        costs.push((thread_cpu()? - before).as_secs_f64() * 1e3);
        ensure!(
            change.derived == 1 && resources > 0,
            "{change:?}, {resources} resources"
        );
    }
    Ok(costs)
}

fn thread_cpu() -> Result<Duration> {
    Ok(clock_gettime(ClockId::ThreadCPUTime).try_into()?)
}

fn name(kind: &str, number: usize) -> Name {
    Name::new("default", format!("{kind}-{number}"))
}

fn root(number: usize, branch: &str) -> Object {
    let delegate = Delegate {
        name: format!("{branch}-{number}"),
        ..Delegate::default()
    };
    Object::from(IngressRoute {
        name: name("root", number),
        generation: 0,
        created: Created::Unknown,
        spec: Spec {
            virtualhost: Some(VirtualHost {
                fqdn: format!("h{number}.bar.com"),
                ..VirtualHost::default()
            }),
            routes: vec![Route {
                match_: "/".to_owned(),
                delegate: Some(delegate),
                ..Route::default()
            }],
            tcpproxy: None,
        },
        unknown: UnknownFields::default(),
    })
}

fn branch(kind: &str, number: usize, version: &str) -> Object {
    let service = Service {
        name: format!("{kind}-{number}"),
        port: 80,
        ..Service::default()
    };
    let route = |match_: String| Route {
        match_,
        services: vec![service.clone()],
        ..Route::default()
    };
    Object::from(IngressRoute {
        name: name(kind, number),
        generation: 0,
        created: Created::Unknown,
        spec: Spec {
            routes: vec![route("/".to_owned()), route(format!("/{version}"))],
            ..Spec::default()
        },
        unknown: UnknownFields::default(),
    })
}

fn service(kind: &str, number: usize) -> Object {
    Object::Service(object::Service {
        name: name(kind, number),
        ports: vec![ServicePort {
            name: String::new(),
            port: 80,
            protocol: Protocol::Http1,
        }],
        external_name: None,
        limits: Limits::default(),
    })
}

fn endpoints(kind: &str, number: usize) -> Object {
    let subset = EndpointSubset {
        addresses: vec![[10, 0, 0, 1].into()],
        ports: [(String::new(), 8080)].into(),
    };
    Object::Endpoints(Endpoints {
        name: name(kind, number),
        subsets: vec![subset],
    })
}
