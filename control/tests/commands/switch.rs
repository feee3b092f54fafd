//! `switchyard switch`.

use crate::{
    control::{Control, Fake},
    path, repository, stderr, stdout,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

/// Where no control is.
const NOWHERE: &str = "http://127.0.0.1:1";

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

/// The demo's manifests in two files, of which the second has a branch more.
fn demo_with_teal() -> TempDir {
    let folder = demo();
    let teal = "apiVersion: contour.heptio.com/v1beta1\nkind: IngressRoute\nmetadata: {name: teal}\n\
         spec: {routes: [{match: /, services: [{name: green, port: 80}]}]}\n";
    fs::write(folder.path().join("teal.yaml"), teal).unwrap();
    folder
}

/// `switchyard switch`, and no longer than it may ever take.
fn switch(folder: &TempDir, arguments: &[&str], control: &str) -> Output {
    Command::new("timeout")
        .args([
            "20",
            env!("CARGO_BIN_EXE_switchyard"),
            "switch",
            path(folder.path()),
        ])
        .args(arguments)
        .args(["--control", control])
        .output()
        .unwrap()
}

/// The answer of `/place`.
fn place(folder: &Path, file: &str) -> (u16, Value) {
    let directory = folder.canonicalize().unwrap();
    let place = json!({
        "namespace": "default", "name": "blue-green-root", "directory": path(&directory), "file": file,
    });
    (200, place)
}

#[test]
fn switch_edits_only_the_name() {
    let folder = demo();
    let before = routes(&folder);
    let output = switch(&folder, &["blue-green-root", "green", "--no-wait"], NOWHERE);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).ends_with("blue-green.yaml:9: blue -> green\n"),
        "{}",
        stdout(&output)
    );
    assert_eq!(routes(&folder), before.replace("{name: blue} ", "{name: green} "));
}

#[test]
fn switch_accepts_root_by_name_namespace_or_host() {
    for root in ["blue-green-root", "default/blue-green-root", "blue-green.bar.com"] {
        let folder = demo();
        let output = switch(&folder, &[root, "/", "green", "--no-wait"], NOWHERE);
        assert!(output.status.success(), "{root}: {}", stderr(&output));
        assert!(routes(&folder).contains("{name: green}      #"), "{root}");
    }
}

#[test]
fn switch_validates_before_editing() {
    for (arguments, want) in [
        (
            ["nobody", "green"],
            "no IngressRoute default/nobody and no host nobody found; known IngressRoutes: default/blue, ",
        ),
        (
            ["blue-green-root", "purple"],
            "default/purple would not serve:\n  there is no IngressRoute default/purple; in namespace default there are: blue, green",
        ),
        (["blue", "green"], "default/blue has no delegating route"),
    ] {
        let folder = demo();
        let before = routes(&folder);
        let output = switch(&folder, &[&arguments[..], &["--no-wait"]].concat(), NOWHERE);
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
fn switch_to_active_branch_succeeds_without_edit() {
    let folder = demo();
    let before = routes(&folder);
    let output = switch(&folder, &["blue-green-root", "blue", "--no-wait"], NOWHERE);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).starts_with("blue is already active"),
        "{}",
        stdout(&output)
    );
    assert_eq!(routes(&folder), before);
}

#[test]
fn switch_does_not_edit_an_unreadable_file() {
    let folder = demo();
    let file = folder.path().join("blue-green.yaml");
    let bad = routes(&folder) + "---\nkind: [\n";
    fs::write(&file, &bad).unwrap();
    let output = switch(&folder, &["blue-green-root", "green", "--no-wait"], NOWHERE);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("fix this first"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), bad);
}

