//! The statuses to write, and the times of the writes. Does no I/O.
//!
//! ```text
//! desired (the graph, the proxies) --+
//!                                   +--> differ --> due --> being written --> written, or to be tried again
//! seen (the watch) -----------------+
//! ```

use super::{IngressRouteStatus, PROGRAMMED};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time},
    jiff::Timestamp,
};
use kube::api::DynamicObject;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use switchyard_core::Name;

/// The delay before the second try, doubled for each further one: a status that somebody overwrites, or that the API
/// server rejects, is written ever less often.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(64);

/// The desired and observed statuses of all IngressRoutes.
#[derive(Debug, Default)]
pub struct StatusQueue {
    entries: BTreeMap<Name, Entry>,
    /// The scheduled writes, by time.
    due: BTreeSet<(Instant, Name)>,
}

/// An IngressRoute as observed by a watch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// The field manager that wrote its routes last, from `metadata.managedFields`: `kubectl-edit`,
    /// `switchyard-switch`.
    pub manager: Option<String>,
    pub status: IngressRouteStatus,
    /// The reason why its spec cannot be parsed; `None` if it can.
    pub unreadable: Option<String>,
}

/// A desired status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    pub status: IngressRouteStatus,
    /// True if the proxies have been counted. If not, changes of their number do not cause a write.
    pub counted: bool,
}

/// The result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Done,
    /// The object no longer exists.
    Gone,
    Failed,
}

#[derive(Debug, Default)]
struct Entry {
    desired: Option<Desired>,
    /// The observed object; `None` if it does not exist.
    seen: Option<Observed>,
    /// The time of the scheduled write.
    due: Option<Instant>,
    /// The status that is being written.
    writing: Option<IngressRouteStatus>,
    /// The number of writes of the desired status.
    tries: u32,
    /// The earliest time of the next write.
    not_before: Option<Instant>,
    /// True if the last write succeeded.
    taken: bool,
}

// === impl StatusQueue ===

impl StatusQueue {
    /// Sets the desired status; `None` stops writing it.
    pub fn want(&mut self, name: &Name, desired: Option<Desired>, now: Instant) {
        let entry = self.entries.entry(name.clone()).or_default();
        if entry.desired != desired {
            entry.desired = desired;
            entry.tries = 0;
            entry.not_before = None;
        }
        self.schedule(name, now);
    }

    /// Records an object from a watch event; `None` if it was deleted.
    pub fn saw(&mut self, name: &Name, observed: Option<Observed>, now: Instant) {
        self.entries.entry(name.clone()).or_default().seen = observed;
        self.schedule(name, now);
    }

    /// The last observed state of an IngressRoute.
    #[must_use]
    pub fn seen(&self, name: &Name) -> Option<&Observed> {
        self.entries.get(name)?.seen.as_ref()
    }

    /// Returns true if the status was written before and somebody else changed it. Only for the first rewrite, not for
    /// further ones.
    #[must_use]
    pub fn is_contended(&self, name: &Name) -> bool {
        let entry = self.entries.get(name);
        entry.is_some_and(|entry| entry.taken && entry.tries == 1 && entry.writing.is_some())
    }

    /// Takes the next status to write, if one is due.
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

    /// The time of the next write.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Records the result of a write.
    pub fn wrote(&mut self, name: &Name, written: Written, now: Instant) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let status = entry.writing.take();
        entry.taken = written == Written::Done;
        // A status that was desired after the write began has not been tried.
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

    /// Schedules a write if one is needed, and removes an entry that holds nothing.
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

// === impl Observed ===

impl Observed {
    /// Reads an IngressRoute whose spec can be parsed. A status that is absent or cannot be parsed counts as empty.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Self {
        let status = object.data.get("status").cloned();
        Self {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
            manager: manager_of_routes(&object.metadata),
            status: status
                .and_then(|status| serde_json::from_value(status).ok())
                .unwrap_or_default(),
            unreadable: None,
        }
    }
}

/// The field manager that changed `spec.routes` last. The list is atomic: it is owned by that manager, and by all that
/// applied the same value since.
fn manager_of_routes(metadata: &ObjectMeta) -> Option<String> {
    let entries = metadata.managed_fields.iter().flatten();
    let of_routes = entries.filter(|entry| {
        let fields = entry.fields_v1.as_ref();
        let is_status = entry
            .subresource
            .as_ref()
            .is_some_and(|subresource| !subresource.is_empty());
        !is_status && fields.is_some_and(|fields| fields.0.pointer("/f:spec/f:routes").is_some())
    });
    let last = of_routes.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?;
    last.manager.clone()
}

// === impl Entry ===

impl Entry {
    fn is_empty(&self) -> bool {
        self.desired.is_none() && self.seen.is_none() && self.writing.is_none()
    }

    fn is_to_write(&self) -> bool {
        let (Some(status), Some(seen)) = (self.status(), &self.seen) else {
            return false;
        };
        let is_same = if self.desired.as_ref().is_some_and(|desired| desired.counted) {
            says_the_same(&status, &seen.status)
        } else {
            says_the_same(&uncounted(&status), &uncounted(&seen.status))
        };
        self.writing.is_none() && !is_same
    }

    /// The status to write: the desired one, marked as invalid if the spec cannot be parsed and the last valid one
    /// stays in effect.
    fn status(&self) -> Option<IngressRouteStatus> {
        let Some(Observed {
            generation,
            unreadable: Some(wrong),
            ..
        }) = &self.seen
        else {
            let mut status = self.desired.as_ref()?.status.clone();
            status.remember(&self.seen.as_ref()?.status);
            return Some(status);
        };
        let desired = self.desired.clone().unwrap_or_default();
        let mut status = desired.status;
        status.be_unreadable(*generation, wrong);
        Some(status)
    }

    /// The status to write, with the transition times of its conditions.
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

/// The delay after that many tries.
fn wait(tries: u32) -> Duration {
    let doubled = tries.saturating_sub(1).min(16);
    (FIRST_WAIT * 2_u32.saturating_pow(doubled)).min(LONGEST_WAIT)
}

/// The status without the fields that depend on the count of proxies.
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

/// Compares two statuses, ignoring the transition times of conditions.
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
