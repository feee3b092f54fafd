//! What levels ask of requests, and whose word counts.

use super::*;

/// Policies on three levels.
fn guarded() -> Graph {
    let key = json!({"apiKey": {"secretName": "clients", "header": "X-Api-Key", "query": "key"}});
    graph(&[
        (
            "root",
            json!({
                "virtualhost": {
                    "fqdn": "bar.com",
                    "auth": [key],
                    "headers": {"request": {"set": [{"name": "x-from", "value": "very-secret"}]}},
                    "timeoutPolicy": {"request": "3s"},
                },
                "routes": [
                    {"match": "/", "services": services("web")},
                    {"match": "/own", "services": services("web"), "timeoutPolicy": {"request": "infinity"},
                     "retryPolicy": {"count": 2, "perTryTimeout": "400ms"}},
                    {"match": "/team", "delegate": {"name": "team"}, "retryPolicy": {"count": 1},
                     "rateLimits": [
                        {"requests": 5, "unit": "minute", "key": [{"clientIP": {}}]},
                        {"requests": 5, "unit": "minute", "match": {"prefix": "/team/other"}},
                     ]},
                ],
            }),
        ),
        (
            "team",
            json!({"routes": [
                {"match": "/team", "services": services("web"), "auth": [{"ip": {"allow": ["10.0.0.0/8"]}}],
                 "mirror": [{"service": "api", "port": 80, "percent": 30}]},
                {"match": "/team/own", "services": services("web"), "timeoutPolicy": {"request": "1500ms"},
                 "concurrency": {"max": 2}},
                {"match": "/team/asks", "services": services("web"),
                 "auth": [{"external": {"service": {"name": "api", "port": 80}}}]},
            ]}),
        ),
    ])
}

const KEY: &str = "x-api-key: 0123456789abcdef0123456789abcdef";

/// What a level above says of answers is said of a refusal, too, and what a level below says is not. No copies are made of what
/// is sent nowhere.
#[test]
fn headers_of_answers_are_named() {
    let says = |name: &str| json!({"response": {"set": [{"name": name, "value": "very-secret"}], "remove": ["server"]}});
    let graph = graph(&[
        (
            "root",
            json!({
                "virtualhost": {"fqdn": "bar.com", "headers": says("x-above"), "mirror": [{"service": "api", "port": 80, "percent": 100}],
                    "cors": {"allowOrigins": ["https://a.example"], "allowMethods": ["PUT"]}},
                "routes": [{"match": "/", "delegate": {"name": "team", "sticky": {"cookie": "c"}, "standby": ["other"]},
                    "rateLimits": [{"requests": 5, "unit": "minute"}],
                    "auth": [{"apiKey": {"secretName": "clients", "header": "x-api-key"}}]}],
            }),
        ),
        (
            "team",
            json!({"routes": [
                {"match": "/", "services": services("web"), "headers": says("x-below")},
                {"match": "/idle", "services": services("idle")},
            ]}),
        ),
        (
            "other",
            json!({"routes": [{"match": "/", "services": services("web")}]}),
        ),
    ]);
    let quota = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];
    let answer = |request| told(&graph, request).answer;
    let passed = answer(with("bar.com", &[KEY, "origin: https://a.example"]));
    let want = [
        &["access-control-allow-origin"][..],
        &quota,
        &["set-cookie", "vary", "x-above", "x-below"],
    ];
    assert_eq!(passed.set, want.concat());
    assert_eq!(
        passed.removed,
        [
            "access-control-allow-credentials",
            "access-control-expose-headers",
            "server"
        ]
    );
    let refused = told(&graph, with("bar.com", &[]));
    assert_eq!(refused.answer.set, [&quota[..], &["vary", "x-above"]].concat());
    assert!(refused.answer.removed.is_empty());
    let of_headers = refused.policies.iter().filter(|part| part.part == "headers");
    let of_headers: Vec<_> = of_headers.map(|part| part.says).collect();
    assert_eq!(of_headers, [Says::Applies, Says::NotReached]);
    let nowhere = told(&graph, with("bar.com/idle", &[KEY]));
    assert_eq!((nowhere.outcome.status(), nowhere.mirrors.len()), (Some(503), 0));
    assert!(nowhere.answer.set.contains(&"x-above".to_owned()));
}

