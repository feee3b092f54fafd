mod examples;
mod validate;

use super::*;
use crate::watch;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use switchyard_core::object::Kind;

/// The schemas, each with the name of its kind.
fn schemas() -> [(String, Value); 2] {
    definitions().map(|definition| {
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap().to_owned();
        let version = &definition["spec"]["versions"][0];
        (kind, version["schema"]["openAPIV3Schema"].clone())
    })
}

/// Calls `check` with each part of a schema, and its path.
fn each_part(path: &str, schema: &Value, check: &mut impl FnMut(&str, &Value)) {
    check(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        each_part(&format!("{path}.{name}"), property, check);
    }
    if let Some(items) = schema.get("items") {
        each_part(&format!("{path}[]"), items, check);
    }
}

/// Converts all numbers to floats, since the Rust type of a definition has some as floats.
fn floating(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(items) => items.into_iter().map(floating).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, floating(value)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}

#[test]
fn definitions_have_only_known_crd_fields() {
    for definition in definitions() {
        let read: CustomResourceDefinition = serde_json::from_value(definition.clone()).unwrap();
        let read = serde_json::to_value(read).unwrap();
        assert_eq!(floating(read), floating(definition));
    }
}

/// Mutually exclusive fields are expressed by `oneOf`, which may contain only `required` and `not`: a CEL rule costs
/// too much in nested lists.
#[test]
fn schemas_are_structural() {
    const FORBIDDEN: [&str; 6] = ["$ref", "$schema", "title", "anyOf", "allOf", "not"];
    for (kind, schema) in schemas() {
        each_part(&kind, &schema, &mut |path, part| {
            assert!(part["type"].is_string(), "{path} has no type: {part}");
            assert_eq!(FORBIDDEN.map(|word| part.get(word)), [None; 6], "{path}");
            for words in part["oneOf"].as_array().into_iter().flatten() {
                let mut words = words.as_object().unwrap().keys();
                assert!(words.all(|word| ["required", "not"].contains(&&**word)), "{path}");
            }
        });
    }
}

#[test]
fn every_field_description_is_a_sentence() {
    for (kind, schema) in schemas() {
        each_part(&kind, &schema, &mut |path, part| {
            if path.ends_with("[]") && part["type"] == "string" {
                return;
            }
            let description = part["description"].as_str().unwrap_or_default();
            assert!(
                description.ends_with('.') && !description.contains(['`', '\n']),
                "{path}: {description:?}"
            );
        });
    }
}

#[test]
fn required_fields_have_no_default() {
    for (kind, schema) in schemas() {
        each_part(&kind, &schema, &mut |path, part| {
            for required in part["required"].as_array().into_iter().flatten() {
                let property = &part["properties"][required.as_str().unwrap()];
                assert!(property.is_object(), "{path}: {required}");
                assert_eq!(property.get("default"), None, "{path}: {required}");
            }
        });
    }
}

/// Required fields of an auth check.
const CHECK: [&str; 9] = [
    "apiKey.secretName",
    "basic.secretName",
    "external.service",
    "external.service.name",
    "external.service.port",
    "jwt.claimsToHeaders[].claim",
    "jwt.claimsToHeaders[].header",
    "jwt.jwks",
    "jwt.requiredClaims[].claim",
];

/// Required fields of the other policies of a virtualhost or route.
const POLICY: [&str; 21] = [
    "concurrency.max",
    "cors.allowOrigins",
    "headers.request.add[].name",
    "headers.request.add[].value",
    "headers.request.set[].name",
    "headers.request.set[].value",
    "headers.response.add[].name",
    "headers.response.add[].value",
    "headers.response.set[].name",
    "headers.response.set[].value",
    "mirror[].match.headers[].name",
    "mirror[].port",
    "mirror[].service",
    "rateLimits[].global.descriptors",
    "rateLimits[].global.descriptors[].entries",
    "rateLimits[].global.descriptors[].entries[].key",
    "rateLimits[].global.domain",
    "rateLimits[].global.service",
    "rateLimits[].global.service.name",
    "rateLimits[].global.service.port",
    "rateLimits[].match.headers[].name",
];

#[test]
fn required_fields_match_the_list() {
    let mut got = Vec::new();
    for (kind, schema) in schemas() {
        each_part(&kind, &schema, &mut |path, part| {
            let required = part["required"].as_array().into_iter().flatten();
            let spec = required.filter(|_| !path.contains(".status"));
            got.extend(spec.map(|name| format!("{path}.{}", name.as_str().unwrap())));
        });
    }
    let delegate = |at: &str| {
        [
            "canary.percent",
            "preview.header",
            "preview.value",
            "sticky.cookie",
            "name",
        ]
        .map(|field| format!("IngressRoute.spec.{at}.delegate.{field}"))
    };
    let service = |at: &str| {
        ["healthCheck.path", "name", "port"].map(|field| format!("IngressRoute.spec.{at}.services[].{field}"))
    };
    let level = |at: &str| {
        let checks = ["auth[]", "auth[].anyOf[]"];
        let checks = checks
            .iter()
            .flat_map(|auth| CHECK.map(|field| format!("{auth}.{field}")));
        let fields = checks.chain(POLICY.map(str::to_owned));
        let fields = fields.map(|field| format!("IngressRoute.spec.{at}.{field}"));
        fields.collect::<Vec<_>>()
    };
    let others = [
        "IngressRoute.spec",
        "IngressRoute.spec.routes[].match",
        "TLSCertificateDelegation.spec",
        "TLSCertificateDelegation.spec.delegations",
        "TLSCertificateDelegation.spec.delegations[].secretName",
        "TLSCertificateDelegation.spec.delegations[].targetNamespaces",
    ];
    let mut want: Vec<String> = others.map(str::to_owned).into();
    want.extend(["routes[]", "tcpproxy"].into_iter().flat_map(delegate));
    want.extend(["routes[]", "tcpproxy"].into_iter().flat_map(service));
    want.extend(["routes[]", "virtualhost"].into_iter().flat_map(level));
    got.sort();
    want.sort();
    assert_eq!(got, want);
}

