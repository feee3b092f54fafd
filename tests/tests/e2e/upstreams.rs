//! The protocols, verification and addresses of upstreams.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use switchyard_tests::{
    client::SeenTls,
    echo::Echo,
    manifests::{annotated_service, object},
    tls::Authority,
    world::{Builder, Source, World},
};

use crate::{
    fixture::{HOSTS, on_both},
    scenarios, scenarios_of_files,
};

scenarios![
    annotation_selects_the_upstream_protocol,
    upstream_with_wrong_certificate_gets_no_requests,
];

scenarios_of_files![upstreams_of_every_address_kind_are_reached,];

/// The subject of every upstream's certificate.
const SUBJECT: &str = "upstream.internal";
/// A DNS name for the pods' address in the network namespace of these tests.
const NAME: &str = "upstream.example";

/// An upstream that is the only Service of a route, whose match is `/` followed by its name.
struct Upstream {
    name: &'static str,
    /// The suffix of `upstream-protocol.*`.
    annotation: &'static str,
    protocol: &'static str,
    /// The negotiated protocol. None without TLS.
    alpn: Option<&'static str>,
}

const UPSTREAMS: [Upstream; 4] = [
    Upstream {
        name: "http",
        annotation: "none",
        protocol: "HTTP/1.1",
        alpn: None,
    },
    Upstream {
        name: "h2c",
        annotation: "h2c",
        protocol: "HTTP/2.0",
        alpn: None,
    },
    Upstream {
        name: "tls",
        annotation: "tls",
        protocol: "HTTP/1.1",
        alpn: Some("http/1.1"),
    },
    Upstream {
        name: "h2",
        annotation: "h2",
        protocol: "HTTP/2.0",
        alpn: Some("h2"),
    },
];

// === impl Upstream ===

impl Upstream {
    /// Starts the backend. With TLS it supports both protocols, and Envoy chooses one.
    async fn start(&self, authority: &Authority) -> Result<Echo> {
        match self.alpn {
            None => Echo::start(self.name).await,
            Some(_) => {
                let acceptor = authority.issue(SUBJECT)?.acceptor_for(&["h2", "http/1.1"])?;
                Echo::start_tls(self.name, acceptor).await
            }
        }
    }

    fn service(&self, backend: SocketAddr) -> String {
        let annotation = format!("contour.heptio.com/upstream-protocol.{}", self.annotation);
        annotated_service("default", self.name, &[backend], &[(&annotation, "80")])
    }

    fn tls(&self, server_name: Option<&str>) -> Option<SeenTls> {
        self.alpn.map(|alpn| SeenTls {
            server_name: server_name.map(str::to_owned),
            alpn: Some(alpn.to_owned()),
        })
    }
}

/// Starts the upstreams and an installation with these routes.
async fn installation(
    source: Source,
    authority: &Authority,
    upstreams: &[Upstream],
    routes: &Value,
) -> Result<(World, Vec<Echo>)> {
    let mut builder = Builder::new(source)?.manifest("routes.yaml", &on_both(routes))?;
    let mut backends = Vec::new();
    for upstream in upstreams {
        let echo = upstream.start(authority).await?;
        let file = format!("{}.yaml", upstream.name);
        builder = builder.manifest(&file, &upstream.service(echo.address))?;
        backends.push(echo);
    }
    let secrets = ca_secret("ca", &authority.pem()) + &ca_secret("other-ca", &Authority::new()?.pem());
    let world = builder.manifest("secrets.yaml", &secrets)?.start().await?;
    Ok((world, backends))
}

fn ca_secret(name: &str, pem: &str) -> String {
    let content = json!({"type": "Opaque", "stringData": {"ca.crt": pem}});
    object("v1", "Secret", name, content)
}

async fn annotation_selects_the_upstream_protocol(source: Source) -> Result<()> {
    let authority = Authority::new()?;
    let route = |Upstream { name, .. }: &Upstream| json!({"match": format!("/{name}"), "services": [{"name": name, "port": 80}]});
    let routes = UPSTREAMS.iter().map(route).collect();
    let (world, _backends) = installation(source, &authority, &UPSTREAMS, &routes).await?;
    for host in HOSTS {
        for upstream in &UPSTREAMS {
            let path = format!("/{}", upstream.name);
            let seen = world.served_by(host, &path, upstream.name).await?.seen()?;
            ensure!(seen.protocol == upstream.protocol, "{host}{path}: {seen:?}");
            // The upstream has no subject name, so SNI is not used.
            ensure!(seen.tls == upstream.tls(None), "{host}{path}: {seen:?}");
        }
    }
    Ok(())
}

