//! What the access log says of a request.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use switchyard_tests::{wait::until, world::Source};

use crate::{
    fixture::{BlueGreen, HOST, ROOT},
    scenarios,
};

scenarios![the_access_log_tells_root_branch_leaf_and_route,];

async fn the_access_log_tells_root_branch_leaf_and_route(source: Source) -> Result<()> {
    let mut log = None;
    let BlueGreen { world, .. } = &BlueGreen::start_with(source, |builder| {
        let path = builder.dir.join("access.log");
        let flag = format!("--access-log={}", path.display());
        log = Some(path);
        Ok(builder.flag(&flag))
    })
    .await?;
    let log = log.context("a log")?;
    world.get(HOST, "/first").await?;
    world.switch(&[ROOT, "green"]).await?;
    world.served_by(HOST, "/second", "green").await?;
    for (path, branch) in [("/first", "default/blue"), ("/second", "default/green")] {
        let entry = until("the log has it", async || {
            let text = fs::read_to_string(&log)?;
            // The first requests for a path may have been answered before the switch was live.
            let line = text
                .lines()
                .rfind(|line| line.contains(path))
                .context("no line yet")?;
            Ok(serde_json::from_str::<Value>(line)?)
        })
        .await?;
        tells(&entry, branch)?;
    }
    Ok(())
}

fn tells(entry: &Value, branch: &str) -> Result<()> {
    ensure!(entry["root"] == ROOT, "{entry}");
    ensure!(entry["branch"] == branch, "{entry}");
    ensure!(entry["leaf"] == "/", "{entry}");
    ensure!(
        entry["route"].as_str().is_some_and(|route| !route.is_empty()),
        "{entry}"
    );
    Ok(())
}
