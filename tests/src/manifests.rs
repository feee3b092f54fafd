//! Manifests that many scenarios need. The objects under test are written out in the scenario.

use serde_json::{Value, json};
use std::net::SocketAddr;

/// A Service with port 80 and the EndpointSlices of its backends, as JSON, which is valid YAML.
#[must_use]
pub fn service(namespace: &str, name: &str, backends: &[SocketAddr]) -> String {
    annotated_service(namespace, name, backends, &[])
}

/// The same with annotations on the Service.
#[must_use]
pub fn annotated_service(
    namespace: &str,
    name: &str,
    backends: &[SocketAddr],
    annotations: &[(&str, &str)],
) -> String {
    let annotations: serde_json::Map<_, _> = annotations
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect();
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name, "annotations": annotations},
        "spec": {"ports": [{"port": 80}]},
    });
    let slices = backends
        .iter()
        .enumerate()
        .map(|(n, backend)| slice(namespace, name, n, *backend));
    std::iter::once(service)
        .chain(slices)
        .map(|object| format!("---\n{object:#}\n"))
        .collect()
}

/// An EndpointSlice for one backend. The backends on one machine have different ports, so that each needs its own.
fn slice(namespace: &str, service: &str, number: usize, backend: SocketAddr) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace,
            "name": format!("{service}-{number}"),
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"port": backend.port(), "protocol": "TCP"}],
        "endpoints": [{"addresses": [backend.ip()]}],
    })
}

/// A Secret of type `kubernetes.io/tls`.
#[must_use]
pub fn tls_secret(namespace: &str, name: &str, certificate: &crate::tls::Certificate) -> String {
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate.chain, "tls.key": certificate.key},
    });
    format!("---\n{secret:#}\n")
}

/// An object of any kind in the namespace `default`.
#[must_use]
pub fn object(api_version: &str, kind: &str, name: &str, content: Value) -> String {
    object_in("default", api_version, kind, name, content)
}

fn object_in(namespace: &str, api_version: &str, kind: &str, name: &str, content: Value) -> String {
    let mut object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name},
    });
    if let (Value::Object(object), Value::Object(content)) = (&mut object, content) {
        object.extend(content);
    }
    format!("---\n{object:#}\n")
}

/// An IngressRoute in the namespace `default`.
#[must_use]
pub fn ingress_route(name: &str, spec: &Value) -> String {
    ingress_route_in("default", name, spec)
}

/// An IngressRoute.
#[must_use]
pub fn ingress_route_in(namespace: &str, name: &str, spec: &Value) -> String {
    let spec = json!({"spec": spec});
    object_in(
        namespace,
        "contour.heptio.com/v1beta1",
        "IngressRoute",
        name,
        spec,
    )
}

/// An IngressRoute that routes a prefix to a Service, like a branch in most scenarios.
#[must_use]
pub fn leaf(namespace: &str, name: &str, prefix: &str, service: &str) -> String {
    format!(
        "---
apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata:
  namespace: {namespace}
  name: {name}
spec:
  routes:
  - match: {prefix}
    services:
    - name: {service}
      port: 80
"
    )
}

/// A root that delegates `/` to another IngressRoute in its namespace.
#[must_use]
pub fn root(namespace: &str, name: &str, fqdn: &str, delegate: &str) -> String {
    format!(
        "---
apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata:
  namespace: {namespace}
  name: {name}
spec:
  virtualhost:
    fqdn: {fqdn}
  routes:
  - match: /
    delegate:
      name: {delegate}
"
    )
}
