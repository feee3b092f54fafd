//! A cache between the source of objects and the engine. An object that names something to be looked up (a JWKS, the
//! addresses of a DNS name) waits for it, a few seconds at most, while its last version stays in force. Does no I/O but
//! logging.

mod entry;
mod lookup;
mod stats;

pub use self::{
    lookup::{Fetched, Lookup, Uses},
    stats::Stats,
};

use entry::Entry;
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    future, mem,
    sync::Arc,
    time::Duration,
};
use switchyard_core::{
    ObjectId,
    object::{Batch, Object},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// The time that an object waits for its lookups, about as long as a fetch may take.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The maximum number of concurrent fetches.
const AT_ONCE: usize = 64;

/// A cache between the source and the engine.
#[derive(Debug)]
pub struct Cache<L: Lookup> {
    stats: Arc<Stats>,
    lookup: L,
    entries: BTreeMap<Arc<str>, Entry<L>>,
    /// The names in the objects that the engine has; objects without names are left out.
    named: BTreeMap<ObjectId, Uses<L::Use>>,
    /// Objects that wait for lookups.
    waiting: BTreeMap<ObjectId, Waiting<L::Use>>,
    /// The state of the first batch, which has all objects and waits as a whole; `None` once it was sent.
    first: Option<First>,
    /// The next batch.
    next: Batch,
    /// The newest version of the source.
    version: u64,
    /// The version that was sent to the engine.
    told: u64,
}

#[derive(Debug)]
struct Waiting<U> {
    object: Object,
    uses: Uses<U>,
    until: Instant,
}

#[derive(Debug)]
enum First {
    ToCome,
    Waits(Instant),
}

/// Forwards batches, with the values that they need, until the source ends or the receiver is dropped.
pub async fn run<L: Lookup, F: Future<Output = Result<Fetched<L::Value>, L::Error>>>(
    mut cache: Cache<L>,
    fetch: impl Fn(Arc<str>) -> F,
    mut batches: mpsc::Receiver<Batch>,
    engine: mpsc::Sender<Batch>,
) {
    let mut fetches = FuturesUnordered::new();
    loop {
        for name in cache.start(Instant::now(), AT_ONCE - fetches.len()) {
            let fetching = fetch(name.clone());
            fetches.push(async move { (name, fetching.await) });
        }
        tokio::select! {
            batch = batches.recv(), if cache.is_open() => match batch {
                Some(batch) => cache.take(batch, Instant::now()),
                None => return,
            },
            Some((name, fetched)) = fetches.next() => {
                cache.fetched(&name, fetched, Instant::now());
            }
            () = until(cache.next()) => {}
        }
        if let Some(batch) = cache.batch(Instant::now())
            && engine.send(batch).await.is_err()
        {
            return;
        }
    }
}

/// Sleeps until `instant`, or forever without it.
pub(crate) async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => future::pending().await,
    }
}

// === impl Cache ===

impl<L: Lookup> Cache<L> {
    #[must_use]
    pub fn new(stats: Arc<Stats>, lookup: L) -> Self {
        Self {
            stats,
            lookup,
            entries: BTreeMap::new(),
            named: BTreeMap::new(),
            waiting: BTreeMap::new(),
            first: Some(First::ToCome),
            next: Batch::default(),
            version: 0,
            told: 0,
        }
    }

    /// Returns true if batches are accepted, which they are not while the first one waits.
    fn is_open(&self) -> bool {
        !matches!(self.first, Some(First::Waits(_)))
    }

