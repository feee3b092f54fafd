//! Sessions: a cookie names the branch that a client stays on.

use crate::{config::Sticky, hash::hash};

/// The token of a branch in cookies. It is stable, and does not expose the branch's name.
#[must_use]
pub fn token(branch: &str) -> String {
    format!("{:016x}", hash(branch.as_bytes()))
}

/// The values of a request's cookies of that name, from every `cookie` header.
pub fn cookies<'a, 'n>(
    headers: &'a [(String, Vec<u8>)],
    name: &'n str,
) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
    headers
        .iter()
        .filter(|(header, _)| header == "cookie")
        .flat_map(|(_, value)| value.split(|byte| *byte == b';'))
        .filter_map(move |pair| {
            let pair = pair.trim_ascii();
            pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
        })
}

/// The `Set-Cookie` that starts a session on a branch, for all below `prefix` as the client sees it.
#[must_use]
pub fn set_cookie(sticky: &Sticky, token: &str, prefix: &str, https: bool) -> String {
    let Sticky { cookie, ttl_seconds } = sticky;
    // An attribute ends at `;`, so a prefix with one cannot be set; the cookie then applies everywhere.
    let path = if prefix.contains(';') { "/" } else { prefix };
    let max_age = ttl_seconds
        .map(|seconds| format!("; Max-Age={seconds}"))
        .unwrap_or_default();
    let secure = if https { "; Secure" } else { "" };
    format!("{cookie}={token}; Path={path}{max_age}; HttpOnly; SameSite=Lax{secure}")
}
