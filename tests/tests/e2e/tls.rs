//! TLS at the edge: certificates, accepted clients, and the destinations of passthrough connections.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr};
use switchyard_tests::{
    client::{Answer, Connection, get},
    echo::Echo,
    manifests::{ingress_route, leaf, object, service, tls_secret},
    tls::{Authority, Certificate},
    wait::{PATIENCE, until},
    world::{Builder, Source, World},
};
use tokio::time::timeout;

use crate::scenarios;

scenarios![
    tls_is_terminated_and_plain_http_redirected,
    tls_version_below_the_minimum_is_rejected,
    renewed_certificate_keeps_open_connections,
    missing_secret_takes_the_tls_host_down,
    mismatched_key_takes_the_tls_host_down,
    certificate_of_another_namespace_needs_delegation,
    passthrough_forwards_the_encrypted_connection,
    ineffective_setting_takes_its_routes_down,
    affinity_cookie_is_secure_only_over_tls,
    tcpproxy_with_certificate_forwards_decrypted_data,
    tcpproxy_balances_connections_by_weight,
    known_tls_host_is_served_while_control_is_down,
];

const HOST: &str = "secure.bar.com";

/// A root with TLS that delegates `/` to a branch, and also serves `/open` over plain HTTP.
fn root(tls: &str) -> String {
    format!(
        "apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata:
  namespace: default
  name: secure
spec:
  virtualhost:
    fqdn: {HOST}
    tls:
      {tls}
  routes:
  - match: /
    delegate:
      name: blue
  - match: /open
    permitInsecure: true
    services:
    - name: blue
      port: 80
"
    )
}

struct Secure {
    world: World,
    authority: Authority,
    certificate: Certificate,
    _blue: Echo,
}

impl Secure {
    async fn start(source: Source, tls: &str) -> Result<Self> {
        let authority = Authority::new()?;
        let certificate = authority.issue(HOST)?;
        let blue = Echo::start("blue").await?;
        let world = Builder::new(source)?
            .manifest("root.yaml", &root(tls))?
            .manifest("secret.yaml", &tls_secret("default", "secure", &certificate))?
            .manifest("blue.yaml", &leaf("default", "blue", "/", "blue"))?
            .manifest("service.yaml", &service("default", "blue", &[blue.address]))?
            .start()
            .await?;
        let secure = Self {
            world,
            authority,
            certificate,
            _blue: blue,
        };
        until("TLS is served", async || secure.get("/").await).await?;
        Ok(secure)
    }

    async fn open(&self) -> Result<Connection> {
        Connection::over(self.authority.connect(self.world.https(), HOST).await?).await
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        let answer = self.open().await?.send(get(HOST, path)).await?;
        ensure!(answer.backend() == "blue", "{answer:?}");
        Ok(answer)
    }

    /// Waits until nothing is served over TLS, and checks that nothing is served over plain HTTP either.
    async fn goes_down(&self) -> Result<()> {
        let Self { world, authority, .. } = self;
        until("TLS is down", async || {
            let refused = match authority.connect(world.https(), HOST).await {
                Err(_) => true,
                Ok(stream) => Connection::over(stream).await?.send(get(HOST, "/")).await?.status >= 400,
            };
            ensure!(refused);
            Ok(())
        })
        .await?;
        let answer = world.get(HOST, "/").await?;
        ensure!(answer.backend().is_empty(), "{answer:?}");
        Ok(())
    }

    /// Waits until this certificate is presented to new connections.
    async fn presents(&self, certificate: &Certificate) -> Result<()> {
        until("the certificate is presented", async || {
            let stream = self.authority.connect(self.world.https(), HOST).await?;
            ensure!(certificate.was_presented(&stream));
            Ok(())
        })
        .await
    }
}

async fn tls_is_terminated_and_plain_http_redirected(source: Source) -> Result<()> {
    let secure = Secure::start(source, "secretName: secure").await?;
    secure.presents(&secure.certificate).await?;
    let answer = secure.world.get(HOST, "/x?y=z").await?;
    ensure!(answer.status == 301, "{answer:?}");
    ensure!(
        answer.header("location") == format!("https://{HOST}/x?y=z"),
        "{answer:?}"
    );
    let answer = secure.world.get(HOST, "/open/x").await?;
    ensure!(answer.backend() == "blue", "{answer:?}");
    ensure!(
        secure
            .authority
            .connect(secure.world.https(), "unknown.bar.com")
            .await
            .is_err()
    );
    Ok(())
}

