//! Services that are at names, and addresses that get no requests.

use super::{
    policies::{asking_root, merged},
    *,
};
use crate::{object::DnsName, table::Endpoint};

const OFF: &str = "Service default/ext is of type ExternalName, which is off: --allow-external-names allows such Services, \
                   or use one that has endpoints";
const LOCAL: &str =
    "Service default/ext: \"localhost\" is a name of this machine or its link, which is not allowed";

fn allowing() -> Settings {
    Settings {
        allow_external_names: true,
        ..Settings::default()
    }
}

fn external(external_name: &str) -> Object {
    let mut service = service_with("ext", Protocol::Tls);
    service.external_name = Some(external_name.to_owned());
    Object::Service(service)
}

fn resolved(name: &str, addresses: &[&str]) -> Object {
    Object::DnsName(DnsName {
        name: name.into(),
        addresses: Ok(addresses.iter().map(|address| address.parse().unwrap()).collect()),
    })
}

fn unresolved(name: &str) -> Object {
    Object::DnsName(DnsName {
        name: name.into(),
        addresses: Err("no such host".to_owned()),
    })
}

fn to_ext() -> Object {
    let services = json!([{"name": "ext", "port": 8080}]);
    root(
        "root",
        "example.com",
        json!([leaf("/"), {"match": "/ext", "services": services}]),
    )
}

fn at_ext(settings: Settings, objects: impl IntoIterator<Item = Object>) -> Graph {
    graph_with(settings, [service("home"), to_ext()].into_iter().chain(objects))
}

fn errors(graph: &Graph) -> Vec<String> {
    let errors = &graph.status(&name("root")).unwrap().errors;
    errors.iter().map(|error| error.message.clone()).collect()
}

/// The endpoints of the Service `ext`. None: they are not known.
fn listed(graph: &Graph) -> Option<Vec<String>> {
    let endpoints = graph.table().endpoints.get(&cluster_of(graph, "ext").name)?;
    let text = |endpoint: &Endpoint| format!("{}:{}", endpoint.address, endpoint.port);
    Some(endpoints.iter().map(text).collect())
}

fn has_cluster(graph: &Graph) -> bool {
    let mut clusters = graph.table().clusters.values();
    clusters.any(|cluster| cluster.service == name("ext"))
}

/// Each way to name a Service, the place of its name, and what its text begins with.
fn users() -> Vec<(Object, &'static str, &'static str)> {
    let service = json!({"name": "ext", "port": 8080});
    let shop = |policy: Value| asking_root(json!({}), json!([leaf("/"), merged(leaf("/shop"), policy)]));
    let tcp = json!({
        "virtualhost": {"fqdn": "example.com", "tls": {"passthrough": true}},
        "tcpproxy": {"services": [service]},
    });
    let global = json!({
        "service": service, "domain": "shop", "descriptors": [{"entries": [{"key": "a", "value": "b"}]}],
    });
    let grpc = json!({"service": service, "protocol": "grpc"});
    vec![
        (to_ext(), "spec.routes[1].services[0].name", "route \"/ext\": "),
        (
            ingress_route("root", tcp),
            "spec.tcpproxy.services[0].name",
            "tcpproxy: ",
        ),
        (
            shop(json!({"mirror": [{"service": "ext", "port": 8080}]})),
            "spec.routes[1].mirror[0].service",
            "route \"/shop\": mirror[0].service: ",
        ),
        (
            shop(json!({"auth": [{"external": {"service": service}}]})),
            "spec.routes[1].auth[0].external.service.name",
            "route \"/shop\": auth[0].external.service.name: ",
        ),
        (
            shop(json!({"auth": [{"external": grpc}]})),
            "spec.routes[1].auth[0].external.service.name",
            "route \"/shop\": auth[0].external.service.name: ",
        ),
        (
            shop(json!({"rateLimits": [{"global": global}]})),
            "spec.routes[1].rateLimits[0].global.service.name",
            "route \"/shop\": rateLimits[0].global.service.name: ",
        ),
    ]
}

#[test]
fn every_user_of_a_service_obeys_the_rule_for_names() {
    for (user, field, text) in users() {
        for (settings, external_name, want) in [
            (Settings::default(), "db.example.com", Some(OFF)),
            (Settings::default(), "localhost", Some(OFF)),
            (allowing(), "localhost", Some(LOCAL)),
            (allowing(), "db.example.com", None),
        ] {
            let objects = [service("home"), external(external_name), user.clone()];
            let graph = graph_with(settings, objects);
            let errors = &graph.status(&name("root")).unwrap().errors;
            let want: Vec<_> = want
                .map(|want| crate::StatusError {
                    field: field.to_owned(),
                    message: format!("{text}{want}"),
                })
                .into_iter()
                .collect();
            assert_eq!(*errors, want, "{field} {external_name}");
            assert_eq!(has_cluster(&graph), want.is_empty(), "{field} {external_name}");
        }
    }
}

#[test]
fn slices_of_names_obey_the_same_rule() {
    for (settings, names, want) in [
        (
            Settings::default(),
            ["a.example", "b.example"],
            Some(
                "EndpointSlice default/ext-1 has addressType FQDN, which is off: --allow-external-names allows names, or use addresses",
            ),
        ),
        (
            allowing(),
            ["a.example", "0x7f.1"],
            Some(
                "EndpointSlice default/ext-1: \"0x7f.1\" is 127.0.0.1, which is not allowed: it is loopback",
            ),
        ),
        (allowing(), ["a.example", "b.example"], None),
    ] {
        let objects = [service("ext"), slice("ext-1", "ext", &names)];
        let graph = at_ext(settings, objects);
        let want: Vec<_> = want
            .map(|want| format!("route \"/ext\": {want}"))
            .into_iter()
            .collect();
        assert_eq!(errors(&graph), want, "{names:?}");
        assert_eq!(has_cluster(&graph), want.is_empty());
    }
}

