//! The branches of the book and the examples, switched by editing one word, by `kubectl patch`, and by `switchyard
//! switch`.

use anyhow::{Context, Result, ensure};
use std::{collections::BTreeMap, fs};
use switchyard_tests::{
    client::{Connection, get, once},
    echo::Echo,
    load::Load,
    manifests::service,
    paths,
    wait::until,
    world::{Builder, Source, World},
};

use crate::scenarios;

scenarios![
    one_word_edit_switches_without_failed_requests,
    book_branches_lead_only_to_green_after_an_edit,
    book_branches_lead_only_to_green_after_a_switch,
    implicit_preview_keeps_its_branch_after_a_switch,
];

const EXAMPLE: &str = "deploy/examples/blue-green.yaml";
const EXAMPLE_HOST: &str = "blue-green.example.com";
const BOOK_HOST: &str = "shop.example.com";
const REQUESTS: usize = 2000;

/// A world and the backends of its branches.
struct Branches {
    world: World,
    _backends: [Echo; 2],
}

/// Starts with the Services `blue` and `green` in a namespace, in addition to the manifest.
async fn start(source: Source, namespace: &str, manifest: &str) -> Result<Branches> {
    let backends = [Echo::start("blue").await?, Echo::start("green").await?];
    let mut builder = Builder::new(source)?.manifest("routes.yaml", manifest)?;
    for backend in &backends {
        let file = format!("{}-service.yaml", backend.name);
        builder = builder.manifest(&file, &service(namespace, &backend.name, &[backend.address]))?;
    }
    Ok(Branches {
        world: builder.start().await?,
        _backends: backends,
    })
}

fn file(path: &str) -> Result<String> {
    Ok(fs::read_to_string(paths::repository().join(path))?)
}

/// The example without its Services and Deployments, because the test has its own backends.
fn example() -> Result<String> {
    let text = file(EXAMPLE)?;
    let is_kept =
        |document: &&str| document.contains("kind: IngressRoute") || document.contains("kind: Namespace");
    let documents: Vec<_> = text.split("---\n").filter(is_kept).collect();
    Ok(documents.join("---\n"))
}

/// The first manifest of `docs/branches.md`.
fn book() -> Result<String> {
    let page = file("docs/branches.md")?;
    let (_, manifest) = page.split_once("\n```yaml\n").context("a manifest")?;
    let (manifest, _) = manifest.split_once("\n```").context("its end")?;
    Ok(format!("{manifest}\n"))
}

/// Replaces the active branch in a manifest.
fn edited(manifest: &str, from: &str, to: &str) -> Result<String> {
    let name = format!("name: {from}");
    let (before, after) = manifest
        .split_once(&format!("delegate:\n      {name}"))
        .context("the delegate")?;
    Ok(format!("{before}delegate:\n      name: {to}{after}"))
}

/// Runs `switchyard check`, which must find nothing, not even a warning or an orphan.
async fn is_clean(world: &World) -> Result<()> {
    let outcome = world.ask("check", &[]).await?.succeeded()?;
    let summary = outcome.stdout.lines().last().unwrap_or_default();
    ensure!(
        summary.starts_with("0 errors in ") && summary.contains(" 0 orphaned"),
        "{outcome:?}"
    );
    ensure!(outcome.stdout.lines().count() == 1, "{outcome:?}");
    Ok(())
}

async fn one_word_edit_switches_without_failed_requests(source: Source) -> Result<()> {
    let manifest = example()?;
    let Branches { world, .. } = &start(source, "blue-green", &manifest).await?;
    world.served_by(EXAMPLE_HOST, "/", "blue").await?;
    is_clean(world).await?;
    let load = Load::new(world.http(), EXAMPLE_HOST, "/").start().await?;
    for active in ["green", "blue", "green"] {
        world.write("routes.yaml", &edited(&manifest, "blue", active)?)?;
        world.served_by(EXAMPLE_HOST, "/", active).await?;
        is_clean(world).await?;
    }
    load.stop().await.all_succeeded()
}

/// The number of answers by branch.
async fn answers(world: &World) -> Result<BTreeMap<String, usize>> {
    let mut connection = Connection::open(world.http()).await?;
    let mut counts = BTreeMap::new();
    for _ in 0..REQUESTS {
        let answer = connection.send(get(BOOK_HOST, "/")).await?;
        ensure!(answer.status == 200, "{answer:?}");
        *counts.entry(answer.backend().to_owned()).or_default() += 1;
    }
    Ok(counts)
}

async fn preview(world: &World, want: &str) -> Result<()> {
    for _ in 0..20 {
        let answer = once(world.http(), get(BOOK_HOST, "/").header("x-preview", "green")).await?;
        ensure!(answer.backend() == want, "{answer:?}");
    }
    Ok(())
}

