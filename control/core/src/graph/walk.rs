//! The walk from a root down its delegations.
//!
//! ```text
//! root at "/" -- switch /blog --> blog at "/blog" -- switch /blog/admin --> admin at "/blog/admin"
//!                             \-> green at "/blog"
//! ```
//!
//! Depth first, with a stack of its own: by prefix, the active branch first. An IngressRoute may be mounted at several
//! prefixes, and each mount is walked once. A switch is judged once, where the walk first meets it, so that it is one
//! and the same for all who lead to it. Together that makes the walk linear in the manifests, whatever shape they have.

use super::{
    compile::{Action, Compiled, Delegate},
    fault::{self, Fault, Place, Problem, RouteField},
};
use crate::{object::Name, path, table::Leaf};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec,
};

/// How many delegations may follow one another.
pub(crate) const MAX_DEPTH: usize = 64;

/// How many routes may lie below one root, counted once for each branch that has them: enough for any team, and few
/// enough that many branches of many routes each do not multiply to more than memory.
const MAX_ROUTES: usize = 250_000;

/// By name.
pub(crate) type CompiledMap = BTreeMap<Name, Arc<Compiled>>;

/// An IngressRoute and the prefix that it was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mount {
    pub(crate) route: Name,
    pub(crate) bound: Arc<str>,
}

/// What is known of a mount when all below it has been walked.
#[derive(Debug)]
pub(crate) struct Mounted {
    pub(crate) compiled: Arc<Compiled>,
    below: Below,
}

/// What lies below a mount or a junction.
#[derive(Clone, Copy, Debug, Default)]
struct Below {
    /// How many delegations follow one another at most.
    height: usize,
    /// Whether a leaf may be served without TLS.
    permits_insecure: bool,
}

/// A delegating route: the IngressRoute that it stands in, and its prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Junction {
    pub(crate) owner: Name,
    pub(crate) prefix: Arc<str>,
}

/// What was found about a junction.
#[derive(Debug)]
pub(crate) enum Verdict {
    Open(Open),
    /// It cannot be followed: why.
    Refused(Arc<str>),
}

/// A junction that can be followed.
#[derive(Debug, Default)]
pub(crate) struct Open {
    /// Those that can be followed, too, with their places in `delegate.standby`.
    pub(crate) standby: Vec<(usize, Name)>,
    below: Below,
}

/// What a mounted IngressRoute does with one of its routes.
pub(crate) enum Step<'a> {
    Leaf {
        leaf: &'a Leaf,
        permit_insecure: bool,
    },
    Follow {
        delegate: &'a Delegate,
        open: &'a Open,
    },
    /// 503, and why.
    Unavailable(Arc<str>),
}

/// By prefix.
pub(crate) type Steps<'a> = BTreeMap<&'a Arc<str>, Step<'a>>;

/// All that a root leads to.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) mounts: BTreeMap<Mount, Mounted>,
    pub(crate) junctions: BTreeMap<Junction, Verdict>,
    /// Junctions that are too deep below one mount of their owner, though not below another.
    too_deep: BTreeMap<(Mount, Arc<str>), Arc<str>>,
    /// What is wrong, by the IngressRoute at fault. Every one that was reached is named.
    pub(crate) findings: BTreeMap<Name, BTreeSet<Problem>>,
    /// Every IngressRoute that a delegation names, there or not.
    pub(crate) named: BTreeSet<Name>,
    /// How many routes lie below the root so far.
    routes: usize,
}

/// Where a route lies, seen from the bound of its IngressRoute.
enum Position {
    Inside,
    /// It would take more than was given.
    Encloses,
    Outside,
}

/// One mount, being walked.
struct Frame {
    mount: Mount,
    compiled: Arc<Compiled>,
    edges: vec::IntoIter<Edge>,
    /// The junction that led here.
    via: Option<Junction>,
}

/// One branch of a junction.
struct Edge {
    junction: Junction,
    /// Of the junction, in `spec.routes`.
    index: usize,
    /// None: the active branch.
    standby: Option<usize>,
    to: Mount,
}

/// The walk under way.
struct Walker<'a> {
    compiled: &'a CompiledMap,
    stack: Vec<Frame>,
    walk: Walk,
}

/// Walks from a root.
pub(crate) fn walk(compiled: &CompiledMap, root: &Name) -> Walk {
    let mut walker = Walker {
        compiled,
        stack: Vec::new(),
        walk: Walk::default(),
    };
    let mount = Mount {
        route: root.clone(),
        bound: "/".into(),
    };
    if let Some(compiled) = compiled.get(root) {
        walker.enter(mount, compiled.clone(), None);
    }
    walker.run();
    walker.walk
}

fn position(bound: &str, prefix: &str) -> Position {
    if path::contains(bound, prefix) {
        Position::Inside
    } else if path::contains(prefix, bound) {
        Position::Encloses
    } else {
        Position::Outside
    }
}

