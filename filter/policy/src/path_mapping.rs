//! Mapping of the paths in a response to those that the client sees.
//!
//! An upstream below a rewrite does not know where it is mounted. Its paths in `Location`, `Content-Location` and the
//! `Path` of a cookie are valid on its side only.

use crate::path;

/// The client's prefixes and the upstream prefixes that they map to, by the rewrites of a delegation, from the root on.
///
/// An upstream may send paths below the last rewrite, and paths below an outer one, like everything that is mounted
/// there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathMapping {
    rewrites: Vec<Rewrite>,
}

/// All rewrites down to a level of the delegation, combined.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rewrite {
    /// A normalised prefix, as the client sees it.
    visible: String,
    /// The same prefix, as seen below the level.
    upstream: String,
}

// === impl PathMapping ===

impl PathMapping {
    /// The mapping without rewrites.
    #[must_use]
    pub const fn identity() -> Self {
        Self { rewrites: Vec::new() }
    }

    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.rewrites
            .iter()
            .all(|rewrite| rewrite.visible == rewrite.upstream)
    }

    /// Adds a rewrite below: of `prefix`, as this mapping's upstream side sees it, to `mount`.
    #[must_use]
    pub fn then(mut self, prefix: &str, mount: &str) -> Self {
        let mount = if mount == "/" {
            mount
        } else {
            mount.trim_end_matches('/')
        };
        if prefix != mount {
            let (visible, upstream) = self.innermost();
            let rewrite = Rewrite::below(visible, upstream, prefix, mount);
            self.rewrites.extend(rewrite);
        }
        self
    }

    /// A prefix of the upstream's side as the client sees it; `/` if it lies outside.
    #[must_use]
    pub fn visible(&self, prefix: &str) -> String {
        let (visible, upstream) = self.innermost();
        path::rebase_prefix(prefix, upstream, visible).unwrap_or_else(|| "/".to_owned())
    }

    /// The last rewrite's two sides.
    fn innermost(&self) -> (&str, &str) {
        self.rewrites
            .last()
            .map_or(("/", "/"), |Rewrite { visible, upstream }| (visible, upstream))
    }

    /// The innermost rewrite that a path of the upstream's side is below.
    fn rewrite(&self, path: &str) -> Option<&Rewrite> {
        let mut rewrites = self.rewrites.iter().rev();
        rewrites.find(|rewrite| path::contains(&rewrite.upstream, path))
    }

    /// Maps the value of a `Location` or `Content-Location`; `None` leaves it as it is.
    ///
    /// Maps paths, and URLs of the requested host (`authority`); query and fragment stay. URLs of other hosts are left
    /// as they are, and the client resolves relative ones against the path that it sees.
    #[must_use]
    pub fn location(&self, value: &[u8], authority: &str) -> Option<String> {
        let value = str::from_utf8(value).ok()?;
        let path_at = origin_len(value, authority)?;
        let (origin, target) = value.split_at_checked(path_at)?;
        let (path, tail) = target.split_at_checked(target.find(['?', '#']).unwrap_or(target.len()))?;
        let path = if path.is_empty() && !origin.is_empty() {
            "/"
        } else {
            path
        };
        let Rewrite { visible, upstream } = self.rewrite(path)?.unless_visible(path)?;
        let mapped = path::rebase(path, upstream, visible)?;
        Some(format!("{origin}{mapped}{tail}"))
    }

    /// Maps the value of a `Set-Cookie`; `None` leaves it as it is.
    ///
    /// Browsers accept a cookie whose name starts with `__Host-` only with `Path=/`, so that one stays.
    #[must_use]
    pub fn set_cookie(&self, value: &[u8]) -> Option<Vec<u8>> {
        let mut parts: Vec<_> = value.split(|byte| *byte == b';').map(<[u8]>::to_vec).collect();
        let (pair, attributes) = parts.split_first_mut()?;
        if starts_with_ignoring_case(pair.trim_ascii_start(), b"__Host-") {
            return None;
        }
        let mut is_changed = false;
        for attribute in attributes {
            if let Some(path) = self.cookie_path(attribute) {
                *attribute = format!(" Path={path}").into_bytes();
                is_changed = true;
            }
        }
        is_changed.then(|| parts.join(&b';'))
    }

    /// The mapped path of a cookie attribute, if it is a `Path` that changes.
    fn cookie_path(&self, attribute: &[u8]) -> Option<String> {
        let at = attribute.iter().position(|byte| *byte == b'=')?;
        let (name, value) = attribute.split_at_checked(at)?;
        if !name.trim_ascii().eq_ignore_ascii_case(b"path") {
            return None;
        }
        let path = str::from_utf8(value.get(1..)?.trim_ascii()).ok()?;
        let Rewrite { visible, upstream } = self.rewrite(path)?.unless_visible(path)?;
        // The value is a prefix, not a path: with `Path=/shop/` the cookie would not be sent to `/shop`.
        path::rebase_prefix(path, upstream, visible)
    }
}

// === impl Rewrite ===

impl Rewrite {
    /// Combines the two sides of a level with a rewrite below; `None` if they do not overlap.
    fn below(visible: &str, upstream: &str, prefix: &str, mount: &str) -> Option<Self> {
        if let Some(visible) = path::rebase_prefix(prefix, upstream, visible) {
            return Some(Self {
                visible,
                upstream: mount.to_owned(),
            });
        }
        // The rewrite covers more than the level, which moves along with it.
        path::rebase_prefix(upstream, prefix, mount).map(|upstream| Self {
            visible: visible.to_owned(),
            upstream,
        })
    }

    /// Returns itself if a path from the upstream is to be mapped.
    ///
    /// If the visible prefix lies inside the upstream's (`/shop` mounted at `/`), a path inside the visible one could
    /// be either side's. It is left as it is: an upstream that knows its outside prefix builds its URLs with it, and
    /// mapping those again would break them all, while an upstream that serves its mount's own name below itself is
    /// rare.
    fn unless_visible(&self, path: &str) -> Option<&Self> {
        let is_ambiguous = path::contains(&self.upstream, &self.visible);
        let is_visible_already = is_ambiguous && path::contains(&self.visible, path);
        (!is_visible_already).then_some(self)
    }
}

/// The offset of the path in a URL of the host `authority`, or in a path; `None` for anything else.
fn origin_len(value: &str, authority: &str) -> Option<usize> {
    let scheme_len = ["http:", "https:"]
        .into_iter()
        .find(|scheme| starts_with_ignoring_case(value.as_bytes(), scheme.as_bytes()))
        .map_or(0, str::len);
    let Some(host_on) = value.get(scheme_len..)?.strip_prefix("//") else {
        return (scheme_len == 0 && value.starts_with('/')).then_some(0);
    };
    let host_len = host_on.find(['/', '?', '#']).unwrap_or(host_on.len());
    let is_ours = host_on.get(..host_len)?.eq_ignore_ascii_case(authority);
    is_ours.then_some(scheme_len + 2 + host_len)
}

fn starts_with_ignoring_case(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests;
