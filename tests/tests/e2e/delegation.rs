//! Delegation over several levels and namespaces: who serves, under which path, and what is mapped back.

use anyhow::{Result, ensure};
use switchyard_tests::{
    client::{get, once},
    echo::Echo,
    manifests::{leaf, service},
    world::{Builder, Source, World},
};

use crate::scenarios;

scenarios![
    rewrites_compose_and_answers_are_mapped_back,
    a_switch_below_a_switch_turns_on_its_own,
    the_longest_prefix_by_whole_segments_wins,
    a_delegate_outside_its_prefix_serves_nothing,
    a_bad_route_answers_503_and_harms_no_other,
];

const HOST: &str = "shop.bar.com";

/// root (platform) /api -> mount /v1 of team; team /v1/cart -> leaf rewritten to /; team /v1/deep -> checkout (another
/// namespace), whose two branches are switched on their own.
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

    /// The backend, and the path that it saw.
    async fn seen(&self, path: &str) -> Result<(String, String)> {
        let answer = self.world.get(HOST, path).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        let seen = answer.seen()?;
        Ok((seen.backend, seen.path))
    }
}

async fn rewrites_compose_and_answers_are_mapped_back(source: Source) -> Result<()> {
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
        // What the team serves beside.
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

async fn a_switch_below_a_switch_turns_on_its_own(source: Source) -> Result<()> {
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

async fn the_longest_prefix_by_whole_segments_wins(source: Source) -> Result<()> {
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

async fn a_delegate_outside_its_prefix_serves_nothing(source: Source) -> Result<()> {
    let shop = Shop::start(source).await?;
    let escape = leaf("checkout", "checkout-a", "/other", "a");
    let rest = ROUTES.replace("name: checkout-a\nspec", "name: unused\nspec");
    shop.world.write("routes.yaml", &format!("{rest}{escape}"))?;
    shop.world.status(HOST, "/api/deep/x", 404).await?;
    ensure!(shop.world.get(HOST, "/other").await?.status == 404);
    ensure!(shop.seen("/api/cart").await?.0 == "cart");
    Ok(())
}

async fn a_bad_route_answers_503_and_harms_no_other(source: Source) -> Result<()> {
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
