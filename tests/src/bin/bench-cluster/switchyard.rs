//! Switchyard.

use anyhow::Result;
use std::path::Path;
use switchyard_tests::{
    cluster::Cluster,
    control::{Control, ControlOptions},
    envoy::Envoy,
    world::bootstrap,
};

use crate::installation::{Installation, Routes, WORKERS};

const ROUTES: Routes = Routes {
    kind: "ingressroutes.contour.heptio.com",
    root: "/apis/contour.heptio.com/v1beta1/namespaces/default/ingressroutes/switched",
    delegate: "/spec/routes/0/delegate/name",
};

/// With all that it writes in `dir`.
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
