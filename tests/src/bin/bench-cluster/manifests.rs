//! The manifests: Services and EndpointSlices, which both use, and routes of each kind.

use serde_json::{Value, json};
use std::net::SocketAddr;
use switchyard_tests::manifests::{ingress_route, object, service};

use crate::backends::Backends;

/// The number of hosts that have a route and a Service each.
pub(crate) const HOSTS: usize = 1_000;
/// The host that is delegated to blue or to green.
pub(crate) const SWITCHED: &str = "switched.bar.com";
/// The number of the host whose pod is replaced.
pub(crate) const MOVED: usize = 0;

pub(crate) fn host(number: usize) -> String {
    format!("h{number:04}.bar.com")
}

/// The name of a host's route and Service.
pub(crate) fn name(number: usize) -> String {
    format!("h{number:04}")
}

/// The API server's path of the EndpointSlice of the host whose pod is replaced.
pub(crate) fn moved_slice() -> String {
    // The name that `service` gives it.
    let name = format!("{}-0", name(MOVED));
    format!("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/{name}")
}

/// The manifest files, as pairs of name and content.
pub(crate) fn all(backends: &Backends) -> Vec<(String, String)> {
    let branches = [&backends.blue, &backends.green].map(|backend| branch(&backend.name, backend.address));
    let switched = ("switched.yaml".to_owned(), root() + &branches.concat());
    let hosts = (0..HOSTS).map(|number| {
        let pod = match number {
            MOVED => backends.first.address,
            _ => backends.pod(number),
        };
        let name = name(number);
        let proxy = proxy_spec(&host(number), &name);
        (
            format!("{name}.yaml"),
            one(number, pod) + &http_proxy(&name, &proxy),
        )
    });
    hosts.chain([switched]).collect()
}

/// The manifest files for `hosts` hosts, with IngressRoutes only.
pub(crate) fn many(hosts: usize, backends: &Backends) -> Vec<(String, String)> {
    let branches = [&backends.blue, &backends.green]
        .map(|backend| service("default", &backend.name, &[backend.address]));
    let hosts = (0..hosts).map(|number| {
        (
            format!("{}.yaml", name(number)),
            one(number, backends.pod(number)),
        )
    });
    hosts
        .chain([("services.yaml".to_owned(), branches.concat())])
        .collect()
}

/// The manifests of a host and its Service.
fn one(number: usize, pod: SocketAddr) -> String {
    let name = name(number);
    service("default", &name, &[pod]) + &ingress_route(&name, &spec(&host(number), &name))
}

/// An IngressRoute that routes all of a host to one Service.
pub(crate) fn spec(fqdn: &str, service: &str) -> Value {
    let services = json!([{"name": service, "port": 80}]);
    json!({"virtualhost": {"fqdn": fqdn}, "routes": [{"match": "/", "services": services}]})
}

/// The API server's path of an IngressRoute.
pub(crate) fn path(name: &str) -> String {
    format!("/apis/contour.heptio.com/v1beta1/namespaces/default/ingressroutes/{name}")
}

/// An HTTPProxy that has all of a host served by one Service.
pub(crate) fn proxy_spec(fqdn: &str, service: &str) -> Value {
    let services = json!([{"name": service, "port": 80}]);
    json!({"virtualhost": {"fqdn": fqdn}, "routes": [{"services": services}]})
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
