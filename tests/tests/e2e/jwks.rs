//! JWK sets: their sources, and the effect on tokens when they change or cannot be fetched.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use switchyard_tests::{
    client::{get, once},
    echo::{Echo, any_port},
    manifests::{ingress_route, object, service},
    server::Server,
    tokens,
    wait::until,
    world::{Builder, Source, World},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use crate::scenarios;

scenarios![
    route_answers_503_until_keys_are_fetched,
    adding_a_token_check_never_answers_503,
    control_does_not_fetch_keys_from_metadata_addresses,
    rotated_out_key_is_not_trusted,
];

const HOST: &str = "tokens.bar.com";
/// The number of requests per check, each on a new connection, so that both workers get some.
const REQUESTS: usize = 16;

/// A server for a JWK set with a delay. Its answers may be cached for a second.
struct Issuer {
    server: Server,
    desk: Arc<Desk>,
}

#[derive(Default)]
struct Desk {
    /// None makes the server answer 503.
    set: Mutex<Option<String>>,
    asked: AtomicUsize,
}

// === impl Issuer ===

impl Issuer {
    async fn start(delay: Duration) -> Result<Self> {
        let desk = Arc::<Desk>::default();
        let of_all = Arc::clone(&desk);
        let server = Server::start(any_port(), move |stream| {
            let desk = Arc::clone(&of_all);
            async move {
                sleep(delay).await;
                desk.answer(stream).await.unwrap_or_default();
            }
        });
        Ok(Self {
            server: server.await?,
            desk,
        })
    }

    fn uri(&self) -> String {
        format!("http://{}/jwks", self.server.address)
    }

    fn has(&self, set: Option<String>) {
        *self.desk.set.lock().unwrap_or_else(PoisonError::into_inner) = set;
    }

    /// Waits until a fetch that started after this call has been answered.
    async fn is_asked_again(&self) -> Result<()> {
        let before = self.desk.asked.load(Relaxed);
        until("the issuer is asked again", async || {
            ensure!(self.desk.asked.load(Relaxed) >= before + 2);
            Ok(())
        })
        .await
    }
}

// === impl Desk ===

impl Desk {
    async fn answer(&self, mut stream: TcpStream) -> Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        self.asked.fetch_add(1, Relaxed);
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (status, body) = match set {
            Some(set) => ("200 OK", set),
            None => ("503 Service Unavailable", String::new()),
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\ncache-control: max-age=1\r\n\r\n{body}"
        );
        Ok(stream.write_all(answer.as_bytes()).await?)
    }
}

/// A signer's JWK set, and a token.
struct Signer {
    set: String,
    token: String,
}

impl Signer {
    /// A new key. All keys have the same name.
    fn new() -> Result<Self> {
        let issuer = tokens::Issuer::new("ES256")?;
        Ok(Self {
            set: json!({"keys": [issuer.jwk()?]}).to_string(),
            token: issuer.token(&json!({"sub": "ann"}))?,
        })
    }
}

/// A host that requires tokens by these keys, or no tokens.
fn root(name: &str, jwks: Option<&Value>) -> String {
    let auth: Vec<_> = jwks.iter().map(|jwks| json!({"jwt": {"jwks": jwks}})).collect();
    ingress_route(
        name,
        &json!({
            "virtualhost": {"fqdn": format!("{name}.bar.com"), "auth": auth},
            "routes": [{"match": "/", "services": [{"name": "web", "port": 80}]}],
        }),
    )
}

async fn start(source: Source, web: &Echo, roots: &str) -> Result<World> {
    Builder::new(source)?
        .manifest("web.yaml", &service("default", "web", &[web.address]))?
        .manifest("root.yaml", roots)?
        // The issuers of these tests are on loopback, unlike those of a cluster.
        .flag("--jwks-allow-addresses=127.0.0.0/8")
        .flag("--jwks-min-refresh=100ms")
        .start()
        .await
}

fn by(uri: &str) -> String {
    root("tokens", Some(&json!({"uri": uri})))
}

async fn status_with(world: &World, host: &str, token: &str) -> Result<u16> {
    let request = get(host, "/").header("authorization", format!("Bearer {token}"));
    Ok(once(world.http(), request).await?.status)
}

/// The statuses of several requests with a token.
async fn statuses(world: &World, host: &str, token: &str) -> Result<BTreeSet<u16>> {
    let mut statuses = BTreeSet::new();
    for _ in 0..REQUESTS {
        statuses.insert(status_with(world, host, token).await?);
    }
    Ok(statuses)
}

