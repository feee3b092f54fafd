//! An arbitrary manifest file is read or rejected, with positions inside the file; the table that routing derives from
//! it is consistent; and editing a delegate results in a readable file with that change.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchyard::{
    edit,
    manifests::{Documents, File, Node, documents, objects, read},
};
use switchyard_core::{Graph, Settings, ingressroute::Delegate};

fuzz_target!(|text: &str| {
    for name in ["f.yaml", "f.json"] {
        let file = read(&name.into(), text);
        // In YAML, a carriage return alone also ends a line.
        let lines = text.matches(['\n', '\r']).count() + 1;
        for diagnostic in &file.diagnostics {
            assert!(
                (1..=lines + 1).contains(&diagnostic.position.line),
                "{diagnostic}"
            );
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
    let Ok(written) = serde_json::from_value::<Delegate>(delegate.to_value()) else {
        return;
    };
    let Ok(changes) = edit::activate(delegate, &written.activation("green")) else {
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
