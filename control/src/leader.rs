//! What replicas do together: one of them writes statuses, and all tell it how far their proxies are.

use crate::{
    metrics::ClusterMetrics,
    source::Cluster,
    status::{self, News, Others},
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

/// How long it may take to give the Leases back.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who of several replicas writes statuses. All of them serve proxies.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Statuses")]
pub struct LeaderArgs {
    /// The Lease that the replica which writes statuses holds.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "switchyard",
        conflicts_with = "manifests"
    )]
    leader_election_name: String,
    /// The namespace of the Lease [default: the pod's own, or that of the context].
    #[arg(long, value_name = "NAMESPACE", conflicts_with = "manifests")]
    leader_election_namespace: Option<String>,
    /// Write statuses without a Lease: for an installation that never has more than one replica.
    #[arg(long, conflicts_with = "manifests")]
    disable_leader_election: bool,
}

/// The running tasks.
pub struct Leader {
    /// What there is to tell of them, and of the watches.
    pub metrics: ClusterMetrics,
    /// Those that are to be ended.
    tasks: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

// === impl LeaderArgs ===

impl LeaderArgs {
    /// Starts to write statuses, whenever this replica leads. What the engine is to tell goes to the sender.
    pub fn start(self, cluster: Cluster, server: Server) -> (mpsc::UnboundedSender<News>, Leader) {
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
    /// Gives the Leases back, so that the others need not wait.
    pub async fn stop(self) {
        let ended = self.tasks.into_iter().map(|(stop, task)| {
            // The task hears that the sender went, too.
            stop.send(()).unwrap_or_default();
            task
        });
        let ended = futures_util::future::join_all(ended);
        if tokio::time::timeout(PATIENCE, ended).await.is_err() {
            debug!("The Leases could not be given back in time");
        }
    }
}

/// Starts what ends when it is told to.
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

/// Where this replica's own Events belong.
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

/// What no other replica calls itself: the pod's name, or else the machine's and the process's.
fn identity() -> String {
    env::var("POD_NAME").unwrap_or_else(|_| {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        format!("{}-{}", host.trim(), process::id())
    })
}
