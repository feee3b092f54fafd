//! Paths, and prefixes of them that match by whole segments.
//!
//! A normalised prefix starts with `/`, has no empty segment, and ends with `/` only if it is `/` itself.

/// Returns true if a path can replace a request's: every upstream reads it alike, and as a path.
#[must_use]
pub fn is_outgoing(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    path.starts_with('/')
        && !path.contains("//")
        && !path.contains(['?', '#', '\\', ' '])
        && !path.contains(char::is_control)
        && !lower.contains("%2f")
        && !lower.contains("%5c")
        && !climbs(path)
}

/// Returns true if `prefix` is normalised.
#[must_use]
pub fn is_normalised(prefix: &str) -> bool {
    prefix == "/" || (prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains("//"))
}

/// Returns true if `path` lies in `prefix`. A prefix lies in itself.
#[must_use]
pub fn contains(prefix: &str, path: &str) -> bool {
    rest(path, prefix).is_some()
}

/// The rest of a `path` that lies in `prefix`: empty, or `/` and more.
#[must_use]
pub fn rest<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    if prefix == "/" {
        return path.starts_with('/').then_some(path);
    }
    path.strip_prefix(prefix)
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Moves a `path` that lies in `from` to `to`; `None` if it does not lie there.
///
/// The join has one slash however many `to` and the path have: `//host` at the start of a path is another host to
/// everything that builds a URL from it, and browsers take `\` for a slash, too.
#[must_use]
pub fn rebase(path: &str, from: &str, to: &str) -> Option<String> {
    let rest = rest(path, from)?;
    if rest.is_empty() {
        return Some(to.to_owned());
    }
    let (head, tail) = (to.trim_end_matches('/'), rest.trim_start_matches(['/', '\\']));
    Some(format!("{head}/{tail}"))
}

/// Like [`rebase`] for a prefix: `from` itself becomes `to` itself, also if `from` is `/`.
#[must_use]
pub fn rebase_prefix(prefix: &str, from: &str, to: &str) -> Option<String> {
    if prefix == from {
        return Some(to.to_owned());
    }
    rebase(prefix, from, to)
}

/// The prefixes that enclose `path`, the longest first: of its leading `depth` segments, or the whole of it where it
/// has no more, then of one segment less, down to `/`.
pub fn enclosing(path: &str, depth: usize) -> impl Iterator<Item = &str> {
    let end = path.match_indices('/').nth(depth);
    let longest = end.and_then(|(at, _)| path.get(..at)).unwrap_or(path);
    std::iter::successors(Some(longest), |longer| Some(longer.rsplit_once('/')?.0))
        .map(|prefix| if prefix.is_empty() { "/" } else { prefix })
}

/// The number of segments of a normalised prefix, as [`enclosing`] counts them.
#[must_use]
pub fn depth(prefix: &str) -> usize {
    if prefix == "/" {
        0
    } else {
        prefix.matches('/').count()
    }
}

/// Returns true if some reader of `path` may take it to climb: a segment is `..`, with the dots, the slashes or both
/// percent-encoded, with backslashes for slashes, or with `;` parameters after it.
#[must_use]
pub fn climbs(path: &str) -> bool {
    if !(path.contains("..") || path.contains('%')) {
        return false;
    }
    let plain = path.to_ascii_lowercase().replace("%2e", ".").replace("%3b", ";");
    plain
        .replace("%2f", "/")
        .replace("%5c", "/")
        .split(['/', '\\'])
        .any(|segment| segment.split(';').next() == Some(".."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn normalised_prefix_has_whole_segments_and_no_trailing_slash() {
        for (prefix, want) in [
            ("/", true),
            ("/a", true),
            ("/a/b", true),
            ("", false),
            ("a", false),
            ("/a/", false),
            ("//", false),
            ("/a//b", false),
        ] {
            assert_eq!(is_normalised(prefix), want, "{prefix:?}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn prefix_matches_whole_segments() {
        for (path, prefix, want) in [
            ("/anything", "/", Some("/anything")),
            ("/", "/", Some("/")),
            ("*", "/", None),
            ("/foo", "/foo", Some("")),
            ("/foo/", "/foo", Some("/")),
            ("/foo/bar", "/foo", Some("/bar")),
            ("/foobar", "/foo", None),
            ("/foo", "/foo/bar", None),
        ] {
            assert_eq!(rest(path, prefix), want, "{path} in {prefix}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn join_has_one_slash() {
        for (path, from, to, want) in [
            ("/shop", "/shop", "/", Some("/")),
            ("/shop/", "/shop", "/", Some("/")),
            ("/shop/x", "/shop", "/", Some("/x")),
            ("/shop//evil.com", "/shop", "/", Some("/evil.com")),
            ("/shop/\\evil.com", "/shop", "/", Some("/evil.com")),
            ("/shop", "/shop", "/app", Some("/app")),
            ("/shop/", "/shop", "/app", Some("/app/")),
            ("/shop/x", "/shop", "/app/", Some("/app/x")),
            ("/shop", "/shop", "/app/", Some("/app/")),
            ("/", "/", "/app", Some("/app/")),
            ("/x", "/", "/app", Some("/app/x")),
            ("/shopping", "/shop", "/app", None),
        ] {
            assert_eq!(rebase(path, from, to).as_deref(), want, "{path}: {from} -> {to}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn enclosing_prefixes_are_ordered_and_limited_by_depth() {
        for (path, depth, want) in [
            ("/", 3, &["/", "/"][..]),
            ("/a", 3, &["/a", "/"]),
            ("/a/b/c", 2, &["/a/b", "/a", "/"]),
            ("/a/b/", 5, &["/a/b/", "/a/b", "/a", "/"]),
            ("/a/b", 0, &["/"]),
            ("////", 1, &["/", "/"]),
        ] {
            let got: Vec<_> = enclosing(path, depth).collect();
            assert_eq!(got, want, "{path} {depth}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn climbing_segments_are_detected_in_every_encoding() {
        for (path, want) in [
            ("/a/../b", true),
            ("/a/..", true),
            ("/a/%2e%2E/b", true),
            ("/a/.%2e", true),
            ("/a/..;x=1/b", true),
            ("/a/..%3bx/b", true),
            ("/a/..%2fb", true),
            ("/a%5C..%5cb", true),
            ("/a\\..\\b", true),
            ("/a/...", false),
            ("/a/..b", false),
            ("/a/b..", false),
            ("/a/%20", false),
            ("/a/./b", false),
        ] {
            assert_eq!(climbs(path), want, "{path}");
        }
    }
}
