//! Limits that envoyproxy/ratelimit counts, in a real Redis, for all proxies together.

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

scenarios![
    as_many_are_admitted_as_the_service_says_of_each_descriptor,
    two_proxies_share_a_count,
];

/// No test lives through the end of a year's count, as of a minute's. All but `everyone` is counted for each host.
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
/// Longer than the service takes on any machine: nothing is answered in its place.
const PATIENT: &str = "20s";
/// What is left of a year at most, in seconds.
const YEAR: u64 = 366 * 24 * 60 * 60;

/// Two hosts that serve `web` and ask the service: one by plain routes, one below a switch.
struct Shop {
    world: World,
    limits: RateLimit,
    web: Echo,
}

/// Bearers of an issuer, each of one of its tenants.
struct Tokens {
    issuer: Issuer,
    of_c: String,
    of_d: String,
    of_nobody: String,
}

/// Requests that have a count of their own.
struct Case<'a> {
    path: &'a str,
    headers: &'a [(&'a str, &'a str)],
    /// Where the client is.
    from: [u8; 4],
    /// What the service's configuration says, and what is left of it. None: as many pass as come.
    limit: Option<(u32, u32)>,
}

// === impl Shop ===

impl Shop {
    async fn start(source: Source, routes: &Value) -> Result<Self> {
        Self::build(Builder::new(source)?, routes, &[]).await
    }

    /// With more in the service's environment.
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

/// A GET by a client at that address of loopback, on a connection of its own. It says its host once more: limits do not go
/// by what a host can be spelt in many ways.
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

/// A route to `web` that asks for this.
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

    /// Counts by the tenant that the token names.
    fn route(&self) -> Result<Value> {
        let tenant = json!({"key": "tenant", "from": {"claim": "tenant"}});
        let set = json!({"keys": [self.issuer.jwk()?]}).to_string();
        let mut route = route("/claim", &[by_host(&[tenant])]);
        route["auth"] = json!([{"jwt": {"jwks": {"inline": set}}}]);
        Ok(route)
    }

    /// It is the token that counts, whatever the client says beside it.
    async fn hold(&self, shop: &Shop, host: &str) -> Result<()> {
        let cases = [
            (&self.of_c, "c", Some((4, 4))),
            (&self.of_d, "c", Some((4, 4))),
            (&self.of_c, "e", Some((4, 0))),
            // The descriptor is not sent.
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

/// A limit that the service counts, with one descriptor.
fn global(entries: &Value) -> Value {
    let service = json!({"name": "limits", "port": 80});
    let descriptors = json!([{"entries": entries}]);
    json!({"global": {"service": service, "domain": "shop", "descriptors": descriptors, "timeout": PATIENT}})
}

/// The same, counted for each host.
fn by_host(entries: &[Value]) -> Value {
    let host = json!({"key": "host", "from": {"header": "x-host"}});
    global(&[&[host], entries].concat().into())
}

// === impl Case ===

impl Case<'_> {
    /// All that is left is admitted, and not one more.
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

async fn as_many_are_admitted_as_the_service_says_of_each_descriptor(source: Source) -> Result<()> {
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
        // The service has a number of its own for that one; here, and where the route says so.
        case("/tenant", &[("x-tenant", "gold")], Some((7, 7))),
        case("/gold", &[("x-tenant", "a")], Some((7, 0))),
        // Of nobody: the descriptor is not sent.
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

/// Each client comes once: the kernel spreads connections over the proxies.
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

/// Of the first proxy.
async fn counted(shop: &Shop, source: &str, what: &str) -> Result<u64> {
    let envoy = shop.world.envoys.first().context("an Envoy")?;
    envoy.policy_count(source, what).await
}
