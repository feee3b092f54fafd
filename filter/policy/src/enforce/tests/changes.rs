//! Edits of requests and responses.

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

/// The names of the headers of the filter's response, or of that of an upstream without headers.
fn answered(scene: &mut Scene, headers: &[(&str, &str)]) -> Vec<String> {
    let Arrived {
        step,
        enforcement,
        client,
    } = scene.ask(headers);
    let mut response = match step {
        Step::Done => Response::empty(200),
        Step::Refuse(refusal) => refusal.response(client.request()),
        Step::Answer(response) => response,
        other => panic!("{other:?}"),
    };
    response.edit(&enforcement.answer_edits());
    response.headers.into_iter().map(|(name, _)| name).collect()
}

/// `RateLimit-*`, `Retry-After` and `WWW-Authenticate` belong to the level that limits or authenticates.
#[wasm_bindgen_test(unsupported = test)]
fn what_a_level_says_on_answers_no_level_below_takes_away() {
    let limit = r#""rateLimits": [{"local": {"requests": 1, "perSeconds": 60, "burst": 1}}]"#;
    let removes = |more: &str| {
        let names = QUOTA_HEADERS.map(|name| format!("{name:?}")).join(", ");
        format!(
            r#""headers": {{"response": {{"remove": ["retry-after", "www-authenticate", {names}]}}}}{more}"#
        )
    };
    let retry_after = [&["retry-after", "content-type"][..], &QUOTA_HEADERS].concat();
    let people = r#""auth": [{"anyOf": [{"basic": {"realm": "shop", "users": {}}}]}]"#;
    let challenge = vec!["www-authenticate", "content-type"];
    let own_limit =
        r#", "rateLimits": [{"local": {"requests": 1, "perSeconds": 60, "burst": 1, "key": ["path"]}}]"#;
    let (says_nothing, type_alone) = (vec![], vec!["content-type"]);
    for (levels, first, second) in [
        (&[limit, &removes("")][..], QUOTA_HEADERS.to_vec(), &retry_after),
        // This holds even if the level below has a limit that leaves less, or as much.
        (
            &[limit, &removes(own_limit)],
            QUOTA_HEADERS.to_vec(),
            &retry_after,
        ),
        (&[people, &removes("")], challenge.clone(), &challenge),
        // The level itself may, and one above.
        (
            &[&format!("{limit}, {}", removes(""))],
            says_nothing.clone(),
            &type_alone,
        ),
        (&[&removes(""), limit], says_nothing, &type_alone),
        (&[&removes(""), people], type_alone.clone(), &type_alone),
    ] {
        let mut scene = Scene::new(levels);
        assert_eq!(answered(&mut scene, &[]), first, "{levels:?}");
        assert_eq!(answered(&mut scene, &[]), *second, "{levels:?}");
    }
}

/// The request has not reached the levels below.
#[wasm_bindgen_test(unsupported = test)]
fn an_answer_in_the_upstreams_place_is_changed_by_the_level_that_gives_it_and_those_above() {
    let says = |who: &str, more: &str| {
        format!(r#""headers": {{"response": {{"set": [{{"name": "x-{who}", "value": "1"}}]}}}}{more}"#)
    };
    let cors = r#", "cors": {"allowOrigins": ["*"]}"#;
    let nobody = r#", "auth": [{"anyOf": [{"ip": {"allow": ["198.51.100.0/24"]}}]}]"#;
    let page = [
        (":method", "OPTIONS"),
        ("origin", "https://a.example"),
        ("access-control-request-method", "PUT"),
    ];
    for (more, headers) in [(cors, &page[..]), (nobody, &[])] {
        let mut scene = Scene::new(&[&says("outer", ""), &says("own", more), &says("inner", "")]);
        let names = answered(&mut scene, headers);
        let told: Vec<_> = names.iter().filter(|name| name.starts_with("x-")).collect();
        assert_eq!(told, ["x-own", "x-outer"], "{more}");
    }
}

/// The key is `open sesame`.
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

/// Otherwise a level below could identify a client to its own upstream as it likes.
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
    // The level that requires the key may set the header.
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

/// The filter need not see the requests that it does not copy.
#[wasm_bindgen_test(unsupported = test)]
fn a_level_that_only_mirrors_counts_nothing_but_copies() {
    let mirror = r#""mirror": [{"cluster": "a", "percent": 100}]"#;
    let more = format!(
        r#"{mirror}, {}"#,
        edits(r#""set": [{"name": "x-a", "value": "1"}]"#)
    );
    let mut scene = Scene::new(&[mirror, &more]);
    scene.ask(&[]);
    let want = ["0 mirror[0]: Copied", "1 mirror[0]: Copied", "1: through"];
    assert_eq!(scene.notes.0, want);
}

/// Otherwise a level could control the proxy.
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
