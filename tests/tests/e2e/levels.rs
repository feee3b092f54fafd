//! The effect of each level on responses, concurrency limits and paths: the virtualhost, a delegating route, a route
//! with services.

use anyhow::{Context, Result, ensure};
use hyper::{Request, header::HeaderMap};
use serde_json::{Value, json};
use switchyard_tests::{
    client::{Answer, Http2, empty, get, once},
    echo::Echo,
    manifests::{ingress_route, object, service, tls_secret},
    tls::Authority,
    wait::until,
    world::{Builder, Source, World},
};

/// The host that delegates all of its paths.
const HOST: &str = "levels.bar.com";
/// The host without delegation.
const PLAIN: &str = "plain.bar.com";
/// A host with TLS.
const SECURE: &str = "secure.bar.com";

fn with(mut object: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    object
}

fn to_web(prefix: &str, more: &Value) -> Value {
    with(
        json!({"match": prefix, "services": [{"name": "web", "port": 80}]}),
        more,
    )
}

fn delegate(prefix: &str, branch: &str, more: &Value) -> Value {
    with(json!({"match": prefix, "delegate": {"name": branch}}), more)
}

fn root(name: &str, virtualhost: &Value, routes: &Value) -> String {
    ingress_route(name, &json!({"virtualhost": virtualhost, "routes": routes}))
}

fn branch(name: &str, routes: &Value) -> String {
    ingress_route(name, &json!({"routes": routes}))
}

async fn start(manifests: &str) -> Result<(World, Echo)> {
    let web = Echo::start("web").await?;
    let world = Builder::new(Source::Directory)?
        .manifest("routes.yaml", manifests)?
        .manifest("web.yaml", &service("default", "web", &[web.address]))?
        .start()
        .await?;
    Ok((world, web))
}

/// Sends a GET request with headers.
async fn ask(world: &World, host: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let request = headers.iter().fold(get(host, path), |request, (name, value)| {
        request.header(*name, *value)
    });
    once(world.http(), request).await
}

