//! Retries and timeouts of routes and of the levels above them.

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use switchyard_tests::{
    client::{get, once},
    echo::Echo,
    manifests::{ingress_route, service},
    world::{Builder, Source, World},
};

use crate::{
    fixture::{BRANCH, HOSTS, on_both},
    scenarios,
};

scenarios![
    failed_request_is_retried_up_to_the_retry_count,
    route_timeout_ends_the_request,
    infinite_timeout_overrides_envoys_default,
    routes_inherit_timeouts_and_retries,
    lower_level_overrides_inherited_timeout,
    client_cannot_override_timeouts_and_retries,
];

/// A request with its expected outcome.
struct Case {
    path: &'static str,
    /// The number of tries that fail.
    failures: usize,
    /// The delay of the other answers.
    delay_ms: u64,
    status: u16,
    /// The expected number of requests to the upstream.
    tries: usize,
}

// === impl Case ===

impl Case {
    async fn holds(&self, world: &World, host: &str, backend: &Echo) -> Result<()> {
        let Self {
            path,
            failures,
            delay_ms,
            status,
            tries,
        } = *self;
        let before = backend.requests();
        backend.fail_next(failures);
        let request = get(host, path).header("echo-delay-ms", delay_ms);
        let answer = once(world.http(), request).await?;
        backend.fail_next(0);
        ensure!(
            (answer.status, backend.requests() - before) == (status, tries),
            "{host}{path}: {} tries, {answer:?}",
            backend.requests() - before
        );
        Ok(())
    }
}

const fn fails(path: &'static str, failures: usize, status: u16, tries: usize) -> Case {
    Case {
        path,
        failures,
        delay_ms: 0,
        status,
        tries,
    }
}

const fn takes(path: &'static str, delay_ms: u64, status: u16, tries: usize) -> Case {
    Case {
        path,
        failures: 0,
        delay_ms,
        status,
        tries,
    }
}

/// Routes to one backend, each with additional fields.
fn routes(policies: &[(&str, Value)]) -> Value {
    let route = |(path, policy): &(&str, Value)| {
        let mut route = json!({"match": path, "services": [{"name": "blue", "port": 80}]});
        if let (Value::Object(route), Value::Object(policy)) = (&mut route, policy) {
            route.extend(policy.clone());
        }
        route
    };
    policies.iter().map(route).collect()
}

/// Checks all cases, on plain routes and below a switch.
async fn hold(source: Source, routes: &Value, cases: &[Case]) -> Result<()> {
    hold_for(source, &on_both(routes), cases).await
}

async fn hold_for(source: Source, manifests: &str, cases: &[Case]) -> Result<()> {
    let blue = Echo::start("blue").await?;
    let world = Builder::new(source)?
        .manifest("routes.yaml", manifests)?
        .manifest("service.yaml", &service("default", "blue", &[blue.address]))?
        .start()
        .await?;
    for host in HOSTS {
        for case in cases {
            world.served_by(host, case.path, "blue").await?;
            case.holds(&world, host, &blue).await?;
        }
    }
    Ok(())
}

async fn failed_request_is_retried_up_to_the_retry_count(source: Source) -> Result<()> {
    let routes = routes(&[
        ("/never", json!({})),
        ("/default", json!({"retryPolicy": {}})),
        ("/twice", json!({"retryPolicy": {"count": 2}})),
        (
            "/impatient",
            json!({"retryPolicy": {"count": 1, "perTryTimeout": "300ms"}}),
        ),
    ]);
    let cases = [
        fails("/never", 1, 503, 1),
        fails("/default", 1, 200, 2),
        fails("/default", 2, 503, 2),
        fails("/twice", 2, 200, 3),
        fails("/twice", 9, 503, 3),
        takes("/impatient", 1500, 504, 2),
    ];
    hold(source, &routes, &cases).await
}

async fn route_timeout_ends_the_request(source: Source) -> Result<()> {
    let routes = routes(&[
        ("/default", json!({})),
        ("/short", json!({"timeoutPolicy": {"request": "500ms"}})),
        ("/infinite", json!({"timeoutPolicy": {"request": "infinity"}})),
        // The request timeout covers all tries.
        (
            "/both",
            json!({"timeoutPolicy": {"request": "1500ms"}, "retryPolicy": {"count": 9, "perTryTimeout": "800ms"}}),
        ),
    ]);
    let cases = [
        takes("/short", 0, 200, 1),
        takes("/short", 2000, 504, 1),
        takes("/default", 2000, 200, 1),
        takes("/infinite", 2000, 200, 1),
        takes("/both", 4000, 504, 2),
    ];
    hold(source, &routes, &cases).await
}

/// Envoy's default of 15 s applies if no level has a timeout.
async fn infinite_timeout_overrides_envoys_default(source: Source) -> Result<()> {
    let blue = Echo::start("blue").await?;
    let infinite = |request| json!({"timeoutPolicy": {"request": request}});
    let routes = routes(&[
        ("/default", json!({})),
        ("/infinity", infinite("infinity")),
        ("/zero", infinite("0s")),
        ("/unclear", infinite("a while")),
    ]);
    let world = Builder::new(source)?
        .manifest("routes.yaml", &on_both(&routes))?
        .manifest("service.yaml", &service("default", "blue", &[blue.address]))?
        .start()
        .await?;
    let cases = [
        ("/default", 504),
        ("/infinity", 200),
        ("/zero", 200),
        ("/unclear", 200),
    ];
    let ask = async |(host, (path, status)): (&str, (&str, u16))| {
        world.served_by(host, path, "blue").await?;
        let request = get(host, path).header("echo-delay-ms", "16500");
        let answer = once(world.http(), request).await?;
        ensure!(answer.status == status, "{host}{path}: {answer:?}");
        Ok(())
    };
    let all = HOSTS.iter().flat_map(|host| cases.map(|case| (*host, case)));
    try_join_all(all.map(ask)).await.map(drop)
}

