//! Installations of various sizes for the benchmarks.

use anyhow::{Context, Result};
use std::fmt::Write;
use switchyard_tests::{
    echo::Echo,
    envoy::Envoy,
    manifests::{leaf, service},
    world::{Builder, Source, World},
};

pub(crate) const BLUE: [&str; 2] = ["blue", "green"];
pub(crate) const GREEN: [&str; 2] = ["green", "blue"];

/// An installation with the backends blue and green and the manifests of a benchmark.
pub(crate) struct Installation {
    pub(crate) world: World,
    _backends: [Echo; 2],
}

// === impl Installation ===

impl Installation {
    /// Starts an installation. `manifests` are pairs of file name and content; `workers` is the number of Envoy's
    /// workers.
    pub(crate) async fn start(name: &str, workers: usize, manifests: &[(String, String)]) -> Result<Self> {
        Self::with(name, workers, manifests, |builder| builder).await
    }

    /// Starts an installation with additional options.
    pub(crate) async fn with(
        name: &str,
        workers: usize,
        manifests: &[(String, String)],
        more: impl FnOnce(Builder) -> Builder,
    ) -> Result<Self> {
        let backends = [Echo::start("blue").await?, Echo::start("green").await?];
        let mut builder = Builder::named(Source::Directory, name)?
            .workers(workers)
            .dispatcher_stats();
        for Echo { name, address, .. } in &backends {
            let objects = leaf("default", name, "/", name) + &service("default", name, &[*address]);
            builder = builder.manifest(&format!("{name}.yaml"), &objects)?;
        }
        for (file, objects) in manifests {
            builder = builder.manifest(file, objects)?;
        }
        Ok(Self {
            world: more(builder).start().await?,
            _backends: backends,
        })
    }

    pub(crate) fn envoy(&self) -> Result<&Envoy> {
        self.world.envoys.first().context("an Envoy")
    }
}

/// A root that owns `fqdn` and delegates all of it to one of two branches; the other is a standby.
pub(crate) fn switch(name: &str, fqdn: &str, [active, standby]: [&str; 2]) -> String {
    format!(
        "---
apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata:
  namespace: default
  name: {name}
spec:
  virtualhost:
    fqdn: {fqdn}
  routes:
  - match: /
    delegate:
      name: {active}
      standby: [{standby}]
"
    )
}

/// A root that owns `fqdn` and routes the given prefixes to blue.
pub(crate) fn plain(name: &str, fqdn: &str, prefixes: impl Iterator<Item = String>) -> Result<String> {
    let mut root = format!(
        "---
apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata:
  namespace: default
  name: {name}
spec:
  virtualhost:
    fqdn: {fqdn}
  routes:
"
    );
    for prefix in prefixes {
        write!(
            root,
            "  - match: {prefix}\n    services:\n    - name: blue\n      port: 80\n"
        )?;
    }
    Ok(root)
}
