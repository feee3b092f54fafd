//! The progress of all proxies: those of this replica, and those of others.

use std::collections::BTreeMap;
use switchyard_k8s::replicas::{Progress, Refused};
use switchyard_xds::ads::{Nack, Proxy};

/// The state of an IngressRoute's resources on the proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Programmed {
    Live,
    /// A proxy has not answered.
    Pending,
    /// A proxy has rejected a resource.
    Refused,
}

/// The maximum number of proxies that a text names, both of silent and of rejecting ones.
const MOST_NAMED: usize = 4;
/// The maximum length, in bytes, of the example of a rejection for other replicas: an annotation of a Lease has 256
/// KiB.
const LONGEST_EXAMPLE: usize = 256;

/// The point that proxies have to reach for a change to be live on them. Both parts increase together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The generation of this replica's configuration.
    pub generation: u64,
    /// The newest `resourceVersion` of an IngressRoute in it, by which other replicas know it.
    pub version: u64,
}

/// All proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    here: Vec<Member>,
    /// The proxies of other replicas.
    elsewhere: Progress,
}

/// One of this replica's proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    node: String,
    /// The generation up to which it has acknowledged or rejected everything.
    answered: u64,
    refusals: Vec<Refusal>,
}

/// A rejection, and the changes that the proxy lacks because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    since: u64,
    until: u64,
    /// The rejected resource, and the reason.
    text: String,
}

/// The version that each generation has reached.
#[derive(Debug, Default)]
pub(super) struct Versions {
    reached: BTreeMap<u64, u64>,
}

// === impl Fleet ===

impl Fleet {
    /// Updates the proxies of this replica.
    pub(super) fn see(&mut self, proxies: &[Proxy]) {
        self.here = proxies.iter().map(Member::new).collect();
    }

    /// Updates the proxies of other replicas.
    pub(super) fn hear(&mut self, elsewhere: Progress) {
        self.elsewhere = elsewhere;
    }

    /// The number of proxies.
    #[must_use]
    pub fn len(&self) -> usize {
        self.here.len().saturating_add(self.elsewhere.len())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of proxies that have reached a mark without a rejection.
    #[must_use]
    pub fn with(&self, Mark { generation, version }: Mark) -> usize {
        let here = self.here.iter().filter(|member| member.has(generation));
        here.count().saturating_add(self.elsewhere.with(version))
    }

    pub(super) fn programmed(&self, mark: Mark) -> Programmed {
        if self.refusing(mark).next().is_some() {
            Programmed::Refused
        } else if self.with(mark) < self.len() {
            Programmed::Pending
        } else {
            Programmed::Live
        }
    }

    /// A text about a mark: the number of proxies that have reached it, and the others with their reasons.
    #[must_use]
    pub fn told(&self, mark: Mark) -> String {
        let (live, of) = (self.with(mark), self.len());
        let mut parts = vec![format!("{live} of {of} connected proxies have acknowledged it")];
        parts.extend(named(self.refusing(mark).collect()));
        let silent = self
            .here
            .iter()
            .filter(|member| member.answered < mark.generation);
        let silent = silent.map(|member| format!("{} has not answered", member.node));
        parts.extend(named(silent.collect()));
        let answered = self.elsewhere.answered(mark.version);
        let elsewhere = self.elsewhere.len().saturating_sub(answered);
        if elsewhere > 0 {
            parts.push(format!(
                "proxies of other replicas that have not answered: {elsewhere}"
            ));
        }
        parts.join("; ")
    }

    fn refusing(&self, Mark { generation, version }: Mark) -> impl Iterator<Item = String> {
        let here = self.here.iter().filter_map(move |member| {
            let refusal = member.refused(generation)?;
            Some(member.refuses(refusal))
        });
        let elsewhere = self.elsewhere.refusing(version);
        here.chain(elsewhere.map(|refused| refused.example.clone()))
    }
}

/// The first of several texts, with the number of others.
fn named(mut texts: Vec<String>) -> Vec<String> {
    let more = texts.len().saturating_sub(MOST_NAMED);
    texts.truncate(MOST_NAMED);
    if more > 0 {
        texts.push(format!("and {more} more"));
    }
    texts
}

#[cfg(test)]
impl Fleet {
    /// A fleet of this replica's proxies only, each given by the generation that it has answered. The first one has
    /// rejected the changes of the generations in `refused`.
    pub(super) fn of(answered: &[u64], refused: &[u64]) -> Self {
        let refusal = |generation: &u64| Refusal {
            since: *generation,
            until: *generation,
            text: "Listener web: bad".to_owned(),
        };
        let member = |(number, answered): (usize, &u64)| Member {
            node: format!("envoy-{number}"),
            answered: *answered,
            refusals: refused.iter().filter(|_| number == 0).map(refusal).collect(),
        };
        Self {
            here: answered.iter().enumerate().map(member).collect(),
            elsewhere: Progress::default(),
        }
    }
}

// === impl Member ===

impl Member {
    fn new(proxy: &Proxy) -> Self {
        Self {
            node: proxy.node_id.clone(),
            answered: proxy.acked,
            refusals: proxy.nacks.iter().map(Refusal::new).collect(),
        }
    }

