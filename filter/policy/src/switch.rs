//! A switch, made ready for requests.

use crate::{
    config::{self, Canary, Preview, Route, Sticky, Target},
    maps::Map,
    path, session,
};
use std::rc::Rc;

/// What [`config::Switch`] says, in the form in which requests ask for it.
#[derive(Clone, Debug)]
pub struct Switch {
    pub root: String,
    pub prefix: String,
    /// The same as `prefix` where nothing is rewritten.
    pub mount: String,
    pub active: Rc<Branch>,
    pub standby: Vec<Rc<Branch>>,
    pub preview: Option<Preview>,
    /// 0 to 100.
    pub canary: u8,
    pub sticky: Option<Sticky>,
    /// Keys, the outermost first.
    pub policies: Vec<String>,
}

/// One of the things that a switch can send traffic to.
#[derive(Clone, Debug)]
pub struct Branch {
    pub name: String,
    /// What a session's cookie calls it.
    pub token: String,
    routes: Map<String, Target>,
    /// Of the deepest prefix: a path has no need to be looked at beyond.
    depth: usize,
}

/// A switch names a branch that it does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no branch of the switch")]
pub struct UnknownBranch(String);

// === impl Switch ===

impl Switch {
    /// Every branch that traffic may be sent to, the active one first.
    pub fn branches(&self) -> impl Iterator<Item = &Rc<Branch>> {
        std::iter::once(&self.active).chain(&self.standby)
    }
}

impl TryFrom<config::Switch> for Switch {
    type Error = UnknownBranch;

    fn try_from(switch: config::Switch) -> Result<Self, UnknownBranch> {
        let config::Switch {
            root,
            prefix,
            mount,
            active,
            standby,
            preview,
            canary,
            sticky,
            policies,
            branches,
        } = switch;
        let branches = branches.into_iter().map(Branch::new).collect();
        Ok(Self {
            root,
            mount: mount.unwrap_or_else(|| prefix.clone()),
            prefix,
            active: branch(&branches, active)?,
            standby: standby
                .into_iter()
                .map(|name| branch(&branches, name))
                .collect::<Result<_, _>>()?,
            preview,
            canary: canary.map_or(0, |Canary { percent }| percent),
            sticky,
            policies,
        })
    }
}

// === impl Branch ===

impl Branch {
    fn new((name, routes): (String, Vec<Route>)) -> (String, Rc<Self>) {
        let branch = Self {
            token: session::token(&name),
            depth: routes
                .iter()
                .map(|route| path::depth(&route.prefix))
                .max()
                .unwrap_or(0),
            routes: routes
                .into_iter()
                .map(|Route { prefix, target }| (prefix, target))
                .collect(),
            name: name.clone(),
        };
        (name, Rc::new(branch))
    }

    /// The route of everything, if there is no other: all of `mount` goes the same way.
    #[must_use]
    pub fn only_route(&self, mount: &str) -> Option<(&str, &Target)> {
        let mut routes = self.routes.iter();
        let (prefix, target) = routes.next()?;
        (routes.next().is_none() && prefix == mount).then_some((prefix, target))
    }

    /// What the branch does with a path: that of the longest prefix in which it lies.
    ///
    /// As many look-ups as the deepest prefix has segments, however long the path.
    #[must_use]
    pub fn route(&self, path: &str) -> Option<(&str, &Target)> {
        let (prefix, target) =
            path::enclosing(path, self.depth).find_map(|prefix| self.routes.entry(prefix))?;
        Some((prefix, target))
    }
}

fn branch(branches: &Map<String, Rc<Branch>>, name: String) -> Result<Rc<Branch>, UnknownBranch> {
    branches.get(&name).cloned().ok_or(UnknownBranch(name))
}
