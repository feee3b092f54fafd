//! The book's page on security lists all tests of its promises.

use anyhow::{Context, Result, ensure};
use std::{collections::BTreeSet, fs, path::Path};
use switchyard_tests::paths::repository;

/// The names of tests in backticks, with their module: `attack::paths::name`.
fn named(page: &str) -> BTreeSet<String> {
    let quoted = page.split('`').skip(1).step_by(2);
    let is_test = |text: &&str| {
        text.contains("::")
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
    };
    quoted.filter(is_test).map(str::to_owned).collect()
}

/// Checks that a test of this name exists.
fn exists(tests: &Path, name: &str) -> Result<bool> {
    let (module, function) = name.rsplit_once("::").context("no module")?;
    let file = tests.join(format!("{}.rs", module.replace("::", "/")));
    let source = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    Ok(source.contains(&format!("fn {function}(")))
}

/// The names of the tests in a file. The check for valid names is needed because this file contains the search strings.
fn tests_in(source: &str) -> impl Iterator<Item = &str> {
    let after = source.split("#[tokio::test").skip(1);
    let names = after.filter_map(|text| Some(text.split_once("async fn ")?.1.split_once('(')?.0));
    names.filter(|name| {
        name.chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    })
}

#[test]
fn security_page_lists_all_attack_tests() -> Result<()> {
    let page = fs::read_to_string(repository().join("docs/security.md"))?;
    let named = named(&page);
    let tests = repository().join("tests/tests/e2e");
    for name in &named {
        ensure!(exists(&tests, name)?, "docs/security.md: there is no test {name}");
    }
    for entry in fs::read_dir(tests.join("attack"))? {
        let path = entry?.path();
        let Some(module) = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .filter(|_| path.is_file())
        else {
            continue;
        };
        for test in tests_in(&fs::read_to_string(&path)?) {
            let name = format!("attack::{module}::{test}");
            ensure!(named.contains(&name), "docs/security.md does not name {name}");
        }
    }
    Ok(())
}
