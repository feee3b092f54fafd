//! Editing one delegate in the text of its file: nothing else of the text changes.

use crate::manifests::{Node, Span, resolve};
use anyhow::{Context, Result, ensure};
use std::{fs, io::Write, path::Path};

/// What replaces what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where the value begins, or a tag or an anchor before it: in characters of the text.
    pub start: usize,
    pub old: String,
    pub new: String,
}

/// The changes that make `branch` the active one of a delegate: its name becomes `branch`. If `branch` was a standby,
/// the one that was active takes its place there, so that the way back is as warm.
///
/// # Errors
///
/// If the delegate's name is not written out where it stands.
pub fn activate(delegate: &Node, branch: &str) -> Result<Vec<Change>> {
    let name = delegate.get("name").context("delegate.name is missing")?;
    let active = name.text().context("delegate.name is no string")?;
    let standby = delegate.get("standby").map(Node::items).unwrap_or_default();
    let same = standby.iter().filter(|entry| entry.text() == Some(branch));
    let swapped = same.map(|entry| change(entry, branch, active));
    std::iter::once(change(name, active, branch))
        .chain(swapped)
        .collect()
}

fn change(node: &Node, old: &str, new: &str) -> Result<Change> {
    let Span { start, position } = node.span;
    let line = position.line;
    ensure!(
        !node.aliased,
        "line {line}: an alias (*) brings the value here: write it out, or edit the file by hand"
    );
    Ok(Change {
        start,
        old: old.to_owned(),
        new: new.to_owned(),
    })
}

/// The text with the changes made. Quotes stay as they were.
///
/// # Errors
///
/// If a value is not written in one piece: over several lines, or with escapes.
pub fn apply(text: &str, changes: &[Change]) -> Result<String> {
    let mut changes: Vec<_> = changes.iter().collect();
    changes.sort_by_key(|change| change.start);
    let mut edited = String::with_capacity(text.len());
    let mut rest = text;
    let mut done = 0;
    for Change { start, old, new } in changes {
        let skipped = start.checked_sub(done).context("two changes at one place")?;
        let offset = rest.char_indices().nth(skipped).map(|(offset, _)| offset);
        let (before, place) = rest
            .split_at_checked(offset.unwrap_or(rest.len()))
            .unwrap_or((rest, ""));
        let (kept, after) = split_value(place, old)?;
        let quoted = kept.ends_with(['"', '\'']);
        let new = if quoted { new.clone() } else { plain(new) };
        edited.extend([before, kept, &new]);
        rest = after;
        done = start + kept.chars().count() + old.chars().count();
    }
    edited.push_str(rest);
    Ok(edited)
}

/// Text around a value that it begins with, but for a tag, an anchor and a quote.
fn split_value<'t>(text: &'t str, value: &str) -> Result<(&'t str, &'t str)> {
    let bare = without_properties(text);
    let inside = bare.strip_prefix(['"', '\'']).unwrap_or(bare);
    let after = inside.strip_prefix(value);
    let after = after
        .with_context(|| format!("{value:?} is not written in one piece there: edit the file by hand"))?;
    let before = text.len() - inside.len();
    Ok((text.get(..before).unwrap_or_default(), after))
}

/// A value to stand without quotes; with them, if YAML took it for something else than text: `2026`, `on`.
fn plain(value: &str) -> String {
    if resolve(value).is_string() {
        value.to_owned()
    } else {
        format!("{value:?}")
    }
}

/// What follows `!tag` and `&anchor`.
fn without_properties(text: &str) -> &str {
    let mut rest = text;
    while rest.starts_with(['!', '&']) {
        let (_, after) = rest.split_once(char::is_whitespace).unwrap_or(("", ""));
        rest = after.trim_start();
    }
    rest
}

