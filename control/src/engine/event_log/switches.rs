//! The active branches of switches, and their moves.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use switchyard_core::{
    Change, Graph, Name,
    table::{Switch, SwitchKey},
};

/// The active branch of each switch, or the last one while its delegating route cannot be resolved.
#[derive(Debug, Default)]
pub(super) struct Switches {
    active: BTreeMap<SwitchKey, Active>,
    /// The switches that are not in the table, by owner.
    suspended: BTreeMap<Name, BTreeSet<SwitchKey>>,
}

/// A delegating route, and the branch that it has active.
#[derive(Debug)]
struct Active {
    owner: Name,
    prefix: Arc<str>,
    now: Name,
    /// The branch before the last move, if one was seen.
    before: Option<Name>,
    /// The generation of the last change of the switch.
    since: u64,
}

/// A delegating route whose active branch changed, on all hosts that lead to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Move {
    pub(super) owner: Name,
    pub(super) prefix: Arc<str>,
    pub(super) from: Name,
    pub(super) to: Name,
}

/// Moves, each with its host names.
pub(super) type Moves = BTreeMap<Move, BTreeSet<String>>;

// === impl Switches ===

impl Switches {
    /// Applies a commit, and returns the moves.
    pub(super) fn committed(&mut self, graph: &Graph, change: &Change, generation: u64) -> Moves {
        let mut moves = Moves::new();
        for key in &change.switches {
            match graph.table().switches.get(key) {
                Some(switch) => {
                    let moved = self.set(key, switch, generation);
                    if let Some(moved) = moved {
                        moves.entry(moved).or_default().insert(key.host().to_owned());
                    }
                }
                None => self.suspend(key),
            }
        }
        // A route that can no longer be resolved may be removed, in which case its status changes, too.
        let gone = change
            .switches
            .iter()
            .filter(|key| !graph.table().switches.contains_key(*key));
        let owners = gone
            .filter_map(|key| self.active.get(key))
            .map(|active| &active.owner);
        let owners: BTreeSet<_> = owners.chain(&change.statuses).cloned().collect();
        owners.iter().for_each(|owner| self.forget(graph, owner));
        moves
    }

    fn set(&mut self, key: &SwitchKey, switch: &Switch, generation: u64) -> Option<Move> {
        let Switch {
            owner,
            prefix,
            active: now,
            ..
        } = switch;
        if let Some(keys) = self.suspended.get_mut(owner) {
            keys.remove(key);
        }
        let active = self.active.entry(key.clone()).or_insert_with(|| Active {
            owner: owner.clone(),
            prefix: prefix.clone(),
            now: now.clone(),
            before: None,
            since: generation,
        });
        active.since = generation;
        if active.now == *now {
            return None;
        }
        let from = std::mem::replace(&mut active.now, now.clone());
        active.before = Some(from.clone());
        Some(Move {
            owner: owner.clone(),
            prefix: prefix.clone(),
            from,
            to: now.clone(),
        })
    }

    fn suspend(&mut self, key: &SwitchKey) {
        if let Some(active) = self.active.get(key) {
            let keys = self.suspended.entry(active.owner.clone()).or_default();
            keys.insert(key.clone());
        }
    }

    /// Forgets the suspended switches of removed routes.
    fn forget(&mut self, graph: &Graph, owner: &Name) {
        let Some(keys) = self.suspended.get_mut(owner) else {
            return;
        };
        let active = &mut self.active;
        keys.retain(|key| {
            let prefix = active.get(key).map(|active| active.prefix.clone());
            let delegates = prefix.is_some_and(|prefix| graph.named_branch(owner, &prefix).is_some());
            if !delegates {
                active.remove(key);
            }
            delegates
        });
        if keys.is_empty() {
            self.suspended.remove(owner);
        }
    }

    /// The generation since which a switch is in its current state.
    pub(super) fn since(&self, key: &SwitchKey) -> u64 {
        self.active
            .get(key)
            .map(|active| active.since)
            .unwrap_or_default()
    }

    /// The previously active branch of a switch, if its move was seen.
    pub(super) fn before(&self, key: &SwitchKey) -> Option<&Name> {
        self.active.get(key)?.before.as_ref()
    }

    /// The branch before the one that a delegating route names: the previous one, or the last that could be resolved.
    pub(super) fn previous(&self, graph: &Graph, owner: &Name, prefix: &str) -> Option<Name> {
        let named = graph.named_branch(owner, prefix)?;
        let is_meant = |active: &&Active| active.owner == *owner && *active.prefix == *prefix;
        let mut previous = self.active.values().filter(is_meant).filter_map(|active| {
            if active.now == *named {
                active.before.clone()
            } else {
                Some(active.now.clone())
            }
        });
        previous.next()
    }
}
