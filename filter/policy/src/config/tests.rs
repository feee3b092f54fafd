mod policies;

use super::*;
use wasm_bindgen_test::wasm_bindgen_test;

/// A configuration that uses every field.
const FULL: &str = r#"{
  "exposeBranch": true,
  "switches": {
    "a.com/shop": {
      "root": "default/a",
      "prefix": "/shop",
      "mount": "/",
      "active": "default/blue",
      "standby": ["default/green"],
      "preview": {"header": "x-preview", "value": "yes"},
      "canary": {"percent": 100},
      "sticky": {"cookie": "stand", "ttlSeconds": 60},
      "branches": {
        "default/blue": [
          {"prefix": "/", "leaf": {"route": "forward", "clusters": [{"name": "b"}, {"name": "c", "weight": 3}], "rewrite": "/app/"}},
          {"prefix": "/cart", "switch": "a.com/shop cart"},
          {"prefix": "/broken", "unavailable": "service is missing"}
        ],
        "default/green": []
      }
    },
    "a.com/shop cart": {"prefix": "/cart", "active": "x", "branches": {"x": []}}
  }
}"#;

fn refusal(json: &str) -> String {
    Config::from_json(json.as_bytes()).expect_err(json).to_string()
}

/// The error of a switch with these fields beside the required ones, one of which they may start with.
fn refusal_of(fields: &str) -> String {
    let given = |name: &str| fields.starts_with(&format!("{name:?}:"));
    let needed = [
        ("prefix", r#""/""#),
        ("active", r#""blue""#),
        ("branches", r#"{"blue": [], "green": []}"#),
    ];
    let needed = needed.iter().filter(|(name, _)| !given(name));
    let needed: String = needed
        .map(|(name, value)| format!("{name:?}: {value}, "))
        .collect();
    refusal(&format!(r#"{{"switches": {{"s": {{{needed} {fields}}}}}}}"#))
}

#[wasm_bindgen_test(unsupported = test)]
fn config_round_trips() {
    let config = Config::from_json(FULL.as_bytes()).unwrap();
    let json = serde_json::to_vec(&config).unwrap();
    assert_eq!(Config::from_json(&json).unwrap(), config);
    for switch in config.switches.values() {
        let json = serde_json::to_vec(switch).unwrap();
        assert_eq!(Switch::from_json(&json).unwrap(), *switch);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn error_names_the_field_path() {
    let bad_weight = FULL.replace(r#""weight": 3"#, r#""weight": -3"#);
    let got = refusal(&bad_weight);
    let place = r#"switches."a.com/shop".branches."default/blue"[0].leaf.clusters[1].weight: invalid value: integer `-3`"#;
    assert!(got.starts_with(place), "{got}");
}

#[wasm_bindgen_test(unsupported = test)]
fn unknown_duplicate_or_missing_fields_are_rejected() {
    for (json, want) in [
        (r#"{"switch": {}}"#, "switch: unknown field"),
        (r#"{"switches": {}} x"#, "trailing characters"),
        (r#"{"switches": {"s": {}, "s": {}}}"#, "switches.s: missing field"),
        (
            r#"{"switches": []}"#,
            "switches: invalid type: sequence, expected an object",
        ),
        (r#"{"switches": {"s": null}}"#, "switches.s: invalid type: null"),
        (
            r#"{"exposeBranch": 1}"#,
            "exposeBranch: invalid type: integer `1`, expected a boolean",
        ),
        (
            r#"{"exposeBranch": true, "exposeBranch": true}"#,
            "duplicate field `exposeBranch`",
        ),
        ("{", "EOF"),
    ] {
        let got = refusal(json);
        assert!(got.starts_with(want), "{json}: {got}");
    }
    for (fields, want) in [
        (r#""mont": "/""#, "switches.s.mont: unknown field"),
        (
            r#""branches": {"blue": [], "blue": []}"#,
            r#"switches.s.branches: duplicate key "blue""#,
        ),
        (
            r#""branches": {"blue": [{"prefix": "/"}]}"#,
            "switches.s.branches.blue[0]: exactly one of",
        ),
        (
            r#""branches": {"blue": [{"prefix": "/", "switch": "s", "unavailable": "x"}]}"#,
            "switches.s.branches.blue[0]: exactly one of",
        ),
        (
            r#""branches": {"blue": [{"prefix": "/", "lief": {}}]}"#,
            "switches.s.branches.blue[0].lief: unknown field",
        ),
        (
            r#""branches": {"blue": [{"prefix": "/", "leaf": {"route": "f", "timeout": 3}}]}"#,
            "switches.s.branches.blue[0].leaf.timeout: unknown field",
        ),
        (
            r#""canary": {"percent": 256}"#,
            "switches.s.canary.percent: invalid value: integer `256`",
        ),
        (
            r#""canary": {"percent": -0}"#,
            "switches.s.canary.percent: invalid type: floating point `-0.0`",
        ),
        (
            r#""sticky": {"cookie": "a", "ttlSeconds": 6e1}"#,
            "switches.s.sticky.ttlSeconds: invalid type: floating point `60.0`",
        ),
        (
            r#""sticky": {"cookie": "a", "ttlSeconds": 1e400}"#,
            "switches.s.sticky.ttlSeconds: number out of range",
        ),
        (
            r#""sticky": {"cookie": "a", "ttlSeconds": 18446744073709551616}"#,
            "switches.s.sticky.ttlSeconds: invalid type: floating point",
        ),
    ] {
        let got = refusal_of(fields);
        assert!(got.starts_with(want), "{fields}: {got}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn well_formed_but_invalid_config_is_rejected() {
    let standby = r#""standby": ["green"]"#;
    for (fields, want) in [
        (r#""active": "red""#.to_owned(), r#"active: "red" is no key of branches"#),
        (r#""standby": ["green", "red"]"#.to_owned(), r#"standby[1]: "red" is no key"#),
        (r#""prefix": "shop""#.to_owned(), r#"prefix: "shop" is no normalised prefix"#),
        (r#""prefix": "/shop/""#.to_owned(), "prefix: "),
        (r#""mount": "/a/../b""#.to_owned(), r#"mount: "/a/../b" is no plain path"#),
        (r#""root": "a\nb""#.to_owned(), "root: "),
        (r#""preview": {"header": "x", "value": "y"}"#.to_owned(), "preview: needs a standby"),
        (r#""canary": {"percent": 1}"#.to_owned(), "canary: needs a standby"),
        (format!(r#"{standby}, "canary": {{"percent": 101}}"#), "canary.percent: must be in the range 0-100"),
        (
            format!(r#"{standby}, "canary": {{"percent": 1, "branch": "red"}}"#),
            r#"canary.branch: "red" is neither active nor in standby"#,
        ),
        (
            r#""preview": {"header": "x", "value": "", "branch": "green"}"#.to_owned(),
            r#"preview.branch: "green" is neither active nor in standby"#,
        ),
        (format!(r#"{standby}, "preview": {{"header": "X-Y", "value": ""}}"#), "preview.header: "),
        (format!(r#"{standby}, "preview": {{"header": ":path", "value": ""}}"#), "preview.header: "),
        (r#""sticky": {"cookie": "a b"}"#.to_owned(), r#"sticky.cookie: "a b" is not a cookie name"#),
        (r#""sticky": {"cookie": "a", "ttlSeconds": 0}"#.to_owned(), "sticky.ttlSeconds: "),
        (r#""branches": {"blue": [{"prefix": "/a/", "switch": "s"}]}"#.to_owned(), "branches.blue[0].prefix: "),
        (
            r#""branches": {"blue": [{"prefix": "/mm", "unavailable": ""}]}, "mount": "/m""#.to_owned(),
            r#"branches.blue[0].prefix: "/mm" lies outside "/m""#,
        ),
        (
            r#""branches": {"blue": [{"prefix": "/", "unavailable": ""}, {"prefix": "/", "unavailable": ""}]}"#
                .to_owned(),
            r#"branches.blue[1].prefix: "/" stands here twice"#,
        ),
        (
            r#""branches": {"blue": [{"prefix": "/", "switch": "nowhere"}]}"#.to_owned(),
            r#"branches.blue[0].switch: "nowhere" is no key of switches"#,
        ),
    ] {
        let got = refusal_of(&fields);
        assert!(got.starts_with(&format!("switches.s.{want}")), "{fields}: {got}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn invalid_leaf_is_rejected() {
    for (leaf, want) in [
        (r#"{"route": ""}"#, "route: must not be empty"),
        (
            r#"{"route": "f", "clusters": [{"name": "a\r\nb"}]}"#,
            "clusters[0].name: ",
        ),
        (
            r#"{"route": "f", "clusters": [{"name": "a", "weight": 0}]}"#,
            "clusters: every weight is 0",
        ),
        (r#"{"route": "f", "rewrite": "app"}"#, "rewrite: "),
        (r#"{"route": "f", "rewrite": "/a//b"}"#, "rewrite: "),
        (r#"{"route": "f", "rewrite": "/a?b"}"#, "rewrite: "),
        (r##"{"route": "f", "rewrite": "/a#b"}"##, "rewrite: "),
        (r#"{"route": "f", "rewrite": "/a%2Fb"}"#, "rewrite: "),
        (r#"{"route": "f", "rewrite": "/a/%2e%2E"}"#, "rewrite: "),
        (r#"{"route": "f", "rewrite": "/a\u0000"}"#, "rewrite: "),
    ] {
        let got = refusal_of(&format!(
            r#""branches": {{"blue": [{{"prefix": "/", "leaf": {leaf}}}]}}"#
        ));
        assert!(
            got.starts_with(&format!("switches.s.branches.blue[0].leaf.{want}")),
            "{leaf}: {got}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn switch_cycle_is_rejected_and_a_long_chain_is_not() {
    let chain = |length: usize, last: &str| {
        let target = |at: usize| match at + 1 {
            next if next < length => format!(r#""switch": "{next}""#),
            _ => last.to_owned(),
        };
        let switch = |at| {
            let target = target(at);
            format!(
                r#""{at}": {{"prefix": "/", "active": "b", "branches": {{"b": [{{"prefix": "/", {target}}}]}}}}"#
            )
        };
        let switches: Vec<_> = (0..length).map(switch).collect();
        format!(r#"{{"switches": {{{}}}}}"#, switches.join(","))
    };
    Config::from_json(chain(10_000, r#""unavailable": "end""#).as_bytes()).unwrap();
    for length in [1, 2, 10_000] {
        let got = refusal(&chain(length, r#""switch": "0""#));
        assert!(got.contains("leads back to itself"), "{got}");
    }
}

/// The example that users start from, together with the schema of these types.
#[cfg(not(target_arch = "wasm32"))]
#[test]
fn static_example_is_valid() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/static/ecds.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    // The block is the last of the file.
    let (_, json) = text.split_once("value: |\n").unwrap();
    let config = Config::from_json(json.as_bytes()).unwrap();
    assert_eq!(config.switches.len(), 2);
}

#[cfg(feature = "schema")]
#[test]
fn static_example_schema_is_current() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/static/switchyard.schema.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let stored: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(
        stored == schema::json_schema(),
        "stale; run: cargo run -p switchyard-policy --features schema --example schema > deploy/static/switchyard.schema.json"
    );
}