/// Puts text in the place of a file at once: readers see the old or the new. A link is followed, the mode is kept.
///
/// # Errors
///
/// If the folder cannot be written to.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let path = path
        .canonicalize()
        .with_context(|| format!("cannot find {}", path.display()))?;
    let folder = path.parent().context("a file without a folder")?;
    let mode = fs::metadata(&path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .permissions();
    let mut file = tempfile::Builder::new()
        .prefix(".switchyard-")
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(mode)?;
    file.persist(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::{Documents, documents};

    fn edited(text: &str) -> String {
        try_edit(text).unwrap()
    }

    fn try_edit(text: &str) -> Result<String> {
        let Documents { documents, error } = documents(text, false);
        assert_eq!(error, None, "{text}");
        let routes = documents
            .last()
            .and_then(|document| document.get("spec")?.get("routes"))
            .unwrap();
        apply(
            text,
            &activate(routes.items()[0].get("delegate").unwrap(), "green")?,
        )
    }

    #[test]
    fn only_the_name_changes() {
        for (text, want) in [
            (
                "# über\nspec:\n  routes:\n  - match: /\n    delegate:\n      name: blue # now\n",
                "# über\nspec:\n  routes:\n  - match: /\n    delegate:\n      name: green # now\n",
            ),
            (
                "spec: {routes: [{match: /, delegate: {name: 'blue', namespace: x}}]}\r\n",
                "spec: {routes: [{match: /, delegate: {name: 'green', namespace: x}}]}\r\n",
            ),
            (
                "spec:\n  routes:\n  - delegate:\n      name: &n   \"blue\"   # \u{1f535}\n      x: *n\n",
                "spec:\n  routes:\n  - delegate:\n      name: &n   \"green\"   # \u{1f535}\n      x: *n\n",
            ),
            (
                "spec:\n  routes:\n  - delegate: {name: !!str blue}\n",
                "spec:\n  routes:\n  - delegate: {name: !!str green}\n",
            ),
            (
                "\u{feff}spec:\r\n  routes:\r\n  - delegate:\r\n      name: blue\r\n",
                "\u{feff}spec:\r\n  routes:\r\n  - delegate:\r\n      name: green\r\n",
            ),
            (
                "spec:\n  routes:\n  - delegate:\n      name: blue",
                "spec:\n  routes:\n  - delegate:\n      name: green",
            ),
            (
                "{\"spec\": {\"routes\": [{\"delegate\": {\"name\": \"blue\"}}]}}",
                "{\"spec\": {\"routes\": [{\"delegate\": {\"name\": \"green\"}}]}}",
            ),
            (
                "a: 1\n---\nspec: {routes: [{delegate: {name: blue, standby: [green, old]}}]}\n",
                "a: 1\n---\nspec: {routes: [{delegate: {name: green, standby: [blue, old]}}]}\n",
            ),
        ] {
            assert_eq!(edited(text), want);
        }
    }

    #[test]
    fn a_name_that_yaml_takes_for_something_else_gets_quotes() {
        let text = "spec: {routes: [{delegate: {name: blue}}]}\n";
        let Documents { documents, .. } = documents(text, false);
        let routes = documents[0].get("spec").unwrap().get("routes").unwrap();
        let delegate = routes.items()[0].get("delegate").unwrap();
        for (branch, want) in [("2026", "\"2026\""), ("n", "\"n\""), ("v2", "v2")] {
            let edited = apply(text, &activate(delegate, branch).unwrap()).unwrap();
            assert_eq!(edited, text.replace("blue", want));
        }
    }

    #[test]
    fn what_is_not_written_out_is_left_to_people() {
        for text in [
            "x: &n blue\n---\ny: &n blue\nspec: {routes: [{delegate: {name: *n}}]}\n",
            "d: &d {name: blue}\nspec: {routes: [{delegate: *d}]}\n",
            "d: &d {name: blue}\nspec: {routes: [{delegate: {<<: *d}}]}\n",
            "spec: {routes: [{delegate: {name: \"bl\\\n  ue\"}}]}\n",
            "spec: {routes: [{delegate: {name: \"bl\\x75e\"}}]}\n",
        ] {
            assert!(try_edit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_written_file_keeps_its_mode_and_its_links() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real.yaml");
        let link = folder.path().join("link.yaml");
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert!(link.is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }
}
