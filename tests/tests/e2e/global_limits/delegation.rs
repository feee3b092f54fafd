//! A root's limit applies to everything that it delegates, in any namespace and with any content.

use super::{CONFIG, PATIENT};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use switchyard_tests::{
    echo::Echo,
    manifests::{ingress_route_in, service},
    ratelimit::RateLimit,
    world::{Builder, Source, World},
};

use crate::scenarios;

scenarios![
    root_limit_covers_all_delegates,
    delegate_cannot_evade_the_root_limit,
    switch_keeps_used_quota,
];

const HOST: &str = "shop.bar.com";

struct Teams {
    world: World,
    _limits: RateLimit,
    _web: Echo,
}

/// A limit of four requests per tenant, counted by the namespace's service.
fn limit(tenant: &Value) -> Value {
    let mut entry = json!({"key": "tenant"});
    let (field, value) = if tenant.is_string() {
        ("value", tenant)
    } else {
        ("from", tenant)
    };
    entry[field] = value.clone();
    json!({"global": {
        "service": {"name": "limits", "port": 80},
        "domain": "shop",
        "descriptors": [{"entries": [{"key": "host", "from": {"header": "x-host"}}, entry]}],
        "timeout": PATIENT,
    }})
}

// === impl Teams ===

impl Teams {
    /// Starts with a root in `platform` that has a limit per tenant, and delegates `/` to `blue` in `team`.
    async fn start(source: Source, leaves: &[(&str, Value)]) -> Result<Self> {
        let builder = Builder::new(source)?;
        let limits = RateLimit::start(&builder.dir.join("ratelimit"), CONFIG, &[]).await?;
        let web = Echo::start("web").await?;
        let tenant = json!({"header": "x-tenant"});
        let root = json!({
            "virtualhost": {"fqdn": HOST, "rateLimits": [limit(&tenant)]},
            "routes": [{"match": "/", "delegate": {"name": "blue", "namespace": "team"}}],
        });
        let mut builder = builder
            .manifest("root.yaml", &ingress_route_in("platform", "shop", &root))?
            .manifest("limits.yaml", &service("platform", "limits", &[limits.address()]))?
            .manifest("away.yaml", &service("team", "limits", &[]))?
            .manifest("web.yaml", &service("team", "web", &[web.address]))?;
        for (name, routes) in leaves {
            let leaf = ingress_route_in("team", name, &json!({"routes": routes}));
            builder = builder.manifest(&format!("{name}.yaml"), &leaf)?;
        }
        Ok(Self {
            world: builder.start().await?,
            _limits: limits,
            _web: web,
        })
    }

    /// The statuses of a tenant's requests, and the remaining number in the last answer.
    async fn ask(&self, path: &str, tenant: &str, requests: usize) -> Result<(Vec<u16>, String)> {
        let (mut statuses, mut left) = (Vec::new(), String::new());
        for _ in 0..requests {
            let headers = [("x-tenant", tenant)];
            let answer = super::get_from([127, 0, 0, 1], &self.world, HOST, path, &headers).await?;
            statuses.push(answer.status);
            answer.header("ratelimit-remaining").clone_into(&mut left);
        }
        Ok((statuses, left))
    }
}

fn leaf(path: &str, more: &[(&str, Value)]) -> Value {
    let mut route = json!({"match": path, "services": [{"name": "web", "port": 80}]});
    for (field, value) in more {
        route[*field] = value.clone();
    }
    route
}

async fn root_limit_covers_all_delegates(source: Source) -> Result<()> {
    let tighter = json!([{"requests": 2, "unit": "hour"}]);
    let routes = json!([leaf("/", &[]), leaf("/tight", &[("rateLimits", tighter)])]);
    let teams = Teams::start(source, &[("blue", routes)]).await?;
    // All paths share one count.
    let (statuses, _) = teams.ask("/a", "a", 2).await?;
    ensure!(statuses == [200; 2], "{statuses:?}");
    // The delegate's limit is additional, and applies first because the proxy counts it.
    let (statuses, left) = teams.ask("/tight", "a", 3).await?;
    ensure!(
        (&*statuses, &*left) == (&[200, 200, 429], "0"),
        "{statuses:?} {left}"
    );
    let (statuses, _) = teams.ask("/a", "a", 2).await?;
    ensure!(statuses == [429; 2], "{statuses:?}");
    let (statuses, left) = teams.ask("/b", "b", 1).await?;
    ensure!((&*statuses, &*left) == (&[200], "3"), "{statuses:?} {left}");
    Ok(())
}

/// Tries everything that a team can write: a service of the same name that is down, together with `onFailure: allow`; a
/// local limit; header edits that remove the tenant or change it to one with a higher limit; a rewrite; no limit at
/// all.
async fn delegate_cannot_evade_the_root_limit(source: Source) -> Result<()> {
    let mut lenient = limit(&json!({"header": "x-tenant"}));
    lenient["global"]["onFailure"] = "allow".into();
    lenient["dryRun"] = true.into();
    let gold = json!([{"name": "x-tenant", "value": "gold"}]);
    let routes = json!([
        leaf("/nothing", &[("rateLimits", json!([]))]),
        leaf("/lenient", &[("rateLimits", json!([lenient]))]),
        leaf(
            "/local",
            &[("rateLimits", json!([{"requests": 1000, "unit": "second"}]))]
        ),
        leaf("/renamed", &[("headers", json!({"request": {"set": gold}}))]),
        leaf(
            "/unheard",
            &[("headers", json!({"request": {"remove": ["x-tenant"]}}))]
        ),
        leaf("/rewritten", &[("prefixRewrite", json!("/"))]),
    ]);
    let teams = Teams::start(source, &[("blue", routes)]).await?;
    for name in ["nothing", "lenient", "local", "renamed", "unheard", "rewritten"] {
        let path = format!("/{name}");
        // Each path has its own tenant. This request has none and is not counted.
        teams.world.served_by(HOST, &path, "web").await?;
        let (statuses, left) = teams.ask(&path, name, 6).await?;
        ensure!(
            (&*statuses, &*left) == (&[200, 200, 200, 200, 429, 429], "0"),
            "{path}: {statuses:?} {left}"
        );
    }
    Ok(())
}

async fn switch_keeps_used_quota(source: Source) -> Result<()> {
    let leaves = ["blue", "green"].map(|name| (name, json!([leaf("/", &[])])));
    let teams = Teams::start(source, &leaves).await?;
    let (statuses, _) = teams.ask("/", "a", 3).await?;
    ensure!(statuses == [200; 3], "{statuses:?}");
    teams.world.switch(&["platform/shop", "green"]).await?;
    let (statuses, left) = teams.ask("/", "a", 2).await?;
    ensure!((&*statuses, &*left) == (&[200, 429], "0"), "{statuses:?} {left}");
    Ok(())
}
