//! Keys and Secrets that must not appear in logs and debug output: keys that clients send, including requests that the
//! filter does not see, and the contents of Secrets.

use super::{Site, branch, delegate, get, pair, pair_of, root, secret, to};
use anyhow::{Context, Result, ensure};
use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use std::fs;
use switchyard_tests::{
    client,
    manifests::tls_secret,
    tls::{Authority, Certificate},
    wait::until,
    world::World,
};

const SECURE: &str = "secure.bar.com";
const HALF: &str = "half.bar.com";
const MISSING: &str = "missing.bar.com";

/// Hosts, targets and header lines with a right or wrong key, and the status. `{}` is an identifier for the log. The
/// words of the keys occur nowhere else.
const REQUESTS: &[(&str, &str, &str, u16)] = &[
    ("keyed", "/{}?key=open%20sesame", "", 200),
    ("keyed", "/{}?a=b&k%65y=open%20sesame&c", "", 200),
    ("keyed", "/{}", "X-Api-Key: open sesame\r\n", 200),
    ("keyed", "/{}?key=wrong%20sesame", "", 401),
    ("basic", "/{}", "Authorization: Basic YW5uOnNlY3JldA==\r\n", 200),
    ("keyed", "/{}?key=open%20sesame&key=open%20sesame", "", 400),
    ("keyed", "/{}?x?key=open%20sesame", "", 401),
    // Keys that the filter does not remove: the parameter has another name, or the filter is not called.
    ("keyed", "/{}?KEY=open%20sesame", "", 401),
    ("keyed", "/{}%2fy?key=open%20sesame", "", 307),
    ("keyed", "/{}%5cy?key=open%20sesame", "", 307),
    ("keyed", "/{}/%2e%2e;/y?key=open%20sesame", "", 200),
    ("plain", "/{}/%2e%2e;/y?key=open%20sesame", "", 400),
    ("secure", "/{}?key=open%20sesame", "", 301),
    ("secure", "/open/{}?key=open%20sesame", "", 301),
    ("missing", "/{}?key=open%20sesame", "", 503),
    ("half", "/{}?key=open%20sesame", "", 404),
    ("plain", "/{}?key=open%20sesame", "", 200),
    ("nobody", "/{}?key=open%20sesame", "", 404),
];

/// `ann:secret`.
const PASSWORD: &str = "YW5uOnNlY3JldA";
/// The digest of `open sesame`: `printf %s 'open sesame' | sha256sum`.
const DIGEST: &str = "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb";
/// `htpasswd -nbB ann secret`.
const HASH: &str = "$2y$10$e498EQckyy.8tEqYsWaqeOyJEWv45Vlk.TGRvY1bWoKKZKoEVoAmG";

/// Starts with maximum logging of control and Envoy, except for Envoy's debug level, which logs the headers of each
/// request.
async fn start(certificate: &Certificate) -> Result<Site> {
    let key = json!([{"apiKey": {"secretName": "keys", "header": "x-api-key", "query": "key"}}]);
    let with_key = |mut level: Value| {
        level["auth"] = key.clone();
        level
    };
    let secure = json!({"fqdn": SECURE, "tls": {"secretName": "secure"}});
    let lost = json!([{"apiKey": {"secretName": "not-there", "query": "key"}}]);
    let manifests = pair("keyed", &key)
        + &pair("basic", &json!([{"basic": {"secretName": "people"}}]))
        + &root(
            "secure",
            &with_key(secure),
            &json!([to("vault", "/"), delegate("opened", "/open")]),
        )
        + &branch("opened", &json!([to("vault", "/open")]))
        + &root(
            "half",
            &with_key(json!({"fqdn": HALF})),
            &json!([delegate("halves", "/")]),
        )
        + &branch("halves", &json!([to("vault", "/half")]))
        + &root(
            "missing",
            &json!({"fqdn": MISSING, "auth": lost}),
            &json!([to("vault", "/")]),
        )
        + &secret("people", &json!({"auth": format!("ann:{HASH}\n")}))
        + &tls_secret("default", "secure", certificate);
    let site = Site::start_with(|builder| {
        let log = builder.dir.join("access.log");
        builder
            .flag(&format!("--access-log={}", log.display()))
            .flag("--log-level=trace")
            .manifest("secrets.yaml", &manifests)
    })
    .await?;
    for host in pair_of("keyed").iter().chain(&pair_of("basic")) {
        site.world.status(host, "/", 401).await?;
    }
    site.world.status(SECURE, "/", 301).await?;
    site.world.status(MISSING, "/", 503).await?;
    site.world.status(HALF, "/", 401).await?;
    Ok(site)
}

