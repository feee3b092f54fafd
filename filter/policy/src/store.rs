//! The configuration that requests are decided by.

use crate::{
    config::{self, Config, PlainRoute},
    decide::Own,
    maps::Map,
    packed::{self, Malformed, Packed},
    policy::{Policy, Unfit},
    switch::{Switch, UnknownBranch},
};
use std::{cell::RefCell, rc::Rc};

/// Decoded sections of a kind to look at, for whether they are still meant, each time that one is decoded. More than
/// one, so that those which no request asks for again go faster than others come.
const SWEPT_PER_DECODE: usize = 2;

/// One configuration. Taking one in costs a copy where control sent it, a parse where people wrote it.
#[derive(Debug)]
pub struct Store {
    expose_branch: bool,
    sections: Sections,
    cache: Rc<RefCell<Cache>>,
    /// What requests have come to since it was taken in.
    points: RefCell<Map<String, Rc<Point>>>,
}

/// What a request can come to, with what it names of the same configuration.
#[derive(Clone, Debug)]
pub struct Point {
    /// The outermost first.
    pub policies: Vec<Rc<Policy>>,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Switch(Rc<Switch>),
    Plain(Own),
}

#[derive(Debug)]
enum Sections {
    /// As people write it: checked whole.
    Parsed {
        switches: Map<String, Rc<Switch>>,
        routes: Map<String, Rc<PlainRoute>>,
        policies: Map<String, Rc<Policy>>,
    },
    /// As control sends it: decoded section by section, when a request first asks.
    Packed(Packed),
}

/// What was decoded, kept from one configuration to the next: what did not change is not decoded again.
#[derive(Debug, Default)]
pub struct Cache {
    switches: Decoded<Switch>,
    routes: Decoded<PlainRoute>,
    policies: Decoded<Policy>,
}

/// Sections of a kind, by key, with the hash of what each was decoded from.
///
/// It holds one state of a key. What a new configuration no longer means is let go a couple at a time, so that no
/// request pays for dropping thousands.
#[derive(Debug)]
struct Decoded<T> {
    sections: Map<String, (u64, Outcome<T>)>,
    /// The key at which the last sweep stopped.
    swept: String,
}

/// One that does not decode is not tried again.
type Outcome<T> = Result<Rc<T>, Unusable>;

/// What a section becomes before requests meet it.
trait Ready: Sized {
    fn decode(json: &[u8]) -> Result<Self, Unusable>;
}

/// Why a configuration, or one section of it, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Packed(#[from] Malformed),
    #[error(transparent)]
    Branch(#[from] UnknownBranch),
    #[error(transparent)]
    Policy(#[from] Unfit),
}

// === impl Store ===

impl Store {
    /// A configuration from its bytes, which it keeps where they are packed. Stores that follow one another share
    /// the cache.
    ///
    /// # Errors
    /// What is wrong with people's JSON, and where; or that the bytes are neither JSON nor whole.
    pub fn new(bytes: Vec<u8>, cache: Rc<RefCell<Cache>>) -> Result<Self, Unusable> {
        if bytes.trim_ascii_start().starts_with(b"{") {
            return Self::from_config(Config::from_json(&bytes)?, cache);
        }
        let packed = Packed::new(bytes)?;
        Ok(Self {
            expose_branch: packed.flags().expose_branch,
            sections: Sections::Packed(packed),
            cache,
            points: RefCell::default(),
        })
    }

    /// Whether clients are told which branch answered.
    #[must_use]
    pub fn expose_branch(&self) -> bool {
        self.expose_branch
    }

    /// What that key is of, put together by `find` for the first request that comes to it: most have one that came before.
    ///
    /// # Errors
    /// Those of `find`, which the next request asks again.
    pub fn point<E>(&self, key: &str, find: impl FnOnce() -> Result<Point, E>) -> Result<Rc<Point>, E> {
        if let Some(point) = self.points.borrow().get(key) {
            return Ok(Rc::clone(point));
        }
        let point = Rc::new(find()?);
        self.points.borrow_mut().insert(key.to_owned(), Rc::clone(&point));
        Ok(point)
    }

    /// The switch of that key, if there is one.
    ///
    /// # Errors
    /// Its section is not one that control sends.
    pub fn switch(&self, key: &str) -> Result<Option<Rc<Switch>>, Unusable> {
        match &self.sections {
            Sections::Parsed { switches, .. } => Ok(switches.get(key).cloned()),
            Sections::Packed(packed) => self.cache.borrow_mut().switches.find(packed, key),
        }
    }

    /// What holds for the Envoy route of that name, if it is no switch.
    ///
    /// # Errors
    /// Its section is not one that control sends.
    pub fn route(&self, name: &str) -> Result<Option<Rc<PlainRoute>>, Unusable> {
        match &self.sections {
            Sections::Parsed { routes, .. } => Ok(routes.get(name).cloned()),
            Sections::Packed(packed) => {
                let key = packed::route_key(name);
                self.cache.borrow_mut().routes.find(packed, &key)
            }
        }
    }

    /// The policy of that key, if there is one.
    ///
    /// # Errors
    /// Its section is not one that control sends.
    pub fn policy(&self, key: &str) -> Result<Option<Rc<Policy>>, Unusable> {
        match &self.sections {
            Sections::Parsed { policies, .. } => Ok(policies.get(key).cloned()),
            Sections::Packed(packed) => {
                let key = packed::policy_key(key);
                self.cache.borrow_mut().policies.find(packed, &key)
            }
        }
    }

    fn from_config(config: Config, cache: Rc<RefCell<Cache>>) -> Result<Self, Unusable> {
        let Config {
            expose_branch,
            switches,
            routes,
            policies,
        } = config;
        let sections = Sections::Parsed {
            switches: ready(switches, |switch| Ok(Switch::try_from(switch)?))?,
            routes: ready(routes, Ok)?,
            policies: ready(policies, |policy| Ok(Policy::try_from(policy)?))?,
        };
        Ok(Self {
            expose_branch,
            sections,
            cache,
            points: RefCell::default(),
        })
    }
}

fn ready<F, T>(
    map: Map<String, F>,
    make: impl Fn(F) -> Result<T, Unusable>,
) -> Result<Map<String, Rc<T>>, Unusable> {
    let ready = |(key, value)| Ok((key, Rc::new(make(value)?)));
    map.into_iter().map(ready).collect()
}

// === impl Ready ===

impl Ready for Switch {
    fn decode(json: &[u8]) -> Result<Self, Unusable> {
        Ok(Self::try_from(config::Switch::from_json(json)?)?)
    }
}

impl Ready for PlainRoute {
    fn decode(json: &[u8]) -> Result<Self, Unusable> {
        Ok(Self::from_json(json)?)
    }
}

impl Ready for Policy {
    fn decode(json: &[u8]) -> Result<Self, Unusable> {
        Ok(Self::try_from(config::Policy::from_json(json)?)?)
    }
}

// === impl Decoded ===

impl<T: Ready> Decoded<T> {
    fn find(&mut self, packed: &Packed, key: &str) -> Result<Option<Rc<T>>, Unusable> {
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
            let Some((key, (hash, _))) = self.sections.after(self.swept.as_str()) else {
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
            sections: Map::new(),
            swept: String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
