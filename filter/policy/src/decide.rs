//! The routing decision for a request.

use crate::{
    config::{Leaf, PlainRoute, Target, WeightedCluster},
    path,
    path_mapping::PathMapping,
    policy::PreparedPolicy,
    request::Request,
    rng::{Chance, Rng},
    route::RouteOverrides,
    scope::{PolicyScope, PolicyScopes},
    session,
    store::{ResolvedRoute, RouteKind, Store, StoreError},
    switch::{Branch, BranchChoice, PreparedPreview, PreparedSwitch},
};
use std::{borrow::Cow, rc::Rc};

/// The most switches that a request may pass. Control delegates at most 64 deep; the limit ends a configuration with a
/// cycle.
const MAX_SWITCHES: usize = 128;

/// The Envoy route of leaves that rewrite the path and name no route.
pub const FORWARD: &str = "forward";

/// The decision for a request, with its trail for the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub trail: Trail,
    /// The policies that the request has to meet first, the outermost first.
    pub scopes: PolicyScopes,
    pub outcome: Result<Forward, RouteError>,
}

/// The route of a request through the switches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// The root IngressRoute, `namespace/name`.
    pub root: String,
    /// The branch taken at each switch, from the root's on, joined with `, `.
    pub branches: String,
    /// The prefix of the final route, as its branch sees it; empty if there is none.
    pub leaf: String,
}

/// A request to forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The value of `x-switchyard-route`; `None` keeps the current route.
    pub route: Option<String>,
    /// The value of `x-switchyard-cluster`; `None` if the route needs no cluster.
    pub cluster: Option<String>,
    /// The rewritten path, without the query, which stays; `None` if it does not change.
    pub path: Option<String>,
    /// The `Set-Cookie` values of the sessions that start with this request.
    pub set_cookies: Vec<String>,
    /// The mapping of response paths; `None` if the upstream sees the client's paths.
    pub mapping: Option<PathMapping>,
    /// True on a plain route, whose cluster Envoy chooses.
    pub is_plain: bool,
    pub overrides: RouteOverrides,
}

/// The reason not to forward a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A path that an upstream below a rewrite could take for one outside its prefix. It is accepted if nothing depends
    /// on the path.
    #[error("the path is not UTF-8, or climbs with `..`")]
    BadPath,
    #[error("no route for the path")]
    NoRoute,
    /// A route that the configuration marks as unavailable, with the reason.
    #[error("{0}")]
    Unavailable(String),
    #[error("no switch {0:?}")]
    NoSwitch(String),
    #[error("switch {0:?}: {1}")]
    BadSwitch(String, StoreError),
    #[error("route {0:?}: {1}")]
    BadRoute(String, StoreError),
    #[error("no policy {0:?}")]
    NoPolicy(String),
    #[error("policy {0:?}: {1}")]
    BadPolicy(String, StoreError),
    #[error("more than {MAX_SWITCHES} switches in a row")]
    TooDeep,
}

/// The state of a request that is resolved from switch to switch.
struct RouteResolver<'a> {
    request: Request<'a>,
    /// The path as the current level sees it; `None` until a level needs it.
    path: Option<Cow<'a, str>>,
    mapping: PathMapping,
    trail: Trail,
    scopes: PolicyScopes,
    set_cookies: Vec<String>,
}

/// Decides a request.
#[must_use]
pub fn decide(store: &Store, request: Request<'_>, rng: &mut Rng) -> Decision {
    decide_with(store, request, rng)
}

/// Decides a request with another source of chance.
#[must_use]
pub fn decide_with(store: &Store, request: Request<'_>, chance: &mut impl Chance) -> Decision {
    let mut resolver = RouteResolver::new(request);
    let outcome = resolver.run(store, chance);
    Decision {
        trail: resolver.trail,
        scopes: resolver.scopes,
        outcome,
    }
}

// === impl RouteError ===

impl RouteError {
    /// The HTTP status of the response.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::BadPath => 400,
            Self::NoRoute => 404,
            Self::Unavailable(_)
            | Self::NoSwitch(_)
            | Self::BadSwitch(..)
            | Self::BadRoute(..)
            | Self::NoPolicy(_)
            | Self::BadPolicy(..)
            | Self::TooDeep => 503,
        }
    }

    /// Returns true if the configuration is not one that control makes.
    #[must_use]
    pub fn is_config_error(&self) -> bool {
        match self {
            Self::NoSwitch(_)
            | Self::BadSwitch(..)
            | Self::BadRoute(..)
            | Self::NoPolicy(_)
            | Self::BadPolicy(..)
            | Self::TooDeep => true,
            Self::BadPath | Self::NoRoute | Self::Unavailable(_) => false,
        }
    }

    /// Returns true if all policies of the request are known. Only clients that meet them get the error.
    #[must_use]
    pub fn has_all_policies(&self) -> bool {
        matches!(self, Self::NoRoute | Self::Unavailable(_))
    }
}

