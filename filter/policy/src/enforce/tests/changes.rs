//! What is changed of requests and answers.

use super::*;

/// The request's headers as an upstream gets them, but for those that start with `:`.
fn sent(scene: &mut Scene, headers: &[(&str, &str)]) -> Vec<String> {
    let Arrived {
        step,
        enforcement,
        client,
    } = scene.ask(headers);
    assert!(step.is_done());
    let Client(mut headers) = client;
    for edit in enforcement.request_edits() {
        edit.apply(&mut headers);
    }
    let others = headers.iter().filter(|(name, _)| !name.starts_with(':'));
    others
        .map(|(name, value)| format!("{name}: {}", text(value)))
        .collect()
}

fn edits(fields: &str) -> String {
    format!(r#""headers": {{"request": {{{fields}}}}}"#)
}

#[wasm_bindgen_test(unsupported = test)]
fn headers_are_removed_then_set_then_added() {
    let fields = edits(
        r#""add": [{"name": "x-a", "value": "3"}], "set": [{"name": "x-a", "value": "2"}, {"name": "x-b", "value": "2"}],
           "remove": ["x-a", "x-c"]"#,
    );
    let mut scene = Scene::new(&[&fields]);
    let got = sent(
        &mut scene,
        &[("x-a", "1"), ("x-b", "1"), ("x-c", "1"), ("x-d", "1")],
    );
    assert_eq!(got, ["x-d: 1", "x-a: 2", "x-b: 2", "x-a: 3"]);
}

#[wasm_bindgen_test(unsupported = test)]
fn the_outermost_level_has_the_last_word() {
    let [outer, inner] = ["outer", "inner"].map(|who| {
        edits(&format!(
            r#""set": [{{"name": "x-a", "value": {who:?}}}], "add": [{{"name": "x-b", "value": {who:?}}}]"#
        ))
    });
    let mut scene = Scene::new(&[&outer, &inner]);
    assert_eq!(sent(&mut scene, &[]), ["x-b: inner", "x-a: outer", "x-b: outer"]);
    let response =
        |who: &str| format!(r#""headers": {{"response": {{"set": [{{"name": "x-a", "value": {who:?}}}]}}}}"#);
    let arrived = Scene::new(&[&response("outer"), &response("inner")]).ask(&[]);
    let want = [Edit::Set("x-a", b"inner"), Edit::Set("x-a", b"outer")];
    assert_eq!(arrived.enforcement.answer_edits(), want);
}

/// `open sesame`.
const KEYS: &str = r#""keys": {"41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb": "alice"}"#;

fn api_key(places: &str) -> String {
    format!(r#""auth": [{{"anyOf": [{{"apiKey": {{{places}, {KEYS}}}}}]}}]"#)
}

#[wasm_bindgen_test(unsupported = test)]
fn the_upstream_is_told_who_it_is_and_not_the_key() {
    let fields = api_key(r#""header": "x-api-key", "query": "key""#);
    let mut scene = Scene::new(&[&fields]);
    let got = sent(&mut scene, &[("x-api-key", "open sesame"), ("x-a", "1")]);
    assert_eq!(
        got,
        ["x-a: 1", "x-switchyard-user: alice", "x-switchyard-auth: apiKey"]
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn keys_in_the_query_go_no_further_whether_they_are_right_or_not() {
    let fields = api_key(r#""query": "key""#);
    let mut scene = Scene::new(&[&fields, &api_key(r#""query": "k""#)]);
    for (path, want) in [
        ("/a?key=open%20sesame&b=c&k=open%20sesame", Some("/a?b=c")),
        ("/a?key=wrong", Some("/a")),
        ("/a?b=c", None),
        ("/a", None),
    ] {
        let Arrived {
            enforcement, client, ..
        } = scene.ask(&[(":path", path)]);
        let target = enforcement.target(client.request());
        assert_eq!(target.as_deref().map(text), want, "{path}");
    }
}

/// A level below could name a client to its own upstream as it likes, if it could say what a check above it says.
#[wasm_bindgen_test(unsupported = test)]
fn what_a_check_above_has_to_say_no_level_below_says() {
    let outer = api_key(r#""header": "x-api-key""#);
    let forged =
        edits(r#""set": [{"name": "x-api-key", "value": "forged"}], "add": [{"name": "x-a", "value": "1"}]"#);
    let mut scene = Scene::new(&[&outer, &forged]);
    let got = sent(&mut scene, &[("x-api-key", "open sesame")]);
    assert_eq!(
        got,
        ["x-a: 1", "x-switchyard-user: alice", "x-switchyard-auth: apiKey"]
    );
    // Who asks for the key may send another on.
    let mut scene = Scene::new(&[&format!("{outer}, {forged}")]);
    let got = sent(&mut scene, &[("x-api-key", "open sesame")]);
    assert_eq!(got.first().unwrap(), "x-api-key: forged");
}

fn steering(levels: &[&str], own: Own) -> Vec<String> {
    let arrived = Scene::new(levels).ask_with(&[], own);
    let edits = arrived.enforcement.request_edits();
    edits
        .into_iter()
        .map(|edit| match edit {
            Edit::Set(name, value) => format!("{name}: {}", text(value)),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[wasm_bindgen_test(unsupported = test)]
fn the_innermost_level_that_says_a_timeout_or_retries_says_it() {
    let outer = r#""timeoutMs": 1000, "retry": {"count": 1, "perTryTimeoutMs": 100}"#;
    let inner = r#""timeoutMs": 0"#;
    let retries = [
        "x-envoy-retry-on: 5xx",
        "x-envoy-max-retries: 1",
        "x-envoy-upstream-rq-per-try-timeout-ms: 100",
    ];
    let timeout = |milliseconds: u32| format!("x-envoy-upstream-rq-timeout-ms: {milliseconds}");
    for (levels, own, want) in [
        (
            &[outer][..],
            Own::default(),
            [&[timeout(1000)][..], &retries.map(str::to_owned)].concat(),
        ),
        (
            &[outer, inner],
            Own::default(),
            [&[timeout(0)][..], &retries.map(str::to_owned)].concat(),
        ),
        (
            &[outer, inner],
            Own {
                timeout: true,
                retry: false,
            },
            retries.map(str::to_owned).to_vec(),
        ),
        (
            &[outer, inner],
            Own {
                timeout: false,
                retry: true,
            },
            vec![timeout(0)],
        ),
        (
            &[outer, inner],
            Own {
                timeout: true,
                retry: true,
            },
            vec![],
        ),
        (&[inner, ""], Own::default(), vec![timeout(0)]),
        (&["", ""], Own::default(), vec![]),
    ] {
        assert_eq!(steering(levels, own), want, "{levels:?} {own:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn each_copy_has_a_header_of_its_own() {
    let outer = r#""mirror": [{"cluster": "a", "percent": 100}, {"cluster": "b", "percent": 50}]"#;
    let inner = r#""mirror": [{"cluster": "c", "percent": 100, "match": {"methods": ["GET"]}},
                              {"cluster": "d", "percent": 100, "match": {"methods": ["PUT"]}}]"#;
    let mut scene = Scene::new(&[outer, inner]);
    let [first, second] = [(); 2].map(|()| sent(&mut scene, &[]));
    assert_eq!(first, ["x-switchyard-mirror-0: a", "x-switchyard-mirror-1: c"]);
    assert_eq!(
        second,
        [
            "x-switchyard-mirror-0: a",
            "x-switchyard-mirror-1: b",
            "x-switchyard-mirror-2: c"
        ]
    );
}

/// The last word of it would be of someone who has no say in it.
#[wasm_bindgen_test(unsupported = test)]
fn nothing_that_steers_the_proxy_can_be_asked_for() {
    for name in [
        "x-switchyard-cluster",
        "x-envoy-upstream-rq-timeout-ms",
        ":path",
        "host",
    ] {
        for field in ["set", "add"] {
            let fields = format!(
                r#"{{"source": "s", {}}}"#,
                edits(&format!(r#""{field}": [{{"name": "{name}", "value": "1"}}]"#))
            );
            let policy = config::Policy::from_json(fields.as_bytes()).unwrap();
            assert!(policy.check().is_err(), "{field} {name}");
        }
    }
}
