//! The way of a walk: what it goes on to, and what it turns away from.

use super::{
    Below, CompiledMap, Junction, MAX_DEPTH, MAX_MIRRORS, MAX_ROUTES, Mount, Mounted, Open, Verdict, Walk,
    out_of_bound,
};
use crate::{
    graph::{
        compile::{Action, Compiled, Delegate, Level},
        fault::{self, Fault, FieldPath, Place, Problem, RouteField},
    },
    object::Name,
    path,
};
use std::{sync::Arc, vec};

/// One mount, being walked.
struct Frame {
    mount: Mount,
    compiled: Arc<Compiled>,
    edges: vec::IntoIter<Edge>,
    via: Way,
}

/// How a mount was come to.
#[derive(Debug, Default)]
struct Way {
    /// The junction that led here. None: it is the root.
    junction: Option<Junction>,
    /// How many copies of a request the levels above make.
    mirrors: usize,
}

/// One branch of a junction.
struct Edge {
    junction: Junction,
    /// Of the junction, in `spec.routes`.
    index: usize,
    /// None: the active branch.
    standby: Option<usize>,
    to: Mount,
    /// How many copies of a request the junction and the levels above make.
    mirrors: usize,
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
        let level = compiled.root.as_ref().and_then(|root| root.level.as_ref().ok());
        let via = Way {
            junction: None,
            mirrors: level.map_or(0, Level::mirrors),
        };
        walker.enter(mount, compiled.clone(), via);
    }
    walker.run();
    walker.walk
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

    fn enter(&mut self, mount: Mount, compiled: Arc<Compiled>, via: Way) {
        self.walk.findings.entry(mount.route.clone()).or_default();
        let mut edges = Vec::new();
        for (prefix, route) in &compiled.routes {
            if !path::contains(&mount.bound, prefix) {
                let place = Place::Route(route.index, RouteField::Match);
                self.report(&mount.route, place, out_of_bound(prefix, &mount.bound));
                continue;
            }
            let mirrors = via.mirrors + route.level.mirrors();
            if mirrors > MAX_MIRRORS {
                let field = RouteField::Policy(FieldPath::ROOT.field("mirror").text());
                self.refuse(&mount, (prefix, route.index, field), too_many_mirrors(prefix));
            } else if let Action::Delegate(delegate) = &route.action {
                let junction = Junction {
                    owner: mount.route.clone(),
                    prefix: prefix.clone(),
                };
                match self.known_below(&junction) {
                    Some(below) => {
                        if let Err(fault) = self.check_room(below, mirrors, prefix) {
                            let at = (prefix, route.index, RouteField::Delegate);
                            self.refuse(&mount, at, fault);
                        }
                    }
                    None => add_edges(&mut edges, &junction, (route.index, delegate), mirrors),
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
    fn known_below(&self, junction: &Junction) -> Option<Below> {
        match self.walk.junctions.get(junction)? {
            Verdict::Open(open) => Some(open.below),
            Verdict::Refused(_) => Some(Below::default()),
        }
    }

    /// Whether there is room for what was walked elsewhere, below the mount that is on top of the stack or comes there
    /// next.
    fn check_room(&self, below: Below, mirrors: usize, prefix: &Arc<str>) -> Result<(), Fault> {
        if self.stack.len() + below.height > MAX_DEPTH {
            return Err(too_deep(prefix));
        }
        if mirrors + below.mirrors > MAX_MIRRORS {
            return Err(too_many_mirrors(prefix));
        }
        Ok(())
    }

    /// Makes a route unavailable below one mount of its owner.
    fn refuse(
        &mut self,
        mount: &Mount,
        (prefix, index, field): (&Arc<str>, usize, RouteField),
        fault: Fault,
    ) {
        let refused = self.walk.refused.entry(mount.clone()).or_default();
        refused.insert(prefix.clone(), fault.to_string().into());
        self.report(&mount.route, Place::Route(index, field), fault);
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
        let Edge {
            junction,
            to,
            mirrors,
            ..
        } = edge;
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
        let below = walked.map(|mounted| mounted.below).unwrap_or_default();
        self.check_room(below, *mirrors, prefix)?;
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
            mirrors,
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
            None => {
                let junction = Some(junction);
                self.enter(to, compiled, Way { junction, mirrors });
            }
        }
    }

    fn turn_away(&mut self, edge: Edge, fault: Fault) {
        let Edge {
            junction,
            index,
            standby,
            to: _,
            mirrors: _,
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
        if let Some(junction) = via.junction {
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

fn too_deep(prefix: &Arc<str>) -> Fault {
    Fault::TooDeep {
        prefix: prefix.clone(),
        limit: MAX_DEPTH,
    }
}

fn too_many_mirrors(prefix: &Arc<str>) -> Fault {
    Fault::TooManyMirrors {
        prefix: prefix.clone(),
        limit: MAX_MIRRORS,
    }
}

fn add_edges(
    edges: &mut Vec<Edge>,
    junction: &Junction,
    (index, delegate): (usize, &Delegate),
    mirrors: usize,
) {
    let edge = |standby, target: &Name| Edge {
        junction: junction.clone(),
        index,
        standby,
        to: Mount {
            route: target.clone(),
            bound: delegate.mount.clone(),
        },
        mirrors,
    };
    edges.push(edge(None, &delegate.active));
    let standby = delegate.standby.iter();
    edges.extend(standby.map(|(place, target)| edge(Some(*place), target)));
}
