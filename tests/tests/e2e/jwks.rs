//! Sets of keys that IngressRoutes name by URI. What tokens come to is told elsewhere: here, that a route asks for one
//! (401) says that it has keys.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use switchyard_tests::{
    client::{get, once},
    echo::{Echo, any_port},
    manifests::{ingress_route, service},
    wait::until,
    world::{Builder, Source, World},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

use crate::scenarios;

scenarios![
    a_route_whose_issuer_is_away_is_out_of_order_until_it_is_back,
    a_route_that_begins_to_ask_for_tokens_is_never_out_of_order,
    control_fetches_nothing_from_where_clouds_tell_secrets,
];

const HOST: &str = "tokens.bar.com";
/// A P-256 key (RFC 7517, A.1).
const KEYS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "kid": "1",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

/// Gives its keys while it is well, a while after it was asked.
struct Issuer {
    address: SocketAddr,
    well: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

// === impl Issuer ===

impl Issuer {
    async fn start(delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind(any_port()).await?;
        let address = listener.local_addr()?;
        let well = Arc::new(AtomicBool::new(true));
        let is_well = Arc::clone(&well);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let is_well = is_well.load(Relaxed);
                tokio::spawn(async move {
                    sleep(delay).await;
                    answer(stream, is_well).await.unwrap_or_default();
                });
            }
        });
        Ok(Self {
            address,
            well,
            accepting,
        })
    }

    fn uri(&self) -> String {
        format!("http://{}/jwks", self.address)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(mut stream: TcpStream, is_well: bool) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let (status, body) = if is_well {
        ("200 OK", KEYS)
    } else {
        ("503 Service Unavailable", "")
    };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
    Ok(stream.write_all(answer.as_bytes()).await?)
}

/// A host that asks for tokens of an issuer, or for nothing.
fn root(uri: Option<&str>) -> String {
    let auth: Vec<_> = uri
        .iter()
        .map(|uri| json!({"jwt": {"jwks": {"uri": uri}}}))
        .collect();
    ingress_route(
        "tokens",
        &json!({
            "virtualhost": {"fqdn": HOST, "auth": auth},
            "routes": [{"match": "/", "services": [{"name": "web", "port": 80}]}],
        }),
    )
}

async fn start(source: Source, web: &Echo, uri: Option<&str>) -> Result<World> {
    Builder::new(source)?
        .manifest("web.yaml", &service("default", "web", &[web.address]))?
        .manifest("root.yaml", &root(uri))?
        // Of the scenarios, not of a cluster: there, issuers are elsewhere.
        .flag("--jwks-allow-addresses=127.0.0.0/8")
        .start()
        .await
}

async fn graph(world: &World) -> Result<Value> {
    let answer = once(world.control.options.admin, get("admin", "/debug/graph")).await?;
    Ok(serde_json::from_slice(&answer.body)?)
}

async fn a_route_whose_issuer_is_away_is_out_of_order_until_it_is_back(source: Source) -> Result<()> {
    let web = Echo::start("web").await?;
    let issuer = Issuer::start(Duration::ZERO).await?;
    issuer.well.store(false, Relaxed);
    let world = start(source, &web, Some(&issuer.uri())).await?;
    world.status(HOST, "/", 503).await?;
    let told = graph(&world).await?.to_string();
    let want = format!("no keys from {}: answers 503", issuer.uri());
    ensure!(told.contains(&want), "{told}");
    issuer.well.store(true, Relaxed);
    world.status(HOST, "/", 401).await?;
    // The last good keys stay.
    issuer.well.store(false, Relaxed);
    world.write("other.yaml", &service("default", "other", &[]))?;
    sleep(Duration::from_secs(1)).await;
    world.status(HOST, "/", 401).await?;
    let told = graph(&world).await?.to_string();
    ensure!(!told.contains("no keys from"), "{told}");
    ensure!(
        web.requests() == 0,
        "the upstream was asked {} times",
        web.requests()
    );
    Ok(())
}

async fn a_route_that_begins_to_ask_for_tokens_is_never_out_of_order(source: Source) -> Result<()> {
    let web = Echo::start("web").await?;
    let issuer = Issuer::start(Duration::from_secs(1)).await?;
    let world = start(source, &web, None).await?;
    world.status(HOST, "/", 200).await?;
    let http = world.http();
    let asking = tokio::spawn(async move {
        let mut statuses = BTreeSet::new();
        while !statuses.contains(&401) {
            statuses.insert(once(http, get(HOST, "/")).await?.status);
        }
        anyhow::Ok(statuses)
    });
    world.write("root.yaml", &root(Some(&issuer.uri())))?;
    let statuses = tokio::time::timeout(switchyard_tests::wait::PATIENCE, asking).await;
    let statuses = statuses.context("no token is ever asked for")???;
    ensure!(statuses == BTreeSet::from([200, 401]), "{statuses:?}");
    Ok(())
}

async fn control_fetches_nothing_from_where_clouds_tell_secrets(source: Source) -> Result<()> {
    let web = Echo::start("web").await?;
    let world = start(source, &web, Some("http://169.254.169.254/latest/meta-data/iam")).await?;
    world.status(HOST, "/", 503).await?;
    until("the status says why", async || {
        let told = graph(&world).await?.to_string();
        ensure!(
            told.contains("169.254.169.254 is not an address that control fetches from"),
            "{told}"
        );
        Ok(())
    })
    .await
}