// === impl RouteResolver ===

impl<'a> RouteResolver<'a> {
    fn new(request: Request<'a>) -> Self {
        Self {
            request,
            path: None,
            mapping: PathMapping::identity(),
            trail: Trail::default(),
            scopes: PolicyScopes::new(),
            set_cookies: Vec::new(),
        }
    }

    fn run(&mut self, store: &Store, chance: &mut impl Chance) -> Result<Forward, RouteError> {
        let mut key = Cow::Borrowed(self.request.route_name);
        for passed in 0..MAX_SWITCHES {
            let resolved = store.resolved_route(&key, || resolve(store, &key))?;
            let switch = match &resolved.kind {
                RouteKind::Switch(switch) => switch,
                RouteKind::Plain(overrides) if passed == 0 => {
                    return self.forward_plain(&resolved.policies, *overrides);
                }
                RouteKind::Plain(_) => return Err(RouteError::NoSwitch(key.into_owned())),
            };
            self.add_scopes(&resolved.policies)?;
            let branch = self.choose_branch(&key, switch, chance);
            let (prefix, target) = self.route(switch, &branch)?;
            match target {
                Target::Leaf(leaf) => {
                    self.add_scopes(&find_policies(store, leaf.policy.as_slice())?)?;
                    return self.forward(prefix, leaf, chance);
                }
                Target::Switch(below) => key = Cow::Owned(below.clone()),
                Target::Unavailable(reason) => return Err(self.unavailable(prefix, reason)),
            }
        }
        Err(RouteError::TooDeep)
    }

    /// Decides a request on a plain route.
    fn forward_plain(
        &mut self,
        policies: &[Rc<PreparedPolicy>],
        overrides: RouteOverrides,
    ) -> Result<Forward, RouteError> {
        self.add_scopes(policies)?;
        Ok(Forward {
            route: None,
            cluster: None,
            path: None,
            set_cookies: Vec::new(),
            mapping: None,
            is_plain: true,
            overrides,
        })
    }

    /// Adds the scopes of policies that the request has to meet.
    fn add_scopes(&mut self, policies: &[Rc<PreparedPolicy>]) -> Result<(), RouteError> {
        for policy in policies {
            let path = policy.depends_on_path().then(|| self.path().map(str::to_owned));
            self.scopes.push(PolicyScope {
                path: path.transpose()?,
                policy: Rc::clone(policy),
            });
        }
        Ok(())
    }

    /// Chooses a branch of the switch.
    fn choose_branch(&mut self, key: &str, switch: &PreparedSwitch, chance: &mut impl Chance) -> Rc<Branch> {
        let (branch, choice) = choose(switch, self.request, chance);
        chance.chose(key, &branch.name, choice);
        self.add_branch(switch, &branch.name);
        if let (Some(sticky), BranchChoice::New) = (&switch.sticky, choice) {
            let prefix = self.mapping.visible(&switch.prefix);
            let cookie = session::set_cookie(sticky, &branch.token, &prefix, self.request.is_https());
            self.set_cookies.push(cookie);
        }
        Rc::clone(branch)
    }

    /// Returns the branch's route for the request; the path and the mapping are then as the branch sees them.
    ///
    /// If the branch has a single route that covers the whole switch, the path makes no difference: the host's route,
    /// or the level above, has matched the prefix of the switch.
    fn route<'b>(
        &mut self,
        switch: &PreparedSwitch,
        branch: &'b Branch,
    ) -> Result<(&'b str, &'b Target), RouteError> {
        if switch.prefix == switch.mount
            && let Some(route) = branch.only_route(&switch.mount)
        {
            return Ok(route);
        }
        if !path::contains(&switch.prefix, self.path()?) {
            return Err(RouteError::NoRoute);
        }
        self.rewrite(&switch.prefix, &switch.mount)?;
        branch.route(self.path()?).ok_or(RouteError::NoRoute)
    }

    fn path(&mut self) -> Result<&str, RouteError> {
        if self.path.is_none() {
            let path = self.request.path().filter(|path| !path::climbs(path));
            self.path = Some(Cow::Borrowed(path.ok_or(RouteError::BadPath)?));
        }
        Ok(self.path.as_deref().unwrap_or_default())
    }

    fn add_branch(&mut self, switch: &PreparedSwitch, branch: &str) {
        let Trail {
            root,
            branches,
            leaf: _,
        } = &mut self.trail;
        if branches.is_empty() {
            root.clone_from(&switch.root);
        } else {
            branches.push_str(", ");
        }
        branches.push_str(branch);
    }

    fn rewrite(&mut self, prefix: &str, to: &str) -> Result<(), RouteError> {
        if prefix == to {
            return Ok(());
        }
        if let Some(path) = path::rebase(self.path()?, prefix, to) {
            self.path = Some(Cow::Owned(path));
            self.mapping = std::mem::take(&mut self.mapping).then(prefix, to);
        }
        Ok(())
    }

    fn forward(
        &mut self,
        prefix: &str,
        leaf: &Leaf,
        chance: &mut impl Chance,
    ) -> Result<Forward, RouteError> {
        let Leaf {
            route,
            clusters,
            rewrite,
            policy: _,
            own_timeout,
            own_retry,
        } = leaf;
        prefix.clone_into(&mut self.trail.leaf);
        if let Some(rewrite) = rewrite {
            self.rewrite(prefix, rewrite)?;
        }
        let path = self.rewritten();
        let forward = path.as_ref().map(|_| FORWARD.to_owned());
        Ok(Forward {
            route: route.clone().or(forward),
            cluster: pick_cluster(clusters, chance).map(str::to_owned),
            path,
            set_cookies: std::mem::take(&mut self.set_cookies),
            mapping: (!self.mapping.is_identity()).then(|| self.mapping.clone()),
            is_plain: false,
            overrides: RouteOverrides {
                timeout: *own_timeout,
                retry: *own_retry,
            },
        })
    }

    /// The path, if it differs from the client's.
    fn rewritten(&self) -> Option<String> {
        match &self.path {
            Some(Cow::Owned(path)) if self.request.path() != Some(path) => Some(path.clone()),
            _ => None,
        }
    }

    fn unavailable(&mut self, prefix: &str, reason: &str) -> RouteError {
        prefix.clone_into(&mut self.trail.leaf);
        RouteError::Unavailable(reason.to_owned())
    }
}

