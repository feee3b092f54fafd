//! The path of a request, made plain as the listener has it.
//!
//! Envoy has it from Chromium (`CanonicalizePath` of its url_canon_path.cc): dots are followed, `\` is a slash, what needs no
//! escape has none. After it, Envoy takes several slashes for one.

use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_connection_manager::PathWithEscapedSlashesAction as Escaped,
};

/// What becomes of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Path(String),
    /// Slashes were escaped in it: whoever sent it is told the plain one.
    Redirect(String),
    Refused,
}

/// A path with its query, which stays.
pub(super) fn plain(target: &str, manager: &HttpConnectionManager) -> Plain {
    let (path, query) = target
        .split_at_checked(target.find('?').unwrap_or(target.len()))
        .unwrap_or((target, ""));
    let normalises = manager.normalize_path.is_some_and(|normalises| normalises.value);
    let action = manager.path_with_escaped_slashes_action();
    let unescaped = unescape_slashes(path);
    let has_escaped = unescaped != path;
    if has_escaped && action == Escaped::RejectRequest {
        return Plain::Refused;
    }
    let unescapes = matches!(action, Escaped::UnescapeAndRedirect | Escaped::UnescapeAndForward);
    let mut path = if unescapes { unescaped } else { path.to_owned() };
    if normalises {
        match canonical(&path) {
            Some(canonical) => path = canonical,
            None => return Plain::Refused,
        }
    }
    if manager.merge_slashes {
        path = merge_slashes(&path);
    }
    path.push_str(query);
    if has_escaped && action == Escaped::UnescapeAndRedirect {
        Plain::Redirect(path)
    } else {
        Plain::Path(path)
    }
}

fn unescape_slashes(path: &str) -> String {
    let slashes = path.replace("%2f", "/").replace("%2F", "/");
    slashes.replace("%5c", "\\").replace("%5C", "\\")
}

/// Of a path that is nothing else, Envoy leaves two.
fn merge_slashes(path: &str) -> String {
    if !path.contains("//") {
        return path.to_owned();
    }
    let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let end = if path.ends_with('/') { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

/// None: it holds what no path may.
fn canonical(path: &str) -> Option<String> {
    let mut segments: Vec<String> = Vec::new();
    let mut given = path.split(['/', '\\']).skip(1).peekable();
    while let Some(segment) = given.next() {
        let plain = unescape(segment)?;
        let is_last = given.peek().is_none();
        match dots(&plain) {
            Some(Dots::Here) if is_last => segments.push(String::new()),
            Some(Dots::Here) => {}
            Some(Dots::Up) => {
                segments.pop();
                if is_last {
                    segments.push(String::new());
                }
            }
            None => segments.push(plain),
        }
    }
    Some(format!("/{}", segments.join("/")))
}

/// A segment that is not one of its own.
enum Dots {
    Here,
    Up,
}

/// Parameters after dots do not make a name of them.
fn dots(segment: &str) -> Option<Dots> {
    match segment.split(';').next()? {
        "." => Some(Dots::Here),
        ".." => Some(Dots::Up),
        _ => None,
    }
}

/// A segment in which nothing is escaped that need not be, and all else that has to be is.
fn unescape(segment: &str) -> Option<String> {
    let mut plain = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(c) = rest.chars().next() {
        let escaped = rest.get(1..3).filter(|_| c == '%');
        let escaped = escaped.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, escaped) {
            (Some(0), _) => return None,
            (Some(byte), _) if is_unreserved(byte) => plain.push(char::from(byte)),
            (Some(_), Some(digits)) => {
                plain.push('%');
                plain.push_str(digits);
            }
            _ if needs_escape(c) => plain.push_str(&format!("%{:02X}", u32::from(c))),
            _ => plain.push(c),
        }
        let read = if byte.is_some() { 3 } else { c.len_utf8() };
        rest = rest.get(read..).unwrap_or_default();
    }
    Some(plain)
}

/// RFC 3986, 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Of characters that come in paths.
fn needs_escape(c: char) -> bool {
    matches!(c, '"' | '<' | '>' | '^' | '`' | '{' | '|' | '}')
}
