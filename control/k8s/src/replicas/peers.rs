//! The last known state of the other replicas. Does no I/O.

use super::progress::{DURATION, PROGRESS, Progress};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// The time without renewal after which a replica is not expected back under its name.
const ABANDONED: Duration = Duration::from_secs(600);

/// All replicas but this one.
#[derive(Debug)]
pub(super) struct Peers {
    /// The name of this replica's Lease.
    own: String,
    others: BTreeMap<String, Other>,
    /// The names so far in the list in progress, if any.
    listed: Option<BTreeSet<String>>,
}

#[derive(Debug)]
struct Other {
    spec: Option<LeaseSpec>,
    /// The local time when this spec was first observed; remote clocks are not trusted.
    since: Instant,
    progress: Progress,
    /// True once its Lease is being deleted.
    is_removed: bool,
}

// === impl Peers ===

impl Peers {
    pub(super) fn new(own: String) -> Self {
        Self {
            own,
            others: BTreeMap::new(),
            listed: None,
        }
    }

    /// Begins a list; peers missing from it are removed when it ends.
    pub(super) fn begin(&mut self) {
        self.listed = Some(BTreeSet::new());
    }

    pub(super) fn end(&mut self) {
        if let Some(listed) = self.listed.take() {
            self.others.retain(|name, _| listed.contains(name));
        }
    }

    pub(super) fn saw(&mut self, lease: &Lease, now: Instant) {
        let Some(name) = lease.metadata.name.as_ref().filter(|name| **name != self.own) else {
            return;
        };
        if let Some(listed) = &mut self.listed {
            listed.insert(name.clone());
        }
        let same = self.others.get(name).filter(|other| other.spec == lease.spec);
        let since = same.map_or(now, |other| other.since);
        let other = Other {
            spec: lease.spec.clone(),
            since,
            progress: progress(lease),
            is_removed: false,
        };
        self.others.insert(name.clone(), other);
    }

    pub(super) fn gone(&mut self, lease: &Lease) {
        if let Some(name) = &lease.metadata.name {
            self.others.remove(name);
        }
    }

    /// The total progress of all live peers.
    pub(super) fn progress(&self, now: Instant) -> Progress {
        let mut sum = Progress::default();
        let is_there = |other: &&Other| now.duration_since(other.since) < DURATION;
        for other in self.others.values().filter(is_there) {
            sum.add(&other.progress);
        }
        sum
    }

    /// Returns the Leases to delete, each of them once.
    pub(super) fn abandoned(&mut self, now: Instant) -> Vec<String> {
        let is_abandoned = |other: &Other| !other.is_removed && now.duration_since(other.since) >= ABANDONED;
        let abandoned = self.others.iter_mut().filter(|(_, other)| is_abandoned(other));
        abandoned
            .map(|(name, other)| {
                other.is_removed = true;
                name.clone()
            })
            .collect()
    }
}

