//! The cooperation of replicas: the leader writes statuses, and all report the progress of their proxies to it.

use crate::{
    metrics::ClusterMetrics,
    source::Cluster,
    status::{self, Others, StatusEvent},
};
use clap::Args;
use k8s_openapi::api::core::v1::ObjectReference;
use std::{env, fs, process, sync::Arc, time::Duration};
use switchyard_k8s::{
    lease::{self, Candidate},
    replicas::{self, Progress, Replica},
    status::writer::{self, Stats},
};
use switchyard_xds::ads::Server;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tracing::debug;

/// The timeout for releasing the Leases.
const PATIENCE: Duration = Duration::from_secs(3);

/// The settings of leader election. The leader writes statuses; all replicas serve proxies.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Statuses")]
pub struct LeaderArgs {
    /// Name of the Lease for leader election. The leader writes statuses.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "switchyard",
        conflicts_with = "manifests"
    )]
    leader_election_name: String,
    /// Namespace of the Lease [default: the pod's own, or that of the context].
    #[arg(long, value_name = "NAMESPACE", conflicts_with = "manifests")]
    leader_election_namespace: Option<String>,
    /// Write statuses without leader election, for an installation that never has more than one replica.
    #[arg(long, conflicts_with = "manifests")]
    disable_leader_election: bool,
}

/// The running tasks.
pub struct Leader {
    /// The metrics of these tasks, and of the watches.
    pub metrics: ClusterMetrics,
    /// The tasks to be stopped, each with its signal.
    tasks: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

// === impl LeaderArgs ===

impl LeaderArgs {
    /// Starts the tasks, which write statuses while this replica leads. Returns the sender for the engine's events.
    pub fn start(self, cluster: Cluster, server: Server) -> (mpsc::UnboundedSender<StatusEvent>, Leader) {
        let Self {
            leader_election_name: name,
            leader_election_namespace: namespace,
            disable_leader_election,
        } = self;
        let Cluster {
            client,
            orders,
            ordered,
            restarts,
        } = cluster;
        let candidate = Candidate {
            namespace: namespace.unwrap_or_else(|| client.default_namespace().to_owned()),
            name,
            identity: identity(),
        };
        let (news, told) = mpsc::unbounded_channel();
        let (leading, leads) = watch::channel(disable_leader_election);
        let metrics = ClusterMetrics {
            restarts,
            writes: Arc::new(Stats::default()),
            leading: leads.clone(),
        };
        let (own, told_others) = watch::channel(Progress::default());
        let (others_tell, elsewhere) = watch::channel(Progress::default());
        let others = Others { elsewhere, own };
        tokio::spawn(status::run(server, told, orders, others));
        tokio::spawn(writer::run(
            client.clone(),
            pod(&candidate),
            ordered,
            leads,
            metrics.writes.clone(),
        ));
        if disable_leader_election {
            return (
                news,
                Leader {
                    metrics,
                    tasks: Vec::new(),
                },
            );
        }
        let replica = replica(&candidate);
        let others = client.clone();
        let tasks = vec![
            start(|stopped| replicas::run(others, replica, told_others, others_tell, stopped)),
            start(|stopped| lease::run(client, candidate, leading, stopped)),
        ];
        (news, Leader { metrics, tasks })
    }
}

// === impl Leader ===

impl Leader {
    /// Releases the Leases, so that other replicas need not wait.
    pub async fn stop(self) {
        let ended = self.tasks.into_iter().map(|(stop, task)| {
            // A dropped sender stops the task, too.
            stop.send(()).ok();
            task
        });
        let ended = futures_util::future::join_all(ended);
        if tokio::time::timeout(PATIENCE, ended).await.is_err() {
            debug!("Could not release the Leases in time");
        }
    }
}

/// Spawns a task that ends on a signal.
fn start<F>(task: impl FnOnce(oneshot::Receiver<()>) -> F) -> (oneshot::Sender<()>, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (stop, stopped) = oneshot::channel();
    (stop, tokio::spawn(task(stopped)))
}

fn replica(candidate: &Candidate) -> Replica {
    let Candidate {
        namespace,
        name,
        identity,
    } = candidate.clone();
    Replica {
        namespace,
        group: name,
        identity,
    }
}

/// The pod of this replica, for its own Events.
fn pod(candidate: &Candidate) -> ObjectReference {
    let Candidate {
        namespace, identity, ..
    } = candidate.clone();
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: Some(namespace),
        name: Some(identity),
        uid: env::var("POD_UID").ok(),
        ..Default::default()
    }
}

/// A name that is unique among replicas: the pod's, or else the host's with the process ID.
fn identity() -> String {
    env::var("POD_NAME").unwrap_or_else(|_| {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        format!("{}-{}", host.trim(), process::id())
    })
}
