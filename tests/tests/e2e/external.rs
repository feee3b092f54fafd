//! External authorization services (`auth.external`) as configured by control: the requests they get, and the effect of
//! their answers.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};
use switchyard_tests::{
    client::{Answer, get, once},
    echo::Echo,
    gatekeeper::{COOKIES, Gatekeeper, Told},
    manifests::{annotated_service, ingress_route, object, service},
    tls::Authority,
    world::{Builder, Source, World},
};

const PROTOCOLS: [&str; 2] = ["http", "grpc"];
const WAYS: [&str; 2] = ["plain", "tls"];
/// `open sesame`.
const KEY: &str = "open%20sesame";

/// The headers of a client.
const CLIENT: &[(&str, &str)] = &[
    ("authorization", "yes staff"),
    ("cookie", "a=1; b=2"),
    ("x-request-id", "6f1a3c5e-0000-4000-8000-000000000000"),
    ("x-there", "the client's"),
    ("x-group", "root"),
    ("x-forwarded-uri", "/forged"),
    ("x-original-url", "https://forged.example/"),
];

/// The upstream, and authorization services in plain text and over TLS.
struct Scene {
    world: World,
    web: Echo,
    plain: Gatekeeper,
    secure: Gatekeeper,
}

// === impl Scene ===

impl Scene {
    async fn start() -> Result<Self> {
        let web = Echo::start("web").await?;
        let acceptor = Authority::new()?
            .issue("gatekeeper.internal")?
            .acceptor_for(&["h2", "http/1.1"])?;
        let (plain, secure) = (Gatekeeper::start().await?, Gatekeeper::start_tls(acceptor).await?);
        let manifests = service("default", "web", &[web.address])
            + &service("default", "plain", &[plain.address])
            + &annotated_service(
                "default",
                "tls",
                &[secure.address],
                &[("projectcontour.io/upstream-protocol.tls", "80")],
            )
            + &object(
                "v1",
                "Secret",
                "keys",
                json!({"stringData": {"alice": "open sesame"}}),
            )
            + &hosts();
        let world = Builder::new(Source::Directory)?
            .manifest("external.yaml", &manifests)?
            .start()
            .await?;
        for protocol in PROTOCOLS {
            for way in WAYS {
                world
                    .status(&format!("{protocol}-{way}.bar.com"), "/", 403)
                    .await?;
            }
        }
        let scene = Self {
            world,
            web,
            plain,
            secure,
        };
        scene.take_told();
        Ok(scene)
    }

    async fn ask(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let request = headers.iter().fold(get(host, path), |request, (name, value)| {
            request.header(*name, *value)
        });
        once(self.world.http(), request).await
    }

    fn take_told(&self) -> Vec<Told> {
        let mut told = self.plain.take_told();
        told.extend(self.secure.take_told());
        told
    }