/// Waits until all requests with a token have this status, on both workers.
async fn comes_to(world: &World, host: &str, token: &str, want: u16) -> Result<()> {
    until(&format!("{host} answers {want}"), async || {
        let statuses = statuses(world, host, token).await?;
        ensure!(statuses == BTreeSet::from([want]), "{statuses:?}");
        Ok(())
    })
    .await
}

async fn graph(world: &World) -> Result<Value> {
    let answer = once(world.control.options.admin, get("admin", "/debug/graph")).await?;
    Ok(serde_json::from_slice(&answer.body)?)
}

async fn route_answers_503_until_keys_are_fetched(source: Source) -> Result<()> {
    let web = Echo::start("web").await?;
    let (issuer, signer) = (Issuer::start(Duration::ZERO).await?, Signer::new()?);
    let world = start(source, &web, &by(&issuer.uri())).await?;
    world.status(HOST, "/", 503).await?;
    let told = graph(&world).await?.to_string();
    let want = format!("no keys from {}: status 503", issuer.uri());
    ensure!(told.contains(&want), "{told}");
    ensure!(status_with(&world, HOST, &signer.token).await? == 503);
    ensure!(web.requests() == 0, "the upstream was asked");
    issuer.has(Some(signer.set.clone()));
    world.status(HOST, "/", 401).await?;
    comes_to(&world, HOST, &signer.token, 200).await?;
    // The last valid keys stay in use.
    issuer.has(None);
    world.write("other.yaml", &service("default", "other", &[]))?;
    issuer.is_asked_again().await?;
    ensure!(statuses(&world, HOST, &signer.token).await? == BTreeSet::from([200]));
    let told = graph(&world).await?.to_string();
    ensure!(!told.contains("no keys from"), "{told}");
    Ok(())
}

async fn adding_a_token_check_never_answers_503(source: Source) -> Result<()> {
    let web = Echo::start("web").await?;
    let issuer = Issuer::start(Duration::from_secs(1)).await?;
    issuer.has(Some(Signer::new()?.set));
    let world = start(source, &web, &root("tokens", None)).await?;
    world.status(HOST, "/", 200).await?;
    let http = world.http();
    let asking = tokio::spawn(async move {
        let mut statuses = BTreeSet::new();
        while !statuses.contains(&401) {
            statuses.insert(once(http, get(HOST, "/")).await?.status);
        }
        anyhow::Ok(statuses)
    });
    world.write("root.yaml", &by(&issuer.uri()))?;
    let statuses = tokio::time::timeout(switchyard_tests::wait::PATIENCE, asking).await;
    let statuses = statuses.context("no token is ever asked for")???;
    ensure!(statuses == BTreeSet::from([200, 401]), "{statuses:?}");
    Ok(())
}

async fn control_does_not_fetch_keys_from_metadata_addresses(source: Source) -> Result<()> {
    let web = Echo::start("web").await?;
    let world = start(source, &web, &by("http://169.254.169.254/latest/meta-data/iam")).await?;
    world.status(HOST, "/", 503).await?;
    until("the status says why", async || {
        let told = graph(&world).await?.to_string();
        ensure!(
            told.contains("169.254.169.254 is a loopback, link-local or otherwise restricted address"),
            "{told}"
        );
        Ok(())
    })
    .await
}

/// This includes tokens that a worker has cached as valid.
async fn rotated_out_key_is_not_trusted(source: Source) -> Result<()> {
    const HOSTS: [&str; 3] = ["secret.bar.com", "inline.bar.com", "uri.bar.com"];
    let web = Echo::start("web").await?;
    let issuer = Issuer::start(Duration::ZERO).await?;
    let signers = [Signer::new()?, Signer::new()?];
    let roots = |signer: &Signer| {
        root("secret", Some(&json!({"secretName": "keys"})))
            + &root("inline", Some(&json!({"inline": signer.set})))
            + &root("uri", Some(&json!({"uri": issuer.uri()})))
            + &object(
                "v1",
                "Secret",
                "keys",
                json!({"stringData": {"jwks": signer.set}}),
            )
    };
    let [first, second] = &signers;
    issuer.has(Some(first.set.clone()));
    let world = start(source, &web, &roots(first)).await?;
    for (believed, other) in [(first, second), (second, first)] {
        issuer.has(Some(believed.set.clone()));
        world.write("root.yaml", &roots(believed))?;
        for host in HOSTS {
            comes_to(&world, host, &believed.token, 200).await?;
            comes_to(&world, host, &other.token, 401).await?;
            let before = web.requests();
            ensure!(statuses(&world, host, &other.token).await? == BTreeSet::from([401]));
            ensure!(web.requests() == before, "{host}: the upstream was asked");
        }
    }
    Ok(())
}
