//! A filter's configuration: one section for each of its switches, plain routes and policies, of which a change touches
//! one.
//!
//! ```text
//! Switch, ... -> section (JSON) -> bucket -> packed configuration -> Wasm -> TypedExtensionConfig
//!                kept              kept      put together when sent
//! ```

mod redact;
pub(crate) mod section;
mod wire;

use crate::{pack, translate::Shard};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use switchyard_policy::packed::{self, Flags, PackError, SectionKey};

/// Sections by key. Cheap to clone and change: what did not change is shared.
#[derive(Clone, Debug)]
pub struct Sections {
    shard: Shard,
    version: u64,
    expose_branch: bool,
    len: usize,
    /// As many as [`packed::bucket_count`] says, each with the keys that [`packed::bucket_of`] says.
    buckets: Vec<Arc<Bucket>>,
}

/// How a proxy gets the filter's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// It has a file with it.
    File { path: String },
    /// It is sent along.
    Inline(Bytes),
}

/// What becomes of sections, by key: another, or none.
pub(crate) type Edits = BTreeMap<Arc<str>, Option<Bytes>>;

#[derive(Clone, Debug)]
struct Bucket {
    hash: u64,
    sections: BTreeMap<Arc<str>, Bytes>,
    packed: Vec<u8>,
}

// === impl Sections ===

impl Sections {
    /// None: the filter refuses every request that it is asked about.
    pub(crate) fn new(shard: Shard, expose_branch: bool) -> Self {
        Self {
            shard,
            version: 0,
            expose_branch,
            len: 0,
            buckets: vec![Arc::new(Bucket::empty())],
        }
        .versioned()
    }

    /// The same for the same sections, however they came about.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether `other` has a section for a key that this one has none for.
    #[must_use]
    pub fn lacks_keys_of(&self, other: &Self) -> bool {
        self.missing(other).next().is_some()
    }

    /// What a proxy may hold on its way from this one to `target`: these sections, and `target`'s for the keys that
    /// these lack. Its routes may then name what is new, while all that is old says what its routes have.
    #[must_use]
    pub fn overlap(&self, target: &Self) -> Self {
        let edits = self
            .missing(target)
            .map(|(key, json)| (key.clone(), Some(json.clone())))
            .collect();
        self.edit(edits).unwrap_or_else(|error| {
            tracing::error!(%error, "Switches of two configurations do not fit into one");
            target.clone()
        })
    }

    /// The encoded `TypedExtensionConfig`.
    #[must_use]
    pub fn encode(&self, code: &Code) -> Bytes {
        let flags = Flags {
            expose_branch: self.expose_branch,
        };
        let buckets: Vec<_> = self
            .buckets
            .iter()
            .map(|bucket| bucket.packed.as_slice())
            .collect();
        wire::encode(&self.shard.to_string(), code, flags, &buckets)
    }

    /// What the filter gets, and nothing around it.
    ///
    /// # Errors
    /// More than 4 GiB of sections.
    pub(crate) fn packed(&self) -> Result<Vec<u8>, PackError> {
        let flags = Flags {
            expose_branch: self.expose_branch,
        };
        let buckets: Vec<_> = self
            .buckets
            .iter()
            .map(|bucket| bucket.packed.as_slice())
            .collect();
        let mut bytes = Vec::with_capacity(packed::assembled_len(&buckets));
        packed::assemble_into(flags, &buckets, &mut bytes)?;
        Ok(bytes)
    }

