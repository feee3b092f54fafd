//! Policies that refer to missing objects.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use switchyard_tests::{
    echo::Echo,
    manifests::{ingress_route, object, service},
    world::{Builder, Source, World},
};

use crate::{fixture::HOST, scenarios, status::says};

scenarios![policy_with_missing_secret_takes_down_only_its_routes,];

/// The root and its delegate.
const OWNERS: [&str; 2] = ["guarded", "team"];

/// A check that lets everybody pass once the keys exist.
fn auth() -> Value {
    let checks = json!([
        {"apiKey": {"secretName": "clients", "header": "x-key"}},
        {"ip": {"allow": ["0.0.0.0/0", "::/0"]}},
    ]);
    json!([{"anyOf": checks}])
}

fn leaf(path: &str) -> Value {
    json!({"match": path, "services": [{"name": "blue", "port": 80}]})
}

fn guarded(path: &str) -> Value {
    let mut route = leaf(path);
    route["auth"] = auth();
    route
}

/// The error of the route with this index and match.
fn error(index: usize, path: &str) -> String {
    let field = "auth[0].anyOf[0].apiKey.secretName";
    format!("spec.routes[{index}].{field}: route \"{path}\": {field}: Secret default/clients not found")
}

/// Checks whether the routes with the policy are served, that the others are in any case, and the errors.
async fn are_served(world: &World, served: bool) -> Result<()> {
    for path in ["/guarded", "/below"] {
        if served {
            world.served_by(HOST, path, "blue").await?;
        } else {
            world.status(HOST, path, 503).await?;
        }
    }
    for path in ["/", "/below/open"] {
        world.served_by(HOST, path, "blue").await?;
    }
    let errors = [error(1, "/guarded"), error(0, "/below")];
    let checked = world.ask("check", &[]).await?;
    for error in &errors {
        ensure!(checked.stdout.contains(error) != served, "{checked:?}");
    }
    if world.cluster.is_some() {
        for (owner, error) in OWNERS.iter().zip(errors) {
            let want = if served {
                ("/currentStatus", json!("valid"))
            } else {
                ("/errors/0", json!(error))
            };
            says(world, owner, &[want]).await?;
        }
    }
    Ok(())
}

async fn policy_with_missing_secret_takes_down_only_its_routes(source: Source) -> Result<()> {
    let blue = Echo::start("blue").await?;
    let delegating = json!({"match": "/below", "delegate": {"name": "team"}});
    let root = json!({
        "virtualhost": {"fqdn": HOST}, "routes": [leaf("/"), guarded("/guarded"), delegating],
    });
    let team = json!({"routes": [guarded("/below"), leaf("/below/open")]});
    let world = Builder::new(source)?
        .manifest("guarded.yaml", &ingress_route("guarded", &root))?
        .manifest("team.yaml", &ingress_route("team", &team))?
        .manifest("blue.yaml", &service("default", "blue", &[blue.address]))?
        .start()
        .await?;
    are_served(&world, false).await?;
    let keys = json!({"stringData": {"alice": "secret"}});
    let clients = object("v1", "Secret", "clients", keys);
    world.write("clients.yaml", &clients)?;
    are_served(&world, true).await?;
    world.remove("clients.yaml")?;
    are_served(&world, false).await
}
