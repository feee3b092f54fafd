//! The commands, as people run them.

// In a file of tests all is tests; clippy sees only the functions that say so.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

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

/// The demo's manifests, to edit.
fn demo() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(repository().join("deploy/demo")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn routes(folder: &TempDir) -> String {
    fs::read_to_string(folder.path().join("blue-green.yaml")).unwrap()
}

#[test]
fn check_says_everything_that_is_wrong() {
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
fn what_is_shipped_checks_well() {
    for folder in ["deploy/demo", "deploy/examples"] {
        let output = switchyard(&["check", path(&repository().join(folder))]);
        assert!(output.status.success(), "{}", stdout(&output));
    }
}

#[test]
fn a_directory_that_is_none_is_told() {
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
    assert_eq!(json["roots"].as_array().unwrap().len(), 4);
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
            "TypedExtensionConfig"
        ]
    );
    assert_eq!(all["Cluster"].as_array().unwrap().len(), 2);
    insta::assert_snapshot!(
        "endpoints",
        stdout(&switchyard(&["translate", path(&demo), "--type", "endpoint"]))
    );
}

#[test]
fn switch_edits_the_name_alone() {
    let folder = demo();
    let before = routes(&folder);
    let output = switchyard(&[
        "switch",
        path(folder.path()),
        "blue-green-root",
        "green",
        "--no-wait",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).ends_with("blue-green.yaml:9: blue -> green\n"),
        "{}",
        stdout(&output)
    );
    assert_eq!(routes(&folder), before.replace("{name: blue} ", "{name: green} "));
}

#[test]
fn switch_takes_a_root_by_name_namespace_or_host() {
    for root in ["blue-green-root", "default/blue-green-root", "blue-green.bar.com"] {
        let folder = demo();
        let output = switchyard(&["switch", path(folder.path()), root, "/", "green", "--no-wait"]);
        assert!(output.status.success(), "{root}: {}", stderr(&output));
        assert!(routes(&folder).contains("{name: green}      #"), "{root}");
    }
}

#[test]
fn switch_refuses_before_it_edits() {
    for (arguments, want) in [
        (
            ["nobody", "green"],
            "there is no IngressRoute default/nobody, and no host nobody. There are: default/blue, ",
        ),
        (
            ["blue-green-root", "purple"],
            "there is no IngressRoute default/purple: requests would get 503.",
        ),
        (["blue", "green"], "default/blue has no route that delegates"),
    ] {
        let folder = demo();
        let before = routes(&folder);
        let output = switchyard(&[&["switch", path(folder.path())], &arguments[..], &["--no-wait"]].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            stderr(&output).contains(want),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert_eq!(routes(&folder), before, "{arguments:?}");
    }
}

#[test]
fn switch_to_what_is_active_changes_nothing_and_is_well() {
    let folder = demo();
    let before = routes(&folder);
    let output = switchyard(&["switch", path(folder.path()), "blue-green-root", "blue"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).starts_with("blue is active already"),
        "{}",
        stdout(&output)
    );
    assert_eq!(routes(&folder), before);
}

#[test]
fn switch_does_not_edit_a_file_that_control_cannot_read() {
    let folder = demo();
    let file = folder.path().join("blue-green.yaml");
    let bad = routes(&folder) + "---\nkind: [\n";
    fs::write(&file, &bad).unwrap();
    let output = switchyard(&[
        "switch",
        path(folder.path()),
        "blue-green-root",
        "green",
        "--no-wait",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("mend that first"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), bad);
}

#[test]
fn switch_that_cannot_ask_control_says_that_the_file_is_edited() {
    let folder = demo();
    let control = ["--control", "http://127.0.0.1:1"];
    let output = switchyard(
        &[
            &["switch", path(folder.path()), "blue-green-root", "green"],
            &control[..],
        ]
        .concat(),
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("the file is edited, but http://127.0.0.1:1 cannot be asked"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn every_command_explains_itself() {
    for command in [
        "serve",
        "bootstrap",
        "check",
        "translate",
        "tree",
        "switch",
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
fn bootstrap_writes_the_filter_beside_and_tells_its_hash() {
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
