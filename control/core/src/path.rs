//! Path prefixes that match by whole segments.
//!
//! A normalised prefix starts with `/`, has no empty segment, and ends with `/` only if it is `/` itself: Contour
//! takes `/foo` and `/foo/` for the same (`matchesPathPrefix`), and `/foobar` for no part of `/foo`.

use std::borrow::Cow;

/// The normalised form of a prefix, or none where it does not start with `/`.
#[must_use]
pub fn normalise(prefix: &str) -> Option<Cow<'_, str>> {
    if !prefix.starts_with('/') {
        return None;
    }
    let clean = prefix == "/" || !(prefix.ends_with('/') || prefix.contains("//"));
    if clean {
        return Some(Cow::Borrowed(prefix));
    }
    let segments: Vec<_> = prefix.split('/').filter(|segment| !segment.is_empty()).collect();
    Some(Cow::Owned(format!("/{}", segments.join("/"))))
}

/// Whether `path` lies in `prefix`; both normalised. A prefix lies in itself.
#[must_use]
pub fn contains(prefix: &str, path: &str) -> bool {
    prefix == "/"
        || path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises() {
        for (given, want) in [
            ("/", Some("/")),
            ("/foo", Some("/foo")),
            ("/foo/", Some("/foo")),
            ("//foo///bar//", Some("/foo/bar")),
            ("//", Some("/")),
            ("", None),
            ("foo", None),
        ] {
            assert_eq!(normalise(given).as_deref(), want, "{given:?}");
        }
    }

    #[test]
    fn contains_by_segment() {
        for (prefix, path, want) in [
            ("/", "/anything", true),
            ("/foo", "/foo", true),
            ("/foo", "/foo/bar", true),
            ("/foo", "/foobar", false),
            ("/foo/bar", "/foo", false),
        ] {
            assert_eq!(contains(prefix, path), want, "{prefix} {path}");
        }
    }
}
