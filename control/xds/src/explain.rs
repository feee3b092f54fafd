//! What becomes of a request, and why: told without a proxy.
//!
//! ```text
//! Request --> Proxy: a model of Envoy, of the resources that the translator makes
//!               |  \-> the filter: its own decisions (switchyard-policy), by its own sections
//!               v
//!            Outcome <-- where it stands: HostSnapshot of the graph
//! ```
//!
//! Nothing is decided here. What Envoy is sent is the translator's; what the filter does is what the filter does, from the
//! same bytes; only how Envoy finds a route is told anew, by [`proxy`].

mod answer;
mod changes;
mod levels;
mod passage;
mod proxy;
mod request;
mod surroundings;
mod words;

pub use answer::{
    Asked, Changed, Choice, Chosen, Explanation, Fault, Link, Mirror, Outcome, Part, Place, Route, Says,
    Setting, Upstream,
};
pub use request::{Canaries, Request, Scheme, Unclear};

use crate::translate::Settings;
use passage::Passage;
use proxy::{Arrival, Connection, Headers, Manager, Proxy, Way};
use std::{net::IpAddr, time::Duration};
use switchyard_core::{
    HostSnapshot, Name,
    table::{ClusterName, Host, HostRoute, HostTls, Vhost, WeightedCluster},
};
use switchyard_policy::config::policy::Algorithm;

const NO_UPGRADE: &str = "the route lets no connection become another";

/// What is not in the graph.
pub trait Surroundings {
    /// The time since 1970.
    fn now(&self) -> Duration;

    /// Whether `signature` is of `text`, as [`switchyard_policy::host::Host::verifies`].
    fn verifies(&self, algorithm: Algorithm, spki: &[u8], text: &[u8], signature: &[u8]) -> bool;

    /// The settings of the proxies.
    fn proxies(&self) -> &Settings;

    /// The file and the line in which a field of an IngressRoute stands, where it stands in a file.
    fn find(&self, ingress_route: &Name, field: &str) -> Option<(String, usize)>;
}

/// A request that is being explained.
#[derive(Clone, Copy)]
struct Case<'a> {
    host_snapshot: &'a HostSnapshot,
    request: &'a Request,
    around: &'a dyn Surroundings,
    host: Option<&'a Host>,
    /// The address of the client, as the proxy trusts it.
    client_ip: IpAddr,
    /// The table that its routes are in. None: it is no HTTP to the proxy.
    table: Option<&'a str>,
}

/// Explains a request. The host_snapshot is of [`Request::host`].
#[must_use]
pub fn explain(host_snapshot: &HostSnapshot, request: &Request, around: &dyn Surroundings) -> Explanation {
    let host = request.host();
    let case = Case {
        host_snapshot,
        request,
        around,
        host: host_snapshot.table.hosts.get(host.as_str()).map(AsRef::as_ref),
        client_ip: request.client_ip,
        table: None,
    };
    let proxy = Proxy::of(host_snapshot, around.proxies());
    let connection = match request.scheme {
        Scheme::Http => proxy.plain(),
        Scheme::Https => proxy.secure(&host),
    };
    match connection {
        Connection::Http(manager) => case.http(&proxy, &manager),
        Connection::Tcp => case.tcp(),
        Connection::Closed(why) => case.closed(why),
    }
}

const CLIMBS: &str = "the path climbs for upstreams that take parameters off segments";

// === impl Case ===

impl<'a> Case<'a> {
    fn http<'m>(self, proxy: &Proxy, manager: &'m Manager<'_>) -> Explanation
    where
        'm: 'a,
    {
        let headers = self.request.to_headers();
        let case = Self {
            client_ip: manager.client(&headers, self.request.client_ip),
            table: Some(manager.table()),
            ..self
        };
        let headers = match manager.arrive(headers, self.request.client_ip) {
            Arrival::Plain(headers) => headers,
            Arrival::Redirect(location) => {
                return case.answered(Outcome::Redirect {
                    status: 307,
                    location,
                });
            }
            Arrival::Refused(status, why) => return case.answered(respond(status, why)),
        };
        let route = manager.route(&headers);
        let Some(route) = route else {
            return case.answered(respond(404, "no route takes the path"));
        };
        if proxy::is_upgrade(&headers) && !route.upgrades(&headers) {
            return case.at_host(&route, &headers, respond(403, NO_UPGRADE));
        }
        if let Some(sections) = proxy.filter(&route) {
            return Passage::new(case, (manager, route), headers).explain(sections);
        }
        case.unfiltered(&route, &headers)
    }

