//! A delegating route in the text of its file, and its edit.

use crate::{
    edit,
    load::Loaded,
    manifests::{Directory, Documents, Node, documents, objects},
    place,
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use switchyard_core::{
    Name, Object, ObjectId,
    ingressroute::{Activation, Delegate, Route},
    object::{IngressRoute, Kind},
    path,
};

/// The delegating route to switch.
pub(super) struct FileRoute {
    pub(super) file: PathBuf,
    pub(super) line: usize,
    pub(super) owner: Name,
    pub(super) prefix: String,
    /// The namespace of the branches.
    pub(super) namespace: String,
    pub(super) delegate: Delegate,
    /// The text of the file, as it was when the delegate was found.
    text: String,
    node: Node,
    /// The index of the route.
    index: usize,
}

/// Finds the IngressRoute that the command line names.
pub(super) fn owner(loaded: &Loaded, root: &str, namespace: &str) -> Result<Name> {
    let name = place::name(root, namespace);
    let known: BTreeSet<_> = loaded.graph.statuses().map(|(name, _)| name.clone()).collect();
    if known.contains(&name) {
        return Ok(name);
    }
    if let Some(host) = loaded.graph.table().hosts.get(root.to_ascii_lowercase().as_str()) {
        return Ok(host.root.clone());
    }
    let known: Vec<_> = known.iter().map(Name::to_string).collect();
    bail!(
        "no IngressRoute {name} and no host {root} found; known IngressRoutes: {}",
        known.join(", ")
    )
}

/// Finds the only delegating route of an IngressRoute, or the one with this match.
pub(super) fn spot(directory: &Directory, owner: &Name, matched: Option<&str>) -> Result<FileRoute> {
    let (file, entry) = directory
        .entry(&id(owner))
        .context("the IngressRoute was removed")?;
    refuse_broken(directory, file)?;
    let Object::IngressRoute(ingress_route) = &entry.object else {
        bail!("{owner} is not an IngressRoute")
    };
    let index = find_route(ingress_route, matched)?;
    read_spot(&directory.path().join(&**file), ingress_route, index)
}

fn id(name: &Name) -> ObjectId {
    ObjectId {
        kind: Kind::IngressRoute,
        name: name.clone(),
    }
}

/// Fails for a file that control cannot parse: control would not see an edit.
fn refuse_broken(directory: &Directory, file: &str) -> Result<()> {
    match directory
        .diagnostics()
        .into_iter()
        .find(|diagnostic| diagnostic.is_error() && *diagnostic.file == *file)
    {
        Some(diagnostic) => {
            bail!("{diagnostic}\nfix this first: until then, control ignores changes of the file")
        }
        None => Ok(()),
    }
}

/// The index of the only delegating route, or of the one with this match.
pub(super) fn find_route(ingress_route: &IngressRoute, matched: Option<&str>) -> Result<usize> {
    let IngressRoute { name, spec, .. } = ingress_route;
    let delegating = spec
        .routes
        .iter()
        .enumerate()
        .filter(|(_, route)| route.delegate.is_some());
    let is_meant = |route: &Route| {
        matched.is_none_or(|matched| path::normalise(matched) == path::normalise(&route.match_))
    };
    let meant: Vec<_> = delegating.filter(|(_, route)| is_meant(route)).collect();
    match &meant[..] {
        [(index, _)] => Ok(*index),
        [] if matched.is_some() => bail!("{name} has no delegating route with this match"),
        [] => bail!("{name} has no delegating route"),
        several => {
            let matches: Vec<_> = several.iter().map(|(_, route)| route.match_.as_str()).collect();
            bail!(
                "{name} has several delegating routes: pass MATCH, one of {}",
                matches.join(", ")
            )
        }
    }
}

fn read_spot(file: &Path, ingress_route: &IngressRoute, index: usize) -> Result<FileRoute> {
    let IngressRoute {
        name: owner, spec, ..
    } = ingress_route;
    let route = spec.routes.get(index).context("the route was removed")?;
    let delegate = route.delegate.clone().context("the route does not delegate")?;
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let node = delegate_node(file, &text, owner, index)
        .context("the file has changed in the meantime: try again")?;
    Ok(FileRoute {
        file: file.to_owned(),
        line: node.get("name").map_or(1, |name| name.span.position.line),
        text,
        owner: owner.clone(),
        prefix: route.match_.clone(),
        namespace: if delegate.namespace.is_empty() {
            owner.namespace.to_string()
        } else {
            delegate.namespace.clone()
        },
        delegate,
        node,
        index,
    })
}

/// The delegate in the text of its file.
fn delegate_node(file: &Path, text: &str, owner: &Name, index: usize) -> Option<Node> {
    let json = file.extension().is_some_and(|extension| extension == "json");
    let Documents { documents, error: _ } = documents(text, json);
    let mut objects = documents.iter().flat_map(objects);
    let object = objects.find(|object| is_ingress_route(object, owner))?;
    object
        .get("spec")?
        .get("routes")?
        .items()
        .get(index)?
        .get("delegate")
        .cloned()
}

fn is_ingress_route(object: &Node, Name { namespace, name }: &Name) -> bool {
    let text = |field| {
        object
            .get("metadata")
            .and_then(|metadata| metadata.get(field)?.text())
    };
    object.get("kind").and_then(Node::text) == Some(Kind::IngressRoute.as_str())
        && text("name") == Some(name)
        && text("namespace")
            .filter(|text| !text.is_empty())
            .unwrap_or("default")
            == &**namespace
}

// === impl FileRoute ===

impl FileRoute {
    /// Activates a branch in the file.
    pub(super) fn edit(&self, activation: &Activation) -> Result<()> {
        let changes = edit::activate(&self.node, activation);
        let edited = changes.and_then(|changes| edit::apply(&self.text, &changes));
        let edited = edited.and_then(|edited| self.verified(edited, activation));
        let edited = edited.with_context(|| format!("{}:{}", self.file.display(), self.line))?;
        edit::write(&self.file, &edited)
    }

    /// Returns the edited text, if it parses to the wanted delegate.
    fn verified(&self, edited: String, activation: &Activation) -> Result<String> {
        let node = delegate_node(&self.file, &edited, &self.owner, self.index);
        let found = node.and_then(|node| serde_json::from_value::<Delegate>(node.to_value()).ok());
        let mut wanted = self.delegate.clone();
        activation.apply(&mut wanted);
        ensure!(
            found.as_ref() == Some(&wanted),
            "the delegate cannot be edited automatically: edit the file by hand"
        );
        Ok(edited)
    }
}
