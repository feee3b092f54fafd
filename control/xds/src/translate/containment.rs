//! Containment of what Envoy refuses though control took it to be in order.
//!
//! Envoy takes or refuses a bucket as a whole, and does not say which host it is about. So the hosts of a bucket that a proxy
//! refuses are asked about one half after the other, in a route configuration that no request gets to, until one is left:
//! that one is withheld, and answers 503. Whatever else is in the bucket is served all the time, as it was.
//!
//! ```text
//! refused bucket -> nothing -> half of its hosts -> half of those, or of the others -> ... -> one host
//!                   refused: the proxy refuses everything, and nothing is withheld
//! ```
//!
//! A host is not withheld where another proxy takes it: then the one that refuses is at fault.

use crate::{
    ads::{Nack, Proxy},
    resource::ResourceType,
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// The scope, and the route configuration, that no request gets to.
pub(crate) const PROBE: &str = "probe";
/// The time that a host whose refusal is certain waits for proxies that may take it.
const PATIENCE: Duration = Duration::from_millis(200);

/// A host as it is in a bucket.
#[derive(Clone, Debug)]
pub(super) struct Suspect {
    pub(super) fqdn: Arc<str>,
    pub(super) version: u64,
    /// The field of `RouteConfiguration` that it is.
    pub(super) field: Bytes,
}

/// The outcome of a step of a search.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The next hosts to ask about.
    Ask,
    Withhold(Withheld),
    /// No host of the bucket is to blame.
    Nobody,
}

/// A host that is not sent as it is, for it was refused.
#[derive(Clone, Debug)]
pub(super) struct Withheld {
    pub(super) fqdn: Arc<str>,
    pub(super) version: u64,
    /// In Envoy's words.
    pub(super) reason: Arc<str>,
    /// The nodes that refused it.
    pub(super) by: BTreeSet<String>,
}

/// The search for a host that is refused, one at a time.
#[derive(Debug, Default)]
pub(super) struct Containment {
    search: Option<Search>,
    /// Buckets that are refused and where no host is to blame, in which version.
    hopeless: BTreeMap<Arc<str>, u64>,
}

#[derive(Debug)]
struct Search {
    bucket: Arc<str>,
    /// The version of it that is refused.
    version: u64,
    /// The nodes that refuse it.
    accusers: BTreeSet<String>,
    suspects: Vec<Suspect>,
    /// The number of suspects that the proxies are asked about, the first ones.
    asked: usize,
    /// The version and the generation of the probe.
    probe: (u64, u64),
    since: Instant,
    /// The end of the time that proxies have which may take a host whose refusal is certain.
    deadline: Option<Instant>,
}

/// An answer of proxies to the probe.
#[derive(Debug)]
enum Verdict {
    Accepted,
    Refused(Arc<str>),
}

// === impl Containment ===

impl Containment {
    /// A bucket that is refused as it was published, if no search is under way: its name, and the version.
    pub(super) fn accused(
        &self,
        proxies: &[Proxy],
        published: impl Fn(&str) -> Option<u64>,
    ) -> Option<(Arc<str>, u64)> {
        if self.search.is_some() {
            return None;
        }
        let nacks = proxies.iter().flat_map(|proxy| &proxy.nacks);
        let routes = nacks.filter(|nack| nack.resource_type == ResourceType::Route && &*nack.name != PROBE);
        let refused = routes.filter_map(|nack| Some((nack.name.clone(), nack.version?)));
        let mut current = refused.filter(|(name, version)| {
            published(name) == Some(*version) && self.hopeless.get(name) != Some(version)
        });
        current.next()
    }

    /// Begins to search a bucket. The proxies are to be asked next.
    pub(super) fn begin(
        &mut self,
        (bucket, version): (Arc<str>, u64),
        suspects: Vec<Suspect>,
        proxies: &[Proxy],
        now: Instant,
    ) {
        let refuses = |proxy: &&Proxy| refusal(proxy, &bucket, version).is_some();
        let accusers = proxies.iter().filter(refuses);
        self.search = Some(Search {
            accusers: accusers.map(|proxy| proxy.node_id.clone()).collect(),
            bucket,
            version,
            suspects,
            asked: 0,
            probe: (0, u64::MAX),
            since: now,
            deadline: None,
        });
    }

    /// The hosts that the proxies are asked about; without any, they are asked whether they take anything at all.
    pub(super) fn asked(&self) -> &[Suspect] {
        let search = self.search.as_ref();
        search
            .and_then(|search| search.suspects.get(..search.asked))
            .unwrap_or_default()
    }

    /// The bucket that is searched, and its version: no question is that of another search.
    pub(super) fn searched(&self) -> Option<(&str, u64)> {
        let search = self.search.as_ref()?;
        Some((&*search.bucket, search.version))
    }