/// Response header edits that identify a level.
fn edits(level: &str) -> Value {
    json!({"headers": {"response": {
        "set": [{"name": "x-set", "value": level}, {"name": format!("x-{level}"), "value": "set"}],
        "add": [{"name": "x-add", "value": level}],
        "remove": [format!("x-gone-{level}")],
    }}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outermost_level_edits_responses_last() -> Result<()> {
    let host = |fqdn: &str| with(json!({"fqdn": fqdn}), &edits("host"));
    let leaf = json!([to_web("/", &edits("leaf"))]);
    let manifests = root(
        "levels",
        &host(HOST),
        &json!([delegate("/", "leaf", &edits("delegating"))]),
    ) + &branch("leaf", &leaf)
        + &root("plain", &host(PLAIN), &leaf);
    let (world, _web) = start(&manifests).await?;
    for (fqdn, levels) in [
        (HOST, &["leaf", "delegating", "host"][..]),
        (PLAIN, &["leaf", "host"]),
    ] {
        world.served_by(fqdn, "/", "web").await?;
        let gone = levels.iter().map(|level| format!("x-gone-{level}=upstream"));
        let said: Vec<_> = gone
            .chain(
                [
                    "x-set=upstream",
                    "x-add=upstream",
                    "x-host=upstream",
                    "x-kept=upstream",
                ]
                .map(str::to_owned),
            )
            .collect();
        let said: Vec<_> = said
            .iter()
            .map(|header| ("echo-header", header.as_str()))
            .collect();
        let answer = ask(&world, fqdn, "/", &said).await?;
        ensure!(answer.status == 200 && answer.backend() == "web", "{answer:?}");
        ensure!(answer.all("x-set") == ["host"], "{answer:?}");
        ensure!(
            answer.all("x-add") == [&["upstream"], levels].concat(),
            "{answer:?}"
        );
        ensure!(answer.all("x-kept") == ["upstream"], "{answer:?}");
        for level in levels {
            ensure!(
                answer.all(&format!("x-{level}")) == ["set"],
                "{level}: {answer:?}"
            );
            ensure!(
                answer.header(&format!("x-gone-{level}")).is_empty(),
                "{level}: {answer:?}"
            );
        }
    }
    Ok(())
}

/// Response headers of outer levels' policies cannot be removed by inner levels.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inner_level_cannot_remove_outer_response_headers() -> Result<()> {
    let removed = [
        "ratelimit-limit",
        "ratelimit-remaining",
        "ratelimit-reset",
        "retry-after",
        "www-authenticate",
    ];
    let silent = json!({"headers": {"response": {"remove": removed}}});
    let limit = json!({"rateLimits": [{"requests": 1, "unit": "day"}]});
    let people = json!({"auth": [{"basic": {"secretName": "people"}}]});
    let manifests = root(
        "levels",
        &json!({"fqdn": HOST}),
        &json!([
            to_web("/", &json!({})),
            delegate("/limited", "limited", &limit),
            delegate("/asked", "asked", &people),
        ]),
    ) + &branch("limited", &json!([to_web("/limited", &silent)]))
        + &branch("asked", &json!([to_web("/asked", &silent)]))
        + &object(
            "v1",
            "Secret",
            "people",
            json!({"stringData": {"auth": "eve:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="}}),
        );
    let (world, _web) = start(&manifests).await?;
    world.served_by(HOST, "/", "web").await?;
    let answers = [
        world.get(HOST, "/limited").await?,
        world.get(HOST, "/limited").await?,
    ];
    let told = answers.each_ref().map(|answer| {
        let retry_after = answer.header("retry-after").is_empty();
        (answer.status, answer.header("ratelimit-limit"), retry_after)
    });
    ensure!(told == [(200, "1", true), (429, "1", false)], "{answers:?}");
    let answer = world.get(HOST, "/asked").await?;
    ensure!(
        answer.status == 401 && answer.header("www-authenticate").starts_with("Basic "),
        "{answer:?}"
    );
    Ok(())
}

/// A CORS case: the path, the origin of the page, and the expected response headers.
type Readable = (&'static str, &'static str, Option<Told>);

/// The allowed origin, whether credentials are allowed, the exposed headers, and whether the response varies by origin.
type Told = (&'static str, bool, &'static str, bool);

const READABLE: &[Readable] = &[
    (
        "/",
        "https://www.bar.com",
        Some(("https://www.bar.com", true, "x-host", true)),
    ),
    ("/", "https://a.mid.com", None),
    ("/", "http://www.bar.com", None),
    (
        "/mid",
        "https://a.mid.com",
        Some(("https://a.mid.com", false, "x-a, x-b", true)),
    ),
    (
        "/mid",
        "https://a.b.mid.com",
        Some(("https://a.b.mid.com", false, "x-a, x-b", true)),
    ),
    ("/mid", "https://mid.com", None),
    ("/mid", "https://amid.com", None),
    ("/mid", "https://www.bar.com", None),
    (
        "/mid/leaf",
        "https://anybody.example",
        Some(("*", false, "", false)),
    ),
    ("/mid/leaf", "null", Some(("*", false, "", false))),
];

fn is_told(answer: &Answer, told: Option<Told>) -> Result<()> {
    let (origin, credentials, exposed, varies) = told.unwrap_or(("", false, "", true));
    let credentials = if credentials { "true" } else { "" };
    let want = [
        ("access-control-allow-origin", origin),
        ("access-control-allow-credentials", credentials),
        ("access-control-expose-headers", exposed),
        ("vary", if varies { "origin" } else { "" }),
    ];
    for (name, want) in want {
        let want: Vec<_> = [want].into_iter().filter(|want| !want.is_empty()).collect();
        ensure!(answer.all(name) == want, "{name}");
    }
    Ok(())
}

/// CORS headers of the upstream have no effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn innermost_cors_policy_applies() -> Result<()> {
    let host = json!({
        "fqdn": HOST,
        "cors": {"allowOrigins": ["https://www.bar.com"], "allowCredentials": true, "exposeHeaders": ["x-host"]},
    });
    let mid = json!({"cors": {"allowOrigins": ["https://*.mid.com"], "exposeHeaders": ["x-a", "x-b"]}});
    let leaf = json!({"cors": {"allowOrigins": ["*"]}});
    let routes = json!([delegate("/", "rest", &json!({})), delegate("/mid", "mid", &mid)]);
    let below_mid = json!([to_web("/mid", &json!({})), to_web("/mid/leaf", &leaf)]);
    let manifests = root("levels", &host, &routes)
        + &branch("rest", &json!([to_web("/", &json!({}))]))
        + &branch("mid", &below_mid);
    let (world, _web) = start(&manifests).await?;
    world.served_by(HOST, "/mid/leaf", "web").await?;
    for (path, origin, told) in READABLE {
        for upstream in [
            None,
            Some("access-control-allow-origin=*"),
            Some("access-control-allow-credentials=true"),
        ] {
            let upstream = upstream.map(|header| ("echo-header", header));
            let headers: Vec<_> = [("origin", *origin)].into_iter().chain(upstream).collect();
            let answer = ask(&world, HOST, path, &headers).await?;
            ensure!(
                answer.status == 200 && answer.backend() == "web",
                "{path} {origin}: {answer:?}"
            );
            is_told(&answer, *told).with_context(|| format!("{path} {origin}: {answer:?}"))?;
        }
    }
    Ok(())
}

/// A limit counts all requests below the route, and no others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delegating_route_limits_concurrency() -> Result<()> {
    let one = json!({"concurrency": {"max": 1}});
    let routes = json!([delegate("/", "rest", &json!({})), delegate("/one", "one", &one)]);
    let manifests = root("levels", &json!({"fqdn": HOST}), &routes)
        + &branch("rest", &json!([to_web("/", &json!({}))]))
        + &branch(
            "one",
            &json!([to_web("/one/a", &json!({})), to_web("/one/b", &json!({}))]),
        );
    let (world, web) = start(&manifests).await?;
    world.served_by(HOST, "/one/a", "web").await?;
    let before = web.requests();
    let lasting = get(HOST, "/one/a").header("echo-delay-ms", "60000");
    let lasting = tokio::spawn(once(world.http(), lasting));
    until("it has come to the upstream", async || {
        ensure!(web.requests() > before);
        Ok(())
    })
    .await?;
    for path in ["/one/a", "/one/b"] {
        let answer = world.get(HOST, path).await?;
        ensure!(
            (answer.status, answer.header("retry-after")) == (503, "1"),
            "{answer:?}"
        );
    }
    ensure!(world.get(HOST, "/").await?.status == 200);
    lasting.abort();
    world.status(HOST, "/one/b", 200).await.map(drop)
}