#[test]
fn switch_reports_edit_when_control_is_unreachable() {
    let folder = demo();
    let output = switch(&folder, &["blue-green-root", "green"], NOWHERE);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("was edited, but cannot ask http://127.0.0.1:1"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn switch_reads_only_the_file_named_by_control() {
    for (root, branch) in [
        ("blue-green-root", "green"),
        ("default/blue-green-root", "teal"),
        ("Blue-Green.bar.com", "teal"),
    ] {
        let folder = demo_with_teal();
        let control = Control::start(folder.path());
        // Who opens a pipe that nobody writes to waits forever.
        let pipe = folder.path().join("a-pipe.yaml");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let output = switch(&folder, &[root, branch, "--no-wait"], &control.url);
        assert!(
            output.status.success(),
            "{root}: {:?} {}",
            output.status,
            stderr(&output)
        );
        assert!(routes(&folder).contains(&format!("{{name: {branch}}}")), "{root}");
    }
}

#[test]
fn switch_searches_when_control_serves_another_directory() {
    let (folder, other) = (demo(), demo());
    // In both, control's file holds the root; in the command's, it is not the one that counts.
    for at in [&folder, &other] {
        fs::rename(at.path().join("blue-green.yaml"), at.path().join("z.yaml")).unwrap();
    }
    fs::copy(
        folder.path().join("z.yaml"),
        folder.path().join("blue-green.yaml"),
    )
    .unwrap();
    let control = Control::start(other.path());
    let z = |at: &TempDir| fs::read_to_string(at.path().join("z.yaml")).unwrap();
    let before = z(&folder);
    let output = switch(&folder, &["blue-green-root", "green", "--no-wait"], &control.url);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(routes(&folder).contains("{name: green}      #"));
    assert_eq!((z(&folder), z(&other)), (before.clone(), before));
}

#[test]
fn switch_searches_when_the_answer_of_control_is_wrong() {
    for (what, answer) in [
        ("unknown", |_: &Path| (404, json!("no such"))),
        ("moved", |folder: &Path| place(folder, "services.yaml")),
        ("gone", |folder: &Path| place(folder, "gone.yaml")),
        ("hidden", |folder: &Path| place(folder, ".hidden.yaml")),
        ("not understood", |_: &Path| (200, json!(["?"]))),
    ] as [(&str, fn(&Path) -> (u16, Value)); 5]
    {
        let folder = demo();
        fs::copy(
            folder.path().join("blue-green.yaml"),
            folder.path().join(".hidden.yaml"),
        )
        .unwrap();
        let answer = answer(folder.path());
        let control = Fake::start(move |_| answer.clone());
        let output = switch(&folder, &["blue-green-root", "green", "--no-wait"], &control.url);
        assert!(output.status.success(), "{what}: {}", stderr(&output));
        assert!(routes(&folder).contains("{name: green}      #"), "{what}");
        assert!(!control.asked().is_empty(), "{what}");
    }
}

#[test]
fn switch_waits_for_an_already_active_branch() {
    let folder = demo();
    let control = Control::start(folder.path());
    let output = switch(&folder, &["blue-green-root", "blue"], &control.url);
    assert!(output.status.success(), "{}", stderr(&output));
    let file = folder.path().join("blue-green.yaml");
    let want = format!(
        "blue is already active ({}:9); live on 0/0 proxies\n",
        file.display()
    );
    assert_eq!(stdout(&output), want);
}

#[test]
fn switch_to_active_branch_fails_if_control_has_not_read_it() {
    let (folder, other) = (demo(), demo());
    fs::write(
        folder.path().join("blue-green.yaml"),
        routes(&folder).replace("{name: blue} ", "{name: green} "),
    )
    .unwrap();
    let control = Control::start(other.path());
    let arguments = ["blue-green-root", "green", "--timeout", "300ms"];
    for (control, want) in [
        (&*control.url, "control did not apply the switch within 300ms"),
        ("http://127.0.0.1:1", "but cannot ask http://127.0.0.1:1"),
    ] {
        let output = switch(&folder, &arguments, control);
        assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
        let said = stdout(&output) + &stderr(&output);
        assert!(said.contains("green is already active"), "{said}");
        assert!(said.contains(want), "{said}");
        assert!(!said.contains("was edited"), "{said}");
    }
}

#[test]
fn switch_reports_as_json_and_yaml_over_one_connection() {
    let folder = demo();
    let proxies = json!([
        {"node": "edge-1", "state": "live", "afterMs": 2.125},
        {"node": "edge-2", "state": "refused", "reasons": ["Route web: no"]},
        {"node": "edge-3", "state": "live"},
    ]);
    let live = json!({"accepted": true, "live": 2, "of": 3, "proxies": proxies});
    let (at, answer) = (place(folder.path(), "blue-green.yaml"), live.clone());
    let control = Fake::start(move |asked| match asked.split('?').next() {
        Some("/place") => at.clone(),
        Some("/dry-run") => (200, json!({"blockers": []})),
        _ => (200, answer.clone()),
    });
    let output = switch(&folder, &["blue-green-root", "green", "-o", "json"], &control.url);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "edge-2: rejected: Route web: no\n");
    let mut told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told["tookMs"].take().is_u64(), "{told}");
    let want = json!({
        "owner": "default/blue-green-root", "match": "/", "from": "blue", "to": "green", "edited": true,
        "file": path(&folder.path().join("blue-green.yaml")), "line": 9, "tookMs": null, "live": live,
    });
    assert_eq!(told, want);
    let asked = control.asked();
    let want = [
        "1 /place?ingressroute=blue-green-root&namespace=default",
        "1 /dry-run?root=default%2Fblue-green-root&match=%2F&branch=default%2Fgreen",
        "1 /live?root=default%2Fblue-green-root&match=%2F&branch=default%2Fgreen&timeout=10000",
    ];
    assert_eq!(asked, want);
    let again = ["blue-green-root", "green", "-o", "yaml", "--no-wait"];
    let output = switch(&folder, &again, &control.url);
    assert!(
        stdout(&output).starts_with("edited: false\n"),
        "{}",
        stdout(&output)
    );
    assert!(stdout(&output).contains("\nlive: null\n"), "{}", stdout(&output));
}