/// Checks that, with blue active, green is previewed and gets 10 % of the requests.
async fn leads_to_green(world: &World) -> Result<()> {
    preview(world, "green").await?;
    let counts = answers(world).await?;
    // The bounds are seven standard deviations from 200.
    let green = counts.get("green").copied().unwrap_or_default();
    ensure!((106..=294).contains(&green), "{counts:?}");
    Ok(())
}

/// Checks that, with green active, nothing is routed to blue.
async fn leads_nowhere_else(world: &World) -> Result<()> {
    preview(world, "green").await?;
    let counts = answers(world).await?;
    ensure!(counts.get("green") == Some(&REQUESTS), "{counts:?}");
    is_clean(world).await
}

/// Waits until most new sessions go to a branch; with a canary, not all do.
async fn is_active(world: &World, branch: &str) -> Result<()> {
    until(&format!("{branch} is active"), async || {
        for _ in 0..10 {
            if world.get(BOOK_HOST, "/").await?.backend() == branch {
                return Ok(());
            }
        }
        anyhow::bail!("not yet")
    })
    .await
}

async fn book_branches_lead_only_to_green_after_an_edit(source: Source) -> Result<()> {
    let manifest = book()?;
    let Branches { world, .. } = &start(source, "default", &manifest).await?;
    is_active(world, "blue").await?;
    leads_to_green(world).await?;
    let session = session(world, "blue").await?;
    let listed_twice = manifest.replace("standby: [blue, green]", "standby: [blue, green, blue]");
    let without_blue = manifest
        .replace("standby: [blue, green]", "standby: [green]")
        .replace(", branch: green", "");
    for text in [&manifest, &listed_twice] {
        world.write("routes.yaml", &edited(text, "blue", "green")?)?;
        until("green is active everywhere", async || {
            leads_nowhere_else(world).await
        })
        .await?;
        // Blue is still among the branches.
        let answer = once(world.http(), get(BOOK_HOST, "/").header("cookie", &session)).await?;
        ensure!(answer.backend() == "blue", "{answer:?}");
        world.write("routes.yaml", text)?;
        until("blue is active everywhere", async || leads_to_green(world).await).await?;
    }
    // Blue is no longer listed, which does not change its IngressRoute and is valid.
    world.write("routes.yaml", &edited(&without_blue, "blue", "green")?)?;
    until("green is active everywhere", async || {
        preview(world, "green").await?;
        let counts = answers(world).await?;
        ensure!(counts.get("green") == Some(&REQUESTS), "{counts:?}");
        let outcome = world.ask("check", &[]).await?.succeeded()?;
        ensure!(outcome.stdout.starts_with("0 errors"), "{outcome:?}");
        Ok(())
    })
    .await
}

/// The cookie of a new session on a branch.
async fn session(world: &World, branch: &str) -> Result<String> {
    until(&format!("a session on {branch}"), async || {
        let answer = world.get(BOOK_HOST, "/").await?;
        ensure!(answer.backend() == branch, "{answer:?}");
        let cookies = answer.all("set-cookie");
        let cookie = cookies.iter().find(|cookie| cookie.starts_with("shop-branch="));
        let cookie = cookie.context("no cookie")?;
        Ok(cookie.split(';').next().unwrap_or_default().to_owned())
    })
    .await
}

async fn book_branches_lead_only_to_green_after_a_switch(source: Source) -> Result<()> {
    let Branches { world, .. } = &start(source, "default", &book()?).await?;
    is_active(world, "blue").await?;
    let outcome = world.switch(&["default/shop", "green"]).await?;
    let ended = "the canary of 10 % to green has ended: canary.percent is now 0";
    ensure!(outcome.stdout.contains(ended), "{outcome:?}");
    until("green is active everywhere", async || {
        leads_nowhere_else(world).await
    })
    .await?;
    let outcome = world.switch(&["default/shop", "--undo"]).await?;
    let stays = "the canary is not restarted: canary.percent is 0";
    ensure!(outcome.stdout.contains(stays), "{outcome:?}");
    until("blue is active everywhere", async || {
        preview(world, "green").await?;
        let counts = answers(world).await?;
        ensure!(counts.get("blue") == Some(&REQUESTS), "{counts:?}");
        is_clean(world).await
    })
    .await
}

async fn implicit_preview_keeps_its_branch_after_a_switch(source: Source) -> Result<()> {
    let manifest = book()?
        .replace("standby: [blue, green]", "standby: [green]")
        .replace(", branch: green", "");
    let Branches { world, .. } = &start(source, "default", &manifest).await?;
    is_active(world, "blue").await?;
    leads_to_green(world).await?;
    world.switch(&["default/shop", "green"]).await?;
    until("green is active everywhere", async || {
        leads_nowhere_else(world).await
    })
    .await?;
    // From now on, each further switch is an edit of one word.
    world.switch(&["default/shop", "blue"]).await?;
    until("blue is active everywhere", async || {
        preview(world, "green").await?;
        let counts = answers(world).await?;
        ensure!(counts.get("blue") == Some(&REQUESTS), "{counts:?}");
        is_clean(world).await
    })
    .await
}
