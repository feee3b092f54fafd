//! The filters' sections, by what a change touches.

use super::{Settings, Shard, published::Published, route};
use crate::{
    resource::{Body, ResourceType},
    sections::{
        Edits, Sections,
        section::{self, Refused},
    },
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use switchyard_core::{
    graph::Change,
    table::{Host, PolicyKey, SwitchKey, Table},
};
use switchyard_policy::packed;

/// The sections of all switches, of all plain routes that have policies, and of all policies.
#[derive(Debug)]
pub(super) struct Filters {
    shards: BTreeMap<Shard, Arc<Sections>>,
    /// The keys of each host's plain routes.
    plain: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Keys that the table no longer has, and since when.
    retired: BTreeMap<Arc<str>, u64>,
}

/// What a change does.
struct Taking<'a> {
    filters: &'a mut Filters,
    generation: u64,
    edits: Edits,
}

// === impl Filters ===

impl Filters {
    pub(super) fn new(settings: &Settings) -> Self {
        let empty = |shard| (shard, Arc::new(Sections::new(shard, settings.expose_branch)));
        Self {
            shards: Shard::all().map(empty).collect(),
            plain: BTreeMap::new(),
            retired: BTreeMap::new(),
        }
    }

    /// Publishes all of them.
    pub(super) fn start(&self, published: &mut Published) {
        for (shard, sections) in &self.shards {
            publish(*shard, sections, published);
        }
    }

    /// Takes in what became of switches, hosts and policies.
    pub(super) fn set(&mut self, table: &Table, change: &Change, generation: u64, published: &mut Published) {
        let mut taking = Taking {
            filters: self,
            generation,
            edits: Edits::new(),
        };
        for key in &change.switches {
            taking.switch(table, key);
        }
        for fqdn in &change.hosts {
            taking.plain_routes(fqdn, table.hosts.get(fqdn).map(AsRef::as_ref));
        }
        for key in &change.policies {
            taking.policy(table, key);
        }
        let Taking { edits, .. } = taking;
        self.edit(edits, published);
    }

    /// Lets go of what was retired at `acked` or before.
    pub(super) fn prune(&mut self, acked: u64, published: &mut Published) {
        let gone = self.retired.extract_if(.., |_, since| *since <= acked);
        let edits = gone.map(|(key, _)| (key, None)).collect();
        self.edit(edits, published);
    }

    fn has(&self, key: &str) -> bool {
        let shard = self.shards.get(&Shard::of_section(key));
        shard.is_some_and(|sections| sections.get(key).is_some())
    }

    fn edit(&mut self, edits: Edits, published: &mut Published) {
        let mut by_shard: BTreeMap<Shard, Edits> = BTreeMap::new();
        for (key, json) in edits {
            let shard = by_shard.entry(Shard::of_section(&key)).or_default();
            shard.insert(key, json);
        }
        for (shard, edits) in by_shard {
            let Some(sections) = self.shards.get_mut(&shard) else {
                continue;
            };
            match sections.edit(edits) {
                Ok(edited) => *sections = Arc::new(edited),
                Err(error) => tracing::error!(%error, "Ignoring a change of the filters"),
            }
            publish(shard, sections, published);
        }
    }
}

// === impl Taking ===

impl Taking<'_> {
    fn switch(&mut self, table: &Table, key: &SwitchKey) {
        let SwitchKey(name) = key;
        let Some(switch) = table.switches.get(key) else {
            return self.retire(name);
        };
        self.filters.retired.remove(name);
        match section::of_switch(switch) {
            Ok(json) => {
                self.edits.insert(name.clone(), Some(json));
            }
            Err(error) => tracing::error!(%key, %error, "Ignoring a switch that the filter would refuse"),
        }
    }

    fn plain_routes(&mut self, fqdn: &Arc<str>, host: Option<&Host>) {
        let mut now = BTreeSet::new();
        for (name, template, policies) in host.into_iter().flat_map(route::with_policies) {
            let key: Arc<str> = packed::route_key(&name).into();
            self.enforce(&key, section::of_plain_route(template, policies));
            now.insert(key);
        }
        let before = if now.is_empty() {
            self.filters.plain.remove(fqdn)
        } else {
            self.filters.plain.insert(fqdn.clone(), now.clone())
        };
        for gone in before.unwrap_or_default().difference(&now) {
            self.retire(gone);
        }
    }

    fn policy(&mut self, table: &Table, key: &PolicyKey) {
        let PolicyKey(name) = key;
        let name = packed::policy_key(name).into();
        match table.policies.get(key) {
            Some(policy) => self.enforce(&name, section::of_policy(policy)),
            None => self.retire(&name),
        }
    }

    /// Of what is asked of requests. One that the filter would refuse is taken away, so that it refuses the requests:
    /// as it was, it may have asked for less.
    fn enforce(&mut self, key: &Arc<str>, section: Result<Bytes, Refused>) {
        self.filters.retired.remove(key);
        let json = section
            .inspect_err(|error| {
                tracing::error!(%key, %error, "Its requests are refused, for the filter would refuse its section");
            })
            .ok();
        self.edits.insert(key.clone(), json);
    }

    /// It stays until no proxy uses it.
    fn retire(&mut self, key: &Arc<str>) {
        if self.filters.has(key) {
            let retired = &mut self.filters.retired;
            retired.entry(key.clone()).or_insert(self.generation);
        }
    }
}

fn publish(shard: Shard, sections: &Arc<Sections>, published: &mut Published) {
    let body = || Body::Sections(sections.clone());
    let name = shard.to_string().into();
    published.set(ResourceType::Extension, &name, sections.version(), body);
}
