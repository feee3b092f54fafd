//! Versions are of content: replicas agree on them, and a control plane with itself after a restart.

use super::*;

fn whole(table: &mut Table) {
    for service in ["blue", "green", "web"] {
        add_cluster(table, service);
    }
    add_switch(table);
    add_policy(table, "root virtualhost", Policy::default());
    table.certificates.insert(name("cert"), certificate("chain"));
    let https = terminate("cert", TlsVersion::V1_2, vhost([("/", plain("web"))]));
    add_host(
        table,
        host(
            "b.example.com",
            vhost([("/", HostRoute::HttpsRedirect)]),
            Some(https),
        ),
    );
}

#[test]
fn the_order_in_which_things_come_makes_no_difference() {
    let mut at_once = World::new();
    at_once.edit(whole);

    let mut target = Table::default();
    whole(&mut target);
    let mut piecemeal = World::new();
    let Table {
        hosts,
        switches,
        clusters,
        endpoints,
        certificates,
        policies,
    } = target;
    for (key, host) in hosts.into_iter().rev() {
        piecemeal.edit(|table| drop(table.hosts.insert(key, host)));
    }
    piecemeal.edit(|table| table.certificates = certificates);
    piecemeal.edit(|table| table.endpoints = endpoints);
    for (key, cluster) in clusters.into_iter().rev() {
        piecemeal.edit(|table| drop(table.clusters.insert(key, cluster)));
    }
    piecemeal.edit(|table| table.policies = policies);
    piecemeal.edit(|table| table.switches = switches);

    assert_eq!(at_once.versions(), piecemeal.versions());
}

#[test]
fn what_went_and_came_back_is_as_it_was() {
    let mut world = World::new();
    world.edit(whole);
    let before = world.versions();
    world.edit(|table| *table = Table::default());
    world.prune(world.generation);
    assert_ne!(world.versions(), before);
    world.edit(whole);
    assert_eq!(world.versions(), before);
}

#[test]
fn a_change_sets_what_it_touches() {
    type Case = (
        &'static str,
        fn(&mut Table),
        &'static [(ResourceType, &'static str)],
    );
    use ResourceType::{Cluster, Endpoint, Extension, Listener, Route, Secret};
    let cases: [Case; 8] = [
        ("nothing", |_| {}, &[]),
        (
            "a switch moves",
            |table| {
                drop(table.switches.insert(
                    SwitchKey("a.example.com/".into()),
                    Arc::new(switch("green", "blue")),
                ))
            },
            &[(Extension, "switchyard-9")],
        ),
        (
            "an endpoint goes",
            |table| drop(table.endpoints.insert(cluster_name("web"), Arc::default())),
            &[(Endpoint, "default/web/80/da39a3ee5e")],
        ),
        (
            "a cluster comes",
            |table| add_cluster(table, "new"),
            &[
                (Cluster, "default/new/80/da39a3ee5e"),
                (Endpoint, "default/new/80/da39a3ee5e"),
            ],
        ),
        (
            "a certificate is renewed",
            |table| drop(table.certificates.insert(name("cert"), certificate("renewed"))),
            &[(Secret, "b.example.com")],
        ),
        (
            "a plain host comes",
            |table| add_host(table, host("c.example.com", vhost([("/", plain("web"))]), None)),
            &[(Route, "ingress_http")],
        ),
        (
            "a stricter host comes",
            |table| {
                let https = terminate("cert", TlsVersion::V1_3, vhost([("/", plain("web"))]));
                add_host(table, host("c.example.com", Vhost::default(), Some(https)));
            },
            &[
                (Secret, "c.example.com"),
                (Route, "ingress_http"),
                (Route, "ingress_https_1.3"),
                (Listener, "ingress_https"),
            ],
        ),
        (
            "a root is given to another object",
            |table| {
                let mut host = (*table.hosts["a.example.com"]).clone();
                host.root = name("other");
                add_host(table, host);
            },
            &[(Route, "ingress_http")],
        ),
    ];
    for (what, edit, want) in cases {
        let mut world = World::new();
        world.edit(whole);
        let Names { set, removed } = world.edit(edit);
        let want: Vec<_> = want
            .iter()
            .map(|(kind, name)| (*kind, (*name).to_owned()))
            .collect();
        assert_eq!((set, removed), (want, vec![]), "{what}");
    }
}

#[test]
fn a_host_with_the_least_tls_version_leaves_the_listener_as_it_is() {
    let add = |table: &mut Table, fqdn: &str| {
        let https = terminate("cert", TlsVersion::V1_1, vhost([("/", plain("web"))]));
        add_host(table, host(fqdn, Vhost::default(), Some(https)));
    };
    let mut world = World::new();
    world.edit(|table| add(table, "a.example.com"));
    let Names { set, removed: _ } = world.edit(|table| add(table, "b.example.com"));
    assert!(
        !set.iter().any(|(kind, _)| *kind == ResourceType::Listener),
        "{set:?}"
    );
}
