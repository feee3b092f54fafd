//! Progress of proxies, exchanged between the replicas of control.
//!
//! ```text
//! own progress --> its own Lease (annotation) --> API server --> watch of Leases --> Peers --> progress elsewhere
//! ```
//!
//! Each Envoy is connected to one replica, and the leader, which writes statuses, has to count all of them. Generations
//! are local to a replica, so progress is expressed by the `resourceVersion` of IngressRoutes. A replica that no longer
//! renews its Lease counts as without proxies: they have reconnected to others.

mod peers;
mod progress;

pub use self::progress::{Progress, Refused};

use self::{
    peers::Peers,
    progress::{DURATION, PROGRESS},
};
use crate::watch::backoff;
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
use std::time::Duration;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep_until},
};
use tracing::{debug, info, warn};

/// The label of the Leases with progress. Its value is the name of the Lease used for leader election.
const GROUP: &str = "switchyard/replica-of";
/// The field manager.
const MANAGER: &str = "switchyard";
/// The renewal interval of a Lease whose progress is unchanged.
const RENEWAL: Duration = Duration::from_secs(5);
/// The minimum interval between two writes of a replica.
const INTERVAL: Duration = Duration::from_millis(100);

/// The identity of this replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    pub namespace: String,
    /// The name of the Lease used for leader election, common to all replicas.
    pub group: String,
    /// A name unique among replicas.
    pub identity: String,
}

struct Exchange {
    api: Api<Lease>,
    replica: Replica,
    peers: Peers,
    /// The progress that was last written, and the time of the write.
    written: Option<(Progress, Instant)>,
    /// True if the last write failed; only the first failure is logged.
    failing: bool,
}

/// Publishes `own` to the other replicas, and their total to `elsewhere`, until `stop` is sent or dropped.
pub async fn run(
    client: Client,
    replica: Replica,
    mut own: watch::Receiver<Progress>,
    elsewhere: watch::Sender<Progress>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut exchange = Exchange {
        api: Api::namespaced(client, &replica.namespace),
        peers: Peers::new(replica.lease()),
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
        let now = exchange.peers.progress(Instant::now().into_std());
        elsewhere.send_if_modified(|before| std::mem::replace(before, now) != *before);
    }
    exchange.leave().await;
}

// === impl Replica ===

impl Replica {
    /// The name of this replica's own Lease. A pod's name is kept unchanged.
    fn lease(&self) -> String {
        let Self { group, identity, .. } = self;
        let name = format!("{group}-{identity}").to_lowercase();
        let is_allowed = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '.';
        name.replace(|char| !is_allowed(char), "-")
    }

    fn to_lease(&self, progress: &Progress) -> Lease {
        let Self { group, identity, .. } = self;
        // A map with integer keys always serializes to JSON.
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
            .backoff(backoff())
            .boxed()
    }

    /// The time of the next write, when peers are also checked for expiry.
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
        // A failed write is retried with the next renewal or change.
        self.written = Some((progress, now));
        let written = tokio::time::timeout(DURATION, self.apply(&lease)).await;
        match written {
            Ok(Ok(())) => self.failing = false,
            Ok(Err(error)) if !self.failing => {
                self.failing = true;
                warn!(%error, "Cannot publish the progress of the proxies to other replicas");
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
            Ok(Event::Init) => self.peers.begin(),
            Ok(Event::InitApply(lease) | Event::Apply(lease)) => self.peers.saw(&lease, now),
            Ok(Event::InitDone) => self.peers.end(),
            Ok(Event::Delete(lease)) => self.peers.gone(&lease),
            Err(error) => debug!(%error, "Watch of the other replicas failed; retrying"),
        }
        for name in self.peers.abandoned(now) {
            self.remove(name);
        }
    }

    /// Deletes the Lease that a killed replica left behind.
    fn remove(&self, name: String) {
        let api = self.api.clone();
        tokio::spawn(async move {
            match api.delete(&name, &DeleteParams::default()).await {
                Ok(_) => info!(lease = name, "Removed the Lease of a replica that is gone"),
                Err(error) => {
                    debug!(lease = name, %error, "Cannot remove the Lease of a replica that is gone")
                }
            }
        });
    }

    /// Deletes this replica's own Lease, so that nobody waits for its proxies.
    async fn leave(&self) {
        let name = self.replica.lease();
        if let Err(error) = self.api.delete(&name, &DeleteParams::default()).await {
            debug!(lease = name, %error, "Cannot remove the replica's own Lease");
        }
    }
}
