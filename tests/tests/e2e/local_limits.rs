//! Rate limits of IngressRoutes, counted by each proxy for itself.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use switchyard_tests::{
    client::{Answer, Connection, get, once},
    echo::Echo,
    envoy::Envoy,
    manifests::{ingress_route, ingress_route_in, service},
    wait::until,
    world::{Builder, Source, World},
};

use crate::{
    fixture::{BRANCH, HOSTS, on_both},
    scenarios,
};

scenarios![
    rate_limit_counts_by_key,
    unmatched_request_is_not_counted,
    dry_run_limit_rejects_nothing,
    counts_outlive_switches_edits_and_restarts,
    open_request_keeps_its_slot_through_switches,
    levels_count_independently,
    addresses_of_one_network_count_as_one_client,
];

/// A limit per day, whose next refill takes longer than any test.
fn limit(requests: u32, key: &Value) -> Value {
    json!({"requests": requests, "unit": "day", "key": key})
}

fn route(path: &str, limits: &[Value]) -> Value {
    json!({"match": path, "rateLimits": limits, "services": [{"name": "web", "port": 80}]})
}

async fn start(source: Source, routes: &str) -> Result<(World, Echo)> {
    let web = Echo::start("web").await?;
    let world = Builder::new(source)?
        .manifest("routes.yaml", routes)?
        .manifest("web.yaml", &service("default", "web", &[web.address]))?
        .start()
        .await?;
    Ok((world, web))
}

async fn statuses(world: &World, host: &str, path: &str, requests: usize) -> Result<Vec<u16>> {
    let mut statuses = Vec::new();
    for _ in 0..requests {
        statuses.push(world.get(host, path).await?.status);
    }
    Ok(statuses)
}

fn envoy(world: &World) -> Result<&Envoy> {
    world.envoys.first().context("an Envoy")
}

/// A count of a policy's results.
async fn counted(world: &World, source: &str, what: &str) -> Result<u64> {
    envoy(world)?.policy_count(source, what).await
}

/// A request with its expected status.
struct Ask<'a> {
    /// The method and the path.
    line: &'a str,
    headers: &'a [(&'a str, &'a str)],
    /// The last byte of the client's address.
    from: u8,
    status: u16,
}

const fn ask<'a>(line: &'a str, headers: &'a [(&'a str, &'a str)], from: u8, status: u16) -> Ask<'a> {
    Ask {
        line,
        headers,
        from,
        status,
    }
}

// === impl Ask ===

impl Ask<'_> {
    async fn holds(&self, world: &World, host: &str) -> Result<()> {
        let Self {
            line,
            headers,
            from,
            status,
        } = self;
        let (method, path) = line.split_once(' ').context("a method and a path")?;
        let request = get(host, path).method(method);
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        let mut client = Connection::open_from([127, 0, 0, *from].into(), world.http()).await?;
        let answer = client.send(request).await?;
        ensure!(
            answer.status == *status,
            "{host} {line} {headers:?} {from}: {answer:?}"
        );
        Ok(())
    }
}

/// One request is admitted for each key.
async fn rate_limit_counts_by_key(source: Source) -> Result<()> {
    let one = |key: Value| [limit(1, &key)];
    let routes = json!([
        route("/none", &one(json!([]))),
        route("/header", &one(json!([{"header": "x-tenant"}]))),
        route("/cookie", &one(json!([{"cookie": "session"}]))),
        route("/path", &one(json!([{"path": {}}]))),
        route("/method", &one(json!([{"method": {}}]))),
        route("/address", &one(json!([{"clientIP": {}}]))),
        route("/both", &one(json!([{"header": "x-tenant"}, {"path": {}}]))),
    ]);
    let cases = [
        ask("GET /none", &[], 1, 200),
        ask("POST /none/a", &[("x-tenant", "a")], 2, 429),
        ask("GET /header", &[("x-tenant", "a")], 1, 200),
        ask("GET /header", &[("X-Tenant", "b")], 1, 200),
        ask("GET /header", &[], 1, 200),
        ask("POST /header/a", &[("x-tenant", "a"), ("x-other", "c")], 2, 429),
        ask("GET /cookie", &[("cookie", "session=a; b=c")], 1, 200),
        ask("GET /cookie", &[("cookie", "session=b")], 1, 200),
        ask("GET /cookie", &[("cookie", "b=d; session=a")], 1, 429),
        ask("GET /path/a", &[], 1, 200),
        ask("GET /path/b?c", &[], 1, 200),
        ask("GET /path//b?d", &[], 1, 429),
        ask("GET /method", &[], 1, 200),
        ask("POST /method", &[], 1, 200),
        ask("POST /method/a", &[], 1, 429),
        ask("GET /address", &[("x-forwarded-for", "192.0.2.1")], 1, 200),
        ask("GET /address", &[("x-forwarded-for", "192.0.2.1")], 2, 200),
        ask("GET /address", &[("x-forwarded-for", "192.0.2.3")], 2, 429),
        ask("GET /both/a", &[("x-tenant", "a")], 1, 200),
    ];
    let (world, _web) = start(source, &on_both(&routes)).await?;
    for host in HOSTS {
        for ask in &cases {
            ask.holds(&world, host).await?;
        }
        for (path, want) in [("/both/a", 429), ("/both/b", 200)] {
            let answer = once(world.http(), get(host, path).header("x-tenant", "a")).await?;
            ensure!(answer.status == want, "{host}{path}: {answer:?}");
        }
    }
    Ok(())
}

