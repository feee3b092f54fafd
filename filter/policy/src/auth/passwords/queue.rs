//! The queue of passwords to verify, and its order.
//!
//! There are few places, and fewer for one client and for guesses at one name. If there is none left, the last in rank
//! of those that compete for it has to go: the newcomer, or another that is then displaced.

use super::{super::digest::Digest, running::Running};
use std::{cell::RefCell, collections::BTreeMap, net::IpAddr, rc::Rc};

/// The most places in a worker.
pub(in crate::auth) const MAX_WAITING: usize = 64;
/// The most places of one client, not counting those of names that are familiar there: an office may be behind one
/// address.
pub(in crate::auth) const MAX_OF_CLIENT: usize = 8;
/// The most places for one name.
pub(in crate::auth) const MAX_AT_NAME: usize = 8;

#[derive(Default)]
pub(super) struct Queue {
    entries: BTreeMap<Digest, QueueEntry>,
    /// The number of entries that have been added so far.
    arrived: u64,
}

/// The origin of a password, which determines its rank.
#[derive(Clone, Copy)]
pub(super) struct AttemptOrigin {
    /// The network that stands for the client; `None` for all clients without an address.
    pub(super) client: Option<IpAddr>,
    /// The digest of the name together with its hash.
    pub(super) name: Digest,
    /// The digest of the name together with the client.
    pub(super) familiarity: Digest,
    /// True if the name has logged in from there before.
    pub(super) is_familiar: bool,
    /// The number of recent wrong passwords of the client.
    pub(super) failures: u32,
}

struct QueueEntry {
    rank: Rank,
    origin: AttemptOrigin,
    running: Rc<RefCell<Running>>,
}

/// The precedence of an entry: the least is next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_stranger: bool,
    failures: u32,
    /// The number of entries of its client before it: so the first of one client goes before the second of another, and
    /// also before guesses at the same name from elsewhere.
    ahead_of_client: usize,
    ahead_at_name: usize,
    arrived: u64,
}

/// The entries that compete for the places of a bound.
type Competes<'a> = &'a dyn Fn(&QueueEntry) -> bool;

// === impl Queue ===

impl Queue {
    pub(super) fn first(&self) -> Option<(Digest, Rc<RefCell<Running>>)> {
        let (digest, entry) = self.entries.iter().min_by_key(|(_, entry)| entry.rank)?;
        Some((*digest, Rc::clone(&entry.running)))
    }

    /// Joins the entry of that digest, if there is one. The entry gets the best rank of those that wait for it.
    pub(super) fn join(&mut self, digest: &Digest, origin: AttemptOrigin) -> Option<Rc<RefCell<Running>>> {
        let rank = self.rank(origin);
        let entry = self.entries.get_mut(digest)?;
        entry.rank = entry.rank.min(rank);
        Some(Rc::clone(&entry.running))
    }

    /// Takes a place, if need be from others, which are returned.
    ///
    /// # Errors
    /// All entries that compete for the place rank before.
    pub(super) fn push(
        &mut self,
        digest: Digest,
        origin: AttemptOrigin,
        running: Rc<RefCell<Running>>,
    ) -> Result<Vec<Rc<RefCell<Running>>>, QueueFull> {
        let rank = self.rank(origin);
        let displaced = self.displaced_by(rank, origin).ok_or(QueueFull)?;
        let displaced = displaced.iter().filter_map(|digest| self.remove(digest));
        let displaced = displaced.map(|(_, running)| running).collect();
        self.arrived += 1;
        let entry = QueueEntry {
            rank,
            origin,
            running,
        };
        self.entries.insert(digest, entry);
        Ok(displaced)
    }

    pub(super) fn remove(&mut self, digest: &Digest) -> Option<(AttemptOrigin, Rc<RefCell<Running>>)> {
        let QueueEntry {
            rank: _,
            origin,
            running,
        } = self.entries.remove(digest)?;
        Some((origin, running))
    }

    /// The rank of a newcomer. A name is familiar with one password at a time: a client that knows the right one is
    /// ahead of others with no more than that.
    fn rank(&self, origin: AttemptOrigin) -> Rank {
        let of_client = || {
            self.entries
                .values()
                .filter(|other| other.origin.is_of_client(origin))
        };
        let at_name = self
            .entries
            .values()
            .filter(|other| other.origin.is_at_name(origin));
        let waits_already =
            of_client().any(|other| !other.rank.is_stranger && other.origin.is_at_name(origin));
        Rank {
            is_stranger: !origin.is_familiar || waits_already,
            failures: origin.failures,
            ahead_of_client: of_client().count(),
            ahead_at_name: at_name.count(),
            arrived: self.arrived,
        }
    }

    /// The entries that a newcomer displaces; `None` if the newcomer has to go.
    fn displaced_by(&self, rank: Rank, origin: AttemptOrigin) -> Option<Vec<Digest>> {
        let is_of_strange_client = |other: &QueueEntry| {
            rank.is_stranger && other.rank.is_stranger && other.origin.is_of_client(origin)
        };
        let bounds: [(usize, Competes<'_>); 3] = [
            (MAX_OF_CLIENT, &is_of_strange_client),
            (MAX_AT_NAME, &|other| other.origin.is_at_name(origin)),
            (MAX_WAITING, &|_| true),
        ];
        let mut displaced: Vec<Digest> = Vec::new();
        for (max, competes) in bounds {
            let left = self
                .entries
                .iter()
                .filter(|(digest, _)| !displaced.contains(*digest));
            let competing: Vec<_> = left.filter(|(_, other)| competes(other)).collect();
            if competing.len() < max {
                continue;
            }
            let (digest, last) = competing.into_iter().max_by_key(|(_, other)| other.rank)?;
            if last.rank < rank {
                return None;
            }
            displaced.push(*digest);
        }
        Some(displaced)
    }
}

/// The error of a queue without a place.
pub(super) struct QueueFull;

// === impl AttemptOrigin ===

impl AttemptOrigin {
    fn is_of_client(&self, other: Self) -> bool {
        self.client == other.client
    }

    fn is_at_name(&self, other: Self) -> bool {
        self.name == other.name
    }
}