    /// On a route that Envoy serves alone.
    fn unfiltered(self, route: &proxy::Selected, headers: &Headers) -> Explanation {
        if route.is_of_climbs() {
            return self.at_host(route, headers, respond(400, CLIMBS));
        }
        let prefix = route.prefix();
        let mut explanation = self.at_host(route, headers, respond(404, self.no_route()));
        let Some((host, host_route)) = self.host_route(prefix) else {
            return explanation;
        };
        explanation.outcome = match (host_route, route.way(headers, None)) {
            (_, Some(Way::Redirect { status, location })) => Outcome::Redirect { status, location },
            (HostRoute::Plain(plain), Some(Way::Forward { clusters, path })) => {
                explanation.timeout = Some(self.timeout_of(host, (&host.root, prefix), &plain.template));
                explanation.retry = self.retry_of(host, (&host.root, prefix), &plain.template);
                self.forward(self.upstreams(clusters), path, Changed::default())
            }
            (_, Some(Way::Respond(status))) => {
                let faults = self.faults_of_route(host, prefix);
                let why = "the route is in error".to_owned();
                Outcome::Respond { status, why, faults }
            }
            (_, way) => respond(503, format!("no such way: {way:?}")),
        };
        explanation
    }

    /// What comes no further than to the route of the host.
    fn at_host(self, route: &proxy::Selected, headers: &Headers, outcome: Outcome) -> Explanation {
        let mut explanation = self.answered(outcome);
        headers.path().clone_into(&mut explanation.request.path);
        if let Some(host) = self.host {
            let mut root = self.root(host);
            let found = self.host_route(route.prefix());
            root.route = found.map(|_| self.route(&host.root, route.prefix()));
            explanation.chain.push(root);
        }
        explanation
    }

    fn tcp(self) -> Explanation {
        let mut explanation = self.answered(close("nothing is served to connections like this"));
        let Some(host) = self.host else {
            return explanation;
        };
        explanation.chain = self
            .host_snapshot
            .tcp
            .iter()
            .map(|name| self.link(name))
            .collect();
        let (proxy, decrypts) = match &host.tls {
            Some(HostTls::TerminateTcp { tls: _, proxy }) => (proxy, true),
            Some(HostTls::Passthrough { proxy }) => (proxy, false),
            Some(HostTls::Terminate { .. }) | None => return explanation,
        };
        let upstreams = self.upstreams(weights(&proxy.clusters));
        explanation.outcome = if has_none(&upstreams) {
            let at = self.host_snapshot.tcp.iter();
            let faults = at
                .flat_map(|name| self.faults_of(name, "spec.tcpproxy"))
                .collect();
            let why = "the tcpproxy leads to nothing that is ready".to_owned();
            Outcome::Close { why, faults }
        } else {
            Outcome::Proxy { upstreams, decrypts }
        };
        explanation
    }

    fn closed(self, why: &str) -> Explanation {
        let mut explanation = self.answered(close(why));
        explanation.chain.extend(self.host.map(|host| self.root(host)));
        let faults = match self.host {
            Some(host) => self.faults_of(&host.root, "spec.virtualhost"),
            None => Vec::new(),
        };
        explanation.outcome = Outcome::Close {
            why: why.to_owned(),
            faults,
        };
        explanation
    }

    /// One of which no more is known yet than how it is answered.
    fn answered(self, outcome: Outcome) -> Explanation {
        let Request {
            scheme,
            authority,
            target,
            method,
            ..
        } = self.request;
        Explanation {
            request: Asked {
                method: method.clone(),
                scheme: scheme.to_string(),
                authority: authority.clone(),
                path: target.split('?').next().unwrap_or_default().to_owned(),
                client_ip: self.client_ip.to_string(),
                route_configuration: self.table.map(|table| {
                    let Settings { buckets, .. } = *self.around.proxies();
                    buckets.name(table, buckets.of(&self.request.host()))
                }),
            },
            chain: Vec::new(),
            policies: Vec::new(),
            timeout: None,
            retry: None,
            mirrors: Vec::new(),
            assumed: Vec::new(),
            answer: Changed::default(),
            outcome,
        }
    }

    fn no_route(self) -> String {
        match self.host {
            None => "no root serves the host".to_owned(),
            Some(host) => format!("no route of {} takes the path", host.root),
        }
    }

    // === Where it stands ===

    /// What the host does on the port that was asked.
    fn vhost(self) -> Option<(&'a Host, &'a Vhost)> {
        let host = self.host?;
        let vhost = match (self.request.scheme, &host.tls) {
            (Scheme::Https, Some(HostTls::Terminate { tls: _, vhost })) => vhost,
            _ => &host.http,
        };
        Some((host, vhost))
    }

