//! The way down a root's tcpproxy, from delegate to delegate, to services.

use super::{
    compile::Tcp,
    fault::{self, Fault, Place, Problem, RouteField},
    walk::{CompiledMap, MAX_DEPTH},
};
use crate::{object::Name, table::TcpProxy};
use std::collections::BTreeSet;

/// Where a tcpproxy leads.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) proxy: TcpProxy,
    /// The root, and every delegate that was reached.
    pub(crate) reached: Vec<Name>,
    /// Every delegate that was named, there or not.
    pub(crate) named: BTreeSet<Name>,
    /// What is wrong with the last one reached.
    pub(crate) problem: Option<Problem>,
}

/// Follows a root's tcpproxy. Without clusters at its end, connections are closed.
pub(crate) fn follow(compiled: &CompiledMap, root: &Name) -> Path {
    let mut path = Path {
        proxy: TcpProxy { clusters: Vec::new() },
        reached: vec![root.clone()],
        named: BTreeSet::new(),
        problem: None,
    };
    let mut at = root;
    while let Some(Tcp::Delegate(target)) = compiled.get(at).and_then(|c| c.tcp.as_ref()) {
        path.named.insert(target.clone());
        if let Err(fault) = path.step(compiled, target) {
            let place = Place::TcpProxy(RouteField::Delegate);
            path.problem = Some(Problem { place, fault });
            return path;
        }
        at = target;
    }
    if let Some(Tcp::Services(clusters)) = compiled.get(at).and_then(|c| c.tcp.as_ref()) {
        path.proxy.clusters.clone_from(clusters);
    }
    path
}

// === impl Path ===

impl Path {
    /// Goes on to `target`, if that has a tcpproxy and the way does not lead in a circle.
    fn step(&mut self, compiled: &CompiledMap, target: &Name) -> Result<(), Fault> {
        let Some(found) = compiled.get(target) else {
            return Err(Fault::TcpDelegateMissing(target.clone()));
        };
        if self.reached.contains(target) {
            let names: Vec<_> = self.reached.iter().chain([target]).collect();
            return Err(Fault::TcpCycle(fault::list(names.into_iter(), " -> ")));
        }
        if self.reached.len() > MAX_DEPTH {
            return Err(Fault::TcpTooDeep(MAX_DEPTH));
        }
        if found.tcp.is_none() {
            return Err(Fault::TcpDelegateWithout(target.clone()));
        }
        self.reached.push(target.clone());
        Ok(())
    }
}
