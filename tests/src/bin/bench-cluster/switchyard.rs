//! Starts Switchyard.

use anyhow::Result;
use std::path::Path;
use switchyard_tests::{
    cluster::Cluster,
    control::{Control, ControlOptions},
    envoy::Envoy,
    world::bootstrap,
};

use crate::{
    installation::{Installation, Routes, WORKERS},
    manifests,
};

const ROUTES: Routes = Routes {
    kind: "ingressroutes.contour.heptio.com",
    api_version: "contour.heptio.com/v1beta1",
    kind_name: "IngressRoute",
    collection: "/apis/contour.heptio.com/v1beta1/namespaces/default/ingressroutes",
    spec: manifests::spec,
    delegate: "/spec/routes/0/delegate/name",
};

/// Starts control and its Envoy, which write all their files to `dir`.
pub(crate) async fn start(dir: &Path, cluster: &Cluster) -> Result<Installation> {
    let mut options = ControlOptions::new(dir, &dir.join("control.log"))?;
    options.kubeconfig = Some(cluster.kubeconfig());
    let Control { process, options } = Control::start(&options)?;
    let envoy = Envoy::start(&bootstrap(dir, &options, "envoy", WORKERS).await?)?;
    Ok(Installation {
        control: process,
        envoy,
        http: options.http,
        routes: ROUTES,
    })
}
