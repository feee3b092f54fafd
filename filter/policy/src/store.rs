//! The configuration that requests are decided by.

use crate::{
    config::{self, Config, PlainRoute},
    packed::{self, Packed, PackedError},
    policy::{PolicyError, PreparedPolicy},
    route::RouteOverrides,
    switch::{PreparedSwitch, UnknownBranchError},
};
use std::{cell::RefCell, collections::BTreeMap, ops::Bound, rc::Rc};

/// The number of decoded sections of a kind to check for staleness each time that one is decoded. More than one, so
/// that sections which no request needs go faster than others come.
const SWEPT_PER_DECODE: usize = 2;

/// One configuration. Loading it costs a copy if control sent it, a parse if it is JSON.
#[derive(Debug)]
pub struct Store {
    expose_branch: bool,
    sections: SectionSource,
    cache: Rc<RefCell<SectionCache>>,
    /// Routes that requests have reached since it was loaded.
    resolved_routes: RefCell<BTreeMap<String, Rc<ResolvedRoute>>>,
}

/// A switch or a plain route that a request can reach, with its policies from the same configuration.
#[derive(Clone, Debug)]
pub struct ResolvedRoute {
    /// The policies, the outermost first.
    pub policies: Vec<Rc<PreparedPolicy>>,
    pub kind: RouteKind,
}

/// The kind of a route.
#[derive(Clone, Debug)]
pub enum RouteKind {
    Switch(Rc<PreparedSwitch>),
    Plain(RouteOverrides),
}

#[derive(Debug)]
enum SectionSource {
    /// The JSON form, checked as a whole.
    Parsed {
        switches: BTreeMap<String, Rc<PreparedSwitch>>,
        routes: BTreeMap<String, Rc<PlainRoute>>,
        policies: BTreeMap<String, Rc<PreparedPolicy>>,
    },
    /// Control's packed form, decoded section by section when a request first needs it.
    Packed(Packed),
}

/// Decoded sections, kept from one configuration to the next: unchanged ones are not decoded again.
#[derive(Debug, Default)]
pub struct SectionCache {
    switches: Decoded<PreparedSwitch>,
    routes: Decoded<PlainRoute>,
    policies: Decoded<PreparedPolicy>,
}

/// Sections of a kind, by key, with the hash of what each was decoded from.
///
/// It holds one state of a key. Stale sections are dropped a couple at a time, so that no request pays for dropping
/// thousands.
#[derive(Debug)]
struct Decoded<T> {
    sections: BTreeMap<String, (u64, DecodeResult<T>)>,
    /// The key at which the last sweep stopped.
    swept: String,
}

/// The result of decoding a section; a failure is not tried again.
type DecodeResult<T> = Result<Rc<T>, StoreError>;

/// A type that sections are decoded to.
trait DecodeSection: Sized {
    fn decode(json: &[u8]) -> Result<Self, StoreError>;
}

