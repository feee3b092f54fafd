//! Edits one delegate in the text of its file, without other changes of the text.

use crate::manifests::{Node, Span, resolve};
use anyhow::{Context, Result, ensure};
use std::{fs, io::Write, path::Path};
use switchyard_core::ingressroute::{Activation, CanaryEdit, StandbyEdit};

/// One edit of the text. Positions are in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Replace {
        /// The start of the value, or of a tag or an anchor before it.
        start: usize,
        old: String,
        new: Scalar,
    },
    /// A new item in front of the one at `start`.
    InsertItem { start: usize, name: String },
    /// A new first entry of the mapping at `start`.
    InsertEntry {
        start: usize,
        key: &'static str,
        name: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    Name(String),
    Number(i64),
}

/// The changes that activate another branch of a delegate.
///
/// # Errors
///
/// If a value that changes comes from an alias.
pub fn activate(delegate: &Node, activation: &Activation) -> Result<Vec<Change>> {
    let Activation {
        branch,
        standby,
        preview,
        canary,
    } = activation;
    let name = delegate.get("name").context("delegate.name is missing")?;
    let active = name.text().context("delegate.name is not a string")?;
    let mut changes = vec![replace(name, active, branch)?];
    let item = |at: usize| {
        let items = delegate.get("standby").map(Node::items).unwrap_or_default();
        items.get(at).context("delegate.standby is not a list")
    };
    match *standby {
        Some(StandbyEdit::Replace(at)) => changes.push(replace(item(at)?, branch, active)?),
        Some(StandbyEdit::Insert(at)) => changes.push(Change::InsertItem {
            start: written_out(item(at)?)?,
            name: active.to_owned(),
        }),
        None => {}
    }
    if let Some(preview) = preview {
        changes.push(name_branch(delegate, "preview", preview)?);
    }
    match canary {
        Some(CanaryEdit::End { percent }) => {
            let canary = delegate.get("canary").and_then(|canary| canary.get("percent"));
            changes.push(Change::Replace {
                start: written_out(canary.context("canary.percent is missing")?)?,
                old: percent.to_string(),
                new: Scalar::Number(0),
            });
        }
        Some(CanaryEdit::Name(name)) => changes.push(name_branch(delegate, "canary", name)?),
        None => {}
    }
    Ok(changes)
}

fn replace(node: &Node, old: &str, new: &str) -> Result<Change> {
    Ok(Change::Replace {
        start: written_out(node)?,
        old: old.to_owned(),
        new: Scalar::Name(new.to_owned()),
    })
}

/// Sets the `branch` of a preview or a canary.
fn name_branch(delegate: &Node, field: &str, name: &str) -> Result<Change> {
    let node = delegate.get(field);
    let node = node.with_context(|| format!("{field} is missing"))?;
    match node.get("branch") {
        Some(branch) => replace(branch, branch.text().context("its branch is not a string")?, name),
        None => Ok(Change::InsertEntry {
            start: written_out(node)?,
            key: "branch",
            name: name.to_owned(),
        }),
    }
}

/// The start of a node. Fails if an alias brings in the node.
fn written_out(node: &Node) -> Result<usize> {
    let Span { start, position } = node.span;
    let line = position.line;
    ensure!(
        !node.aliased,
        "line {line}: the value comes from an alias (*): replace the alias, or edit the file by hand"
    );
    Ok(start)
}

/// Applies the changes to a text. Quotes, indentation and line ends are kept.
///
/// # Errors
///
/// If a value is not written in one piece: over several lines, or with escapes.
pub fn apply(text: &str, changes: &[Change]) -> Result<String> {
    let mut changes: Vec<_> = changes.iter().collect();
    changes.sort_by_key(|change| change.start());
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut edited = String::with_capacity(text.len());
    let mut rest = text;
    let mut done = 0;
    for change in changes {
        let skipped = change.start().checked_sub(done);
        let skipped = skipped.context("overlapping changes")?;
        let offset = rest.char_indices().nth(skipped).map(|(offset, _)| offset);
        let (before, place) = rest
            .split_at_checked(offset.unwrap_or(rest.len()))
            .unwrap_or((rest, ""));
        edited.push_str(before);
        let after = change.make(place, line_end, &mut edited)?;
        done = change.start() + place.chars().count() - after.chars().count();
        rest = after;
    }
    edited.push_str(rest);
    Ok(edited)
}

