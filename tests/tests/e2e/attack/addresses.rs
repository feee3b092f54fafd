//! Clients that forge their address.

use super::{Case, Credential, KEY, Site, Want, asking, delegate, get, root, to};
use anyhow::Result;
use serde_json::json;
use std::borrow::Cow;

/// The hosts that let in clients from 192.0.2.0/24, or with a key.
const HOSTS: [&str; 2] = ["near.bar.com", "near-switched.bar.com"];

/// The header by which a trusted proxy reports a client from that network.
const NEAR: Credential = Credential("X-Forwarded-For", Cow::Borrowed("192.0.2.7"));

/// Header lines that must not count, with or without a trusted proxy.
const LINES: &[&str] = &[
    "X-Forwarded-For: 192.0.2.7, 198.51.100.1",
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 198.51.100.1",
    "X-Forwarded-For: 192.0.2.7, 192.0.2.7, 198.51.100.1",
    "X-Forwarded-For: 192.0.2.7 198.51.100.1",
    "X-Forwarded-For: 198.51.100.1;192.0.2.7",
    "X-Forwarded-For: 192.0.2.7,",
    "X-Forwarded-For: 192.0.2.7, unknown",
    "X-Forwarded-For: 192.0.2.7, 192.0.2.7x",
    "X-Forwarded-For: 192.0.2.0/24",
    "X-Forwarded-For: 192.0.2",
    "X-Forwarded-For: 192.0.519",
    "X-Forwarded-For: 3221225991",
    "X-Forwarded-For: 0xc0000207",
    "X-Forwarded-For: 192.0.2.7%00",
    "X-Forwarded-For: \"192.0.2.7\"",
    "X-Forwarded-For: ::192.0.2.7",
    "X-Forwarded-For: 64:ff9b::192.0.2.7",
    "X-Forwarded-For: localhost",
    "X-Forwarded: for=192.0.2.7",
    "Forwarded: for=192.0.2.7",
    "Forwarded-For: 192.0.2.7",
    "X-Real-IP: 192.0.2.7",
    "X-Client-IP: 192.0.2.7",
    "X-Remote-Addr: 192.0.2.7",
    "X-Cluster-Client-IP: 192.0.2.7",
    "X-Original-Forwarded-For: 192.0.2.7",
    "X-Originating-IP: 192.0.2.7",
    "True-Client-IP: 192.0.2.7",
    "CF-Connecting-IP: 192.0.2.7",
    "Client-IP: 192.0.2.7",
    "Via: 1.1 192.0.2.7",
    "X-Envoy-External-Address: 192.0.2.7",
    "X-Envoy-Internal: true",
    "X_Forwarded_For: 192.0.2.7",
    "X-Forwarded-For : 192.0.2.7",
    "Connection: x-forwarded-for\r\nX-Forwarded-For: 192.0.2.7, 198.51.100.1",
];

/// Header lines that count only if a proxy is trusted.
const SAID: &[&str] = &[
    "X-Forwarded-For: 192.0.2.7",
    "X-Forwarded-For: 198.51.100.1, 192.0.2.7",
    "X-Forwarded-For: 192.0.2.7, 192.0.2.7",
    "X-Forwarded-For: ::ffff:192.0.2.7",
];

async fn start(hops: u32) -> Result<Site> {
    let near = json!([{"anyOf": [
        {"ip": {"allow": ["192.0.2.0/24"]}},
        {"apiKey": {"secretName": "keys", "header": "x-api-key"}},
    ]}]);
    let host = |fqdn: &str| asking(json!({"fqdn": fqdn}), near.clone());
    let manifests = root("near", &host(HOSTS[0]), &json!([to("vault", "/")]))
        + &root("near-switched", &host(HOSTS[1]), &json!([delegate("all", "/")]));
    let flag = format!("--xff-trusted-hops={hops}");
    let site = Site::start_with(|builder| Ok(builder.manifest("near.yaml", &manifests)?.flag(&flag))).await?;
    site.guards(&HOSTS).await?;
    Ok(site)
}

fn cases(lines: &[&str], credential: &Credential) -> Vec<Case> {
    let case = |(line, host): (&&str, &str)| Case {
        what: format!("{host} {line:?}"),
        control: get(host, "/", ""),
        attack: get(host, "/", &format!("{line}\r\n")),
        credential: credential.clone(),
        want: Want::Denied,
    };
    let all = lines.iter().flat_map(|line| HOSTS.map(|host| (line, host)));
    all.map(case).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwarded_addresses_are_ignored_without_trusted_proxy() -> Result<()> {
    let cases = cases(&[LINES, SAID].concat(), &KEY);
    start(0).await?.holds(&cases).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_trusted_proxy_address_counts() -> Result<()> {
    start(1).await?.holds(&cases(LINES, &NEAR)).await
}
