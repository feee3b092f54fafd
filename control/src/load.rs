//! A directory read once, for commands that look at it and go.

use crate::{
    engine::Batch,
    manifests::{Directory, Look, Problem, Severity},
};
use anyhow::{Context, Result, ensure};
use std::{path::Path, time::Instant};
use switchyard_core::{Change, Graph, Name, ObjectId, Settings, Status, object::Kind};

/// A directory, and the graph of what can be read in it.
#[derive(Debug)]
pub struct Loaded {
    pub directory: Directory,
    pub graph: Graph,
    /// What there is, as the change from nothing.
    pub change: Change,
}

/// Reads a directory.
///
/// # Errors
///
/// If it cannot be listed.
pub fn load(dir: &Path, settings: Settings) -> Result<Loaded> {
    let metadata = dir
        .metadata()
        .with_context(|| format!("cannot read the directory {}", dir.display()))?;
    ensure!(
        metadata.is_dir(),
        "{} is no directory: name the one that the manifests are in",
        dir.display()
    );
    let mut directory = Directory::new(dir);
    let Batch { applied, deleted: _ } = directory.look(Look::Everything, Instant::now());
    let mut graph = Graph::new(settings);
    for object in applied {
        graph.apply(object);
    }
    let change = graph.commit();
    Ok(Loaded {
        directory,
        graph,
        change,
    })
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