// === impl Change ===

impl Change {
    fn start(&self) -> usize {
        match *self {
            Self::Replace { start, .. }
            | Self::InsertItem { start, .. }
            | Self::InsertEntry { start, .. } => start,
        }
    }

    /// Appends the change to `edited`, and returns the rest of `place`.
    fn make<'t>(&self, place: &'t str, line_end: &str, edited: &mut String) -> Result<&'t str> {
        match self {
            Self::Replace { start: _, old, new } => {
                let (kept, after) = split_value(place, old)?;
                edited.push_str(kept);
                edited.push_str(&match new {
                    Scalar::Name(name) if kept.ends_with(['"', '\'']) => name.clone(),
                    Scalar::Name(name) => plain(name),
                    Scalar::Number(number) => number.to_string(),
                });
                Ok(after)
            }
            Self::InsertItem { start: _, name } => {
                let name = like(place, name);
                let line = indentation(edited).filter(|line| line.trim() == "-");
                edited.push_str(&match line {
                    Some(line) => format!("{name}{line_end}{line}"),
                    None => format!("{name}, "),
                });
                Ok(place)
            }
            Self::InsertEntry { start: _, key, name } => insert_entry(key, name, place, line_end, edited),
        }
    }
}

fn insert_entry<'t>(
    key: &str,
    name: &str,
    place: &'t str,
    line_end: &str,
    edited: &mut String,
) -> Result<&'t str> {
    let Some(inside) = place.strip_prefix('{') else {
        let line = indentation(edited).filter(|line| line.trim().is_empty());
        let line =
            line.with_context(|| format!("{key} cannot be added automatically: edit the file by hand"))?;
        let entry = format!("{key}: {}{line_end}{line}", plain(name));
        ensure!(
            place.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '"' || c == '\''),
            "{key} cannot be added automatically: edit the file by hand"
        );
        edited.push_str(&entry);
        return Ok(place);
    };
    let first = inside.trim_start();
    edited.extend(place.strip_suffix(first));
    let key = if first.starts_with('"') {
        format!("{key:?}")
    } else {
        key.to_owned()
    };
    edited.push_str(&format!("{key}: {}, ", like(first, name)));
    Ok(first)
}

/// The last line of a text, without a byte order mark.
fn indentation(text: &str) -> Option<String> {
    let line = text.rsplit('\n').next()?;
    Some(line.trim_start_matches('\u{feff}').to_owned())
}

/// A name, in double quotes as JSON needs them if its neighbour has them.
fn like(neighbour: &str, name: &str) -> String {
    if neighbour.starts_with('"') {
        format!("{name:?}")
    } else {
        plain(name)
    }
}

/// Splits a text around the value at its start, before which there may be a tag, an anchor and a quote.
fn split_value<'t>(text: &'t str, value: &str) -> Result<(&'t str, &'t str)> {
    let bare = without_properties(text);
    let inside = bare.strip_prefix(['"', '\'']).unwrap_or(bare);
    let after = inside.strip_prefix(value);
    let after = after
        .with_context(|| format!("{value:?} cannot be replaced automatically: edit the file by hand"))?;
    let before = text.len() - inside.len();
    Ok((text.get(..before).unwrap_or_default(), after))
}

/// A value without quotes, or with quotes if YAML would not read it as a string: `2026`, `on`.
fn plain(value: &str) -> String {
    if resolve(value).is_string() {
        value.to_owned()
    } else {
        format!("{value:?}")
    }
}

/// The text after `!tag` and `&anchor`.
fn without_properties(text: &str) -> &str {
    let mut rest = text;
    while rest.starts_with(['!', '&']) {
        let (_, after) = rest.split_once(char::is_whitespace).unwrap_or(("", ""));
        rest = after.trim_start();
    }
    rest
}

