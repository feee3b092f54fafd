//! Policies at an API server, on virtualhosts and on routes.

use super::{ingress_route, leaf, one_route};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use switchyard_tests::{cluster::Cluster, clusters, paths};

/// The field of a policy, its value, the path of the error in it, and a part of the API server's message.
type Refused = (String, Value, String, String);

/// The text before an example in a description of the CustomResourceDefinition. A full stop follows the example.
const EXAMPLE: &str = "For example: ";

fn refused() -> Result<Vec<Refused>> {
    Ok(serde_saphyr::from_str(include_str!("refused.yaml"))?)
}

/// A spec with the policy on a virtualhost, and one with it on a route; each with the path to it.
fn levels(policy: &str, value: &Value) -> [(&'static str, Value); 2] {
    let host = json!({"fqdn": "a.example.com", policy: value});
    [
        ("spec.virtualhost", json!({"virtualhost": host})),
        ("spec.routes[0]", one_route(&leaf(&json!({policy: value})))),
    ]
}

/// Creates all objects in a namespace with a single `kubectl`, because starting it takes the most time. The error
/// contains its output.
fn create(cluster: &Cluster, objects: &[(String, Value)]) -> Result<String> {
    let folder = cluster.kubeconfig().with_file_name("policies");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    for (name, spec) in objects {
        fs::write(
            folder.join(format!("{name}.json")),
            ingress_route(name, spec).to_string(),
        )?;
    }
    cluster.kubectl(&["create", "-f", folder.to_str().context("a path that is text")?])
}

/// The errors in the output of `kubectl`. Each names the object, or its file.
fn errors(told: &str) -> Vec<&str> {
    let starts = ["The IngressRoute \"", "Error from server"];
    let starts = starts.iter().flat_map(|start| told.match_indices(start));
    let mut starts: Vec<_> = starts.map(|(at, _)| at).collect();
    starts.sort_unstable();
    let ends = starts.iter().copied().skip(1).chain([told.len()]);
    let ranges = starts.iter().zip(ends);
    ranges.filter_map(|(start, end)| told.get(*start..end)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_policies_are_rejected_with_their_path() -> Result<()> {
    let cluster = clusters::take()?;
    let mut objects = Vec::new();
    let mut wanted = Vec::new();
    for (policy, value, at, why) in refused()? {
        for (level, spec) in levels(&policy, &value) {
            let name = format!("bad-{}", objects.len());
            objects.push((name.clone(), spec));
            wanted.push((name, [level.to_owned(), at.clone(), why.clone()]));
        }
    }
    let told = create(&cluster, &objects)
        .err()
        .context("all are admitted")?
        .to_string();
    let errors = errors(&told);
    for (name, words) in wanted {
        let marks = [format!("\"{name}\""), format!("/{name}.json\"")];
        let is_named = |error: &&&str| marks.iter().any(|mark| error.contains(mark));
        let error = errors
            .iter()
            .find(is_named)
            .with_context(|| format!("admitted: {words:?}"))?;
        let is_told = |line: &str| words.iter().all(|word| line.contains(word));
        ensure!(error.lines().any(is_told), "{words:?}: {error}");
    }
    let admitted = cluster.kubectl(&["get", "ingressroutes", "-o", "name"])?;
    ensure!(admitted.is_empty(), "{admitted}");
    Ok(())
}

/// The examples of complete policies in the CRD's field descriptions, by field.
fn examples() -> Result<Vec<(String, Value)>> {
    let crds = fs::read_to_string(paths::repository().join("deploy/crds/crds.yaml"))?;
    let crds: Vec<Value> = serde_saphyr::from_multiple(&crds)?;
    let spec =
        &crds[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let fields = spec["virtualhost"]["properties"].as_object().context("fields")?;
    let example = |(name, field): (&String, &Value)| {
        let (_, example) = field["description"].as_str()?.split_once(EXAMPLE)?;
        Some((name.clone(), example.strip_suffix('.')?.to_owned()))
    };
    let examples = fields.iter().filter_map(example);
    examples
        .map(|(name, example)| Ok((name, serde_saphyr::from_str(&example)?)))
        .collect()
}

/// A field that is null is dropped, and an absent field gets its default if the schema has one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documented_policies_are_admitted() -> Result<()> {
    let cluster = clusters::take()?;
    let examples = examples()?;
    ensure!(examples.len() == 8, "{examples:?}");
    let mut objects: Vec<_> = examples
        .iter()
        .flat_map(|(policy, example)| levels(policy, example))
        .enumerate()
        .map(|(number, (_, spec))| (format!("example-{number}"), spec))
        .collect();
    let examples = objects.len();
    let whole: Value = serde_saphyr::from_str(include_str!("whole.yaml"))?;
    objects.push(("whole".to_owned(), one_route(&leaf(&whole["written"]))));
    let nothing = whole["written"].as_object().context("policies")?.keys();
    let nothing: Value = nothing.map(|policy| (policy.clone(), Value::Null)).collect();
    objects.push(("nothing".to_owned(), one_route(&leaf(&nothing))));
    create(&cluster, &objects)?;
    let get = |name: &str| -> Result<Value> {
        let stored = cluster.kubectl(&["get", "ingressroute", name, "-o", "json"])?;
        let mut stored: Value = serde_json::from_str(&stored)?;
        Ok(stored["spec"]["routes"][0].take())
    };
    let services = json!([{"name": "s1", "port": 80, "strategy": "RoundRobin"}]);
    let route = |more: &Value| super::merged(json!({"match": "/", "services": services}), more.clone());
    for (name, want) in [
        ("whole", route(&whole["stored"])),
        ("nothing", route(&whole["nothing"])),
    ] {
        let stored = get(name)?;
        ensure!(stored == want, "{name}: {stored:#} is not {want:#}");
    }
    let names = cluster.kubectl(&["get", "ingressroutes", "-o", "name"])?;
    ensure!(names.lines().count() == examples + 2, "{names}");
    Ok(())
}
