//! The delegation graph: objects in, a routing table and statuses out, by the roots that a change reaches.

use crate::{
    object::{Name, Object, ObjectId},
    status::Status,
    table::{ClusterName, SwitchKey, Table},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the graph is told once, at start.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Namespaces that roots may live in; empty: any.
    pub root_namespaces: BTreeSet<String>,
    /// Ignore `permitInsecure` everywhere.
    pub disable_permit_insecure: bool,
}

/// The objects, and what follows from them.
#[derive(Debug, Default)]
pub struct Graph {
    _settings: Settings,
    table: Table,
    statuses: BTreeMap<Name, Status>,
}

/// What a commit changed: names to look up in [`Graph::table`] and [`Graph::status`]. What is named here and no
/// longer there was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub hosts: BTreeSet<Arc<str>>,
    pub switches: BTreeSet<SwitchKey>,
    pub clusters: BTreeSet<ClusterName>,
    pub endpoints: BTreeSet<ClusterName>,
    pub certificates: BTreeSet<Name>,
    pub statuses: BTreeSet<Name>,
    /// How many roots were derived anew.
    pub derived: usize,
}

impl Graph {
    /// An empty graph.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            _settings: settings,
            ..Self::default()
        }
    }

    /// Adds or replaces an object. Answers whether that may change anything.
    pub fn apply(&mut self, _object: Object) -> bool {
        false
    }

    /// Removes an object. Answers whether it was there.
    pub fn delete(&mut self, _id: &ObjectId) -> bool {
        false
    }

    /// Derives what the changes since the last commit reach, and says what came out different.
    pub fn commit(&mut self) -> Change {
        Change::default()
    }

    /// What the proxies are to do, as of the last commit.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// What the owner of an IngressRoute is told, as of the last commit.
    #[must_use]
    pub fn status(&self, name: &Name) -> Option<&Status> {
        self.statuses.get(name)
    }

    /// All statuses, by name.
    pub fn statuses(&self) -> impl Iterator<Item = (&Name, &Status)> {
        self.statuses.iter()
    }
}
