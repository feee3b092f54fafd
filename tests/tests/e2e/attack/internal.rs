//! Clients that send the internal headers of the proxy, the filter and upstreams.

use super::{
    Case, Credential, HOSTS, KEY, LOCKED, Message, Site, Want, asking, branch, delegate, get, guard, root, to,
};
use crate::headers::{cluster_of, internal_route_names};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use switchyard_policy::names;
use switchyard_tests::{client::Seen, echo::Echo, frames, manifests::annotated_service};

/// A value that only clients send.
const FORGED: &str = "forged";

/// All headers of Switchyard, and some that do not exist.
fn switchyard_names() -> Vec<String> {
    let known = [
        names::ROUTE,
        names::CLUSTER,
        names::BRANCH,
        names::USER,
        names::AUTH,
        "x-switchyard-mirrored",
        "x-switchyard-",
        "x-switchyard-new",
    ];
    let mirrors = (0..8).map(names::mirror);
    known.map(str::to_owned).into_iter().chain(mirrors).collect()
}

/// Envoy's headers: those that it would obey from a trusted client, and those that it sends to upstreams here. Other
/// headers with this prefix mean nothing to Envoy.
const ENVOY_NAMES: &[&str] = &[
    "x-envoy-original-path",
    "x-envoy-original-url",
    "x-envoy-original-host",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
    "x-envoy-expected-rq-timeout-ms",
];

/// The ways in which a client sends a header.
const WAYS: &[fn(&str) -> String] = &[
    |name| format!("{name}: {FORGED}\r\n"),
    |name| format!("{}: {FORGED}\r\n", name.to_uppercase()),
    |name| format!("{name}:{FORGED}\r\n{name}: {FORGED}\r\n"),
    |name| format!("{name}:\r\n {FORGED}\r\n"),
    |name| format!("Connection: {name}\r\n{name}: {FORGED}\r\n"),
    |name| format!("TE: trailers\r\nTrailer: {name}\r\n{name}: {FORGED}\r\n"),
];

/// The headers that only the proxy may set.
fn names() -> Vec<String> {
    let envoys = ENVOY_NAMES.iter().map(|name| (*name).to_owned());
    switchyard_names().into_iter().chain(envoys).collect()
}

fn attempts() -> Vec<String> {
    let names = names();
    names
        .iter()
        .flat_map(|name| WAYS.iter().map(move |way| way(name)))
        .collect()
}