/// The reason that a configuration, or one section of it, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Packed(#[from] PackedError),
    #[error(transparent)]
    Branch(#[from] UnknownBranchError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

// === impl Store ===

impl Store {
    /// Loads a configuration from its bytes, which it keeps if they are packed. Stores that follow one another share
    /// the cache.
    ///
    /// # Errors
    /// The first error of the JSON, with its path; or the bytes are neither JSON nor a whole packed configuration.
    pub fn new(bytes: Vec<u8>, cache: Rc<RefCell<SectionCache>>) -> Result<Self, StoreError> {
        if bytes.trim_ascii_start().starts_with(b"{") {
            return Self::from_config(Config::from_json(&bytes)?, cache);
        }
        let packed = Packed::new(bytes)?;
        Ok(Self {
            expose_branch: packed.flags().expose_branch,
            sections: SectionSource::Packed(packed),
            cache,
            resolved_routes: RefCell::default(),
        })
    }

    /// Returns true if clients are told which branch answered.
    #[must_use]
    pub fn expose_branch(&self) -> bool {
        self.expose_branch
    }

    /// The route of a key, resolved by `resolve` for the first request and kept for the ones after it.
    ///
    /// # Errors
    /// The error of `resolve`, which the next request calls again.
    pub fn resolved_route<E>(
        &self,
        key: &str,
        resolve: impl FnOnce() -> Result<ResolvedRoute, E>,
    ) -> Result<Rc<ResolvedRoute>, E> {
        if let Some(route) = self.resolved_routes.borrow().get(key) {
            return Ok(Rc::clone(route));
        }
        let route = Rc::new(resolve()?);
        self.resolved_routes
            .borrow_mut()
            .insert(key.to_owned(), Rc::clone(&route));
        Ok(route)
    }

    /// The switch of that key, if there is one.
    ///
    /// # Errors
    /// The section is not one that control sends.
    pub fn switch(&self, key: &str) -> Result<Option<Rc<PreparedSwitch>>, StoreError> {
        match &self.sections {
            SectionSource::Parsed { switches, .. } => Ok(switches.get(key).cloned()),
            SectionSource::Packed(packed) => self.cache.borrow_mut().switches.find(packed, key),
        }
    }

    /// The settings of the Envoy route of that name, if it is a plain route.
    ///
    /// # Errors
    /// The section is not one that control sends.
    pub fn route(&self, name: &str) -> Result<Option<Rc<PlainRoute>>, StoreError> {
        match &self.sections {
            SectionSource::Parsed { routes, .. } => Ok(routes.get(name).cloned()),
            SectionSource::Packed(packed) => {
                let key = packed::route_key(name);
                self.cache.borrow_mut().routes.find(packed, &key)
            }
        }
    }

    /// The policy of that key, if there is one.
    ///
    /// # Errors
    /// The section is not one that control sends.
    pub fn policy(&self, key: &str) -> Result<Option<Rc<PreparedPolicy>>, StoreError> {
        match &self.sections {
            SectionSource::Parsed { policies, .. } => Ok(policies.get(key).cloned()),
            SectionSource::Packed(packed) => {
                let key = packed::policy_key(key);
                self.cache.borrow_mut().policies.find(packed, &key)
            }
        }
    }

    fn from_config(config: Config, cache: Rc<RefCell<SectionCache>>) -> Result<Self, StoreError> {
        let Config {
            expose_branch,
            switches,
            routes,
            policies,
        } = config;
        let sections = SectionSource::Parsed {
            switches: prepared(switches, |switch| Ok(PreparedSwitch::try_from(switch)?))?,
            routes: prepared(routes, Ok)?,
            policies: prepared(policies, |policy| Ok(PreparedPolicy::try_from(policy)?))?,
        };
        Ok(Self {
            expose_branch,
            sections,
            cache,
            resolved_routes: RefCell::default(),
        })
    }
}

fn prepared<F, T>(
    map: BTreeMap<String, F>,
    make: impl Fn(F) -> Result<T, StoreError>,
) -> Result<BTreeMap<String, Rc<T>>, StoreError> {
    let prepare = |(key, value)| Ok((key, Rc::new(make(value)?)));
    map.into_iter().map(prepare).collect()
}

// === impl DecodeSection ===

impl DecodeSection for PreparedSwitch {
    fn decode(json: &[u8]) -> Result<Self, StoreError> {
        Ok(Self::try_from(config::Switch::from_json(json)?)?)
    }
}

impl DecodeSection for PlainRoute {
    fn decode(json: &[u8]) -> Result<Self, StoreError> {
        Ok(Self::from_json(json)?)
    }
}

impl DecodeSection for PreparedPolicy {
    fn decode(json: &[u8]) -> Result<Self, StoreError> {
        Ok(Self::try_from(config::Policy::from_json(json)?)?)
    }
}

// === impl Decoded ===

impl<T: DecodeSection> Decoded<T> {
    fn find(&mut self, packed: &Packed, key: &str) -> Result<Option<Rc<T>>, StoreError> {
        let Some(section) = packed.find(key) else {
            return Ok(None);
        };
        if let Some((_, outcome)) = self.sections.get(key).filter(|(hash, _)| *hash == section.hash) {
            return outcome.clone().map(Some);
        }
        self.sweep(packed);
        let outcome = T::decode(section.json).map(Rc::new);
        self.sections
            .insert(key.to_owned(), (section.hash, outcome.clone()));
        outcome.map(Some)
    }

    fn sweep(&mut self, current: &Packed) {
        for _ in 0..SWEPT_PER_DECODE {
            let unswept = (Bound::Excluded(self.swept.as_str()), Bound::Unbounded);
            let Some((key, (hash, _))) = self.sections.range::<str, _>(unswept).next() else {
                self.swept.clear();
                return;
            };
            let is_stale = current.find(key).is_none_or(|section| section.hash != *hash);
            self.swept = key.clone();
            if is_stale {
                self.sections.remove(&self.swept);
            }
        }
    }
}

impl<T> Default for Decoded<T> {
    fn default() -> Self {
        Self {
            sections: BTreeMap::new(),
            swept: String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