/// All log files, with their names.
fn logs(world: &World) -> Result<Vec<(String, String)>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(&world.dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            logs.push((path.display().to_string(), fs::read_to_string(&path)?));
        }
    }
    ensure!(logs.len() == 3, "of control, of Envoy, and of requests: {logs:?}");
    Ok(logs)
}

/// The status of the logged request with this identifier.
async fn logged(world: &World, name: &str) -> Result<u64> {
    until("it is logged", async || {
        let text = fs::read_to_string(world.dir.join("access.log"))?;
        let mut lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let path = |entry: &Value| entry["path"].as_str().map(str::to_owned);
        let line = lines.find(|entry| path(entry).is_some_and(|path| path.contains(name)));
        let line = line.with_context(|| format!("no line of {name}"))?;
        line["response_code"].as_u64().context("a status")
    })
    .await
}

fn lacks(what: &str, text: &str, secrets: &[&str]) -> Result<()> {
    for secret in secrets {
        let lines = text.lines().filter(|line| line.contains(secret));
        let lines: Vec<_> = lines.map(|line| line.get(..400).unwrap_or(line)).collect();
        ensure!(lines.is_empty(), "{what} has {secret:?}:\n{}", lines.join("\n"));
    }
    Ok(())
}

/// All strings of a dump, with base64 decoded.
fn texts(dump: &Value) -> String {
    match dump {
        Value::String(text) => {
            let bytes = Base64::decode_vec(text).unwrap_or_default();
            format!("{text}\n{}\n", String::from_utf8_lossy(&bytes))
        }
        Value::Array(values) => values.iter().map(texts).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| format!("{name}\n{}", texts(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_and_dumps_contain_no_secrets() -> Result<()> {
    let certificate = Authority::new()?.issue(SECURE)?;
    let site = start(&certificate).await?;
    let world = &site.world;
    let mut asked = Vec::new();
    for (number, (door, target, lines, want)) in REQUESTS.iter().enumerate() {
        let doors = if *door == "keyed" { 2 } else { 1 };
        for (twin, host) in pair_of(door).iter().take(doors).enumerate() {
            let name = format!("n{number}-{twin}.");
            let target = target.replace("{}", &name);
            let reply = site.ask(&get(host, &target, lines)).await?;
            ensure!(reply.status == Some(*want), "{host}{target}: {reply:?}");
            asked.push((name, u64::from(*want)));
        }
    }
    for (name, want) in asked {
        let status = logged(world, &name).await?;
        ensure!(status == want, "{name}: {status}");
    }
    let private = certificate.key.lines().nth(1).context("a key in PEM")?;
    for (file, log) in logs(world)? {
        lacks(&file, &log, &["sesame", PASSWORD, private, DIGEST, HASH])?;
    }
    let told = world.control.process.log()?;
    ensure!(told.contains("TRACE"), "control does not log all it can");
    let dump = texts(&world.envoys.first().context("an Envoy")?.config_dump().await?);
    lacks("/config_dump", &dump, &["sesame", private])?;
    // A leak would be visible in the dump.
    ensure!(
        dump.contains(DIGEST) && dump.contains(HASH),
        "not in /config_dump"
    );
    ensure!(
        nobody_is_shown(world).await? > 10_000,
        "of what there is, little is shown"
    );
    Ok(())
}

/// Checks that control's output contains neither secrets nor values that allow guessing them. Returns the size of the
/// output.
async fn nobody_is_shown(world: &World) -> Result<usize> {
    let mut told = vec![("translate".to_owned(), world.ask("translate", &[]).await?.text())];
    let [keyed, _] = pair_of("keyed");
    let [basic, _] = pair_of("basic");
    for path in [
        "/debug/graph".to_owned(),
        format!("/debug/explain?host={keyed}&path=/x%3fkey=open%2520sesame"),
        format!("/debug/explain?host={keyed}&path=/x&header=X-Api-Key:%20open%20sesame"),
        format!("/debug/explain?host={basic}&path=/x"),
        "/proxies".to_owned(),
    ] {
        let answer = client::once(world.control.options.admin, client::get("admin", &path)).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        told.push((path, String::from_utf8_lossy(&answer.body).into_owned()));
    }
    for (what, text) in &told {
        lacks(what, text, &["sesame", DIGEST, HASH])?;
    }
    Ok(told.iter().map(|(_, text)| text.len()).sum())
}