/// Looks up the switch or the plain route of a key.
fn resolve(store: &Store, key: &str) -> Result<ResolvedRoute, RouteError> {
    let switch = store
        .switch(key)
        .map_err(|error| RouteError::BadSwitch(key.to_owned(), error))?;
    if let Some(switch) = switch {
        return Ok(ResolvedRoute {
            policies: find_policies(store, &switch.policies)?,
            kind: RouteKind::Switch(switch),
        });
    }
    let route = store
        .route(key)
        .map_err(|error| RouteError::BadRoute(key.to_owned(), error))?;
    let route = route.ok_or_else(|| RouteError::NoSwitch(key.to_owned()))?;
    let PlainRoute {
        policies,
        own_timeout,
        own_retry,
    } = &*route;
    Ok(ResolvedRoute {
        policies: find_policies(store, policies)?,
        kind: RouteKind::Plain(RouteOverrides {
            timeout: *own_timeout,
            retry: *own_retry,
        }),
    })
}

fn find_policies(store: &Store, keys: &[String]) -> Result<Vec<Rc<PreparedPolicy>>, RouteError> {
    let find = |key: &String| {
        let policy = store
            .policy(key)
            .map_err(|error| RouteError::BadPolicy(key.clone(), error))?;
        policy.ok_or_else(|| RouteError::NoPolicy(key.clone()))
    };
    keys.iter().map(find).collect()
}

/// Chooses the branch of a request: a preview's, its session's, a canary's share, else the active one.
fn choose<'s>(
    switch: &'s PreparedSwitch,
    request: Request<'_>,
    chance: &mut impl Chance,
) -> (&'s Rc<Branch>, BranchChoice) {
    let preview = switch.preview.as_ref();
    if let Some(preview) = preview.filter(|preview| is_preview(preview, request)) {
        return (&preview.branch, BranchChoice::Preview);
    }
    if let Some(branch) = session_branch(switch, request) {
        return (branch, BranchChoice::Session);
    }
    let canary = switch.canary.as_ref();
    let canary = canary.filter(|canary| chance.is_of_share(&canary.branch.name, canary.percent));
    (
        canary.map_or(&switch.active, |canary| &canary.branch),
        BranchChoice::New,
    )
}

fn is_preview(preview: &PreparedPreview, request: Request<'_>) -> bool {
    let mut headers = request.headers.all().iter();
    headers.any(|(name, value)| *name == preview.header && value == preview.value.as_bytes())
}

fn session_branch<'s>(switch: &'s PreparedSwitch, request: Request<'_>) -> Option<&'s Rc<Branch>> {
    let sticky = switch.sticky.as_ref()?;
    switch.branches().find(|branch| {
        let mut tokens = session::cookies(request.headers.all(), &sticky.cookie);
        tokens.any(|token| token == branch.token.as_bytes())
    })
}

/// Picks one of the clusters by weight.
fn pick_cluster<'c>(clusters: &'c [WeightedCluster], chance: &mut impl Chance) -> Option<&'c str> {
    if let [only] = clusters {
        return Some(&only.name);
    }
    let total = clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
    let mut left = chance.below(total);
    let picked = clusters.iter().find(|cluster| {
        let is_hit = left < u64::from(cluster.weight);
        left = left.saturating_sub(u64::from(cluster.weight));
        is_hit
    });
    picked.map(|cluster| cluster.name.as_str())
}

#[cfg(test)]
mod tests;
