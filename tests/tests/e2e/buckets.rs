//! Route buckets: every spelling of a host finds its bucket, and hosts come, change and go without leaking memory.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};
use switchyard_core::{
    Change, Name,
    table::{Host, HostRoute, Table, Vhost},
};
use switchyard_tests::{
    client::{Connection, get, once},
    control::ControlOptions,
    echo::Echo,
    envoy::Envoy,
    load::Load,
    manifests::{ingress_route, service},
    paths,
    wait::until,
    world::{Builder, Source, World, bootstrap},
};
use switchyard_xds::{
    ads::{Config, Server, WasmCode, tonic_server_builder},
    translate::{Buckets, Settings, Translator},
};

/// Hosts that are served by `web` below a prefix.
fn plains(hosts: &[String], prefix: &str) -> String {
    hosts.iter().map(|host| plain(host, prefix)).collect()
}

fn plain(fqdn: &str, prefix: &str) -> String {
    let routes = json!([{"match": prefix, "services": [{"name": "web", "port": 80}]}]);
    let name = format!("of-{}", fqdn.replace(['.', '_'], "-"));
    ingress_route(&name, &json!({"virtualhost": {"fqdn": fqdn}, "routes": routes}))
}

fn with_web(web: &Echo, hosts: &[String]) -> Result<Builder> {
    let manifests = plains(hosts, "/") + &service("default", "web", &[web.address]);
    Builder::new(Source::Directory)?.manifest("hosts.yaml", &manifests)
}

/// Pseudorandom host names (xorshift) of all valid characters.
fn names(count: usize) -> Vec<String> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap_or_default()
    };
    let inner = b"abcdefghijklmnopqrstuvwxyz0123456789-";
    let outer = inner.strip_suffix(b"-").unwrap_or(inner);
    let mut label = || {
        let mut label: Vec<u8> = (0..=next(20)).map(|_| inner[next(inner.len())]).collect();
        let last = label.len() - 1;
        (label[0], label[last]) = (outer[next(outer.len())], outer[next(outer.len())]);
        String::from_utf8(label).unwrap_or_default()
    };
    let name = |_| format!("{}.{}.example", label(), label());
    let names: BTreeSet<_> = (0..count).map(name).collect();
    names.into_iter().collect()
}

