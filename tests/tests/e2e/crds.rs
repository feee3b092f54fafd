//! The CustomResourceDefinitions at an API server: the objects they admit, reject and print. (In each scenario with an
//! API server they are installed and established first.)

mod policies;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use switchyard_tests::{cluster::Cluster, clusters, wait::until};

/// A spec with every field of Contour 0.15.
const CONTOUR: &str = r#"{
    "virtualhost": {"fqdn": "www.example.com", "tls": {"secretName": "certs/www", "minimumProtocolVersion": "1.2"}},
    "strategy": "RoundRobin",
    "healthCheck": {"path": "/healthy", "intervalSeconds": 5},
    "routes": [
        {
            "match": "/",
            "enableWebsockets": true, "permitInsecure": true, "prefixRewrite": "/app",
            "timeoutPolicy": {"request": "infinity"},
            "retryPolicy": {"count": 3, "perTryTimeout": "150ms"},
            "services": [
                {
                    "name": "s1", "port": 80, "weight": 90, "strategy": "WeightedLeastRequest",
                    "healthCheck": {
                        "path": "/healthy", "host": "health", "intervalSeconds": 5, "timeoutSeconds": 2,
                        "unhealthyThresholdCount": 3, "healthyThresholdCount": 5
                    },
                    "validation": {"caSecret": "ca", "subjectName": "s1.example.com"}
                },
                {"name": "s2", "port": 80, "weight": 10, "strategy": "Cookie"}
            ]
        },
        {"match": "/blog", "delegate": {"name": "blog", "namespace": "marketing"}}
    ]
}"#;

/// Specs that are admitted: invalid ones that are reported in the status, values that Contour gave a meaning, and new
/// fields.
fn admitted() -> Result<Vec<Value>> {
    let root = |fqdn: &str| json!({"virtualhost": {"fqdn": fqdn}, "routes": [leaf(&json!({}))]});
    let passthrough = json!({"fqdn": "db.example.com", "tls": {"passthrough": true}});
    let canary = json!({
        "name": "blue", "standby": ["green", "red"], "preview": {"header": "X-Preview", "value": "green one"},
        "canary": {"percent": 10}, "sticky": {"cookie": "branch", "ttlSeconds": 600}
    });
    let named = json!({
        "name": "green", "standby": ["green"], "preview": {"header": "X-Preview", "value": "1", "branch": "green"},
        "canary": {"percent": 10, "branch": "green"},
    });
    Ok(vec![
        serde_json::from_str(CONTOUR)?,
        json!({"virtualhost": passthrough, "tcpproxy": {"services": [service()]}}),
        json!({"virtualhost": passthrough, "tcpproxy": {"delegate": {"name": "db"}}}),
        json!({"virtualhost": {"fqdn": "a.example.com", "tls": null}, "routes": [leaf(&json!({"retryPolicy": null}))]}),
        // Errors that the status reports.
        json!({"virtualhost": {}, "routes": []}),
        root(""),
        root("*.example.com"),
        root("under_score"),
        json!({"virtualhost": passthrough, "tcpproxy": {"services": [service()], "delegate": {"name": "db"}}}),
        one_route(&leaf(&json!({"delegate": {"name": "blog"}}))),
        one_route(&json!({"match": "/"})),
        one_route(&json!({"match": "/", "services": [{"name": "s1", "port": 0, "weight": -1}]})),
        one_route(&json!({"match": "/", "services": [{"name": "s1", "port": 65536, "validation": {}}]})),
        one_route(&json!({"match": "/", "delegate": {"name": "blue", "sticky": {"cookie": "branch"}}})),
        // Every edit of the name is admitted and valid.
        one_route(&json!({"match": "/", "delegate": {"name": "blue", "standby": ["blue", "green", "blue"]}})),
        one_route(&json!({"match": "/", "delegate": merged(canary.clone(), json!({"name": "green"}))})),
        one_route(&json!({"match": "/", "delegate": named})),
        // As in Contour, an invalid duration means no limit, and 0 retries mean one.
        one_route(&leaf(
            &json!({"timeoutPolicy": {"request": "30"}, "retryPolicy": {"count": 0}}),
        )),
        one_route(&json!({"match": "/", "delegate": canary})),
    ])
}

