//! Authentication and authorization.

use super::{PATHS, Proxy, SOURCE, filter};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use switchyard_tests::{
    client::{get, once},
    control::loopback,
    gatekeeper::Gatekeeper,
    load::Load,
    statics::{Cluster, HOST},
    tokens::{ALGORITHMS, Issuer},
    wait,
};

/// The digest of `open sesame`: `printf %s 'open sesame' | sha256sum`.
const SESAME: &str = "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb";

fn auth(checks: &[Value]) -> Value {
    let requirements: Vec<_> = checks.iter().map(|check| json!({"anyOf": [check]})).collect();
    filter(&json!({"auth": requirements}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_key_admits_and_is_removed() -> Result<()> {
    let keys = json!({SESAME: "alice"});
    let proxy = Proxy::start(&auth(&[
        json!({"apiKey": {"header": "x-api-key", "query": "key", "keys": keys}}),
    ]))
    .await?;
    for path in PATHS {
        for (query, headers, want) in [
            ("", &[][..], 401),
            ("", &[("x-api-key", "open")], 401),
            ("", &[("x-api-key", "open sesame")], 200),
            (
                "",
                &[("x-api-key", "open sesame"), ("x-api-key", "open sesame")],
                400,
            ),
            ("?a=b&key=open%20sesame&c", &[], 200),
            ("?key=open%20sesame", &[("x-api-key", "open sesame")], 400),
        ] {
            let answer = proxy.get(&format!("{path}{query}"), headers).await?;
            ensure!(answer.status == want, "{path}{query} {headers:?}: {answer:?}");
            if want != 200 {
                continue;
            }
            let seen = answer.seen()?;
            let rest = if query.is_empty() { "" } else { "?a=b&c" };
            ensure!(seen.path == format!("{path}{rest}"), "{seen:?}");
            ensure!(!seen.headers.contains_key("x-api-key"), "{seen:?}");
            ensure!(seen.headers["x-switchyard-user"] == "alice", "{seen:?}");
            ensure!(seen.headers["x-switchyard-auth"] == "apiKey", "{seen:?}");
        }
    }
    // The key is not logged either, right or wrong.
    proxy.get("/switched/logged?key=wrong", &[]).await?;
    ensure!(proxy.envoy.logged("/switched/logged").await?["status"] == 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ip_lists_admit_or_deny_addresses() -> Result<()> {
    for (ip, want) in [
        (json!({"allow": ["127.0.0.0/8"]}), 200),
        (json!({"allow": ["10.0.0.0/8"]}), 403),
        (json!({"deny": ["127.0.0.1"]}), 403),
    ] {
        let proxy = Proxy::start(&auth(&[json!({"ip": ip})])).await?;
        for path in PATHS {
            let status = proxy.status(path, &[("x-forwarded-for", "10.0.0.1")]).await?;
            ensure!(status == want, "{ip} {path}: {status}");
        }
        ensure!(proxy.blue.requests() == if want == 200 { 2 } else { 0 });
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_requirement_needs_one_passing_check() -> Result<()> {
    let key = json!({"apiKey": {"header": "x-api-key", "keys": {SESAME: "alice"}}});
    let either = json!({"anyOf": [key, {"ip": {"allow": ["127.0.0.0/8"]}}]});
    let proxy = Proxy::start(&filter(&json!({"auth": [either, {"anyOf": [key]}]}))).await?;
    ensure!(proxy.status("/", &[]).await? == 401);
    ensure!(proxy.status("/", &[("x-api-key", "open sesame")]).await? == 200);
    Ok(())
}

/// Envoy verifies the signatures that it supports, and the filter the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_verified_for_every_algorithm() -> Result<()> {
    let issuers = ALGORITHMS.iter().map(|algorithm| Issuer::new(algorithm));
    let issuers: Vec<_> = issuers.collect::<Result<_>>()?;
    let keys: Vec<_> = issuers.iter().map(Issuer::key).collect::<Result<_>>()?;
    let jwt = json!({"jwt": {
        "issuer": "https://issuer.example",
        "audiences": ["shop"],
        "clockSkewSeconds": 5,
        "keys": keys,
        "claimsToHeaders": [{"claim": "role", "header": "x-role"}],
    }});
    let proxy = Proxy::start(&auth(&[jwt])).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({"iss": "https://issuer.example", "aud": "shop", "sub": "ann", "role": "admin", "exp": now + 600});
    for (issuer, algorithm) in issuers.iter().zip(ALGORITHMS) {
        let token = issuer.token(&claims)?;
        // Both workers see the token for the first time, and again from their caches.
        for number in 0..6 {
            let bearer = format!("Bearer {token}");
            let answer = proxy
                .get(
                    PATHS[number % 2],
                    &[("authorization", &bearer), ("x-role", "root")],
                )
                .await?;
            ensure!(answer.status == 200, "{algorithm}: {answer:?}");
            let seen = answer.seen()?;
            let told = ["x-switchyard-user", "x-switchyard-auth", "x-role"];
            let told = told.map(|name| seen.headers[name].as_str());
            ensure!(told == ["ann", "jwt", "admin"], "{algorithm}: {seen:?}");
        }
        // The signature of another token with the same key.
        let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
        let mut other = claims.clone();
        other["sub"] = "root".into();
        let forged = issuer.token(&other)?;
        let (forged, _) = forged.rsplit_once('.').unwrap_or_default();
        for bad in [
            format!("{forged}.{signature}"),
            format!("{signed}."),
            signed.to_owned(),
        ] {
            let answer = proxy
                .get("/", &[("authorization", &format!("Bearer {bad}"))])
                .await?;
            ensure!(answer.status == 401, "{algorithm} {bad}: {answer:?}");
            ensure!(
                answer.header("www-authenticate").starts_with("Bearer"),
                "{answer:?}"
            );
        }
        let mut late = claims.clone();
        late["exp"] = (now - 600).into();
        let bearer = format!("Bearer {}", issuer.token(&late)?);
        ensure!(
            proxy.status("/", &[("authorization", &bearer)]).await? == 401,
            "{algorithm}"
        );
    }
    Ok(())
}

/// Key selection works as in Envoy's jwt_authn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kid_excludes_only_keys_with_another_kid() -> Result<()> {
    let issuers = [
        Issuer::new("RS256")?,
        Issuer::new("RS256")?,
        Issuer::new("ES256")?,
    ];
    let [first, second, other] = &issuers;
    let key = |issuer: &Issuer, kid: Value| -> Result<Value> {
        let mut key = issuer.key()?;
        key["kid"] = kid;
        Ok(key)
    };
    let named = |kid: &str| json!({"alg": "RS256", "kid": kid}).to_string();
    let nameless = json!({"alg": "RS256"}).to_string();
    let two = [
        key(first, "k1".into())?,
        key(second, "k2".into())?,
        key(other, "k3".into())?,
    ];
    for (keys, tokens) in [
        (
            json!(two),
            vec![
                (first, nameless.clone(), 200),
                (second, nameless.clone(), 200),
                (first, named("k1"), 200),
                (first, named("k2"), 401),
                (first, named("k4"), 401),
                (first, named("k3"), 401),
            ],
        ),
        (
            json!([key(first, Value::Null)?]),
            vec![
                (first, nameless.clone(), 200),
                (first, named("k1"), 200),
                (second, named("k1"), 401),
                (second, nameless.clone(), 401),
            ],
        ),
    ] {
        let jwt = json!({"jwt": {"clockSkewSeconds": 5, "keys": keys}});
        let proxy = Proxy::start(&auth(&[jwt])).await?;
        for (issuer, header, want) in tokens {
            let bearer = format!("Bearer {}", issuer.signed(&header, r#"{"sub":"ann"}"#)?);
            let status = proxy.status("/", &[("authorization", &bearer)]).await?;
            ensure!(status == want, "{keys} {header}: {status}");
        }
    }
    Ok(())
}

/// Cached tokens are not trusted any more either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_keys_are_not_trusted() -> Result<()> {
    let issuer = Issuer::new("ES256")?;
    let key = issuer.key()?;
    let until =
        |seconds: u64| auth(&[json!({"jwt": {"keys": [key], "keysExpire": seconds, "clockSkewSeconds": 0}})]);
    let now = || anyhow::Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs());
    let proxy = Proxy::start(&until(now()? + 600)).await?;
    let bearer = format!("Bearer {}", issuer.token(&json!({"sub": "ann"}))?);
    let ask = async |path: &str| proxy.get(path, &[("authorization", &bearer)]).await;
    for number in 0..12 {
        let answer = ask(PATHS[number % 2]).await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    // The keys expire without an update.
    proxy.envoy.configure(&until(now()? + 2)).await?;
    wait::until("the keys are too old", async || {
        let answer = ask("/switched").await?;
        ensure!(answer.status == 503, "{answer:?}");
        Ok(())
    })
    .await?;
    let before = proxy.blue.requests();
    for number in 0..12 {
        let path = PATHS[number % 2];
        let answer = ask(path).await?;
        ensure!(answer.status == 503, "{path}: {answer:?}");
    }
    ensure!(proxy.blue.requests() == before, "the upstream was asked");
    ensure!(proxy.envoy.counted(SOURCE, "denied_keys").await? > 0);
    // Without a token, the answer is still 401.
    ensure!(proxy.status("/plain", &[]).await? == 401);
    proxy.envoy.configure(&until(now()? + 600)).await?;
    ensure!(ask("/plain").await?.status == 200);
    Ok(())
}

/// The answers of an authorization service, over HTTP and gRPC.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auth_service_admits_only_on_success() -> Result<()> {
    // The name has the format of control's clusters, which is not a valid host name.
    const CLUSTER: &str = "default/gatekeeper/80/0123456789";
    for protocol in ["http", "grpc"] {
        let gatekeeper = Gatekeeper::start().await?;
        let cluster = match protocol {
            "grpc" => Cluster::http2(CLUSTER, gatekeeper.address),
            _ => Cluster::new(CLUSTER, gatekeeper.address),
        };
        let external = json!({"external": {
            "cluster": CLUSTER,
            "protocol": protocol,
            "timeoutMs": 500,
            "responseHeaders": ["x-group"],
        }});
        let proxy = Proxy::start_beside(&auth(&[external]), &[cluster]).await?;
        for path in PATHS {
            let said = async |authorization: &str| {
                proxy
                    .get(path, &[("authorization", authorization), ("x-group", "root")])
                    .await
            };
            let yes = said("yes staff").await?;
            ensure!(yes.status == 200, "{protocol}: {yes:?}");
            ensure!(yes.seen()?.headers["x-group"] == "staff", "{protocol}: {yes:?}");
            let login = said("login").await?;
            ensure!(
                (login.status, login.header("location")) == (302, "/login"),
                "{login:?}"
            );
            ensure!(login.body == "this way\n", "{login:?}");
            for (authorization, status) in [("no", 403), ("broken", 503), ("slow", 503)] {
                let answer = said(authorization).await?;
                ensure!(answer.status == status, "{protocol} {authorization}: {answer:?}");
            }
        }
        ensure!(proxy.blue.requests() == 2, "{protocol}");
        ensure!(gatekeeper.asked() == 10, "{protocol}");
        ensure!(proxy.envoy.counted(SOURCE, "allowed").await? == 2);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_auth_service_denies_unless_on_failure_allows() -> Result<()> {
    let nobody = loopback()?;
    for protocol in ["http", "grpc"] {
        for (cluster, on_failure, want) in [
            ("nobody", "deny", 503),
            ("nobody", "allow", 200),
            ("unknown", "deny", 503),
            ("unknown", "allow", 200),
        ] {
            let external = json!({"external": {
                "cluster": cluster, "protocol": protocol, "timeoutMs": 500, "onFailure": on_failure,
            }});
            let proxy = Proxy::start_beside(&auth(&[external]), &[Cluster::http2("nobody", nobody)]).await?;
            for path in PATHS {
                let status = proxy.status(path, &[]).await?;
                ensure!(status == want, "{protocol} {cluster} {on_failure}: {status}");
            }
        }
    }
    Ok(())
}

/// A client may disconnect, and the configuration may change, while a request waits for the service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_requests_survive_resets_and_reconfiguration() -> Result<()> {
    let gatekeeper = Gatekeeper::start().await?;
    let external = |timeout: u32| {
        auth(&[json!({"external": {"cluster": "gatekeeper", "protocol": "http", "timeoutMs": timeout}})])
    };
    let clusters = [Cluster::new("gatekeeper", gatekeeper.address)];
    let proxy = Proxy::start_beside(&external(2_000), &clusters).await?;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let request = get(HOST, "/").header("authorization", "slow");
        waiting.push(tokio::spawn(once(proxy.envoy.http, request)));
    }
    wait::until("all wait", async || {
        ensure!(gatekeeper.asked() == 20);
        Ok(())
    })
    .await?;
    for request in waiting.drain(..10) {
        request.abort();
    }
    proxy.envoy.configure(&external(1_000)).await?;
    for request in waiting {
        ensure!(request.await??.status == 503);
    }
    ensure!(proxy.status("/", &[("authorization", "yes ann")]).await? == 200);
    let log = proxy.envoy.envoy.process.log()?;
    ensure!(!log.contains("panicked") && !log.contains("Function:"), "{log}");
    Ok(())
}

/// `htpasswd -nbB ann secret`, and the other formats. Slow verification does not delay other requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_checks_do_not_delay_other_requests() -> Result<()> {
    let users = json!({
        "ann": "$2y$10$e498EQckyy.8tEqYsWaqeOyJEWv45Vlk.TGRvY1bWoKKZKoEVoAmG",
        "ben": "$apr1$12345678$0lqb/6VUFP8JY/s/jTrIk0",
        "eve": "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
    });
    let basic = json!({"basic": {"realm": "staff", "users": users}});
    let mut config = auth(&[basic]);
    config["switches"]["bar.com/"]["policies"] = json!([]);
    let proxy = Proxy::start(&config).await?;
    let load = Load::new(proxy.envoy.http, HOST, "/").start().await?;
    for (credentials, want) in [
        ("YW5uOnNlY3JldA==", 200),
        ("YW5uOnNlY3JldA==", 200),
        ("YmVuOnNlY3JldA==", 200),
        ("ZXZlOnNlY3JldA==", 200),
        ("YW5uOndyb25n", 401),
        ("bm9ib2R5OnNlY3JldA==", 401),
    ] {
        let basic = format!("Basic {credentials}");
        let answer = proxy.get("/plain", &[("authorization", &basic)]).await?;
        ensure!(answer.status == want, "{credentials}: {answer:?}");
    }
    let answer = proxy.get("/plain", &[]).await?;
    ensure!(answer.status == 401, "{answer:?}");
    ensure!(
        answer
            .header("www-authenticate")
            .starts_with(r#"Basic realm="staff""#),
        "{answer:?}"
    );
    load.stop().await.all_succeeded()
}
