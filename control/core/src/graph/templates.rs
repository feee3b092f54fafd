//! The templates that delegates use, and how many mirrors, by namespace.

use super::compile::Compiled;
use crate::table::Template;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

/// How many templates of a namespace a host offers beforehand: more would make every host that delegates there larger
/// than a later change of its routes would cost.
const OFFERED: usize = 64;

/// What the IngressRoutes of each namespace use that have no `virtualhost`.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    namespaces: BTreeMap<Arc<str>, Used>,
}

/// Each with how many IngressRoutes use it.
#[derive(Debug, Default)]
struct Used {
    templates: BTreeMap<Template, usize>,
    mirrors: BTreeMap<usize, usize>,
}

// === impl Templates ===

impl Templates {
    /// What a host that delegates to `namespace` offers, so that a delegate can be switched to without a change of
    /// the host's routes.
    pub(crate) fn offered(&self, namespace: &Arc<str>) -> impl Iterator<Item = &Template> {
        let used = self.namespaces.get(namespace).into_iter();
        used.flat_map(|used| used.templates.keys()).take(OFFERED)
    }

    /// How many mirrors a host that delegates to `namespace` has room for beside its own, for the same reason.
    pub(crate) fn offered_mirrors(&self, namespace: &Arc<str>) -> usize {
        let used = self.namespaces.get(namespace);
        let most = used.and_then(|used| used.mirrors.keys().next_back());
        most.copied().unwrap_or_default()
    }

    /// Replaces what one delegate uses. Answers whether its namespace now offers anything else.
    pub(crate) fn replace(&mut self, namespace: &Arc<str>, old: &Compiled, new: &Compiled) -> bool {
        let used = self.namespaces.entry(namespace.clone()).or_default();
        let mut changed = false;
        for template in of_delegate(new) {
            changed |= add(&mut used.templates, template);
        }
        for template in of_delegate(old) {
            changed |= remove(&mut used.templates, template);
        }
        if let Some(mirrors) = mirrors_of_delegate(new) {
            changed |= add(&mut used.mirrors, &mirrors);
        }
        if let Some(mirrors) = mirrors_of_delegate(old) {
            changed |= remove(&mut used.mirrors, &mirrors);
        }
        if used.templates.is_empty() && used.mirrors.is_empty() {
            self.namespaces.remove(namespace);
        }
        changed
    }
}

fn of_delegate(compiled: &Compiled) -> impl Iterator<Item = &Template> {
    let templates = compiled.root.is_none().then(|| compiled.templates());
    templates.into_iter().flatten()
}

/// None: it has none.
fn mirrors_of_delegate(compiled: &Compiled) -> Option<usize> {
    let mirrors = compiled.root.is_none().then(|| compiled.mirrors());
    mirrors.filter(|mirrors| *mirrors > 0)
}

/// Answers whether it is the first.
fn add<T: Clone + Ord>(counts: &mut BTreeMap<T, usize>, used: &T) -> bool {
    let count = counts.entry(used.clone()).or_default();
    *count += 1;
    *count == 1
}

/// Answers whether it was the last.
fn remove<T: Clone + Ord>(counts: &mut BTreeMap<T, usize>, used: &T) -> bool {
    match counts.entry(used.clone()) {
        Entry::Occupied(entry) if *entry.get() == 1 => {
            entry.remove();
            true
        }
        Entry::Occupied(mut entry) => {
            *entry.get_mut() -= 1;
            false
        }
        Entry::Vacant(_) => false,
    }
}