async fn tls_version_below_the_minimum_is_rejected(source: Source) -> Result<()> {
    let secure = Secure::start(
        source,
        "secretName: secure\n      minimumProtocolVersion: \"1.3\"",
    )
    .await?;
    let Secure { world, authority, .. } = &secure;
    authority
        .connect_with(world.https(), HOST, &[&rustls::version::TLS13])
        .await?;
    ensure!(
        authority
            .connect_with(world.https(), HOST, &[&rustls::version::TLS12])
            .await
            .is_err()
    );
    world.write(
        "root.yaml",
        &root("secretName: secure\n      minimumProtocolVersion: \"1.2\""),
    )?;
    until("TLS 1.2 is let in", async || {
        authority
            .connect_with(world.https(), HOST, &[&rustls::version::TLS12])
            .await
    })
    .await?;
    Ok(())
}

/// The attributes of the affinity cookie in an answer.
fn affinity(answer: &Answer) -> Result<String> {
    let cookies = answer.all("set-cookie");
    let named = cookies
        .iter()
        .find_map(|cookie| cookie.strip_prefix("X-Contour-Session-Affinity="));
    let (_, attributes) = named
        .and_then(|cookie| cookie.split_once("; "))
        .with_context(|| format!("no cookie: {answer:?}"))?;
    Ok(attributes.to_owned())
}

async fn affinity_cookie_is_secure_only_over_tls(source: Source) -> Result<()> {
    let secure = Secure::start(source, "secretName: secure").await?;
    let world = &secure.world;
    let with_cookie = "      port: 80\n      strategy: Cookie\n";
    for (file, text) in [
        ("root.yaml", root("secretName: secure")),
        ("blue.yaml", leaf("default", "blue", "/", "blue")),
    ] {
        world.write(file, &text.replace("      port: 80\n", with_cookie))?;
    }
    // Below a switch and on a plain route; the latter also without TLS.
    for path in ["/", "/open"] {
        until("the cookie is secure", async || {
            let attributes = affinity(&secure.get(path).await?)?;
            ensure!(
                attributes == "Path=/; SameSite=Lax; Secure; HttpOnly",
                "{path}: {attributes}"
            );
            Ok(())
        })
        .await?;
    }
    let attributes = affinity(&world.get(HOST, "/open").await?)?;
    ensure!(attributes == "Path=/; SameSite=Lax; HttpOnly", "{attributes}");
    Ok(())
}

/// Each of these settings was once ignored, and its routes served without it.
async fn ineffective_setting_takes_its_routes_down(source: Source) -> Result<()> {
    let secure = Secure::start(source, "secretName: secure").await?;
    let world = &secure.world;
    let host = |tls: Value, service: Value| {
        let routes = json!([{"match": "/", "permitInsecure": true, "services": [service]}]);
        let virtualhost = json!({"fqdn": HOST, "tls": tls});
        ingress_route("secure", &json!({"virtualhost": virtualhost, "routes": routes}))
    };
    let service = json!({"name": "blue", "port": 80});
    let mut verified = service.clone();
    verified["validation"] = json!({"caSecret": "no-such-secret", "subjectName": "blue.bar.com"});
    for (tls, service, field) in [
        (
            json!({"passthrough": true}),
            &service,
            "spec.virtualhost.tls.passthrough",
        ),
        (
            json!({"passthrough": true, "secretName": "secure"}),
            &service,
            "spec.virtualhost.tls.passthrough",
        ),
        (
            json!({"secretName": "secure"}),
            &verified,
            "spec.routes[0].services[0].validation",
        ),
    ] {
        world.write("root.yaml", &host(tls, service.clone()))?;
        world.status(HOST, "/", 503).await.with_context(|| field)?;
        secure.goes_down().await.with_context(|| field)?;
        let told = world.ask("check", &[]).await?.stdout;
        ensure!(told.contains(field), "{field}: {told}");
        world.write("root.yaml", &root("secretName: secure"))?;
        until("TLS is served again", async || secure.get("/").await).await?;
    }
    // The API server would reject this.
    if let Source::Directory = source {
        let tls = json!({"secretName": "secure", "minimumProtocolVersion": "TLS1.3"});
        world.write("root.yaml", &host(tls, service))?;
        secure.goes_down().await?;
        world.status(HOST, "/", 503).await?;
    }
    Ok(())
}

