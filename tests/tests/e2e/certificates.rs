//! Certificates that Envoy rejects: control's validation agrees with Envoy's for each kind.

mod kinds;

use anyhow::{Context, Result, ensure};
use base64ct::{Base64, Encoding};
use kinds::{Kind, authorities, pairs};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Stdio};
use switchyard_tests::{
    echo::Echo,
    manifests::{annotated_service, ingress_route, object, service},
    paths,
    world::{Builder, Source, World},
};
use tokio::process::Command;

use crate::scenarios_of_files;

scenarios_of_files![
    certificate_rejected_by_envoy_is_an_error_and_answers_503,
    ca_rejected_by_envoy_is_an_error_and_answers_503,
];

fn host(kind: &Kind) -> String {
    format!("{}.bar.com", kind.name)
}

fn encoded(files: &[(&str, &[u8])]) -> Value {
    let data = files.iter();
    data.map(|(key, value)| ((*key).to_owned(), Value::from(Base64::encode_string(value))))
        .collect()
}

/// Returns true if Envoy accepts a configuration with these static resources.
async fn is_accepted(dir: &Path, resources: &Value) -> Result<bool> {
    let file = dir.join("validated.json");
    fs::write(&file, json!({"static_resources": resources}).to_string())?;
    let output = Command::new(paths::envoy()?)
        .args([
            "--mode",
            "validate",
            "--log-level",
            "error",
            "--concurrency",
            "1",
            "-c",
        ])
        .arg(&file)
        .output()
        .await?;
    Ok(output.status.success())
}

fn inline(value: &[u8]) -> Value {
    json!({"inline_bytes": Base64::encode_string(value)})
}

/// A listener with this certificate.
fn listener(kind: &Kind) -> Value {
    let socket = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"tls_certificates": [{
            "certificate_chain": inline(&kind.certificates), "private_key": inline(&kind.key),
        }]},
    });
    let echo = json!({"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"});
    json!({"listeners": [{
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{
            "transport_socket": {"name": "tls", "typed_config": socket},
            "filters": [{"name": "echo", "typed_config": echo}],
        }],
    }]})
}

/// A cluster that trusts these authorities.
fn cluster(kind: &Kind) -> Value {
    let name = json!({"san_type": "DNS", "matcher": {"exact": "a.bar.com"}});
    let socket = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {"validation_context": {
            "trusted_ca": inline(&kind.certificates), "match_typed_subject_alt_names": [name],
        }},
    });
    json!({"clusters": [{
        "name": "a", "type": "STATIC", "load_assignment": {"cluster_name": "a"},
        "transport_socket": {"name": "tls", "typed_config": socket},
    }]})
}

/// Returns true if a TLS handshake for this host succeeds.
async fn is_presented(world: &World, host: &str) -> Result<bool> {
    let status = Command::new("openssl")
        .args([
            "s_client",
            "-brief",
            "-connect",
            &world.https().to_string(),
            "-servername",
            host,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await?;
    Ok(status.success())
}

/// The error of `check` for a field of a kind's IngressRoute. None without an error.
fn told(checked: &Value, kind: &Kind, field: &str) -> Option<String> {
    let object = format!("IngressRoute default/{}", kind.name);
    let errors = checked["errors"].as_array()?;
    let error = errors.iter().find(|error| error["object"] == json!(object))?;
    (error["field"] == json!(field)).then(|| error["message"].to_string())
}

async fn certificate_rejected_by_envoy_is_an_error_and_answers_503(_: Source) -> Result<()> {
    let blue = Echo::start("blue").await?;
    let kinds = pairs().await?;
    let mut builder = Builder::new(Source::Directory)?
        .manifest("service.yaml", &service("default", "blue", &[blue.address]))?;
    for kind in &kinds {
        let services = json!([{"name": "blue", "port": 80}]);
        let root = json!({
            "virtualhost": {"fqdn": host(kind), "tls": {"secretName": kind.name}},
            "routes": [
                {"match": "/", "services": services},
                {"match": "/insecure", "permitInsecure": true, "services": services},
            ],
        });
        let data = encoded(&[("tls.crt", &kind.certificates), ("tls.key", &kind.key)]);
        let secret = json!({"type": "kubernetes.io/tls", "data": data});
        let files = ingress_route(kind.name, &root) + &object("v1", "Secret", kind.name, secret);
        builder = builder.manifest(&format!("{}.yaml", kind.name), &files)?;
    }
    let world = builder.start().await?;
    let checked: Value = serde_json::from_str(&world.ask("check", &["-o", "json"]).await?.stdout)?;
    let first = kinds.first().context("a kind")?;
    world.served_by(&host(first), "/insecure", "blue").await?;
    for kind in &kinds {
        let (name, host) = (kind.name, host(kind));
        let told = told(&checked, kind, "spec.virtualhost.tls.secretName");
        ensure!(told.is_none() == kind.is_good, "{name}: {told:?}");
        let accepted = is_accepted(&world.dir, &listener(kind)).await?;
        ensure!(accepted == kind.is_good, "{name}: Envoy accepts: {accepted}");
        if kind.is_good {
            world.status(&host, "/", 301).await?;
            world.served_by(&host, "/insecure", "blue").await?;
        } else {
            world.status(&host, "/", 503).await?;
            world.status(&host, "/insecure", 503).await?;
        }
        let presented = is_presented(&world, &host).await?;
        ensure!(presented == kind.is_good, "{name}: presented: {presented}");
    }
    Ok(())
}

async fn ca_rejected_by_envoy_is_an_error_and_answers_503(_: Source) -> Result<()> {
    let blue = Echo::start("blue").await?;
    let kinds = authorities().await?;
    let tls = ("projectcontour.io/upstream-protocol.tls", "80");
    let mut builder = Builder::new(Source::Directory)?
        .manifest(
            "tls.yaml",
            &annotated_service("default", "tls", &[blue.address], &[tls]),
        )?
        .manifest("blue.yaml", &service("default", "blue", &[blue.address]))?;
    for kind in &kinds {
        let validation = json!({"caSecret": kind.name, "subjectName": "a.bar.com"});
        let root = json!({
            "virtualhost": {"fqdn": host(kind)},
            "routes": [
                {"match": "/", "services": [{"name": "blue", "port": 80}]},
                {"match": "/tls", "services": [{"name": "tls", "port": 80, "validation": validation}]},
            ],
        });
        let secret = json!({"data": encoded(&[("ca.crt", &kind.certificates)])});
        let files = ingress_route(kind.name, &root) + &object("v1", "Secret", kind.name, secret);
        builder = builder.manifest(&format!("{}.yaml", kind.name), &files)?;
    }
    let world = builder.start().await?;
    let checked: Value = serde_json::from_str(&world.ask("check", &["-o", "json"]).await?.stdout)?;
    for kind in &kinds {
        let name = kind.name;
        let told = told(&checked, kind, "spec.routes[1].services[0].validation.caSecret");
        ensure!(told.is_none() == kind.is_good, "{name}: {told:?}");
        let accepted = is_accepted(&world.dir, &cluster(kind)).await?;
        ensure!(accepted == kind.is_good, "{name}: Envoy accepts: {accepted}");
        world.served_by(&host(kind), "/", "blue").await?;
        // This holds for accepted ones as well, because the upstream does not support TLS.
        world.status(&host(kind), "/tls", 503).await?;
    }
    Ok(())
}
