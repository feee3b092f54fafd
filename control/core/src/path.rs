//! Path prefixes that match by whole segments.
//!
//! A normalised prefix starts with `/`, has no empty segment, and ends with `/` only if it is `/` itself: Contour
//! takes `/foo` and `/foo/` for the same (`matchesPathPrefix`), and `/foobar` for no part of `/foo`.

use std::borrow::Cow;
pub use switchyard_policy::path::contains;

/// The reason why a text is not a path prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum PathError {
    #[error("must start with \"/\"")]
    NotAbsolute,
    #[error("must not contain {0:?}: no path of a request has it")]
    Character(char),
}

/// The normalised form of a prefix that requests are matched with.
///
/// # Errors
///
/// If no path of a request can begin with it: those start with `/`, end before `?` and `#`, and have no control
/// characters. Envoy refuses a route with such a match.
pub fn normalise(prefix: &str) -> Result<Cow<'_, str>, PathError> {
    if !prefix.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    if let Some(character) = prefix.chars().find(|c| c.is_control() || "?#".contains(*c)) {
        return Err(PathError::Character(character));
    }
    let clean = prefix == "/" || !(prefix.ends_with('/') || prefix.contains("//"));
    if clean {
        return Ok(Cow::Borrowed(prefix));
    }
    let segments: Vec<_> = prefix.split('/').filter(|segment| !segment.is_empty()).collect();
    Ok(Cow::Owned(format!("/{}", segments.join("/"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises() {
        for (given, want) in [
            ("/", Ok("/")),
            ("/foo", Ok("/foo")),
            ("/foo/", Ok("/foo")),
            ("//foo///bar//", Ok("/foo/bar")),
            ("//", Ok("/")),
            ("/a b", Ok("/a b")),
            ("/caf\u{e9}", Ok("/caf\u{e9}")),
            ("", Err(PathError::NotAbsolute)),
            ("foo", Err(PathError::NotAbsolute)),
            ("/a?b", Err(PathError::Character('?'))),
            ("/a#", Err(PathError::Character('#'))),
            ("/a\r", Err(PathError::Character('\r'))),
            ("/\0a", Err(PathError::Character('\0'))),
            ("/a\u{85}", Err(PathError::Character('\u{85}'))),
        ] {
            assert_eq!(normalise(given).as_deref(), want.as_deref(), "{given:?}");
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
