//! The positional arguments of `switchyard switch`.

use anyhow::{Result, bail};
use std::path::Path;

/// The route to switch, and the branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// The directory; `None` for the API server.
    pub(super) dir: Option<&'a Path>,
    pub(super) root: &'a str,
    pub(super) matched: Option<&'a str>,
    /// The branch; `None` for the previously active one.
    pub(super) branch: Option<&'a str>,
}

// === impl Asked ===

impl<'a> Asked<'a> {
    /// Parses `[DIR] ROOT [MATCH] BRANCH`, without BRANCH if `undo` is true. A match begins with `/`, which the name of
    /// an IngressRoute does not.
    pub(super) fn read(words: &'a [String], undo: bool) -> Result<Self> {
        let (branch, words) = match words {
            words if undo => (None, words),
            [words @ .., branch] => (Some(&**branch), words),
            [] => (None, words),
        };
        let (dir, root, matched) = match words {
            [root] => (None, root, None),
            [root, matched] if matched.starts_with('/') => (None, root, Some(&**matched)),
            [dir, root] => (Some(dir), root, None),
            [dir, root, matched] => (Some(dir), root, Some(&**matched)),
            _ if undo => bail!("with --undo, expected [DIR] ROOT [MATCH], without a branch"),
            _ => bail!("expected [DIR] ROOT [MATCH] BRANCH"),
        };
        Ok(Self {
            dir: dir.map(Path::new),
            root,
            matched,
            branch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn match_argument_separates_directory_from_root() {
        let asked = |dir: &'static str, root, matched, branch| Asked {
            dir: (!dir.is_empty()).then(|| Path::new(dir)),
            root,
            matched,
            branch,
        };
        for (words, undo, want) in [
            ("shop blue", false, Some(asked("", "shop", None, Some("blue")))),
            (
                "shop /cart blue",
                false,
                Some(asked("", "shop", Some("/cart"), Some("blue"))),
            ),
            (
                "dir shop blue",
                false,
                Some(asked("dir", "shop", None, Some("blue"))),
            ),
            (
                "/dir shop blue",
                false,
                Some(asked("/dir", "shop", None, Some("blue"))),
            ),
            (
                "dir shop /cart blue",
                false,
                Some(asked("dir", "shop", Some("/cart"), Some("blue"))),
            ),
            ("shop", false, None),
            ("dir shop /cart blue more", false, None),
            ("shop", true, Some(asked("", "shop", None, None))),
            ("shop /cart", true, Some(asked("", "shop", Some("/cart"), None))),
            ("dir shop", true, Some(asked("dir", "shop", None, None))),
            (
                "dir shop /cart",
                true,
                Some(asked("dir", "shop", Some("/cart"), None)),
            ),
            ("dir shop /cart blue", true, None),
        ] {
            let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
            assert_eq!(Asked::read(&words, undo).ok(), want, "{words:?}");
        }
    }
}
