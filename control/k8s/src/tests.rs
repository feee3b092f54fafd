use crate::{FieldError, Reading, object};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use switchyard_core::{
    Name, Object,
    object::{Address, Created, Limits, Protocol, SpecPart},
};

fn reading(document: Value) -> Reading {
    object(document).unwrap().unwrap()
}

fn refusal(document: Value) -> String {
    object(document).unwrap_err().to_string()
}

fn service(annotations: &Value, spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "annotations": annotations}, "spec": spec})
}

fn ingress_route(spec: &Value) -> Value {
    json!({"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute", "metadata": {"name": "r"}, "spec": spec})
}

fn slice(address_type: &str, address: &str) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "s-1", "labels": {"kubernetes.io/service-name": "s"}},
        "addressType": address_type,
        "ports": [{"port": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "any"}],
        "endpoints": [{"addresses": [address]}, {"addresses": [], "conditions": {"ready": false}}],
    })
}

#[test]
fn invalid_object_error_names_the_field() {
    for (document, want) in [
        (
            json!([]),
            "not a Kubernetes object: expected a mapping with apiVersion and kind",
        ),
        (
            json!({"kind": "Service"}),
            "apiVersion: missing: every Kubernetes object has apiVersion and kind",
        ),
        (
            json!({"apiVersion": "v1"}),
            "kind: missing: every Kubernetes object has apiVersion and kind",
        ),
        (
            json!({"apiVersion": "contour.heptio.com/v1", "kind": "IngressRoute"}),
            "apiVersion: version \"v1\" of IngressRoute is not supported; use \"v1beta1\"",
        ),
        (
            json!({"apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice"}),
            "apiVersion: version \"v1beta1\" of EndpointSlice is not supported; use \"v1\"",
        ),
        (
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {}}),
            "metadata.name: missing",
        ),
        (
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a/b"}}),
            "metadata.name: \"a/b\" is not a valid name: use lower-case letters, digits, '-' and '.', at most 253 \
             characters",
        ),
        (
            service(&json!({}), &json!({"ports": [{"port": 0}]})),
            "spec.ports[0].port: 0 is not in the range 1-65535",
        ),
        (
            service(&json!({}), &json!({"type": "ExternalName"})),
            "spec.externalName: missing: required for a Service of type ExternalName",
        ),
        (
            ingress_route(&json!({"routes": [{"match": true}]})),
            "spec.routes[0].match: invalid type: boolean `true`, expected a string",
        ),
        (
            ingress_route(&json!({"routes": [{"services": [{"port": "http"}]}]})),
            "spec.routes[0].services[0].port: invalid type: string \"http\", expected i64",
        ),
        (
            slice("IPv4", "localhost"),
            "endpoints[0].addresses[0]: \"localhost\" is not an IP address",
        ),
    ] {
        assert_eq!(refusal(document.clone()), want, "{document}");
    }
}

#[test]
fn other_kinds_are_ignored() {
    for (api_version, kind) in [
        ("v1", "ConfigMap"),
        ("apps/v1", "Deployment"),
        ("projectcontour.io/v1", "HTTPProxy"),
    ] {
        let document = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "o"}});
        assert_eq!(object(document), Ok(None), "{kind}");
    }
}

#[test]
fn unknown_field_rejects_its_spec_part() {
    let limit = json!({"requests": 1, "unit": "second", "brust": 5, "match": {"path": "/a"}});
    let auth = json!({"anyOf": [{"basik": {}}]});
    let routes = json!([{"match": "/", "copies": true, "rateLimits": [limit], "auth": [auth]}]);
    let virtualhost = json!({"fqdn": "a.com", "auht": [], "concurrency": null});
    let tcpproxy = json!({"services": [{"name": "a", "port": 80, "validate": {}}]});
    let reading = reading(ingress_route(&json!({
        "virtualhost": virtualhost, "routes": routes, "tcpproxy": tcpproxy, "strategy": "Random",
        "healthCheck": {"path": "/"}, "auth": [],
    })));
    let ignored: Vec<_> = reading.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        ignored,
        ["spec.auth: unknown field, ignored; remove it, or correct its name"]
    );
    let Object::IngressRoute(route) = reading.object else {
        panic!("{:?}", reading.object)
    };
    let refused: Vec<_> = route
        .unknown
        .refused
        .iter()
        .map(|field| (field.part, field.path.as_str()))
        .collect();
    assert_eq!(
        refused,
        [
            (SpecPart::Route(0), "spec.routes[0].auth[0].anyOf[0].basik"),
            (SpecPart::Route(0), "spec.routes[0].copies"),
            (SpecPart::Route(0), "spec.routes[0].rateLimits[0].brust"),
            (SpecPart::Route(0), "spec.routes[0].rateLimits[0].match.path"),
            (SpecPart::TcpProxy, "spec.tcpproxy.services[0].validate"),
            (SpecPart::VirtualHost, "spec.virtualhost.auht"),
            (SpecPart::VirtualHost, "spec.virtualhost.concurrency"),
        ]
    );
    assert_eq!(route.name, Name::new("default", "r"));
    assert_eq!(route.spec.routes[0].match_, "/");
}