fn out_of_bound(prefix: &Arc<str>, bound: &Arc<str>) -> Fault {
    Fault::OutOfBound {
        prefix: prefix.clone(),
        bound: bound.clone(),
    }
}

// === impl Walk ===

impl Walk {
    /// What a mount serves, by prefix. Nothing lies outside its bound: a route that would is 503 where it meets the
    /// bound, unless the IngressRoute has a route there.
    pub(crate) fn steps<'a>(&'a self, mount: &'a Mount, compiled: &'a Compiled) -> Steps<'a> {
        let mut steps = BTreeMap::new();
        let mut at_bound = None;
        for (prefix, route) in &compiled.routes {
            match position(&mount.bound, prefix) {
                Position::Inside => {
                    steps.insert(prefix, self.step(mount, prefix, &route.action));
                }
                Position::Encloses => at_bound = Some(out_of_bound(prefix, &mount.bound)),
                Position::Outside => {}
            }
        }
        if let Some(fault) = at_bound {
            let unavailable = || Step::Unavailable(fault.to_string().into());
            steps.entry(&mount.bound).or_insert_with(unavailable);
        }
        steps
    }

    fn step<'a>(&'a self, mount: &Mount, prefix: &Arc<str>, action: &'a Action) -> Step<'a> {
        match action {
            Action::Leaf {
                leaf,
                permit_insecure,
            } => Step::Leaf {
                leaf,
                permit_insecure: *permit_insecure,
            },
            Action::Unavailable(reason) => Step::Unavailable(reason.clone()),
            Action::Delegate(delegate) => self.follow(mount, prefix, delegate),
        }
    }

    fn follow<'a>(&'a self, mount: &Mount, prefix: &Arc<str>, delegate: &'a Delegate) -> Step<'a> {
        if let Some(reason) = self.too_deep.get(&(mount.clone(), prefix.clone())) {
            return Step::Unavailable(reason.clone());
        }
        let junction = Junction {
            owner: mount.route.clone(),
            prefix: prefix.clone(),
        };
        match self.junctions.get(&junction) {
            Some(Verdict::Open(open)) => Step::Follow { delegate, open },
            Some(Verdict::Refused(reason)) => Step::Unavailable(reason.clone()),
            // Every junction of a walked mount has been judged.
            None => Step::Unavailable("not walked".into()),
        }
    }

    fn below(&self, mount: &Mount, compiled: &Compiled) -> Below {
        let mut below = Below::default();
        for step in self.steps(mount, compiled).into_values() {
            match step {
                Step::Leaf { permit_insecure, .. } => below.permits_insecure |= permit_insecure,
                Step::Follow { open, .. } => below.add(open.below),
                Step::Unavailable(_) => {}
            }
        }
        below
    }
}

// === impl Below ===

impl Below {
    fn add(&mut self, other: Self) {
        self.height = self.height.max(other.height);
        self.permits_insecure |= other.permits_insecure;
    }

    /// The same, seen from one delegation further up.
    fn one_up(self) -> Self {
        Self {
            height: self.height + 1,
            ..self
        }
    }
}

// === impl Open ===

impl Open {
    /// Whether a leaf anywhere below may be served without TLS.
    pub(crate) fn permits_insecure(&self) -> bool {
        self.below.permits_insecure
    }
}

// === impl Walker ===

