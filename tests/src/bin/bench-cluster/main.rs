//! Compares Switchyard with Contour in one run: the same API server, Services, EndpointSlices and Envoy, and equivalent
//! routes as IngressRoutes and as HTTPProxies. Only one of them runs at a time.
//!
//! Writes `bench/RESULTS-cluster.md` and `bench/results-cluster.json`. Needs the network namespace of
//! `scripts/netns.sh`.

mod backends;
mod contour;
mod figures;
mod installation;
mod manifests;
mod many;
mod measure;
mod switchyard;

use anyhow::{Context, Result};
use clap::Parser;
use std::{fs, path::Path};
use switchyard_tests::{cluster::Cluster, paths, report};

use crate::{backends::Backends, installation::Installation, measure::Measured};

/// The number of times that each of the two is started and measured, in turns.
const ROUNDS: usize = 3;

#[derive(Debug, Parser)]
struct Arguments {
    /// Run this many rounds, and write nothing.
    rounds: Option<usize>,
    /// Measure the cost of a host among 10,000, without Contour; writes `bench/RESULTS-hosts.md` and
    /// `bench/results-hosts.json`.
    #[arg(long)]
    many: bool,
}

/// The measurements of both in one round.
#[derive(Debug)]
struct Round {
    contour: Measured,
    switchyard: Measured,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { rounds, many } = Arguments::parse();
    let dir = paths::scratch("bench-cluster")?.canonicalize()?;
    let backends = Backends::start().await?;
    if many {
        return report::write("-hosts", "", &many::measure(&dir, &backends).await?);
    }
    let cluster = cluster(&dir, &backends).await?;
    let mut measured = Vec::new();
    for number in 0..rounds.unwrap_or(ROUNDS) {
        let dir = dir.join(format!("round-{number}"));
        measured.push(round(&dir, &cluster).await?);
    }
    let figures = figures::of(&measured);
    match rounds {
        None => report::write("-cluster", "", &figures),
        Some(_) => Ok(()),
    }
}

/// Starts a cluster that has all objects of both.
async fn cluster(dir: &Path, backends: &Backends) -> Result<Cluster> {
    let cluster = Cluster::start(&dir.join("cluster")).await?;
    contour::install_crds(&cluster)?;
    let manifests = dir.join("manifests");
    fs::create_dir(&manifests)?;
    for (file, objects) in manifests::all(backends) {
        fs::write(manifests.join(file), objects)?;
    }
    cluster.hold(&manifests)?;
    Ok(cluster)
}

async fn round(dir: &Path, cluster: &Cluster) -> Result<Round> {
    let contour = contour::start(&folder(dir, "contour")?, cluster).await?;
    let contour = measured("Contour", contour, cluster).await?;
    let switchyard = switchyard::start(&folder(dir, "switchyard")?, cluster).await?;
    let switchyard = measured("Switchyard", switchyard, cluster).await?;
    Ok(Round { contour, switchyard })
}

fn folder(dir: &Path, name: &str) -> Result<std::path::PathBuf> {
    let dir = dir.join(name);
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// Measures an installation and ends it.
async fn measured(name: &str, mut installation: Installation, cluster: &Cluster) -> Result<Measured> {
    let measured = measure::all(&mut installation, cluster)
        .await
        .with_context(|| name.to_owned())?;
    println!("{name}: {measured}");
    installation.end().await?;
    Ok(measured)
}
