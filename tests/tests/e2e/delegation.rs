//! Delegation over several levels and namespaces: the backend, the rewritten path, and the mapping of responses back.

use anyhow::{Context, Result, ensure};
use std::time::{SystemTime, UNIX_EPOCH};
use switchyard_tests::{
    client::{get, once},
    echo::Echo,
    load::Load,
    manifests::{leaf, service},
    wait::until,
    world::{Builder, Source, World},
};

use crate::scenarios;

scenarios![
    rewrites_compose_and_responses_are_mapped_back,
    nested_switch_is_independent,
    longest_prefix_by_whole_segments_wins,
    delegate_outside_its_prefix_serves_nothing,
    invalid_route_answers_503_and_affects_no_other,
    later_host_claim_does_not_affect_the_owner,
];

const HOST: &str = "shop.bar.com";

/// The root (platform) mounts `/api` at `/v1` of team. team's `/v1/cart` is a leaf rewritten to `/`, and its `/v1/deep`
/// is delegated to checkout in another namespace, whose two branches are switched there.
const ROUTES: &str = "---
apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata:
  namespace: platform
  name: shop
spec:
  virtualhost:
    fqdn: shop.bar.com
  routes:
  - match: /api
    prefixRewrite: /v1
    delegate:
      name: team
      namespace: team
  - match: /static
    services:
    - name: front
      port: 80
---
apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata:
  namespace: team
  name: team
spec:
  routes:
  - match: /v1
    services:
    - name: team
      port: 80
  - match: /v1/cart
    prefixRewrite: /
    services:
    - name: cart
      port: 80
  - match: /v1/deep
    delegate:
      name: checkout-a
      namespace: checkout
---
apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata:
  namespace: checkout
  name: checkout-a
spec:
  routes:
  - match: /v1/deep
    prefixRewrite: /inner
    services:
    - name: a
      port: 80
---
apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata:
  namespace: checkout
  name: checkout-b
spec:
  routes:
  - match: /v1/deep
    services:
    - name: b
      port: 80
";

struct Shop {
    world: World,
    _backends: Vec<Echo>,
}

impl Shop {
    async fn start(source: Source) -> Result<Self> {
        let mut builder = Builder::new(source)?.manifest("routes.yaml", ROUTES)?;
        let mut backends = Vec::new();
        for (namespace, name) in [
            ("platform", "front"),
            ("team", "team"),
            ("team", "cart"),
            ("checkout", "a"),
            ("checkout", "b"),
        ] {
            let echo = Echo::start(name).await?;
            builder = builder.manifest(
                &format!("{name}.yaml"),
                &service(namespace, name, &[echo.address]),
            )?;
            backends.push(echo);
        }
        let world = builder.start().await?;
        world.served_by(HOST, "/api/deep", "a").await?;
        Ok(Self {
            world,
            _backends: backends,
        })
    }

    /// The backend, and the path that it received.
    async fn seen(&self, path: &str) -> Result<(String, String)> {
        let answer = self.world.get(HOST, path).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        let seen = answer.seen()?;
        Ok((seen.backend, seen.path))
    }
}

async fn rewrites_compose_and_responses_are_mapped_back(source: Source) -> Result<()> {
    let shop = Shop::start(source).await?;
    for (path, backend, arrives_as) in [
        ("/static/x", "front", "/static/x"),
        ("/api", "team", "/v1"),
        ("/api/", "team", "/v1/"),
        ("/api/x?q=/api", "team", "/v1/x?q=/api"),
        ("/api/cart", "cart", "/"),
        ("/api/cart/items/3?size=2", "cart", "/items/3?size=2"),
        ("/api/deep/x", "a", "/inner/x"),
    ] {
        let seen = shop.seen(path).await?;
        ensure!(
            seen == (backend.to_owned(), arrives_as.to_owned()),
            "{path}: {seen:?}"
        );
    }
    answers_are_mapped_back(&shop.world).await
}

async fn answers_are_mapped_back(world: &World) -> Result<()> {
    for (path, says, header, reads) in [
        ("/api/x", "location=/v1/new", "location", "/api/new"),
        (
            "/api/x",
            "location=http://shop.bar.com/v1/new?a=b",
            "location",
            "http://shop.bar.com/api/new?a=b",
        ),
        (
            "/api/x",
            "location=http://elsewhere.com/v1/new",
            "location",
            "http://elsewhere.com/v1/new",
        ),
        (
            "/api/x",
            "content-location=/v1/here",
            "content-location",
            "/api/here",
        ),
        (
            "/api/x",
            "set-cookie=a=b; Path=/v1/x; HttpOnly",
            "set-cookie",
            "a=b; Path=/api/x; HttpOnly",
        ),
        ("/api/cart/x", "location=/paid", "location", "/api/cart/paid"),
        ("/api/deep/x", "location=/inner/y", "location", "/api/deep/y"),
        // A path that the team serves outside the rewritten prefix.
        ("/api/deep/x", "location=/v1/login", "location", "/api/login"),
        (
            "/api/deep/x",
            "set-cookie=a=b; Path=/v1",
            "set-cookie",
            "a=b; Path=/api",
        ),
    ] {
        let request = get(HOST, path)
            .header("echo-status", "201")
            .header("echo-header", says);
        let answer = once(world.http(), request).await?;
        ensure!(answer.header(header) == reads, "{path}, {says}: {answer:?}");
    }
    Ok(())
}

