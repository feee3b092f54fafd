//! Several roots that claim one host: the oldest owns it.

use super::*;
use crate::status::{State, Status};

const FQDN: &str = "example.com";

fn at(seconds: i64, object: Object) -> Object {
    let Object::IngressRoute(object) = object else {
        panic!("only IngressRoutes have an age here")
    };
    let created = Created::At(seconds);
    Object::from(IngressRoute { created, ..*object })
}

fn claimant(text: &str, routes: Value) -> Object {
    root(text, FQDN, routes)
}

fn owner(graph: &Graph) -> String {
    host(graph, FQDN).root.to_string()
}

fn status(graph: &Graph, text: &str) -> Status {
    graph.status(&name(text)).unwrap().clone()
}

/// Asserts that exactly one of the roots is served, and that all others name it in their status.
fn check_owner(graph: &Graph, expected: &str, others: &[&str]) {
    assert_eq!(owner(graph), expected);
    assert!(
        status(graph, expected)
            .errors
            .iter()
            .all(|error| error.field != "spec.virtualhost.fqdn")
    );
    for other in others {
        let Status { state, errors, .. } = status(graph, other);
        assert_eq!(state, State::Invalid, "{other}");
        assert_eq!(errors.len(), 1, "{other}: {errors:?}");
        assert_eq!(errors[0].field, "spec.virtualhost.fqdn");
        let belongs = format!("host example.com belongs to IngressRoute {expected}, which is older");
        assert!(errors[0].message.starts_with(&belongs), "{}", errors[0].message);
    }
}

type Edit = fn(&mut Graph);

#[test]
fn oldest_root_owns_the_host() {
    let routes = || json!([leaf("/")]);
    let unknown = |text: &str| claimant(text, routes());
    let dated = |text: &str, seconds| at(seconds, claimant(text, routes()));
    let cases = [
        (
            "the earlier second",
            vec![dated("a/x", 9), dated("b/x", 8)],
            "b/x",
        ),
        ("before 1970", vec![dated("a/x", 0), dated("b/x", -1)], "b/x"),
        (
            "same second: namespace",
            vec![dated("b/a", 8), dated("a/b", 8)],
            "a/b",
        ),
        ("same second: name", vec![dated("a/y", 8), dated("a/x", 8)], "a/x"),
        (
            "without a timestamp: namespace",
            vec![unknown("b/a"), unknown("a/b")],
            "a/b",
        ),
        (
            "without a timestamp: name",
            vec![unknown("a/y"), unknown("a/x")],
            "a/x",
        ),
        (
            "a timestamp before none",
            vec![unknown("a/x"), dated("b/x", i64::MAX)],
            "b/x",
        ),
    ];
    for (rule, roots, expected) in cases {
        let names: Vec<_> = roots.iter().map(|root| root.id().name.to_string()).collect();
        let others: Vec<_> = names
            .iter()
            .map(String::as_str)
            .filter(|name| *name != expected)
            .collect();
        let services = [service("a/home"), service("b/home")];
        for reversed in [false, true] {
            let mut objects: Vec<_> = roots.iter().cloned().chain(services.clone()).collect();
            if reversed {
                objects.reverse();
            }
            println!("{rule}, reversed: {reversed}");
            check_owner(&graph(objects), expected, &others);
        }
    }
}

#[test]
fn later_claim_changes_nothing_for_the_owner() {
    let mut graph = graph([
        at(1, claimant("platform/www", json!([to("/", "platform/blue")]))),
        delegate("platform/blue", json!([leaf("/")])),
        service("platform/home"),
        service("tenant/home"),
    ]);
    let before = graph.table().clone();
    let change = apply(
        &mut graph,
        [
            at(2, claimant("tenant/thief", json!([leaf("/"), leaf("/admin")]))),
            at(2, tls_root("tenant/tls", "EXAMPLE.com", json!([leaf("/")]))),
        ],
    );
    assert_eq!(change.hosts, BTreeSet::new());
    assert_eq!(change.switches, BTreeSet::new());
    assert_eq!(change.statuses, [name("tenant/thief"), name("tenant/tls")].into());
    assert_eq!(graph.table().hosts, before.hosts);
    check_owner(&graph, "platform/www", &["tenant/thief", "tenant/tls"]);
}

#[test]
fn host_goes_to_the_next_oldest_at_once() {
    let start = || {
        graph([
            at(1, claimant("a/first", json!([leaf("/")]))),
            at(2, claimant("b/second", json!([leaf("/")]))),
            at(3, claimant("c/third", json!([leaf("/")]))),
            service("a/home"),
            service("b/home"),
            service("c/home"),
        ])
    };
    let leave: [(&str, Edit); 4] = [
        ("deleted", |graph| {
            graph.delete(&id(Kind::IngressRoute, "a/first"));
        }),
        ("another host", |graph| {
            graph.apply(at(1, root("a/first", "other.com", json!([leaf("/")]))));
        }),
        ("no root any more", |graph| {
            graph.apply(at(1, delegate("a/first", json!([leaf("/")]))));
        }),
        ("a host name that is none", |graph| {
            graph.apply(at(1, root("a/first", "*.com", json!([leaf("/")]))));
        }),
    ];
    for (how, leave) in leave {
        let mut graph = start();
        check_owner(&graph, "a/first", &["b/second", "c/third"]);
        leave(&mut graph);
        let change = graph.commit();
        println!("{how}");
        assert!(change.hosts.contains(FQDN), "{how}");
        check_owner(&graph, "b/second", &["c/third"]);
        apply(&mut graph, [at(1, claimant("a/first", json!([leaf("/")])))]);
        check_owner(&graph, "a/first", &["b/second", "c/third"]);
    }
}

