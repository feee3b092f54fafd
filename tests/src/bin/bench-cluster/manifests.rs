//! The objects: Services and EndpointSlices, which both follow, and routes of each kind.

use serde_json::{Value, json};
use std::net::SocketAddr;
use switchyard_tests::manifests::{ingress_route, object, service};

use crate::backends::Backends;

/// Hosts that have a route and a Service each.
pub(crate) const HOSTS: usize = 1_000;
/// Delegated to blue or to green.
pub(crate) const SWITCHED: &str = "switched.bar.com";
/// The one whose pod is replaced.
pub(crate) const MOVED: usize = 0;

pub(crate) fn host(number: usize) -> String {
    format!("h{number:04}.bar.com")
}

/// Of a host: the name of its route and of its Service.
fn name(number: usize) -> String {
    format!("h{number:04}")
}

/// Where the API server has the EndpointSlice of the host whose pod is replaced.
pub(crate) fn moved_slice() -> String {
    // As `service` names it.
    let name = format!("{}-0", name(MOVED));
    format!("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/{name}")
}

/// Files, and what is in them.
pub(crate) fn all(backends: &Backends) -> Vec<(String, String)> {
    let branches = [&backends.blue, &backends.green].map(|backend| branch(&backend.name, backend.address));
    let switched = ("switched.yaml".to_owned(), root() + &branches.concat());
    let hosts = (0..HOSTS).map(|number| {
        let pod = match number {
            MOVED => backends.first.address,
            _ => backends.pod(number),
        };
        (format!("{}.yaml", name(number)), one(number, pod))
    });
    hosts.chain([switched]).collect()
}

/// A host with a Service of its own.
fn one(number: usize, pod: SocketAddr) -> String {
    let name = name(number);
    let virtualhost = json!({"fqdn": host(number)});
    let services = json!([{"name": name, "port": 80}]);
    service("default", &name, &[pod])
        + &ingress_route(
            &name,
            &json!({"virtualhost": virtualhost, "routes": [{"match": "/", "services": services}]}),
        )
        + &http_proxy(
            &name,
            &json!({"virtualhost": virtualhost, "routes": [{"services": services}]}),
        )
}

fn branch(name: &str, pod: SocketAddr) -> String {
    let services = json!([{"name": name, "port": 80}]);
    service("default", name, &[pod])
        + &ingress_route(name, &json!({"routes": [{"match": "/", "services": services}]}))
        + &http_proxy(name, &json!({"routes": [{"services": services}]}))
}

fn root() -> String {
    let virtualhost = json!({"fqdn": SWITCHED});
    let delegating = json!([{"match": "/", "delegate": {"name": "blue"}}]);
    ingress_route(
        "switched",
        &json!({"virtualhost": virtualhost, "routes": delegating}),
    ) + &http_proxy(
        "switched",
        &json!({"virtualhost": virtualhost, "includes": [{"name": "blue"}]}),
    )
}

fn http_proxy(name: &str, spec: &Value) -> String {
    object("projectcontour.io/v1", "HTTPProxy", name, json!({"spec": spec}))
}
