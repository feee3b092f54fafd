//! A file of manifests, from anyone: it is read or refused, in bounds; what routing makes of it holds together; and an
//! edit changes what it was to change alone.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchyard::{
    edit,
    manifests::{Documents, File, Node, documents, objects, read},
};
use switchyard_core::{Graph, Settings};

fuzz_target!(|text: &str| {
    for name in ["f.yaml", "f.json"] {
        let file = read(&name.into(), text);
        // A bare carriage return ends a line of YAML, too.
        let lines = text.matches(['\n', '\r']).count() + 1;
        for problem in &file.problems {
            assert!((1..=lines + 1).contains(&problem.position.line), "{problem}");
        }
        route(file);
    }
    let Documents { documents, error } = documents(text, false);
    if error.is_none() {
        documents
            .iter()
            .flat_map(objects)
            .flat_map(delegates)
            .for_each(|delegate| toggle(text, delegate));
    }
});

fn route(file: File) {
    let mut graph = Graph::new(Settings::default());
    for entry in file.entries.into_values() {
        graph.apply(entry.object);
    }
    graph.commit();
    let table = graph.table();
    let of_hosts = table.hosts.values().flat_map(|host| host.policy_keys());
    let of_switches = table.switches.values().flat_map(|switch| switch.policy_keys());
    for key in of_hosts.chain(of_switches) {
        assert!(table.policies.contains_key(key), "{key}");
        assert!(graph.policy_place(key).is_some(), "{key}");
    }
}

fn delegates(object: &Node) -> impl Iterator<Item = &Node> {
    let routes = object
        .get("spec")
        .and_then(|spec| spec.get("routes"))
        .map(Node::items)
        .unwrap_or_default();
    routes.iter().filter_map(|route| route.get("delegate"))
}

fn toggle(text: &str, delegate: &Node) {
    let Ok(changes) = edit::activate(delegate, "green") else {
        return;
    };
    let Ok(edited) = edit::apply(text, &changes) else {
        return;
    };
    let read = documents(&edited, false);
    assert_eq!(read.error, None, "{edited:?}");
    let mut found = read.documents.iter().flat_map(objects).flat_map(delegates);
    let green = |delegate: &Node| delegate.get("name").and_then(Node::text) == Some("green");
    assert!(found.any(green), "{edited:?}");
}
