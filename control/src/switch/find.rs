//! Where to edit: a delegating route in the text of its file.

use crate::{
    edit,
    load::Loaded,
    manifests::{Directory, Documents, Node, documents, objects},
    place,
};
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use switchyard_core::{
    Name, Object, ObjectId,
    ingressroute::{Delegate, Route},
    object::{IngressRoute, Kind},
    path,
};

/// The delegating route that is meant.
pub(super) struct Spot {
    pub(super) file: PathBuf,
    pub(super) line: usize,
    pub(super) owner: Name,
    pub(super) prefix: String,
    /// Where the branches are.
    pub(super) namespace: String,
    pub(super) active: String,
    /// As it was when the delegate was found in it.
    text: String,
    delegate: Node,
}

/// Which IngressRoute is meant by what the command line says.
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
        "there is no IngressRoute {name}, and no host {root}. There are: {}",
        known.join(", ")
    )
}

/// The one route of an IngressRoute that delegates, or the one with this match.
pub(super) fn spot(directory: &Directory, owner: &Name, matched: Option<&str>) -> Result<Spot> {
    let (file, entry) = directory
        .entry(&id(owner))
        .context("the IngressRoute went away")?;
    refuse_broken(directory, file)?;
    let Object::IngressRoute(ingress_route) = &entry.object else {
        bail!("{owner} is no IngressRoute")
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

/// A file that control cannot read is not edited: control would not see it.
fn refuse_broken(directory: &Directory, file: &str) -> Result<()> {
    match directory
        .problems()
        .into_iter()
        .find(|problem| problem.is_error() && *problem.file == *file)
    {
        Some(problem) => bail!("{problem}\nmend that first: control goes on with what the file said before"),
        None => Ok(()),
    }
}

/// The index of the one route that delegates, or of the one with this match.
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
        [] if matched.is_some() => bail!("{name} has no route with that match that delegates"),
        [] => bail!("{name} has no route that delegates"),
        several => {
            let matches: Vec<_> = several.iter().map(|(_, route)| route.match_.as_str()).collect();
            bail!(
                "{name} has several routes that delegate: name one of {}",
                matches.join(", ")
            )
        }
    }
}

fn read_spot(file: &Path, ingress_route: &IngressRoute, index: usize) -> Result<Spot> {
    let IngressRoute {
        name: owner, spec, ..
    } = ingress_route;
    let route = spec.routes.get(index).context("the route went away")?;
    let Some(Delegate { name, namespace, .. }) = &route.delegate else {
        bail!("the route does not delegate")
    };
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let delegate =
        delegate_node(file, &text, owner, index).context("the file has just changed: try again")?;
    Ok(Spot {
        file: file.to_owned(),
        line: delegate.get("name").map_or(1, |name| name.span.position.line),
        text,
        owner: owner.clone(),
        prefix: route.match_.clone(),
        namespace: if namespace.is_empty() {
            owner.namespace.to_string()
        } else {
            namespace.clone()
        },
        active: name.clone(),
        delegate,
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

// === impl Spot ===

impl Spot {
    /// Makes `branch` the active one, in the file.
    pub(super) fn edit(&self, branch: &str) -> Result<()> {
        let changes = edit::activate(&self.delegate, branch);
        let edited = changes.and_then(|changes| edit::apply(&self.text, &changes));
        let edited = edited.with_context(|| format!("{}:{}", self.file.display(), self.line))?;
        edit::write(&self.file, &edited)
    }
}