    fn has(&self, generation: u64) -> bool {
        self.answered >= generation && self.refused(generation).is_none()
    }

    fn refused(&self, generation: u64) -> Option<&Refusal> {
        let mut refusals = self.refusals.iter();
        refusals.find(|refusal| (refusal.since..=refusal.until).contains(&generation))
    }

    fn refuses(&self, Refusal { text, .. }: &Refusal) -> String {
        format!("{} rejected {text}", self.node)
    }

    /// The oldest generation that its state refers to.
    fn oldest(&self) -> u64 {
        let refused = self.refusals.iter().map(|refusal| refusal.since);
        refused.chain([self.answered]).min().unwrap_or_default()
    }
}

// === impl Refusal ===

impl Refusal {
    fn new(nack: &Nack) -> Self {
        Self {
            since: nack.since,
            until: nack.generation,
            text: format!("{} {}: {}", nack.resource_type, nack.name, nack.reason),
        }
    }
}

// === impl Versions ===

impl Versions {
    /// Records the version of a generation. A version without changes belongs to the newest generation, too.
    pub(super) fn reached(&mut self, Mark { generation, version }: Mark) {
        self.reached.insert(generation, version);
    }

    /// The progress for other replicas. Drops the versions that no proxy needs any longer.
    pub(super) fn progress(&mut self, fleet: &Fleet) -> Progress {
        let mut proxies = BTreeMap::new();
        let mut refused = Vec::new();
        for member in &fleet.here {
            *proxies.entry(self.version(member.answered)).or_default() += 1;
            for span in self.refused(member) {
                add(&mut refused, span);
            }
        }
        self.forget(fleet.here.iter().map(Member::oldest).min().unwrap_or(u64::MAX));
        Progress { proxies, refused }
    }

    /// The rejections of a proxy, with each version once.
    fn refused(&self, member: &Member) -> Vec<Refused> {
        let mut spans: Vec<Refused> = Vec::new();
        let mut refusals: Vec<_> = member.refusals.iter().collect();
        refusals.sort_by_key(|refusal| refusal.since);
        for refusal in refusals {
            let (since, until) = (self.version(refusal.since), self.version(refusal.until));
            match spans.last_mut().filter(|last| since <= last.until) {
                Some(last) => last.until = last.until.max(until),
                None => spans.push(Refused {
                    since,
                    until,
                    proxies: 1,
                    example: shortened(member.refuses(refusal)),
                }),
            }
        }
        spans
    }

    fn version(&self, generation: u64) -> u64 {
        let reached = self.reached.range(..=generation).next_back();
        reached.map(|(_, version)| *version).unwrap_or_default()
    }

    /// Drops the versions before the one of generation `least`.
    fn forget(&mut self, least: u64) {
        if let Some(held) = self.reached.range(..=least).next_back().map(|(held, _)| *held) {
            self.reached = self.reached.split_off(&held);
        }
    }
}

/// Adds a proxy's rejection to the same rejection by others.
fn add(refused: &mut Vec<Refused>, span: Refused) {
    let same = |other: &&mut Refused| (other.since, other.until) == (span.since, span.until);
    match refused.iter_mut().find(same) {
        Some(other) => other.proxies += span.proxies,
        None => refused.push(span),
    }
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LONGEST_EXAMPLE));
    text
}

#[cfg(test)]
mod tests;
