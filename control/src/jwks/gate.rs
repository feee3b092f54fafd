//! What goes to the engine, and when: pure, but for the log.

use super::{
    fetch::{FetchError, Fetched},
    keeper::Keeper,
    named::{self, Named, Uses},
    stats::Stats,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
    time::{Duration, SystemTime},
};
use switchyard_core::{
    Name, ObjectId,
    object::{Batch, Kind, Object},
};
use tokio::time::Instant;

/// For how long what names a new set waits for it: about as long as a fetch may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between the source and the engine.
#[derive(Debug)]
pub(super) struct Gate {
    stats: Arc<Stats>,
    soonest: Duration,
    keepers: BTreeMap<Arc<str>, Keeper>,
    /// By what the engine has.
    named: Named,
    /// IngressRoutes that wait for sets.
    waiting: BTreeMap<Name, Waiting>,
    /// The first batch is everything that there is, and waits as a whole. None: it went out.
    first: Option<First>,
    /// What goes out next.
    next: Batch,
    /// How far the source is.
    version: u64,
    /// What the engine was told of that.
    told: u64,
}

#[derive(Debug)]
struct Waiting {
    object: Object,
    uses: Uses,
    until: Instant,
}

#[derive(Debug)]
enum First {
    ToCome,
    Waits(Instant),
}

// === impl Gate ===

impl Gate {
    pub(super) fn new(stats: Arc<Stats>, soonest: Duration) -> Self {
        Self {
            stats,
            soonest,
            keepers: BTreeMap::new(),
            named: Named::default(),
            waiting: BTreeMap::new(),
            first: Some(First::ToCome),
            next: Batch::default(),
            version: 0,
            told: 0,
        }
    }

    /// Whether it takes batches.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.first, Some(First::Waits(_)))
    }

    /// Takes what the source tells.
    pub(super) fn take(&mut self, batch: Batch, now: Instant) {
        let Batch {
            deleted,
            applied,
            version,
        } = batch;
        self.version = self.version.max(version);
        let mut differs = false;
        for id in deleted {
            if id.kind == Kind::IngressRoute {
                differs |= self.waiting.remove(&id.name).is_some();
                differs |= self.named.set(&id.name, Uses::new());
            }
            self.next.deleted.push(id);
        }
        for object in applied {
            differs |= self.applied(object, now);
        }
        if differs {
            self.name(now);
        }
        if let Some(first @ First::ToCome) = &mut self.first {
            *first = First::Waits(now + PATIENCE);
        }
    }

    /// Answers whether other sets are named now.
    fn applied(&mut self, object: Object, now: Instant) -> bool {
        let Object::IngressRoute(route) = &object else {
            self.next.applied.push(object);
            return false;
        };
        let (name, uses) = (route.name.clone(), named::uses(route));
        let waited = self.waiting.remove(&name).is_some();
        if self.first.is_none() && !self.are_tried(&uses) {
            let until = now + PATIENCE;
            self.waiting.insert(name, Waiting { object, uses, until });
            return true;
        }
        self.next.applied.push(object);
        self.named.set(&name, uses) || waited
    }

    fn are_tried(&self, uses: &Uses) -> bool {
        uses.keys()
            .all(|uri| self.keepers.get(uri).is_some_and(Keeper::is_tried))
    }

    /// Keeps the sets that somebody names, and no others.
    fn name(&mut self, now: Instant) {
        let mut wanted = self.named.uris();
        wanted.extend(
            self.waiting
                .values()
                .flat_map(|waiting| waiting.uses.keys())
                .cloned(),
        );
        let gone: BTreeSet<_> = self
            .keepers
            .keys()
            .filter(|uri| !wanted.contains(*uri))
            .cloned()
            .collect();
        for uri in gone {
            self.keepers.remove(&uri);
            self.next
                .applied
                .retain(|object| object.id() != ObjectId::jwks(uri.clone()));
            self.next.deleted.push(ObjectId::jwks(uri));
        }
        for uri in wanted {
            let new = || Keeper::new(uri.clone(), self.soonest, now);
            self.keepers.entry(uri.clone()).or_insert_with(new).stale = None;
        }
        let waiting = self.waiting.values().map(|waiting| &waiting.uses);
        for (uri, stale) in self.named.all().chain(waiting).flatten() {
            if let Some(keeper) = self.keepers.get_mut(uri) {
                keeper.stale = named::shorter(keeper.stale, *stale);
            }
        }
        self.count();
    }

    /// The sets to fetch now, so many at most.
    pub(super) fn start(&mut self, now: Instant, most: usize) -> Vec<Arc<str>> {
        let due = self.keepers.iter_mut();
        let due = due.filter(|(_, keeper)| keeper.due().is_some_and(|due| due <= now));
        due.take(most)
            .map(|(uri, keeper)| {
                keeper.started();
                uri.clone()
            })
            .collect()
    }

    /// Takes in what a fetch came to.
    pub(super) fn fetched(
        &mut self,
        uri: &Arc<str>,
        fetched: Result<Fetched, FetchError>,
        now: Instant,
        clock: SystemTime,
    ) {
        self.stats.count(fetched.is_ok());
        // Nobody may name it any longer.
        let Some(keeper) = self.keepers.get_mut(uri) else {
            return;
        };
        let news = keeper.fetched(fetched, now, clock);
        self.next.applied.extend(news.map(Object::Jwks));
        self.count();
    }

    fn count(&self) {
        let failing = self.keepers.values().filter(|keeper| keeper.is_failing());
        self.stats.set_failing(failing.count());
    }

    /// What the engine is to be told now.
    pub(super) fn batch(&mut self, now: Instant) -> Option<Batch> {
        if let Some(first) = &self.first {
            let First::Waits(until) = first else {
                return None;
            };
            if now < *until && !self.keepers.values().all(Keeper::is_tried) {
                return None;
            }
            self.first = None;
            self.told = self.version;
            let first = mem::take(&mut self.next);
            return Some(Batch {
                version: self.version,
                ..first
            });
        }
        self.release(now);
        let mut batch = mem::take(&mut self.next);
        // What waits is not there yet.
        if self.waiting.is_empty() {
            batch.version = self.version;
        }
        let is_further = batch.version > self.told;
        self.told = self.told.max(batch.version);
        (is_further || !batch.is_empty()).then_some(batch)
    }

    /// Lets go what has waited long enough.
    fn release(&mut self, now: Instant) {
        let waiting = mem::take(&mut self.waiting);
        let (ready, waiting) = waiting
            .into_iter()
            .partition(|(_, waiting)| waiting.until <= now || self.are_tried(&waiting.uses));
        self.waiting = waiting;
        let is_any = !BTreeMap::is_empty(&ready);
        for (
            name,
            Waiting {
                object,
                uses,
                until: _,
            },
        ) in ready
        {
            self.named.set(&name, uses);
            self.next.applied.push(object);
        }
        if is_any {
            self.name(now);
        }
    }

    /// When there is something to do, if nothing happens before.
    pub(super) fn next(&self) -> Option<Instant> {
        let first = self.first.iter().filter_map(|first| match first {
            First::ToCome => None,
            First::Waits(until) => Some(*until),
        });
        let waiting = self.waiting.values().map(|waiting| waiting.until);
        let due = self.keepers.values().filter_map(Keeper::due);
        first.chain(waiting).chain(due).min()
    }
}

#[cfg(test)]
mod tests;
