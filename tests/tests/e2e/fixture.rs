//! The installation that most scenarios begin with.

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

/// A root, `blue-green-root`, that delegates all of [`HOST`] to `blue`, while `green` stands by.
pub(crate) struct BlueGreen {
    pub(crate) world: World,
    pub(crate) blue: Echo,
    _green: Echo,
}

impl BlueGreen {
    pub(crate) async fn start(source: Source) -> Result<Self> {
        Self::start_with(source, Ok).await
    }

    /// The same, with more asked for; the first requests are answered already.
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

/// An IngressRoute and a Service, both of the backend's name.
pub(crate) fn branch(name: &str, backend: &Echo) -> String {
    leaf("default", name, "/", name) + &service("default", name, &[backend.address])
}

/// The hosts of [`on_both`]: what is served as plain routes, and what is served below a switch.
pub(crate) const HOSTS: [&str; 2] = ["plain.bar.com", "switched.bar.com"];
pub(crate) const SWITCHED_ROOT: &str = "default/switched";
pub(crate) const BRANCH: &str = "branch";

/// The same routes twice: on a root, and on the branch of another.
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

/// The filter that lies beside an Envoy's bootstrap is damaged after the bootstrap told its hash; what had read it begins
/// anew.
pub(crate) async fn damage_filter(world: &mut World) -> Result<()> {
    let damaged = fs::read_dir(world.dir.join("envoy-0"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .context("no .wasm beside the bootstrap")?;
    fs::write(damaged, b"not wasm")?;
    world.control.restart().await?;
    world.envoys.first_mut().context("an Envoy")?.restart().await
}
