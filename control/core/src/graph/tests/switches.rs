//! Branches, their choice, and the templates that make a switch cheap.

use super::{derive::branch, *};
use crate::table::{Template, Timeout};
use std::time::Duration;

/// `/` of example.com delegates as told; `blue` and `green` exist.
fn switching(delegate_fields: Value) -> Graph {
    let route = json!({"match": "/", "delegate": delegate_fields});
    graph([
        root("root", "example.com", json!([route])),
        delegate("blue", json!([leaf("/")])),
        delegate("green", json!([leaf("/")])),
        service("home"),
    ])
}

#[test]
fn branches_are_the_active_one_and_those_standing_by() {
    let graph = switching(json!({
        "name": "blue",
        "standby": ["green"],
        "preview": {"header": "X-Preview", "value": "green"},
        "canary": {"percent": 5},
        "sticky": {"cookie": "branch", "ttlSeconds": 60},
    }));
    let switch = switch(&graph, "example.com/");
    assert_eq!((&switch.root, &switch.owner), (&name("root"), &name("root")));
    assert_eq!(
        (&switch.active, &*switch.standby),
        (&name("blue"), &[name("green")][..])
    );
    assert_eq!(
        switch.branches.keys().collect::<Vec<_>>(),
        [&name("blue"), &name("green")]
    );
    assert_eq!(&*switch.preview.as_ref().unwrap().header, "x-preview");
    assert_eq!(switch.canary, 5);
    let sticky = switch.sticky.as_ref().unwrap();
    assert_eq!((&*sticky.cookie, sticky.ttl_seconds), ("branch", Some(60)));
}

#[test]
fn a_session_without_ttl_ends_with_the_browser() {
    let graph = switching(json!({"name": "blue", "sticky": {"cookie": "branch", "ttlSeconds": 0}}));
    assert_eq!(
        switch(&graph, "example.com/")
            .sticky
            .as_ref()
            .unwrap()
            .ttl_seconds,
        None
    );
}

/// Those who were to see green must not see red.
#[test]
fn no_other_standby_takes_the_place_of_a_missing_first_one() {
    let graph = switching(json!({
        "name": "blue",
        "standby": ["missing", "green"],
        "preview": {"header": "x-preview", "value": "1"},
        "canary": {"percent": 5},
    }));
    let switch = switch(&graph, "example.com/");
    assert_eq!(switch.standby, [name("green")]);
    assert_eq!((&switch.preview, switch.canary), (&None, 0));
}

#[test]
fn what_is_wrong_with_the_choice_leaves_the_active_branch_served() {
    for wrong in [
        json!({"name": "blue", "standby": ["missing"]}),
        json!({"name": "blue", "standby": ["root"]}),
        json!({"name": "blue", "standby": ["green"], "canary": {"percent": 200}}),
        json!({"name": "blue", "preview": {"header": "x", "value": "1"}}),
    ] {
        let graph = switching(wrong.clone());
        let served = target(&graph, "example.com/", "blue", "/");
        assert!(matches!(served, Some(Target::Leaf(_))), "{wrong}");
        assert_eq!(switch(&graph, "example.com/").canary, 0, "{wrong}");
    }
}

#[test]
fn without_its_active_branch_a_switch_is_none() {
    let graph = switching(json!({"name": "missing", "standby": ["green"]}));
    assert!(graph.table().switches.is_empty());
}

#[test]
fn switching_to_a_warm_orphan_changes_one_switch_and_nothing_else() {
    let spec = |active: &str| root("root", "example.com", json!([to("/", active)]));
    let timeout = json!([{"match": "/", "services": [{"name": "home", "port": 8080}],
        "timeoutPolicy": {"request": "3s"}}]);
    let mut graph = graph([
        spec("blue"),
        delegate("blue", json!([leaf("/")])),
        delegate("green", timeout),
        service("home"),
    ]);
    let change = apply(&mut graph, [spec("green")]);
    let statuses = [name("blue"), name("green")].into();
    let switches = [SwitchKey("example.com/".into())].into();
    let want = Change {
        switches,
        statuses,
        derived: 1,
        ..Change::default()
    };
    assert_eq!(change, want);
}

#[test]
fn a_host_offers_the_templates_of_delegates_that_could_be_switched_to() {
    let with_timeout = |seconds: u64| {
        json!([{"match": "/", "services": [{"name": "home", "port": 8080}],
            "timeoutPolicy": {"request": format!("{seconds}s")}}])
    };
    let template = |seconds| Template {
        timeout: Some(Timeout::After(Duration::from_secs(seconds))),
        ..Template::default()
    };
    let graph = graph([
        root("root", "example.com", json!([to("/", "blue")])),
        delegate("blue", with_timeout(1)),
        delegate("green", with_timeout(2)),
        delegate("elsewhere/red", with_timeout(3)),
        service("home"),
        service("elsewhere/home"),
    ]);
    let templates = &host(&graph, "example.com").http.templates;
    assert_eq!(*templates, [Template::default(), template(1), template(2)].into());
}

/// The same delegating route, wherever its owner is mounted, is the same switch.
#[test]
fn a_switch_below_several_mounts_is_one_switch() {
    let mounting =
        |match_: &str| json!({"match": match_, "prefixRewrite": "/", "delegate": {"name": "child"}});
    let graph = graph([
        root("root", "example.com", json!([mounting("/a"), mounting("/b")])),
        delegate("child", json!([to("/deep", "leaf")])),
        delegate("leaf", json!([leaf("/deep")])),
        service("home"),
    ]);
    let key = SwitchKey("example.com default/child/deep".into());
    for top in ["example.com/a", "example.com/b"] {
        assert_eq!(
            target(&graph, top, "child", "/deep"),
            Some(&Target::Switch(key.clone()))
        );
    }
    assert_eq!(branch(&graph, &key.0, "leaf"), [("/deep".to_owned(), "leaf")]);
}
