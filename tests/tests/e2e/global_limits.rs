//! Limits that envoyproxy/ratelimit counts in a real Redis, for all proxies together.

mod answers;
mod delegation;
mod failing;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use switchyard_tests::{
    client::{Answer, Connection, get},
    echo::Echo,
    manifests::service,
    ratelimit::RateLimit,
    tokens::Issuer,
    world::{Builder, Source, World},
};

use crate::{
    fixture::{HOSTS, on_both},
    scenarios,
};

scenarios![service_limits_apply_per_descriptor, two_proxies_share_a_count,];

/// The service's configuration. Counts are per year, because a minute could end during a test. All but `everyone` are
/// per host.
const CONFIG: &str = "
domain: shop
descriptors:
- key: everyone
  rate_limit: {unit: year, requests_per_unit: 60}
- key: host
  descriptors:
  - {key: tenant, rate_limit: {unit: year, requests_per_unit: 4}}
  - {key: tenant, value: gold, rate_limit: {unit: year, requests_per_unit: 7}}
  - {key: session, rate_limit: {unit: year, requests_per_unit: 2}}
  - {key: address, rate_limit: {unit: year, requests_per_unit: 3}}
  - key: path
    descriptors:
    - {key: method, rate_limit: {unit: year, requests_per_unit: 5}}
";
/// A timeout that the service never exceeds, so that no answer is replaced.
const PATIENT: &str = "20s";
/// The longest time until a count resets, in seconds.
const YEAR: u64 = 366 * 24 * 60 * 60;

/// Two hosts that route to `web` with limits of the service: one with plain routes, one below a switch.
struct Shop {
    world: World,
    limits: RateLimit,
    web: Echo,
}

/// Bearer tokens of an issuer, with various tenants.
struct Tokens {
    issuer: Issuer,
    of_c: String,
    of_d: String,
    of_nobody: String,
}

/// Requests that share a count.
struct Case<'a> {
    path: &'a str,
    headers: &'a [(&'a str, &'a str)],
    /// The client's address.
    from: [u8; 4],
    /// The configured limit, and the number of requests left. None if the requests are unlimited.
    limit: Option<(u32, u32)>,
}

// === impl Shop ===

impl Shop {
    async fn start(source: Source, routes: &Value) -> Result<Self> {
        Self::build(Builder::new(source)?, routes, &[]).await
    }

    /// Starts with additional environment variables of the service.
    async fn build(
        builder: Builder,
        routes: &Value,
        variables: &[(&'static str, &'static str)],
    ) -> Result<Self> {
        let limits = RateLimit::start(&builder.dir.join("ratelimit"), CONFIG, variables).await?;
        let web = Echo::start("web").await?;
        let builder = builder
            .manifest("routes.yaml", &on_both(routes))?
            .manifest("web.yaml", &service("default", "web", &[web.address]))?
            .manifest("limits.yaml", &service("default", "limits", &[limits.address()]))?;
        let world = builder.start().await?;
        Ok(Self { world, limits, web })
    }

    async fn get(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        get_from([127, 0, 0, 1], &self.world, host, path, headers).await
    }

    async fn statuses(&self, host: &str, path: &str, requests: usize) -> Result<Vec<u16>> {
        let mut statuses = Vec::new();
        for _ in 0..requests {
            statuses.push(self.get(host, path, &[]).await?.status);
        }
        Ok(statuses)
    }
}

/// Sends a GET request from this loopback address, on a new connection. It repeats its host in `x-host`, because limits
/// do not see the authority, which has many spellings.
async fn get_from(
    from: [u8; 4],
    world: &World,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Answer> {
    let request = get(host, path).header("x-host", host);
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    let mut client = Connection::open_from(from.into(), world.http()).await?;
    client.send(request).await
}

/// A route to `web` with these limits.
fn route(path: &str, limits: &[Value]) -> Value {
    json!({
        "match": path,
        "rateLimits": limits,
        "services": [{"name": "web", "port": 80}],
    })
}

// === impl Tokens ===

impl Tokens {
    fn new() -> Result<Self> {
        let issuer = Issuer::new("ES256")?;
        let bearer = |claims: Value| anyhow::Ok(format!("Bearer {}", issuer.token(&claims)?));
        Ok(Self {
            of_c: bearer(json!({"sub": "ann", "tenant": "c"}))?,
            of_d: bearer(json!({"sub": "ann", "tenant": "d"}))?,
            of_nobody: bearer(json!({"sub": "ann"}))?,
            issuer,
        })
    }

    /// A route with a limit by the tenant in the token.
    fn route(&self) -> Result<Value> {
        let tenant = json!({"key": "tenant", "from": {"claim": "tenant"}});
        let set = json!({"keys": [self.issuer.jwk()?]}).to_string();
        let mut route = route("/claim", &[by_host(&[tenant])]);
        route["auth"] = json!([{"jwt": {"jwks": {"inline": set}}}]);
        Ok(route)
    }

    /// Checks that the token's tenant is counted, whatever the header says.
    async fn hold(&self, shop: &Shop, host: &str) -> Result<()> {
        let cases = [
            (&self.of_c, "c", Some((4, 4))),
            (&self.of_d, "c", Some((4, 4))),
            (&self.of_c, "e", Some((4, 0))),
            // The claim is missing, so no descriptor is sent.
            (&self.of_nobody, "c", None),
        ];
        for (token, says, limit) in cases {
            let case = Case {
                path: "/claim",
                headers: &[("authorization", token), ("x-tenant", says)],
                from: [127, 0, 0, 1],
                limit,
            };
            case.holds(shop, host).await?;
        }
        Ok(())
    }
}

/// A limit with one descriptor, counted by the service.
fn global(entries: &Value) -> Value {
    let service = json!({"name": "limits", "port": 80});
    let descriptors = json!([{"entries": entries}]);
    json!({"global": {"service": service, "domain": "shop", "descriptors": descriptors, "timeout": PATIENT}})
}

/// The same, counted per host.
fn by_host(entries: &[Value]) -> Value {
    let host = json!({"key": "host", "from": {"header": "x-host"}});
    global(&[&[host], entries].concat().into())
}

// === impl Case ===

impl Case<'_> {
    /// Checks that exactly the remaining requests are admitted.
    async fn holds(&self, shop: &Shop, host: &str) -> Result<()> {
        let (limit, left) = self.limit.unzip();
        for number in 1..=left.unwrap_or(9) + 3 {
            let answer = self.ask(shop, host).await?;
            let status = if left.is_none_or(|left| number <= left) {
                200
            } else {
                429
            };
            let remaining = left.map(|left| left.saturating_sub(number));
            let told = |number: Option<u32>| number.map_or_else(String::new, |number| number.to_string());
            let [is_limit, is_remaining] =
                ["limit", "remaining"].map(|name| answer.header(&format!("ratelimit-{name}")));
            ensure!(
                (answer.status, is_limit, is_remaining) == (status, &*told(limit), &*told(remaining)),
                "{host}{} {:?}, {number}: {answer:?}",
                self.path,
                self.headers
            );
        }
        Ok(())
    }

    async fn ask(&self, shop: &Shop, host: &str) -> Result<Answer> {
        get_from(self.from, &shop.world, host, self.path, self.headers).await
    }
}