/// A spec, and a part of the API server's error for it.
type Refused = Vec<(Value, &'static str)>;

/// Specs that never worked.
fn refused() -> Refused {
    let of_service = |more: Value| one_route(&json!({"match": "/", "services": [merged(service(), more)]}));
    let host = |virtualhost: Value| json!({"virtualhost": virtualhost});
    vec![
        (json!({"routes": [{}]}), "spec.routes[0].match: Required value"),
        (
            one_route(&json!({"match": "blog"})),
            "spec.routes[0].match in body should match",
        ),
        (
            one_route(&leaf(&json!({"prefixRewrite": "blog"}))),
            "prefixRewrite in body should match",
        ),
        (
            one_route(&leaf(&json!({"timeoutPolicy": {"request": 5}}))),
            "must be of type string",
        ),
        (
            one_route(&leaf(&json!({"sevices": []}))),
            "unknown field \"spec.routes[0].sevices\"",
        ),
        (of_service(json!({"port": "http"})), "must be of type integer"),
        (
            of_service(json!({"name": "S1"})),
            "services[0].name in body should match",
        ),
        (
            of_service(json!({"healthCheck": {}})),
            "healthCheck.path: Required value",
        ),
        (
            of_service(json!({"healthCheck": {"path": "/", "timeoutSeconds": -1}})),
            "timeoutSeconds in body should be greater than or equal to 0",
        ),
        (
            host(json!({"fqdn": "https://example.com"})),
            "spec.virtualhost.fqdn in body should match",
        ),
        (
            host(json!({"fqdn": "a.example.com", "tls": {"secretName": "a/b/c"}})),
            "secretName in body should match",
        ),
        (
            host(json!({"fqdn": "a.example.com", "tls": {"minimumProtocolVersion": "1.0"}})),
            "supported values: \"1.1\", \"1.2\", \"1.3\"",
        ),
    ]
}

/// New fields in invalid combinations.
fn refused_of_delegates() -> Refused {
    let delegate =
        |more: Value| one_route(&json!({"match": "/", "delegate": merged(json!({"name": "blue"}), more)}));
    let standby = ["green"];
    vec![
        (
            delegate(json!({"name": ""})),
            "delegate.name in body should match",
        ),
        (
            delegate(json!({"standby": ["Green"]})),
            "delegate.standby[0] in body should match",
        ),
        (
            delegate(json!({"preview": {"header": "X-Preview", "value": "green"}})),
            "preview needs a standby",
        ),
        (
            delegate(json!({"standby": [], "canary": {"percent": 10}})),
            "canary needs a standby",
        ),
        (
            delegate(json!({"standby": standby, "preview": {"header": "X Preview", "value": "green"}})),
            "preview.header in body should match",
        ),
        (
            delegate(json!({"standby": standby, "preview": {"header": "X-Preview", "value": " "}})),
            "preview.value in body should match",
        ),
        (
            delegate(json!({"standby": standby, "canary": {"percent": 1, "branch": "Green"}})),
            "canary.branch in body should match",
        ),
        (
            delegate(json!({"standby": standby, "canary": {"percent": 101}})),
            "percent in body should be less than or equal to 100",
        ),
        (
            delegate(json!({"sticky": {"cookie": "a b"}})),
            "sticky.cookie in body should match",
        ),
        (
            delegate(json!({"sticky": {"cookie": "a", "ttlSeconds": -1}})),
            "ttlSeconds in body should be greater than or equal to 0",
        ),
        (
            json!({"tcpproxy": {"delegate": {"name": "blue", "standby": standby}}}),
            "standby, preview, canary and sticky are for routes only",
        ),
    ]
}

fn service() -> Value {
    json!({"name": "s1", "port": 80})
}

fn leaf(more: &Value) -> Value {
    merged(json!({"match": "/", "services": [service()]}), more.clone())
}

fn one_route(route: &Value) -> Value {
    json!({"routes": [route]})
}

fn merged(mut value: Value, more: Value) -> Value {
    if let (Some(fields), Value::Object(more)) = (value.as_object_mut(), more) {
        fields.extend(more);
    }
    value
}

fn ingress_route(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute", "metadata": {"name": name}, "spec": spec})
}

/// Runs `kubectl create`, and returns its output.
fn create(cluster: &Cluster, object: &Value) -> Result<String> {
    let file = cluster.kubeconfig().with_file_name("object.json");
    fs::write(&file, object.to_string())?;
    cluster.kubectl(&["create", "-f", file.to_str().context("a path that is text")?])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contour_specs_and_new_fields_are_admitted() -> Result<()> {
    let cluster = clusters::take()?;
    for (number, spec) in admitted()?.iter().enumerate() {
        create(&cluster, &ingress_route(&format!("r{number}"), spec)).with_context(|| spec.to_string())?;
    }
    let stored = cluster.kubectl(&["get", "ingressroute", "r0", "-o", "json"])?;
    let stored: Value = serde_json::from_str(&stored)?;
    let want: Value = serde_json::from_str(CONTOUR)?;
    ensure!(stored["spec"] == want, "{stored} is not {want}");
    let stored = cluster.kubectl(&[
        "get",
        "ingressroute",
        "r1",
        "-o",
        "jsonpath={..services[0].strategy}",
    ])?;
    ensure!(stored == "RoundRobin", "the default is {stored}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_specs_are_rejected_with_a_reason() -> Result<()> {
    let cluster = clusters::take()?;
    for (spec, why) in refused().into_iter().chain(refused_of_delegates()) {
        let told = create(&cluster, &ingress_route("refused", &spec));
        let told = told
            .err()
            .with_context(|| format!("admitted: {spec}"))?
            .to_string();
        ensure!(told.contains(why), "{spec}: {told}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_explains_fields_and_prints_status() -> Result<()> {
    let cluster = clusters::take()?;
    let explained = until("the schema is published", async || {
        cluster.kubectl(&["explain", "ingressroute.spec.routes.delegate"])
    })
    .await?;
    ensure!(
        explained.contains("To switch to\n    another one, change the name."),
        "{explained}"
    );
    let explained = cluster.kubectl(&["explain", "ingressroute.spec.routes.rateLimits.key"])?;
    // kubectl may break the line anywhere.
    let words: Vec<_> = explained.split_whitespace().collect();
    let example = "For example: [{clientIP: {}}, {path: {}}].";
    ensure!(words.join(" ").contains(example), "{explained}");
    create(&cluster, &ingress_route("www", &serde_json::from_str(CONTOUR)?))?;
    let status = json!({"status": {
        "currentStatus": "valid",
        "description": "valid IngressRoute",
        "observedGeneration": 1,
        "activeBranch": "blog",
        "switches": [{"host": "www.example.com", "match": "/blog", "active": "marketing/blog", "proxies": "3/3"}],
        "conditions": [{
            "type": "Valid", "status": "True", "reason": "Valid", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
    }});
    let patch = [
        "patch",
        "ingressroute",
        "www",
        "--subresource=status",
        "--type=merge",
        "-p",
        &status.to_string(),
    ];
    cluster.kubectl(&patch)?;
    let table = cluster.kubectl(&["get", "ingressroutes"])?;
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    let want = [
        [
            "NAME",
            "FQDN",
            "TLS SECRET",
            "FIRST ROUTE",
            "STATUS",
            "STATUS DESCRIPTION",
            "ACTIVE BRANCH",
        ],
        [
            "www",
            "www.example.com",
            "certs/www",
            "/",
            "valid",
            "valid IngressRoute",
            "blog",
        ],
    ];
    ensure!(rows == want, "{table}");
    let stored = cluster.kubectl(&["get", "ingressroute", "www", "-o", "jsonpath={.status}"])?;
    let stored: Value = serde_json::from_str(&stored)?;
    ensure!(stored == status["status"], "{stored}");
    Ok(())
}