    /// Adds a batch of the source.
    fn take(&mut self, batch: Batch, now: Instant) {
        let Batch {
            deleted,
            applied,
            version,
        } = batch;
        self.version = self.version.max(version);
        let mut differs = false;
        for id in deleted {
            differs |= self.waiting.remove(&id).is_some();
            differs |= self.set_named(&id, Uses::new());
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

    /// Adds an object. Returns true if the names in use may have changed.
    fn applied(&mut self, object: Object, now: Instant) -> bool {
        let (id, uses) = (object.id(), L::uses(&object));
        let waited = self.waiting.remove(&id).is_some();
        if self.first.is_none() && !self.are_tried(&uses) {
            let until = now + PATIENCE;
            self.waiting.insert(id, Waiting { object, uses, until });
            return true;
        }
        self.next.applied.push(object);
        self.set_named(&id, uses) || waited
    }

    /// Sets the names in an object. Returns true if they have changed.
    fn set_named(&mut self, id: &ObjectId, uses: Uses<L::Use>) -> bool {
        if uses.is_empty() {
            return self.named.remove(id).is_some();
        }
        let before = self.named.insert(id.clone(), uses);
        before.as_ref() != self.named.get(id)
    }

    fn are_tried(&self, uses: &Uses<L::Use>) -> bool {
        uses.keys()
            .all(|name| self.entries.get(name).is_some_and(Entry::is_tried))
    }

    /// Creates and removes entries, so that there is one for each name in use.
    fn name(&mut self, now: Instant) {
        let mut wanted: BTreeSet<_> = self.named.values().flat_map(BTreeMap::keys).cloned().collect();
        wanted.extend(
            self.waiting
                .values()
                .flat_map(|waiting| waiting.uses.keys())
                .cloned(),
        );
        let gone: BTreeSet<_> = self
            .entries
            .keys()
            .filter(|name| !wanted.contains(*name))
            .cloned()
            .collect();
        for name in gone {
            self.entries.remove(&name);
            let id = L::id(name);
            self.next.applied.retain(|object| object.id() != id);
            self.next.deleted.push(id);
        }
        let mut uses: BTreeMap<&Arc<str>, Vec<&L::Use>> = BTreeMap::new();
        let waiting = self.waiting.values().map(|waiting| &waiting.uses);
        for (name, one) in self.named.values().chain(waiting).flatten() {
            uses.entry(name).or_default().push(one);
        }
        for (name, uses) in uses {
            let new = || Entry::new(name.clone(), now);
            let entry = self.entries.entry(name.clone()).or_insert_with(new);
            entry.set_uses(uses.into_iter().cloned().collect());
        }
        self.count();
    }

    /// Starts the due fetches, `most` at most. Names that failed last time come last, so that they do not hold up
    /// others.
    fn start(&mut self, now: Instant, most: usize) -> Vec<Arc<str>> {
        let due = self.entries.iter_mut();
        let mut due: Vec<_> = due
            .filter(|(_, entry)| entry.due().is_some_and(|due| due <= now))
            .collect();
        due.sort_by_key(|(_, entry)| (entry.is_failing(), entry.due()));
        due.into_iter()
            .take(most)
            .map(|(name, entry)| {
                entry.started();
                name.clone()
            })
            .collect()
    }

    /// Records the result of a fetch.
    fn fetched(&mut self, name: &Arc<str>, fetched: Result<Fetched<L::Value>, L::Error>, now: Instant) {
        self.stats.count(fetched.is_ok());
        // It may no longer be in use.
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        self.next
            .applied
            .extend(entry.fetched(&self.lookup, fetched, now));
        self.count();
    }

    fn count(&self) {
        let failing = self.entries.values().filter(|entry| entry.is_failing());
        self.stats.set_failing(failing.count());
    }

    /// The next batch for the engine, if there is one.
    fn batch(&mut self, now: Instant) -> Option<Batch> {
        if let Some(first) = &self.first {
            let First::Waits(until) = first else {
                return None;
            };
            if now < *until && !self.entries.values().all(Entry::is_tried) {
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
        // The version includes the objects that wait.
        if self.waiting.is_empty() {
            batch.version = self.version;
        }
        let is_further = batch.version > self.told;
        self.told = self.told.max(batch.version);
        (is_further || !batch.is_empty()).then_some(batch)
    }

    /// Releases the objects whose lookups are done, or that have waited long enough.
    fn release(&mut self, now: Instant) {
        let waiting = mem::take(&mut self.waiting);
        let (ready, waiting) = waiting
            .into_iter()
            .partition(|(_, waiting)| waiting.until <= now || self.are_tried(&waiting.uses));
        self.waiting = waiting;
        let is_any = !BTreeMap::is_empty(&ready);
        for (
            id,
            Waiting {
                object,
                uses,
                until: _,
            },
        ) in ready
        {
            self.set_named(&id, uses);
            self.next.applied.push(object);
        }
        if is_any {
            self.name(now);
        }
    }

    /// The time of the next action, if nothing happens before.
    fn next(&self) -> Option<Instant> {
        let first = self.first.iter().filter_map(|first| match first {
            First::ToCome => None,
            First::Waits(until) => Some(*until),
        });
        let waiting = self.waiting.values().map(|waiting| waiting.until);
        let due = self.entries.values().filter_map(Entry::due);
        first.chain(waiting).chain(due).min()
    }
}

#[cfg(test)]
mod tests;
