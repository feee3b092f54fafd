//! Passwords that are being verified, and the results of earlier ones.
//!
//! ```text
//! attempt, client -> cached? -> Right | Wrong
//!                    fast?   -> Right | Wrong
//!                    room?   -> Pending(Work) -> verify, slice by slice -> Verification
//!                    no room -> Busy
//! ```

pub(super) mod queue;
pub(super) mod running;

use super::{
    digest::{Digest, digest},
    generational_cache::GenerationalCache,
    hash::PasswordHash,
};
use crate::network;
use queue::{AttemptOrigin, Queue};
use running::{Running, Verification};
use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
    time::Duration,
};

/// The most results of either kind that are remembered, in each generation of a cache; and as many clients, and names
/// of clients.
const MAX_REMEMBERED: usize = 1024;
/// The time that a right password is remembered. Another hash in the Secret invalidates it anyway, so this only frees
/// memory.
const RIGHT_FOR: Duration = Duration::from_secs(3600);
const WRONG_FOR: Duration = Duration::from_secs(60);
/// The time that a client's wrong passwords count, after the last one.
const FAILED_FOR: Duration = Duration::from_secs(600);
/// The time that a name is familiar at the network of a login.
const FAMILIAR_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// A worker's results of passwords, by keyed digests, and its queue.
pub(super) struct Passwords {
    key: Digest,
    right: RefCell<GenerationalCache<Digest, ()>>,
    wrong: RefCell<GenerationalCache<Digest, ()>>,
    /// Names, with the networks of their logins.
    familiar: RefCell<GenerationalCache<Digest, ()>>,
    /// The number of recent wrong passwords, by client.
    failures: RefCell<GenerationalCache<Option<IpAddr>, u32>>,
    queue: RefCell<Queue>,
    /// True if something in the queue has finished since the last call of `verify`.
    has_results: Cell<bool>,
}

/// A login attempt: credentials to verify.
#[derive(Clone, Copy, Hash)]
pub(super) struct LoginAttempt<'a> {
    /// The hash to verify the password against.
    pub(super) hash: &'a PasswordHash,
    /// True if the hash belongs to the name. If not, verifying takes as long, and fails.
    pub(super) is_known: bool,
    pub(super) name: &'a str,
    pub(super) password: &'a [u8],
}

/// The result of a login attempt so far.
#[derive(Debug)]
pub(super) enum PasswordLookup {
    Right,
    Wrong,
    /// The password is being verified.
    Pending(Work),
    /// The password is not verified, and there is no place in the queue.
    Busy,
}

/// A password that is being verified. It takes many slices, during which the request waits; requests with the same
/// credentials share the work.
pub struct Work {
    passwords: Rc<Passwords>,
    digest: Digest,
    running: Rc<RefCell<Running>>,
}

// === impl Passwords ===

impl Passwords {
    pub(super) fn new(key: Digest) -> Self {
        Self {
            key,
            right: RefCell::new(GenerationalCache::new(MAX_REMEMBERED)),
            wrong: RefCell::new(GenerationalCache::new(MAX_REMEMBERED)),
            familiar: RefCell::new(GenerationalCache::new(MAX_REMEMBERED)),
            failures: RefCell::new(GenerationalCache::new(MAX_REMEMBERED)),
            queue: RefCell::default(),
            has_results: Cell::default(),
        }
    }