/// Reads the progress of a Lease; empty if it cannot be parsed, as from another version of control.
fn progress(lease: &Lease) -> Progress {
    let annotations = lease.metadata.annotations.as_ref();
    let progress = annotations.and_then(|annotations| annotations.get(PROGRESS));
    progress
        .and_then(|progress| serde_json::from_str(progress).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Replica, progress::Refused},
        *,
    };

    fn lease(identity: &str, proxies: &[(u64, usize)]) -> Lease {
        lease_refusing(identity, proxies, &[])
    }

    fn lease_refusing(identity: &str, proxies: &[(u64, usize)], refused: &[Refused]) -> Lease {
        let replica = Replica {
            namespace: "default".to_owned(),
            group: "switchyard".to_owned(),
            identity: identity.to_owned(),
        };
        replica.to_lease(&Progress {
            proxies: proxies.iter().copied().collect(),
            refused: refused.to_vec(),
        })
    }

    fn refused(since: u64, until: u64, proxies: usize) -> Refused {
        Refused {
            since,
            until,
            proxies,
            example: String::new(),
        }
    }

    fn peers() -> Peers {
        Peers::new("switchyard-own".to_owned())
    }

    fn seconds(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn peer_proxies_are_summed_by_version() {
        let start = Instant::now();
        let mut peers = peers();
        for (identity, proxies) in [
            ("one", &[(5, 1), (7, 2)][..]),
            ("two", &[(7, 1)]),
            ("own", &[(9, 50)]),
            ("none", &[]),
        ] {
            peers.saw(&lease(identity, proxies), start);
        }
        let sum = peers.progress(start);
        assert_eq!(sum.len(), 4);
        for (version, want) in [(0, 4), (5, 4), (6, 3), (7, 3), (8, 0)] {
            assert_eq!(sum.with(version), want, "{version}");
        }
    }

    #[test]
    fn proxy_with_nack_does_not_have_the_version() {
        let start = Instant::now();
        let mut peers = peers();
        let one = [refused(3, 3, 1), refused(6, 7, 2)];
        peers.saw(&lease_refusing("one", &[(5, 1), (8, 2)], &one), start);
        peers.saw(&lease_refusing("two", &[(8, 1)], &[refused(7, 7, 1)]), start);
        let sum = peers.progress(start);
        for (version, want) in [(2, 4), (3, 3), (4, 4), (5, 4), (6, 1), (7, 0), (8, 3), (9, 0)] {
            assert_eq!(sum.with(version), want, "{version}");
        }
    }

    #[test]
    fn stale_peer_is_ignored_and_later_removed_once() {
        let start = Instant::now();
        let mut peers = peers();
        let dead = lease("dead", &[(1, 1)]);
        peers.saw(&dead, start);
        // Another event without a change is not a renewal.
        peers.saw(&dead, seconds(start, 10));
        for (after, want) in [(0, 1), (14, 1), (15, 0)] {
            assert_eq!(peers.progress(seconds(start, after)).len(), want, "{after}");
        }
        assert_eq!(peers.abandoned(seconds(start, 599)), [""; 0]);
        assert_eq!(peers.abandoned(seconds(start, 600)), ["switchyard-dead"]);
        assert_eq!(peers.abandoned(seconds(start, 601)), [""; 0]);
        peers.saw(&lease("dead", &[(1, 1)]), seconds(start, 700));
        assert_eq!(peers.progress(seconds(start, 714)).len(), 1, "renewed");
    }

    #[test]
    fn peer_missing_from_relist_is_gone() {
        let start = Instant::now();
        let mut peers = peers();
        for identity in ["one", "two", "three"] {
            peers.saw(&lease(identity, &[(1, 1)]), start);
        }
        peers.gone(&lease("three", &[]));
        peers.begin();
        peers.saw(&lease("two", &[(2, 1)]), start);
        assert_eq!(peers.progress(start).len(), 2, "the list is not whole yet");
        peers.end();
        assert_eq!(peers.progress(start), progress(&lease("two", &[(2, 1)])));
    }

    #[test]
    fn unreadable_progress_is_empty() {
        for text in [
            "",
            "[]",
            "{\"proxies\": {\"x\": 1}}",
            "{\"proxies\": {\"1\": -1}}",
            "{\"proxies\": {\"1\": 1}, \"refused\": [1]}",
        ] {
            let mut lease = lease("one", &[]);
            let annotations = lease.metadata.annotations.as_mut().unwrap();
            annotations.insert(PROGRESS.to_owned(), text.to_owned());
            assert_eq!(progress(&lease), Progress::default(), "{text}");
        }
    }

    #[test]
    fn sum_of_peer_counts_does_not_overflow() {
        let start = Instant::now();
        let mut peers = peers();
        for identity in ["one", "two"] {
            peers.saw(&lease(identity, &[(1, usize::MAX), (2, usize::MAX)]), start);
        }
        assert_eq!(peers.progress(start).len(), usize::MAX);
    }
}
