//! The cost of API keys and passwords.

use anyhow::Result;
use serde_json::json;
use switchyard_tests::{
    manifests::{ingress_route, object},
    report::Figure,
    twins::Twin,
    world::{Builder, Source},
};

use crate::{
    asked::{ASKED, Asked, PLAIN, always, asking, is_refused, root, twin_way},
    compare::{Row, compare},
};

const KEY: &str = "d9b1c3f07a5e4c2f8b6a1e0d";
/// Hosts below a switch: the first with the policy, the second without.
const SWITCHED_ASKED: &str = "switched.bar.com";
const SWITCHED_PLAIN: &str = "branched.bar.com";

/// `ann:secret`, and its htpasswd entry in the only format that Envoy's filter supports.
const PASSWORD: &str = "Basic YW5uOnNlY3JldA==";
const HTPASSWD: &str = "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=";

pub(crate) async fn measure_api_key() -> Result<Vec<Figure>> {
    let policy = json!({"auth": [{"apiKey": {"secretName": "clients", "header": "x-api-key"}}]});
    let secret = object("v1", "Secret", "clients", json!({"stringData": {"machine": KEY}}));
    let switch = |name: &str, fqdn: &str, policy: &_| {
        let host = asking(json!({"fqdn": fqdn}), policy);
        let routes = json!([{"match": "/", "delegate": {"name": "branch"}}]);
        ingress_route(name, &json!({"virtualhost": host, "routes": routes}))
    };
    let branch = json!({"routes": [{"match": "/", "services": [{"name": "web", "port": 80}]}]});
    let none = json!({});
    let objects = [
        root("asked", ASKED, &policy),
        root("plain", PLAIN, &none),
        switch("switched-asked", SWITCHED_ASKED, &policy),
        switch("switched-plain", SWITCHED_PLAIN, &none),
        ingress_route("branch", &branch),
        secret,
    ];
    let builder = Builder::named(Source::Directory, "bench-api-key")?;
    let mut asked = Asked::with(builder, &objects.concat()).await?;
    let twin = api_key_auth()?;
    let key = || always("x-api-key", KEY);
    let ways = [
        asked.way(SWITCHED_ASKED, key()),
        asked.way(SWITCHED_PLAIN, key()),
        asked.way(ASKED, key()),
        asked.way(PLAIN, key()),
        twin_way(&twin, key()),
    ];
    let costs = compare(&mut asked.world, std::slice::from_ref(&twin), &ways).await?;
    for host in [ASKED, SWITCHED_ASKED] {
        is_refused(asked.world.http(), host, 401).await?;
    }
    is_refused(twin.address, PLAIN, 401).await?;
    let method = costs.method([
        "below a switch with the check",
        "below a switch without it",
        "a plain route with it",
        "a plain route without it",
        "a plain route with `api_key_auth`",
    ]) + " The bar is held against a route of the same kind that the filter is on for anyway: that is what the check adds. A plain route \
          without policies does not enter the filter at all, and what entering it costs is in the row of the switch; that ratio is told as well.";
    let row = |(way, other), cpu, bar, time| Row {
        way,
        other,
        cpu,
        bar,
        time,
    };
    let rows = [
        row(
            (0, 1),
            "Envoy CPU for a request, API key against no auth, below a switch",
            Some(1.2),
            "99 % of answers, API key against no auth, below a switch",
        ),
        row(
            (2, 3),
            "Envoy CPU for a request, API key on a plain route against a plain route without the filter",
            None,
            "99 % of answers, API key on a plain route against a plain route without the filter",
        ),
        row(
            (2, 4),
            "Envoy CPU for a request, API key on a plain route against `api_key_auth`",
            None,
            "99 % of answers, API key on a plain route against `api_key_auth`",
        ),
    ];
    Ok(rows.iter().flat_map(|row| costs.figures(*row, &method)).collect())
}

fn api_key_auth() -> Result<Twin> {
    Twin::with(
        "keys",
        "envoy.filters.http.api_key_auth",
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
            "credentials": [{"key": KEY, "client": "machine"}],
            "key_sources": [{"header": "x-api-key"}],
            "forwarding": {"header": "x-user", "hide_credentials": true},
        }),
    )
}

pub(crate) async fn measure_basic() -> Result<Vec<Figure>> {
    let policy = json!({"auth": [{"basic": {"secretName": "staff"}}]});
    let secret = object("v1", "Secret", "staff", json!({"stringData": {"auth": HTPASSWD}}));
    let mut asked = Asked::start("bench-basic", &[(ASKED, policy)], &secret).await?;
    let twin = Twin::with(
        "passwords",
        "envoy.filters.http.basic_auth",
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.basic_auth.v3.BasicAuth",
            "users": {"inline_string": HTPASSWD},
            "forward_username_header": "x-user",
        }),
    )?;
    let password = || always("authorization", PASSWORD);
    let ways = [asked.way(ASKED, password()), twin_way(&twin, password())];
    let costs = compare(&mut asked.world, std::slice::from_ref(&twin), &ways).await?;
    is_refused(asked.world.http(), ASKED, 401).await?;
    is_refused(twin.address, PLAIN, 401).await?;
    let method = costs.method(["the filter", "`basic_auth`"])
        + " One user, whose password is hashed by SHA: the only form that `basic_auth` takes.";
    let row = Row {
        way: 0,
        other: 1,
        cpu: "Envoy CPU for a request, basic auth against `basic_auth`",
        bar: None,
        time: "99 % of answers, basic auth against `basic_auth`",
    };
    Ok(costs.figures(row, &method).into())
}
