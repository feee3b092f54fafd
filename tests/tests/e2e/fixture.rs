//! The installation that most scenarios start with.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use switchyard_tests::{
    echo::Echo,
    manifests::{ingress_route, leaf, root, service},
    world::{Builder, Source, World},
};

pub(crate) const HOST: &str = "blue-green.bar.com";
pub(crate) const ROOT: &str = "default/blue-green-root";

/// A root, `blue-green-root`, that delegates all of [`HOST`] to `blue`, with `green` as the standby.
pub(crate) struct BlueGreen {
    pub(crate) world: World,
    pub(crate) blue: Echo,
    _green: Echo,
}

impl BlueGreen {
    pub(crate) async fn start(source: Source) -> Result<Self> {
        Self::start_with(source, Ok).await
    }

    /// Starts with additional options, and waits until requests are served.
    pub(crate) async fn start_with(
        source: Source,
        more: impl FnOnce(Builder) -> Result<Builder>,
    ) -> Result<Self> {
        let (blue, green) = (Echo::start("blue").await?, Echo::start("green").await?);
        let builder = Builder::new(source)?
            .manifest("root.yaml", &root("default", "blue-green-root", HOST, "blue"))?
            .manifest("blue.yaml", &branch("blue", &blue))?
            .manifest("green.yaml", &branch("green", &green))?;
        let world = more(builder)?.start().await?;
        world.served_by(HOST, "/", "blue").await?;
        Ok(Self {
            world,
            blue,
            _green: green,
        })
    }
}

/// An IngressRoute and a Service with the backend's name.
pub(crate) fn branch(name: &str, backend: &Echo) -> String {
    leaf("default", name, "/", name) + &service("default", name, &[backend.address])
}

/// The hosts of [`on_both`]: one with plain routes, and one below a switch.
pub(crate) const HOSTS: [&str; 2] = ["plain.bar.com", "switched.bar.com"];
pub(crate) const SWITCHED_ROOT: &str = "default/switched";
pub(crate) const BRANCH: &str = "branch";

/// The same routes on a root and on the branch of another root.
pub(crate) fn on_both(routes: &Value) -> String {
    let [plain, switched] = HOSTS.map(|fqdn| json!({"fqdn": fqdn}));
    let delegating = json!([{"match": "/", "delegate": {"name": BRANCH}}]);
    ingress_route("plain", &json!({"virtualhost": plain, "routes": routes}))
        + &ingress_route(
            "switched",
            &json!({"virtualhost": switched, "routes": delegating}),
        )
        + &ingress_route(BRANCH, &json!({"routes": routes}))
}

/// Damages the filter next to an Envoy's bootstrap, whose hash the bootstrap contains, and restarts the processes that
/// had read it.
pub(crate) async fn damage_filter(world: &mut World) -> Result<()> {
    let damaged = fs::read_dir(world.dir.join("envoy-0"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .context("no .wasm beside the bootstrap")?;
    fs::write(damaged, b"not wasm")?;
    world.control.restart().await?;
    world.envoys.first_mut().context("an Envoy")?.restart().await
}