async fn renewed_certificate_keeps_open_connections(source: Source) -> Result<()> {
    let secure = Secure::start(source, "secretName: secure").await?;
    let mut connection = secure.open().await?;
    connection.send(get(HOST, "/")).await?;
    let renewed = secure.authority.issue(HOST)?;
    secure
        .world
        .write("secret.yaml", &tls_secret("default", "secure", &renewed))?;
    secure.presents(&renewed).await?;
    let answer = connection.send(get(HOST, "/")).await?;
    ensure!(answer.backend() == "blue", "{answer:?}");
    Ok(())
}

async fn missing_secret_takes_the_tls_host_down(source: Source) -> Result<()> {
    let secure = Secure::start(source, "secretName: secure").await?;
    secure
        .world
        .write("root.yaml", &root("secretName: no-such-secret"))?;
    secure.goes_down().await
}

async fn mismatched_key_takes_the_tls_host_down(source: Source) -> Result<()> {
    let secure = Secure::start(source, "secretName: secure").await?;
    let other = secure.authority.issue(HOST)?;
    let pair = json!({"tls.crt": secure.certificate.chain, "tls.key": other.key});
    let mixed = json!({"type": "kubernetes.io/tls", "stringData": pair});
    let world = &secure.world;
    world.write("mixed.yaml", &object("v1", "Secret", "mixed", mixed))?;
    world.write("root.yaml", &root("secretName: mixed"))?;
    secure.goes_down().await?;
    let checked = world.ask("check", &[]).await?;
    let told =
        "TLS Secret \"mixed\" is invalid: \"tls.key\" does not belong to the certificate in \"tls.crt\"";
    ensure!(
        checked.code == Some(1) && checked.text().contains(told),
        "{checked:?}"
    );
    Ok(())
}

async fn certificate_of_another_namespace_needs_delegation(source: Source) -> Result<()> {
    let secure = Secure::start(source, "secretName: secure").await?;
    let Secure { world, authority, .. } = &secure;
    let other = authority.issue(HOST)?;
    world.write("other.yaml", &tls_secret("certs", "wildcard", &other))?;
    world.write("root.yaml", &root("secretName: certs/wildcard"))?;
    until("it may not be used", async || {
        ensure!(authority.connect(world.https(), HOST).await.is_err());
        Ok(())
    })
    .await?;
    let delegation = "apiVersion: contour.heptio.com/v1beta1
kind: TLSCertificateDelegation
metadata: {namespace: certs, name: wildcard}
spec:
  delegations:
  - secretName: wildcard
    targetNamespaces: [elsewhere, default]
";
    world.write("delegation.yaml", delegation)?;
    secure.presents(&other).await?;
    secure.get("/").await?;
    Ok(())
}

const LATE: &str = "late.bar.com";

/// Another host with TLS, to the same backend.
fn late(authority: &Authority) -> Result<String> {
    let spec = json!({
        "virtualhost": {"fqdn": LATE, "tls": {"secretName": "late"}},
        "routes": [{"match": "/", "services": [{"name": "blue", "port": 80}]}],
    });
    Ok(ingress_route("late", &spec) + &tls_secret("default", "late", &authority.issue(LATE)?))
}

async fn known_tls_host_is_served_while_control_is_down(source: Source) -> Result<()> {
    let mut secure = Secure::start(source, "secretName: secure").await?;
    secure.world.write("late.yaml", &late(&secure.authority)?)?;
    until("the host's routes are there", async || {
        ensure!(secure.world.get(LATE, "/").await?.status == 301);
        Ok(())
    })
    .await?;

    secure.world.control.process.kill().await?;
    for _ in 0..20 {
        secure.get("/").await?;
    }
    // Envoy requests a certificate at its first use, and control is not there to answer.
    let refused = secure.authority.connect(secure.world.https(), LATE);
    ensure!(timeout(PATIENCE, refused).await?.is_err());
    secure.get("/").await?;

    secure.world.control.restart().await?;
    until("the host is served", async || {
        secure.authority.connect(secure.world.https(), LATE).await
    })
    .await?;
    Ok(())
}

/// A root whose TLS connections are routed to a Service.
fn tcp_root(tls: &str) -> String {
    format!(
        "apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata: {{namespace: default, name: tcp}}
spec:
  virtualhost:
    fqdn: tcp.bar.com
    tls: {{{tls}}}
  tcpproxy:
    services: [{{name: tcp, port: 80}}]
"
    )
}

async fn tcp_world(source: Source, tls: &str, backend: SocketAddr, files: &str) -> Result<World> {
    Builder::new(source)?
        .manifest("root.yaml", &tcp_root(tls))?
        .manifest("service.yaml", &(service("default", "tcp", &[backend]) + files))?
        .start()
        .await
}

