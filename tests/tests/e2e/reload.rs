//! Edits of the manifests while they are served.

use anyhow::{Result, ensure};
use std::{fs, os::unix::fs::symlink};
use switchyard_tests::{
    echo::Echo,
    load::Load,
    manifests::root,
    wait::until,
    world::{Builder, Source},
};

use crate::{
    fixture::{BlueGreen, HOST, ROOT, branch},
    scenarios, scenarios_of_files,
};

scenarios_of_files![bad_yaml_keeps_the_last_good_state, data_symlink_swap_switches,];

scenarios![
    removed_file_removes_its_routes,
    removed_endpoint_receives_no_requests,
];

async fn bad_yaml_keeps_the_last_good_state(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    let load = Load::new(world.http(), HOST, "/").start().await?;
    world.write("root.yaml", "kind: IngressRoute\nmetadata: {name: [\n")?;
    until("control complains", async || {
        let log = world.control.process.log()?;
        ensure!(log.contains("root.yaml"), "{log}");
        Ok(())
    })
    .await?;
    world.served_by(HOST, "/", "blue").await?;
    world.write("root.yaml", &root("default", "blue-green-root", HOST, "green"))?;
    world.served_by(HOST, "/", "green").await?;
    load.stop().await.all_succeeded()
}

/// The layout of a ConfigMap volume: files are symlinks into `..data`, which is itself a symlink that is swapped by a
/// rename.
async fn data_symlink_swap_switches(source: Source) -> Result<()> {
    let (blue, green) = (Echo::start("blue").await?, Echo::start("green").await?);
    let builder = Builder::new(source)?;
    let dir = builder.control.manifests.clone();
    for (version, delegate) in [("..1", "blue"), ("..2", "green")] {
        fs::create_dir(dir.join(version))?;
        let objects = root("default", "blue-green-root", HOST, delegate)
            + &branch("blue", &blue)
            + &branch("green", &green);
        fs::write(dir.join(version).join("all.yaml"), objects)?;
    }
    symlink("..1", dir.join("..data"))?;
    symlink("..data/all.yaml", dir.join("all.yaml"))?;
    let world = &builder.start().await?;
    world.served_by(HOST, "/", "blue").await?;

    let load = Load::new(world.http(), HOST, "/").start().await?;
    symlink("..2", dir.join("..data_tmp"))?;
    fs::rename(dir.join("..data_tmp"), dir.join("..data"))?;
    world.served_by(HOST, "/", "green").await?;
    load.stop().await.all_succeeded()
}

async fn removed_file_removes_its_routes(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    world.remove("root.yaml")?;
    world.status(HOST, "/", 404).await?;
    world.write("root.yaml", &root("default", "blue-green-root", HOST, "blue"))?;
    world.served_by(HOST, "/", "blue").await?;
    Ok(())
}

async fn removed_endpoint_receives_no_requests(source: Source) -> Result<()> {
    let BlueGreen { world, blue, .. } = &BlueGreen::start(source).await?;
    let third = Echo::start("third").await?;
    let both = switchyard_tests::manifests::leaf("default", "blue", "/", "blue")
        + &switchyard_tests::manifests::service("default", "blue", &[blue.address, third.address]);
    world.write("blue.yaml", &both)?;
    world.served_by(HOST, "/", "third").await?;
    let load = Load::new(world.http(), HOST, "/").start().await?;
    world.write("blue.yaml", &branch("blue", &third))?;
    until("blue's endpoint is gone", async || {
        for _ in 0..20 {
            ensure!(world.get(HOST, "/").await?.backend() == "third");
        }
        Ok(())
    })
    .await?;
    world.switch(&[ROOT, "green"]).await?;
    load.stop().await.all_succeeded()
}