#[test]
fn schema_defaults_match_the_program() {
    let mut got = Vec::new();
    let [(_, schema), _] = schemas();
    each_part("", &schema["properties"]["spec"], &mut |path, part| {
        if let Some(default) = part.get("default") {
            assert_eq!(part.get("nullable"), None, "{path}");
            got.push(format!("{path}: {default}"));
        }
    });
    let service = [
        ".healthCheck.healthyThresholdCount: 2",
        ".healthCheck.host: \"contour-envoy-healthcheck\"",
        ".healthCheck.intervalSeconds: 5",
        ".healthCheck.timeoutSeconds: 2",
        ".healthCheck.unhealthyThresholdCount: 3",
        ".strategy: \"RoundRobin\"",
    ];
    let check = [
        "basic.realm: \"Restricted\"",
        "external.onFailure: \"deny\"",
        "external.path: \"/\"",
        "external.protocol: \"http\"",
        "external.timeout: \"200ms\"",
        "jwt.clockSkewSeconds: 60",
        "jwt.jwks.maxStaleSeconds: 86400",
    ];
    let policy = [
        "cors.maxAgeSeconds: 5",
        "mirror[].percent: 100",
        "concurrency.key[].clientIP.ipv4PrefixLength: 32",
        "concurrency.key[].clientIP.ipv6PrefixLength: 64",
        "rateLimits[].global.descriptors[].entries[].from.clientIP.ipv4PrefixLength: 32",
        "rateLimits[].global.descriptors[].entries[].from.clientIP.ipv6PrefixLength: 64",
        "rateLimits[].key[].clientIP.ipv4PrefixLength: 32",
        "rateLimits[].key[].clientIP.ipv6PrefixLength: 64",
        "rateLimits[].global.onFailure: \"deny\"",
        "rateLimits[].global.timeout: \"100ms\"",
        "rateLimits[].status: 429",
        "retryPolicy.count: 1",
    ];
    let mut want = vec![
        ".routes[].delegate.sticky.ttlSeconds: 0".to_owned(),
        ".tcpproxy.delegate.sticky.ttlSeconds: 0".to_owned(),
        ".virtualhost.tls.minimumProtocolVersion: \"1.2\"".to_owned(),
    ];
    for at in [".routes[]", ".virtualhost"] {
        for auth in ["auth[]", "auth[].anyOf[]"] {
            want.extend(check.map(|line| format!("{at}.{auth}.{line}")));
        }
        want.extend(policy.map(|line| format!("{at}.{line}")));
    }
    for at in [".routes[].services[]", ".tcpproxy.services[]"] {
        want.extend(service.map(|line| format!("{at}{line}")));
    }
    got.sort();
    want.sort();
    assert_eq!(got, want);
}

#[test]
fn defined_kinds_match_watched_kinds() {
    let kinds = [Kind::IngressRoute, Kind::TlsCertificateDelegation];
    for (definition, kind) in definitions().iter().zip(kinds) {
        let watched = watch::resource(kind).unwrap();
        let spec = &definition["spec"];
        let version = &spec["versions"][0];
        assert_eq!(spec["group"], watched.group);
        assert_eq!(version["name"], watched.version);
        assert_eq!(spec["names"]["kind"], watched.kind);
        assert_eq!(spec["names"]["plural"], watched.plural);
        assert_eq!(
            definition["metadata"]["name"],
            format!("{}.{}", watched.plural, watched.group)
        );
    }
}

#[test]
fn definitions_do_not_preserve_unknown_fields() {
    for definition in definitions() {
        assert_eq!(definition["spec"]["preserveUnknownFields"], false);
    }
}

#[test]
fn fields_page_lists_allowed_values() {
    let page = fields::page(&definitions());
    for line in [
        "| `spec.routes[].rateLimits[].key` | list of object | What has a count of its own, such as each address, or each path \
         for each address. All requests are counted together if not given. For example: `[{clientIP: {}}, {path: {}}]`. \
         (items at most `8`) *Each item needs exactly 1 of its fields.* |",
        "*Each item needs exactly one of: `requests` and `unit`; `global`, without `burst` and `key`.* |",
        "*It needs exactly one of: `secretName`; `inline`; `uri`.* |",
        "*It needs at least 2 of its fields.* |",
        "| **`spec.routes[].match`** | string |",
        "(matches `^/.*$`)",
        "(items at least `1`; items at most `64`)",
        "each matches `` ^[-!#$%&'*+.^_`\\|~0-9A-Za-z]+$ ``)",
        "(one of `second`, `minute`, `hour`, `day`)",
        "*preview needs a standby.*",
    ] {
        assert!(page.contains(line), "{line}");
    }
}
