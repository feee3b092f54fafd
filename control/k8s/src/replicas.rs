//! What the replicas of control tell one another: how far the proxies of each are.
//!
//! ```text
//! own progress --> a Lease of its own (annotation) --> API server --> the watch of Leases --> Roster --> progress elsewhere
//! ```
//!
//! An Envoy is connected to one replica, and the one that writes statuses has to count them all. Replicas count their
//! generations each for itself; what they have in common is the `resourceVersion` of IngressRoutes. A replica that no
//! longer renews its Lease has no proxies any more: they have gone to others.

mod roster;

use self::roster::Roster;
use crate::watch::Retry;
use futures_util::{StreamExt, stream::BoxStream};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep_until},
};
use tracing::{debug, info, warn};

/// The label of the Leases that replicas tell one another by: the name of the one that they elect a leader by.
const GROUP: &str = "switchyard/replica-of";
/// The annotation with the progress, in JSON.
const PROGRESS: &str = "switchyard/progress";
/// Who owns the fields, to the API server.
const MANAGER: &str = "switchyard";
/// A replica that was not heard of for so long is gone.
const DURATION: Duration = Duration::from_secs(15);
/// How often a Lease is renewed that says nothing new.
const RENEWAL: Duration = Duration::from_secs(5);
/// Between two writes of the same replica.
const INTERVAL: Duration = Duration::from_millis(100);

/// How far proxies are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// How many have answered for everything up to a `resourceVersion`.
    pub proxies: BTreeMap<u64, usize>,
    /// What some of them have not, for they refused it. No proxy is twice among those of one version.
    pub refused: Vec<Refused>,
}

/// Proxies that refused what came from one version to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub since: u64,
    pub until: u64,
    pub proxies: usize,
    /// Which one refused what, and why; of one of them.
    pub example: String,
}

/// Which replica this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    pub namespace: String,
    /// The name of the Lease that all of them elect a leader by.
    pub group: String,
    /// No two have the same.
    pub identity: String,
}

struct Exchange {
    api: Api<Lease>,
    replica: Replica,
    roster: Roster,
    /// What was last written, and when.
    written: Option<(Progress, Instant)>,
    /// Whether the last write failed: told of once.
    failing: bool,
}

/// Tells the others of `own`, and `elsewhere` of them, until `stop` is sent or dropped.
pub async fn run(
    client: Client,
    replica: Replica,
    mut own: watch::Receiver<Progress>,
    elsewhere: watch::Sender<Progress>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut exchange = Exchange {
        api: Api::namespaced(client, &replica.namespace),
        roster: Roster::new(replica.lease()),
        replica,
        written: None,
        failing: false,
    };
    let mut told = exchange.watch();
    loop {
        let progress = own.borrow_and_update().clone();
        exchange.tell(progress).await;
        let next = exchange.next(&own.borrow());
        tokio::select! {
            Some(event) = told.next() => exchange.heard(event),
            Ok(()) = own.changed() => {}
            () = sleep_until(next) => {}
            _ = &mut stop => break,
        }
        let now = exchange.roster.progress(Instant::now().into_std());
        elsewhere.send_if_modified(|before| std::mem::replace(before, now) != *before);
    }
    exchange.leave().await;
}

// === impl Progress ===

impl Progress {
    /// How many proxies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        sum(self.proxies.values())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.proxies.is_empty()
    }

    /// How many have answered for what a version came to, whatever they said.
    #[must_use]
    pub fn answered(&self, version: u64) -> usize {
        sum(self.proxies.range(version..).map(|(_, count)| count))
    }

    /// Those that refused something of what a version came to.
    pub fn refusing(&self, version: u64) -> impl Iterator<Item = &Refused> {
        let covers = move |refused: &&Refused| (refused.since..=refused.until).contains(&version);
        self.refused.iter().filter(covers)
    }

    /// How many have what a version came to.
    #[must_use]
    pub fn with(&self, version: u64) -> usize {
        let refusing = sum(self.refusing(version).map(|refused| &refused.proxies));
        self.answered(version).saturating_sub(refusing)
    }

    fn add(&mut self, Self { proxies, refused }: &Self) {
        for (version, count) in proxies {
            let sum = self.proxies.entry(*version).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.refused.extend(refused.iter().cloned());
    }
}

