//! `switchyard explain`, and `/debug/explain` of a running control.

use crate::{control::Control, path, stderr, stdout, switchyard};
use serde_json::Value;
use std::path::{Path, PathBuf};

const KEY: &str = "X-Api-Key: 0123456789abcdef0123456789abcdef";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain")
}

/// The lines that are printed of a request.
fn explain(arguments: &[&str]) -> String {
    let folder = fixture();
    let output = switchyard(&[&["explain", path(&folder)], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    assert_eq!(stderr(&output), "");
    stdout(&output)
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&explain(&[arguments, &["-o", "json"]].concat())).unwrap()
}

#[test]
fn explain_shows_the_route_of_a_request() {
    for (name, arguments) in [
        (
            "explain_forwarded",
            &["shop.example.com/cart/x?page=2", "-H", KEY][..],
        ),
        (
            "explain_to_a_service_that_asks",
            &["shop.example.com/cart/pay/1", "-H", KEY, "-X", "POST"],
        ),
        ("explain_refused", &["shop.example.com/cart/x"]),
        (
            "explain_previewed",
            &[
                "shop.example.com/cart",
                "--client-ip",
                "10.1.2.3",
                "-H",
                "x-preview: yes",
            ],
        ),
        (
            "explain_canary",
            &["shop.example.com/cart", "-H", KEY, "--canary"],
        ),
        (
            "explain_broken_leaf",
            &["shop.example.com/cart/broken", "-H", KEY],
        ),
        ("explain_broken_delegate", &["shop.example.com/gone"]),
        ("explain_split", &["shop.example.com/split", "-H", KEY]),
        ("explain_bytes", &["https://bytes.example.com/"]),
        ("explain_no_tls", &["https://shop.example.com/"]),
        ("explain_no_host", &["nobody.example.com/x"]),
    ] {
        insta::assert_snapshot!(name, explain(arguments));
    }
}

#[test]
fn explain_prints_json_and_yaml() {
    let arguments = ["shop.example.com/cart/pay/1", "-H", KEY];
    let told = json(&arguments);
    insta::assert_snapshot!("explain_json", format!("{told:#}"));
    let yaml = explain(&[&arguments[..], &["-o", "yaml"]].concat());
    assert!(yaml.contains("\noutcome:\n  does: forward\n"), "{yaml}");
}

#[test]
fn explain_prints_no_secrets() {
    for arguments in [
        &["shop.example.com/cart/x", "-H", KEY][..],
        &[
            "shop.example.com/cart/x",
            "-H",
            "Authorization: Bearer 0123456789abcdef",
        ],
        &["shop.example.com/?key=0123456789abcdef"],
    ] {
        for output in ["text", "json"] {
            let told = explain(&[arguments, &["-o", output]].concat());
            for secret in ["0123456789abcdef", "5up3r-53cr37", "3eb1bd43"] {
                assert!(!told.contains(secret), "{told}");
            }
        }
    }
}

#[test]
fn explain_reports_invalid_requests() {
    let folder = fixture();
    let folder = path(&folder);
    for (arguments, want) in [
        (
            &[folder][..],
            format!("{folder} is a directory: add HOST/PATH after it, such as www.example.com/cart"),
        ),
        (
            &[folder, "/cart"],
            "HOST/PATH: \"/cart\": there is no host: write HOST/PATH or https://HOST/PATH, such as \
             www.example.com/cart"
                .to_owned(),
        ),
        (
            &[folder, "bar.com/", "-X", "GE T"],
            "--method: \"GE T\" is no method, such as GET".to_owned(),
        ),
        (
            &[folder, "bar.com/", "-H", "x-a"],
            "--header: a header is written as 'Name: value', and one of these has no colon".to_owned(),
        ),
        (
            &["/nowhere", "bar.com/"],
            "switchyard explain [DIR] HOST/PATH: DIR must be a directory of manifests: cannot read the \
             directory /nowhere: No such file or directory (os error 2)"
                .to_owned(),
        ),
        (
            &["--control", "http://127.0.0.1:1", "bar.com/"],
            "cannot reach control at http://127.0.0.1:1: Connection refused (os error 111)".to_owned(),
        ),
    ] {
        let output = switchyard(&[&["explain"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert_eq!(stderr(&output), format!("switchyard: {want}\n"));
    }
}

#[test]
fn running_control_explains_as_the_command_does() {
    let control = Control::start(&fixture());
    for arguments in [
        &[
            "shop.example.com/cart/pay/1?a=b&c",
            "-H",
            KEY,
            "-H",
            "x-b: c",
            "-X",
            "POST",
        ][..],
        &[
            "shop.example.com:8080/cart/x",
            "--client-ip",
            "10.0.0.1",
            "--canary",
        ],
        &["shop.example.com/cart/x"],
        &["https://bytes.example.com/"],
        &["nobody.example.com/"],
    ] {
        let asked = |more: &[&str]| {
            let output = switchyard(&[&["explain", "--control", &control.url], arguments, more].concat());
            assert!(output.status.success(), "{}", stderr(&output));
            stdout(&output)
        };
        assert_eq!(asked(&[]), explain(arguments));
        assert_eq!(
            asked(&["-o", "json"]),
            explain(&[arguments, &["-o", "json"]].concat())
        );
    }
    let output = switchyard(&[
        "explain",
        "--control",
        &control.url,
        "shop.example.com/",
        "-H",
        "a: b\u{7f}",
    ]);
    assert!(
        stderr(&output).contains("no header can say"),
        "{}",
        stderr(&output)
    );
}