/// What each part says.
fn parts(explanation: &Explanation) -> Vec<String> {
    let parts = explanation.policies.iter();
    parts
        .map(|part| format!("{} {}: {:?}", part.level, part.part, part.says))
        .collect()
}

#[test]
fn each_level_says_its_own() {
    let graph = guarded();
    let from_inside = |request: Request| Request {
        client_ip: [10, 1, 2, 3].into(),
        ..request
    };
    let explanation = told(&graph, from_inside(with("bar.com/team/x?a=b", &[KEY])));
    assert_eq!(line(&explanation), "default/web /team/x?a=b");
    assert_eq!(
        parts(&explanation),
        [
            "default/root virtualhost auth[0]: Passes",
            "default/root virtualhost headers: Applies",
            "default/root virtualhost timeoutPolicy: Applies",
            "default/root route /team rateLimits[0]: Counts",
            "default/root route /team rateLimits[1]: IsForOthers",
            "default/root route /team retryPolicy: Applies",
            "default/team route /team auth[0]: Passes",
            "default/team route /team mirror[0]: Applies",
        ]
    );
    let place = &explanation.policies[3].place;
    assert_eq!(
        (
            &*place.ingress_route,
            &*place.field,
            place.file.as_deref(),
            place.line
        ),
        (
            "default/root",
            "spec.routes[2].rateLimits[0]",
            Some("root.yaml"),
            Some(28)
        )
    );
    let [mirror] = &*explanation.mirrors else {
        panic!("{:?}", explanation.mirrors);
    };
    assert_eq!((&*mirror.service, mirror.percent), ("default/api", 30));
    assert_eq!(mirror.place.field, "spec.routes[0].mirror[0]");
}

#[test]
fn whoever_refuses_is_named_and_those_after_it_are_not_asked() {
    let graph = guarded();
    let explanation = ask(&graph, "bar.com/team/x");
    assert_eq!(
        line(&explanation),
        "401 default/root virtualhost auth[0]: no credentials"
    );
    assert_eq!(
        parts(&explanation)[..4],
        [
            "default/root virtualhost auth[0]: Refuses",
            "default/root virtualhost headers: NotReached",
            "default/root virtualhost timeoutPolicy: Applies",
            // Limits come before authentication.
            "default/root route /team rateLimits[0]: Counts",
        ]
    );
    let explanation = told(&graph, with("bar.com/team/x", &[KEY]));
    let want = "403 default/team route /team auth[0]: the address is not allowed";
    assert_eq!(line(&explanation), want);
    assert!(parts(&explanation).contains(&"default/team route /team mirror[0]: NotReached".to_owned()));
    assert!(explanation.mirrors.is_empty());
    let wrong = told(&graph, with("bar.com/", &["x-api-key: wrong"]));
    assert_eq!(line(&wrong), "401 default/root virtualhost auth[0]: unknown key");
    let twice = told(&graph, with("bar.com/", &[KEY, KEY]));
    assert_eq!(
        line(&twice),
        "400 default/root virtualhost auth[0]: \"x-api-key\" is there more than once"
    );
}

#[test]
fn a_path_meets_what_the_levels_of_its_own_route_ask() {
    let graph = guarded();
    assert_eq!(
        line(&ask(&graph, "bar.com/teamwork")),
        "401 default/root virtualhost auth[0]: no credentials"
    );
    let keyed = told(&graph, with("bar.com/team/../x", &[KEY]));
    assert_eq!(line(&keyed), "default/web /x");
}

#[test]
fn a_key_in_the_query_goes_no_further() {
    let explanation = ask(&guarded(), "bar.com/x?a=b&key=0123456789abcdef0123456789abcdef&c");
    assert_eq!(line(&explanation), "default/web /x?a=b&c");
}

