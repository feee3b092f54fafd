//! `certgen`, and what takes the files that it makes.

use super::{path, stderr, stdout, switchyard};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
};
use switchyard::{manifests, x509};
use tempfile::TempDir;

fn certgen(dir: &Path, arguments: &[&str]) -> Output {
    switchyard(&[&["certgen", "--output-dir", path(dir)], arguments].concat())
}

/// Every file below a directory, and what it holds.
fn files(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for role in ["ca", "client", "server"] {
        for part in ["ca.crt", "tls.crt", "tls.key"] {
            let file = dir.join(role).join(part);
            let text = fs::read_to_string(&file).unwrap();
            files.push((file, text));
        }
    }
    files
}

fn flags(dir: &Path) -> Vec<String> {
    [
        "--xds-ca-file=ca.crt",
        "--xds-cert-file=tls.crt",
        "--xds-key-file=tls.key",
    ]
    .map(|flag| flag.replace('=', &format!("={}/server/", dir.display())))
    .to_vec()
}

#[test]
fn certgen_creates_files_and_overwrites_only_on_request() {
    let folder = TempDir::new().unwrap();
    let made = certgen(
        folder.path(),
        &["-n", "edge", "--dns-name", "xds.example.com,10.1.2.3"],
    );
    assert!(made.status.success(), "{}", stderr(&made));
    let before = files(folder.path());
    for (file, _) in &before {
        let mode = fs::metadata(file).unwrap().permissions().mode() & 0o777;
        let want = if file.ends_with("tls.key") { 0o600 } else { 0o644 };
        assert_eq!(mode, want, "{}", file.display());
    }
    let server = fs::read_to_string(folder.path().join("server/tls.crt")).unwrap();
    let names = x509::facts(&server).unwrap().names;
    let want = [
        "10.1.2.3",
        "127.0.0.1",
        "::1",
        "localhost",
        "switchyard",
        "switchyard.edge",
        "switchyard.edge.svc",
        "switchyard.edge.svc.cluster.local",
        "xds.example.com",
    ];
    assert_eq!(names, BTreeSet::from(want.map(str::to_owned)));

    let kept = certgen(folder.path(), &[]);
    assert!(kept.status.success());
    let lines = stdout(&kept);
    assert_eq!(lines.matches(": kept, valid until ").count(), 3, "{lines}");
    assert_eq!(files(folder.path()), before);

    let renewed = certgen(folder.path(), &["--overwrite"]);
    assert!(renewed.status.success());
    for ((file, new), (_, old)) in files(folder.path()).iter().zip(&before) {
        assert_ne!(new, old, "{}", file.display());
    }
}

#[test]
fn certgen_prints_secrets_for_a_namespace() {
    for format in ["yaml", "json"] {
        let output = switchyard(&["certgen", "-n", "edge", "-o", format]);
        assert!(output.status.success(), "{}", stderr(&output));
        let secrets: Vec<Value> = if format == "json" {
            let list: Value = serde_json::from_slice(&output.stdout).unwrap();
            list["items"].as_array().unwrap().clone()
        } else {
            let read = manifests::documents(&stdout(&output), false);
            assert_eq!(read.error, None);
            read.documents.iter().map(manifests::Node::to_value).collect()
        };
        let names: Vec<_> = secrets.iter().map(|secret| &secret["metadata"]["name"]).collect();
        assert_eq!(
            names,
            [
                "switchyard-xds-ca",
                "switchyard-xds-server",
                "switchyard-xds-client"
            ]
        );
        for secret in &secrets {
            assert_eq!(secret["apiVersion"], "v1");
            assert_eq!(secret["kind"], "Secret");
            assert_eq!(secret["type"], "kubernetes.io/tls");
            assert_eq!(secret["metadata"]["namespace"], "edge");
            let keys: Vec<_> = secret["data"].as_object().unwrap().keys().collect();
            assert_eq!(keys, ["ca.crt", "tls.crt", "tls.key"]);
        }
    }
}