/// Replaces a file atomically. A symbolic link is followed, and the mode is kept.
///
/// # Errors
///
/// If the folder cannot be written to.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let path = path
        .canonicalize()
        .with_context(|| format!("cannot find {}", path.display()))?;
    let folder = path.parent().context("the path has no parent directory")?;
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
    use switchyard_core::ingressroute::Delegate;

    fn edited(text: &str) -> String {
        try_edit(text).unwrap()
    }

    fn try_edit(text: &str) -> Result<String> {
        switched(text, "green")
    }

    /// Switches the first route of the last document.
    fn switched(text: &str, branch: &str) -> Result<String> {
        let Documents { documents, error } = documents(text, false);
        assert_eq!(error, None, "{text}");
        let routes = documents
            .last()
            .and_then(|document| document.get("spec")?.get("routes"))
            .unwrap();
        let node = routes.items()[0].get("delegate").unwrap();
        let delegate: Delegate = serde_json::from_value(node.to_value()).unwrap();
        let activation = delegate.activation(branch);
        let edited = apply(text, &activate(node, &activation)?)?;
        // The edited text has to parse to the edited delegate.
        let mut want = delegate;
        activation.apply(&mut want);
        assert_eq!(read(&edited), want, "{edited}");
        Ok(edited)
    }

    fn read(text: &str) -> Delegate {
        let Documents { documents, error } = documents(text, false);
        assert_eq!(error, None, "{text}");
        let document = documents.last().unwrap().to_value();
        serde_json::from_value(document["spec"]["routes"][0]["delegate"].clone()).unwrap()
    }

    #[test]
    fn switch_ends_canary_and_sets_preview_branch() {
        for (text, want) in [
            (
                "spec:\n  routes:\n  - delegate:\n      name: blue\n      standby: [blue, green]\n      canary:\n        percent: 10 # so far\n        branch: green\n",
                "spec:\n  routes:\n  - delegate:\n      name: green\n      standby: [blue, green]\n      canary:\n        percent: 0 # so far\n        branch: green\n",
            ),
            (
                "spec:\n  routes:\n  - delegate:\n      canary: {percent: 10}\n      preview: {header: x, value: z}\n      name: blue\n      standby: [green]\n",
                "spec:\n  routes:\n  - delegate:\n      canary: {percent: 0}\n      preview: {branch: green, header: x, value: z}\n      name: green\n      standby: [blue, green]\n",
            ),
            (
                "spec:\r\n  routes:\r\n  - delegate:\r\n      name: blue\r\n      standby:\r\n      -   green # next\r\n      preview:\r\n        header: x\r\n        value: z\r\n",
                "spec:\r\n  routes:\r\n  - delegate:\r\n      name: green\r\n      standby:\r\n      -   blue\r\n      -   green # next\r\n      preview:\r\n        branch: green\r\n        header: x\r\n        value: z\r\n",
            ),
            (
                "{\"spec\": {\"routes\": [{\"delegate\": {\"name\": \"blue\", \"standby\": [\"green\"], \"preview\": {\n  \"header\": \"x\", \"value\": \"y\"}}}]}}",
                "{\"spec\": {\"routes\": [{\"delegate\": {\"name\": \"green\", \"standby\": [\"blue\", \"green\"], \"preview\": {\n  \"branch\": \"green\", \"header\": \"x\", \"value\": \"y\"}}}]}}",
            ),
        ] {
            assert_eq!(edited(text), want);
        }
        let text =
            "spec: {routes: [{delegate: {name: red, standby: [red, green, blue], canary: {percent: 5}}}]}";
        let want = "spec: {routes: [{delegate: {name: blue, standby: [red, green, blue], canary: {percent: 5, branch: green}}}]}";
        let named = switched(text, "blue").unwrap();
        assert_eq!(
            named,
            want.replace("percent: 5, branch: green", "branch: green, percent: 5")
        );
    }

    #[test]
    fn switch_changes_only_the_name() {
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
    fn name_that_yaml_would_misread_is_quoted() {
        let text = "spec: {routes: [{delegate: {name: blue}}]}\n";
        let Documents { documents, .. } = documents(text, false);
        let routes = documents[0].get("spec").unwrap().get("routes").unwrap();
        let delegate = routes.items()[0].get("delegate").unwrap();
        for (branch, want) in [("2026", "\"2026\""), ("n", "\"n\""), ("v2", "v2")] {
            let activation = Delegate {
                name: "blue".to_owned(),
                ..Default::default()
            }
            .activation(branch);
            let edited = apply(text, &activate(delegate, &activation).unwrap()).unwrap();
            assert_eq!(edited, text.replace("blue", want));
        }
    }

    #[test]
    fn aliases_and_escapes_are_not_edited() {
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
    fn written_file_keeps_mode_and_symlink() {
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