async fn tcp_get(world: &World, authority: &Authority) -> Result<(Answer, bool)> {
    let stream = authority.connect(world.https(), "tcp.bar.com").await?;
    let answer = Connection::over(stream)
        .await?
        .send(get("tcp.bar.com", "/"))
        .await?;
    let proxied = answer.seen()?.headers.contains_key("x-forwarded-proto");
    Ok((answer, proxied))
}

async fn passthrough_forwards_the_encrypted_connection(source: Source) -> Result<()> {
    let authority = Authority::new()?;
    let certificate = authority.issue("tcp.bar.com")?;
    let backend = Echo::start_tls("tls-backend", certificate.acceptor()?).await?;
    let world = &tcp_world(source, "passthrough: true", backend.address, "").await?;
    let (answer, proxied) = until("it is handed on", async || tcp_get(world, &authority).await).await?;
    ensure!(answer.backend() == "tls-backend" && !proxied, "{answer:?}");
    let stream = authority.connect(world.https(), "tcp.bar.com").await?;
    ensure!(
        certificate.was_presented(&stream),
        "another certificate than the backend's"
    );
    Ok(())
}

async fn tcpproxy_with_certificate_forwards_decrypted_data(source: Source) -> Result<()> {
    let authority = Authority::new()?;
    let certificate = authority.issue("tcp.bar.com")?;
    let backend = Echo::start("tcp-backend").await?;
    let secret = tls_secret("default", "tcp", &certificate);
    let world = &tcp_world(source, "secretName: tcp", backend.address, &secret).await?;
    let (answer, proxied) = until("it is handed on", async || tcp_get(world, &authority).await).await?;
    ensure!(answer.backend() == "tcp-backend" && !proxied, "{answer:?}");
    let stream = authority.connect(world.https(), "tcp.bar.com").await?;
    ensure!(
        certificate.was_presented(&stream),
        "another certificate than the Secret's"
    );
    Ok(())
}

/// The Services of a tcpproxy, as backend names with weights.
const SHARES: [(&str, u32); 2] = [("most", 3), ("few", 1)];

async fn weighted_tcp_world(
    source: Source,
    tls: Value,
    backends: [SocketAddr; 2],
    files: &str,
) -> Result<World> {
    let shares = SHARES.map(|(name, weight)| json!({"name": name, "port": 80, "weight": weight}));
    let spec = json!({
        "virtualhost": {"fqdn": "tcp.bar.com", "tls": tls},
        "tcpproxy": {"services": shares},
    });
    let services = SHARES
        .iter()
        .zip(backends)
        .map(|((name, _), backend)| service("default", name, &[backend]));
    Builder::new(source)?
        .manifest("root.yaml", &ingress_route("tcp", &spec))?
        .manifest("services.yaml", &(services.collect::<String>() + files))?
        .start()
        .await
}

async fn tcpproxy_balances_connections_by_weight(source: Source) -> Result<()> {
    let authority = Authority::new()?;
    let certificate = authority.issue("tcp.bar.com")?;
    let [most, few] = SHARES.map(|(name, _)| name);
    let tls = [
        Echo::start_tls(most, certificate.acceptor()?).await?,
        Echo::start_tls(few, certificate.acceptor()?).await?,
    ];
    let plain = [Echo::start(most).await?, Echo::start(few).await?];
    let secret = tls_secret("default", "tcp", &certificate);
    for (mode, backends, files) in [
        (json!({"passthrough": true}), &tls, ""),
        (json!({"secretName": "tcp"}), &plain, secret.as_str()),
    ] {
        let addresses = [0, 1].map(|n| backends[n].address);
        let world = weighted_tcp_world(source, mode.clone(), addresses, files).await?;
        let tally = tcp_tally(&world, &authority).await?;
        // The bounds are six standard deviations from 50, exceeded once in 100 million runs.
        ensure!(
            (14..=86).contains(tally.get(few).unwrap_or(&0)),
            "{mode}: {tally:?}"
        );
    }
    Ok(())
}

/// The number of connections by backend, for 200 connections.
async fn tcp_tally(world: &World, authority: &Authority) -> Result<BTreeMap<String, usize>> {
    until("it is handed on", async || tcp_get(world, authority).await).await?;
    let mut tally = BTreeMap::new();
    for _ in 0..200 {
        let (answer, _) = tcp_get(world, authority).await?;
        *tally.entry(answer.backend().to_owned()).or_default() += 1;
    }
    Ok(tally)
}
