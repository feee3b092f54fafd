//! The filter without the control binary: the files of deploy/static, in an Envoy.

use anyhow::{Context, Result, ensure};
use std::{fs, net::SocketAddr, path::PathBuf, thread};
use switchyard_tests::{
    client::{Answer, get, once},
    control::loopback,
    echo::Echo,
    envoy::{Envoy, EnvoyOptions},
    load::Load,
    paths,
    wait::until,
};

const HOST: &str = "www.bar.com";

struct Static {
    dir: PathBuf,
    http: SocketAddr,
    envoy: Envoy,
    _backends: [Echo; 2],
}

impl Static {
    /// Starts with the shipped files, except for ports and paths.
    async fn start() -> Result<Self> {
        let backends = [
            Echo::start_on_loopback("blue").await?,
            Echo::start_on_loopback("green").await?,
        ];
        let dir = paths::scratch(thread::current().name().context("a test has a name")?)?.canonicalize()?;
        let (http, admin) = (loopback()?, loopback()?);
        let [blue, green] = [0, 1].map(|n| backends[n].address.port().to_string());
        let envoy_yaml = shipped("envoy.yaml")?
            .replace("10080", &http.port().to_string())
            .replace("10081", &blue)
            .replace("10082", &green)
            .replace("path: ecds.yaml", &format!("path: {}/ecds.yaml", dir.display()))
            .replace("path: . }", &format!("path: {} }}", dir.display()));
        let admin_yaml = format!(
            "admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }} }}\n",
            admin.port()
        );
        let options = EnvoyOptions {
            bootstrap: dir.join("envoy.yaml"),
            admin,
            concurrency: 2,
            log: dir.join("envoy.log"),
        };
        fs::write(&options.bootstrap, envoy_yaml + &admin_yaml)?;
        fs::write(dir.join("ecds.yaml"), configuration()?)?;
        let this = Self {
            dir,
            http,
            envoy: Envoy::start(&options)?,
            _backends: backends,
        };
        until("blue serves", async || {
            ensure!(this.get("/").await?.backend() == "blue");
            Ok(())
        })
        .await?;
        Ok(this)
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        once(self.http, get(HOST, path)).await
    }

    /// Renames a changed configuration into place.
    fn configure(&self, yaml: &str) -> Result<()> {
        fs::write(self.dir.join("next.yaml"), yaml)?;
        Ok(fs::rename(
            self.dir.join("next.yaml"),
            self.dir.join("ecds.yaml"),
        )?)
    }
}

fn shipped(file: &str) -> Result<String> {
    Ok(fs::read_to_string(
        paths::repository().join("deploy/static").join(file),
    )?)
}

fn configuration() -> Result<String> {
    let wasm = paths::wasm()?;
    Ok(shipped("ecds.yaml")?.replace("../../target/wasm/switchyard.wasm", &wasm.display().to_string()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filter_routes_branches_prefixes_and_rewrites() -> Result<()> {
    let this = Static::start().await?;
    for (path, backend, arrives_as) in [
        ("/x?y=z", "blue", "/x?y=z"),
        ("/shop/reports/3", "green", "/cart/3"),
        ("/shopping", "blue", "/shopping"),
    ] {
        let seen = this.get(path).await?.seen()?;
        ensure!(
            (seen.backend.as_str(), seen.path.as_str()) == (backend, arrives_as),
            "{path}: {seen:?}"
        );
        ensure!(
            !seen.headers.keys().any(|name| name.starts_with("x-switchyard")),
            "{seen:?}"
        );
    }
    for (path, status) in [("/shop/closed", 503), ("/healthz", 200)] {
        let answer = this.get(path).await?;
        ensure!(answer.status == status, "{path}: {answer:?}");
    }
    let answer = once(this.http, get(HOST, "/").header("x-preview", "green")).await?;
    ensure!(answer.backend() == "green", "{answer:?}");
    ensure!(
        answer.header("x-switchyard-branch") == "default/green",
        "{answer:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_edit_switches_without_failed_requests() -> Result<()> {
    let this = Static::start().await?;
    let load = Load::new(this.http, HOST, "/").start().await?;
    let blue = configuration()?;
    let green = blue
        .replace("\"active\": \"default/blue\"", "\"active\": \"default/green\"")
        .replace(
            "\"standby\": [\"default/green\"]",
            "\"standby\": [\"default/blue\"]",
        );
    for (yaml, backend) in [(&green, "green"), (&blue, "blue"), (&green, "green")] {
        this.configure(yaml)?;
        until("it is in force", async || {
            ensure!(this.get("/").await?.backend() == backend);
            Ok(())
        })
        .await?;
    }
    load.stop().await.all_succeeded()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_configuration_keeps_the_last_valid_one() -> Result<()> {
    let this = Static::start().await?;
    this.configure(
        &configuration()?.replace("\"active\": \"default/blue\"", "\"active\": \"default/nowhere\""),
    )?;
    until("Envoy refuses it", async || {
        let refused = this
            .envoy
            .stat("extension_config_discovery.http_filter.switchyard.config_fail")
            .await?;
        ensure!(refused > 0);
        Ok(())
    })
    .await?;
    ensure!(this.get("/").await?.backend() == "blue");
    let place = "switches.\"bar.com/\".active: \"default/nowhere\" is no key of branches";
    ensure!(
        this.envoy.process.log()?.contains(place),
        "the log names the place"
    );
    Ok(())
}