#[test]
fn switch_rejects_a_broken_branch_unless_forced() {
    for (manifest, want) in [
        (
            "spec: {routes: [{match: /, services: [{name: gone, port: 80}]}]}",
            "default/teal would not serve:\n  IngressRoute default/teal: spec.routes[0].services[0].name: \
             Service [gone:80] is invalid or missing\n(use --force to switch anyway)",
        ),
        (
            "spec: {routes: [{match: /, services: [{name: idle, port: 80}]}]}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {name: idle}\nspec: {ports: [{port: 80}]}",
            "IngressRoute default/teal: /: no ready endpoints of default/idle",
        ),
        ("spec: {}", "IngressRoute default/teal has no routes"),
    ] {
        let folder = demo();
        let teal = "apiVersion: contour.heptio.com/v1beta1\nkind: IngressRoute\nmetadata: {name: teal}\n";
        fs::write(folder.path().join("teal.yaml"), format!("{teal}{manifest}\n")).unwrap();
        let before = routes(&folder);
        let control = Control::start(folder.path());
        for control in [NOWHERE, &control.url] {
            let output = switch(&folder, &["blue-green-root", "teal", "--no-wait"], control);
            assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
            assert!(stderr(&output).contains(want), "{}", stderr(&output));
            assert_eq!(routes(&folder), before);
        }
        let forced = ["blue-green-root", "teal", "--no-wait", "--force"];
        let output = switch(&folder, &forced, &control.url);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(routes(&folder).contains("{name: teal}"), "{want}");
    }
}

#[test]
fn switch_undo_reverts_only_switches_seen_by_control() {
    let folder = demo();
    let control = Control::start(folder.path());
    let undo = ["blue-green-root", "--undo"];
    let output = switch(&folder, &undo, &control.url);
    assert_eq!(output.status.code(), Some(1));
    let want = "no previous switch of default/blue-green-root / is known: name the branch";
    assert!(stderr(&output).contains(want), "{}", stderr(&output));

    for (arguments, active) in [
        (&["blue-green-root", "green"][..], "green"),
        (&undo, "blue"),
        (&undo, "green"),
    ] {
        let output = switch(&folder, arguments, &control.url);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        assert!(
            routes(&folder).contains(&format!("{{name: {active}}}")),
            "{arguments:?}"
        );
    }
}

