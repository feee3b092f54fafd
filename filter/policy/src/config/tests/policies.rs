use super::*;

/// A policy that uses every field.
const FULL: &str = r##"{
  "source": "default/root virtualhost",
  "cors": {
    "allowOrigins": ["https://www.bar.com", "https://*.bar.com:8443", "http://[::1]:3000", "null"],
    "allowMethods": ["PUT"], "allowHeaders": ["x-a"], "exposeHeaders": ["x-b"],
    "maxAgeSeconds": 5, "allowCredentials": true
  },
  "auth": [
    {"anyOf": [
      {"basic": {"realm": "staff", "users": {"ann": "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="}}},
      {"apiKey": {"header": "x-api-key", "query": "key", "keys": {
        "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae": "bob"
      }}},
      {"jwt": {
        "issuer": "https://id.bar.com", "audiences": ["a"], "keysExpire": 4000000000, "clockSkewSeconds": 60,
        "keys": [{"kid": "1", "algorithms": ["EdDSA"], "spki": "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}],
        "requiredClaims": [{"claim": "role", "values": ["admin"]}],
        "claimsToHeaders": [{"claim": "role", "header": "x-role"}]
      }}
    ]},
    {"anyOf": [{"external": {
      "cluster": "auth", "protocol": "http", "path": "/check", "timeoutMs": 200, "onFailure": "allow",
      "requestHeaders": ["cookie"], "responseHeaders": ["x-group"]
    }}]},
    {"anyOf": [{"ip": {"allow": ["10.0.0.0/8"], "deny": ["10.9.0.0/16"]}}]}
  ],
  "rateLimits": [
    {"match": {"methods": ["GET"], "prefix": "/a", "headers": [{"name": "x-b", "value": "c"}, {"name": "x-d"}]},
     "dryRun": true, "status": 503,
     "local": {"requests": 1, "perSeconds": 60, "burst": 2,
               "key": ["clientIP", {"header": "x-e"}, {"cookie": "f"}, {"claim": "g"}, "path", "method"]}},
    {"global": {"cluster": "limits", "domain": "bar", "timeoutMs": 100, "onFailure": "allow", "descriptors": [
      [{"key": "kind", "value": {"literal": "x"}}, {"key": "who", "value": {"of": "clientIP"}}]
    ]}}
  ],
  "concurrency": {"max": 10, "key": ["clientIP"]},
  "mirror": [{"cluster": "copy", "percent": 10, "match": {"prefix": "/a"}}],
  "headers": {
    "request": {"set": [{"name": "x-s", "value": "1"}], "add": [{"name": "x-t", "value": "2"}], "remove": ["x-u"]},
    "response": {"set": [{"name": "x-v", "value": "3"}]}
  },
  "timeoutMs": 0,
  "retry": {"count": 2, "perTryTimeoutMs": 100}
}"##;

/// A valid text, an invalid replacement of it, and the error.
type Case = (&'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    ("default/root virtualhost", "", "source: must not be empty"),
    (
        "https://www.bar.com",
        "www.bar.com",
        r#"cors.allowOrigins[0]: "www.bar.com" is no origin"#,
    ),
    (
        "https://www.bar.com",
        "https://WWW.bar.com",
        "cors.allowOrigins[0]: ",
    ),
    (
        "https://www.bar.com",
        "https://www.*.com",
        "cors.allowOrigins[0]: ",
    ),
    (
        "https://www.bar.com",
        "https://www.bar.com/",
        "cors.allowOrigins[0]: ",
    ),
    (
        "https://www.bar.com",
        "*",
        "cors.allowOrigins[0]: * must not stand beside allowCredentials",
    ),
    (
        r#""PUT""#,
        r#""P T""#,
        r#"cors.allowMethods[0]: "P T" is not a method"#,
    ),
    (r#""PUT""#, r#""*""#, "cors.allowMethods[0]: * must not"),
    (r#""x-a""#, r#""""#, "cors.allowHeaders[0]: "),
    (r#""x-b"],"#, r#""x:b"],"#, "cors.exposeHeaders[0]: "),
    ("staff", r"sta\nff", "auth[0].anyOf[0].basic.realm: "),
    (
        r#""ann""#,
        r#""an:n""#,
        r#"auth[0].anyOf[0].basic.users."an:n": has a colon"#,
    ),
    (
        r#""x-api-key""#,
        r#""X-Api-Key""#,
        "auth[0].anyOf[1].apiKey.header: ",
    ),
    (
        r#""x-api-key""#,
        r#""host""#,
        r#"auth[0].anyOf[1].apiKey.header: header "host" belongs to the proxy or to the connection"#,
    ),
    (
        r#""query": "key""#,
        r#""query": """#,
        "auth[0].anyOf[1].apiKey.query: must not be empty",
    ),
    ("266e7ae", "266e7aE", "auth[0].anyOf[1].apiKey.keys."),
    (r#""bob""#, r#""""#, "auth[0].anyOf[1].apiKey.keys."),
    (
        r#"["EdDSA"]"#,
        "[]",
        "auth[0].anyOf[2].jwt.keys[0].algorithms: must not be empty",
    ),
    (
        r#"["EdDSA"]"#,
        r#"["none"]"#,
        "auth[0].anyOf[2].jwt.keys[0].algorithms[0]: unknown variant `none`",
    ),
    (
        r#"["EdDSA"]"#,
        r#"["HS256"]"#,
        "auth[0].anyOf[2].jwt.keys[0].algorithms[0]: unknown variant `HS256`",
    ),
    (
        r#"{"claim": "role", "values""#,
        r#"{"claim": "", "values""#,
        "auth[0].anyOf[2].jwt.requiredClaims[0].claim: ",
    ),
    (
        "x-role",
        "x-switchyard-user",
        "auth[0].anyOf[2].jwt.claimsToHeaders[0].header: ",
    ),
    (
        r#""auth", "protocol""#,
        r#""", "protocol""#,
        "auth[1].anyOf[0].external.cluster: must not be empty",
    ),
    ("/check", "check", "auth[1].anyOf[0].external.path: "),
    (
        r#""timeoutMs": 200"#,
        r#""timeoutMs": 0"#,
        "auth[1].anyOf[0].external.timeoutMs: 0 is too few",
    ),
    (
        r#"["cookie"]"#,
        r#"["Cookie"]"#,
        "auth[1].anyOf[0].external.requestHeaders[0]: ",
    ),
    (
        "x-group",
        "transfer-encoding",
        "auth[1].anyOf[0].external.responseHeaders[0]: ",
    ),
    (
        r#""allow": ["10.0.0.0/8"], "deny": ["10.9.0.0/16"]"#,
        "",
        "auth[2].anyOf[0].ip: must have allow or deny",
    ),
    (r#""GET""#, r#""""#, "rateLimits[0].match.methods[0]: "),
    (
        r#""prefix": "/a", "headers""#,
        r#""prefix": "/a/", "headers""#,
        "rateLimits[0].match.prefix: ",
    ),
    (r#""x-d"}"#, r#""X-d"}"#, "rateLimits[0].match.headers[1].name: "),
    (
        r#""value": "c"}"#,
        r#""value": "\u0000"}"#,
        "rateLimits[0].match.headers[0].value: ",
    ),
    (
        r#""status": 503"#,
        r#""status": 200"#,
        "rateLimits[0].status: must be in the range 400-599",
    ),
    (
        r#""requests": 1,"#,
        r#""requests": 0,"#,
        "rateLimits[0].local.requests: must be in the range 1-4294967295",
    ),
    (
        r#""perSeconds": 60"#,
        r#""perSeconds": 0"#,
        "rateLimits[0].local.perSeconds: ",
    ),
    (r#""burst": 2"#, r#""burst": 0"#, "rateLimits[0].local.burst: "),
    (r#""x-e""#, r#"":path""#, "rateLimits[0].local.key[1].header: "),
    (
        r#""cookie": "f""#,
        r#""cookie": "f=""#,
        "rateLimits[0].local.key[2].cookie: ",
    ),
    (
        r#""claim": "g""#,
        r#""claim": """#,
        "rateLimits[0].local.key[3].claim: ",
    ),
    (r#""limits""#, r#""""#, "rateLimits[1].global.cluster: "),
    (
        r#""bar", "timeoutMs""#,
        r#""", "timeoutMs""#,
        "rateLimits[1].global.domain: ",
    ),
    (
        r#""timeoutMs": 100"#,
        r#""timeoutMs": 0"#,
        "rateLimits[1].global.timeoutMs: ",
    ),
    (
        r#""key": "kind""#,
        r#""key": """#,
        "rateLimits[1].global.descriptors[0][0].key: ",
    ),
    (
        r#"{"literal": "x"}"#,
        r#"{"literal": ""}"#,
        "rateLimits[1].global.descriptors[0][0].value.literal: ",
    ),
    (
        r#""of": "clientIP""#,
        r#""of": {"claim": ""}"#,
        "rateLimits[1].global.descriptors[0][1].value.of.claim: ",
    ),
    (
        r#""max": 10"#,
        r#""max": 0"#,
        "concurrency.max: must be in the range 1-",
    ),
    (r#""copy""#, r#""""#, "mirror[0].cluster: must not be empty"),
    (
        r#""percent": 10"#,
        r#""percent": 101"#,
        "mirror[0].percent: must be in the range 0-100",
    ),
    (
        r#"{"prefix": "/a"}}]"#,
        r#"{"prefix": "a"}}]"#,
        "mirror[0].match.prefix: ",
    ),
    (
        r#""x-s""#,
        r#""x-envoy-retry-on""#,
        "headers.request.set[0].name: ",
    ),
    (r#""x-t""#, r#"":method""#, "headers.request.add[0].name: "),
    (r#""x-u""#, r#""content-length""#, "headers.request.remove[0]: "),
    (
        r#""value": "3""#,
        r#""value": "3\r\nset-cookie: a=b""#,
        "headers.response.set[0].value: ",
    ),
    (r#""count": 2"#, r#""count": 0"#, "retry.count: "),
    (
        r#""perTryTimeoutMs": 100"#,
        r#""perTryTimeoutMs": 0"#,
        "retry.perTryTimeoutMs: ",
    ),
];

fn config(policy: &str) -> String {
    format!(
        r#"{{"switches": {{}},
            "routes": {{"a.com/plain": {{"policies": ["p"], "ownTimeout": true, "ownRetry": true}}}},
            "policies": {{"p": {policy}}}}}"#
    )
}

/// The error of a policy with these fields beside its source.
fn refusal_of(fields: &str) -> String {
    refusal(&config(&format!(r#"{{"source": "s", {fields}}}"#)))
}

#[wasm_bindgen_test(unsupported = test)]
fn policy_round_trips() {
    let config = Config::from_json(config(FULL).as_bytes()).unwrap();
    let json = serde_json::to_vec(&config).unwrap();
    assert_eq!(Config::from_json(&json).unwrap(), config);
    let policy = config.policies.get("p").unwrap();
    assert_eq!(
        Policy::from_json(&serde_json::to_vec(policy).unwrap()).unwrap(),
        *policy
    );
    let route = config.routes.get("a.com/plain").unwrap();
    assert_eq!(
        PlainRoute::from_json(&serde_json::to_vec(route).unwrap()).unwrap(),
        *route
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn named_policy_must_exist() {
    for (json, want) in [
        (
            r#"{"switches": {}, "routes": {"r": {"policies": ["p"]}}}"#,
            r#"routes.r.policies[0]: "p" is no key of policies"#,
        ),
        (
            r#"{"switches": {"s": {"prefix": "/", "policies": ["p"], "active": "b", "branches": {"b": []}}}}"#,
            r#"switches.s.policies[0]: "p" is no key of policies"#,
        ),
        (
            r#"{"switches": {"s": {"prefix": "/", "active": "b", "branches": {"b": [
                {"prefix": "/", "leaf": {"policy": "p"}}
            ]}}}}"#,
            r#"switches.s.branches.b[0].leaf.policy: "p" is no key of policies"#,
        ),
    ] {
        assert_eq!(refusal(json), want);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn missing_field_is_rejected_with_its_path() {
    for (fields, want) in [
        (
            r#""cors": {"allowOrigins": []}"#,
            "cors.allowOrigins: must not be empty",
        ),
        (r#""auth": [{"anyOf": []}]"#, "auth[0].anyOf: must not be empty"),
        (
            r#""auth": [{"anyOf": [{"apiKey": {"keys": {}}}]}]"#,
            "auth[0].anyOf[0].apiKey: must have header or query",
        ),
        (
            r#""rateLimits": [{}]"#,
            "rateLimits[0]: exactly one of `local` and `global`",
        ),
        (
            r#""rateLimits": [{"global": {"cluster": "c", "domain": "d", "descriptors": [], "timeoutMs": 1}}]"#,
            "rateLimits[0].global.descriptors: must not be empty",
        ),
        (
            r#""rateLimits": [{"global": {"cluster": "c", "domain": "d", "descriptors": [[]], "timeoutMs": 1}}]"#,
            "rateLimits[0].global.descriptors[0]: must not be empty",
        ),
        (r#""mirrors": []"#, "mirrors: unknown field"),
        (
            r#""auth": [{"anyOf": [{"basic": {"realm": "r", "users": {"a": "", "a": ""}}}]}]"#,
            r#"auth[0].anyOf[0].basic.users: duplicate key "a""#,
        ),
        (
            r#""auth": [{"anyOf": [{"apiKey": {"keys": {"k": "a", "k": "b"}}}]}]"#,
            r#"auth[0].anyOf[0].apiKey.keys: duplicate key "k""#,
        ),
        (
            r#""auth": [{"anyOf": [{"ip": {"allow": []}, "jwt": {}}]}]"#,
            "auth[0].anyOf[0]: expected value",
        ),
        (r#""auth": [{"anyOf": [{}]}]"#, "auth[0].anyOf[0]: expected value"),
        (
            r#""concurrency": {"max": 1, "key": [{"header": "a", "claim": "b"}]}"#,
            "concurrency.key[0]: trailing",
        ),
        (
            r#""concurrency": {"max": 1, "key": ["header"]}"#,
            "concurrency.key[0]: unknown variant `header`",
        ),
    ] {
        let got = refusal_of(fields);
        assert!(got.starts_with(&format!("policies.p.{want}")), "{fields}: {got}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn each_invalid_value_is_rejected_with_its_path() {
    for (valid, invalid, want) in CASES {
        assert!(FULL.contains(valid), "{valid}");
        let got = refusal(&config(&FULL.replacen(valid, invalid, 1)));
        assert!(got.starts_with(&format!("policies.p.{want}")), "{invalid}: {got}");
    }
}

/// Errors that show when a policy is prepared are told as the others are.
#[wasm_bindgen_test(unsupported = test)]
fn hash_key_and_network_errors_have_a_path() {
    for (valid, invalid, want) in [
        (
            "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=",
            "{SHA}",
            r#"auth[0].anyOf[0].basic.users: the hash of the password of "ann" starts like one of SHA"#,
        ),
        (
            "MCowBQYDK2VwAyEA11qYAYKxCrfVS",
            "",
            "auth[0].anyOf[2].jwt.keys[0]: it is no key in base64",
        ),
        (
            "10.9.0.0/16",
            "10.9.0.0/33",
            r#"auth[2].anyOf[0].ip.deny[0]: "10.9.0.0/33" is no CIDR"#,
        ),
    ] {
        let policy = Policy::from_json(FULL.replacen(valid, invalid, 1).as_bytes()).unwrap();
        let got = policy.check().unwrap_err();
        assert!(got.to_string().starts_with(want), "{invalid}: {got}");
        assert!(want.starts_with(&got.path) && !got.path.is_empty(), "{got}");
    }
}