/// Routes for each upstream with TLS, with valid and invalid requirements for its certificate.
fn validating_routes() -> Value {
    let route = |service: &str, case: &str, ca: &str, subject: &str| {
        json!({"match": format!("/{service}/{case}"), "services": [{
            "name": service,
            "port": 80,
            "validation": {"caSecret": ca, "subjectName": subject},
        }]})
    };
    let routes = |service| {
        [
            route(service, "right", "ca", SUBJECT),
            route(service, "other-name", "ca", "other.internal"),
            route(service, "other-ca", "other-ca", SUBJECT),
        ]
    };
    ["tls", "h2"].into_iter().flat_map(routes).collect()
}

async fn upstream_with_wrong_certificate_gets_no_requests(source: Source) -> Result<()> {
    let authority = Authority::new()?;
    let [.., tls, h2] = UPSTREAMS;
    let upstreams = [tls, h2];
    let (world, backends) = installation(source, &authority, &upstreams, &validating_routes()).await?;
    for host in HOSTS {
        for (upstream, echo) in upstreams.iter().zip(&backends) {
            let path = |case| format!("/{}/{case}", upstream.name);
            let answer = world.served_by(host, &path("right"), upstream.name).await?;
            ensure!(answer.seen()?.tls == upstream.tls(Some(SUBJECT)), "{answer:?}");
            let before = echo.requests();
            for case in ["other-name", "other-ca"] {
                let answer = world.get(host, &path(case)).await?;
                ensure!(answer.status == 503, "{host}{}: {answer:?}", path(case));
            }
            ensure!(
                echo.requests() == before,
                "{host}: {} got a request",
                upstream.name
            );
        }
    }
    Ok(())
}

/// A Service without pods, in the form given by its name.
fn told_of(name: &str, backend: SocketAddr) -> String {
    let port = backend.port();
    let service = |spec| object("v1", "Service", name, json!({"spec": spec}));
    match name {
        "external-name" => external_name(name, port, ""),
        "external-name-tls" => external_name(name, port, "tls"),
        "endpoints" => {
            let subset = json!({"addresses": [{"ip": backend.ip()}], "ports": [{"port": port}]});
            service(json!({"ports": [{"port": 80}]}))
                + &object("v1", "Endpoints", name, json!({"subsets": [subset]}))
        }
        _ => service(json!({"ports": [{"port": 80}]})) + &slice_of_names(name, port),
    }
}

fn external_name(name: &str, port: u16, protocol: &str) -> String {
    let annotation = format!("contour.heptio.com/upstream-protocol.{protocol}");
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "default", "name": name, "annotations": {annotation: port.to_string()}},
        "spec": {"type": "ExternalName", "externalName": NAME, "ports": [{"port": port}]},
    });
    format!("---\n{service:#}\n")
}

fn slice_of_names(service: &str, port: u16) -> String {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": "default",
            "name": service,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "FQDN",
        "ports": [{"port": port}],
        "endpoints": [{"addresses": [NAME]}],
    });
    format!("---\n{slice:#}\n")
}

async fn upstreams_of_every_address_kind_are_reached(source: Source) -> Result<()> {
    let authority = Authority::new()?;
    let acceptor = authority.issue(NAME)?.acceptor()?;
    let backends = [
        Echo::start("external-name").await?,
        Echo::start_tls("external-name-tls", acceptor).await?,
        Echo::start("endpoints").await?,
        Echo::start("slice-of-names").await?,
    ];
    let route = |Echo { name, address, .. }: &Echo| {
        // For an ExternalName Service, the port is the one to connect to.
        let port = if name.starts_with("external") {
            address.port()
        } else {
            80
        };
        json!({"match": format!("/{name}"), "services": [{"name": &**name, "port": port}]})
    };
    let routes = backends.iter().map(route).collect();
    let services = backends
        .iter()
        .map(|Echo { name, address, .. }| told_of(name, *address));
    let world = Builder::new(source)?
        .flag("--allow-external-names")
        .manifest("routes.yaml", &on_both(&routes))?
        .manifest("services.yaml", &services.collect::<String>())?
        .start()
        .await?;
    for host in HOSTS {
        for Echo { name, .. } in &backends {
            let seen = world.served_by(host, &format!("/{name}"), name).await?.seen()?;
            let asked_for = seen.tls.and_then(|tls| tls.server_name);
            ensure!(
                asked_for.as_deref() == name.ends_with("tls").then_some(NAME),
                "{host}: {name} was asked for as {asked_for:?}"
            );
        }
    }
    Ok(())
}