/// The spellings of a host that a client may send.
fn spellings(host: &str) -> [String; 7] {
    [
        host.to_owned(),
        host.to_ascii_uppercase(),
        format!("{host}:8080"),
        format!("{host}."),
        format!("{host}.:443"),
        format!("{host}:"),
        host.replace('e', "E"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_spellings_find_the_same_bucket() -> Result<()> {
    let web = Echo::start("web").await?;
    let numbered = (0..100).map(|number| format!("h{number}.bar.com"));
    let hosts: Vec<_> = names(400).into_iter().chain(numbered).collect();
    let world = with_web(&web, &hosts)?.start().await?;
    for number in [1, 8] {
        let scopes = scopes(&world, number).await?;
        let scopes = scopes["ScopedRouteConfiguration"].as_array().context("scopes")?;
        ensure!(scopes.len() == number, "{number}: {}", scopes.len());
    }
    world
        .served_by(hosts.last().context("a host")?, "/", "web")
        .await?;
    let mut connection = Connection::open(world.http()).await?;
    for host in &hosts {
        for spelling in spellings(host) {
            let answer = connection.send(get(&spelling, "/")).await?;
            ensure!(answer.backend() == "web", "{spelling}: {answer:?}");
        }
    }
    for spelling in [
        "nobody.bar.com",
        "bar.com",
        "[::1]:80",
        "h1.bar.com.x",
        "h1",
        "_",
        "127.0.0.1",
    ] {
        let answer = connection.send(get(spelling, "/")).await?;
        ensure!(answer.status == 404, "{spelling}: {answer:?}");
    }
    Ok(())
}

/// The scopes in the output of `translate` for the world's manifests, with this number of buckets.
async fn scopes(world: &World, buckets: usize) -> Result<Value> {
    let buckets = buckets.to_string();
    let arguments = [
        "--type",
        "scoped-route",
        "-o",
        "json",
        "--route-buckets",
        &buckets,
    ];
    let outcome = world.ask("translate", &arguments).await?.succeeded()?;
    Ok(serde_json::from_str(&outcome.stdout)?)
}

// === Hosts that no API has yet ===

/// A host of the route table, with a single route.
fn host(fqdn: &str, prefix: &str, route: HostRoute) -> (Arc<str>, Arc<Host>) {
    let fqdn: Arc<str> = fqdn.into();
    let http = Vhost {
        routes: [(prefix.into(), route)].into(),
        ..Vhost::default()
    };
    let host = Host {
        fqdn: fqdn.clone(),
        root: Name::new("default", "root"),
        http,
        tls: None,
    };
    (fqdn, host.into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exact_and_wildcard_hosts_share_a_listener() -> Result<()> {
    let dir = paths::scratch("buckets/wildcards")?.canonicalize()?;
    let options = ControlOptions::new(&dir, &dir.join("control.log"))?;
    let mut translator = Translator::new(Settings {
        http: options.http,
        https: options.https,
        buckets: Buckets::MOST,
        ..Settings::default()
    });
    let server = Server::new(Config::new(WasmCode {
        bytes: Bytes::from(fs::read(paths::wasm()?)?),
        sha256: String::new(),
    }));
    let mut table = Table {
        hosts: [
            host("exact.bar.com", "/", HostRoute::HttpsRedirect),
            host("*.bar.com", "/", HostRoute::Unavailable),
            host("*", "/any", HostRoute::Unavailable),
        ]
        .into(),
        ..Table::default()
    };
    server.publish(translator.start());
    let mut change = Change {
        hosts: table.hosts.keys().cloned().collect(),
        ..Change::default()
    };
    server.publish(translator.update(&table, &change, 2));
    server.ready();
    tokio::spawn(
        tonic_server_builder()
            .add_service(server.service())
            .serve(options.xds),
    );
    let _envoy = Envoy::start(&bootstrap(&dir, &options, "envoy", 2).await?)?;
    let ask = async |host: &str, path: &str| anyhow::Ok(once(options.http, get(host, path)).await?.status);
    until("the hosts are served", async || {
        ensure!(ask("exact.bar.com", "/").await? == 301);
        Ok(())
    })
    .await?;
    for number in 0..200 {
        let (wildcard, any) = (format!("h{number}.bar.com"), format!("h{number}.other.com"));
        for (host, path, status) in [
            (&wildcard, "/", 503),
            (&format!("{wildcard}:80"), "/any", 503),
            (&format!("a.{wildcard}."), "/", 503),
            (&any, "/any", 503),
            (&any, "/", 404),
        ] {
            ensure!(ask(host, path).await? == status, "{host}{path}");
        }
    }
    ensure!(ask("EXACT.bar.com:80", "/any").await? == 301);
    // A deleted host is gone from all buckets.
    table.hosts.remove("*.bar.com");
    change.hosts = ["*.bar.com".into()].into();
    server.publish(translator.update(&table, &change, 3));
    for number in 0..200 {
        let host = format!("h{number}.bar.com");
        until("the wildcard is gone", async || {
            ensure!(ask(&host, "/").await? == 404 && ask(&host, "/any").await? == 503);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

// === Changes ===

/// The number of bytes that Envoy has allocated.
async fn allocated(world: &World) -> Result<u64> {
    let envoy = world.envoys.first().context("an Envoy")?;
    let memory: Value = serde_json::from_str(&envoy.admin("/memory").await?)?;
    let allocated = memory["allocated"].as_str().context("allocated")?;
    Ok(allocated.parse()?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_churn_under_load_leaks_no_memory() -> Result<()> {
    let web = Echo::start("web").await?;
    let stable: Vec<_> = (0..64).map(|number| format!("stable-{number}.bar.com")).collect();
    let world = with_web(&web, &stable)?.start().await?;
    let mut loads = Vec::new();
    for host in stable.iter().step_by(3) {
        world.served_by(host, "/", "web").await?;
        let load = Load {
            connections: 1,
            pause: Duration::from_millis(20),
            ..Load::new(world.http(), host, "/")
        };
        loads.push(load.start().await?);
    }
    let mut after = Vec::new();
    for round in 0..3 {
        let hosts: Vec<_> = (0..500)
            .map(|number| format!("h{number}.round-{round}.com"))
            .collect();
        world.write("more.yaml", &plains(&hosts, "/"))?;
        for host in &hosts {
            world.served_by(host, "/", "web").await?;
        }
        world.write("more.yaml", &plains(&hosts, "/edited"))?;
        for host in &hosts {
            world.status(host, "/", 404).await?;
        }
        world.remove("more.yaml")?;
        let last = hosts.last().context("a host")?;
        world.status(last, "/edited", 404).await?;
        until("no host is left", async || {
            let dump = world.envoys.first().context("an Envoy")?.config_dump().await?;
            ensure!(
                !dump.to_string().contains(&format!(".round-{round}.com")),
                "there is one"
            );
            Ok(())
        })
        .await?;
        after.push(allocated(&world).await?);
    }
    for load in loads {
        load.stop().await.all_succeeded()?;
    }
    let [first, _, last] = after[..] else {
        anyhow::bail!("{after:?}");
    };
    // The memory of counters and buffers varies; a host takes some kilobytes.
    ensure!(last < first + 500 * 1024, "{after:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_proxy_does_not_delay_new_host() -> Result<()> {
    let web = Echo::start("web").await?;
    let world = with_web(&web, &["old.bar.com".to_owned()])?
        .envoys(2)
        .start()
        .await?;
    let has_new = async |number: usize| {
        let dump = world
            .envoys
            .get(number)
            .context("an Envoy")?
            .config_dump()
            .await?;
        ensure!(dump.to_string().contains("new.bar.com"), "it has not");
        anyhow::Ok(())
    };
    let still = world.envoys.get(1).context("another Envoy")?;
    still.process.signal(Signal::STOP)?;
    world.write("new.yaml", &plain("new.bar.com", "/"))?;
    let there = until("the other proxy has the host", async || has_new(0).await).await;
    still.process.signal(Signal::CONT)?;
    there?;
    until("so has the one that stood still", async || has_new(1).await).await?;
    let mut connection = Connection::open(world.http()).await?;
    ensure!(connection.send(get("new.bar.com", "/")).await?.backend() == "web");
    Ok(())
}
