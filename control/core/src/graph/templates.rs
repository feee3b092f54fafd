//! The templates that delegates use, by namespace.

use super::compile::Compiled;
use crate::table::Template;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

/// How many templates of a namespace a host offers beforehand: more would make every host that delegates there larger
/// than a later change of its routes would cost.
const OFFERED: usize = 64;

/// For each namespace, the templates of its IngressRoutes without `virtualhost`, and how many of those have each.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    namespaces: BTreeMap<Arc<str>, BTreeMap<Template, usize>>,
}

// === impl Templates ===

impl Templates {
    /// What a host that delegates to `namespace` offers, so that a delegate can be switched to without a change of
    /// the host's routes.
    pub(crate) fn offered(&self, namespace: &Arc<str>) -> impl Iterator<Item = &Template> {
        let templates = self.namespaces.get(namespace).into_iter().flatten();
        templates.map(|(template, _)| template).take(OFFERED)
    }

    /// Replaces what one delegate uses. Answers whether its namespace now has other templates.
    pub(crate) fn replace(&mut self, namespace: &Arc<str>, old: &Compiled, new: &Compiled) -> bool {
        let counts = self.namespaces.entry(namespace.clone()).or_default();
        let mut changed = false;
        for template in of_delegate(new) {
            changed |= add(counts, template);
        }
        for template in of_delegate(old) {
            changed |= remove(counts, template);
        }
        if counts.is_empty() {
            self.namespaces.remove(namespace);
        }
        changed
    }
}

fn of_delegate(compiled: &Compiled) -> impl Iterator<Item = &Template> {
    let templates = compiled.root.is_none().then(|| compiled.templates());
    templates.into_iter().flatten()
}

/// Answers whether it is the first.
fn add(counts: &mut BTreeMap<Template, usize>, template: &Template) -> bool {
    let count = counts.entry(template.clone()).or_default();
    *count += 1;
    *count == 1
}

/// Answers whether it was the last.
fn remove(counts: &mut BTreeMap<Template, usize>, template: &Template) -> bool {
    match counts.entry(template.clone()) {
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