    /// A number that is constant for a name, and that nobody outside can predict.
    pub(super) fn number_of(&self, name: &str) -> u64 {
        let digest = digest(&self.key, &name);
        digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Returns the known result of an attempt, or else queues it. `client` is called only if it matters.
    pub(super) fn find(
        self: &Rc<Self>,
        attempt: LoginAttempt<'_>,
        client: impl FnOnce() -> Option<IpAddr>,
        now: Duration,
    ) -> PasswordLookup {
        let digest = digest(&self.key, &attempt);
        if self.right.borrow_mut().get(&digest, now).is_some() {
            return PasswordLookup::Right;
        }
        if self.wrong.borrow_mut().get(&digest, now).is_some() {
            return PasswordLookup::Wrong;
        }
        let mut task = attempt.hash.task(attempt.password);
        if task.is_fast()
            && let Some(is_right) = task.step(|| true)
        {
            let is_right = is_right && attempt.is_known;
            self.remember(digest, is_right, now);
            return if is_right {
                PasswordLookup::Right
            } else {
                PasswordLookup::Wrong
            };
        }
        let origin = self.origin(attempt, client(), now);
        match self.enqueue(digest, origin, Running::new(task, attempt.is_known, now)) {
            Some(running) => PasswordLookup::Pending(Work {
                passwords: Rc::clone(self),
                digest,
                running,
            }),
            None => PasswordLookup::Busy,
        }
    }

    /// Remembers the network of a login.
    pub(super) fn note_login(&self, attempt: LoginAttempt<'_>, client: Option<IpAddr>, now: Duration) {
        let familiar = self.familiarity(attempt, client.map(network::of_client));
        let until = now.saturating_add(FAMILIAR_FOR);
        self.familiar.borrow_mut().insert(familiar, (), 1, until);
    }

    /// Verifies queued passwords in order until `until` returns true, which is called several times in each
    /// millisecond. Returns true if any has finished since the last call.
    pub(super) fn verify(&self, mut until: impl FnMut() -> bool) -> bool {
        loop {
            let first = self.queue.borrow().first();
            let Some((digest, running)) = first else {
                break;
            };
            let Some(is_right) = Running::step(&running, &mut until) else {
                break;
            };
            self.settle(digest, is_right);
            if until() {
                break;
            }
        }
        self.has_results.take()
    }

    fn origin(&self, attempt: LoginAttempt<'_>, client: Option<IpAddr>, now: Duration) -> AttemptOrigin {
        let client = client.map(network::of_client);
        let familiarity = self.familiarity(attempt, client);
        AttemptOrigin {
            client,
            name: digest(&self.key, &(attempt.hash, attempt.name)),
            familiarity,
            is_familiar: self.familiar.borrow_mut().get(&familiarity, now).is_some(),
            failures: self.failures_of(client, now),
        }
    }

    /// The digest of a user's name together with a client's network.
    fn familiarity(
        &self,
        LoginAttempt { hash, name, .. }: LoginAttempt<'_>,
        client: Option<IpAddr>,
    ) -> Digest {
        digest(&self.key, &("familiar", hash, name, client))
    }

    fn failures_of(&self, client: Option<IpAddr>, now: Duration) -> u32 {
        self.failures.borrow_mut().get(&client, now).unwrap_or_default()
    }

    /// Joins the work on an attempt that is in progress, or queues new work if there is room.
    fn enqueue(&self, digest: Digest, origin: AttemptOrigin, new: Running) -> Option<Rc<RefCell<Running>>> {
        let mut queue = self.queue.borrow_mut();
        if let Some(running) = queue.join(&digest, origin) {
            return Some(running);
        }
        let running = Rc::new(RefCell::new(new));
        for displaced in queue.push(digest, origin, Rc::clone(&running)).ok()? {
            displaced.borrow_mut().outcome = Some(Verification::Displaced);
            self.has_results.set(true);
        }
        Some(running)
    }

    fn settle(&self, digest: Digest, is_right: bool) {
        let Some((origin, running)) = self.queue.borrow_mut().remove(&digest) else {
            return;
        };
        let mut running = running.borrow_mut();
        let is_right = is_right && running.is_known;
        self.remember(digest, is_right, running.since);
        if is_right {
            running.outcome = Some(Verification::Right);
        } else {
            running.outcome = Some(Verification::Wrong);
            self.note_failure(origin, running.since);
        }
        self.has_results.set(true);
    }

    fn note_failure(&self, origin: AttemptOrigin, now: Duration) {
        let failures = self.failures_of(origin.client, now).saturating_add(1);
        let until = now.saturating_add(FAILED_FOR);
        self.failures
            .borrow_mut()
            .insert(origin.client, failures, 1, until);
        self.familiar.borrow_mut().remove(&origin.familiarity);
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
    }

    /// Drops work that no request waits for any more. If it had begun, it counts as a failure: otherwise clients that
    /// disconnect in time could start any number of it.
    fn abandon(&self, digest: &Digest, since: Duration) {
        let abandoned = self.queue.borrow_mut().remove(digest);
        if let Some((origin, running)) = abandoned
            && running.borrow().has_begun
        {
            self.note_failure(origin, since);
        }
    }
}

// === impl Work ===

impl Work {
    /// The result; `None` until the work is done.
    #[must_use]
    pub fn outcome(&self) -> Option<Verification> {
        self.running.borrow().outcome
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let Running { since, outcome, .. } = *self.running.borrow();
        // The other reference is in the queue.
        if outcome.is_none() && Rc::strong_count(&self.running) == 2 {
            self.passwords.abandon(&self.digest, since);
        }
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}