/// A limit of one request per day below a prefix.
fn one_below(prefix: &str) -> Value {
    json!({"requests": 1, "unit": "day", "match": {"prefix": prefix}})
}

/// A level matches paths as its IngressRoute sees them, which is neither the client's nor the upstream's view.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn level_matches_its_own_view_of_the_path() -> Result<()> {
    let limits = |prefixes: &[&str]| json!({"rateLimits": prefixes.iter().map(|prefix| one_below(prefix)).collect::<Vec<_>>()});
    let leaf = with(limits(&["/v1/login"]), &json!({"prefixRewrite": "/internal"}));
    // Prefixes as other levels see them, which match nothing.
    let deep = limits(&[
        "/login",
        "/v1/deep/logout",
        "/api/deep/logout",
        "/upstream/logout",
    ]);
    let mount = |at: &str, as_what: &str, branch: &str, more: &Value| {
        delegate(at, branch, &with(json!({"prefixRewrite": as_what}), more))
    };
    // A delegating route sees its own prefix as its IngressRoute does, and so does the host.
    let api = mount("/api", "/v1", "api", &limits(&["/api/search"]));
    let host = with(
        json!({"fqdn": HOST}),
        &limits(&["/api/deep/more", "/v1/logout", "/internal/logout"]),
    );
    let below_deep = with(deep, &json!({"prefixRewrite": "/upstream"}));
    let manifests = root("levels", &host, &json!([to_web("/", &json!({})), api]))
        + &branch(
            "api",
            &json!([to_web("/v1", &leaf), mount("/v1/deep", "/", "deep", &json!({}))]),
        )
        + &branch("deep", &json!([to_web("/", &below_deep)]));
    let (world, _web) = start(&manifests).await?;
    world.served_by(HOST, "/", "web").await?;
    for (path, seen, is_limited) in [
        ("/api/login", "/internal/login", true),
        ("/api/login/a?b", "", true),
        ("/api/search", "/internal/search", true),
        ("/api/logout", "/internal/logout", false),
        ("/api/logins", "/internal/logins", false),
        ("/api/deep/login", "/upstream/login", true),
        ("/api/deep/logout", "/upstream/logout", false),
        ("/api/deep/more", "/upstream/more", true),
    ] {
        let statuses = [world.get(HOST, path).await?, world.get(HOST, path).await?];
        if let (200, false) = (statuses[0].status, seen.is_empty()) {
            let upstream = statuses[0].seen()?.path;
            ensure!(upstream == seen, "{path}: {upstream}");
        }
        let got = statuses.each_ref().map(|answer| answer.status);
        let want = match (is_limited, seen) {
            (false, _) => [200, 200],
            (true, "") => [429, 429],
            (true, _) => [200, 429],
        };
        ensure!(got == want, "{path}: {statuses:?}");
        let is_counted = !statuses[1].header("ratelimit-limit").is_empty();
        ensure!(is_counted == is_limited, "{path}: {statuses:?}");
    }
    Ok(())
}

