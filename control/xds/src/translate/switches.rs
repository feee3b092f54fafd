//! The filter's sections, by what a change touches.

use super::{Settings, Shard, published::Published};
use crate::{
    resource::{Body, ResourceType},
    sections::{Edits, Sections, section},
};
use std::{collections::BTreeMap, sync::Arc};
use switchyard_core::table::{SwitchKey, Table};

/// The sections of all switches.
#[derive(Debug)]
pub(super) struct Switches {
    shards: BTreeMap<Shard, Arc<Sections>>,
    /// Switches that the table no longer has, and since when.
    retired: BTreeMap<Arc<str>, u64>,
}

// === impl Switches ===

impl Switches {
    pub(super) fn new(settings: &Settings) -> Self {
        let empty = |shard| (shard, Arc::new(Sections::new(shard, settings.expose_branch)));
        Self {
            shards: Shard::all().map(empty).collect(),
            retired: BTreeMap::new(),
        }
    }

    /// Publishes all of them.
    pub(super) fn start(&self, published: &mut Published) {
        for (shard, sections) in &self.shards {
            publish(*shard, sections, published);
        }
    }

    /// Takes in what became of these switches.
    pub(super) fn set<'k>(
        &mut self,
        table: &Table,
        keys: impl Iterator<Item = &'k SwitchKey>,
        generation: u64,
        published: &mut Published,
    ) {
        let mut edits = Edits::new();
        for key in keys {
            let SwitchKey(name) = key;
            let Some(switch) = table.switches.get(key) else {
                if self.has(name) {
                    self.retired.entry(name.clone()).or_insert(generation);
                }
                continue;
            };
            self.retired.remove(name);
            match section(switch) {
                Ok(json) => {
                    edits.insert(name.clone(), Some(json));
                }
                Err(error) => tracing::error!(%key, %error, "Ignoring a switch that the filter would refuse"),
            }
        }
        self.edit(edits, published);
    }

    /// Lets go of switches that were retired at `acked` or before.
    pub(super) fn prune(&mut self, acked: u64, published: &mut Published) {
        let gone = self.retired.extract_if(.., |_, since| *since <= acked);
        let edits = gone.map(|(key, _)| (key, None)).collect();
        self.edit(edits, published);
    }

    fn has(&self, key: &str) -> bool {
        let shard = self.shards.get(&Shard::of_switch(key));
        shard.is_some_and(|sections| sections.get(key).is_some())
    }

    fn edit(&mut self, edits: Edits, published: &mut Published) {
        let mut by_shard: BTreeMap<Shard, Edits> = BTreeMap::new();
        for (key, json) in edits {
            let shard = by_shard.entry(Shard::of_switch(&key)).or_default();
            shard.insert(key, json);
        }
        for (shard, edits) in by_shard {
            let Some(sections) = self.shards.get_mut(&shard) else {
                continue;
            };
            match sections.edit(edits) {
                Ok(edited) => *sections = Arc::new(edited),
                Err(error) => tracing::error!(%error, "Ignoring a change of switches"),
            }
            publish(shard, sections, published);
        }
    }
}

fn publish(shard: Shard, sections: &Arc<Sections>, published: &mut Published) {
    let body = || Body::Sections(sections.clone());
    let name = shard.to_string().into();
    published.set(ResourceType::Extension, &name, sections.version(), body);
}
