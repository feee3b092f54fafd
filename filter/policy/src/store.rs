//! The configuration that requests are decided by.

use crate::{
    config::{self, Config},
    packed::{Malformed, Packed},
    switch::{Switch, UnknownBranch},
};
use std::{cell::RefCell, collections::BTreeMap, ops::Bound, rc::Rc};

/// Decoded switches to look at, for whether they are still meant, each time that one is decoded. More than one, so
/// that those which no request asks for again go faster than others come.
const SWEPT_PER_DECODE: usize = 2;

/// One configuration. Taking one in costs a copy where control sent it, a parse where people wrote it.
#[derive(Debug)]
pub struct Store {
    expose_branch: bool,
    sections: Sections,
    cache: Rc<RefCell<Cache>>,
}

#[derive(Debug)]
enum Sections {
    /// As people write it: checked whole.
    Parsed(BTreeMap<String, Rc<Switch>>),
    /// As control sends it: decoded switch by switch, when a request first asks.
    Packed(Packed),
}

/// Switches that were decoded, kept from one configuration to the next: what did not change is not decoded again.
///
/// It holds one state of a key. What a new configuration no longer means is let go a couple at a time, so that no
/// request pays for dropping thousands.
#[derive(Debug, Default)]
pub struct Cache {
    decoded: BTreeMap<String, Decoded>,
    /// The key at which the last sweep stopped.
    swept: String,
}

#[derive(Debug)]
struct Decoded {
    hash: u64,
    switch: Rc<Switch>,
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
        })
    }

    /// Whether clients are told which branch answered.
    #[must_use]
    pub fn expose_branch(&self) -> bool {
        self.expose_branch
    }

    /// The switch of that key, if there is one.
    ///
    /// # Errors
    /// Its section is not one that control sends.
    pub fn switch(&self, key: &str) -> Result<Option<Rc<Switch>>, Unusable> {
        match &self.sections {
            Sections::Parsed(switches) => Ok(switches.get(key).cloned()),
            Sections::Packed(packed) => self.cache.borrow_mut().switch(packed, key),
        }
    }

    fn from_config(config: Config, cache: Rc<RefCell<Cache>>) -> Result<Self, Unusable> {
        let Config {
            expose_branch,
            switches,
            routes: _,
            policies: _,
        } = config;
        let ready = |(key, switch)| Ok((key, Rc::new(Switch::try_from(switch)?)));
        Ok(Self {
            expose_branch,
            sections: Sections::Parsed(switches.into_iter().map(ready).collect::<Result<_, Unusable>>()?),
            cache,
        })
    }
}

// === impl Cache ===

impl Cache {
    fn switch(&mut self, packed: &Packed, key: &str) -> Result<Option<Rc<Switch>>, Unusable> {
        let Some(section) = packed.find(key) else {
            return Ok(None);
        };
        if let Some(Decoded { switch, .. }) = self
            .decoded
            .get(key)
            .filter(|decoded| decoded.hash == section.hash)
        {
            return Ok(Some(Rc::clone(switch)));
        }
        self.sweep(packed);
        let switch = Rc::new(Switch::try_from(config::Switch::from_json(section.json)?)?);
        let decoded = Decoded {
            hash: section.hash,
            switch: Rc::clone(&switch),
        };
        self.decoded.insert(key.to_owned(), decoded);
        Ok(Some(switch))
    }

    fn sweep(&mut self, current: &Packed) {
        for _ in 0..SWEPT_PER_DECODE {
            let after = (Bound::Excluded(self.swept.as_str()), Bound::Unbounded);
            let Some((key, Decoded { hash, .. })) = self.decoded.range::<str, _>(after).next() else {
                self.swept.clear();
                return;
            };
            let is_stale = current.find(key).is_none_or(|section| section.hash != *hash);
            self.swept = key.clone();
            if is_stale {
                self.decoded.remove(&self.swept);
            }
        }
    }
}

#[cfg(test)]
mod tests;