/// A client is an IPv6 network of 64 bits or an IPv4 address by default.
async fn addresses_of_one_network_count_as_one_client(source: Source) -> Result<()> {
    let by = |client: Value| [limit(1, &json!([{"clientIP": client}]))];
    let held = |path: &str, client: Value| {
        let concurrency = json!({"max": 1, "key": [{"clientIP": client}]});
        json!({"match": path, "concurrency": concurrency, "services": [{"name": "web", "port": 80}]})
    };
    let routes = json!([
        route("/default", &by(json!({}))),
        route(
            "/wide",
            &by(json!({"ipv4PrefixLength": 24, "ipv6PrefixLength": 56}))
        ),
        route("/narrow", &by(json!({"ipv6PrefixLength": 128}))),
        held("/held", json!({})),
    ]);
    let web = Echo::start("web").await?;
    let world = Builder::new(source)?
        .flag("--xff-trusted-hops=1")
        .manifest("routes.yaml", &on_both(&routes))?
        .manifest("web.yaml", &service("default", "web", &[web.address]))?
        .start()
        .await?;
    for host in HOSTS {
        for (path, address, want) in [
            ("/default", "2001:db8:1:2::1", 200),
            ("/default", "2001:db8:1:2:ffff:ffff:ffff:ffff", 429),
            ("/default", "2001:db8:1:3::1", 200),
            ("/default", "192.0.2.1", 200),
            ("/default", "192.0.2.2", 200),
            ("/default", "::ffff:192.0.2.1", 429),
            ("/wide", "2001:db8:1:200::1", 200),
            ("/wide", "2001:db8:1:2ff::1", 429),
            ("/wide", "2001:db8:1:300::1", 200),
            ("/wide", "192.0.2.1", 200),
            ("/wide", "192.0.2.255", 429),
            ("/wide", "192.0.3.1", 200),
            ("/narrow", "2001:db8:1:2::1", 200),
            ("/narrow", "2001:db8:1:2::2", 200),
            ("/narrow", "2001:db8:1:2:0::2", 429),
        ] {
            let request = get(host, path).header("x-forwarded-for", address);
            let answer = once(world.http(), request).await?;
            ensure!(answer.status == want, "{host}{path} {address}: {answer:?}");
        }
        let ask = async |address: &str| {
            let request = get(host, "/held").header("x-forwarded-for", address);
            once(world.http(), request.header("echo-delay-ms", "1500")).await
        };
        let addresses = [
            "2001:db8:1:2::1",
            "2001:db8:1:2::2",
            "2001:db8:1:3::1",
            "2001:db8:1:3::2",
        ];
        let answers = futures_util::future::try_join_all(addresses.map(ask)).await?;
        for network in answers.chunks(2) {
            let served = network.iter().filter(|answer| answer.status == 200).count();
            ensure!(served == 1, "{host}: {network:?}");
        }
    }
    Ok(())
}

