//! The other replicas, as they were last heard of. Knows no network.

use super::{DURATION, PROGRESS, Progress};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Whoever was not heard of for so long will not be back under that name.
const ABANDONED: Duration = Duration::from_secs(600);

/// Everyone but this one.
#[derive(Debug)]
pub(super) struct Roster {
    /// The name of this one's Lease.
    own: String,
    others: BTreeMap<String, Other>,
    /// While a list is under way: whom it named.
    listed: Option<BTreeSet<String>>,
}

#[derive(Debug)]
struct Other {
    spec: Option<LeaseSpec>,
    /// When it was first seen so: no clock but our own is trusted.
    since: Instant,
    progress: Progress,
    /// Whether it is being removed.
    is_removed: bool,
}

// === impl Roster ===

impl Roster {
    pub(super) fn new(own: String) -> Self {
        Self {
            own,
            others: BTreeMap::new(),
            listed: None,
        }
    }

    /// A list begins; what it is without is gone.
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

    /// That of all who are there.
    pub(super) fn progress(&self, now: Instant) -> Progress {
        let mut sum = Progress::default();
        let is_there = |other: &&Other| now.duration_since(other.since) < DURATION;
        for other in self.others.values().filter(is_there) {
            sum.add(&other.progress);
        }
        sum
    }

    /// Whose Leases are to be removed; each is named once.
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

/// What cannot be read says nothing: a version of control that says it otherwise.
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
        super::{Refused, Replica},
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

    fn roster() -> Roster {
        Roster::new("switchyard-own".to_owned())
    }

    fn seconds(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn the_proxies_of_all_others_are_summed_by_what_they_have() {
        let start = Instant::now();
        let mut roster = roster();
        for (identity, proxies) in [
            ("one", &[(5, 1), (7, 2)][..]),
            ("two", &[(7, 1)]),
            ("own", &[(9, 50)]),
            ("none", &[]),
        ] {
            roster.saw(&lease(identity, proxies), start);
        }
        let sum = roster.progress(start);
        assert_eq!(sum.len(), 4);
        for (version, want) in [(0, 4), (5, 4), (6, 3), (7, 3), (8, 0)] {
            assert_eq!(sum.with(version), want, "{version}");
        }
    }

    #[test]
    fn a_proxy_that_refuses_a_version_does_not_have_it() {
        let start = Instant::now();
        let mut roster = roster();
        let one = [refused(3, 3, 1), refused(6, 7, 2)];
        roster.saw(&lease_refusing("one", &[(5, 1), (8, 2)], &one), start);
        roster.saw(&lease_refusing("two", &[(8, 1)], &[refused(7, 7, 1)]), start);
        let sum = roster.progress(start);
        for (version, want) in [(2, 4), (3, 3), (4, 4), (5, 4), (6, 1), (7, 0), (8, 3), (9, 0)] {
            assert_eq!(sum.with(version), want, "{version}");
        }
    }

    #[test]
    fn who_does_not_renew_is_gone_and_later_removed_once() {
        let start = Instant::now();
        let mut roster = roster();
        let dead = lease("dead", &[(1, 1)]);
        roster.saw(&dead, start);
        // Seen anew is not renewed.
        roster.saw(&dead, seconds(start, 10));
        for (after, want) in [(0, 1), (14, 1), (15, 0)] {
            assert_eq!(roster.progress(seconds(start, after)).len(), want, "{after}");
        }
        assert_eq!(roster.abandoned(seconds(start, 599)), [""; 0]);
        assert_eq!(roster.abandoned(seconds(start, 600)), ["switchyard-dead"]);
        assert_eq!(roster.abandoned(seconds(start, 601)), [""; 0]);
        roster.saw(&lease("dead", &[(1, 1)]), seconds(start, 700));
        assert_eq!(roster.progress(seconds(start, 714)).len(), 1, "renewed");
    }

    #[test]
    fn whom_a_new_list_is_without_is_gone() {
        let start = Instant::now();
        let mut roster = roster();
        for identity in ["one", "two", "three"] {
            roster.saw(&lease(identity, &[(1, 1)]), start);
        }
        roster.gone(&lease("three", &[]));
        roster.begin();
        roster.saw(&lease("two", &[(2, 1)]), start);
        assert_eq!(roster.progress(start).len(), 2, "the list is not whole yet");
        roster.end();
        assert_eq!(roster.progress(start), progress(&lease("two", &[(2, 1)])));
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
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
    fn the_sum_of_what_others_claim_does_not_overflow() {
        let start = Instant::now();
        let mut roster = roster();
        for identity in ["one", "two"] {
            roster.saw(&lease(identity, &[(1, usize::MAX), (2, usize::MAX)]), start);
        }
        assert_eq!(roster.progress(start).len(), usize::MAX);
    }
}
