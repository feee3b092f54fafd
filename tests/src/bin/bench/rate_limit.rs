//! The cost of a rate limit, and its accuracy.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::time::Duration;
use switchyard_tests::{
    client::{get, once},
    load::{Headers, Load, Outcome, Sample},
    report::Figure,
    twins::Twin,
    world::{Builder, Source},
};
use tokio::time::sleep;

use crate::{
    asked::{ASKED, Asked, PLAIN, root, twin_way},
    compare::{Row, compare},
};

/// The number of client addresses that requests come from, in turns.
const CLIENTS: usize = 256;
/// A burst that is never used up, so that a bucket never fills up again.
const BURST: u32 = 1_000_000;

/// The rate of the limit that is exceeded.
const RATE: u32 = 1_000;
const SATURATED: Duration = Duration::from_secs(10);
const WORKERS: usize = 2;

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let policy =
        json!({"rateLimits": [{"requests": 1, "unit": "second", "burst": BURST, "key": [{"clientIP": {}}]}]});
    let builder = Builder::named(Source::Directory, "bench-rate-limit")?.flag("--xff-trusted-hops=1");
    let objects = root("asked", ASKED, &policy) + &root("plain", PLAIN, &json!({}));
    let mut asked = Asked::with(builder, &objects).await?;
    let twin = local_ratelimit()?;
    let ways = [asked.way(ASKED, clients()), twin_way(&twin, clients())];
    let costs = compare(&mut asked.world, std::slice::from_ref(&twin), &ways).await?;
    for (server, host, header) in [
        (asked.world.http(), ASKED, "ratelimit-limit"),
        (twin.address, PLAIN, "x-ratelimit-limit"),
    ] {
        let answer = once(server, get(host, "/item")).await?;
        ensure!(!answer.header(header).is_empty(), "no limit: {answer:?}");
    }
    let method = costs.method(["the filter", "`local_ratelimit`"])
        + &format!(
            " Of both: a bucket for each of {CLIENTS} addresses, as `x-forwarded-for` of a trusted proxy has them, and headers that say what is left of it. \
             `local_ratelimit` has a descriptor with `remote_address`, and room for all of them."
        );
    let row = Row {
        way: 0,
        other: 1,
        cpu: "Envoy CPU for a request, rate limit by client IP against `local_ratelimit`",
        bar: Some(1.5),
        time: "99 % of answers, rate limit by client IP against `local_ratelimit`",
    };
    Ok(costs.figures(row, &method).into())
}

fn clients() -> Headers {
    let client = |number: usize| {
        vec![(
            "x-forwarded-for",
            format!("10.1.{}.{}", number / 250, number % 250),
        )]
    };
    Headers::new((0..CLIENTS).map(client).collect())
}

fn local_ratelimit() -> Result<Twin> {
    let bucket = json!({"max_tokens": BURST, "tokens_per_fill": 1, "fill_interval": "1s"});
    let all = json!({"default_value": {"numerator": 100, "denominator": "HUNDRED"}});
    Twin::with(
        "limited",
        "envoy.filters.http.local_ratelimit",
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "twin",
            "token_bucket": bucket,
            "filter_enabled": all,
            "filter_enforced": all,
            "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
            "always_consume_default_token_bucket": false,
            "max_dynamic_descriptors": 2 * CLIENTS,
            "rate_limits": [{"actions": [{"remote_address": {}}]}],
            "descriptors": [{"entries": [{"key": "remote_address"}], "token_bucket": bucket}],
        }),
    )
}

/// The deviation of the admitted requests from the limit, under more load than Envoy can serve.
pub(crate) async fn measure_admitted() -> Result<Vec<Figure>> {
    let policy = json!({"rateLimits": [{"requests": RATE, "unit": "second", "key": [{"clientIP": {}}]}]});
    let builder = Builder::named(Source::Directory, "bench-admitted")?;
    let asked = Asked::with_workers(WORKERS, builder, &root("asked", ASKED, &policy)).await?;
    asked.world.served_by(ASKED, "/item", "web").await?;
    let envoy = asked.world.envoys.first().context("an Envoy")?;
    let mut load = Load::new(asked.world.http(), ASKED, "/item");
    load.pause = Duration::ZERO;
    // Waits until the bucket is full.
    sleep(Duration::from_secs(2)).await;
    let cpu = || {
        (0..WORKERS)
            .map(|worker| envoy.worker_cpu(worker))
            .collect::<Result<Vec<_>>>()
    };
    let before = cpu()?;
    let running = load.start().await?;
    sleep(SATURATED).await;
    let samples = running.stop().await.0;
    let used = before
        .iter()
        .zip(cpu()?)
        .map(|(before, after)| (after - *before).as_secs_f64());
    let used: Vec<_> = used.map(|used| format!("{used:.1} s")).collect();
    let status = |status: u16| move |sample: &&Sample| matches!(sample.outcome, Outcome::Answered { status: answered, .. } if answered == status);
    let (admitted, limited) = (
        samples.iter().filter(status(200)).count(),
        samples.iter().filter(status(429)).count(),
    );
    ensure!(
        admitted + limited == samples.len(),
        "other answers than 200 and 429"
    );
    let first = samples
        .iter()
        .map(|sample| sample.sent)
        .min()
        .context("no request")?;
    let last = samples
        .iter()
        .map(|sample| sample.done)
        .max()
        .context("no request")?;
    let allowed = f64::from(RATE) * (1.0 + (last - first).as_secs_f64());
    let method = format!(
        "{WORKERS} workers, 32 connections without a pause for {} s; a limit of {RATE} requests a second for a client, which all of them are of. Admitted: {admitted} \
         of {}; allowed: a bucket of {RATE}, and what flows into it from the first request to the last answer, {allowed:.0}. CPU time of the workers: {}.",
        SATURATED.as_secs(),
        samples.len(),
        used.join(", "),
    );
    let off = (admitted as f64 / allowed - 1.0).abs() * 100.0;
    Ok(vec![Figure::new(
        "Admitted by a rate limit, off what it allows, 2 workers saturated for 10 s",
        off,
        1.0,
        "%",
        method,
    )])
}
