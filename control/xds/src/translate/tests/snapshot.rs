//! What tables become, whole.

use super::*;
use crate::{json::to_json, sections::Code};
use std::time::Duration;
use switchyard_core::table::{
    Canary, HealthCheck, Preview, Retry, Sticky, TcpProxy, Timeout, UpstreamValidation,
};
use switchyard_policy::config::policy::{KeyPart, LocalLimit, Mirror, RateLimit};

/// The resources that `edit` made, in people's JSON, but for those that are always there.
fn snapshot(name: &str, edit: impl FnOnce(&mut Table)) {
    let mut world = World::new();
    let Names { set, removed: _ } = world.edit(edit);
    let code = Code::File {
        path: "/etc/switchyard/switchyard.wasm".to_owned(),
    };
    let json = set.iter().map(|(kind, name)| {
        let resource = to_json(*kind, world.resource(*kind, name), &code).unwrap();
        (format!("{kind:?} {name}"), resource)
    });
    insta::assert_yaml_snapshot!(name, Value::Object(json.collect()));
}

#[test]
fn without_objects() {
    let world = World::new();
    let code = Code::File {
        path: "/etc/switchyard/switchyard.wasm".to_owned(),
    };
    let others: Vec<_> = Shard::all().skip(1).map(|shard| shard.to_string()).collect();
    let held = world
        .held
        .iter()
        .filter(|((_, name), _)| !others.contains(&name.to_string()));
    let json = held.map(|((kind, name), resource)| {
        (
            format!("{kind:?} {name}"),
            to_json(*kind, resource, &code).unwrap(),
        )
    });
    insta::assert_yaml_snapshot!(Value::Object(json.collect()));
}

#[test]
fn plain_route() {
    snapshot("plain_route", |table| {
        add_cluster(table, "web");
        add_host(
            table,
            host(
                "a.example.com",
                vhost([("/", plain("web")), ("/broken", HostRoute::Unavailable)]),
                None,
            ),
        );
    });
}

#[test]
fn weights() {
    snapshot("weights", |table| {
        let route = HostRoute::Plain(Box::new(ServiceRoute {
            template: Template {
                retry: Some(Retry {
                    count: 2,
                    per_try_timeout: None,
                }),
                ..Template::default()
            },
            clusters: vec![share("web", 90), share("next", 10)],
            rewrite: None,
            policies: vec![],
            sample: Sample::ALL,
        }));
        add_host(table, host("a.example.com", vhost([("/", route)]), None));
    });
}

#[test]
fn rewrite() {
    snapshot("rewrite", |table| {
        let to = |rewrite: &str| {
            HostRoute::Plain(Box::new(ServiceRoute {
                template: Template::default(),
                clusters: vec![share("web", 1)],
                rewrite: Some(rewrite.into()),
                policies: vec![],
                sample: Sample::ALL,
            }))
        };
        add_host(
            table,
            host(
                "a.example.com",
                vhost([("/strip", to("/")), ("/move", to("/app"))]),
                None,
            ),
        );
    });
}

#[test]
fn switch_of_a_host_with_tls() {
    snapshot("switch_of_a_host_with_tls", |table| {
        let websockets = Template {
            websockets: true,
            ..Template::default()
        };
        let slow = Template {
            timeout: Some(Timeout::Infinite),
            session_affinity: true,
            ..Template::default()
        };
        let key = SwitchKey("a.example.com/app".into());
        let switch = Switch {
            prefix: "/app".into(),
            preview: Some(Preview {
                header: "x-preview".into(),
                value: "yes".into(),
                branch: name("green"),
            }),
            canary: Some(Canary {
                percent: 5,
                branch: name("green"),
            }),
            sticky: Some(Sticky {
                cookie: "branch".into(),
                ttl_seconds: Some(60),
            }),
            branches: ["blue", "green"]
                .map(|service| (name(service), varied_branch(service, &websockets)))
                .into(),
            ..switch("blue", "green")
        };
        table.switches.insert(key.clone(), Arc::new(switch));
        table.certificates.insert(name("cert"), certificate("the chain"));
        let routes = Vhost {
            templates: BTreeSet::from([Template::default(), websockets, slow]),
            ..vhost([("/app", HostRoute::Switch(key))])
        };
        let https = terminate("cert", TlsVersion::V1_2, routes.clone());
        add_host(table, host("a.example.com", routes, Some(https)));
    });
}

/// One target of each kind.
fn varied_branch(service: &str, template: &Template) -> Branch {
    let leaf = Leaf {
        template: template.clone(),
        clusters: vec![share(service, 3), share("canary", 1)],
        rewrite: Some("/v2".into()),
        policy: None,
    };
    let idle = Leaf {
        clusters: vec![],
        ..leaf.clone()
    };
    let targets = [
        ("/", Target::Leaf(leaf)),
        (
            "/below",
            Target::Switch(SwitchKey("a.example.com default/blue/below".into())),
        ),
        ("/idle", Target::Leaf(idle)),
        ("/secure", Target::HttpsRedirect),
        ("/wrong", Target::Unavailable("no such service".into())),
    ];
    let routes =
        targets.map(|(prefix, target)| (format!("/app{}", prefix.trim_end_matches('/')).into(), target));
    Branch {
        routes: routes.into(),
    }
}