/// Of what others claim.
fn sum<'a>(counts: impl Iterator<Item = &'a usize>) -> usize {
    counts.fold(0, |sum, count| sum.saturating_add(*count))
}

// === impl Replica ===

impl Replica {
    /// The name of its own Lease. A pod's name stays as it is.
    fn lease(&self) -> String {
        let Self { group, identity, .. } = self;
        let name = format!("{group}-{identity}").to_lowercase();
        let is_allowed = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '.';
        name.replace(|char| !is_allowed(char), "-")
    }

    fn to_lease(&self, progress: &Progress) -> Lease {
        let Self { group, identity, .. } = self;
        // A map with numbers for keys always has a JSON form.
        let progress = serde_json::to_string(progress).unwrap_or_default();
        Lease {
            metadata: ObjectMeta {
                name: Some(self.lease()),
                labels: Some([(GROUP.to_owned(), group.clone())].into()),
                annotations: Some([(PROGRESS.to_owned(), progress)].into()),
                ..Default::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(identity.clone()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                renew_time: Some(MicroTime(Timestamp::now())),
                ..Default::default()
            }),
        }
    }
}

// === impl Exchange ===

impl Exchange {
    fn watch(&self) -> BoxStream<'static, watcher::Result<Event<Lease>>> {
        let config = watcher::Config::default().labels(&format!("{GROUP}={}", self.replica.group));
        watcher::watcher(self.api.clone(), config)
            .backoff(Retry::default())
            .boxed()
    }

    /// When it has to write, or somebody may be gone.
    fn next(&self, own: &Progress) -> Instant {
        let Some((written, at)) = &self.written else {
            return Instant::now() + INTERVAL;
        };
        let to_wait = if written == own { RENEWAL } else { INTERVAL };
        *at + to_wait
    }

    async fn tell(&mut self, progress: Progress) {
        let now = Instant::now();
        let is_due = self.written.is_none() || now >= self.next(&progress);
        if !is_due {
            return;
        }
        let lease = self.replica.to_lease(&progress);
        // One that failed is tried again with the next renewal or news.
        self.written = Some((progress, now));
        let written = tokio::time::timeout(DURATION, self.apply(&lease)).await;
        match written {
            Ok(Ok(())) => self.failing = false,
            Ok(Err(error)) if !self.failing => {
                self.failing = true;
                warn!(%error, "Cannot tell the other replicas how far the proxies are");
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }

    async fn apply(&self, lease: &Lease) -> kube::Result<()> {
        let parameters = PatchParams::apply(MANAGER).force();
        let name = self.replica.lease();
        self.api
            .patch(&name, &parameters, &Patch::Apply(lease))
            .await
            .map(drop)
    }

    fn heard(&mut self, event: watcher::Result<Event<Lease>>) {
        let now = Instant::now().into_std();
        match event {
            Ok(Event::Init) => self.roster.begin(),
            Ok(Event::InitApply(lease) | Event::Apply(lease)) => self.roster.saw(&lease, now),
            Ok(Event::InitDone) => self.roster.end(),
            Ok(Event::Delete(lease)) => self.roster.gone(&lease),
            Err(error) => debug!(%error, "The watch of the other replicas broke"),
        }
        for name in self.roster.abandoned(now) {
            self.remove(name);
        }
    }

    /// What a replica left behind that was killed.
    fn remove(&self, name: String) {
        let api = self.api.clone();
        tokio::spawn(async move {
            match api.delete(&name, &DeleteParams::default()).await {
                Ok(_) => info!(lease = name, "A replica is gone, and its Lease removed"),
                Err(error) => {
                    debug!(lease = name, %error, "Cannot remove the Lease of a replica that is gone")
                }
            }
        });
    }

    /// So that its proxies are not waited for.
    async fn leave(&self) {
        let name = self.replica.lease();
        if let Err(error) = self.api.delete(&name, &DeleteParams::default()).await {
            debug!(lease = name, %error, "Cannot remove the replica's own Lease");
        }
    }
}
