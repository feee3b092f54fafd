//! The objects of a cluster that control serves, and those that the commands show.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use switchyard_tests::{
    echo::Echo,
    manifests::service,
    world::{Builder, Source},
};

use crate::fixture::{BlueGreen, HOST, ROOT};

/// An IngressRoute of a class.
fn of_class(class: Option<&str>, namespace: &str, name: &str, spec: &Value) -> String {
    let annotations = class.map(|class| json!({"kubernetes.io/ingress.class": class}));
    let object = json!({
        "apiVersion": "contour.heptio.com/v1beta1",
        "kind": "IngressRoute",
        "metadata": {"namespace": namespace, "name": name, "annotations": annotations.unwrap_or_default()},
        "spec": spec,
    });
    format!("---\n{object:#}\n")
}

fn root_to(fqdn: &str, service: &str) -> Value {
    let services = [json!({"name": service, "port": 80})];
    json!({"virtualhost": {"fqdn": fqdn}, "routes": [{"match": "/", "services": services}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_serves_only_its_class_and_namespaces() -> Result<()> {
    let backend = Echo::start("backend").await?;
    let mut builder = Builder::new(Source::ApiServer)?
        .flag("--ingress-class-name=edge")
        .flag("--watch-namespaces=roots,default")
        .flag("--root-namespaces=roots");
    let cases = [
        ("ours", Some("edge"), "roots", 200),
        ("unclassed", None, "roots", 404),
        ("theirs", Some("contour"), "roots", 404),
        ("no-root", Some("edge"), "default", 404),
        ("unwatched", Some("edge"), "elsewhere", 404),
    ];
    for (name, class, namespace, _) in cases {
        let fqdn = format!("{name}.bar.com");
        let objects = of_class(class, namespace, name, &root_to(&fqdn, "backend"));
        builder = builder.manifest(&format!("{name}.yaml"), &objects)?;
    }
    for namespace in ["roots", "default", "elsewhere"] {
        let service = service(namespace, "backend", &[backend.address]);
        builder = builder.manifest(&format!("in-{namespace}.yaml"), &service)?;
    }
    let world = builder.start().await?;
    world.served_by("ours.bar.com", "/", "backend").await?;
    for (name, _, _, status) in cases {
        let answer = world.get(&format!("{name}.bar.com"), "/").await?;
        ensure!(answer.status == status, "{name}: {answer:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_show_only_given_classes_and_namespaces() -> Result<()> {
    let nowhere = json!([{"match": "/", "delegate": {"name": "nobody"}}]);
    let edge = json!({"virtualhost": {"fqdn": "edge.bar.com"}, "routes": nowhere});
    let theirs = json!({"routes": [{"match": "/", "services": [{"name": "green", "port": 80}]}]});
    let BlueGreen { world, .. } = &BlueGreen::start_with(Source::ApiServer, |builder| {
        builder
            .manifest("edge.yaml", &of_class(Some("edge"), "default", "edge", &edge))?
            .manifest(
                "theirs.yaml",
                &of_class(Some("edge"), "default", "theirs", &theirs),
            )
    })
    .await?;
    let edge = &["--ingress-class-name", "edge"][..];
    let elsewhere = &["--watch-namespaces", "elsewhere"][..];
    for (arguments, want) in [
        (&[][..], [true, false]),
        (edge, [false, true]),
        (elsewhere, [false, false]),
    ] {
        for command in ["tree", "translate"] {
            let arguments = [arguments, &["-o", "json"]].concat();
            let told = world.ask(command, &arguments).await?.succeeded()?.stdout;
            let hosts = [HOST, "edge.bar.com"].map(|host| told.contains(host));
            ensure!(hosts == want, "{command} {arguments:?}: {told}");
        }
        let checked = world.ask("check", arguments).await?;
        ensure!(checked.code == Some(want[1].into()), "{arguments:?}: {checked:?}");
    }
    let outcome = world.ask("switch", &[ROOT, "theirs"]).await?;
    ensure!(
        outcome.code == Some(1)
            && outcome
                .stderr
                .contains("default/theirs has another ingress class"),
        "{outcome:?}"
    );
    Ok(())
}
