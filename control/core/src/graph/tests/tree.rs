//! The tree that people look at.

use super::*;
use crate::{
    status::State,
    tree::{Branch, Root, Route, Tree, Way, tree},
};

/// One line for each node, indented by depth.
fn outline(tree: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    for Root {
        name,
        state,
        fqdn,
        routes,
        ..
    } in &tree.roots
    {
        lines.push(format!("{name} {state} {}", fqdn.as_deref().unwrap_or("-")));
        push(&mut lines, routes, 1);
    }
    lines.extend(tree.orphans.iter().map(|name| format!("{name} orphaned")));
    lines
}

fn push(lines: &mut Vec<String>, routes: &[Route], depth: usize) {
    let indent = "  ".repeat(depth);
    for Route { prefix, way } in routes {
        match way {
            Way::Services(clusters) => {
                let services: Vec<_> = shares(clusters).into_iter().map(|(service, _)| service).collect();
                lines.push(format!("{indent}{prefix} -> {}", services.join(" ")));
            }
            Way::Repeated(key) => lines.push(format!("{indent}{prefix} -> as {key}")),
            Way::Unavailable { reason } => {
                lines.push(format!(
                    "{indent}{prefix} -> 503 {}",
                    reason.as_deref().unwrap_or_default()
                ));
            }
            Way::Delegated { mount, branches } => {
                lines.push(format!("{indent}{prefix} at {mount}"));
                for Branch {
                    name,
                    active,
                    choices: _,
                    state,
                    routes,
                } in branches
                {
                    let role = if *active { "active" } else { "standby" };
                    lines.push(format!("{indent}  {name} {role} {state}"));
                    push(lines, routes, depth + 2);
                }
            }
        }
    }
}

#[test]
fn a_tree_shows_every_root_branch_and_orphan() {
    let mount = |match_: &str| json!({"match": match_, "prefixRewrite": "/", "delegate": {"name": "deep"}});
    let switching = json!({"match": "/", "delegate": {"name": "blue", "standby": ["green"]}});
    let graph = graph([
        root("root", "example.com", json!([switching, leaf("/plain")])),
        root("shut", "*.com", json!([leaf("/")])),
        delegate("blue", json!([leaf("/"), mount("/a"), mount("/b")])),
        delegate("green", json!([leaf("/"), {"match": "/bad"}])),
        delegate("deep", json!([to("/", "deepest")])),
        delegate("deepest", json!([leaf("/")])),
        delegate("lost", json!([leaf("/")])),
        service("home"),
    ]);
    let want = [
        "default/root valid example.com",
        "  / at /",
        "    default/blue active valid",
        "      / -> home",
        "      /a at /",
        "        default/deep active valid",
        "          / at /",
        "            default/deepest active valid",
        "              / -> home",
        "      /b at /",
        "        default/deep active valid",
        "          / -> as example.com default/deep/",
        "    default/green standby invalid",
        "      / -> home",
        "      /bad -> 503 route \"/bad\": either services or delegate must be specified",
        "  /plain -> home",
        "default/shut invalid -",
        "default/lost orphaned",
    ];
    assert_eq!(outline(&tree(&graph)), want);
}

#[test]
fn a_host_with_tls_is_shown_as_its_tls_port_serves_it() {
    let graph = graph([
        tls_root("root", "example.com", json!([leaf("/")])),
        service("home"),
        tls_secret("cert"),
    ]);
    let tree = tree(&graph);
    assert_eq!(tree.roots[0].tls, crate::tree::Security::Terminated);
    assert_eq!(tree.roots[0].state, State::Valid);
    assert!(matches!(tree.roots[0].routes[0].way, Way::Services(_)));
}