/// The same routes on a root and on the branch of another root, below levels with these policies.
fn below(virtualhost: &Value, delegating: &Value, routes: &Value) -> String {
    let host = |fqdn: &str| with(json!({"fqdn": fqdn}), virtualhost);
    let delegate = with(json!({"match": "/", "delegate": {"name": BRANCH}}), delegating);
    ingress_route("plain", &json!({"virtualhost": host(HOSTS[0]), "routes": routes}))
        + &ingress_route(
            "switched",
            &json!({"virtualhost": host(HOSTS[1]), "routes": [delegate]}),
        )
        + &ingress_route(BRANCH, &json!({"routes": routes}))
}

fn with(mut object: Value, more: &Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more.clone());
    }
    object
}

async fn routes_inherit_timeouts_and_retries(source: Source) -> Result<()> {
    let says = json!({"timeoutPolicy": {"request": "500ms"}, "retryPolicy": {"count": 2}});
    let routes = routes(&[
        ("/none", json!({})),
        ("/timeout", json!({"timeoutPolicy": {"request": "infinity"}})),
        ("/retry", json!({"retryPolicy": {"count": 1}})),
    ]);
    let cases = [
        takes("/none", 0, 200, 1),
        takes("/none", 2000, 504, 1),
        fails("/none", 2, 200, 3),
        fails("/none", 3, 503, 3),
        takes("/timeout", 2000, 200, 1),
        fails("/timeout", 2, 200, 3),
        takes("/retry", 2000, 504, 1),
        fails("/retry", 2, 503, 2),
    ];
    hold_for(source, &below(&says, &json!({}), &routes), &cases).await
}

async fn lower_level_overrides_inherited_timeout(source: Source) -> Result<()> {
    let blue = Echo::start("blue").await?;
    let host = json!({"timeoutPolicy": {"request": "infinity"}, "retryPolicy": {"count": 1}});
    let route = json!({"timeoutPolicy": {"request": "500ms"}});
    let manifests = below(&host, &route, &routes(&[("/", json!({}))]));
    let world = Builder::new(source)?
        .manifest("routes.yaml", &manifests)?
        .manifest("service.yaml", &service("default", "blue", &[blue.address]))?
        .start()
        .await?;
    let cases = [
        // Longer than Envoy's default timeout.
        (HOSTS[0], takes("/", 16_000, 200, 1)),
        (HOSTS[0], fails("/", 1, 200, 2)),
        (HOSTS[1], takes("/", 2000, 504, 1)),
        (HOSTS[1], fails("/", 1, 200, 2)),
    ];
    for (host, case) in cases {
        world.served_by(host, "/", "blue").await?;
        case.holds(&world, host, &blue).await?;
    }
    Ok(())
}

async fn client_cannot_override_timeouts_and_retries(source: Source) -> Result<()> {
    let blue = Echo::start("blue").await?;
    let says =
        json!({"timeoutPolicy": {"request": "5s"}, "retryPolicy": {"count": 1, "perTryTimeout": "4s"}});
    let world = Builder::new(source)?
        .manifest(
            "routes.yaml",
            &below(&says, &json!({}), &routes(&[("/", json!({}))])),
        )?
        .manifest("service.yaml", &service("default", "blue", &[blue.address]))?
        .start()
        .await?;
    let names = [
        ("x-envoy-upstream-rq-timeout-ms", "100"),
        ("x-envoy-upstream-rq-per-try-timeout-ms", "100"),
        ("x-envoy-max-retries", "7"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-upstream-stream-duration-ms", "100"),
        ("x-envoy-expected-rq-timeout-ms", "100"),
    ];
    for host in HOSTS {
        world.served_by(host, "/", "blue").await?;
        let mut request = get(host, "/").header("echo-delay-ms", 1000);
        for (name, value) in names {
            request = request.header(name, value);
        }
        let answer = once(world.http(), request).await?;
        ensure!(answer.status == 200, "{answer:?}");
        let headers = answer.seen()?.headers;
        // Envoy's own header with its timeout is the only one.
        let told = headers.get("x-envoy-expected-rq-timeout-ms").map(String::as_str);
        ensure!(told == Some("4000"), "{headers:?}");
        for (name, _) in names.iter().take(5) {
            ensure!(!headers.contains_key(*name), "{name}: {headers:?}");
        }
        let before = blue.requests();
        blue.fail_next(9);
        let mut request = get(host, "/");
        for (name, value) in names {
            request = request.header(name, value);
        }
        let answer = once(world.http(), request).await?;
        blue.fail_next(0);
        ensure!(
            (answer.status, blue.requests() - before) == (503, 2),
            "{answer:?}"
        );
    }
    Ok(())
}
