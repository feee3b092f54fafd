//! Each field of a policy has an example in its description, which the field's own schema accepts.

use super::{each_part, schemas, validate};
use crate::{IngressRoute, crd::EXAMPLE};
use serde_json::{Value, json};

/// The policies of a virtualhost or route.
const POLICIES: [&str; 8] = [
    "auth",
    "concurrency",
    "cors",
    "headers",
    "mirror",
    "rateLimits",
    "retryPolicy",
    "timeoutPolicy",
];

/// The path, schema and example value of each policy field.
fn examples() -> Vec<(String, Value, Value)> {
    let [(_, schema), _] = schemas();
    let spec = &schema["properties"]["spec"]["properties"];
    let mut found = Vec::new();
    for (at, level) in [
        ("virtualhost", &spec["virtualhost"]),
        ("routes[]", &spec["routes"]["items"]),
    ] {
        for policy in POLICIES {
            let field = &level["properties"][policy];
            each_part(&format!("{at}.{policy}"), field, &mut |path, part| {
                // An item is not a field: its list has the example.
                if !path.ends_with("[]") {
                    found.push((path.to_owned(), part.clone(), example(path, part)));
                }
            });
        }
    }
    found
}

fn example(path: &str, schema: &Value) -> Value {
    let description = schema["description"].as_str().unwrap_or_default();
    let (_, example) = description
        .split_once(EXAMPLE)
        .unwrap_or_else(|| panic!("{path} has no example: {description}"));
    let example = example.strip_suffix('.').unwrap();
    serde_saphyr::from_str(example).unwrap_or_else(|error| panic!("{path}: {example}: {error}"))
}

#[test]
fn policy_field_examples_pass_their_schema() {
    let examples = examples();
    for (path, schema, example) in &examples {
        let errors = validate::errors(schema, example);
        assert!(errors.is_empty(), "{path}: {errors:?}");
    }
    assert!(examples.len() > 250, "only {}", examples.len());
}

/// Examples survive a round trip through the Rust type: no field is lost or changes its type.
#[test]
fn whole_policy_examples_round_trip() {
    let whole = |(path, ..): &(String, Value, Value)| path.split('.').count() == 2;
    for (path, _, example) in examples().into_iter().filter(whole) {
        let (at, policy) = path.split_once('.').unwrap();
        let level = match at {
            "virtualhost" => json!({"virtualhost": {"fqdn": "a.example.com", policy: example}}),
            _ => json!({"routes": [{"match": "/", policy: example}]}),
        };
        let object = json!({
            "apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute", "metadata": {"name": "a"}, "spec": level,
        });
        let read: IngressRoute = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(
            serde_json::to_value(read).unwrap()["spec"],
            object["spec"],
            "{path}"
        );
    }
}

/// Invalid values have to be rejected; otherwise the tests above prove nothing.
#[test]
fn schema_validation_rejects_bad_values() {
    let limits = examples()
        .into_iter()
        .find(|(path, ..)| path == "routes[].rateLimits");
    let (_, limits, _) = limits.unwrap();
    let takes = |value: &Value| validate::errors(&limits, value).is_empty();
    let limit = |more: Value| {
        let mut limit = json!({"requests": 100, "unit": "minute"});
        limit
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!([limit])
    };
    assert!(takes(&limit(json!({}))));
    for bad in [
        json!({}),
        json!([{}]),
        limit(json!({"requests": 0})),
        limit(json!({"requests": "100"})),
        limit(json!({"status": 600})),
        limit(json!({"unit": "week"})),
        limit(json!({"brust": 5})),
        limit(json!({"key": [{}]})),
        limit(json!({"key": [{"header": "a", "cookie": "b"}]})),
        limit(json!({"key": [{"header": "a b"}]})),
        limit(json!({"key": vec![json!({"path": {}}); 9]})),
        limit(json!({"match": {"prefix": "login"}})),
        limit(json!({"match": {"headers": [{"value": "x"}]}})),
        limit(
            json!({"global": {"service": {"name": "a", "port": 1}, "domain": "d", "descriptors": [{"entries": []}]}}),
        ),
    ] {
        assert!(!takes(&bad), "{bad}");
    }
}