    /// Notes what the proxies were sent: its version, and the generation since which they have it to judge.
    pub(super) fn sent(&mut self, version: u64, generation: u64, now: Instant) {
        if let Some(search) = &mut self.search {
            search.probe = (version, generation);
            search.since = now;
            search.deadline = None;
        }
    }

    /// The next step, as far as the proxies have judged. None: they have not, or nothing is searched.
    ///
    /// The bucket may change meanwhile: a host that has not is to blame all the same.
    pub(super) fn review(&mut self, proxies: &[Proxy], now: Instant) -> Option<Outcome> {
        let mut search = self.search.take()?;
        let accusers = || {
            proxies
                .iter()
                .filter(|proxy| search.accusers.contains(&proxy.node_id))
        };
        if accusers().next().is_none() {
            return Some(Outcome::Nobody);
        }
        let verdict = search.verdict(accusers());
        let certain = search.asked == 1 && matches!(verdict, Some(Verdict::Refused(_)));
        let judged = |proxy: &Proxy| search.judged(proxy).is_some();
        let until = search.since + PATIENCE;
        let is_early = certain && now < until && !proxies.iter().all(judged);
        let Some(verdict) = verdict.filter(|_| !is_early) else {
            search.deadline = is_early.then_some(until);
            self.search = Some(search);
            return None;
        };
        let outcome = search.narrow(verdict, proxies);
        match outcome {
            Outcome::Ask => self.search = Some(search),
            Outcome::Nobody => drop(self.hopeless.insert(search.bucket, search.version)),
            Outcome::Withhold(_) => {}
        }
        Some(outcome)
    }

    /// The time to review at, though no proxy says anything new.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.search.as_ref()?.deadline
    }
}

// === impl Search ===

impl Search {
    fn judged(&self, proxy: &Proxy) -> Option<Verdict> {
        let (version, generation) = self.probe;
        if proxy.acked < generation {
            return None;
        }
        let refused = refusal(proxy, PROBE, version).map(|nack| Verdict::Refused(nack.reason.clone()));
        Some(refused.unwrap_or(Verdict::Accepted))
    }

    /// The verdict of the accusers: refused, if one says so.
    fn verdict<'p>(&self, accusers: impl Iterator<Item = &'p Proxy>) -> Option<Verdict> {
        let mut all = Some(Verdict::Accepted);
        for accuser in accusers {
            match self.judged(accuser) {
                Some(Verdict::Refused(reason)) => return Some(Verdict::Refused(reason)),
                Some(Verdict::Accepted) => {}
                None => all = None,
            }
        }
        all
    }

    fn narrow(&mut self, verdict: Verdict, proxies: &[Proxy]) -> Outcome {
        match verdict {
            // Whatever is sent.
            Verdict::Refused(_) if self.asked == 0 => return Outcome::Nobody,
            Verdict::Refused(reason) if self.asked == 1 => return self.convict(reason, proxies),
            Verdict::Refused(_) => self.suspects.truncate(self.asked),
            Verdict::Accepted => drop(self.suspects.drain(..self.asked)),
        }
        if self.suspects.is_empty() {
            // Each alone is taken.
            return Outcome::Nobody;
        }
        self.asked = self.suspects.len().div_ceil(2);
        Outcome::Ask
    }

    fn convict(&self, reason: Arc<str>, proxies: &[Proxy]) -> Outcome {
        let verdicts = || proxies.iter().map(|proxy| (proxy, self.judged(proxy)));
        let is_taken = verdicts().any(|(_, verdict)| matches!(verdict, Some(Verdict::Accepted)));
        let Some(suspect) = self.suspects.first().filter(|_| !is_taken) else {
            return Outcome::Nobody;
        };
        let by = verdicts().filter(|(_, verdict)| matches!(verdict, Some(Verdict::Refused(_))));
        Outcome::Withhold(Withheld {
            fqdn: suspect.fqdn.clone(),
            version: suspect.version,
            reason,
            by: by.map(|(proxy, _)| proxy.node_id.clone()).collect(),
        })
    }
}

// === impl Withheld ===

impl Withheld {
    /// Return whether it may be tried again: no proxy that refused it is connected any more, and another is.
    pub(super) fn is_outdated(&self, proxies: &[Proxy]) -> bool {
        !proxies.is_empty() && !proxies.iter().any(|proxy| self.by.contains(&proxy.node_id))
    }
}

/// The refusal of a route configuration in that version by a proxy.
fn refusal<'p>(proxy: &'p Proxy, name: &str, version: u64) -> Option<&'p Nack> {
    let mut nacks = proxy.nacks.iter();
    nacks.find(|nack| {
        nack.resource_type == ResourceType::Route && &*nack.name == name && nack.version == Some(version)
    })
}