#[test]
fn newer_annotation_prefix_wins_and_bad_values_warn() {
    let annotations = json!({
        "contour.heptio.com/max-connections": "1",
        "projectcontour.io/max-connections": "2",
        "contour.heptio.com/max-retries": "many",
        "contour.heptio.com/upstream-protocol.h2": "https, 8443",
        "contour.heptio.com/upstream-protocol.tls": "8443",
    });
    let ports = json!([
        {"name": "https", "port": 443}, {"name": "admin", "port": 8443},
        {"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"},
    ]);
    let Reading { object, warnings } = reading(service(&annotations, &json!({"ports": ports})));
    let Object::Service(service) = object else {
        panic!("{object:?}")
    };
    let spoken: Vec<_> = service
        .ports
        .iter()
        .map(|port| (port.port, port.protocol))
        .collect();
    assert_eq!(
        spoken,
        [(443, Protocol::H2), (8443, Protocol::Tls), (80, Protocol::Http1)]
    );
    assert_eq!(
        service.limits,
        Limits {
            max_connections: Some(2),
            ..Limits::default()
        }
    );
    let field = "metadata.annotations.contour.heptio.com/max-retries".to_owned();
    let message = "\"many\" is not a number from 0 to 4294967295; ignored".to_owned();
    assert_eq!(warnings, [FieldError { field, message }]);
}

#[test]
fn slice_keeps_numbered_tcp_ports_and_defaults_to_ready() {
    let Object::EndpointSlice(slice) = reading(slice("IPv4", "10.0.0.1")).object else {
        panic!("no slice")
    };
    assert_eq!(&*slice.service, "s");
    assert_eq!(slice.ports, [(String::new(), 8080)].into());
    assert_eq!(
        slice.endpoints[0].addresses,
        [Address::Ip(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)))]
    );
    assert_eq!(
        slice
            .endpoints
            .iter()
            .map(|endpoint| endpoint.ready)
            .collect::<Vec<_>>(),
        [true, false]
    );
}

#[test]
fn fqdn_slice_keeps_its_names() {
    let Object::EndpointSlice(slice) = reading(slice("FQDN", "db.example.com")).object else {
        panic!("no slice")
    };
    assert_eq!(
        slice.endpoints[0].addresses,
        [Address::Fqdn("db.example.com".to_owned())]
    );
}

#[test]
fn endpoints_subsets_keep_addresses_and_ports() {
    let document = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "s", "namespace": "n"},
        "subsets": [{"addresses": [{"ip": "::1"}], "notReadyAddresses": [{"ip": "10.0.0.9"}], "ports": [{"port": 80}]}],
    });
    let Object::Endpoints(endpoints) = reading(document).object else {
        panic!("no endpoints")
    };
    assert_eq!(endpoints.name, Name::new("n", "s"));
    assert_eq!(endpoints.subsets[0].addresses, ["::1".parse::<IpAddr>().unwrap()]);
    assert_eq!(endpoints.subsets[0].ports, [(String::new(), 80)].into());
}

#[test]
fn string_data_overrides_data() {
    let document = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "kubernetes.io/tls",
        "data": {"tls.crt": "b2xk", "tls.key": "a2V5"}, "stringData": {"tls.crt": "new"},
    });
    let Object::Secret(secret) = reading(document).object else {
        panic!("no secret")
    };
    assert_eq!(secret.type_, "kubernetes.io/tls");
    let data = [
        ("tls.crt".to_owned(), b"new".to_vec()),
        ("tls.key".to_owned(), b"key".to_vec()),
    ];
    assert_eq!(secret.data, data.into());
}

#[test]
fn certificate_delegation_is_read() {
    let document = json!({
        "apiVersion": "contour.heptio.com/v1beta1", "kind": "TLSCertificateDelegation", "metadata": {"name": "d"},
        "spec": {"delegations": [{"secretName": "wildcard", "targetNamespaces": ["a", "*"]}]},
    });
    let Object::TlsCertificateDelegation(delegation) = reading(document).object else {
        panic!("no delegation")
    };
    assert_eq!(delegation.delegations[0].secret_name, "wildcard");
    assert_eq!(delegation.delegations[0].target_namespaces, ["a", "*"]);
}

#[test]
fn creation_timestamp_is_optional() {
    for (metadata, want) in [
        (json!({"name": "r"}), Created::Unknown),
        (json!({"name": "r", "creationTimestamp": null}), Created::Unknown),
        (
            json!({"name": "r", "creationTimestamp": "1970-01-02T00:00:00Z"}),
            Created::At(86_400),
        ),
        (
            json!({"name": "r", "creationTimestamp": "1970-01-02T01:00:00.5+01:00"}),
            Created::At(86_400),
        ),
    ] {
        let mut document = ingress_route(&json!({}));
        document["metadata"] = metadata;
        let Object::IngressRoute(read) = reading(document).object else {
            panic!("no IngressRoute")
        };
        assert_eq!(read.created, want);
    }
    let mut document = ingress_route(&json!({}));
    document["metadata"] = json!({"name": "r", "creationTimestamp": "yesterday"});
    assert!(refusal(document).starts_with("metadata.creationTimestamp: "));
}
