//! Identity headers reach the upstream only from the check that verified the client: neither from the client nor from a
//! delegate.
//!
//! Two parents delegate `/team` to the IngressRoute `team`. One verifies a token and forwards its role and tenant; the
//! other asks a service, which sets the group.

use super::{
    Case, Credential, Site, Want, asking, branch, delegate, get, merged, root, secret, to, tokens::Keys,
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use switchyard_tests::{
    client::Seen,
    gatekeeper::Gatekeeper,
    manifests::{annotated_service, service},
    rogue::Rogue,
    tokens::Issuer,
    wait::until,
};

const BY_TOKEN: &str = "by-token.bar.com";
const BY_SERVICE: &str = "by-service.bar.com";

/// Header lines of a client. `{}` is a header that a check sets.
const LINES: &[&str] = &[
    "",
    "{}: forged\r\n",
    "{}: forged\r\n{}: forged\r\n",
    "Connection: {}\r\n{}: forged\r\n",
    "{}:\r\n forged\r\n",
    "X-Switchyard-User: forged\r\nX-Switchyard-Auth: forged\r\n",
    "Connection: x-switchyard-user, x-switchyard-auth\r\n",
];

/// The headers that checks may set, some of which are not set in these requests.
const NAMES: &[&str] = &["x-role", "X-ROLE", "x-tenant", "x-group", "X-Group"];

/// The headers that `team`'s own services return.
const SAID: &[&str] = &[
    "x-role",
    "X-Tenant",
    "x-group",
    "x-switchyard-user",
    "x-switchyard-auth",
    "x-switchyard-cluster",
];

/// The fields of `team` for headers and checks.
fn teams(keys: &Keys) -> Result<Vec<Value>> {
    let set = |name: &str| json!([{"name": name, "value": "forged"}]);
    let mut teams = vec![json!({})];
    for name in ["x-role", "X-Tenant", "x-group"] {
        teams.extend([
            json!({"headers": {"request": {"set": set(name)}}}),
            json!({"headers": {"request": {"add": set(name)}}}),
            json!({"headers": {"request": {"remove": [name]}}}),
            json!({"headers": {"request": {"remove": [name], "set": set(name), "add": set(name)}}}),
        ]);
    }
    let everybody = json!({"ip": {"allow": ["0.0.0.0/0", "::/0"]}});
    let own = json!({"basic": {"secretName": "own-people"}});
    teams.push(json!({"auth": [{"anyOf": [own, everybody]}]}));
    // A delegate that forwards another claim of the same token.
    let claims = ["x-role", "x-tenant", "x-group"].map(|name| json!({"claim": "sub", "header": name}));
    let token = merged(keys.check()?["jwt"].clone(), &json!({"claimsToHeaders": claims}));
    teams.push(json!({"auth": [{"anyOf": [{"jwt": token}, everybody]}]}));
    let rogue = |name: &str| json!({"name": name, "port": 80});
    for names in [json!(["x-role", "x-tenant", "x-group"]), json!(null)] {
        for (name, protocol) in [("rogue", "http"), ("rogue-h2c", "grpc")] {
            let external = json!({"service": rogue(name), "protocol": protocol, "timeout": "5s"});
            let external = merged(external, &json!({"responseHeaders": names}));
            teams.push(json!({"auth": [{"external": external}]}));
        }
    }
    let global = json!({
        "service": rogue("rogue-h2c"),
        "domain": "team",
        "descriptors": [{"entries": [{"key": "all", "value": "all"}]}],
        "timeout": "5s",
    });
    teams.push(json!({"rateLimits": [{"global": global}]}));
    Ok(teams)
}

/// Checks the identity headers that the upstream received.
fn is_told(host: &str, seen: &Seen) -> Result<()> {
    let told = |name: &str| seen.headers.get(name).map(String::as_str);
    let names = [
        "x-switchyard-user",
        "x-switchyard-auth",
        "x-role",
        "x-tenant",
        "x-group",
    ];
    let want = match host {
        BY_TOKEN => [Some("ann"), Some("jwt"), Some("reader"), None, told("x-group")],
        _ => [None, None, told("x-role"), told("x-tenant"), Some("staff")],
    };
    ensure!(names.map(told) == want, "{host}: {:?}", seen.headers);
    Ok(())
}

async fn start(keys: &Keys, gatekeeper: &Gatekeeper, rogue: &Rogue) -> Result<Site> {
    let h2c = [("projectcontour.io/upstream-protocol.h2c", "80")];
    let asks = json!({"external": {
        "service": {"name": "gatekeeper", "port": 80},
        "timeout": "5s",
        "responseHeaders": ["x-group"],
    }});
    let parent = |name: &str, fqdn: &str, auth: Value| {
        root(
            name,
            &json!({"fqdn": fqdn}),
            &json!([asking(delegate("team", "/team"), json!([auth]))]),
        )
    };
    let manifests = parent("by-token", BY_TOKEN, keys.check()?)
        + &parent("by-service", BY_SERVICE, asks)
        + &service("default", "gatekeeper", &[gatekeeper.address])
        + &service("default", "rogue", &[rogue.address])
        + &annotated_service("default", "rogue-h2c", &[rogue.address], &h2c)
        + &secret(
            "own-people",
            &json!({"auth": "eve:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="}),
        );
    let site = Site::start_with(|builder| builder.manifest("parents.yaml", &manifests)).await?;
    Ok(site)
}

/// Updates `team`, and waits until the proxy has it.
async fn team_says(site: &Site, number: usize, more: &Value) -> Result<()> {
    let mut route = to("vault", "/team");
    for (name, value) in more.as_object().into_iter().flatten() {
        route[name] = value.clone();
    }
    let edition = format!("edition-{number}.bar.com");
    let manifests = branch("team", &json!([route]))
        + &root("edition", &json!({"fqdn": edition}), &json!([to("web", "/")]));
    site.world.write("team.yaml", &manifests)?;
    site.world.served_by(&edition, "/", "web").await?;
    for host in [BY_TOKEN, BY_SERVICE] {
        until("it asks", async || {
            let status = site.world.get(host, "/team").await?.status;
            ensure!(matches!(status, 401 | 403), "{status}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_check_sets_identity_headers() -> Result<()> {
    let (keys, gatekeeper) = (Keys::new()?, Gatekeeper::start().await?);
    let rogue = Rogue::start(SAID).await?;
    let site = start(&keys, &gatekeeper, &rogue).await?;
    let bearer = format!("Bearer {}", keys.token()?);
    for (number, more) in teams(&keys)?.iter().enumerate() {
        team_says(&site, number, more).await?;
        let asked = rogue.asked();
        for (host, value) in [(BY_TOKEN, bearer.as_str()), (BY_SERVICE, "yes staff")] {
            let credential = Credential("Authorization", value.to_owned().into());
            for lines in NAMES
                .iter()
                .flat_map(|name| LINES.iter().map(|line| line.replace("{}", name)))
            {
                let reply = site.ask(&get(host, "/team/x", &lines).with(&credential)).await?;
                let seen = reply.seen().with_context(|| format!("{more} {lines:?}"))?;
                is_told(host, &seen).with_context(|| format!("{more} {lines:?}"))?;
            }
        }
        let is_asked = more.to_string().contains("\"rogue");
        ensure!((rogue.asked() > asked) == is_asked, "{more}");
    }
    Ok(())
}

/// Credentials that are valid for another host: the same claims signed by another issuer, and the same user with
/// another password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_valid_only_for_their_host() -> Result<()> {
    let keys = Keys::new()?;
    let stranger = Issuer::new("RS256")?;
    let set = json!({"keys": [stranger.jwk()?]}).to_string();
    let mut other = keys.check()?;
    other["jwt"]["jwks"]["inline"] = set.into();
    let host = |name: &str, fqdn: &str, auth: Value| {
        root(
            name,
            &asking(json!({"fqdn": fqdn}), json!([auth])),
            &json!([to("vault", "/")]),
        )
    };
    let basic = |secret: &str| json!({"basic": {"secretName": secret}});
    let manifests = host("tokens", "tokens.bar.com", keys.check()?)
        + &host("other-tokens", "other-tokens.bar.com", other)
        + &host("people", "people.bar.com", basic("people"))
        + &host("other-people", "other-people.bar.com", basic("other-people"))
        + &secret("people", &json!({"auth": "eve:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="}))
        // The hash of `open sesame`.
        + &secret("other-people", &json!({"auth": "eve:{SHA}W8r/fyL/UzygmbNAjq2HbA67qac="}));
    let site = Site::start_with(|builder| builder.manifest("two.yaml", &manifests)).await?;
    site.guards(&[
        "tokens.bar.com",
        "other-tokens.bar.com",
        "people.bar.com",
        "other-people.bar.com",
    ])
    .await?;
    let claims = json!({
        "iss": "https://issuer.example", "aud": "shop", "sub": "root", "scope": "orders",
    });
    let stranger = format!("Bearer {}", stranger.token(&claims)?);
    let right = format!("Bearer {}", keys.token()?);
    let mut cases = Vec::new();
    for (believing, other, theirs, ours) in [
        (
            "other-tokens.bar.com",
            "tokens.bar.com",
            stranger.as_str(),
            right.as_str(),
        ),
        (
            "other-people.bar.com",
            "people.bar.com",
            "Basic ZXZlOm9wZW4gc2VzYW1l",
            "Basic ZXZlOnNlY3JldA==",
        ),
    ] {
        let theirs = Credential("Authorization", theirs.to_owned().into());
        // Both workers have cached the credential as valid for that host.
        for _ in 0..20 {
            site.serves(&get(believing, "/", "").with(&theirs)).await?;
        }
        cases.push(Case {
            what: other.to_owned(),
            control: get(other, "/", ""),
            attack: get(other, "/", "").with(&theirs),
            credential: Credential("Authorization", ours.to_owned().into()),
            want: Want::Denied,
        });
    }
    site.holds(&cases).await
}