async fn nested_switch_is_independent(source: Source) -> Result<()> {
    let shop = Shop::start(source).await?;
    shop.world
        .switch(&["team/team", "/v1/deep", "checkout-b"])
        .await?;
    shop.world.served_by(HOST, "/api/deep/x", "b").await?;
    ensure!(shop.seen("/api/deep/x").await? == ("b".to_owned(), "/v1/deep/x".to_owned()));
    ensure!(shop.seen("/api/cart").await? == ("cart".to_owned(), "/".to_owned()));
    shop.world
        .switch(&["team/team", "/v1/deep", "checkout-a"])
        .await?;
    shop.world.served_by(HOST, "/api/deep/x", "a").await?;
    Ok(())
}

async fn longest_prefix_by_whole_segments_wins(source: Source) -> Result<()> {
    let shop = Shop::start(source).await?;
    for (path, backend) in [
        ("/api/cartoon", "team"),
        ("/api/cart/", "cart"),
        ("/api/deeper", "team"),
    ] {
        ensure!(shop.seen(path).await?.0 == backend, "{path}");
    }
    for path in ["/apiary", "/", "/stati"] {
        let answer = shop.world.get(HOST, path).await?;
        ensure!(answer.status == 404, "{path}: {answer:?}");
    }
    Ok(())
}

async fn delegate_outside_its_prefix_serves_nothing(source: Source) -> Result<()> {
    let shop = Shop::start(source).await?;
    let escape = leaf("checkout", "checkout-a", "/other", "a");
    let rest = ROUTES.replace("name: checkout-a\nspec", "name: unused\nspec");
    shop.world.write("routes.yaml", &format!("{rest}{escape}"))?;
    shop.world.status(HOST, "/api/deep/x", 404).await?;
    ensure!(shop.world.get(HOST, "/other").await?.status == 404);
    ensure!(shop.seen("/api/cart").await?.0 == "cart");
    Ok(())
}

async fn invalid_route_answers_503_and_affects_no_other(source: Source) -> Result<()> {
    let shop = Shop::start(source).await?;
    shop.world.write(
        "routes.yaml",
        &ROUTES.replace("name: cart\n", "name: no-such-service\n"),
    )?;
    shop.world.status(HOST, "/api/cart/x", 503).await?;
    ensure!(shop.seen("/api/x").await?.0 == "team");
    ensure!(shop.seen("/api/deep").await?.0 == "a");
    Ok(())
}

/// A root that claims the host of `shop`, with routes to the Service `team`.
fn claim(name: &str, fqdn: &str) -> String {
    format!(
        "---
apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata: {{namespace: team, name: {name}}}
spec:
  virtualhost: {{fqdn: {fqdn}}}
  routes:
  - match: /
    services: [{{name: team, port: 80}}]
"
    )
}

/// Waits for the next full second, because creation timestamps have no fractions.
async fn next_second() -> Result<()> {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map(|since| since.as_secs())
    };
    let begun = now()?;
    until("a later second", async || {
        ensure!(now()? > begun, "it is the same");
        Ok(())
    })
    .await
}

async fn later_host_claim_does_not_affect_the_owner(source: Source) -> Result<()> {
    let shop = Shop::start(source).await?;
    let world = &shop.world;
    let load = Load::new(world.http(), HOST, "/static/x").start().await?;
    next_second().await?;
    // Once the object after the claim is served, the claim has arrived as well.
    world.write("zz-claim.yaml", &claim("thief", "Shop.BAR.com"))?;
    world.write("zz-next.yaml", &claim("next", "next.bar.com"))?;
    world.served_by("next.bar.com", "/", "team").await?;
    for (path, backend) in [("/static", "front"), ("/api/x", "team"), ("/api/deep", "a")] {
        ensure!(shop.seen(path).await?.0 == backend, "{path}");
    }
    ensure!(world.get(HOST, "/only/the/thief").await?.status == 404);
    let told = world.ask("check", &[]).await?;
    ensure!(
        told.stdout
            .contains("host shop.bar.com belongs to IngressRoute platform/shop, which is older"),
        "{told:?}"
    );
    let samples = load.stop().await;
    samples.all_succeeded()?;
    ensure!(
        samples.0.iter().all(|sample| sample.outcome.backend() == "front"),
        "{:?}",
        samples.tally()
    );

    // The owner is deleted, and the next oldest root gets the host at once.
    let load = Load::new(world.http(), HOST, "/static/x").start().await?;
    let (_, below) = {
        let documents = ROUTES.strip_prefix("---").and_then(|text| text.split_once("---"));
        documents.context("more than the root")?
    };
    world.write("routes.yaml", &format!("---{below}"))?;
    world.served_by(HOST, "/static/x", "team").await?;
    load.stop().await.all_succeeded()
}
