//! Which statuses are to be written, and when. Knows no network.
//!
//! ```text
//! wanted (the graph, the proxies) --+
//!                                   +--> differ --> due --> being written --> written, or to be tried again
//! seen (the watch) -----------------+
//! ```

use super::{IngressRouteStatus, PROGRAMMED};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use kube::api::DynamicObject;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use switchyard_core::Name;

/// How long the second try waits. Each further one waits twice as long: who fights for a status, or refuses it, is asked
/// ever more seldom.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(64);

/// What is wanted and what is there, of all IngressRoutes.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<Name, Entry>,
    /// When to write what.
    due: BTreeSet<(Instant, Name)>,
}

/// An IngressRoute as a watch saw it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sighting {
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    pub status: IngressRouteStatus,
    /// Why its spec cannot be read; none if it can.
    pub unreadable: Option<String>,
}

/// What a status is to say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    pub status: IngressRouteStatus,
    /// Whether the proxies have been counted. If not, they are no reason to write.
    pub counted: bool,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Done,
    /// There is no such object any more.
    Gone,
    Failed,
}

#[derive(Debug, Default)]
struct Entry {
    wanted: Option<Wanted>,
    /// None: there is no such object.
    seen: Option<Sighting>,
    /// When it is due.
    due: Option<Instant>,
    /// What is being written.
    writing: Option<IngressRouteStatus>,
    /// How often what is wanted was written already.
    tries: u32,
    /// When it may be written again.
    not_before: Option<Instant>,
    /// Whether the last write was taken.
    taken: bool,
}

// === impl Ledger ===

impl Ledger {
    /// What a status is to say from now on. None: nothing more.
    pub fn want(&mut self, name: &Name, wanted: Option<Wanted>, now: Instant) {
        let entry = self.entries.entry(name.clone()).or_default();
        if entry.wanted != wanted {
            entry.wanted = wanted;
            entry.tries = 0;
            entry.not_before = None;
        }
        self.schedule(name, now);
    }

    /// What a watch saw. None: it is gone.
    pub fn saw(&mut self, name: &Name, sighting: Option<Sighting>, now: Instant) {
        self.entries.entry(name.clone()).or_default().seen = sighting;
        self.schedule(name, now);
    }

    /// What was last seen of an IngressRoute.
    #[must_use]
    pub fn seen(&self, name: &Name) -> Option<&Sighting> {
        self.entries.get(name)?.seen.as_ref()
    }

    /// Whether what is being written was there before, and somebody else changed it. Once: not for each further try.
    #[must_use]
    pub fn is_contended(&self, name: &Name) -> bool {
        let entry = self.entries.get(name);
        entry.is_some_and(|entry| entry.taken && entry.tries == 1 && entry.writing.is_some())
    }

    /// The next status to write, if one is due.
    pub fn take(&mut self, now: Instant) -> Option<(Name, IngressRouteStatus)> {
        let (at, name) = self.due.first()?.clone();
        if at > now {
            return None;
        }
        self.due.remove(&(at, name.clone()));
        let entry = self.entries.get_mut(&name)?;
        entry.due = None;
        let status = entry.to_write(Timestamp::now())?;
        entry.writing = Some(status.clone());
        Some((name, status))
    }

    /// When the next is due.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What came of writing a status.
    pub fn wrote(&mut self, name: &Name, written: Written, now: Instant) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let status = entry.writing.take();
        entry.taken = written == Written::Done;
        // What was wanted since then has not been tried.
        if status
            .as_ref()
            .zip(entry.status().as_ref())
            .is_some_and(|(one, other)| says_the_same(one, other))
        {
            entry.tries += 1;
            entry.not_before = Some(now + wait(entry.tries));
        }
        match (written, status, &mut entry.seen) {
            (Written::Done, Some(status), Some(seen)) => seen.status = status,
            (Written::Gone, ..) => entry.seen = None,
            _ => {}
        }
        self.schedule(name, now);
    }

    /// Makes it due if it is to be written, and forgets it if there is nothing left to know.
    fn schedule(&mut self, name: &Name, now: Instant) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if let Some(due) = entry.due.take() {
            self.due.remove(&(due, name.clone()));
        }
        if entry.is_to_write() {
            let at = entry.not_before.map_or(now, |at| at.max(now));
            entry.due = Some(at);
            self.due.insert((at, name.clone()));
        } else if entry.is_empty() {
            self.entries.remove(name);
        }
    }
}

// === impl Sighting ===

impl Sighting {
    /// Of an IngressRoute whose spec can be read. A status that is absent or cannot be read says nothing.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Self {
        let status = object.data.get("status").cloned();
        Self {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
            status: status
                .and_then(|status| serde_json::from_value(status).ok())
                .unwrap_or_default(),
            unreadable: None,
        }
    }
}

// === impl Entry ===

impl Entry {
    fn is_empty(&self) -> bool {
        self.wanted.is_none() && self.seen.is_none() && self.writing.is_none()
    }

    fn is_to_write(&self) -> bool {
        let (Some(status), Some(seen)) = (self.status(), &self.seen) else {
            return false;
        };
        let is_same = if self.wanted.as_ref().is_some_and(|wanted| wanted.counted) {
            says_the_same(&status, &seen.status)
        } else {
            says_the_same(&uncounted(&status), &uncounted(&seen.status))
        };
        self.writing.is_none() && !is_same
    }

    /// What the status is to say: what is wanted, but for one that cannot be read. That goes on as it was read last.
    fn status(&self) -> Option<IngressRouteStatus> {
        let Some(Sighting {
            generation,
            unreadable: Some(wrong),
            ..
        }) = &self.seen
        else {
            let mut status = self.wanted.as_ref()?.status.clone();
            status.remember(&self.seen.as_ref()?.status);
            return Some(status);
        };
        let wanted = self.wanted.clone().unwrap_or_default();
        let mut status = wanted.status;
        status.be_unreadable(*generation, wrong);
        Some(status)
    }

    /// With the times at which conditions changed.
    fn to_write(&self, now: Timestamp) -> Option<IngressRouteStatus> {
        let mut status = self.status()?;
        let before = &self.seen.as_ref()?.status.conditions;
        for condition in &mut status.conditions {
            let same = before
                .iter()
                .find(|old| old.type_ == condition.type_ && old.status == condition.status);
            let since = same.map(|old| old.last_transition_time.clone());
            condition.last_transition_time = since.unwrap_or(Time(now));
        }
        Some(status)
    }
}

/// When it has been tried that often.
fn wait(tries: u32) -> Duration {
    let doubled = tries.saturating_sub(1).min(16);
    (FIRST_WAIT * 2_u32.saturating_pow(doubled)).min(LONGEST_WAIT)
}

/// Without what the proxies are counted for.
fn uncounted(status: &IngressRouteStatus) -> IngressRouteStatus {
    let mut status = status.clone();
    status
        .conditions
        .retain(|condition| condition.type_ != PROGRAMMED);
    for switch in &mut status.switches {
        switch.proxies.clear();
    }
    status
}

/// But for the times at which conditions changed.
fn says_the_same(one: &IngressRouteStatus, other: &IngressRouteStatus) -> bool {
    let timeless = |conditions: &[Condition]| -> Vec<Condition> {
        let mut conditions = conditions.to_vec();
        for condition in &mut conditions {
            condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
        }
        conditions
    };
    timeless(&one.conditions) == timeless(&other.conditions)
        && IngressRouteStatus {
            conditions: Vec::new(),
            ..one.clone()
        } == IngressRouteStatus {
            conditions: Vec::new(),
            ..other.clone()
        }
}

#[cfg(test)]
mod tests;