    /// The request to the authorization service for a request that it lets pass.
    async fn told(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> Result<Told> {
        let answer = self.ask(host, path, headers).await?;
        ensure!(answer.status == 200, "{host}{path}: {answer:?}");
        let mut told = self.take_told();
        ensure!(told.len() == 1, "{told:?}");
        told.pop().context("one")
    }
}

fn external(protocol: &str, service: &str, more: &Value) -> Value {
    let mut external = json!({
        "service": {"name": service, "port": 80},
        "protocol": protocol,
        "timeout": "5s",
        "responseHeaders": ["x-group"],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        external[name] = value.clone();
    }
    json!({"external": external})
}

/// A host for each protocol and transport, and for each further option.
fn hosts() -> String {
    let leaf = json!({"match": "/", "services": [{"name": "web", "port": 80}]});
    let host = |name: &str, auth: Value, route: &Value| {
        let virtualhost = json!({"fqdn": format!("{name}.bar.com"), "auth": auth});
        ingress_route(name, &json!({"virtualhost": virtualhost, "routes": [route]}))
    };
    let key = json!({"apiKey": {"secretName": "keys", "header": "x-api-key", "query": "key"}});
    let mut hosts = String::new();
    for protocol in PROTOCOLS {
        let ask = |service: &str, more: Value| external(protocol, service, &more);
        for way in WAYS {
            let more = if protocol == "http" {
                json!({"path": "/verify"})
            } else {
                json!({})
            };
            hosts += &host(&format!("{protocol}-{way}"), json!([ask(way, more)]), &leaf);
        }
        let named = ask(
            "plain",
            json!({"requestHeaders": ["authorization", "x-there", "x-absent", "x-api-key"]}),
        );
        let delegate = json!({"match": "/", "delegate": {"name": format!("{protocol}-team")}});
        hosts += &host(&format!("{protocol}-named"), json!([named]), &leaf);
        hosts += &host(
            &format!("{protocol}-allow"),
            json!([ask("plain", json!({"onFailure": "allow"}))]),
            &leaf,
        );
        hosts += &host(&format!("{protocol}-keyed"), json!([named, key]), &leaf);
        hosts += &host(&format!("{protocol}-above"), json!([key]), &delegate);
        let mut team = leaf.clone();
        team["auth"] = json!([named]);
        hosts += &ingress_route(&format!("{protocol}-team"), &json!({"routes": [team]}));
    }
    hosts
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// An HTTP service gets the headers that nginx and Traefik send, on either transport.
async fn over_http(scene: &Scene) -> Result<()> {
    for way in WAYS {
        let host = format!("http-{way}.bar.com");
        let mut told = scene.told(&host, "/a/b?c=d&e", CLIENT).await?;
        let client = told.headers.get("x-real-ip").cloned().unwrap_or_default();
        ensure!(client.parse::<std::net::IpAddr>().is_ok(), "{told:?}");
        let url = format!("http://{host}/a/b?c=d&e");
        // Envoy adds these to any request.
        told.headers.retain(|name, _| {
            !name.starts_with("x-envoy-") && name != "x-request-id" && name != "transfer-encoding"
        });
        let want = pairs(&[
            ("authorization", "yes staff"),
            ("cookie", "a=1; b=2"),
            ("x-auth-request-redirect", "/a/b?c=d&e"),
            ("x-forwarded-for", &client),
            ("x-forwarded-host", &host),
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-uri", "/a/b?c=d&e"),
            ("x-original-method", "GET"),
            ("x-original-uri", "/a/b?c=d&e"),
            ("x-original-url", &url),
            ("x-real-ip", &client),
        ]);
        ensure!(told.headers == want, "{way}: {:#?}", told.headers);
        let asked = (told.method.as_str(), told.path.as_str(), told.authority.as_str());
        ensure!(asked == ("GET", "/verify", host.as_str()), "{told:?}");
        ensure!(told.protocol == "HTTP/1.1", "{told:?}");
    }
    Ok(())
}

/// A gRPC service gets the same as from Envoy's ext_authz, except for headers that are not listed.
async fn over_grpc(scene: &Scene) -> Result<()> {
    for way in WAYS {
        let host = format!("grpc-{way}.bar.com");
        let before = SystemTime::now();
        let told = scene.told(&host, "/a/b?c=d&e", CLIENT).await?;
        ensure!(
            told.protocol == "HTTP/2.0" && told.path == "/envoy.service.auth.v3.Authorization/Check",
            "{told:?}"
        );
        let attributes = told.check.context("by gRPC")?.attributes.context("attributes")?;
        let source = attributes
            .source
            .context("a source")?
            .address
            .context("an address")?;
        ensure!(
            format!("{source:?}").contains("127.0.0.1") || format!("{source:?}").contains("10.244."),
            "{source:?}"
        );
        let request = attributes.request.context("a request")?;
        let time = request.time.context("a time")?;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time.seconds.try_into()?);
        let off = time
            .duration_since(before)
            .or_else(|_| before.duration_since(time))?;
        ensure!(off < Duration::from_secs(600), "{time:?}");
        let http = request.http.context("of HTTP")?;
        let said = [&http.method, &http.path, &http.host, &http.scheme].map(String::as_str);
        ensure!(said == ["GET", "/a/b?c=d&e", &host, "http"], "{http:?}");
        ensure!(
            !http.id.is_empty() && http.size == -1 && http.body.is_empty(),
            "{http:?}"
        );
        let want = pairs(&[
            (":authority", &host),
            (":method", "GET"),
            (":path", "/a/b?c=d&e"),
            (":scheme", "http"),
            ("authorization", "yes staff"),
            ("cookie", "a=1; b=2"),
        ]);
        let got: BTreeMap<_, _> = http.headers.into_iter().collect();
        ensure!(got == want, "{way}: {got:#?}");
    }
    Ok(())
}

/// The client's headers in a request to a service.
fn of_client(told: &Told) -> BTreeMap<String, String> {
    let attributes = told.check.as_ref().and_then(|check| check.attributes.as_ref());
    let http = attributes.and_then(|attributes| attributes.request.as_ref()?.http.as_ref());
    match http {
        None => told.headers.clone(),
        Some(http) => http.headers.clone().into_iter().collect(),
    }
}

/// A request to a service as one text.
fn text(told: &Told) -> String {
    format!("{told:?}")
}

async fn only_listed_client_headers_reach_the_service(scene: &Scene) -> Result<()> {
    for protocol in PROTOCOLS {
        let host = format!("{protocol}-named.bar.com");
        let headers = [CLIENT, &[("x-api-key", "open sesame")]].concat();
        let told = of_client(&scene.told(&host, "/", &headers).await?);
        let of = |name: &str| told.get(name).map(String::as_str);
        let got = [
            "authorization",
            "x-there",
            "x-absent",
            "cookie",
            "x-group",
            "x-api-key",
        ]
        .map(of);
        // No check uses this key, so it is an ordinary header.
        let want = [
            Some("yes staff"),
            Some("the client's"),
            None,
            None,
            None,
            Some("open sesame"),
        ];
        ensure!(got == want, "{protocol}: {told:?}");
    }
    Ok(())
}

/// The service gets no key of an API key check on the same level or above.
async fn api_keys_do_not_reach_the_service(scene: &Scene) -> Result<()> {
    for protocol in PROTOCOLS {
        for level in ["keyed", "above"] {
            let host = format!("{protocol}-{level}.bar.com");
            for (path, key) in [
                (format!("/x?a=b&key={KEY}&c"), ""),
                (format!("/x?a=b&c&k%65y={KEY}"), ""),
                ("/x?a=b&c".to_owned(), "open sesame"),
            ] {
                let headers: Vec<_> = [("authorization", "yes staff"), ("x-api-key", key)]
                    .into_iter()
                    .filter(|(_, value)| !value.is_empty())
                    .collect();
                let told = scene.told(&host, &path, &headers).await?;
                let text = text(&told);
                ensure!(!text.contains("sesame"), "{host}{path}: {text}");
                ensure!(text.contains("/x?a=b&c"), "{host}{path}: {text}");
            }
            // It gets no wrong keys either.
            let headers = [("authorization", "yes staff")];
            let answer = scene.ask(&host, "/x?key=wrong%20sesame", &headers).await?;
            ensure!(answer.status == 401, "{answer:?}");
            let told = scene.take_told();
            ensure!(told.iter().all(|told| !text(told).contains("sesame")), "{told:?}");
        }
    }
    Ok(())
}

async fn its_answer_headers_reach_upstream_and_client(scene: &Scene) -> Result<()> {
    for protocol in PROTOCOLS {
        for way in WAYS {
            let host = format!("{protocol}-{way}.bar.com");
            let asked = async |authorization: &str| {
                let headers = [("authorization", authorization), ("x-group", "root")];
                scene.ask(&host, "/", &headers).await
            };
            let renewed = asked("renew staff").await?;
            ensure!(renewed.status == 200, "{host}: {renewed:?}");
            ensure!(
                renewed.seen()?.headers["x-group"] == "staff",
                "{host}: {renewed:?}"
            );
            ensure!(renewed.all("set-cookie") == COOKIES, "{host}: {renewed:?}");
            let login = asked("login").await?;
            let told = (login.status, login.header("location"), &login.body[..]);
            ensure!(told == (302, "/login", b"this way\n"), "{host}: {login:?}");
        }
    }
    Ok(())
}

/// `onFailure: allow` applies if the service does not answer. An invalid answer is a rejection.
async fn only_a_valid_yes_admits(scene: &Scene) -> Result<()> {
    for protocol in PROTOCOLS {
        for (host, broken, garbled) in [("plain", 503, 503), ("tls", 503, 503), ("allow", 200, 503)] {
            let host = format!("{protocol}-{host}.bar.com");
            for (authorization, want) in [("broken", broken), ("garbled", garbled), ("no", 403)] {
                let before = scene.web.requests();
                let answer = scene.ask(&host, "/", &[("authorization", authorization)]).await?;
                ensure!(answer.status == want, "{host} {authorization}: {answer:?}");
                let served = scene.web.requests() - before;
                ensure!(served == usize::from(want == 200), "{host} {authorization}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auth_service_receives_the_request_and_decides() -> Result<()> {
    let scene = Scene::start().await?;
    over_http(&scene).await.context("over HTTP")?;
    over_grpc(&scene).await.context("over gRPC")?;
    only_listed_client_headers_reach_the_service(&scene).await?;
    api_keys_do_not_reach_the_service(&scene).await?;
    its_answer_headers_reach_upstream_and_client(&scene).await?;
    only_a_valid_yes_admits(&scene).await
}