#[test]
fn policies() {
    let limit = |requests| RateLimit {
        when: None,
        dry_run: false,
        status: 429,
        local: Some(LocalLimit {
            requests,
            per_seconds: 60,
            burst: requests,
            key: vec![KeyPart::ClientIp],
        }),
        global: None,
    };
    let mirror = Mirror {
        cluster: cluster_name("copy").to_string(),
        percent: 10,
        when: None,
    };
    snapshot("policies", |table| {
        add_cluster(table, "copy");
        let of_host = Policy {
            rate_limits: vec![limit(100)],
            mirror: vec![mirror],
            ..Policy::default()
        };
        add_policy(table, "root virtualhost", of_host);
        let of_route = Policy {
            timeout_ms: Some(600_000),
            ..Policy::default()
        };
        add_policy(table, "root/app", of_route);
        let of_leaf = Policy {
            rate_limits: vec![limit(10)],
            ..Policy::default()
        };
        add_policy(table, "blue/app", of_leaf);
        let key = SwitchKey("a.example.com/app".into());
        let mut switch = Switch {
            prefix: "/app".into(),
            mount: "/app".into(),
            policies: vec![policy_key("root virtualhost"), policy_key("root/app")],
            ..switch("blue", "green")
        };
        let leaf = Leaf {
            template: Template::default(),
            clusters: vec![share("blue", 1)],
            rewrite: None,
            policy: Some(policy_key("blue/app")),
        };
        let branch = Branch {
            routes: BTreeMap::from([("/app".into(), Target::Leaf(leaf))]),
        };
        switch.branches = [name("blue"), name("green")]
            .map(|name| (name, branch.clone()))
            .into();
        table.switches.insert(key.clone(), Arc::new(switch));
        let routes = Vhost {
            templates: BTreeSet::from([Template::default()]),
            mirrors: 1,
            ..vhost([
                ("/", guarded("web", &["root virtualhost"])),
                ("/app", HostRoute::Switch(key)),
            ])
        };
        add_host(table, host("a.example.com", routes, None));
    });
}

#[test]
fn tcp() {
    snapshot("tcp", |table| {
        let proxy = |clusters: Vec<WeightedCluster>| TcpProxy { clusters };
        let decrypted = HostTls::TerminateTcp {
            tls: edge_tls("cert", TlsVersion::V1_3),
            proxy: proxy(vec![share("one", 1), share("two", 2), share("none", 0)]),
        };
        let passthrough = HostTls::Passthrough {
            proxy: proxy(vec![share("one", 1)]),
        };
        let nowhere = HostTls::Passthrough { proxy: proxy(vec![]) };
        for (fqdn, tls) in [
            ("a.example.com", decrypted),
            ("b.example.com", passthrough),
            ("c.example.com", nowhere),
        ] {
            add_host(table, host(fqdn, Vhost::default(), Some(tls)));
        }
    });
}

#[test]
fn clusters() {
    let health_check = HealthCheck {
        path: "/healthz".into(),
        host: "contour-envoy-healthcheck".into(),
        interval: Duration::from_secs(5),
        timeout: Duration::from_millis(1500),
        unhealthy_threshold: 3,
        healthy_threshold: 2,
    };
    let validation = |subject_name: &str| UpstreamValidation {
        ca: Arc::from(*b"the authority"),
        subject_name: subject_name.into(),
    };
    let limits = Limits {
        max_connections: Some(1),
        max_requests: Some(3),
        ..Limits::default()
    };
    let clusters = [
        Cluster {
            health_check: Some(health_check),
            strategy: Strategy::Cookie,
            ..cluster("checked")
        },
        Cluster {
            protocol: Protocol::H2,
            validation: Some(validation("web.default")),
            ..cluster("verified")
        },
        Cluster {
            protocol: Protocol::Tls,
            validation: Some(validation("10.0.0.1")),
            ..cluster("by-address")
        },
        Cluster {
            protocol: Protocol::H2c,
            limits,
            strategy: Strategy::WeightedLeastRequest,
            ..cluster("limited")
        },
        Cluster {
            protocol: Protocol::Tls,
            server_name: Some("api.example.com".into()),
            strategy: Strategy::Random,
            ..cluster("external")
        },
    ];
    snapshot("clusters", |table| {
        table.clusters = clusters
            .map(|cluster| (cluster.name.clone(), Arc::new(cluster)))
            .into();
        let known = table
            .clusters
            .values()
            .filter(|cluster| cluster.server_name.is_none());
        table.endpoints = known
            .map(|cluster| (cluster.name.clone(), Arc::default()))
            .collect();
    });
}
