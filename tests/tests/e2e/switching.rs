//! Switches: no request fails, and the branch is live when the command returns.

use anyhow::{Result, ensure};
use std::time::Duration;
use switchyard_tests::{
    client::{Connection, get},
    echo::Echo,
    load::{Load, Sample, Samples},
    manifests::{leaf, service},
    wait::until,
    world::Source,
};
use tokio::time::{Instant, sleep};

use crate::{
    fixture::{BlueGreen, HOST, ROOT, branch},
    scenarios,
};

scenarios![
    switches_fail_no_request_and_are_live_on_return,
    open_request_finishes_on_its_branch,
    switch_and_switch_back_are_both_live,
    switch_back_applies_while_an_old_request_is_open,
    changed_standby_is_served_after_a_switch,
    undo_restores_the_previous_branch,
    branch_without_ready_endpoints_needs_force,
];

const TOGGLES: usize = 200;
/// The time after the return of `switch` in which the old branch may still answer new requests.
const GRACE: Duration = Duration::from_millis(250);

/// A run of `switchyard switch`.
struct Toggle {
    begun: Instant,
    returned: Instant,
    branch: &'static str,
}

async fn switches_fail_no_request_and_are_live_on_return(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    let load = Load::new(world.http(), HOST, "/").start().await?;
    let mut toggles = Vec::new();
    for (number, branch) in ["green", "blue"].into_iter().cycle().take(TOGGLES).enumerate() {
        let begun = Instant::now();
        world.switch(&[ROOT, branch]).await?;
        toggles.push(Toggle {
            begun,
            returned: Instant::now(),
            branch,
        });
        // Most toggles follow immediately; after every fifth, the grace period passes and the answers are checked.
        if number % 5 == 0 {
            sleep(GRACE + Duration::from_millis(50)).await;
        }
    }
    let samples = load.stop().await;
    samples.all_succeeded()?;
    judged(&samples, &toggles)
}

/// Checks that no request sent after a toggle's grace period, and answered before the next toggle, is answered by the
/// old branch.
fn judged(samples: &Samples, toggles: &[Toggle]) -> Result<()> {
    let late: Vec<_> = samples
        .0
        .iter()
        .filter(|sample| is_late(sample, toggles))
        .collect();
    let settled = samples
        .0
        .iter()
        .filter(|sample| settled(sample, toggles).is_some())
        .count();
    ensure!(
        settled > TOGGLES,
        "only {settled} of {} requests fell where the branch is certain",
        samples.0.len()
    );
    ensure!(
        late.is_empty(),
        "{} answers from the old branch, the first: {:?}",
        late.len(),
        late.first()
    );
    Ok(())
}

fn is_late(sample: &Sample, toggles: &[Toggle]) -> bool {
    settled(sample, toggles).is_some_and(|branch| sample.outcome.backend() != branch)
}

/// The only branch that may answer, if it is certain.
fn settled(sample: &Sample, toggles: &[Toggle]) -> Option<&'static str> {
    let past = toggles.partition_point(|toggle| toggle.begun <= sample.done);
    let last = toggles.get(past.checked_sub(1)?)?;
    (last.returned + GRACE < sample.sent).then_some(last.branch)
}

async fn open_request_finishes_on_its_branch(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    let mut slow = Connection::open(world.http()).await?;
    let asked = get(HOST, "/").header("echo-delay-ms", "1500");
    let answer = tokio::spawn(async move { slow.send(asked).await });
    sleep(Duration::from_millis(300)).await; // long enough to reach the backend, far too short for the answer
    world.switch(&[ROOT, "green"]).await?;
    world.served_by(HOST, "/", "green").await?;
    ensure!(!answer.is_finished(), "the answer came before the switch");
    let answer = answer.await??;
    ensure!(answer.status == 200 && answer.backend() == "blue", "{answer:?}");
    Ok(())
}

async fn switch_and_switch_back_are_both_live(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    let mut connection = Connection::open(world.http()).await?;
    for branch in ["green", "blue", "green", "blue"] {
        world.switch(&[ROOT, branch]).await?;
        world.served_by(HOST, "/", branch).await?;
        let answer = connection.send(get(HOST, "/")).await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    Ok(())
}

/// While a stream of a replaced configuration exists, Envoy keeps both, and reuses the old one without notifying the
/// filter.
async fn switch_back_applies_while_an_old_request_is_open(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    for branch in ["green", "blue"] {
        world.switch(&[ROOT, branch]).await?;
        world.served_by(HOST, "/", branch).await?;
    }
    let mut slow = Connection::open(world.http()).await?;
    let asked = get(HOST, "/").header("echo-delay-ms", "5000");
    let answer = tokio::spawn(async move { slow.send(asked).await });
    sleep(Duration::from_millis(300)).await; // long enough to reach the backend, far too short for the answer
    for branch in ["green", "blue"] {
        world.switch(&[ROOT, branch]).await?;
        sleep(GRACE).await;
        // Both of Envoy's workers get some of the connections.
        for _ in 0..32 {
            let answer = world.get(HOST, "/").await?;
            ensure!(answer.backend() == branch, "{answer:?}");
        }
    }
    ensure!(!answer.is_finished(), "the answer came before the switch back");
    let answer = answer.await??;
    ensure!(answer.status == 200 && answer.backend() == "blue", "{answer:?}");
    Ok(())
}

async fn changed_standby_is_served_after_a_switch(source: Source) -> Result<()> {
    let BlueGreen { world, blue, .. } = &BlueGreen::start(source).await?;
    let third = Echo::start("third").await?;
    world.write("green.yaml", &branch("green", &third))?;
    world.switch(&[ROOT, "green"]).await?;
    world.served_by(HOST, "/", "third").await?;
    world.switch(&[ROOT, "blue"]).await?;
    world.served_by(HOST, "/", &blue.name).await?;
    Ok(())
}

async fn undo_restores_the_previous_branch(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    world.switch(&[ROOT, "green"]).await?;
    world.served_by(HOST, "/", "green").await?;
    for branch in ["blue", "green"] {
        world.switch(&[ROOT, "--undo"]).await?;
        world.served_by(HOST, "/", branch).await?;
    }
    Ok(())
}

async fn branch_without_ready_endpoints_needs_force(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    let idle = leaf("default", "idle", "/", "idle") + &service("default", "idle", &[]);
    world.write("idle.yaml", &idle)?;
    let refusal = "no ready endpoints of default/idle";
    until("control knows the branch", async || {
        let outcome = world.try_switch(&[ROOT, "idle"]).await?;
        ensure!(outcome.code == Some(1), "{outcome:?}");
        ensure!(outcome.text().contains(refusal), "{outcome:?}");
        Ok(())
    })
    .await?;
    world.served_by(HOST, "/", "blue").await?;
    world.switch(&[ROOT, "idle", "--force"]).await?;
    world.status(HOST, "/", 503).await?;
    Ok(())
}
