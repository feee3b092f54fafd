//! A directory or a cluster read once, for commands that look at it and go. JWKS that are named by URI are taken to be there.

use crate::{
    jwks,
    manifests::{Directory, Look, Problem, Severity},
    source::ReadArgs,
};
use anyhow::{Context, Result, ensure};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use switchyard_core::{
    Change, Graph, Name, Object, ObjectId, Settings, Status,
    object::{Batch, Kind},
};
use switchyard_k8s::watch;
use tokio::sync::mpsc;

/// How long an API server may take to list everything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory, and the graph of what can be read in it.
#[derive(Debug)]
pub struct Loaded {
    pub directory: Directory,
    pub graph: Graph,
    /// What there is, as the change from nothing.
    pub change: Change,
}

/// Reads a cluster: what its IngressRoutes come to, and that as the change from nothing.
///
/// # Errors
///
/// If nothing says where the API server is, or it does not answer.
pub async fn load_cluster(read: ReadArgs, settings: Settings) -> Result<(Graph, Change)> {
    let (sender, mut batches) = mpsc::channel(1);
    let (cluster, options) = read.options();
    let client = cluster.client().await?;
    // Watches try for ever; who waits at a terminal is to be told.
    client
        .apiserver_version()
        .await
        .context("the API server does not answer")?;
    let watches = tokio::spawn(watch::run(client, options, sender));
    let first = tokio::time::timeout(PATIENCE, batches.recv()).await;
    watches.abort();
    let first = first.ok().flatten().with_context(|| {
        format!(
            "the API server has not listed everything in {PATIENCE:?}: may this account list \
             IngressRoutes, TLSCertificateDelegations, Services, EndpointSlices and Secrets?"
        )
    })?;
    Ok(graph(first, settings))
}

/// Reads a directory.
///
/// # Errors
///
/// If it is none.
pub fn load(dir: &Path, settings: Settings) -> Result<Loaded> {
    Ok(read(existing(dir)?, Look::Everything, settings))
}

/// Reads one file of a directory, by name, as it is: nothing is derived from it.
///
/// # Errors
///
/// If it is none.
pub fn load_file(dir: &Path, name: &str) -> Result<Directory> {
    let mut directory = existing(dir)?;
    // What is in the batch is in the directory, too.
    drop(directory.look(Look::Told([Arc::from(name)].into()), Instant::now()));
    Ok(directory)
}

fn existing(dir: &Path) -> Result<Directory> {
    let metadata = dir
        .metadata()
        .with_context(|| format!("cannot read the directory {}", dir.display()))?;
    ensure!(
        metadata.is_dir(),
        "{} is no directory: name the one that the manifests are in",
        dir.display()
    );
    Ok(Directory::new(dir))
}

fn read(mut directory: Directory, look: Look, settings: Settings) -> Loaded {
    let (graph, change) = graph(directory.look(look, Instant::now()), settings);
    Loaded {
        directory,
        graph,
        change,
    }
}

fn graph(Batch { applied, .. }: Batch, settings: Settings) -> (Graph, Change) {
    let mut graph = Graph::new(settings);
    let routes = applied.iter().filter_map(|object| match object {
        Object::IngressRoute(route) => Some(route),
        _ => None,
    });
    for object in jwks::assume(routes).into_iter().chain(applied) {
        graph.apply(object);
    }
    let change = graph.commit();
    (graph, change)
}

// === impl Loaded ===

impl Loaded {
    /// Everything that is wrong: with the files, and with the IngressRoutes in them.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let of_statuses = self
            .graph
            .statuses()
            .flat_map(|(name, status)| self.status_problems(name, status));
        let mut problems = self.directory.problems();
        problems.extend(of_statuses);
        problems.sort();
        problems
    }

    /// The errors of a status, where they stand. An orphan may have some, and to be one is none.
    fn status_problems(&self, name: &Name, status: &Status) -> Vec<Problem> {
        let id = ObjectId {
            kind: Kind::IngressRoute,
            name: name.clone(),
        };
        let Some((file, entry)) = self.directory.entry(&id) else {
            return Vec::new();
        };
        let problem = |error: &switchyard_core::StatusError| Problem {
            file: file.clone(),
            position: entry.positions.find(&error.field),
            severity: Severity::Error,
            object: id.to_string(),
            field: error.field.clone(),
            message: error.message.clone(),
        };
        status.errors.iter().map(problem).collect()
    }
}
