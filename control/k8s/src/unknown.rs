//! Unknown fields of an IngressRoute, with suggestions.
//!
//! Below `virtualhost`, `routes[]` or `tcpproxy`, such a field may be a misspelled policy, so the graph rejects that
//! part of the spec. Elsewhere it has no effect and causes a warning.

use crate::{FieldError, IngressRoute, crd, decode};
use serde_json::{Map, Value};
use std::sync::LazyLock;
use switchyard_core::object::{SpecPart, UnknownField};

/// Fields that Contour's definition has and Contour ignores.
const WITHOUT_EFFECT: [&str; 2] = ["spec.strategy", "spec.healthCheck"];
/// The annotation in which `kubectl apply` keeps its input, including fields that the API server prunes.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The number of letters for each tolerated spelling mistake.
const LETTERS_PER_MISTAKE: usize = 3;

static SCHEMA: LazyLock<Value> = LazyLock::new(crd::ingress_route);

/// The unknown fields of an IngressRoute.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Unknown {
    /// Fields below a part of the spec, which is rejected because of them.
    pub(crate) refused: Vec<UnknownField>,
    /// Fields without effect.
    pub(crate) ignored: Vec<FieldError>,
}

/// Sorts the paths of unknown fields into rejected and ignored ones.
pub(crate) fn sort(paths: Vec<String>) -> Unknown {
    let mut unknown = Unknown::default();
    for path in paths {
        match part(&path) {
            Some(part) => unknown.refused.push(UnknownField {
                part,
                message: format!("unknown field {:?}: {}", last(&path), hint(&path)),
                path,
            }),
            None if WITHOUT_EFFECT.iter().any(|known| is_below(&path, known)) => {}
            None => unknown.ignored.push(ignored(path)),
        }
    }
    unknown
}

/// The warning for an unknown field without effect.
pub(crate) fn ignored(path: String) -> FieldError {
    let message = format!("unknown field, ignored; {}", hint(&path));
    FieldError::new(path, message)
}

/// Null fields below a part of the spec. Their types treat null as absent, but a value may have been lost.
pub(crate) fn without_value(document: &Value) -> Vec<UnknownField> {
    let mut nulls = Vec::new();
    collect_nulls(&document["spec"], "spec", &mut nulls);
    let fields = nulls.into_iter().filter_map(|path| {
        Some(UnknownField {
            part: part(&path)?,
            message: format!(
                "field {:?} has no value: set one, or remove the field",
                last(&path)
            ),
            path,
        })
    });
    fields.collect()
}

/// Unknown fields in the input of `kubectl apply`. The API server has pruned them, so nothing else shows them.
pub(crate) fn left_out(document: &Value) -> Vec<UnknownField> {
    let applied = document["metadata"]["annotations"][LAST_APPLIED].as_str();
    let Some(applied) = applied.and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return Vec::new();
    };
    let Ok((_, paths)) = decode::decode_listing_unknown::<IngressRoute>(applied) else {
        return Vec::new();
    };
    let unknown = paths.into_iter().filter_map(|path| {
        let hint = hint(&path);
        Some(UnknownField {
            part: part(&path)?,
            message: format!(
                "unknown field {:?} was applied, but the API server pruned it: {hint}",
                last(&path)
            ),
            path,
        })
    });
    unknown.collect()
}

/// The part of the spec to reject for an unknown field at that path.
fn part(path: &str) -> Option<SpecPart> {
    let rest = path.strip_prefix("spec.")?;
    if let Some(routes) = rest.strip_prefix("routes[") {
        return routes.split(']').next()?.parse().ok().map(SpecPart::Route);
    }
    [
        ("virtualhost", SpecPart::VirtualHost),
        ("tcpproxy", SpecPart::TcpProxy),
    ]
    .into_iter()
    .find_map(|(field, part)| (rest != field && is_below(rest, field)).then_some(part))
}

