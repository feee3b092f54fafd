//! The access log.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{fs, path::Path};
use switchyard_tests::{
    client::{Connection, get},
    manifests::{ingress_route, tls_secret},
    tls::Authority,
    wait::until,
    world::{Builder, Source},
};

use crate::{
    fixture::{BlueGreen, HOST, ROOT},
    scenarios,
};

scenarios![
    log_has_root_branch_leaf_and_route,
    log_has_the_route_of_the_requested_host,
    tls_host_is_logged_on_both_ports,
];

/// An installation whose Envoys log requests to the file `access.log`.
async fn installation(source: Source, more: impl FnOnce(Builder) -> Result<Builder>) -> Result<BlueGreen> {
    BlueGreen::start_with(source, |builder| {
        let flag = format!("--access-log={}", log(&builder.dir));
        more(builder.flag(&flag))
    })
    .await
}

fn log(dir: &Path) -> String {
    dir.join("access.log").display().to_string()
}

/// The last log entry for a path, reduced to these fields.
async fn logged(dir: &Path, path: &str, fields: &Value) -> Result<Value> {
    let entry = until("the log has it", async || {
        let text = fs::read_to_string(log(dir))?;
        let mut lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines
            .rfind(|entry: &Value| entry["path"] == path)
            .context("no line yet")
    })
    .await?;
    let names = fields.as_object().context("an object")?.keys();
    Ok(names.map(|name| (name.clone(), entry[name].clone())).collect())
}

async fn log_has_root_branch_leaf_and_route(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &installation(source, Ok).await?;
    world.get(HOST, "/first").await?;
    world.switch(&[ROOT, "green"]).await?;
    world.served_by(HOST, "/second", "green").await?;
    for (path, branch) in [("/first", "default/blue"), ("/second", "default/green")] {
        let expected = json!({
            "root": ROOT,
            "branch": branch,
            "leaf": "/",
            "route": format!("{HOST}/"),
            "authority": HOST,
            "method": "GET",
            "response_code": 200,
            "reason": null,
        });
        let logged = logged(&world.dir, path, &expected).await?;
        ensure!(logged == expected, "{path}: {logged:#}");
    }
    Ok(())
}

/// A host with a plain route, and a switch below a switch.
fn nested() -> String {
    let blue = json!([{"name": "blue", "port": 80}]);
    let root = json!({"virtualhost": {"fqdn": "nested.bar.com"}, "routes": [
        {"match": "/static", "services": blue},
        {"match": "/shop", "delegate": {"name": "team"}},
    ]});
    let team = json!({"routes": [
        {"match": "/shop/cart", "delegate": {"name": "cart"}},
        {"match": "/shop/closed", "services": [{"name": "no-such-service", "port": 80}]},
    ]});
    let cart = json!({"routes": [{"match": "/shop/cart", "services": blue}]});
    ingress_route("nested", &root) + &ingress_route("team", &team) + &ingress_route("cart", &cart)
}

/// A path, the expected status, and the expected branch, leaf and route in the log.
type Case = (
    &'static str,
    u16,
    Option<&'static str>,
    Option<&'static str>,
    &'static str,
);

const CASES: [Case; 4] = [
    ("/static/x", 200, None, None, "nested.bar.com/static"),
    (
        "/shop/cart/x",
        200,
        Some("default/team, default/cart"),
        Some("/shop/cart"),
        "nested.bar.com/shop",
    ),
    (
        "/shop/closed/x",
        503,
        Some("default/team"),
        Some("/shop/closed"),
        "nested.bar.com/shop",
    ),
    ("/nowhere", 404, None, None, "not-found"),
];

async fn log_has_the_route_of_the_requested_host(source: Source) -> Result<()> {
    let BlueGreen { world, .. } =
        &installation(source, |builder| builder.manifest("nested.yaml", &nested())).await?;
    // All requests come first, because Envoy flushes its log every ten seconds.
    for (path, status, ..) in CASES {
        world.status("nested.bar.com", path, status).await?;
    }
    for (path, status, branch, leaf, route) in CASES {
        let expected = json!({
            "root": "default/nested",
            "branch": branch,
            "leaf": leaf,
            "route": route,
            "response_code": status,
        });
        let logged = logged(&world.dir, path, &expected).await?;
        ensure!(logged == expected, "{path}: {logged:#}");
    }
    Ok(())
}

/// A host with TLS: redirects, a plain route and a switch, of which a part is also served over plain HTTP.
fn secure(authority: &Authority) -> Result<String> {
    let blue = json!([{"name": "blue", "port": 80}]);
    let root = json!({"virtualhost": {"fqdn": SECURE, "tls": {"secretName": "secure"}}, "routes": [
        {"match": "/static", "permitInsecure": true, "services": blue},
        {"match": "/shop", "delegate": {"name": "shop"}},
        {"match": "/closed", "delegate": {"name": "closed"}},
    ]});
    let shop = json!({"routes": [
        {"match": "/shop", "services": blue},
        {"match": "/shop/open", "permitInsecure": true, "services": blue},
    ]});
    let closed = json!({"routes": [{"match": "/closed", "services": blue}]});
    let objects =
        ingress_route("secure", &root) + &ingress_route("shop", &shop) + &ingress_route("closed", &closed);
    Ok(objects + &tls_secret("default", "secure", &authority.issue(SECURE)?))
}

const SECURE: &str = "secure.bar.com";

const OVER_TLS: [Case; 2] = [
    ("/static/tls", 200, None, None, "secure.bar.com/static"),
    (
        "/shop/open/tls",
        200,
        Some("default/shop"),
        Some("/shop/open"),
        "secure.bar.com/shop",
    ),
];

const IN_PLAIN: [Case; 4] = [
    ("/static/plain", 200, None, None, "secure.bar.com/static"),
    (
        "/shop/open/plain",
        200,
        Some("default/shop"),
        Some("/shop/open"),
        "http://secure.bar.com/shop",
    ),
    (
        "/shop/plain",
        301,
        Some("default/shop"),
        Some("/shop"),
        "http://secure.bar.com/shop",
    ),
    ("/closed/plain", 301, None, None, "secure.bar.com/closed"),
];

async fn tls_host_is_logged_on_both_ports(source: Source) -> Result<()> {
    let authority = Authority::new()?;
    let BlueGreen { world, .. } = &installation(source, |builder| {
        builder.manifest("secure.yaml", &secure(&authority)?)
    })
    .await?;
    until("TLS is served", async || {
        authority.connect(world.https(), SECURE).await
    })
    .await?;
    for (path, status, ..) in OVER_TLS {
        let mut connection = Connection::over(authority.connect(world.https(), SECURE).await?).await?;
        let answer = connection.send(get(SECURE, path)).await?;
        ensure!(answer.status == status, "{path}: {answer:?}");
    }
    for (path, status, ..) in IN_PLAIN {
        world.status(SECURE, path, status).await?;
    }
    let cases = OVER_TLS.map(|case| (case, json!(SECURE))).into_iter();
    for ((path, status, branch, leaf, route), server_name) in
        cases.chain(IN_PLAIN.map(|case| (case, json!(null))))
    {
        let expected = json!({
            "root": "default/secure",
            "branch": branch,
            "leaf": leaf,
            "route": route,
            "response_code": status,
            "requested_server_name": server_name,
        });
        let logged = logged(&world.dir, path, &expected).await?;
        ensure!(logged == expected, "{path}: {logged:#}");
    }
    Ok(())
}
