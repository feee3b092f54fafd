//! A file of manifests, from anyone: it is read or refused, in bounds; and an edit changes what it was to change alone.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchyard::{
    edit,
    manifests::{Documents, Node, documents, objects, read},
};

fuzz_target!(|text: &str| {
    for name in ["f.yaml", "f.json"] {
        let file = read(&name.into(), text);
        // A bare carriage return ends a line of YAML, too.
        let lines = text.matches(['\n', '\r']).count() + 1;
        for problem in &file.problems {
            assert!((1..=lines + 1).contains(&problem.position.line), "{problem}");
        }
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
