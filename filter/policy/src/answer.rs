//! What an answer says of paths, put as the client sees them.
//!
//! An upstream below a rewrite does not know where it is mounted. What it says of its own paths, in `Location`,
//! `Content-Location` and the `Path` of a cookie, is true of its side alone.

use crate::path;

/// What of the client's paths is what of the upstream's, by the levels of a delegation that rewrite, from the root's on.
///
/// An upstream speaks of what is below the last level; and of what an outer one mounted, as all that are mounted there do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    levels: Vec<Level>,
}

/// All rewrites down to one of them, as one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Level {
    /// A normalised prefix, as the client sees it.
    visible: String,
    /// The same prefix, as who is below the level sees it.
    upstream: String,
}

// === impl Mapping ===

impl Mapping {
    /// Nothing is rewritten.
    #[must_use]
    pub const fn identity() -> Self {
        Self { levels: Vec::new() }
    }

    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.levels.iter().all(|level| level.visible == level.upstream)
    }

    /// With one more rewrite below: of `prefix`, as this mapping's upstream side sees it, to `mount`.
    #[must_use]
    pub fn then(mut self, prefix: &str, mount: &str) -> Self {
        let mount = if mount == "/" {
            mount
        } else {
            mount.trim_end_matches('/')
        };
        if prefix != mount {
            let (visible, upstream) = self.innermost();
            let level = Level::below((visible, upstream), prefix, mount);
            self.levels.extend(level);
        }
        self
    }

    /// A prefix of the upstream's side as the client sees it; `/` where it lies outside.
    #[must_use]
    pub fn visible(&self, prefix: &str) -> String {
        let (visible, upstream) = self.innermost();
        path::rebase_prefix(prefix, upstream, visible).unwrap_or_else(|| "/".to_owned())
    }

    /// The last level's two sides.
    fn innermost(&self) -> (&str, &str) {
        self.levels
            .last()
            .map_or(("/", "/"), |Level { visible, upstream }| (visible, upstream))
    }

    /// The innermost level that a path of the upstream's side is below.
    fn level(&self, said: &str) -> Option<&Level> {
        let mut levels = self.levels.iter().rev();
        levels.find(|level| path::contains(&level.upstream, said))
    }

    /// What to put for the value of a `Location` or `Content-Location`; none: leave it.
    ///
    /// Paths, and URLs of the host that was asked for (`authority`), are mapped; query and fragment stay. Another
    /// host's are its own, and relative ones are resolved by the client, against what it sees.
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
        let Level { visible, upstream } = self.level(path)?.speaking(path)?;
        let mapped = path::rebase(path, upstream, visible)?;
        Some(format!("{origin}{mapped}{tail}"))
    }

    /// What to put for the value of a `Set-Cookie`; none: leave it.
    ///
    /// Browsers take a cookie whose name starts with `__Host-` at `Path=/` alone, so that one stays.
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

    /// The new path of a cookie's attribute, if that is what the attribute says and it is to change.
    fn cookie_path(&self, attribute: &[u8]) -> Option<String> {
        let at = attribute.iter().position(|byte| *byte == b'=')?;
        let (name, value) = attribute.split_at_checked(at)?;
        if !name.trim_ascii().eq_ignore_ascii_case(b"path") {
            return None;
        }
        let path = str::from_utf8(value.get(1..)?.trim_ascii()).ok()?;
        let Level { visible, upstream } = self.level(path)?.speaking(path)?;
        // As a prefix, not as a path: `Path=/shop/` would not go along with a request to `/shop`.
        path::rebase_prefix(path, upstream, visible)
    }
}

// === impl Level ===

impl Level {
    /// With one more rewrite below the two sides of a level; none if they have nothing to do with each other.
    fn below((visible, upstream): (&str, &str), prefix: &str, mount: &str) -> Option<Self> {
        if let Some(visible) = path::rebase_prefix(prefix, upstream, visible) {
            return Some(Self {
                visible,
                upstream: mount.to_owned(),
            });
        }
        // The rewrite is of more than what the level is about, which moves along with it.
        path::rebase_prefix(upstream, prefix, mount).map(|upstream| Self {
            visible: visible.to_owned(),
            upstream,
        })
    }

    /// Itself, if a path that the upstream says is to be mapped.
    ///
    /// Where the visible prefix lies inside the upstream's (`/shop` mounted at `/`), a path inside the visible one
    /// could be either side's. It is left: an upstream that was told its outside prefix builds its URLs with it, and
    /// mapping those again would break them all, while one that serves its own mount's name below itself is rare.
    fn speaking(&self, said: &str) -> Option<&Self> {
        let is_ambiguous = path::contains(&self.upstream, &self.visible);
        let is_visible_already = is_ambiguous && path::contains(&self.visible, said);
        (!is_visible_already).then_some(self)
    }
}

/// Where the path starts in a URL of the host `authority`, or in a path; none for all others.
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
