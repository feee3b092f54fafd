//! Guards that are written and could have no effect: an error at the field, and nothing is served without them.

use super::*;
use crate::{
    status::{State, StatusError},
    table::{HostRoute, HostTls, TlsVersion, Vhost},
};

/// The rest of the host.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    /// No TLS, and 503 for every route on the plain port.
    Nothing,
    /// Connections with TLS are closed.
    NoConnections,
}

struct Guard {
    what: &'static str,
    spec: Value,
    field: &'static str,
    message: &'static str,
    left: Left,
}

fn is_unavailable(vhost: &Vhost) -> bool {
    vhost
        .routes
        .values()
        .all(|route| *route == HostRoute::Unavailable)
}

fn left(graph: &Graph) -> Option<Left> {
    let host = host(graph, "example.com");
    match &host.tls {
        None if is_unavailable(&host.http) => Some(Left::Nothing),
        Some(HostTls::Passthrough { proxy }) if proxy.clusters.is_empty() => Some(Left::NoConnections),
        _ => None,
    }
}

fn with_tls(tls: Value, has_tcp: bool) -> Value {
    let mut spec = json!({"virtualhost": {"fqdn": "example.com", "tls": tls}, "routes": [leaf("/")]});
    if has_tcp {
        spec["tcpproxy"] = json!({"services": [{"name": "home", "port": 8080}]});
    }
    spec
}

fn verified() -> Value {
    json!({"name": "home", "port": 8080, "validation": {"caSecret": "ca", "subjectName": "example.com"}})
}

fn guards() -> Vec<Guard> {
    let tls = |what, tls, has_tcp, field, message| Guard {
        what,
        spec: with_tls(tls, has_tcp),
        field,
        message,
        left: Left::Nothing,
    };
    let version = "spec.virtualhost.tls.minimumProtocolVersion";
    let passthrough = "spec.virtualhost.tls.passthrough";
    let without_tls = "Service [home:8080] TLS upstream validation policy error: the port does not speak TLS: annotate the \
                       Service with projectcontour.io/upstream-protocol.tls: \"8080\", or remove validation";
    let virtualhost = |tls: Value| json!({"fqdn": "example.com", "tls": tls});
    vec![
        tls(
            "a version that is none",
            json!({"secretName": "cert", "minimumProtocolVersion": "1.4"}),
            false,
            version,
            "Spec.VirtualHost.TLS minimumProtocolVersion \"1.4\" is not supported: use \"1.1\", \"1.2\" or \"1.3\"",
        ),
        tls(
            "a version in other words",
            json!({"secretName": "cert", "minimumProtocolVersion": "TLS1.3"}),
            true,
            version,
            "Spec.VirtualHost.TLS minimumProtocolVersion \"TLS1.3\" is not supported: use \"1.1\", \"1.2\" or \"1.3\"",
        ),
        tls(
            "a version of connections that are not decrypted",
            json!({"passthrough": true, "minimumProtocolVersion": "1.3"}),
            true,
            version,
            "Spec.VirtualHost.TLS minimumProtocolVersion \"1.3\" has no effect beside passthrough, where the service decides \
             on the version: remove it",
        ),
        tls(
            "passthrough to nowhere",
            json!({"passthrough": true}),
            false,
            passthrough,
            "Spec.VirtualHost.TLS passthrough needs a tcpproxy: add one, or use a secretName in place of passthrough to \
             serve routes",
        ),
        tls(
            "passthrough of what is decrypted",
            json!({"passthrough": true, "secretName": "cert"}),
            true,
            passthrough,
            "Spec.VirtualHost.TLS cannot have both passthrough and secretName: remove one of them",
        ),
        Guard {
            what: "certificates of a service without TLS",
            spec: json!({
                "virtualhost": {"fqdn": "example.com"},
                "routes": [{"match": "/", "services": [verified()]}],
            }),
            field: "spec.routes[0].services[0].validation",
            message: without_tls,
            left: Left::Nothing,
        },
        Guard {
            what: "certificates of a tcpproxy's service without TLS",
            spec: json!({
                "virtualhost": virtualhost(json!({"passthrough": true})),
                "tcpproxy": {"services": [verified()]},
            }),
            field: "spec.tcpproxy.services[0].validation",
            message: without_tls,
            left: Left::NoConnections,
        },
    ]
}

#[test]
fn guard_that_could_have_no_effect_is_an_error_and_nothing_is_served_without_it() {
    for Guard {
        what,
        spec,
        field,
        message,
        left: expected,
    } in guards()
    {
        let graph = graph([
            ingress_route("root", spec),
            service("home"),
            tls_secret("cert"),
            ca_secret("ca"),
        ]);
        let status = graph.status(&name("root")).unwrap();
        assert_eq!(status.state, State::Invalid, "{what}");
        let error = StatusError {
            field: field.to_owned(),
            message: message.to_owned(),
        };
        assert_eq!(status.errors, [error], "{what}");
        assert_eq!(left(&graph), Some(expected), "{what}");
    }
}

/// Fields that could be taken for a guard without effect, and are none.
#[test]
fn what_says_nothing_more_than_the_default_is_no_guard() {
    let passthrough = |version: &str| json!({"passthrough": true, "minimumProtocolVersion": version});
    let insecure =
        json!({"match": "/", "permitInsecure": true, "services": [{"name": "home", "port": 8080}]});
    for spec in [
        // The API server writes defaults into objects.
        with_tls(passthrough("1.1"), true),
        with_tls(passthrough("1.2"), true),
        json!({"virtualhost": {"fqdn": "example.com"}, "routes": [insecure]}),
    ] {
        let graph = graph([ingress_route("root", spec.clone()), service("home")]);
        assert_eq!(graph.status(&name("root")).unwrap().state, State::Valid, "{spec}");
        assert_eq!(left(&graph), None, "{spec}");
    }
}

#[test]
fn upstreams_are_verified_where_they_speak_tls() {
    for (protocol, want) in [
        (Protocol::Http1, false),
        (Protocol::H2c, false),
        (Protocol::Tls, true),
        (Protocol::H2, true),
    ] {
        let graph = graph([
            root(
                "root",
                "example.com",
                json!([{"match": "/", "services": [verified()]}]),
            ),
            Object::Service(service_with("home", protocol)),
            ca_secret("ca"),
        ]);
        let clusters: Vec<_> = graph.table().clusters.values().collect();
        assert_eq!(clusters.len(), usize::from(want), "{protocol:?}");
        assert!(
            clusters.iter().all(|cluster| cluster.validation.is_some()),
            "{protocol:?}"
        );
        let state = graph.status(&name("root")).unwrap().state;
        assert_eq!(state == State::Valid, want, "{protocol:?}");
    }
}

#[test]
fn minimum_protocol_version_is_1_2_unless_the_host_says_otherwise() {
    for (version, want) in [
        ("", TlsVersion::V1_2),
        ("1.1", TlsVersion::V1_1),
        ("1.2", TlsVersion::V1_2),
        ("1.3", TlsVersion::V1_3),
    ] {
        let tls = json!({"secretName": "cert", "minimumProtocolVersion": version});
        let graph = graph([
            ingress_route("root", with_tls(tls, false)),
            service("home"),
            tls_secret("cert"),
        ]);
        match &host(&graph, "example.com").tls {
            Some(HostTls::Terminate { tls, .. }) => assert_eq!(tls.minimum, want, "{version:?}"),
            other => panic!("not terminated: {other:?}"),
        }
    }
}