async fn unmatched_request_is_not_counted(source: Source) -> Result<()> {
    let mut logins = limit(2, &json!([]));
    logins["match"] = json!({
        "methods": ["POST", "PUT"],
        "prefix": "/login",
        "headers": [{"name": "x-kind", "value": "a"}, {"name": "x-other"}],
    });
    logins["status"] = 503.into();
    let (world, _web) = start(source, &on_both(&json!([route("/", &[logins])]))).await?;
    let ask = async |host: &str, line: &str, headers: [&str; 2]| {
        let (method, path) = line.split_once(' ').context("a method and a path")?;
        let request = get(host, path).method(method);
        let request = request.header("x-kind", headers[0]).header(headers[1], "");
        once(world.http(), request).await
    };
    for host in HOSTS {
        for _ in 0..3 {
            for (line, headers) in [
                ("GET /login", ["a", "x-other"]),
                ("POST /", ["a", "x-other"]),
                ("POST /logins", ["a", "x-other"]),
                ("POST /login", ["b", "x-other"]),
                ("POST /login", ["a", "x-another"]),
            ] {
                let answer = ask(host, line, headers).await?;
                ensure!(answer.status == 200, "{host} {line} {headers:?}: {answer:?}");
                ensure!(answer.header("ratelimit-limit").is_empty(), "{answer:?}");
            }
        }
        for (line, want) in [
            ("POST /login", 200),
            ("PUT /login/a?b", 200),
            ("POST //login", 503),
        ] {
            let answer = ask(host, line, ["a", "x-other"]).await?;
            ensure!(answer.status == want, "{host} {line}: {answer:?}");
            ensure!(
                answer.header("retry-after").is_empty() == (want == 200),
                "{answer:?}"
            );
        }
    }
    Ok(())
}

/// A second limit without `dryRun` counts as well, and sets the headers.
async fn dry_run_limit_rejects_nothing(source: Source) -> Result<()> {
    let mut tried = limit(2, &json!([]));
    tried["dryRun"] = true.into();
    let routes = json!([route("/", &[tried, limit(5, &json!([]))])]);
    let (world, web) = start(source, &on_both(&routes)).await?;
    for host in HOSTS {
        for remaining in ["4", "3", "2", "1", "0"] {
            let answer = world.get(host, "/").await?;
            ensure!(
                (answer.status, answer.header("ratelimit-remaining")) == (200, remaining),
                "{answer:?}"
            );
        }
        ensure!(world.get(host, "/").await?.status == 429);
    }
    ensure!(web.requests() == 10);
    for source in ["default/plain_route_/", "default/branch_route_/"] {
        let counts = [
            counted(&world, source, "would_limit").await?,
            counted(&world, source, "limited").await?,
            counted(&world, source, "allowed").await?,
        ];
        ensure!(counts == [4, 1, 5], "{source}: {counts:?}");
    }
    // The result as a Prometheus metric.
    let scrape = envoy(&world)?.admin("/stats/prometheus?filter=policy").await?;
    for sample in [
        r#"switchyard_policy{policy="default/plain_route_/",route="plain.bar.com/",branch="",result="would_limit"} 4"#,
        r#"switchyard_policy{policy="default/branch_route_/",route="switched.bar.com/",branch="default/branch",result="limited"} 1"#,
    ] {
        ensure!(scrape.lines().any(|line| line == sample), "{scrape}");
    }
    Ok(())
}

/// A root with these policies and one of two branches.
fn switched(branch: &str, asked: &[(&str, Value)]) -> String {
    let mut virtualhost = json!({"fqdn": HOSTS[1]});
    for (field, value) in asked {
        virtualhost[*field] = value.clone();
    }
    let delegating = json!([{"match": "/", "delegate": {"name": branch}}]);
    let leaf = json!({"routes": [route("/", &[])]});
    ingress_route("root", &json!({"virtualhost": virtualhost, "routes": delegating}))
        + &ingress_route(BRANCH, &leaf)
        + &ingress_route("other", &leaf)
}