/// Checks that no value is from the client, and that the identity headers are those of the check.
fn is_unharmed(seen: &Seen, user: Option<&str>) -> Result<()> {
    let mut values = seen.headers.values().chain(seen.trailers.values());
    ensure!(!values.any(|value| value.contains(FORGED)), "{seen:?}");
    let header = |name: &str| seen.headers.get(name).map(String::as_str);
    ensure!(header(names::USER) == user, "{seen:?}");
    ensure!(header(names::AUTH) == user.map(|_| "apiKey"), "{seen:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_internal_headers_do_not_reach_upstream() -> Result<()> {
    let site = Site::start().await?;
    let mut wrong = Vec::new();
    for lines in attempts() {
        let open = HOSTS.map(|host| (get(host, "/", &lines), None));
        let entitled = LOCKED.map(|host| (get(host, "/", &lines).with(&KEY), Some("alice")));
        for (message, user) in open.into_iter().chain(entitled) {
            let seen = site.ask(&message).await?.seen();
            if let Err(error) = seen.and_then(|seen| is_unharmed(&seen, user)) {
                wrong.push(format!("{lines:?}: {error:#}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_internal_headers_do_not_bypass_auth() -> Result<()> {
    let cases: Vec<_> = HOSTS.iter().flat_map(|host| cases(host)).collect();
    Site::start().await?.holds(&cases).await
}

pub(super) fn cases(host: &str) -> impl Iterator<Item = Case> {
    let spelled = [
        ("X_Switchyard_User", Want::Refused),
        ("X-Switchyard_User", Want::Refused),
        ("X-Switchyard-User ", Want::Refused),
        ("X-Switchyard--User", Want::Asked("/admin")),
        ("X.Switchyard.User", Want::Asked("/admin")),
    ];
    let spelled = spelled.map(|(name, want)| (format!("{name}: alice\r\n"), want));
    let attempts = attempts().into_iter().map(|lines| (lines, Want::Asked("/admin")));
    attempts.chain(spelled).map(move |(lines, want)| Case {
        what: format!("{host} {lines:?}"),
        control: get(host, "/admin", ""),
        attack: get(host, "/admin", &lines),
        credential: KEY,
        want,
    })
}

/// Tries to steer a request for an open path to the vault, or to an internal route towards it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_headers_do_not_steer_routing() -> Result<()> {
    let site = Site::start().await?;
    let cluster = cluster_of(&site.world, "vault").await?;
    let mut steering = vec![
        "x-envoy-original-path: /admin\r\nx-original-url: /admin\r\nx-rewrite-url: /admin\r\n".to_owned(),
        "x-http-method-override: PUT\r\nx-forwarded-prefix: /admin\r\nx-forwarded-uri: /admin\r\n".to_owned(),
        format!(
            "x-forwarded-host: {}\r\nx-forwarded-proto: https\r\nx-forwarded-port: 443\r\n",
            LOCKED[0]
        ),
    ];
    for route in internal_route_names(&site.world).await? {
        let lines = format!("x-switchyard-route: {route}\r\nx-switchyard-cluster: {cluster}\r\n");
        steering.extend([format!("Connection: x-switchyard-route\r\n{lines}"), lines]);
    }
    let cases = steering.iter().flat_map(|lines| {
        HOSTS.map(|host| Case {
            what: format!("{host} {lines:?}"),
            control: get(host, "/admin", ""),
            attack: get(host, "/", lines),
            credential: KEY,
            want: Want::Open("/"),
        })
    });
    site.holds(&cases.collect::<Vec<_>>()).await
}

/// Clients may nominate hop-by-hop headers in `Connection`. Those are removed from the client's request first, so that
/// headers set later stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_header_does_not_remove_identity_headers() -> Result<()> {
    let site = Site::start().await?;
    for nominated in [
        "x-switchyard-user, x-switchyard-auth",
        "X-Switchyard-User,X-Switchyard-Auth",
        "x-switchyard-cluster, x-switchyard-route",
    ] {
        for host in LOCKED {
            let message = get(host, "/", &format!("Connection: {nominated}\r\n"));
            let seen = site.ask(&message.with(&KEY)).await?.seen()?;
            is_unharmed(&seen, Some("alice")).with_context(|| nominated)?;
            let told = ["host", "x-forwarded-for", "x-forwarded-proto", "x-request-id"];
            ensure!(
                told.iter().all(|name| seen.headers.contains_key(*name)),
                "{nominated}: {seen:?}"
            );
            ensure!(seen.headers["host"] == host, "{nominated}: {seen:?}");
            ensure!(!seen.headers.contains_key("connection"), "{nominated}: {seen:?}");
        }
    }
    let Credential(name, value) = KEY;
    let lines = [
        "X-Api-Key",
        "host",
        "x-forwarded-for",
        "x-forwarded-proto",
        ":path",
        ":authority",
    ]
    .map(|nominated| format!("Connection: {nominated}\r\n{name}: {value}\r\n"));
    let cases = lines.iter().flat_map(|lines| {
        LOCKED.map(|host| Case {
            what: format!("{host} {lines:?}"),
            control: get(host, "/", ""),
            attack: get(host, "/", lines),
            credential: KEY,
            want: Want::Denied,
        })
    });
    site.holds(&cases.collect::<Vec<_>>()).await
}

/// The annotation of a Service with HTTP/2, which supports trailers.
const H2C: &[(&str, &str)] = &[("contour.heptio.com/upstream-protocol.h2c", "80")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_do_not_carry_internal_headers() -> Result<()> {
    let h2c = Echo::start("h2c").await?;
    let door = |fqdn: &str, service: &str| {
        let host = asking(json!({"fqdn": fqdn}), guard());
        root(fqdn, &host, &json!([to(service, "/")]))
    };
    let manifests = annotated_service("default", "h2c", &[h2c.address], H2C)
        + &door("h2c.bar.com", "h2c")
        + &root(
            "h2c-switched",
            &asking(json!({"fqdn": "h2c-switched.bar.com"}), guard()),
            &json!([delegate("h2c", "/")]),
        )
        + &branch("h2c", &json!([to("h2c", "/")]));
    let site = Site::start_with(|builder| builder.manifest("h2c.yaml", &manifests)).await?;
    let hosts = ["h2c.bar.com", "h2c-switched.bar.com"];
    site.guards(&hosts).await?;
    for host in hosts {
        for name in names() {
            let request = frames::Request {
                body: b"body".to_vec(),
                trailers: frames::fields(&[(&name, FORGED)]),
                ..frames::Request::get(host, "/").with(&[("x-api-key", "open sesame"), ("te", "trailers")])
            };
            let seen = site.ask(&Message::Frames(request)).await?.seen()?;
            is_unharmed(&seen, Some("alice")).with_context(|| format!("{host} {name}"))?;
            ensure!(
                seen.trailers.is_empty() && seen.body_bytes == 4,
                "{host} {name}: {seen:?}"
            );
        }
    }
    Ok(())
}