    /// As people write a configuration, without the secrets that are in policies.
    ///
    /// # Errors
    /// None: the sections are JSON.
    pub fn to_json(&self) -> serde_json::Result<Value> {
        let (mut switches, mut routes, mut policies) = (Map::new(), Map::new(), Map::new());
        for (key, json) in self.iter() {
            let mut section = serde_json::from_slice(json)?;
            let (map, key) = match SectionKey::parse(key) {
                SectionKey::Switch(key) => (&mut switches, key),
                SectionKey::Route(name) => (&mut routes, name),
                SectionKey::Policy(key) => {
                    redact::policy(&mut section);
                    (&mut policies, key)
                }
            };
            map.insert(key.to_owned(), section);
        }
        let mut config = json!({ "exposeBranch": self.expose_branch, "switches": switches });
        for (field, map) in [("routes", routes), ("policies", policies)] {
            if !map.is_empty() {
                config[field] = map.into();
            }
        }
        Ok(config)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Bytes> {
        let at = usize::try_from(packed::bucket_of(key, self.count())).ok()?;
        self.buckets.get(at)?.sections.get(key)
    }

    /// With these edits.
    ///
    /// # Errors
    /// More than 4 GiB of sections.
    pub(crate) fn edit(&self, edits: Edits) -> Result<Self, PackError> {
        let (added, removed) = edits.iter().fold((0, 0), |(added, removed), (key, json)| {
            match (self.get(key).is_some(), json.is_some()) {
                (false, true) => (added + 1, removed),
                (true, false) => (added, removed + 1),
                _ => (added, removed),
            }
        });
        let len = self.len + added - removed;
        let count = packed::bucket_count(len);
        let buckets = if count == self.count() {
            self.edited(edits, count)?
        } else {
            self.rebuilt(edits, count)?
        };
        Ok(Self {
            len,
            buckets,
            ..*self
        }
        .versioned())
    }

    fn edited(&self, edits: Edits, count: u32) -> Result<Vec<Arc<Bucket>>, PackError> {
        let mut by_bucket: BTreeMap<u32, Edits> = BTreeMap::new();
        for (key, json) in edits {
            by_bucket
                .entry(packed::bucket_of(&key, count))
                .or_default()
                .insert(key, json);
        }
        let mut buckets = self.buckets.clone();
        for (at, edits) in by_bucket {
            if let Some(bucket) = usize::try_from(at).ok().and_then(|at| buckets.get_mut(at)) {
                *bucket = Arc::new(bucket.edited(edits)?);
            }
        }
        Ok(buckets)
    }

    fn rebuilt(&self, edits: Edits, count: u32) -> Result<Vec<Arc<Bucket>>, PackError> {
        let mut by_bucket: BTreeMap<u32, BTreeMap<Arc<str>, Bytes>> =
            (0..count).map(|at| (at, BTreeMap::new())).collect();
        let kept = self.iter().filter(|(key, _)| !edits.contains_key(*key));
        let kept = kept
            .map(|(key, json)| (key.clone(), json.clone()))
            .collect::<Vec<_>>();
        let new = edits.into_iter().filter_map(|(key, json)| Some((key, json?)));
        for (key, json) in kept.into_iter().chain(new) {
            by_bucket
                .entry(packed::bucket_of(&key, count))
                .or_default()
                .insert(key, json);
        }
        by_bucket
            .into_values()
            .map(|sections| Bucket::new(sections).map(Arc::new))
            .collect()
    }

    /// The sections of `other` whose keys this one lacks. What both share is not looked at.
    fn missing<'o>(&self, other: &'o Self) -> impl Iterator<Item = (&'o Arc<str>, &'o Bytes)> {
        let shared: BTreeSet<_> = self.buckets.iter().map(Arc::as_ptr).collect();
        let others = other
            .buckets
            .iter()
            .filter(move |bucket| !shared.contains(&Arc::as_ptr(bucket)));
        others
            .flat_map(|bucket| &bucket.sections)
            .filter(|(key, _)| self.get(key).is_none())
    }

    fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Bytes)> {
        self.buckets.iter().flat_map(|bucket| &bucket.sections)
    }

    fn count(&self) -> u32 {
        packed::bucket_count(self.len)
    }

    fn versioned(self) -> Self {
        let hashes: Vec<_> = self.buckets.iter().map(|bucket| bucket.hash).collect();
        Self {
            version: pack::version(&(self.expose_branch, hashes)),
            ..self
        }
    }
}

// === impl Bucket ===

impl Bucket {
    fn empty() -> Self {
        Self {
            hash: pack::version_of(&[]),
            sections: BTreeMap::new(),
            packed: vec![],
        }
    }

    fn new(sections: BTreeMap<Arc<str>, Bytes>) -> Result<Self, PackError> {
        let packed = packed::encode_bucket(sections.iter().map(|(key, json)| (key.as_ref(), json.as_ref())))?;
        Ok(Self {
            hash: pack::version_of(&packed),
            sections,
            packed,
        })
    }

    fn edited(&self, edits: Edits) -> Result<Self, PackError> {
        let mut sections = self.sections.clone();
        for (key, json) in edits {
            match json {
                Some(json) => sections.insert(key, json),
                None => sections.remove(&key),
            };
        }
        Self::new(sections)
    }
}

#[cfg(test)]
mod tests;