/// The demo's manifests, with more said of the delegate; none of the text is as programs write it.
fn demo_with(delegate: &str) -> TempDir {
    let folder = demo();
    let text = routes(&folder).replace("{name: blue} ", &format!("{{name: blue, {delegate}}} "));
    fs::write(folder.path().join("blue-green.yaml"), text).unwrap();
    folder
}

#[test]
fn switch_ends_the_canary_and_undo_keeps_it_ended() {
    let folder = demo_with("standby: [ blue, green ], canary: {percent: 25, branch: green}");
    let before = routes(&folder);
    let control = Control::start(folder.path());
    let output = switch(&folder, &["blue-green-root", "green"], &control.url);
    assert!(output.status.success(), "{}", stderr(&output));
    let ended = "\nthe canary of 25 % to green has ended: canary.percent is now 0\n";
    assert!(stdout(&output).ends_with(ended), "{}", stdout(&output));
    let green = before
        .replace("delegate: {name: blue, ", "delegate: {name: green, ")
        .replace("percent: 25", "percent: 0");
    assert_eq!(routes(&folder), green);
    let output = switch(
        &folder,
        &["blue-green-root", "--undo", "-o", "json"],
        &control.url,
    );
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        told["notes"],
        json!(["the canary is not restarted: canary.percent is 0"]),
        "{told}"
    );
    assert_eq!(told.get("canaryEnded"), None);
    assert_eq!(
        routes(&folder),
        green.replace("delegate: {name: green, ", "delegate: {name: blue, ")
    );
}

#[test]
fn switch_reports_the_ended_canary_as_json() {
    let folder = demo_with("standby: [green], canary: {percent: 25}, preview: {header: x, value: z}");
    let arguments = ["blue-green-root", "green", "--no-wait", "-o", "json"];
    let output = switch(&folder, &arguments, NOWHERE);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        told["canaryEnded"],
        json!({"branch": "green", "percent": 25}),
        "{told}"
    );
    let preview = "the preview stays on green: preview.branch is now set to it";
    assert_eq!(told["notes"][0], preview, "{told}");
    let want = "{name: green, standby: [blue, green], canary: {percent: 0}, preview: {branch: green, header: x, value: z}} ";
    assert!(routes(&folder).contains(want), "{}", routes(&folder));
}

#[test]
fn switch_keeps_a_canary_to_another_branch() {
    let folder = demo_with("standby: [blue, green], canary: {percent: 25, branch: blue}");
    let before = routes(&folder);
    let output = switch(&folder, &["blue-green-root", "green", "--no-wait"], NOWHERE);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 1, "{}", stdout(&output));
    assert_eq!(
        routes(&folder),
        before.replace("delegate: {name: blue, ", "delegate: {name: green, ")
    );
}

#[test]
fn tree_and_explain_show_ineffective_canary_and_check_passes() {
    let folder = demo_with("standby: [blue, green], canary: {percent: 25, branch: blue}");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchyard"));
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    };
    let dir = path(folder.path());
    let tree = run(&["tree", dir]);
    let line = "* default/blue active (canary 25 %: no effect, the branch is active)";
    assert!(tree.contains(line), "{tree}");
    let explained = run(&["explain", dir, "blue-green.bar.com/"]);
    assert!(
        explained.contains("no effect while their branch is active: canary"),
        "{explained}"
    );
    let check = run(&["check", dir]);
    assert!(
        check.starts_with("0 errors") && check.contains(" 0 orphaned"),
        "{check}"
    );
    assert!(check.contains("0 warnings"), "{check}");
}

#[test]
fn switch_resolves_names_in_the_given_namespace() {
    let folder = demo();
    for (namespace, want) in [
        ("default", Ok("blue -> green")),
        ("team-a", Err("no IngressRoute team-a/blue-green-root")),
    ] {
        let arguments = ["blue-green-root", "green", "--no-wait", "-n", namespace];
        let output = switch(&folder, &arguments, NOWHERE);
        match want {
            Ok(want) => assert!(stdout(&output).contains(want), "{}", stderr(&output)),
            Err(want) => assert!(stderr(&output).contains(want), "{}", stdout(&output)),
        }
    }
}
