//! Who presents which certificate, and from which TLS version on.

use super::*;
use envoy_types::pb::envoy::config::{listener::v3::Listener, route::v3::RouteConfiguration};
use switchyard_core::table::TcpProxy;

fn secure(fqdn: &str, minimum: TlsVersion) -> Host {
    host(
        fqdn,
        Vhost::default(),
        Some(terminate("cert", minimum, vhost([("/", plain("web"))]))),
    )
}

fn hosts_of(world: &World, routes: &str) -> Vec<String> {
    let configuration: RouteConfiguration = world.message(ResourceType::Route, routes);
    configuration
        .virtual_hosts
        .into_iter()
        .map(|host| host.name)
        .filter(|name| name != "*")
        .collect()
}

/// The names that each filter chain is for; of the default one, none.
fn chains(world: &World) -> Vec<Vec<String>> {
    let listener: Listener = world.message(ResourceType::Listener, "ingress_https");
    let default = listener.default_filter_chain.map(|_| vec![]);
    let chains = listener
        .filter_chains
        .into_iter()
        .map(|chain| chain.filter_chain_match.unwrap().server_names);
    chains.chain(default).collect()
}

#[test]
fn hosts_share_routes_by_their_least_tls_version() {
    let mut world = World::with(Settings {
        minimum_tls: TlsVersion::V1_1,
        ..Settings::default()
    });
    world.edit(|table| {
        add_host(table, secure("a", TlsVersion::V1_1));
        add_host(table, secure("b", TlsVersion::V1_2));
        add_host(table, secure("c", TlsVersion::V1_3));
        add_host(table, secure("d", TlsVersion::V1_3));
    });
    assert_eq!(hosts_of(&world, "ingress_https_1.1"), ["a"]);
    assert_eq!(hosts_of(&world, "ingress_https_1.2"), ["b"]);
    assert_eq!(hosts_of(&world, "ingress_https_1.3"), ["c", "d"]);
    assert_eq!(chains(&world), [vec!["b"], vec!["c", "d"], vec![]]);
}

#[test]
fn a_host_may_ask_for_more_than_all_have_to_and_not_for_less() {
    let mut world = World::new();
    world.edit(|table| {
        add_host(table, secure("a", TlsVersion::V1_1));
        add_host(table, secure("b", TlsVersion::V1_3));
    });
    assert_eq!(hosts_of(&world, "ingress_https_1.2"), ["a"]);
    assert_eq!(hosts_of(&world, "ingress_https_1.3"), ["b"]);
    assert_eq!(chains(&world), [vec!["b"], vec![]]);
}

#[test]
fn a_host_that_asks_for_another_version_moves() {
    let mut world = World::new();
    world.edit(|table| add_host(table, secure("a", TlsVersion::V1_2)));
    world.edit(|table| add_host(table, secure("a", TlsVersion::V1_3)));
    assert!(hosts_of(&world, "ingress_https_1.2").is_empty());
    assert_eq!(hosts_of(&world, "ingress_https_1.3"), ["a"]);
    assert_eq!(chains(&world), [["a"]]);
}

#[test]
fn a_host_of_tcp_has_a_chain_of_its_own() {
    let proxy = TcpProxy {
        clusters: vec![share("web", 1)],
    };
    let mut world = World::new();
    world.edit(|table| {
        let decrypted = HostTls::TerminateTcp {
            tls: edge_tls("cert", TlsVersion::V1_2),
            proxy: proxy.clone(),
        };
        add_host(table, host("a", Vhost::default(), Some(decrypted)));
        add_host(
            table,
            host("b", Vhost::default(), Some(HostTls::Passthrough { proxy })),
        );
    });
    assert_eq!(chains(&world), [["a"], ["b"]]);
}

#[test]
fn hosts_with_one_certificate_each_have_a_secret() {
    let mut world = World::new();
    world.edit(|table| {
        table.certificates.insert(name("cert"), certificate("chain"));
        add_host(table, secure("a", TlsVersion::V1_1));
        add_host(table, secure("b", TlsVersion::V1_1));
    });
    let renewal = world.edit(|table| drop(table.certificates.insert(name("cert"), certificate("renewed"))));
    assert_eq!(
        renewal.set,
        ["a", "b"].map(|fqdn| (ResourceType::Secret, fqdn.to_owned()))
    );
}

#[test]
fn a_host_whose_certificate_is_missing_has_no_secret() {
    let mut world = World::new();
    world.edit(|table| {
        table.certificates.insert(name("cert"), certificate("chain"));
        add_host(table, secure("a", TlsVersion::V1_1));
    });
    assert!(world.has(ResourceType::Secret, "a"));
    let names = world.edit(|table| table.certificates.clear());
    assert_eq!(names.removed, [(ResourceType::Secret, "a".to_owned())]);
}

#[test]
fn a_host_that_presents_another_certificate_has_that_one() {
    let mut world = World::new();
    world.edit(|table| {
        table.certificates.insert(name("cert"), certificate("chain"));
        table.certificates.insert(name("other"), certificate("other"));
        add_host(table, secure("a", TlsVersion::V1_1));
    });
    let names = world.edit(|table| {
        let https = terminate("other", TlsVersion::V1_1, vhost([("/", plain("web"))]));
        add_host(table, host("a", Vhost::default(), Some(https)));
    });
    assert_eq!(names.set, [(ResourceType::Secret, "a".to_owned())]);
    let names = world.edit(|table| drop(table.certificates.remove(&name("cert"))));
    assert_eq!(names, Names::default());
}
