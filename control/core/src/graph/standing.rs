//! How an IngressRoute stands with all the roots that reach it, kept as counts so that one root's change costs as much
//! as what it says of that IngressRoute, however many roots there are.

use super::{compile::Compiled, fault::Problem};
use crate::status::{State, Status, StatusError};
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

/// How many errors a status lists: it is stored with the object, whose size is limited.
const LISTED: usize = 100;

/// What roots found out about an IngressRoute.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// How many roots reach it.
    roots: usize,
    /// How many roots found each problem.
    problems: BTreeMap<Problem, usize>,
}

// === impl Standing ===

impl Standing {
    /// Adds what a root found.
    pub(crate) fn add(&mut self, problems: &BTreeSet<Problem>) {
        self.roots += 1;
        for problem in problems {
            *self.problems.entry(problem.clone()).or_default() += 1;
        }
    }

    /// Takes back what a root found.
    pub(crate) fn remove(&mut self, problems: &BTreeSet<Problem>) {
        self.roots = self.roots.saturating_sub(1);
        for problem in problems {
            if let Entry::Occupied(mut entry) = self.problems.entry(problem.clone()) {
                *entry.get_mut() -= 1;
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.roots == 0
    }

    /// The status of an IngressRoute that stands so. What is wrong with it alone shows while it is orphaned, too: its
    /// owner wants to know before it is switched to.
    pub(crate) fn status(&self, compiled: &Compiled) -> Status {
        let problems: BTreeSet<_> = compiled
            .problems
            .iter()
            .chain(self.problems.keys().take(LISTED + 1))
            .collect();
        let state = if compiled.root.is_none() && self.roots == 0 {
            State::Orphaned
        } else if problems.is_empty() {
            State::Valid
        } else {
            State::Invalid
        };
        Status {
            state,
            errors: listed(&problems, "errors"),
            warnings: listed(&compiled.warnings.iter().collect(), "warnings"),
        }
    }
}

fn listed(problems: &BTreeSet<&Problem>, what: &str) -> Vec<StatusError> {
    let mut errors: Vec<_> = problems
        .iter()
        .take(LISTED)
        .map(|problem| StatusError::from(*problem))
        .collect();
    if problems.len() > LISTED {
        errors.push(StatusError {
            field: String::new(),
            message: format!("more than {LISTED} {what}: the first {LISTED} are listed"),
        });
    }
    errors
}
