//! Misspelt policies: routes are not served without the policies that were intended.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use switchyard_tests::{
    echo::Echo,
    manifests::{ingress_route, service},
    world::{Builder, Source, World},
};

use crate::{scenarios_of_files, status::says};

mod api_server {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn misspelled_policy_pruned_by_api_server_is_a_warning() -> anyhow::Result<()> {
        super::misspelled_policy_pruned_by_api_server_is_a_warning(super::Source::ApiServer).await
    }
}

scenarios_of_files![
    misspelled_policy_answers_503_and_names_its_line,
    malformed_or_duplicate_policy_is_not_ignored,
];

/// Misspelt fields in a virtualhost or a route, and a part of the error that names the intended field or the fix.
const MISSPELT: [(&str, &str); 10] = [
    ("Auth: [{basic: {secretName: users}}]", "\"auth\""),
    ("auths: [{basic: {secretName: users}}]", "\"auth\""),
    ("auth: [{Basic: {secretName: users}}]", "\"basic\""),
    ("auth: [{ip: {allow: [203.0.113.0/24], dney: []}}]", "\"deny\""),
    ("ratelimits: [{requests: 1, unit: day}]", "\"rateLimits\""),
    ("rateLimits: [{requests: 1, unit: day, brust: 1}]", "\"burst\""),
    ("Concurrency: {max: 1}", "\"concurrency\""),
    ("concurrency: null", "set one, or remove the field"),
    ("retrypolicy: {count: 2}", "\"retryPolicy\""),
    ("gate: {open: never}", "remove it, or correct its name"),
];

/// Policies that are not lists or objects, or occur twice.
const UNREADABLE: [&str; 6] = [
    "auth: {basic: {secretName: users}}",
    "auth: basic",
    "auth:",
    "rateLimits: {requests: 1, unit: day}",
    "concurrency: 5",
    "auth: [{ip: {allow: [203.0.113.0/24]}}]\n    auth: []",
];

/// Applies a misspelt policy with `kubectl apply`, which the API server then drops.
async fn misspelled_policy_pruned_by_api_server_is_a_warning(source: Source) -> Result<()> {
    let blue = Echo::start("blue").await?;
    let routes = json!([{"match": "/", "services": [{"name": "blue", "port": 80}]}]);
    let virtualhost = json!({"fqdn": OPEN});
    let mut applied = json!({
        "apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute",
        "metadata": {"namespace": "default", "name": "open"},
        "spec": {"virtualhost": virtualhost, "routes": routes},
    });
    let mut object = applied.clone();
    applied["spec"]["virtualhost"]["auths"] = json!([]);
    object["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": applied.to_string()});
    let world = Builder::new(source)?
        .manifest("open.yaml", &format!("---\n{object:#}\n"))?
        .manifest("service.yaml", &service("default", "blue", &[blue.address]))?
        .start()
        .await?;
    world.served_by(OPEN, "/", "blue").await?;
    let told = "unknown field \"auths\" was applied, but the API server pruned it: did you mean \"auth\"?";
    let checked = world.ask("check", &[]).await?;
    let line = format!("warning: spec.virtualhost.auths: virtualhost: {told}");
    ensure!(
        checked.code == Some(0) && checked.stdout.contains(&line),
        "{checked:?}"
    );
    let description = format!("valid IngressRoute; warning: virtualhost: {told}");
    says(&world, "open", &[("/description", json!(description))]).await?;
    Ok(())
}

const OPEN: &str = "open.bar.com";

/// A root with `guard` in its virtualhost, or otherwise in its route `/admin`.
fn root(host: &str, guard: &str, in_virtualhost: bool) -> String {
    let (above, below) = if in_virtualhost { (guard, "") } else { ("", guard) };
    format!(
        "apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata: {{namespace: default, name: {name}}}
spec:
  virtualhost:
    fqdn: {host}
    {above}
  routes:
  - match: /
    services: [{{name: blue, port: 80}}]
  - match: /admin
    services: [{{name: blue, port: 80}}]
    {below}
",
        name = host.replace('.', "-"),
    )
}

async fn start(files: impl Iterator<Item = (String, String)>) -> Result<(World, Echo)> {
    let blue = Echo::start("blue").await?;
    let open = json!({
        "virtualhost": {"fqdn": OPEN}, "routes": [{"match": "/", "services": [{"name": "blue", "port": 80}]}],
        "strategy": "Random", "healthCheck": {"path": "/"},
    });
    let mut builder = Builder::new(Source::Directory)?
        .manifest("open.yaml", &ingress_route("open", &open))?
        .manifest("service.yaml", &service("default", "blue", &[blue.address]))?;
    for (file, text) in files {
        builder = builder.manifest(&file, &text)?;
    }
    let world = builder.start().await?;
    world.served_by(OPEN, "/", "blue").await?;
    Ok((world, blue))
}

/// The line of `text` that contains `part`.
fn line(text: &str, part: &str) -> Result<usize> {
    let before = text.split(part).next().filter(|before| before.len() < text.len());
    Ok(before.context("it stands nowhere")?.matches('\n').count() + 1)
}

async fn misspelled_policy_answers_503_and_names_its_line(_: Source) -> Result<()> {
    let host = |index: usize, above: bool| format!("{}{index}.bar.com", if above { "host" } else { "route" });
    let cases = || {
        let both = [true, false].into_iter();
        both.flat_map(|above| (0..MISSPELT.len()).map(move |index| (index, above)))
    };
    let text = |(index, above): (usize, bool)| root(&host(index, above), MISSPELT[index].0, above);
    let files = cases().map(|case| (format!("{}.yaml", host(case.0, case.1)), text(case)));
    let (world, _blue) = start(files).await?;
    let checked = world.ask("check", &["-o", "json"]).await?;
    ensure!(checked.code == Some(1), "{checked:?}");
    let told: Value = serde_json::from_str(&checked.stdout)?;
    ensure!(told["warnings"] == json!([]), "{told}");
    for (index, above) in cases() {
        let (guard, meant) = MISSPELT[index];
        let host = host(index, above);
        world.status(&host, "/admin/x", 503).await?;
        if above {
            world.status(&host, "/", 503).await?;
        } else {
            world.served_by(&host, "/", "blue").await?;
        }
        let line = line(&text((index, above)), guard)?;
        let is_told = |error: &Value| {
            error["file"] == json!(format!("{host}.yaml"))
                && error["line"] == json!(line)
                && error["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(meant))
        };
        let errors = told["errors"].as_array().context("errors")?;
        ensure!(errors.iter().any(is_told), "{host}: {guard}: {told}");
    }
    Ok(())
}

async fn malformed_or_duplicate_policy_is_not_ignored(_: Source) -> Result<()> {
    let host = |index: usize| format!("bad{index}.bar.com");
    let files = (0..UNREADABLE.len()).map(|index| {
        (
            format!("bad{index}.yaml"),
            root(&host(index), UNREADABLE[index], false),
        )
    });
    let (world, _blue) = start(files).await?;
    let checked = world.ask("check", &[]).await?;
    ensure!(checked.code == Some(1), "{checked:?}");
    for (index, guard) in UNREADABLE.iter().enumerate() {
        let answer = world.get(&host(index), "/admin").await?;
        ensure!(
            answer.status >= 400 && answer.backend().is_empty(),
            "{guard}: {answer:?}"
        );
        ensure!(
            checked.text().contains(&format!("bad{index}.yaml:")),
            "{guard}: {checked:?}"
        );
    }
    Ok(())
}
