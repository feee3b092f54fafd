//! The cost of tokens: those in a worker's cache, and new ones.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use switchyard_tests::{
    client::{Connection, get},
    envoy::Envoy,
    load::Headers,
    report::{Figure, median, quantile},
    tokens::{ALGORITHMS, Issuer},
    twins::Twin,
};
use tokio::time::sleep;

use crate::{
    asked::{ASKED, Asked, PLAIN, is_refused, twin_way},
    awake::Awake,
    compare::{Row, compare},
};

const ISSUER: &str = "https://login.example.com/";
const AUDIENCE: &str = "orders";
/// The number of users whose tokens are reused.
const USERS: usize = 8;
/// A number of tokens that exceeds every worker's cache: the filter's holds 2 MiB, `jwt_authn`'s [`CACHED`] tokens.
const STRANGERS: usize = 5_000;
const REMEMBERED: usize = 2 * 1024 * 1024;
/// The default cache size of `jwt_authn`.
const CACHED: usize = 100;

/// The number of tokens of each algorithm for the longest stall.
const SINGLE: usize = 60;
/// The wait after an answer, long enough for a worker to finish with it.
const SETTLE: Duration = Duration::from_millis(20);

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let issuer = Issuer::new("RS256")?;
    let mut asked = start("bench-token", &[(ASKED, &issuer)]).await?;
    let twins = [
        jwt_authn("cached", &issuer, true)?,
        jwt_authn("uncached", &issuer, false)?,
    ];
    let seen = tokens(&issuer, USERS)?;
    let [cached, uncached] = twins.each_ref().map(|twin| twin_way(twin, seen.clone()));
    let ways = [asked.way(ASKED, seen.clone()), cached, uncached];
    let costs = compare(&mut asked.world, &twins, &ways).await?;
    refuse(&asked, &twins).await?;
    let names = [
        "the filter",
        "`jwt_authn` with its cache",
        "`jwt_authn` without one",
    ];
    let method = costs.method(names)
        + &format!(
            " Tokens of {USERS} users, in turns, signed by RS256 with 2048 bits. What is told the upstream: by the filter the subject and how it was found out, \
             by `jwt_authn` the subject. Its cache (`jwt_cache_config`) has the default size, {CACHED}; it is off if nobody asks for it, and the bar is held against it."
        );
    let row = |other, cpu, bar, time| Row {
        way: 0,
        other,
        cpu,
        bar,
        time,
    };
    let cached = row(
        1,
        "Envoy CPU for a request, RS256 token seen before against `jwt_authn` with its cache",
        Some(1.3),
        "99 % of answers, RS256 token seen before against `jwt_authn` with its cache",
    );
    let uncached = row(
        2,
        "Envoy CPU for a request, RS256 token seen before against `jwt_authn` without a cache",
        None,
        "99 % of answers, RS256 token seen before against `jwt_authn` without a cache",
    );
    Ok([cached, uncached]
        .iter()
        .flat_map(|row| costs.figures(*row, &method))
        .collect())
}

pub(crate) async fn measure_new() -> Result<Vec<Figure>> {
    let issuer = Issuer::new("RS256")?;
    let mut asked = start("bench-new-token", &[(ASKED, &issuer)]).await?;
    let twin = jwt_authn("cached", &issuer, true)?;
    let ways = [
        asked.way(ASKED, tokens(&issuer, STRANGERS)?),
        twin_way(&twin, tokens(&issuer, STRANGERS)?),
    ];
    let costs = compare(&mut asked.world, std::slice::from_ref(&twin), &ways).await?;
    refuse(&asked, std::slice::from_ref(&twin)).await?;
    let method = costs.method(["the filter", "`jwt_authn` with its cache"])
        + &format!(" {STRANGERS} tokens, in turns: more than either remembers, so that each is verified.");
    let row = Row {
        way: 0,
        other: 1,
        cpu: "Envoy CPU for a request, RS256 token never seen against `jwt_authn`",
        bar: None,
        time: "99 % of answers, RS256 token never seen against `jwt_authn`",
    };
    Ok(costs.figures(row, &method).into())
}

