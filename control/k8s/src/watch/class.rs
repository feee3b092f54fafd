//! Ingress classes, which select IngressRoutes where several controllers share a cluster.

use std::collections::BTreeMap;

/// The classes given by `--ingress-class-name`.
///
/// An IngressRoute names its class in an annotation (`internal/annotation/annotations.go` of Contour). If no class is
/// given, IngressRoutes without one and those of class [`DEFAULT`] are selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressClasses(Vec<String>);

/// Contour's class, so that its manifests are selected unchanged.
const DEFAULT: &str = "contour";

/// The annotations with a class, by precedence.
const ANNOTATIONS: [&str; 3] = [
    "projectcontour.io/ingress.class",
    "contour.heptio.com/ingress.class",
    "kubernetes.io/ingress.class",
];

// === impl IngressClasses ===

impl IngressClasses {
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Returns true if an object with these annotations is selected.
    pub(crate) fn include(&self, annotations: Option<&BTreeMap<String, String>>) -> bool {
        let Self(names) = self;
        match class(annotations) {
            None => names.is_empty(),
            Some(class) if names.is_empty() => class == DEFAULT,
            Some(class) => names.iter().any(|name| name == class),
        }
    }
}

/// The class named in an object's annotations.
fn class(annotations: Option<&BTreeMap<String, String>>) -> Option<&str> {
    let said = ANNOTATIONS.iter().find_map(|key| annotations?.get(*key));
    said.map(String::as_str).filter(|class| !class.is_empty())
}

/// Returns true if any controller that selects one object also selects the other.
#[must_use]
pub fn are_of_one_class(
    one: Option<&BTreeMap<String, String>>,
    other: Option<&BTreeMap<String, String>>,
) -> bool {
    let class = |annotations| class(annotations).filter(|class| *class != DEFAULT);
    class(one) == class(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlisted_ingress_class_is_excluded() {
        let asked = |names: &[&str]| IngressClasses::new(names.iter().map(ToString::to_string).collect());
        for (names, class, want) in [
            (&[][..], None, true),
            (&[], Some("contour"), true),
            (&[], Some("nginx"), false),
            (&[], Some(""), true),
            (&["edge", "inner"], None, false),
            (&["edge", "inner"], Some("inner"), true),
            (&["edge", "inner"], Some("contour"), false),
        ] {
            for key in ANNOTATIONS {
                let annotations = class.map(|class| BTreeMap::from([(key.to_owned(), class.to_owned())]));
                assert_eq!(
                    asked(names).include(annotations.as_ref()),
                    want,
                    "{names:?} {class:?}"
                );
            }
        }
    }

    #[test]
    fn class_is_equal_across_annotation_prefixes() {
        let of = |key: &str, class: &str| BTreeMap::from([(key.to_owned(), class.to_owned())]);
        let edge = ANNOTATIONS.map(|key| of(key, "edge"));
        let none = of("other", "edge");
        for annotations in &edge {
            assert!(are_of_one_class(Some(annotations), Some(&edge[0])));
            assert!(!are_of_one_class(Some(annotations), Some(&none)));
            assert!(!are_of_one_class(None, Some(annotations)));
        }
        assert!(are_of_one_class(None, Some(&of(ANNOTATIONS[1], DEFAULT))));
        assert!(are_of_one_class(Some(&none), None));
    }

    #[test]
    fn newer_class_annotation_wins() {
        let annotations = [(ANNOTATIONS[0], "edge"), (ANNOTATIONS[2], "nginx")];
        let annotations = annotations
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        assert!(IngressClasses::new(vec!["edge".to_owned()]).include(Some(&annotations)));
    }
}