#[test]
fn deleted_and_created_again_is_younger() {
    let mut graph = graph([
        at(1, claimant("a/first", json!([leaf("/")]))),
        at(2, claimant("b/second", json!([leaf("/")]))),
        service("a/home"),
        service("b/home"),
    ]);
    // The watch may miss the deletion: what it sees is the same object with another timestamp.
    let change = apply(&mut graph, [at(3, claimant("a/first", json!([leaf("/")])))]);
    assert_eq!(change.hosts, [FQDN.into()].into());
    check_owner(&graph, "b/second", &["a/first"]);
}

#[test]
fn owner_in_error_keeps_the_host() {
    let younger = || at(2, claimant("b/second", json!([leaf("/")])));
    let owners = [
        (
            "no Service",
            claimant(
                "a/first",
                json!([{"match": "/", "services": [{"name": "gone", "port": 1}]}]),
            ),
        ),
        ("no routes", claimant("a/first", json!([]))),
        ("no certificate", tls_root("a/first", FQDN, json!([leaf("/")]))),
        ("no delegate", claimant("a/first", json!([to("/", "a/gone")]))),
    ];
    for (wrong, owner) in owners {
        println!("{wrong}");
        let graph = graph([at(1, owner), younger(), service("a/home"), service("b/home")]);
        check_owner(&graph, "a/first", &["b/second"]);
    }
}

#[test]
fn root_that_may_not_serve_claims_nothing() {
    let settings = Settings {
        root_namespaces: ["b".to_owned(), "c".to_owned()].into(),
        ..Settings::default()
    };
    let graph = graph_with(
        settings,
        [
            at(1, claimant("a/elsewhere", json!([leaf("/")]))),
            at(2, claimant("b/second", json!([leaf("/")]))),
            at(3, claimant("c/third", json!([leaf("/")]))),
            service("b/home"),
            service("c/home"),
        ],
    );
    check_owner(&graph, "b/second", &["c/third"]);
    let fields: Vec<_> = status(&graph, "a/elsewhere").errors;
    assert!(
        fields.iter().all(|error| error.field != "spec.virtualhost.fqdn"),
        "{fields:?}"
    );
}

#[test]
fn claimants_cost_what_they_say_and_no_more() {
    const CLAIMANTS: usize = 2_000;
    let claim = |index: usize, routes| claimant(&format!("ns-{index:04}/root"), routes);
    let mut graph = Graph::default();
    // The oldest comes last, so that every one of them is the owner for a while.
    for index in (0..CLAIMANTS).rev() {
        graph.apply(claim(index, json!([leaf("/")])));
    }
    graph.apply(root("other", "other.com", json!([leaf("/")])));
    assert_eq!(graph.commit().derived, CLAIMANTS + 1);
    assert_eq!(owner(&graph), "ns-0000/root");

    let later = apply(&mut graph, [claim(1_000, json!([leaf("/"), leaf("/more")]))]);
    assert_eq!((later.derived, later.hosts), (1, [].into()));
    assert_eq!(later.statuses, [name("ns-1000/root")].into());
    let owners = apply(&mut graph, [claim(0, json!([leaf("/"), leaf("/more")]))]);
    assert_eq!((owners.derived, owners.hosts), (1, [FQDN.into()].into()));
    let others = apply(&mut graph, [root("other", "other.com", json!([leaf("/more")]))]);
    assert_eq!((others.derived, others.hosts), (1, ["other.com".into()].into()));
    graph.delete(&id(Kind::IngressRoute, "ns-1000/root"));
    assert_eq!(graph.commit().derived, 1);
    // All are told who the owner is now, once.
    graph.delete(&id(Kind::IngressRoute, "ns-0000/root"));
    assert_eq!(graph.commit().derived, CLAIMANTS - 1);
    assert_eq!(owner(&graph), "ns-0001/root");
}

#[test]
fn switch_on_a_root_without_its_host_is_refused() {
    let mut graph = graph([
        at(1, claimant("a/first", json!([leaf("/")]))),
        at(2, claimant("b/second", json!([to("/", "b/blue")]))),
        delegate("b/blue", json!([leaf("/")])),
        delegate("b/green", json!([leaf("/")])),
        service("a/home"),
        service("b/home"),
        slice("b/home-1", "home", &["10.0.0.1"]),
    ]);
    let blockers = graph.dry_run(&name("b/second"), "/", "green").unwrap();
    let blockers: Vec<_> = blockers.iter().map(ToString::to_string).collect();
    assert_eq!(blockers.len(), 1, "{blockers:?}");
    assert!(
        blockers[0].starts_with(
            "IngressRoute b/second: spec.virtualhost.fqdn: host example.com belongs to IngressRoute a/first"
        ),
        "{blockers:?}"
    );
}
