//! Editing one delegate in the text of its file: nothing else of the text changes.

use crate::manifests::{Node, Span};
use anyhow::{Context, Result, bail, ensure};
use std::{fs, io::Write, ops::Range, path::Path};

/// What replaces what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// In characters of the text.
    pub span: Range<usize>,
    pub value: String,
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
    let swapped = same.map(|entry| change(entry, active));
    std::iter::once(change(name, branch)).chain(swapped).collect()
}

fn change(node: &Node, value: &str) -> Result<Change> {
    let Span { start, end, position } = node.span;
    let line = position.line;
    ensure!(
        !node.aliased,
        "line {line}: an alias (*) brings the value here: write it out, or edit the file by hand"
    );
    ensure!(
        start < end,
        "line {line}: the value's place in the file is not known: edit the file by hand"
    );
    Ok(Change {
        span: start..end,
        value: value.to_owned(),
    })
}

/// The text with the changes made. Quotes stay as they were.
///
/// # Errors
///
/// If a place does not hold a plain or quoted value of one line.
pub fn apply(text: &str, changes: &[Change]) -> Result<String> {
    let mut changes: Vec<_> = changes.iter().collect();
    changes.sort_by_key(|change| change.span.start);
    let offsets: Vec<_> = text
        .char_indices()
        .map(|(offset, _)| offset)
        .chain([text.len()])
        .collect();
    let mut edited = String::with_capacity(text.len());
    let mut done = 0;
    for Change { span, value } in changes {
        let place = offsets
            .get(span.start)
            .zip(offsets.get(span.end))
            .context("the text is not what was read")?;
        let (start, end) = (*place.0, *place.1);
        let before = text.get(done..start).context("two changes at one place")?;
        let old = text.get(start..end).context("the text is not what was read")?;
        edited.push_str(before);
        edited.push_str(&replace(old, value)?);
        done = end;
    }
    edited.push_str(text.get(done..).unwrap_or_default());
    Ok(edited)
}

/// The value in the style of what it replaces.
fn replace(old: &str, value: &str) -> Result<String> {
    ensure!(
        !old.starts_with(['*', '&', '!', '|', '>']),
        "{old:?} is not written out there: edit the file by hand"
    );
    let kept = old.trim_end();
    let space = old.strip_prefix(kept).unwrap_or_default();
    let quote = ["\"", "'"]
        .into_iter()
        .find(|quote| kept.starts_with(quote))
        .unwrap_or_default();
    if kept.contains(['\n', '\r']) {
        bail!("{old:?} goes over several lines: edit the file by hand");
    }
    Ok(format!("{quote}{value}{quote}{space}"))
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
    fn what_is_not_written_out_is_left_to_people() {
        for text in [
            "x: &n blue\n---\ny: &n blue\nspec: {routes: [{delegate: {name: *n}}]}\n",
            "d: &d {name: blue}\nspec: {routes: [{delegate: *d}]}\n",
            "d: &d {name: blue}\nspec: {routes: [{delegate: {<<: *d}}]}\n",
            "spec: {routes: [{delegate: {name: \"bl\\\n  ue\"}}]}\n",
            "spec:\n  routes:\n  - delegate:\n      name: |-\n        blue\n",
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