#[test]
fn certgen_rejects_invalid_arguments() {
    let folder = TempDir::new().unwrap();
    let dir = path(folder.path());
    for (arguments, said) in [
        (&[][..], "required"),
        (&["--output-dir", dir, "--kube"], "cannot be used with"),
        (&["-o", "yaml", "--renew-before", "30d"], "cannot be used with"),
        (
            &["--output-dir", dir, "--overwrite", "--renew-before", "30d"],
            "cannot be used with",
        ),
        (&["--output-dir", dir, "--lifetime", "1096d"], "--lifetime"),
        (&["--output-dir", dir, "--lifetime", "0d"], "--lifetime"),
        (&["--output-dir", dir, "--lifetime", "a year"], "such as 30d"),
        (&["--output-dir", dir, "--renew-before", "365d"], "--renew-before"),
        (
            &["--output-dir", dir, "--dns-name", "ä.example.com"],
            "ä.example.com",
        ),
        (&["--kube", "--kubeconfig", "/nowhere"], "/nowhere"),
    ] {
        let output = switchyard(&[&["certgen"], arguments].concat());
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            stderr(&output).contains(said),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn serve_rejects_remote_plaintext_and_bad_tls_files() {
    let folder = TempDir::new().unwrap();
    let certificates = folder.path().join("certificates");
    assert!(certgen(&certificates, &[]).status.success());
    let flags = flags(&certificates);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let wasm = folder.path().join("in.wasm");
    fs::write(&wasm, b"\0asm\x01\0\0\0").unwrap();
    let serve = ["serve", "--manifests", path(folder.path()), "--wasm", path(&wasm)];
    let address = ["--xds-address", "0.0.0.0:0", "--admin-address", "127.0.0.1:0"];
    let serve = [&serve[..], &address].concat();
    let refused = |arguments: &[&str], said: &[&str]| {
        let output = switchyard(&[&serve[..], arguments].concat());
        assert!(!output.status.success(), "{arguments:?}");
        for said in said {
            assert!(
                stderr(&output).contains(said),
                "{arguments:?}: {}",
                stderr(&output)
            );
        }
    };
    refused(&[], &["--xds-ca-file", "--insecure", "certgen"]);
    refused(&flags[..2], &["--xds-key-file"]);
    refused(&flags[2..], &["--xds-ca-file"]);
    refused(&[&flags[..], &["--insecure"]].concat(), &["cannot be used with"]);
    fs::write(certificates.join("server/tls.crt"), "").unwrap();
    refused(&flags, &["server/tls.crt: contains no certificate in PEM"]);
}

#[test]
fn bootstrap_references_certificates_in_watched_files() {
    let folder = TempDir::new().unwrap();
    let wasm = folder.path().join("in.wasm");
    fs::write(&wasm, b"\0asm\x01\0\0\0").unwrap();
    let out = folder.path().join("envoy/envoy.json");
    let command = ["bootstrap", "--out", path(&out), "--wasm", path(&wasm)];
    let files = [
        "--xds-ca-file=/certs/ca.crt",
        "--xds-cert-file=/certs/tls.crt",
        "--xds-key-file=/certs/tls.key",
    ];
    let output = switchyard(&[&command[..], &files].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let read = |file: &str| -> Value {
        let text = fs::read_to_string(out.with_file_name(file)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let bootstrap = read("envoy.json");
    let socket = &bootstrap["static_resources"]["clusters"][0]["transport_socket"];
    assert_eq!(socket["typed_config"]["sni"], "switchyard", "{bootstrap:#}");
    let certificate = read("sds-certificate.json");
    let certificate = &certificate["resources"][0]["tls_certificate"];
    assert_eq!(certificate["private_key"]["filename"], "/certs/tls.key");
    let context = read("sds-validation.json");
    let context = &context["resources"][0]["validation_context"];
    assert_eq!(context["trusted_ca"]["filename"], "/certs/ca.crt");

    let plain = switchyard(&command);
    assert!(plain.status.success());
    let plain = read("envoy.json");
    assert!(plain["static_resources"]["clusters"][0]["transport_socket"].is_null());
    for arguments in [&files[1..], &["--xds-server-name", "a"]] {
        let output = switchyard(&[&command[..], arguments].concat());
        assert!(
            stderr(&output).contains("--xds-ca-file"),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}