impl Walker<'_> {
    fn run(&mut self) {
        while let Some(frame) = self.stack.last_mut() {
            match frame.edges.next() {
                Some(edge) => self.take(edge),
                None => self.leave(),
            }
        }
    }

    fn report(&mut self, owner: &Name, place: Place, fault: Fault) {
        let findings = self.walk.findings.entry(owner.clone()).or_default();
        findings.insert(Problem { place, fault });
    }

    fn enter(&mut self, mount: Mount, compiled: Arc<Compiled>, via: Option<Junction>) {
        self.walk.findings.entry(mount.route.clone()).or_default();
        let mut edges = Vec::new();
        for (prefix, route) in &compiled.routes {
            if !path::contains(&mount.bound, prefix) {
                let place = Place::Route(route.index, RouteField::Match);
                self.report(&mount.route, place, out_of_bound(prefix, &mount.bound));
            } else if let Action::Delegate(delegate) = &route.action {
                let junction = Junction {
                    owner: mount.route.clone(),
                    prefix: prefix.clone(),
                };
                match self.known_height(&junction) {
                    Some(height) => self.check_depth(&mount, &junction, route.index, height),
                    None => add_edges(&mut edges, &junction, route.index, delegate),
                }
            }
        }
        self.stack.push(Frame {
            mount,
            compiled,
            edges: edges.into_iter(),
            via,
        });
    }

    /// Of a junction that has been judged.
    fn known_height(&self, junction: &Junction) -> Option<usize> {
        match self.walk.junctions.get(junction)? {
            Verdict::Open(open) => Some(open.below.height),
            Verdict::Refused(_) => Some(0),
        }
    }

    /// A junction that was judged elsewhere may be too deep here, below a mount that is being entered.
    fn check_depth(&mut self, mount: &Mount, junction: &Junction, index: usize, height: usize) {
        if self.stack.len() + height > MAX_DEPTH {
            let fault = too_deep(junction);
            let key = (mount.clone(), junction.prefix.clone());
            self.walk.too_deep.insert(key, fault.to_string().into());
            self.report(&mount.route, Place::Route(index, RouteField::Delegate), fault);
        }
    }

    /// Takes one branch, or says why not.
    fn take(&mut self, edge: Edge) {
        self.walk.named.insert(edge.to.route.clone());
        match self.judge(&edge) {
            Ok(compiled) => self.go(edge, compiled),
            Err(fault) => self.turn_away(edge, fault),
        }
    }

    fn judge(&self, edge: &Edge) -> Result<Arc<Compiled>, Fault> {
        let Edge { junction, to, .. } = edge;
        let prefix = &junction.prefix;
        let Some(compiled) = self.compiled.get(&to.route) else {
            return Err(Fault::DelegateMissing {
                prefix: prefix.clone(),
                target: to.route.clone(),
            });
        };
        if compiled.root.is_some() {
            return Err(Fault::DelegateIsRoot);
        }
        if self.stack.iter().any(|frame| frame.mount.route == to.route) {
            return Err(Fault::Cycle(self.chain(&to.route)));
        }
        let walked = self.walk.mounts.get(to);
        let height = walked.map_or(0, |mounted| mounted.below.height);
        if self.stack.len() + height > MAX_DEPTH {
            return Err(too_deep(junction));
        }
        if self.walk.routes + compiled.routes.len() >= MAX_ROUTES {
            return Err(Fault::TooMany {
                prefix: prefix.clone(),
                limit: MAX_ROUTES,
            });
        }
        Ok(compiled.clone())
    }

    /// From the root to here, and on to `end`.
    fn chain(&self, end: &Name) -> String {
        let names = self.stack.iter().map(|frame| &frame.mount.route);
        let names: Vec<_> = names.chain([end]).collect();
        fault::list(names.into_iter(), " -> ")
    }

    fn go(&mut self, edge: Edge, compiled: Arc<Compiled>) {
        let Edge {
            junction,
            index: _,
            standby,
            to,
        } = edge;
        let verdict = self.walk.junctions.entry(junction.clone());
        let verdict = verdict.or_insert_with(|| Verdict::Open(Open::default()));
        match (verdict, standby) {
            // The active branch cannot be followed, so nothing here can be.
            (Verdict::Refused(_), _) => return,
            (Verdict::Open(_), None) => {}
            (Verdict::Open(open), Some(place)) => open.standby.push((place, to.route.clone())),
        }
        self.walk.routes += compiled.routes.len() + 1;
        match self.walk.mounts.get(&to).map(|mounted| mounted.below) {
            Some(below) => self.arrived(&junction, below),
            None => self.enter(to, compiled, Some(junction)),
        }
    }

    fn turn_away(&mut self, edge: Edge, fault: Fault) {
        let Edge {
            junction,
            index,
            standby,
            to: _,
        } = edge;
        let field = match standby {
            Some(place) => RouteField::Standby(place),
            None => RouteField::Delegate,
        };
        if standby.is_none() {
            let refused = Verdict::Refused(fault.to_string().into());
            self.walk.junctions.insert(junction.clone(), refused);
        }
        self.report(&junction.owner, Place::Route(index, field), fault);
    }

    /// All below a mount is known.
    fn leave(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        let Frame {
            mount,
            compiled,
            edges: _,
            via,
        } = frame;
        let below = self.walk.below(&mount, &compiled);
        self.walk.mounts.insert(mount, Mounted { compiled, below });
        if let Some(junction) = via {
            self.arrived(&junction, below);
        }
    }

    /// A branch of `junction` ends in a mount with this below it.
    fn arrived(&mut self, junction: &Junction, below: Below) {
        if let Some(Verdict::Open(open)) = self.walk.junctions.get_mut(junction) {
            open.below.add(below.one_up());
        }
    }
}

fn too_deep(junction: &Junction) -> Fault {
    Fault::TooDeep {
        prefix: junction.prefix.clone(),
        limit: MAX_DEPTH,
    }
}

fn add_edges(edges: &mut Vec<Edge>, junction: &Junction, index: usize, delegate: &Delegate) {
    let edge = |standby, target: &Name| Edge {
        junction: junction.clone(),
        index,
        standby,
        to: Mount {
            route: target.clone(),
            bound: delegate.mount.clone(),
        },
    };
    edges.push(edge(None, &delegate.active));
    let standby = delegate.standby.iter();
    edges.extend(standby.map(|(place, target)| edge(Some(*place), target)));
}