/// Checks the headers of two requests with a limit of one.
fn is_limited([first, next]: [(u16, &HeaderMap); 2]) -> Result<()> {
    let value = |headers: &HeaderMap, name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    for (status, headers) in [first, next] {
        let told = ["limit", "remaining"].map(|name| value(headers, &format!("ratelimit-{name}")));
        ensure!(told == ["1", "0"], "{status} {headers:?}");
        ensure!(
            value(headers, "ratelimit-reset").parse::<u64>()? > 0,
            "{headers:?}"
        );
    }
    ensure!((first.0, next.0) == (200, 429), "{} {}", first.0, next.0);
    ensure!(value(first.1, "retry-after").is_empty(), "{first:?}");
    ensure!(value(next.1, "retry-after").parse::<u64>()? > 0, "{next:?}");
    Ok(())
}

/// Sends two requests over one HTTP/2 connection.
async fn twice(mut client: Http2, scheme: &str, host: &str) -> Result<()> {
    let mut ask = async || {
        let request = Request::get(format!("{scheme}://{host}/"));
        client.start(request, empty()).await
    };
    let (first, next) = (ask().await?, ask().await?);
    is_limited([&first, &next].map(|answer| (answer.status().as_u16(), answer.headers())))
        .with_context(|| format!("{first:?} {next:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limit_headers_are_sent_in_every_protocol() -> Result<()> {
    let authority = Authority::new()?;
    let limit = json!({"rateLimits": [{"requests": 1, "unit": "day"}]});
    // Each host has its own count.
    let host = |name: &str, fqdn: &str, tls: &Value| {
        let virtualhost = with(json!({"fqdn": fqdn}), tls);
        root(
            name,
            &virtualhost,
            &json!([to_web("/", &limit), to_web("/open", &json!({}))]),
        )
    };
    let tls = json!({"tls": {"secretName": "edge"}});
    let manifests = host("http1", PLAIN, &json!({}))
        + &host("h2c", HOST, &json!({}))
        + &host("tls", "tls.bar.com", &tls)
        + &host("h2", SECURE, &tls)
        + &tls_secret("default", "edge", &authority.issue("*.bar.com")?);
    let (world, _web) = start(&manifests).await?;
    world.served_by(HOST, "/open", "web").await?;
    let answers = [world.get(PLAIN, "/").await?, world.get(PLAIN, "/").await?];
    is_limited(answers.each_ref().map(|answer| (answer.status, &answer.headers)))?;
    twice(Http2::open(world.http()).await?, "http", HOST).await?;
    let stream = until("TLS is served", async || {
        authority.connect_for(world.https(), SECURE, &["h2"]).await
    })
    .await?;
    twice(Http2::over(stream).await?, "https", SECURE).await?;
    let stream = authority
        .connect_for(world.https(), "tls.bar.com", &["http/1.1"])
        .await?;
    let mut client = switchyard_tests::client::Connection::over(stream).await?;
    let answers = [
        client.send(get("tls.bar.com", "/")).await?,
        client.send(get("tls.bar.com", "/")).await?,
    ];
    is_limited(answers.each_ref().map(|answer| (answer.status, &answer.headers)))
}
