//! Branches, their choice, and the templates that make a switch cheap.

use super::{derive::branch, policies::merged, *};
use crate::{
    status::State,
    table::{Canary, Template, Timeout},
};
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
    assert_eq!(switch.preview.as_ref().unwrap().branch, name("green"));
    let canary = Canary {
        percent: 5,
        branch: name("green"),
    };
    assert_eq!(switch.canary, Some(canary));
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
    assert_eq!((&switch.preview, &switch.canary), (&None, &None));
}

/// Statuses of `root`, `blue` and `green`, whichever of them is active.
fn edited_by_hand(mut delegate: Value, order: &[&str]) -> Graph {
    let mut graph = switching(delegate.clone());
    for active in order {
        delegate["name"] = json!(active);
        let route = json!({"match": "/", "delegate": delegate});
        apply(&mut graph, [root("root", "example.com", json!([route]))]);
        for of in ["root", active] {
            let status = graph.status(&name(of)).unwrap();
            assert_eq!(
                (status.state, &*status.errors),
                (State::Valid, &[][..]),
                "{delegate}"
            );
        }
    }
    graph
}

#[test]
fn an_edit_of_the_name_alone_is_valid_whatever_standby_lists() {
    let choices = json!({"preview": {"header": "x-preview", "value": "1"}, "canary": {"percent": 5}});
    let named = json!({
        "preview": {"header": "x-preview", "value": "1", "branch": "green"},
        "canary": {"percent": 5, "branch": "green"},
    });
    for standby in [
        json!(["blue", "green"]),
        json!(["green", "blue"]),
        json!(["green"]),
        json!(["green", "blue", "green", "blue"]),
    ] {
        for more in [json!({}), choices.clone(), named.clone()] {
            let delegate = merged(json!({"name": "blue", "standby": standby}), more);
            edited_by_hand(delegate, &["blue", "green", "blue", "green", "blue"]);
        }
    }
}

#[test]
fn a_listed_branch_stands_by_while_it_is_not_active() {
    for standby in [json!(["blue", "green"]), json!(["blue", "green", "blue"])] {
        let delegate = json!({"name": "blue", "standby": standby});
        let graph = edited_by_hand(delegate, &["green"]);
        let switch = switch(&graph, "example.com/");
        assert_eq!(
            (&switch.active, &*switch.standby),
            (&name("green"), &[name("blue")][..])
        );
        assert_eq!(graph.status(&name("blue")).unwrap().state, State::Valid);
    }
    // The one that is no longer named is on its own, and nobody else's fault.
    let graph = edited_by_hand(json!({"name": "blue", "standby": ["green"]}), &["green"]);
    let switch = switch(&graph, "example.com/");
    assert_eq!((&switch.active, &*switch.standby), (&name("green"), &[][..]));
    assert_eq!(graph.status(&name("blue")).unwrap().state, State::Orphaned);
}

/// The branches that a preview and a canary with these fields lead to while `active` is.
fn chosen(active: &str, standby: Value, branches: [&str; 2]) -> [Option<Name>; 2] {
    let [preview, canary] = branches;
    let graph = switching(json!({
        "name": active, "standby": standby,
        "preview": {"header": "x-preview", "value": "1", "branch": preview},
        "canary": {"percent": 5, "branch": canary},
    }));
    let switch = switch(&graph, "example.com/");
    [
        switch.preview_in_effect().map(|preview| preview.branch.clone()),
        switch.canary_in_effect().map(|canary| canary.branch.clone()),
    ]
}

#[test]
fn a_preview_and_a_canary_lead_to_their_branch_until_it_is_active() {
    let [blue, green] = ["blue", "green"].map(|branch| Some(name(branch)));
    for (active, standby, branches, want) in [
        ("blue", json!(["green"]), ["", ""], [&green, &green]),
        ("green", json!(["green"]), ["", ""], [&None, &None]),
        ("blue", json!(["blue", "green"]), ["", ""], [&green, &green]),
        (
            "blue",
            json!(["blue", "green"]),
            ["green", "green"],
            [&green, &green],
        ),
        (
            "green",
            json!(["blue", "green"]),
            ["green", "green"],
            [&None, &None],
        ),
        (
            "green",
            json!(["blue", "green"]),
            ["blue", "green"],
            [&blue, &None],
        ),
        (
            "green",
            json!(["blue", "green"]),
            ["green", "blue"],
            [&None, &blue],
        ),
        (
            "green",
            json!(["green", "missing", "blue"]),
            ["", "blue"],
            [&None, &blue],
        ),
        ("blue", json!(["green"]), ["blue", ""], [&None, &green]),
    ] {
        let found = chosen(active, standby.clone(), branches);
        assert_eq!(found.each_ref(), want, "{active} {standby} {branches:?}");
    }
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
        assert_eq!(switch(&graph, "example.com/").canary, None, "{wrong}");
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
