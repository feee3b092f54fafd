//! The delegation tree as a drawing, in Graphviz' DOT.
//!
//! Hosts, IngressRoutes and services are nodes; routes are edges, bold to the active branch. An IngressRoute that
//! several hosts delegate to is drawn below each of them, as in `switchyard tree`.

use super::clusters::clusters;
use switchyard_core::{
    status::State,
    tree::{Branch, Root, Route, Tree, Way},
};

/// A drawing in progress.
#[derive(Debug, Default)]
struct Drawing {
    text: String,
    nodes: usize,
}

/// A node that was drawn.
#[derive(Clone, Copy, Debug)]
struct Node(usize);

/// The look of a node or an edge: additional attributes of DOT.
type Look = &'static str;

const HOST: Look = "shape=house";
const BRANCH: Look = "shape=box";
const BROKEN: Look = "shape=box, color=red";
const SERVICE: Look = "shape=ellipse";
const UNAVAILABLE: Look = "shape=octagon, color=red";
const REPEATED: Look = "shape=plaintext";
const ORPHAN: Look = "shape=box, style=dashed";
const ACTIVE: Look = "style=bold";
const STANDBY: Look = "style=dashed";
const PLAIN: Look = "style=solid";

/// Draws the whole tree.
pub(super) fn dot(Tree { roots, orphans }: &Tree) -> String {
    let mut drawing = Drawing::default();
    drawing
        .text
        .push_str("digraph switchyard {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\"];\n");
    roots.iter().for_each(|root| drawing.root(root));
    for orphan in orphans {
        drawing.node(&[&orphan.to_string(), "not delegated to"], ORPHAN);
    }
    drawing.text.push_str("}\n");
    drawing.text
}

// === impl Drawing ===

impl Drawing {
    fn root(
        &mut self,
        Root {
            name,
            state,
            fqdn,
            tls: _,
            routes,
            tcp,
        }: &Root,
    ) {
        let host = fqdn.as_deref().unwrap_or("(serves no host)");
        let look = if *state == State::Valid { HOST } else { BROKEN };
        let root = self.node(&[host, &name.to_string()], look);
        if !tcp.is_empty() {
            let service = self.node(&[&clusters(tcp)], SERVICE);
            self.edge(root, service, "tcp", PLAIN);
        }
        self.routes(root, routes);
    }

    /// Draws routes. Recurses as deep as delegations go, which is bounded.
    fn routes(&mut self, from: Node, routes: &[Route]) {
        for Route { prefix, way } in routes {
            match way {
                Way::Services(services) => self.end(from, prefix, &clusters(services), SERVICE),
                Way::Repeated(key) => self.end(from, prefix, &format!("as above ({key})"), REPEATED),
                Way::Unavailable { reason } => {
                    let reason = reason.as_deref().unwrap_or("see the status");
                    self.end(from, prefix, &format!("503: {reason}"), UNAVAILABLE);
                }
                Way::Delegated { mount, branches } => {
                    let label = if mount == prefix {
                        prefix.to_string()
                    } else {
                        format!("{prefix} (as {mount})")
                    };
                    branches
                        .iter()
                        .for_each(|branch| self.branch(from, &label, branch));
                }
            }
        }
    }

    fn branch(
        &mut self,
        from: Node,
        label: &str,
        Branch {
            name,
            active,
            choices: _,
            state,
            routes,
        }: &Branch,
    ) {
        let look = if *state == State::Valid { BRANCH } else { BROKEN };
        let branch = self.node(&[&name.to_string()], look);
        self.edge(from, branch, label, if *active { ACTIVE } else { STANDBY });
        self.routes(branch, routes);
    }

    /// Draws the end of a route.
    fn end(&mut self, from: Node, prefix: &str, label: &str, look: Look) {
        let node = self.node(&[label], look);
        self.edge(from, node, prefix, PLAIN);
    }

    /// Draws a node. Its ID is a number; its name is only in the label.
    fn node(&mut self, lines: &[&str], look: Look) -> Node {
        let node = Node(self.nodes);
        self.nodes += 1;
        let label: Vec<_> = lines.iter().map(|line| escape(line)).collect();
        let label = label.join("\\n");
        self.text
            .push_str(&format!("  n{} [label=\"{label}\", {look}];\n", node.0));
        node
    }

    fn edge(&mut self, Node(from): Node, Node(to): Node, label: &str, look: Look) {
        let label = escape(label);
        self.text
            .push_str(&format!("  n{from} -> n{to} [label=\"{label}\", {look}];\n"));
    }
}

/// Escapes a text for a quoted label, in which Graphviz reads escapes, as in `\N`, and entities, as in `&lt;`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '&' => escaped.push_str("&amp;"),
            '\n' => escaped.push_str("\\n"),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_core::{
        Name,
        table::{ClusterName, SwitchKey, WeightedCluster},
        tree::{Choices, Security},
    };

    #[test]
    fn dot_special_characters_are_escaped() {
        for (text, want) in [
            ("/plain", "/plain"),
            ("a\"b", "a\\\"b"),
            ("\\N", "\\\\N"),
            ("ends in \\", "ends in \\\\"),
            ("&lt;", "&amp;lt;"),
            ("two\nlines", "two\\nlines"),
            ("nul\0", "nul\u{fffd}"),
            ("größer <b>", "größer <b>"),
        ] {
            assert_eq!(escape(text), want);
        }
    }

    fn branch(name: &str, active: bool, state: State, way: Way) -> Branch {
        Branch {
            name: Name::new("default", name),
            active,
            choices: Choices::default(),
            state,
            routes: vec![Route {
                prefix: "/".into(),
                way,
            }],
        }
    }

    #[test]
    fn every_route_target_is_drawn() {
        let service = Way::Services(vec![WeightedCluster {
            cluster: ClusterName("default/blue/80/0123".into()),
            weight: 1,
        }]);
        let unavailable = Way::Unavailable {
            reason: Some("say \"why\"".into()),
        };
        let branches = vec![
            branch("blue", true, State::Valid, service),
            branch("green", false, State::Invalid, unavailable),
            branch(
                "red",
                false,
                State::Valid,
                Way::Repeated(SwitchKey("a.com/".into())),
            ),
        ];
        let root = Root {
            name: Name::new("default", "root"),
            state: State::Valid,
            fqdn: Some("a.com".into()),
            tls: Security::None,
            routes: vec![Route {
                prefix: "/x".into(),
                way: Way::Delegated {
                    mount: "/".into(),
                    branches,
                },
            }],
            tcp: vec![],
        };
        let tree = Tree {
            roots: vec![root],
            orphans: vec![Name::new("default", "alone")],
        };
        let want = r#"digraph switchyard {
  rankdir=LR;
  node [fontname="sans-serif"];
  edge [fontname="sans-serif"];
  n0 [label="a.com\ndefault/root", shape=house];
  n1 [label="default/blue", shape=box];
  n0 -> n1 [label="/x (as /)", style=bold];
  n2 [label="default/blue/80", shape=ellipse];
  n1 -> n2 [label="/", style=solid];
  n3 [label="default/green", shape=box, color=red];
  n0 -> n3 [label="/x (as /)", style=dashed];
  n4 [label="503: say \"why\"", shape=octagon, color=red];
  n3 -> n4 [label="/", style=solid];
  n5 [label="default/red", shape=box];
  n0 -> n5 [label="/x (as /)", style=dashed];
  n6 [label="as above (a.com/)", shape=plaintext];
  n5 -> n6 [label="/", style=solid];
  n7 [label="default/alone\nnot delegated to", shape=box, style=dashed];
}
"#;
        assert_eq!(dot(&tree), want);
    }
}
