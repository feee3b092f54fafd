//! Compares control's validation with Envoy's: generates specs from random data and sends the result to a real Envoy,
//! which must accept everything that control sends.

mod specs;

use crate::{control::loopback, paths, process::Process};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde_json::{Value, json};
use std::{fs, net::SocketAddr, time::Duration};
use switchyard_core::{Graph, ObjectId, Settings};
use switchyard_xds::{
    ads::{Config, Outcome, Server, WasmCode, tonic_server_builder},
    resource::Update,
    translate::{self, Translator},
};
use tokio::process::Command;

/// The time limit for Envoy to accept one update.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pipeline from a spec to an Envoy. Dropping it ends the Envoy.
#[derive(Debug)]
pub struct Acceptance {
    graph: Graph,
    translator: Translator,
    server: Server,
    generation: u64,
    /// The objects of the last spec.
    objects: Vec<ObjectId>,
    envoy: Process,
}

// === impl Acceptance ===

impl Acceptance {
    /// Starts a server and an Envoy that has accepted the configuration without objects.
    ///
    /// # Errors
    ///
    /// If there is no Envoy, or no filter.
    pub async fn start(name: &str) -> Result<Self> {
        let dir = paths::scratch(name)?.canonicalize()?;
        let (xds, http, https) = (loopback()?, loopback()?, loopback()?);
        let mut translator = Translator::new(translate::Settings {
            http,
            https,
            access_log: "/dev/null".to_owned(),
            ..translate::Settings::default()
        });
        let server = Server::new(Config::new(WasmCode {
            bytes: Bytes::from(fs::read(paths::wasm()?)?),
            sha256: String::new(),
        }));
        let generation = server.publish(translator.start());
        server.ready();
        tokio::spawn(tonic_server_builder().add_service(server.service()).serve(xds));
        let config = dir.join("bootstrap.json");
        fs::write(&config, bootstrap(xds).to_string())?;
        let mut command = Command::new(paths::envoy()?);
        command.arg("--config-path").arg(&config).args([
            "--use-dynamic-base-id",
            "--log-level",
            "warning",
            "--concurrency",
            "1",
        ]);
        let mut acceptance = Self {
            graph: Graph::new(Settings::default()),
            translator,
            server,
            generation,
            objects: Vec::new(),
            envoy: Process::spawn(command, &dir.join("envoy.log"))?,
        };
        acceptance.connected().await?;
        acceptance.accepted().await?;
        Ok(acceptance)
    }

    /// Replaces all objects by those generated from `data`, and waits until Envoy has accepted the result.
    ///
    /// # Errors
    ///
    /// If Envoy rejects something, exits, or does not answer.
    pub async fn try_specs(&mut self, data: &[u8]) -> Result<()> {
        let objects = specs::objects(data);
        let said = format!("{objects:?}");
        for id in self.objects.drain(..) {
            self.graph.delete(&id);
        }
        for object in objects {
            self.objects.push(object.id());
            self.graph.apply(object);
        }
        let change = self.graph.commit();
        let update = self
            .translator
            .update(self.graph.table(), &change, self.generation + 1);
        self.publish(update);
        if let Some((_, refusal)) = self.translator.refused().next() {
            bail!("the graph lets through what the constraints refuse: {refusal}: {said}");
        }
        self.accepted().await.with_context(|| said)?;
        let acked = self.server.acked_generation();
        let update = self.translator.prune(self.graph.table(), acked);
        self.publish(update);
        Ok(())
    }

    fn publish(&mut self, update: Update) {
        if !update.is_empty() {
            self.generation = self.server.publish(update);
        }
    }

    async fn connected(&mut self) -> Result<()> {
        let mut changed = self.server.changed();
        while self.server.connections() == 0 {
            self.envoy.check()?;
            tokio::time::timeout(PATIENCE, changed.changed()).await??;
        }
        Ok(())
    }

    async fn accepted(&mut self) -> Result<()> {
        let verdicts = self.server.wait_acked(self.generation, PATIENCE).await;
        self.envoy.check()?;
        match &verdicts[..] {
            [verdict] if matches!(verdict.outcome, Outcome::Acked(_)) => Ok(()),
            others => bail!("Envoy did not accept what control sent: {others:?}"),
        }
    }
}

fn bootstrap(xds: SocketAddr) -> Value {
    let ads = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
    let address = json!({"socket_address": {"address": xds.ip().to_string(), "port_value": xds.port()}});
    json!({
        "node": {"id": "acceptance", "cluster": "acceptance"},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            },
            "lds_config": ads,
            "cds_config": ads,
        },
        "static_resources": {"clusters": [{
            "name": "xds",
            "connect_timeout": "1s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}},
                },
            },
            "load_assignment": {
                "cluster_name": "xds",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
            },
        }]},
    })
}
