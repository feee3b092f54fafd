//! Which replica writes statuses, and the tasks that do.

use crate::{
    source::Cluster,
    status::{self, News},
};
use clap::Args;
use std::{env, fs, process, sync::Arc, time::Duration};
use switchyard_k8s::{
    lease::{self, Candidate},
    status::writer::{self, Stats},
};
use switchyard_xds::ads::Server;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tracing::debug;

/// How long it may take to give the Lease back.
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
    /// None: there is no election.
    election: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
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
        } = cluster;
        let candidate = Candidate {
            namespace: namespace.unwrap_or_else(|| client.default_namespace().to_owned()),
            name,
            identity: identity(),
        };
        let (news, told) = mpsc::unbounded_channel();
        let (leading, leads) = watch::channel(disable_leader_election);
        let identity = candidate.identity.clone();
        tokio::spawn(status::run(server, told, orders));
        tokio::spawn(writer::run(
            client.clone(),
            identity,
            ordered,
            leads,
            Arc::new(Stats::default()),
        ));
        let election = (!disable_leader_election).then(|| {
            let (stop, stopped) = oneshot::channel();
            (
                stop,
                tokio::spawn(lease::run(client, candidate, leading, stopped)),
            )
        });
        (news, Leader { election })
    }
}

// === impl Leader ===

impl Leader {
    /// Gives the Lease back, so that the next one need not wait.
    pub async fn stop(self) {
        let Some((stop, election)) = self.election else {
            return;
        };
        // The election hears that the sender went, too.
        stop.send(()).unwrap_or_default();
        if tokio::time::timeout(PATIENCE, election).await.is_err() {
            debug!("The Lease could not be given back in time");
        }
    }
}

/// What no other replica calls itself: the pod's name, or else the machine's and the process's.
fn identity() -> String {
    env::var("POD_NAME").unwrap_or_else(|_| {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        format!("{}-{}", host.trim(), process::id())
    })
}