#[test]
fn what_the_upstream_sees_otherwise_is_told_by_name() {
    let graph = guarded();
    let headers = |lines: &[&str]| match told(&graph, with("bar.com/team/own", lines)).outcome {
        Outcome::Forward { headers, .. } => (headers.set, headers.removed),
        other => panic!("{other:?}"),
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let set = names(&["x-from", "x-switchyard-auth", "x-switchyard-user"]);
    assert_eq!(headers(&[KEY]), (set, names(&["x-api-key"])));
    // What says the same already is none of it.
    let set = names(&["x-switchyard-auth", "x-switchyard-user"]);
    assert_eq!(
        headers(&[KEY, "x-from: very-secret"]),
        (set, names(&["x-api-key"]))
    );
}

#[test]
fn a_service_that_has_to_be_asked_is_taken_to_say_yes() {
    let explanation = told(&guarded(), with("bar.com/team/asks", &[KEY]));
    assert_eq!(line(&explanation), "default/web /team/asks");
    let asks = "default/team route /team/asks auth[0]: Asks";
    assert!(parts(&explanation).contains(&asks.to_owned()));
    assert_eq!(
        explanation.assumed,
        ["default/team route /team/asks auth[0]: default/api/80 says yes"]
    );
}

#[test]
fn keys_that_only_a_running_control_has_are_told_to_be_missing() {
    let uri = "https://issuer.example.com/jwks";
    let routes =
        json!([{"match": "/", "services": services("web"), "auth": [{"jwt": {"jwks": {"uri": uri}}}]}]);
    let mut graph = graph(&[("root", root(routes))]);
    // As commands have it that look and go.
    graph.apply(Object::Jwks(Jwks {
        uri: uri.into(),
        keys: Ok(FetchedKeys {
            keys: Vec::new(),
            left_out: None,
            fetched: 0,
        }),
    }));
    graph.commit();
    for headers in [&[][..], &["authorization: Bearer a.b.c"]] {
        let explanation = told(&graph, with("bar.com/", headers));
        let [assumed] = &*explanation.assumed else {
            panic!("{:?}", explanation.assumed);
        };
        assert!(assumed.starts_with("default/root route / auth[0]: the keys of its jwks.uri are not known"));
        assert!(matches!(explanation.outcome, Outcome::Refuse { .. }));
    }
}

#[test]
fn timeouts_and_retries_are_those_of_the_innermost_that_says_any() {
    let graph = guarded();
    let said = |url: &str| {
        let explanation = told(&graph, with(url, &[KEY]));
        let text = |setting: Option<Setting>| {
            setting.map(|Setting { value, place }| {
                let place = place.map(|place| format!(" {} {}", place.ingress_route, place.field));
                format!("{value}{}", place.unwrap_or_default())
            })
        };
        (text(explanation.timeout).unwrap(), text(explanation.retry))
    };
    let of_host = "3s default/root spec.virtualhost.timeoutPolicy".to_owned();
    assert_eq!(said("bar.com/"), (of_host.clone(), None));
    assert_eq!(
        said("bar.com/own"),
        (
            "infinite default/root spec.routes[1].timeoutPolicy".to_owned(),
            Some(
                "2 times after 5xx, each try within 400ms default/root spec.routes[1].retryPolicy".to_owned()
            )
        )
    );
    let handed_down = Some("once after 5xx default/root spec.routes[2].retryPolicy".to_owned());
    assert_eq!(said("bar.com/team"), (of_host, handed_down.clone()));
    let own = "1.5s default/team spec.routes[1].timeoutPolicy".to_owned();
    assert_eq!(said("bar.com/team/own"), (own, handed_down));
}

#[test]
fn nothing_secret_is_told() {
    let graph = guarded();
    let secrets = [
        "0123456789abcdef0123456789abcdef",
        "very-secret",
        // What is made of the key.
        "3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9",
    ];
    for request in [
        with(
            "bar.com/team/own",
            &[KEY, "authorization: Bearer 0123456789abcdef0123456789abcdef"],
        ),
        with("bar.com/x?key=0123456789abcdef0123456789abcdef", &[]),
        with("bar.com/x", &["x-api-key: very-secret"]),
    ] {
        let explanation = told(&graph, request);
        let json = serde_json::to_string(&explanation).unwrap();
        for secret in secrets {
            assert!(!json.contains(secret), "{json}");
            assert!(!format!("{explanation:?}").contains(secret), "{json}");
        }
        let back: Explanation = serde_json::from_str(&json).unwrap();
        assert_eq!(back, explanation);
    }
}