    fn host_route(self, prefix: &str) -> Option<(&'a Host, &'a HostRoute)> {
        let (host, vhost) = self.vhost()?;
        Some((host, vhost.routes.get(prefix)?))
    }

    fn place(self, name: &Name, field: &str) -> Place {
        let found = self.around.find(name, field);
        let (file, line) = found.map_or((None, None), |(file, line)| (Some(file), Some(line)));
        Place {
            ingress_route: name.to_string(),
            field: field.to_owned(),
            file,
            line,
        }
    }

    /// Of a level, or of a field of it.
    fn level_place(self, owner: &Name, prefix: Option<&str>, field: &str) -> Place {
        let level = self.host_snapshot.field(owner, prefix).unwrap_or_default();
        let dot = if level.is_empty() || field.is_empty() {
            ""
        } else {
            "."
        };
        self.place(owner, &format!("{level}{dot}{field}"))
    }

    fn link(self, name: &Name) -> Link {
        Link {
            ingress_route: name.to_string(),
            place: self.place(name, ""),
            chosen: None,
            route: None,
        }
    }

    fn root(self, host: &Host) -> Link {
        self.link(&host.root)
    }

    fn route(self, owner: &Name, prefix: &str) -> Route {
        Route {
            prefix: prefix.to_owned(),
            place: self.level_place(owner, Some(prefix), ""),
            rewrite: self
                .host_snapshot
                .rewrite(owner, prefix)
                .map(|rewrite| rewrite.to_string()),
            delegates: self.host_snapshot.delegates(owner, prefix),
        }
    }

    /// What is wrong with a field of an IngressRoute.
    fn faults_of(self, name: &Name, field: &str) -> Vec<Fault> {
        let errors = self.host_snapshot.errors(name, field);
        errors
            .map(|error| Fault {
                place: self.place(name, &error.field),
                message: error.message.clone(),
            })
            .collect()
    }

    /// Why a root's route answers 503: for the whole host is in error, or for it is.
    fn faults_of_route(self, host: &Host, prefix: &str) -> Vec<Fault> {
        let of_host = self.faults_of(&host.root, "spec.virtualhost");
        if !of_host.is_empty() {
            return of_host;
        }
        let field = self.host_snapshot.field(&host.root, Some(prefix));
        field.map_or_else(Vec::new, |field| self.faults_of(&host.root, &field))
    }

    // === Where it goes ===

    fn upstreams(self, clusters: impl IntoIterator<Item = (String, u32)>) -> Vec<Upstream> {
        let shares = clusters.into_iter().filter(|(_, weight)| *weight > 0);
        shares
            .map(|(cluster, weight)| self.upstream(cluster, weight))
            .collect()
    }

    fn upstream(self, cluster: String, weight: u32) -> Upstream {
        let name = ClusterName(cluster.as_str().into());
        let table = &self.host_snapshot.table;
        let is_known = !table.clusters.contains_key(&name) || table.endpoints.contains_key(&name);
        let endpoints = table.endpoints.get(&name).map_or(0, |list| list.len());
        let (service, port) = words::service(&cluster);
        Upstream {
            cluster,
            service,
            port,
            weight,
            endpoints: is_known.then_some(endpoints),
        }
    }

    fn forward(self, upstreams: Vec<Upstream>, path: String, headers: Changed) -> Outcome {
        if !has_none(&upstreams) {
            return Outcome::Forward {
                upstreams,
                path,
                headers,
            };
        }
        let services: Vec<_> = upstreams
            .iter()
            .map(|upstream| format!("{}/{}", upstream.service, upstream.port))
            .collect();
        respond(503, format!("no endpoint of {} is ready", services.join(" or ")))
    }
}

fn respond(status: u16, why: impl Into<String>) -> Outcome {
    Outcome::Respond {
        status,
        why: why.into(),
        faults: Vec::new(),
    }
}

fn close(why: &str) -> Outcome {
    Outcome::Close {
        why: why.to_owned(),
        faults: Vec::new(),
    }
}

/// Whether none of them has an endpoint that is ready.
fn has_none(upstreams: &[Upstream]) -> bool {
    upstreams.iter().all(|upstream| upstream.endpoints == Some(0))
}

fn weights(clusters: &[WeightedCluster]) -> impl Iterator<Item = (String, u32)> {
    clusters
        .iter()
        .map(|WeightedCluster { cluster, weight }| (cluster.to_string(), *weight))
}

#[cfg(test)]
mod tests;
