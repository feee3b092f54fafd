//! The choice between two branches in use: preview, canary, sticky sessions.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use switchyard_tests::{
    client::{Answer, get, once},
    world::{Source, World},
};

use crate::{
    fixture::{BlueGreen, HOST, ROOT},
    scenarios,
};

scenarios![
    preview_header_selects_the_standby,
    canary_gets_its_percentage,
    session_keeps_its_branch_through_a_switch,
    session_of_removed_branch_moves_to_the_active_one,
    branch_header_requires_expose_branch,
];

/// The root of the fixture with additional fields of its delegate.
fn root(delegate: &str) -> String {
    format!(
        "apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata:
  namespace: default
  name: blue-green-root
spec:
  virtualhost:
    fqdn: {HOST}
  routes:
  - match: /
    delegate:
      name: blue
{delegate}"
    )
}

async fn installation(source: Source, delegate: &str) -> Result<BlueGreen> {
    BlueGreen::start_with(source, |builder| builder.manifest("root.yaml", &root(delegate))).await
}

async fn preview_header_selects_the_standby(source: Source) -> Result<()> {
    let delegate = "      standby: [green]\n      preview: {header: X-Preview, value: secret}\n";
    let BlueGreen { world, .. } = &installation(source, delegate).await?;
    let cases = [
        ("x-preview", "secret", "green"),
        ("x-preview", "wrong", "blue"),
        ("x-other", "secret", "blue"),
    ];
    for (header, value, backend) in cases {
        let answer = once(world.http(), get(HOST, "/").header(header, value)).await?;
        ensure!(answer.backend() == backend, "{header}: {value}: {answer:?}");
    }
    Ok(())
}

async fn canary_gets_its_percentage(source: Source) -> Result<()> {
    let delegate = "      standby: [green]\n      canary: {percent: 30}\n";
    let BlueGreen { world, .. } = &installation(source, delegate).await?;
    let mut connection = switchyard_tests::client::Connection::open(world.http()).await?;
    let mut green = 0;
    for _ in 0..2000 {
        let answer = connection.send(get(HOST, "/")).await?;
        ensure!(answer.status == 200, "{answer:?}");
        green += usize::from(answer.backend() == "green");
    }
    // The bounds are six standard deviations from 600.
    ensure!(
        (477..=723).contains(&green),
        "{green} of 2000 went to a canary of 30 %"
    );
    Ok(())
}

const STICKY: &str = "      standby: [green]\n      sticky: {cookie: branch, ttlSeconds: 600}\n";

async fn session_keeps_its_branch_through_a_switch(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &installation(source, STICKY).await?;
    let cookie = session(world).await?;
    world.switch(&[ROOT, "green"]).await?;
    world.served_by(HOST, "/", "green").await?;
    for _ in 0..20 {
        let answer = with_cookie(world, &cookie).await?;
        ensure!(answer.backend() == "blue", "{answer:?}");
    }
    let seen: BTreeSet<_> = [world.get(HOST, "/").await?, world.get(HOST, "/").await?]
        .iter()
        .map(|answer| answer.backend().to_owned())
        .collect();
    ensure!(
        seen == BTreeSet::from(["green".to_owned()]),
        "new sessions: {seen:?}"
    );
    Ok(())
}

async fn session_of_removed_branch_moves_to_the_active_one(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &installation(source, STICKY).await?;
    let cookie = session(world).await?;
    world.write("root.yaml", &root("").replace("name: blue\n", "name: green\n"))?;
    world.served_by(HOST, "/", "green").await?;
    let answer = with_cookie(world, &cookie).await?;
    ensure!(answer.backend() == "green", "{answer:?}");
    Ok(())
}

/// The cookie of a new session, as a browser returns it.
async fn session(world: &World) -> Result<String> {
    let answer = world.get(HOST, "/").await?;
    let cookies = answer.all("set-cookie");
    let cookie = cookies
        .iter()
        .find(|cookie| cookie.starts_with("branch="))
        .context("no cookie")?;
    ensure!(cookie.to_lowercase().contains("max-age=600"), "{cookie}");
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

async fn with_cookie(world: &World, cookie: &str) -> Result<Answer> {
    once(world.http(), get(HOST, "/").header("cookie", cookie)).await
}

async fn branch_header_requires_expose_branch(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    let answer = world.get(HOST, "/").await?;
    ensure!(!answer.headers.contains_key("x-switchyard-branch"), "{answer:?}");
    let BlueGreen { world, .. } =
        &BlueGreen::start_with(source, |builder| Ok(builder.flag("--expose-branch"))).await?;
    let answer = world.get(HOST, "/").await?;
    ensure!(
        answer.header("x-switchyard-branch") == "default/blue",
        "{answer:?}"
    );
    Ok(())
}