#[test]
fn endpoints_are_what_names_resolve_to() {
    let mut graph = at_ext(allowing(), [external("DB.example.com.")]);
    assert_eq!(errors(&graph), Vec::<String>::new());
    assert_eq!(listed(&graph), None, "nobody has resolved it");
    assert_eq!(
        cluster_of(&graph, "ext").server_name.as_deref(),
        Some("db.example.com")
    );

    apply(&mut graph, [unresolved("db.example.com.")]);
    let text = "route \"/ext\": Service default/ext: \"db.example.com.\" has no address yet: no such host";
    assert_eq!(errors(&graph), [text]);
    assert_eq!(listed(&graph), None, "proxies keep what they have");

    for (addresses, want) in [
        (
            &["10.0.0.2", "10.0.0.1"][..],
            &["10.0.0.1:8080", "10.0.0.2:8080"][..],
        ),
        (&["10.0.0.1", "2001:db8::1"], &["10.0.0.1:8080"]),
        (&["2001:db8::1"], &["2001:db8::1:8080"]),
        (&["127.0.0.1", "10.0.0.1", "169.254.169.254"], &["10.0.0.1:8080"]),
        (&["127.0.0.1", "2001:db8::1"], &["2001:db8::1:8080"]),
    ] {
        apply(&mut graph, [resolved("db.example.com.", addresses)]);
        assert_eq!(errors(&graph), Vec::<String>::new(), "{addresses:?}");
        assert_eq!(listed(&graph).unwrap(), want, "{addresses:?}");
    }
}

#[test]
fn a_name_that_resolves_to_forbidden_addresses_takes_its_route_down() {
    let mut graph = at_ext(
        allowing(),
        [
            external("db.example.com"),
            resolved("db.example.com", &["10.0.0.1"]),
        ],
    );
    assert!(has_cluster(&graph));
    for (address, special) in [
        ("127.0.0.1", "it is loopback"),
        ("::ffff:127.0.0.1", "it is loopback"),
        ("169.254.169.254", "it is link-local"),
        ("0.0.0.0", "it is unspecified"),
        ("fe80::1", "it is link-local"),
    ] {
        // Whoever may write a directory may reach this machine by its address, but by no name.
        apply(&mut graph, [resolved("db.example.com", &[address])]);
        let text = format!(
            "route \"/ext\": Service default/ext: \"db.example.com\" resolves to {address}, which is not allowed: {special}"
        );
        assert_eq!(errors(&graph), [text]);
        assert!(!has_cluster(&graph), "{address}");
    }
    apply(&mut graph, [resolved("db.example.com", &["10.0.0.1"])]);
    assert_eq!(errors(&graph), Vec::<String>::new());
    assert_eq!(listed(&graph).unwrap(), ["10.0.0.1:8080"]);
}

#[test]
fn another_name_is_another_cluster() {
    let mut graph = at_ext(
        allowing(),
        [external("a.example"), resolved("a.example", &["10.0.0.1"])],
    );
    let before = cluster_of(&graph, "ext").name.clone();
    apply(&mut graph, [resolved("a.example", &["10.0.0.2"])]);
    assert_eq!(cluster_of(&graph, "ext").name, before);
    apply(&mut graph, [external("b.example")]);
    assert_ne!(cluster_of(&graph, "ext").name, before);
    assert_eq!(listed(&graph), None);
}

#[test]
fn special_addresses_of_slices_and_endpoints_get_no_requests() {
    let local = Settings {
        allow_loopback_endpoints: true,
        ..Settings::default()
    };
    let all = ["10.0.0.1", "127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1"];
    for (kind, object) in [
        ("EndpointSlice", slice("ext", "ext", &all)),
        (
            "Endpoints",
            Object::Endpoints(Endpoints {
                name: name("ext"),
                subsets: vec![EndpointSubset {
                    addresses: all.iter().map(|address| address.parse().unwrap()).collect(),
                    ports: BTreeMap::from([("http".to_owned(), 80)]),
                }],
            }),
        ),
    ] {
        for (settings, want, more) in [
            (local.clone(), &["10.0.0.1:80", "127.0.0.1:80"][..], 2),
            (allowing(), &["10.0.0.1:80"], 3),
        ] {
            let mut graph = at_ext(settings, [service("ext"), object.clone()]);
            assert_eq!(listed(&graph).unwrap(), want);
            let text = format!(
                "route \"/ext\": {kind} default/ext: no requests are sent to 0.0.0.0, which is not allowed: it is \
                 unspecified, nor to {more} more of its addresses"
            );
            assert_eq!(errors(&graph), [text]);
            // The status follows.
            apply(
                &mut graph,
                [match kind {
                    "EndpointSlice" => slice("ext", "ext", &["10.0.0.1"]),
                    _ => endpoints("ext", &["10.0.0.1"]),
                }],
            );
            assert_eq!(errors(&graph), Vec::<String>::new());
            apply(&mut graph, [object.clone()]);
            assert_eq!(errors(&graph).len(), 1);
        }
    }
}