async fn service_limits_apply_per_descriptor(source: Source) -> Result<()> {
    let part = |key: &str, from: Value| json!({"key": key, "from": from});
    let tenant = part("tenant", json!({"header": "x-tenant"}));
    let tokens = Tokens::new()?;
    let routes = json!([
        route("/tenant", &[by_host(&[tenant])]),
        route("/gold", &[by_host(&[json!({"key": "tenant", "value": "gold"})])]),
        route(
            "/session",
            &[by_host(&[part("session", json!({"cookie": "session"}))])]
        ),
        route(
            "/address",
            &[by_host(&[part("address", json!({"clientIP": {}}))])]
        ),
        route(
            "/path",
            &[by_host(&[
                part("path", json!({"path": {}})),
                part("method", json!({"method": {}}))
            ])]
        ),
        tokens.route()?,
        route(
            "/unlisted",
            &[by_host(&[json!({"key": "nobody", "value": "knows"})])]
        ),
    ]);
    let shop = Shop::start(source, &routes).await?;
    let here = [127, 0, 0, 1];
    let case = |path, headers, limit| Case {
        path,
        headers,
        from: here,
        limit,
    };
    let cases = [
        case("/tenant", &[("x-tenant", "a")][..], Some((4, 4))),
        case("/tenant", &[("x-tenant", "b")], Some((4, 4))),
        // The service has another limit for this value, here and on the route that sets it.
        case("/tenant", &[("x-tenant", "gold")], Some((7, 7))),
        case("/gold", &[("x-tenant", "a")], Some((7, 0))),
        // The header is missing, so no descriptor is sent.
        case("/tenant", &[], None),
        case("/session", &[("cookie", "a=b; session=1")], Some((2, 2))),
        case("/session", &[("cookie", "session=2")], Some((2, 2))),
        case("/path/a", &[], Some((5, 5))),
        case("/path/b?c=d", &[], Some((5, 5))),
        case("/path/b?c=e", &[], Some((5, 0))),
        case("/address", &[("x-forwarded-for", "192.0.2.1")], Some((3, 3))),
        case("/address", &[("x-forwarded-for", "192.0.2.2")], Some((3, 0))),
        case("/unlisted", &[], None),
    ];
    let elsewhere = Case {
        from: [127, 0, 0, 2],
        ..case("/address", &[], Some((3, 3)))
    };
    for host in HOSTS {
        for case in cases.iter().chain([&elsewhere]) {
            case.holds(&shop, host).await?;
        }
        tokens.hold(&shop, host).await?;
    }
    Ok(())
}

/// Each request has a new connection, which the kernel distributes among the proxies.
async fn two_proxies_share_a_count(source: Source) -> Result<()> {
    let everyone = json!([{"key": "everyone", "value": "yes"}]);
    let routes = json!([route("/", &[global(&everyone)])]);
    let shop = Shop::build(Builder::new(source)?.envoys(2), &routes, &[]).await?;
    let mut statuses = Vec::new();
    for _ in 0..10 {
        let requests = (0..12).map(|number| shop.get(HOSTS[number % 2], "/", &[]));
        let answers = try_join_all(requests).await?;
        statuses.extend(answers.into_iter().map(|answer| answer.status));
    }
    let admitted = statuses.iter().filter(|status| **status == 200).count();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    ensure!((admitted, refused) == (60, 60), "{statuses:?}");
    ensure!(shop.web.requests() == 60);
    for envoy in &shop.world.envoys {
        let refused = envoy.policy_count("default/plain_route_/", "limited").await?;
        ensure!(refused > 0, "{}", envoy.admin("/stats?filter=policy").await?);
    }
    Ok(())
}

/// The first proxy's count of a policy's results.
async fn counted(shop: &Shop, source: &str, what: &str) -> Result<u64> {
    let envoy = shop.world.envoys.first().context("an Envoy")?;
    envoy.policy_count(source, what).await
}
