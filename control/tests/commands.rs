//! The commands, as people run them.

// In a file of tests all is tests; clippy sees only the functions that say so.
#![allow(clippy::unwrap_used)]

#[path = "commands/certgen.rs"]
mod certgen;
#[path = "commands/control.rs"]
mod control;
#[path = "commands/docs.rs"]
mod docs;
#[path = "commands/explain.rs"]
mod explain;
#[path = "commands/switch.rs"]
mod switch;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn switchyard(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_switchyard"))
        .args(arguments)
        .env_remove("NO_COLOR")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn check_reports_every_problem() {
    let broken = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/broken");
    let output = switchyard(&["check", path(&broken)]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(stdout(&output));
    let json = switchyard(&["check", path(&broken), "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        json["errors"].as_array().unwrap().len() + json["warnings"].as_array().unwrap().len() + 1,
        stdout(&output).lines().count()
    );
}

#[test]
fn shipped_manifests_pass_check() {
    for folder in ["deploy/demo", "deploy/examples"] {
        let output = switchyard(&["check", path(&repository().join(folder))]);
        assert!(output.status.success(), "{}", stdout(&output));
    }
}

#[test]
fn missing_directory_is_reported() {
    for command in ["check", "tree", "translate"] {
        let output = switchyard(&[command, "/nowhere"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).starts_with("switchyard: cannot read the directory /nowhere: "),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn tree_shows_delegations_and_statuses() {
    let examples = repository().join("deploy/examples");
    insta::assert_snapshot!(
        "tree_of_the_examples",
        stdout(&switchyard(&["tree", path(&examples)]))
    );
    let broken = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/broken");
    insta::assert_snapshot!(
        "tree_of_what_is_broken",
        stdout(&switchyard(&["tree", path(&broken)]))
    );
    let json = switchyard(&["tree", path(&examples), "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["roots"].as_array().unwrap().len(), 10);
}

#[test]
fn translate_prints_every_type_or_one() {
    let demo = repository().join("deploy/demo");
    let all = switchyard(&["translate", path(&demo), "-o", "json"]);
    assert!(all.status.success(), "{}", stderr(&all));
    let all: serde_json::Value = serde_json::from_slice(&all.stdout).unwrap();
    let types: Vec<_> = all.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        types,
        [
            "Cluster",
            "ClusterLoadAssignment",
            "Listener",
            "RouteConfiguration",
            "ScopedRouteConfiguration",
            "TypedExtensionConfig"
        ]
    );
    assert_eq!(all["Cluster"].as_array().unwrap().len(), 2);
    // Those with hosts, and the scopes that lead there.
    let names = |kind: &str| -> Vec<_> {
        let resources = all[kind].as_array().unwrap().iter();
        resources.map(|resource| resource["name"].to_string()).collect()
    };
    assert_eq!(names("RouteConfiguration").len(), 1);
    assert_eq!(names("RouteConfiguration"), names("ScopedRouteConfiguration"));
    insta::assert_snapshot!(
        "endpoints",
        stdout(&switchyard(&["translate", path(&demo), "--type", "endpoint"]))
    );
}

/// A root with TLS, of which it says `more` than its Secret; and that Secret.
fn root_with_tls(more: &str) -> String {
    let pair = rcgen::generate_simple_self_signed(["a.bar.com".to_owned()]).unwrap();
    format!(
        "apiVersion: contour.heptio.com/v1beta1\nkind: IngressRoute\nmetadata: {{name: r}}\n\
         spec: {{virtualhost: {{fqdn: a.bar.com, tls: {{secretName: s{more}}}}}, routes: []}}\n\
         ---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\ntype: kubernetes.io/tls\n\
         stringData: {{tls.crt: {:?}, tls.key: {:?}}}\n",
        pair.cert.pem(),
        pair.signing_key.serialize_pem()
    )
}

#[test]
fn tls_1_1_requires_operator_permission() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = root_with_tls(", minimumProtocolVersion: \"1.1\"");
    fs::write(folder.path().join("a.yaml"), manifest).unwrap();
    for (arguments, is_let_in) in [
        (&[][..], false),
        (&["--minimum-tls", "1.2"], false),
        (&["--minimum-tls", "1.1"], true),
    ] {
        let command = ["translate", path(folder.path()), "--type", "listener"];
        let output = switchyard(&[&command[..], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let told = stdout(&output);
        assert!(told.contains("tls_minimum_protocol_version"), "{told}");
        assert_eq!(told.contains("TLSv1_1"), is_let_in, "{arguments:?}: {told}");
    }
}

#[test]
fn translate_accepts_the_proxy_flags_of_serve() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), root_with_tls("")).unwrap();
    let listeners = |arguments: &[&str]| {
        let command = ["translate", path(folder.path()), "--type", "listener"];
        let output = switchyard(&[&command[..], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let defaults = listeners(&[]);
    for (arguments, before, after) in [
        (["--listen-address", "::1"], "0.0.0.0", "\"::1\""),
        (["--http-port", "81"], "port_value: 8080", "port_value: 81\n"),
        (["--https-port", "444"], "port_value: 8443", "port_value: 444\n"),
        (
            ["--minimum-tls", "1.3"],
            "tls_minimum_protocol_version: TLSv1_2",
            "tls_minimum_protocol_version: TLSv1_3",
        ),
        (["--access-log", "/dev/null"], "/dev/stdout", "/dev/null"),
        (["--xff-trusted-hops", "2"], "", "xff_num_trusted_hops: 2"),
    ] {
        let told = listeners(&arguments);
        assert!(
            defaults.contains(before) && !defaults.contains(after),
            "{arguments:?}: {defaults}"
        );
        assert!(told.contains(after), "{arguments:?}: {told}");
        assert!(
            before.is_empty() || !told.contains(before),
            "{arguments:?}: {told}"
        );
    }
}

/// Policies with secrets: what people wrote, what the filter gets of it, and what is shown.
const SECRETS: &str = r#"
apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata: {name: r}
spec:
  virtualhost:
    fqdn: a.bar.com
    auth:
    - basic: {secretName: users}
    - anyOf:
      - apiKey: {secretName: clients, header: x-api-key}
      - jwt: {jwks: {uri: "https://issuer.example.com/jwks"}}
  routes:
  - {match: /, services: [{name: web, port: 80}]}
---
apiVersion: v1
kind: Secret
metadata: {name: users}
stringData: {auth: "alice:$2y$05$abcdefghijklmnopqrstuuN4G2mLQ0E1cF9mZk0bq0lYVYQ0mGz9a"}
---
apiVersion: v1
kind: Secret
metadata: {name: clients}
stringData: {bob: 0123456789abcdef0123456789abcdef}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
"#;

#[test]
fn no_command_prints_policy_secrets() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), SECRETS).unwrap();
    let key = "0123456789abcdef0123456789abcdef";
    // printf %s KEY | sha256sum
    let digest = "3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9";
    for command in ["check", "tree", "translate"] {
        for format in ["json", "yaml"] {
            let output = switchyard(&[command, path(folder.path()), "-o", format]);
            assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
            let shown = stdout(&output) + &stderr(&output);
            for secret in ["$2y$05", key, digest] {
                assert!(!shown.contains(secret), "{command} shows {secret}: {shown}");
            }
        }
    }
    let shown = switchyard(&[
        "translate",
        path(folder.path()),
        "-o",
        "json",
        "--type",
        "extension",
    ]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let filters = shown["TypedExtensionConfig"].as_array().unwrap();
    let mut configurations = filters
        .iter()
        .map(|filter| &filter["typed_config"]["config"]["configuration"]["value"]);
    let auth = configurations
        .find_map(|value| value["policies"].get("a.bar.com default/r virtualhost"))
        .map(|policy| &policy["auth"])
        .unwrap();
    assert_eq!(auth[0]["anyOf"][0]["basic"]["users"]["alice"], "[redacted]");
    let keys = &auth[1]["anyOf"][0]["apiKey"]["keys"];
    assert_eq!(*keys, serde_json::json!({"[redacted] 1": "bob"}));
    assert_eq!(auth[1]["anyOf"][1]["jwt"]["keys"], serde_json::json!([]));
}

#[test]
fn every_command_has_help() {
    for command in [
        "serve",
        "bootstrap",
        "check",
        "translate",
        "tree",
        "explain",
        "switch",
        "certgen",
        "completions",
    ] {
        let output = switchyard(&[command, "--help"]);
        assert!(output.status.success(), "{command}");
        assert!(stdout(&output).lines().count() > 5, "{command}");
    }
    let version = switchyard(&["--version"]);
    assert_eq!(
        stdout(&version),
        format!("switchyard {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert!(stdout(&switchyard(&["completions", "bash"])).contains("_switchyard"));
}

#[test]
fn bootstrap_writes_the_filter_and_its_hash() {
    let folder = tempfile::tempdir().unwrap();
    let wasm = folder.path().join("in.wasm");
    fs::write(&wasm, b"\0asm\x01\0\0\0").unwrap();
    for (name, json) in [("envoy.yaml", false), ("envoy.json", true)] {
        let out = folder.path().join("envoy").join(name);
        let output = switchyard(&[
            "bootstrap",
            "--out",
            path(&out),
            "--wasm",
            path(&wasm),
            "--node-id",
            "edge-1",
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        let text = fs::read_to_string(&out).unwrap();
        let hash = "93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476";
        assert!(text.contains(hash), "{text}");
        assert_eq!(text.starts_with('{'), json, "{text}");
        assert!(folder.path().join("envoy/switchyard.wasm").exists());
    }
}

#[test]
fn bootstrap_configures_the_edge() {
    let folder = tempfile::tempdir().unwrap();
    let (wasm, out) = (folder.path().join("in.wasm"), folder.path().join("envoy.json"));
    fs::write(&wasm, b"\0asm\x01\0\0\0").unwrap();
    let written = |more: &[&str]| -> serde_json::Value {
        let command = ["bootstrap", "--out", path(&out), "--wasm", path(&wasm)];
        let output = switchyard(&[&command[..], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&fs::read(&out).unwrap()).unwrap()
    };
    let admin = |config: &serde_json::Value| config["admin"]["address"].clone();
    let most = "/overload_manager/resource_monitors/0/typed_config/max_active_downstream_connections";
    let config = written(&[]);
    let socket = folder.path().canonicalize().unwrap().join("admin.sock");
    let pipe = serde_json::json!({"pipe": {"path": socket, "mode": 0o600}});
    assert_eq!(admin(&config), pipe);
    assert_eq!(config.pointer(most).unwrap(), 50_000);
    assert_eq!(config.pointer("/overload_manager/actions"), None);
    let config = written(&[
        "--admin-address",
        "127.0.0.1:9001",
        "--max-downstream-connections",
        "7",
    ]);
    let loopback = serde_json::json!({"socket_address": {"address": "127.0.0.1", "port_value": 9001}});
    assert_eq!(admin(&config), loopback);
    assert_eq!(config.pointer(most).unwrap(), 7);
    let config = written(&["--max-heap-size", "1000000"]);
    let heap = "/overload_manager/resource_monitors/1/typed_config/max_heap_size_bytes";
    assert_eq!(config.pointer(heap).unwrap(), 1_000_000);
}

#[test]
fn bootstrap_rejects_too_long_socket_path() {
    let folder = tempfile::tempdir().unwrap();
    let wasm = folder.path().join("in.wasm");
    fs::write(&wasm, b"\0asm\x01\0\0\0").unwrap();
    let out = folder.path().join("a".repeat(100)).join("envoy.json");
    let command = ["bootstrap", "--out", path(&out), "--wasm", path(&wasm)];
    let refused = switchyard(&command);
    assert!(!refused.status.success());
    let told = stderr(&refused);
    assert!(
        told.contains("admin.sock") && told.contains("--admin-address"),
        "{told}"
    );
    let with_address = switchyard(&[&command[..], &["--admin-address", "127.0.0.1:9001"]].concat());
    assert!(with_address.status.success(), "{}", stderr(&with_address));
}

#[test]
fn check_and_tree_filter_by_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let root = |namespace: &str| {
        format!(
            "apiVersion: contour.heptio.com/v1beta1\nkind: IngressRoute\n\
             metadata: {{name: root, namespace: {namespace}}}\nspec:\n  virtualhost: {{fqdn: {namespace}.com}}\n  \
             routes: [{{match: /, delegate: {{name: gone}}}}]\n"
        )
    };
    fs::write(folder.path().join("roots.yaml"), root("a") + "---\n" + &root("b")).unwrap();
    for command in ["check", "tree"] {
        for (arguments, want) in [
            (&[][..], [true, true]),
            (&["-n", "a"], [true, false]),
            (&["-n", "c"], [false, false]),
        ] {
            let output = switchyard(&[&[command, path(folder.path())][..], arguments].concat());
            let told = stdout(&output);
            assert_eq!(
                ["a/root", "b/root"].map(|name| told.contains(name)),
                want,
                "{command} {arguments:?}: {told}"
            );
            let fails = command == "check" && want.contains(&true);
            assert_eq!(
                output.status.code(),
                Some(fails.into()),
                "{command} {arguments:?}"
            );
        }
    }
}
