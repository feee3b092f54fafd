//! The book in docs/: its manifests are good, and its pages are there.

use super::{repository, stdout, switchyard};
use std::{collections::BTreeSet, fs, path::Path};

/// Where the Services of the page on explaining are.
const ENDPOINTS: &str = include_str!("../fixtures/docs/endpoints.yaml");

/// What pages name and do not show.
const NAMED: &str = include_str!("../fixtures/docs/named.yaml");

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

/// Targets of links to other pages.
fn links(page: &str) -> BTreeSet<String> {
    let targets = page
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap());
    let targets = targets.filter(|target| !target.contains("://"));
    targets
        .map(|target| target.split('#').next().unwrap().to_owned())
        .filter(|target| !target.is_empty())
        .collect()
}

#[test]
fn manifests_of_the_book_check_well() {
    let mut checked = 0;
    for (name, page) in pages() {
        let manifests = yaml(&page);
        if manifests.is_empty() {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        for (at, manifest) in manifests.iter().enumerate() {
            fs::write(folder.path().join(format!("{at}.yaml")), manifest).unwrap();
        }
        if !page.contains("kind: Service") {
            fs::write(folder.path().join("named.yaml"), NAMED).unwrap();
        }
        let output = switchyard(&["check", super::path(folder.path())]);
        let said = stdout(&output);
        assert!(output.status.success(), "{name}: {said}");
        assert!(said.contains("0 warnings"), "{name}: {said}");
        checked += manifests.len();
    }
    assert!(checked > 6, "only {checked} manifests");
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
fn what_the_book_explains_is_what_is_explained() {
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
fn every_page_of_the_book_is_in_its_summary_and_links_lead_somewhere() {
    let pages = pages();
    let names: BTreeSet<_> = pages.iter().map(|(name, _)| name.clone()).collect();
    for (name, page) in &pages {
        for target in links(page) {
            assert!(
                repository().join("docs").join(&target).exists(),
                "{name}: {target}"
            );
        }
        if name == "SUMMARY.md" {
            let others: BTreeSet<_> = names.iter().filter(|other| *other != name).cloned().collect();
            assert_eq!(links(page), others);
        }
    }
}
