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

mod walker;

pub(crate) use self::walker::walk;

use super::{
    compile::{Action, Compiled, Delegate, Level, Route},
    fault::{Fault, Problem},
};
use crate::{object::Name, path, table::Leaf};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How many delegations may follow one another.
pub(crate) const MAX_DEPTH: usize = 64;

/// How many routes may lie below one root, counted once for each branch that has them: enough for any team, and few
/// enough that many branches of many routes each do not multiply to more than memory.
const MAX_ROUTES: usize = 250_000;

/// How many copies of a request the mirrors of all levels that it comes through may make: the proxy's routes have room
/// for so many, and each costs as much as a request.
pub(crate) const MAX_MIRRORS: usize = 8;

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
    /// How many copies of a request are made at most.
    mirrors: usize,
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
        level: &'a Level,
    },
    Follow {
        delegate: &'a Delegate,
        open: &'a Open,
        level: &'a Level,
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
    /// Routes that go too far below one mount of their owner, though perhaps not below another: too deep, or with too many
    /// mirrors. By prefix, with why.
    refused: BTreeMap<Mount, BTreeMap<Arc<str>, Arc<str>>>,
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
        let refused = self.refused.get(mount);
        for (prefix, route) in &compiled.routes {
            match position(&mount.bound, prefix) {
                Position::Inside => {
                    let step = match refused.and_then(|refused| refused.get(prefix)) {
                        Some(reason) => Step::Unavailable(reason.clone()),
                        None => self.step(mount, prefix, route),
                    };
                    steps.insert(prefix, step);
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

    fn step<'a>(&'a self, mount: &Mount, prefix: &Arc<str>, route: &'a Route) -> Step<'a> {
        let Route {
            index: _,
            action,
            level,
        } = route;
        match action {
            Action::Leaf {
                leaf,
                permit_insecure,
            } => Step::Leaf {
                leaf,
                permit_insecure: *permit_insecure,
                level,
            },
            Action::Unavailable(reason) => Step::Unavailable(reason.clone()),
            Action::Delegate(delegate) => self.follow(mount, prefix, (delegate, level)),
        }
    }

    fn follow<'a>(
        &'a self,
        mount: &Mount,
        prefix: &Arc<str>,
        (delegate, level): (&'a Delegate, &'a Level),
    ) -> Step<'a> {
        let junction = Junction {
            owner: mount.route.clone(),
            prefix: prefix.clone(),
        };
        match self.junctions.get(&junction) {
            Some(Verdict::Open(open)) => Step::Follow {
                delegate,
                open,
                level,
            },
            Some(Verdict::Refused(reason)) => Step::Unavailable(reason.clone()),
            // Every junction of a walked mount has been judged.
            None => Step::Unavailable("not walked".into()),
        }
    }

    fn below(&self, mount: &Mount, compiled: &Compiled) -> Below {
        let mut below = Below::default();
        for step in self.steps(mount, compiled).into_values() {
            let mirrors = step.mirrors();
            match step {
                Step::Leaf { permit_insecure, .. } => below.permits_insecure |= permit_insecure,
                Step::Follow { open, .. } => below.add(open.below),
                Step::Unavailable(_) => continue,
            }
            below.mirrors = below.mirrors.max(mirrors);
        }
        below
    }
}

// === impl Below ===

impl Below {
    fn add(&mut self, other: Self) {
        self.height = self.height.max(other.height);
        self.permits_insecure |= other.permits_insecure;
        self.mirrors = self.mirrors.max(other.mirrors);
    }

    /// The same, seen from one delegation further up.
    fn one_up(self) -> Self {
        Self {
            height: self.height + 1,
            ..self
        }
    }
}

// === impl Step ===

impl Step<'_> {
    /// How many copies of a request the level and those below it make at most.
    pub(crate) fn mirrors(&self) -> usize {
        match self {
            Self::Leaf { level, .. } => level.mirrors(),
            Self::Follow { open, level, .. } => level.mirrors() + open.below.mirrors,
            Self::Unavailable(_) => 0,
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
