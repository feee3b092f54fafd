//! TLS at the edge: who is let in, with which certificate, and where undecrypted connections go.

use anyhow::{Result, ensure};
use std::net::SocketAddr;
use switchyard_tests::{
    client::{Answer, Connection, get},
    echo::Echo,
    manifests::{leaf, service, tls_secret},
    tls::{Authority, Certificate},
    wait::until,
    world::{Builder, Source, World},
};

use crate::scenarios;

scenarios![
    tls_is_terminated_and_plain_http_redirected,
    a_version_below_the_minimum_is_refused,
    a_renewed_certificate_is_presented_and_no_connection_lost,
    a_bad_secret_takes_tls_down_and_never_serves_in_plain,
    a_certificate_of_another_namespace_needs_a_delegation,
    passthrough_hands_on_the_connection_undecrypted,
    a_tcpproxy_with_a_certificate_hands_on_what_it_decrypted,
];

const HOST: &str = "secure.bar.com";

/// A root with TLS, `/` to a branch and `/open` in plain HTTP, too.
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

    /// Waits until new connections are presented this certificate.
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

async fn a_version_below_the_minimum_is_refused(source: Source) -> Result<()> {
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

async fn a_renewed_certificate_is_presented_and_no_connection_lost(source: Source) -> Result<()> {
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

async fn a_bad_secret_takes_tls_down_and_never_serves_in_plain(source: Source) -> Result<()> {
    let secure = Secure::start(source, "secretName: secure").await?;
    let Secure { world, authority, .. } = &secure;
    world.write("root.yaml", &root("secretName: no-such-secret"))?;
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

async fn a_certificate_of_another_namespace_needs_a_delegation(source: Source) -> Result<()> {
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

/// A root whose TLS connections go to a service.
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

async fn passthrough_hands_on_the_connection_undecrypted(source: Source) -> Result<()> {
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

async fn a_tcpproxy_with_a_certificate_hands_on_what_it_decrypted(source: Source) -> Result<()> {
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
