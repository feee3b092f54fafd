//! The book in docs/, and the README: manifests are good, and links lead somewhere.

use super::{repository, stdout, switchyard};
use std::{collections::BTreeSet, fs, path::Path};

/// Where the Services of the page on explaining are.
const ENDPOINTS: &str = include_str!("../fixtures/docs/endpoints.yaml");

/// What pages name and do not show.
const NAMED: &str = include_str!("../fixtures/docs/named.yaml");

/// The branch that the README names.
const BRANCH: &str = include_str!("../fixtures/docs/branch.yaml");

const README: &str = "README.md";

/// Beside the book, what has links to it.
const OTHERS: [&str; 3] = [README, "ARCHITECTURE.md", "deploy/static/README.md"];

/// The pages, by file name.
fn pages() -> Vec<(String, String)> {
    let files = fs::read_dir(repository().join("docs")).unwrap();
    let mut pages: Vec<_> = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| (file_name(&path), fs::read_to_string(&path).unwrap()))
        .collect();
    pages.sort();
    pages
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// What is fenced as YAML.
fn yaml(page: &str) -> Vec<&str> {
    let blocks = page.split("\n```yaml\n").skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap()).collect()
}

/// Without what is fenced or set as code, in which brackets are no links and `#` is no heading.
fn prose(page: &str) -> String {
    let fenced = page.split("\n```").step_by(2);
    let mut prose = String::new();
    for text in fenced {
        let mut rest = text;
        while let Some(start) = rest.find('`') {
            let (before, code) = rest.split_at(start);
            let marks = code.len() - code.trim_start_matches('`').len();
            let (mark, code) = code.split_at(marks);
            prose.push_str(before);
            rest = code.split_once(mark).unwrap().1;
        }
        prose.push_str(rest);
        prose.push('\n');
    }
    prose
}

/// Targets of links to this repository, with what comes after `#`.
fn links(page: &str) -> BTreeSet<(String, Option<String>)> {
    let prose = prose(page);
    let targets = prose
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap());
    let targets = targets.filter(|target| !target.contains("://"));
    targets
        .map(|target| match target.split_once('#') {
            Some((file, anchor)) => (file.to_owned(), Some(anchor.to_owned())),
            None => (target.to_owned(), None),
        })
        .collect()
}

/// What links can name on a page: its headings, as mdBook and GitHub spell them.
fn anchors(page: &str) -> BTreeSet<String> {
    let outside = page.split("\n```").step_by(2).flat_map(str::lines);
    let headings = outside.filter_map(|line| {
        let heading = line.trim_start_matches('#').strip_prefix(' ')?;
        line.starts_with('#').then_some(heading.trim())
    });
    let spell = |char: char| match char {
        ' ' => Some('-'),
        char if char.is_alphanumeric() || char == '-' || char == '_' => Some(char.to_ascii_lowercase()),
        _ => None,
    };
    headings
        .map(|heading| heading.chars().filter_map(spell).collect())
        .collect()
}

#[test]
fn book_manifests_pass_check() {
    let mut checked = 0;
    let readme = fs::read_to_string(repository().join(README)).unwrap();
    for (name, page) in pages().into_iter().chain([(README.to_owned(), readme)]) {
        let manifests = yaml(&page);
        assert_eq!(
            manifests.len(),
            page.matches("```yaml").count(),
            "{name}: a fence that is indented"
        );
        if manifests.is_empty() {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        for (at, manifest) in manifests.iter().enumerate() {
            write(&format!("{at}.yaml"), manifest);
        }
        if !page.contains("kind: Service") {
            write("named.yaml", NAMED);
        }
        if name == README {
            write("branch.yaml", BRANCH);
        }
        let output = switchyard(&["check", super::path(folder.path())]);
        let said = stdout(&output);
        assert!(output.status.success(), "{name}: {said}");
        assert!(said.contains("0 warnings"), "{name}: {said}");
        checked += manifests.len();
    }
    assert!(checked >= 19, "only {checked} manifests");
}

/// Commands on a page that begin so, each with what it is to print.
fn commands<'p>(page: &'p str, begin: &str) -> Vec<(&'p str, String)> {
    let blocks = page.split("\n```console\n").skip(1);
    let blocks = blocks.map(|block| block.split("\n```").next().unwrap());
    let commands = blocks.flat_map(|block| block.strip_prefix("$ ").unwrap().split("\n$ "));
    let split = |command: &'p str| {
        let (command, printed) = command.split_once('\n').unwrap_or((command, ""));
        (command, format!("{printed}\n"))
    };
    commands
        .map(split)
        .filter(|(command, _)| command.starts_with(begin))
        .collect()
}

#[test]
fn book_explain_output_matches_the_command() {
    let page = fs::read_to_string(repository().join("docs/explain.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("www.yaml", yaml(&page)[0]);
    write("named.yaml", NAMED);
    write("endpoints.yaml", ENDPOINTS);
    let commands = commands(&page, "switchyard explain manifests/ ");
    assert_eq!(commands.len(), 2);
    for (command, printed) in commands {
        // The one that is quoted has a space after its colon, and needs none.
        let words = command.replace('\'', "").replace(": ", ":");
        let words: Vec<_> = words.split(' ').skip(3).collect();
        let arguments = [&["explain", super::path(folder.path())], &words[..]].concat();
        assert_eq!(stdout(&switchyard(&arguments)), printed, "{command}");
    }
}

#[test]
fn every_book_page_is_in_the_summary() {
    let pages = pages();
    let (_, summary) = pages.iter().find(|(name, _)| name == "SUMMARY.md").unwrap();
    let linked: BTreeSet<_> = links(summary).into_iter().map(|(file, _)| file).collect();
    let others = pages
        .iter()
        .map(|(name, _)| name.clone())
        // Decisions are for who works on the code.
        .filter(|name| !["SUMMARY.md", "decisions.md"].contains(&name.as_str()));
    assert_eq!(linked, others.collect());
}

#[test]
fn links_point_to_existing_files_and_headings() {
    let book = pages().into_iter().map(|(name, _)| format!("docs/{name}"));
    let mut followed = 0;
    for name in book.chain(OTHERS.map(str::to_owned)) {
        let path = repository().join(&name);
        let page = fs::read_to_string(&path).unwrap();
        for (file, anchor) in links(&page) {
            let target = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(&file)
            };
            assert!(target.exists(), "{name}: {file}");
            if let Some(anchor) = anchor {
                let anchors = anchors(&fs::read_to_string(&target).unwrap());
                assert!(
                    anchors.contains(&anchor),
                    "{name}: {file}#{anchor} is none of {anchors:?}"
                );
                followed += 1;
            }
        }
    }
    assert!(followed > 4, "only {followed} anchors");
}