/// Measures the time for which a worker that verifies a new token cannot serve other requests.
pub(crate) async fn measure_stall() -> Result<Vec<Figure>> {
    let issuers = ALGORITHMS.iter().map(|algorithm| Issuer::new(algorithm));
    let issuers = issuers.collect::<Result<Vec<_>>>()?;
    let hosts: Vec<_> = ALGORITHMS
        .iter()
        .map(|algorithm| format!("{}.bar.com", algorithm.to_ascii_lowercase()))
        .collect();
    let pairs: Vec<_> = hosts.iter().map(String::as_str).zip(&issuers).collect();
    let asked = start("bench-token-stall", &pairs).await?;
    let envoy = asked.world.envoys.first().context("an Envoy")?;
    let mut connection = Connection::open(asked.world.http()).await?;
    let _awake = Awake::start()?;
    let idle = windows(envoy, async |_| Ok(())).await?;
    let mut told = Vec::new();
    let mut of_rs256 = 0.0;
    for ((host, issuer), algorithm) in pairs.iter().zip(ALGORITHMS) {
        let used = windows(envoy, async |number| {
            let request = get(host, "/item").header("authorization", bearer(issuer, number)?);
            let answer = connection.send(request).await?;
            ensure!(answer.status == 200, "{answer:?}");
            Ok(())
        })
        .await?;
        let most = (quantile(&used, 1.0) - median(&idle)).max(0.0);
        told.push(format!("{algorithm} {most:.2} ms (median {:.2})", median(&used)));
        if algorithm == "RS256" {
            of_rs256 = most;
        }
    }
    let method = format!(
        "One worker, otherwise idle, on CPUs that a thread of the lowest priority keeps from going idle; {SINGLE} requests, one after the other, each with another token. The value is the \
         most CPU time that the worker thread (`schedstat`) used for one of them, from before it was sent until {} ms after its answer: all that it did for that request, less the median \
         of as many idle windows, {:.3} ms; so no stall was longer. Each algorithm: {}.",
        SETTLE.as_millis(),
        median(&idle),
        told.join(", "),
    );
    Ok(vec![Figure::new(
        "Longest stall of a worker by an RS256 token never seen",
        of_rs256,
        2.0,
        "ms",
        method,
    )])
}

/// The worker's CPU time for each of several runs of `work`, in milliseconds.
async fn windows(envoy: &Envoy, mut work: impl AsyncFnMut(usize) -> Result<()>) -> Result<Vec<f64>> {
    let mut cpu = Vec::new();
    // The first run opens connections and decodes sections.
    for number in 0..=SINGLE {
        let before = envoy.worker_cpu(0)?;
        work(number).await?;
        sleep(SETTLE).await;
        cpu.push((envoy.worker_cpu(0)? - before).as_secs_f64() * 1e3);
    }
    Ok(cpu.split_off(1))
}

async fn start(name: &str, hosts: &[(&str, &Issuer)]) -> Result<Asked> {
    let policies = hosts.iter().map(|(host, issuer)| Ok((*host, policy(issuer)?)));
    Asked::start(name, &policies.collect::<Result<Vec<_>>>()?, "").await
}

fn policy(issuer: &Issuer) -> Result<Value> {
    let jwks = jwks(issuer)?.to_string();
    let jwt = json!({"issuer": ISSUER, "audiences": [AUDIENCE], "jwks": {"inline": jwks}});
    Ok(json!({"auth": [{"jwt": jwt}]}))
}

fn jwks(issuer: &Issuer) -> Result<Value> {
    Ok(json!({"keys": [issuer.jwk()?]}))
}

async fn refuse(asked: &Asked, twins: &[Twin]) -> Result<()> {
    is_refused(asked.world.http(), ASKED, 401).await?;
    for twin in twins {
        is_refused(twin.address, PLAIN, 401).await?;
    }
    Ok(())
}

/// `count` different tokens, as headers.
fn tokens(issuer: &Issuer, count: usize) -> Result<Headers> {
    let set = |number| Ok(vec![("authorization", bearer(issuer, number)?)]);
    Ok(Headers::new((0..count).map(set).collect::<Result<_>>()?))
}

/// A typical identity provider's token, with about 300 bytes of claims.
fn bearer(issuer: &Issuer, number: usize) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "iss": ISSUER,
        "aud": [AUDIENCE, "https://login.example.com/userinfo"],
        "sub": format!("auth|{number:024}"),
        "azp": "Zk3PqX8mVn2LwRt5",
        "scope": "openid profile email orders:read orders:write",
        "tenant": "example",
        "iat": now,
        "exp": now + 3600,
    });
    let len = claims.to_string().len();
    ensure!(
        (len + 256) * STRANGERS > REMEMBERED,
        "{len} bytes: the filter remembers all tokens"
    );
    Ok(format!("Bearer {}", issuer.token(&claims)?))
}

fn jwt_authn(name: &'static str, issuer: &Issuer, is_cached: bool) -> Result<Twin> {
    let mut provider = json!({
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": jwks(issuer)?.to_string()},
        "forward": true,
        "claim_to_headers": [{"header_name": "x-user", "claim_name": "sub"}],
    });
    if is_cached {
        provider["jwt_cache_config"] = json!({"jwt_cache_size": CACHED});
    }
    Twin::with(
        name,
        "envoy.filters.http.jwt_authn",
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"login": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "login"}}],
        }),
    )
}
