//! Switches prepared for requests.

use crate::{
    config::{self, Route, Sticky, Target},
    path, session,
};
use std::{collections::BTreeMap, rc::Rc};

/// A [`config::Switch`] in the form that requests use.
#[derive(Clone, Debug)]
pub struct PreparedSwitch {
    pub root: String,
    pub prefix: String,
    /// The same as `prefix` if nothing is rewritten.
    pub mount: String,
    pub active: Rc<Branch>,
    pub standby: Vec<Rc<Branch>>,
    /// `None` if its branch is the active one.
    pub preview: Option<PreparedPreview>,
    /// `None` if its branch is the active one.
    pub canary: Option<PreparedCanary>,
    pub sticky: Option<Sticky>,
    /// Keys of policies, the outermost first.
    pub policies: Vec<String>,
}

/// A preview: requests with this header go to a branch that is not active.
#[derive(Clone, Debug)]
pub struct PreparedPreview {
    pub header: String,
    pub value: String,
    pub branch: Rc<Branch>,
}

/// A canary: a share of new sessions goes to a branch that is not active.
#[derive(Clone, Debug)]
pub struct PreparedCanary {
    /// 1 to 100.
    pub percent: u8,
    pub branch: Rc<Branch>,
}

/// A target that a switch can send traffic to.
#[derive(Clone, Debug)]
pub struct Branch {
    pub name: String,
    /// The token of the branch in session cookies.
    pub token: String,
    routes: BTreeMap<String, Target>,
    /// The depth of the deepest prefix: further segments of a path make no difference.
    depth: usize,
}

/// The rule that chose a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BranchChoice {
    /// A preview, for this request alone.
    Preview,
    /// The session of the request.
    Session,
    /// The default for new sessions: the canary for a share of them, else the active branch.
    New,
}

/// The branch of a preview or a canary; `None` if it is the active one, or there is none.
type ChosenBranch = Result<Option<Rc<Branch>>, UnknownBranchError>;

/// The error of a switch that names a branch that it does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no branch of the switch")]
pub struct UnknownBranchError(String);

// === impl PreparedSwitch ===

impl PreparedSwitch {
    /// Every branch that traffic may be sent to, the active one first.
    pub fn branches(&self) -> impl Iterator<Item = &Rc<Branch>> {
        std::iter::once(&self.active).chain(&self.standby)
    }
}

impl TryFrom<config::Switch> for PreparedSwitch {
    type Error = UnknownBranchError;

    fn try_from(switch: config::Switch) -> Result<Self, UnknownBranchError> {
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
        let active = branch(&branches, active)?;
        let standby = standby
            .into_iter()
            .map(|name| branch(&branches, name))
            .collect::<Result<Vec<_>, _>>()?;
        // The branch of a preview or a canary.
        let chosen = |named: Option<String>| {
            let chosen = match named {
                Some(name) => Some(branch(&branches, name)?),
                None => standby
                    .iter()
                    .find(|standby| standby.name != active.name)
                    .cloned(),
            };
            Ok(chosen.filter(|chosen| chosen.name != active.name))
        };
        Ok(Self {
            root,
            mount: mount.unwrap_or_else(|| prefix.clone()),
            prefix,
            preview: preview
                .map(|preview| PreparedPreview::new(preview, chosen))
                .transpose()?
                .flatten(),
            canary: canary
                .map(|canary| PreparedCanary::new(canary, chosen))
                .transpose()?
                .flatten(),
            active,
            standby,
            sticky,
            policies,
        })
    }
}

// === impl PreparedPreview ===

impl PreparedPreview {
    /// Returns `None` if it has no effect.
    fn new(
        preview: config::Preview,
        chosen: impl Fn(Option<String>) -> ChosenBranch,
    ) -> Result<Option<Self>, UnknownBranchError> {
        let config::Preview {
            header,
            value,
            branch,
        } = preview;
        let branch = chosen(branch)?;
        Ok(branch.map(|branch| Self {
            header,
            value,
            branch,
        }))
    }
}

// === impl PreparedCanary ===

impl PreparedCanary {
    /// Returns `None` if it has no effect.
    fn new(
        canary: config::Canary,
        chosen: impl Fn(Option<String>) -> ChosenBranch,
    ) -> Result<Option<Self>, UnknownBranchError> {
        let config::Canary { percent, branch } = canary;
        let branch = chosen(branch)?.filter(|_| percent > 0);
        Ok(branch.map(|branch| Self { percent, branch }))
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

    /// The only route of the branch, if it covers all of `mount`.
    #[must_use]
    pub fn only_route(&self, mount: &str) -> Option<(&str, &Target)> {
        let mut routes = self.routes.iter();
        let (prefix, target) = routes.next()?;
        (routes.next().is_none() && prefix == mount).then_some((prefix, target))
    }

    /// The route of a path: the one with the longest prefix that contains it.
    ///
    /// Takes as many look-ups as the deepest prefix has segments, however long the path.
    #[must_use]
    pub fn route(&self, path: &str) -> Option<(&str, &Target)> {
        let (prefix, target) =
            path::enclosing(path, self.depth).find_map(|prefix| self.routes.get_key_value(prefix))?;
        Some((prefix, target))
    }
}

fn branch(branches: &BTreeMap<String, Rc<Branch>>, name: String) -> Result<Rc<Branch>, UnknownBranchError> {
    branches.get(&name).cloned().ok_or(UnknownBranchError(name))
}
