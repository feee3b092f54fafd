//! The book's page on security names the tests of what it promises.

use anyhow::{Context, Result, ensure};
use std::{collections::BTreeSet, fs, path::Path};
use switchyard_tests::paths::repository;

/// Names in backticks that have a module before them: `attack::paths::name`.
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

/// Whether there is a test of that name.
fn exists(tests: &Path, name: &str) -> Result<bool> {
    let (module, function) = name.rsplit_once("::").context("no module")?;
    let file = tests.join(format!("{}.rs", module.replace("::", "/")));
    let source = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    Ok(source.contains(&format!("fn {function}(")))
}

/// Those in a file. Names alone: this file has the words by which they are found.
fn tests_in(source: &str) -> impl Iterator<Item = &str> {
    let after = source.split("#[tokio::test").skip(1);
    let names = after.filter_map(|text| Some(text.split_once("async fn ")?.1.split_once('(')?.0));
    names.filter(|name| {
        name.chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    })
}

#[test]
fn the_book_names_every_attempt_and_no_test_that_there_is_not() -> Result<()> {
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
