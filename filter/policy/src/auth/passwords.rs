//! Passwords that are being verified, and those that were.

use super::{
    digest::{Digest, digest},
    hash::{Hash, Task},
    memory::Cache,
};
use crate::maps::Map;
use std::{
    cell::RefCell,
    rc::{Rc, Weak},
    time::Duration,
};

/// How many may be under way at once in a worker. Each has its turn for a slice; more of them would wait too long for it.
const MAX_WORKS: usize = 32;
/// How many outcomes of either kind are remembered, twice over.
const MAX_REMEMBERED: usize = 1024;
/// How long it is remembered that a password is right. Another hash in the Secret is another matter, so this ends what
/// nobody would miss.
const RIGHT_FOR: Duration = Duration::from_secs(3600);
const WRONG_FOR: Duration = Duration::from_secs(60);

/// What a worker knows of passwords, by keyed digests.
pub(super) struct Passwords {
    key: Digest,
    right: RefCell<Cache<Digest, ()>>,
    wrong: RefCell<Cache<Digest, ()>>,
    running: RefCell<Map<Digest, Weak<RefCell<Running>>>>,
}

/// A password that somebody shows.
#[derive(Clone, Copy, Hash)]
pub(super) struct Claim<'a> {
    /// What it is held against.
    pub(super) hash: &'a Hash,
    /// Whether the hash is of that name. If not, it takes as long, and is wrong.
    pub(super) is_known: bool,
    pub(super) name: &'a str,
    pub(super) password: &'a [u8],
}

/// What is known of a claim.
#[derive(Debug)]
pub(super) enum Finding {
    Right,
    Wrong,
    /// Nothing yet.
    Open(Work),
    /// Nothing, and there is no room to find out.
    Busy,
}

/// A password that is being verified. It takes many slices, during which the request waits; requests that show the same
/// one share the work.
pub struct Work {
    passwords: Rc<Passwords>,
    digest: Digest,
    running: Rc<RefCell<Running>>,
}

struct Running {
    task: Task,
    is_known: bool,
    since: Duration,
    is_right: Option<bool>,
}

// === impl Passwords ===

impl Passwords {
    pub(super) fn new(key: Digest) -> Self {
        Self {
            key,
            right: RefCell::new(Cache::new(MAX_REMEMBERED)),
            wrong: RefCell::new(Cache::new(MAX_REMEMBERED)),
            running: RefCell::default(),
        }
    }

    /// A number that stays the same for a name, and that nobody outside can tell.
    pub(super) fn number_of(&self, name: &str) -> u64 {
        let digest = digest(&self.key, &name);
        digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    pub(super) fn find(self: &Rc<Self>, claim: Claim<'_>, now: Duration) -> Finding {
        let digest = digest(&self.key, &claim);
        if self.right.borrow_mut().get(&digest, now).is_some() {
            return Finding::Right;
        }
        if self.wrong.borrow_mut().get(&digest, now).is_some() {
            return Finding::Wrong;
        }
        let Some(running) = self.join(digest, claim, now) else {
            return Finding::Busy;
        };
        let mut work = Work {
            passwords: Rc::clone(self),
            digest,
            running,
        };
        if !work.is_fast() {
            return Finding::Open(work);
        }
        match work.step(|| true) {
            Some(true) => Finding::Right,
            Some(false) => Finding::Wrong,
            None => Finding::Open(work),
        }
    }

    /// The work on a claim: one that is under way, or a new one, if there is room for that.
    fn join(&self, digest: Digest, claim: Claim<'_>, since: Duration) -> Option<Rc<RefCell<Running>>> {
        let mut works = self.running.borrow_mut();
        if let Some(running) = works.get(&digest).and_then(Weak::upgrade) {
            return Some(running);
        }
        if works.len() >= MAX_WORKS {
            return None;
        }
        let running = Rc::new(RefCell::new(Running {
            task: claim.hash.task(claim.password),
            is_known: claim.is_known,
            since,
            is_right: None,
        }));
        works.insert(digest, Rc::downgrade(&running));
        Some(running)
    }

    fn remember(&self, digest: Digest, is_right: bool, since: Duration) {
        let (cache, period) = if is_right {
            (&self.right, RIGHT_FOR)
        } else {
            (&self.wrong, WRONG_FOR)
        };
        cache
            .borrow_mut()
            .insert(digest, (), 1, since.saturating_add(period));
        self.running.borrow_mut().remove(&digest);
    }
}

// === impl Work ===

impl Work {
    fn is_fast(&self) -> bool {
        self.running.borrow().task.is_fast()
    }

    /// Goes on for a slice: until `until` says that it is over, which is asked several times in each millisecond.
    /// Answers whether the password is right, once that is known.
    pub fn step(&mut self, until: impl FnMut() -> bool) -> Option<bool> {
        let mut running = self.running.borrow_mut();
        if running.is_right.is_none() {
            let is_right = running.task.step(until)? && running.is_known;
            running.is_right = Some(is_right);
            self.passwords.remember(self.digest, is_right, running.since);
        }
        running.is_right
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if Rc::strong_count(&self.running) == 1 && self.running.borrow().is_right.is_none() {
            self.passwords.running.borrow_mut().remove(&self.digest);
        }
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}