async fn counts_outlive_switches_edits_and_restarts(source: Source) -> Result<()> {
    let host = HOSTS[1];
    let asked = |limits: &[Value]| [("rateLimits", limits.into())];
    let everyone = |requests| limit(requests, &json!([]));
    let (mut world, web) = start(source, &switched(BRANCH, &asked(&[everyone(100)]))).await?;
    let before = statuses(&world, host, "/", 60).await?;
    ensure!(before == [200; 60], "{before:?}");
    world.switch(&["default/root", "other"]).await?;
    let after = statuses(&world, host, "/", 42).await?;
    ensure!(after == [&[200; 40][..], &[429; 2]].concat(), "{after:?}");
    // The hourly limit has the fastest refill: a request after more than a minute.
    for (requests, unit) in [(50, "hour"), (50, "day"), (200, "day"), (100, "day")] {
        // The additional limit comes first, so that the other's index in the list changes.
        let mut beside = limit(requests, &json!([{"path": {}}]));
        beside["match"] = json!({"prefix": "/beside"});
        let mut edited = everyone(requests);
        edited["unit"] = unit.into();
        let limits = [beside, edited];
        world.write("routes.yaml", &switched("other", &asked(&limits)))?;
        until("the proxy has the edit", async || {
            let answer = world.get(host, "/").await?;
            ensure!(
                answer.header("ratelimit-limit") == requests.to_string(),
                "{answer:?}"
            );
            ensure!(web.requests() == 100, "a fresh count");
            Ok(())
        })
        .await?;
        ensure!(statuses(&world, host, "/", 3).await? == [429; 3]);
    }
    world.control.restart().await?;
    let more = json!({"virtualhost": {"fqdn": "more.bar.com"}, "routes": [route("/", &[])]});
    world.write("more.yaml", &ingress_route("more", &more))?;
    world.served_by("more.bar.com", "/", "web").await?;
    let last = statuses(&world, host, "/", 3).await?;
    ensure!(last == [429; 3], "{last:?}");
    Ok(())
}

/// The request keeps the only place while switches route other requests elsewhere.
async fn open_request_keeps_its_slot_through_switches(source: Source) -> Result<()> {
    let host = HOSTS[1];
    let places = json!({"max": 1, "key": [{"header": "x-who"}]});
    let (world, web) = start(source, &switched(BRANCH, &[("concurrency", places)])).await?;
    let lasting = get(host, "/lasting")
        .header("x-who", "a")
        .header("echo-delay-ms", "60000");
    let lasting = tokio::spawn(once(world.http(), lasting));
    until("it has come to the upstream", async || {
        ensure!(web.requests() == 1);
        Ok(())
    })
    .await?;
    let ask = async |who: &str| once(world.http(), get(host, "/").header("x-who", who)).await;
    let is_full = |answer: &Answer| answer.status == 503 && answer.header("retry-after") == "1";
    for branch in ["other", BRANCH] {
        let refused = ask("a").await?;
        ensure!(is_full(&refused), "{refused:?}");
        ensure!(ask("b").await?.status == 200);
        world.switch(&["default/root", branch]).await?;
    }
    ensure!(is_full(&ask("a").await?));
    lasting.abort();
    until("the place is free", async || {
        let answer = ask("a").await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    })
    .await
}

/// A root's limit applies to everything below, and a team's limit applies in addition.
async fn levels_count_independently(source: Source) -> Result<()> {
    let host = "shop.bar.com";
    let root = json!({
        "virtualhost": {"fqdn": host, "rateLimits": [limit(4, &json!([{"header": "x-tenant"}]))]},
        "routes": [{"match": "/", "delegate": {"name": "team", "namespace": "team"}}],
    });
    let mut tried = limit(1_000, &json!([{"header": "x-tenant"}]));
    tried["dryRun"] = true.into();
    let leaf = json!({"routes": [
        route("/", &[]),
        route("/more", &[limit(1_000, &json!([{"header": "x-tenant"}]))]),
        route("/tried", &[tried]),
        route("/less", &[limit(2, &json!([{"header": "x-tenant"}]))]),
    ]});
    let web = Echo::start("web").await?;
    let world = Builder::new(source)?
        .manifest("root.yaml", &ingress_route_in("platform", "root", &root))?
        .manifest("team.yaml", &ingress_route_in("team", "team", &leaf))?
        .manifest("web.yaml", &service("team", "web", &[web.address]))?
        .start()
        .await?;
    for (path, admitted, left) in [
        ("/", 4, "0"),
        ("/more", 4, "0"),
        ("/tried", 4, "0"),
        ("/less", 2, "0"),
    ] {
        for number in 1..=6 {
            let answer = once(world.http(), get(host, path).header("x-tenant", path)).await?;
            let want = if number <= admitted { 200 } else { 429 };
            ensure!(answer.status == want, "{path} {number}: {answer:?}");
            ensure!(
                number < admitted || answer.header("ratelimit-remaining") == left,
                "{answer:?}"
            );
        }
    }
    ensure!(web.requests() == 14);
    Ok(())
}
