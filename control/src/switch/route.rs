//! Delegating routes, in files and on an API server.

use super::{cluster::ClusterRoute, find::FileRoute};
use anyhow::Result;
use std::path::Path;
use switchyard_core::{
    Name,
    ingressroute::{Activation, Delegate},
};

/// The delegating route to switch.
pub(super) enum DelegatingRoute {
    File(FileRoute),
    Cluster(ClusterRoute),
}

// === impl DelegatingRoute ===

impl DelegatingRoute {
    pub(super) fn owner(&self) -> &Name {
        match self {
            Self::File(spot) => &spot.owner,
            Self::Cluster(spot) => &spot.owner,
        }
    }

    pub(super) fn prefix(&self) -> &str {
        match self {
            Self::File(spot) => &spot.prefix,
            Self::Cluster(spot) => &spot.prefix,
        }
    }

    /// The namespace of the branches.
    pub(super) fn namespace(&self) -> &str {
        match self {
            Self::File(spot) => &spot.namespace,
            Self::Cluster(spot) => &spot.namespace,
        }
    }

    /// The previously active branch, if the status has it.
    pub(super) fn before(&self) -> Option<String> {
        match self {
            Self::File(_) => None,
            Self::Cluster(spot) => spot.previous.clone(),
        }
    }

    pub(super) fn delegate(&self) -> &Delegate {
        match self {
            Self::File(spot) => &spot.delegate,
            Self::Cluster(spot) => &spot.delegate,
        }
    }

    /// The generation of the IngressRoute on an API server; 0 for a file.
    pub(super) fn generation(&self) -> i64 {
        match self {
            Self::File(_) => 0,
            Self::Cluster(spot) => spot.generation,
        }
    }

    /// The file and line of a manifest.
    pub(super) fn file(&self) -> Option<(&Path, usize)> {
        match self {
            Self::File(FileRoute { file, line, .. }) => Some((file, *line)),
            Self::Cluster(_) => None,
        }
    }

    /// Activates a branch, and returns the resulting generation of the IngressRoute.
    pub(super) async fn edit(&self, activation: &Activation, undo: bool) -> Result<i64> {
        match self {
            Self::File(spot) => spot.edit(activation).map(|()| 0),
            Self::Cluster(spot) => spot.edit(activation, undo).await,
        }
    }
}