fn is_below(path: &str, field: &str) -> bool {
    path.strip_prefix(field)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn collect_nulls(value: &Value, path: &str, nulls: &mut Vec<String>) {
    match value {
        Value::Null => nulls.push(path.to_owned()),
        Value::Object(fields) => {
            for (name, value) in fields {
                collect_nulls(value, &format!("{path}.{name}"), nulls);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_nulls(item, &format!("{path}[{index}]"), nulls);
            }
        }
        _ => {}
    }
}

/// A suggestion for an unknown field.
fn hint(path: &str) -> String {
    let name = last(path);
    let beside = fields(parent(path));
    if let Some(near) = beside.and_then(|fields| nearest(name, fields)) {
        return format!("did you mean {near:?}?");
    }
    let above = std::iter::successors(Some(parent(path)), |path| Some(parent(path)));
    for above in above.skip(1).take_while(|above| !above.is_empty()) {
        if let Some(near) = fields(above).and_then(|fields| nearest(name, fields)) {
            return format!("did you mean {near:?} of {above}?");
        }
    }
    "remove it, or correct its name".to_owned()
}

/// The known fields at a path.
fn fields(path: &str) -> Option<&'static Map<String, Value>> {
    let mut schema: &Value = &SCHEMA;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let mut names = step.split('[');
        schema = schema.get("properties")?.get(names.next()?)?;
        for _index in names {
            schema = schema.get("items")?;
        }
    }
    schema.get("properties")?.as_object()
}

fn nearest<'a>(name: &str, fields: &'a Map<String, Value>) -> Option<&'a str> {
    let lower = name.to_ascii_lowercase();
    let mistakes = |field: &str| strsim::damerau_levenshtein(&lower, &field.to_ascii_lowercase());
    let near = fields.keys().map(|field| (mistakes(field), field.as_str()));
    let near = near.filter(|(mistakes, field)| *mistakes <= field.len() / LETTERS_PER_MISTAKE);
    near.min().map(|(_, field)| field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hint_names_the_nearest_field() {
        let nothing = "remove it, or correct its name";
        for (path, want) in [
            ("spec.virtualhost.Auth", "did you mean \"auth\"?"),
            ("spec.virtualhost.auths", "did you mean \"auth\"?"),
            ("spec.virtualhost.ratelimits", "did you mean \"rateLimits\"?"),
            ("spec.virtualhost.rateLimit", "did you mean \"rateLimits\"?"),
            ("spec.routes[3].retrypolicy", "did you mean \"retryPolicy\"?"),
            ("spec.routes[0].auth[1].JWT", "did you mean \"jwt\"?"),
            (
                "spec.routes[0].auth[0].anyOf[1].jwt.requiredclaims",
                "did you mean \"requiredClaims\"?",
            ),
            (
                "spec.routes[0].delegate.auth",
                "did you mean \"auth\" of spec.routes[0]?",
            ),
            (
                "spec.routes[0].services[0].validate",
                "did you mean \"validation\"?",
            ),
            (
                "spec.virtualhost.tls.auth",
                "did you mean \"auth\" of spec.virtualhost?",
            ),
            ("spec.virtualHost", "did you mean \"virtualhost\"?"),
            ("spec.routes[0].hashPolicy", nothing),
            ("Spec", "did you mean \"spec\"?"),
            ("metadata.labels.a", nothing),
        ] {
            assert_eq!(hint(path), want, "{path}");
        }
    }

    #[test]
    fn unknown_field_maps_to_its_spec_part() {
        for (path, want) in [
            ("spec.virtualhost.auths", Some(SpecPart::VirtualHost)),
            ("spec.virtualhost.tls.a", Some(SpecPart::VirtualHost)),
            ("spec.routes[12].delegate.a", Some(SpecPart::Route(12))),
            ("spec.tcpproxy.services[0].a", Some(SpecPart::TcpProxy)),
            ("spec.virtualhost", None),
            ("spec.virtualhosts.a", None),
            ("spec.auth", None),
            ("metadata.a", None),
            ("status.a", None),
        ] {
            assert_eq!(part(path), want, "{path}");
        }
    }

    #[test]
    fn last_applied_annotation_reveals_pruned_fields() {
        let applied = |spec: Value| {
            let applied = json!({"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute", "metadata": {}, "spec": spec});
            left_out(&json!({"metadata": {"annotations": {LAST_APPLIED: applied.to_string()}}}))
        };
        let unknown = applied(
            json!({"virtualhost": {"auths": []}, "routes": [{"match": "/"}], "strategy": "a", "other": 1}),
        );
        let want = UnknownField {
            part: SpecPart::VirtualHost,
            path: "spec.virtualhost.auths".to_owned(),
            message:
                "unknown field \"auths\" was applied, but the API server pruned it: did you mean \"auth\"?"
                    .to_owned(),
        };
        assert_eq!(unknown, [want]);
        assert_eq!(applied(json!({"virtualhost": {"auth": []}})), []);
        assert_eq!(
            left_out(&json!({"metadata": {"annotations": {LAST_APPLIED: "{"}}})),
            []
        );
        assert_eq!(left_out(&json!({})), []);
    }
}
