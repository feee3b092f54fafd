//! Loads a directory or a cluster once, for commands that do not watch it. JWKS that are referenced by URI are assumed
//! to exist.

use crate::{
    jwks,
    manifests::{Diagnostic, Directory, Look, Severity},
    source::ReadArgs,
};
use anyhow::{Context, Result, ensure};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use switchyard_core::{
    Change, Graph, Name, Object, ObjectId, Settings, Status, StatusError,
    object::{Batch, Kind},
};
use switchyard_k8s::watch;
use tokio::sync::mpsc;

/// The timeout for listing everything from an API server.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory, and the graph of its readable objects.
#[derive(Debug)]
pub struct Loaded {
    pub directory: Directory,
    pub graph: Graph,
    /// Everything in the graph, as the change from an empty one.
    pub change: Change,
}

/// Loads a cluster. Returns its graph, and everything in it as the change from an empty one.
///
/// # Errors
///
/// If no API server is configured, or it does not answer.
pub async fn load_cluster(read: ReadArgs, settings: Settings) -> Result<(Graph, Change)> {
    let (sender, mut batches) = mpsc::channel(1);
    let (cluster, options) = read.options();
    let client = cluster.client().await?;
    // Watches retry forever, but a user at a terminal has to see the error.
    client
        .apiserver_version()
        .await
        .context("the API server does not answer")?;
    let watches = tokio::spawn(watch::run(client, options, sender));
    let first = tokio::time::timeout(PATIENCE, batches.recv()).await;
    watches.abort();
    let first = first.ok().flatten().with_context(|| {
        format!(
            "the API server has not listed everything in {PATIENCE:?}: is this account allowed to list \
             IngressRoutes, TLSCertificateDelegations, Services, EndpointSlices and Secrets?"
        )
    })?;
    Ok(graph(first, settings))
}

/// Loads a directory.
///
/// # Errors
///
/// If it is not a directory.
pub fn load(dir: &Path, settings: Settings) -> Result<Loaded> {
    Ok(read(existing(dir)?, Look::Everything, settings))
}

/// Reads one file of a directory by name, without a graph.
///
/// # Errors
///
/// If it is not a directory.
pub fn load_file(dir: &Path, name: &str) -> Result<Directory> {
    let mut directory = existing(dir)?;
    // The directory has the objects of the batch, too.
    drop(directory.look(Look::Told([Arc::from(name)].into()), Instant::now()));
    Ok(directory)
}

fn existing(dir: &Path) -> Result<Directory> {
    let metadata = dir
        .metadata()
        .with_context(|| format!("cannot read the directory {}", dir.display()))?;
    ensure!(
        metadata.is_dir(),
        "{} is not a directory: pass a directory of manifests",
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
        Object::IngressRoute(route) => Some(&**route),
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
    /// All errors and warnings, about the files and about their IngressRoutes.
    #[must_use]
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let of_statuses = self
            .graph
            .statuses()
            .flat_map(|(name, status)| self.status_problems(name, status));
        let mut diagnostics = self.directory.diagnostics();
        diagnostics.extend(of_statuses);
        diagnostics.sort();
        diagnostics
    }

    /// The errors and warnings of a status, with their positions. Being orphaned is not an error in itself.
    fn status_problems(&self, name: &Name, status: &Status) -> Vec<Diagnostic> {
        let id = ObjectId {
            kind: Kind::IngressRoute,
            name: name.clone(),
        };
        let Some((file, entry)) = self.directory.entry(&id) else {
            return Vec::new();
        };
        let Status {
            state: _,
            errors,
            warnings,
        } = status;
        let diagnostic = |severity, StatusError { field, message }: &StatusError| Diagnostic {
            file: file.clone(),
            position: entry.positions.find(field),
            severity,
            object: id.to_string(),
            field: field.clone(),
            message: message.clone(),
        };
        let errors = errors.iter().map(|error| diagnostic(Severity::Error, error));
        let warnings = warnings
            .iter()
            .map(|warning| diagnostic(Severity::Warning, warning));
        errors.chain(warnings).collect()
    }
}
